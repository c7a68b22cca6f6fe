//! Store paths to a cache in a folder: archives in parallel, descriptions only when all that they refer to is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeval_model::derivation::HashCache;
use zeval_model::signature::SecretKey;
use zeval_model::tree::{Walker, everything};
use zeval_model::{Algorithm, Hash, Hasher, NarInfo, StorePath, nar, store_dir};

use super::listing;
use super::location::DESCRIPTION;
use super::{Cache, CacheError, CachedRealisation, Compression};
use crate::cancel::Cancellation;
use crate::parallel::in_parallel;
use crate::store::{PathInfo, Store};

/// How to write a cache.
#[derive(Default)]
pub struct UploadOptions {
    pub compression: Compression,
    /// As the method has it: for zstd 1 to 22, for xz 0 to 9.
    pub level: Option<i32>,
    /// Sign with these.
    pub keys: Vec<SecretKey>,
    /// Write the listings of the files, too.
    pub listings: bool,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uploaded {
    pub paths: Vec<StorePath>,
    /// Of the archives.
    pub bytes: u64,
    /// Of the compressed archives.
    pub compressed_bytes: u64,
}

/// Copies `paths`, which must be closed under references unless the cache has the rest, to `cache`, which is made if there
/// is none. `progress` is told how many of how many are done.
pub fn copy_to(
    store: &Store,
    cache: &Cache,
    paths: &BTreeSet<StorePath>,
    options: &UploadOptions,
    cancellation: &Cancellation,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Uploaded, CacheError> {
    let Some(folder) = cache.folder() else {
        let reason = "only caches in folders can be written; serve the folder with any web server".to_owned();
        return Err(CacheError::Unusable { url: cache.url.clone(), reason });
    };
    store.pin(paths)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let upload = Upload { store, cache, folder, options, cancellation, threads };
    upload.prepare()?;
    let mut infos = Vec::new();
    let known = store.infos(paths)?;
    for path in store.references_first(paths)? {
        if !folder.join(format!("{}.narinfo", path.hash_part())).exists() {
            infos.extend(known.get(&path).cloned());
        }
    }
    let written = Mutex::new(Written { next: 0, done: BTreeMap::new(), uploaded: Uploaded::default() });
    let items: Vec<(usize, &PathInfo)> = infos.iter().enumerate().collect();
    let results = in_parallel(&items, threads, |&(index, info)| {
        let narinfo = upload.archive(info)?;
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        written.done.insert(index, narinfo);
        // Descriptions go out in order, so that each comes after those of its references.
        while let Some(narinfo) = {
            let next = written.next;
            written.done.remove(&next)
        } {
            upload.describe(&narinfo)?;
            written.next += 1;
            written.uploaded.bytes += narinfo.nar_size;
            written.uploaded.compressed_bytes += narinfo.file_size.unwrap_or(0);
            written.uploaded.paths.push(narinfo.path);
        }
        progress(written.next, infos.len());
        Ok::<_, CacheError>(())
    });
    results.into_iter().collect::<Result<(), _>>()?;
    paths.iter().try_for_each(|path| upload.realisations(path))?;
    Ok(written.into_inner().unwrap_or_else(PoisonError::into_inner).uploaded)
}

struct Written {
    next: usize,
    done: BTreeMap<usize, NarInfo>,
    uploaded: Uploaded,
}

struct Upload<'a> {
    store: &'a Store,
    cache: &'a Cache,
    folder: &'a Path,
    options: &'a UploadOptions,
    cancellation: &'a Cancellation,
    /// How many cores there are.
    threads: usize,
}

/// Archives of so many bytes are compressed by several threads each, lest the last one be waited for with idle cores. What
/// is smaller is done sooner by one.
const LARGE: u64 = 32 << 20;

impl Upload<'_> {
    fn failed(&self, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
        let (url, path) = (self.cache.url.clone(), path.to_owned());
        move |error| CacheError::Write { url, reason: format!("{}: {error}", path.display()) }
    }

    fn prepare(&self) -> Result<(), CacheError> {
        for folder in ["nar", "log", "realisations"].map(|name| self.folder.join(name)) {
            fs::create_dir_all(&folder).map_err(self.failed(&folder))?;
        }
        let description = self.folder.join(DESCRIPTION);
        match description.exists() {
            true => self.cache.clone().open(self.cancellation).map(drop),
            false => self.write(DESCRIPTION, format!("StoreDir: {}\n", store_dir()).as_bytes()),
        }
    }

    /// Writes a small file, all or nothing.
    fn write(&self, name: &str, contents: &[u8]) -> Result<(), CacheError> {
        let file = self.folder.join(name);
        let temporary = self.temporary(&file);
        let write = || {
            fs::create_dir_all(file.parent().unwrap_or(self.folder))?;
            fs::write(&temporary, contents)?;
            fs::rename(&temporary, &file)
        };
        write().map_err(self.failed(&file))
    }

    /// A name beside `file` that nobody else writes to.
    fn temporary(&self, file: &Path) -> PathBuf {
        let thread = format!("{:?}", std::thread::current().id());
        let digits: String = thread.chars().filter(char::is_ascii_digit).collect();
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".tmp-{}-{digits}", std::process::id()));
        file.with_file_name(name)
    }

    /// Writes the archive of a path, and says what to say of it.
    fn archive(&self, info: &PathInfo) -> Result<NarInfo, CacheError> {
        if self.cancellation.is_cancelled() {
            return Err(CacheError::Cancelled);
        }
        let archives = self.folder.join("nar");
        let temporary = self.temporary(&archives.join(info.path.hash_part()));
        let written = self.write_archive(info, &temporary).inspect_err(|_| {
            // What is left is only in the way.
            let _ = fs::remove_file(&temporary);
        });
        let (file_hash, file_size) = written?;
        let name = format!("{}.nar{}", file_hash.to_nix32(), self.options.compression.ending());
        let file = archives.join(&name);
        fs::rename(&temporary, &file).map_err(self.failed(&file))?;
        let mut narinfo = NarInfo {
            path: info.path.clone(),
            url: format!("nar/{name}"),
            compression: self.options.compression.name().to_owned(),
            file_hash: Some(file_hash),
            file_size: Some(file_size),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references.clone(),
            deriver: info.deriver.clone(),
            signatures: info.signatures.clone(),
            content_address: info.content_address,
        };
        let fingerprint = narinfo.fingerprint();
        narinfo.signatures.extend(self.options.keys.iter().map(|key| key.sign(fingerprint.as_bytes())));
        Ok(narinfo)
    }

    fn write_archive(&self, info: &PathInfo, file: &Path) -> Result<(Hash, u64), CacheError> {
        let output = File::create(file).map_err(self.failed(file))?;
        let output = Measured::new(BufWriter::with_capacity(256 * 1024, output));
        let mut source = Measured::new(self.encoder(output, info.nar_size).map_err(self.failed(file))?);
        nar::dump_path(&self.store.physical(&info.path), &mut source)
            .map_err(|error| CacheError::Store(crate::store::StoreError::Tree(error)))?;
        let (encoder, hash, _) = source.finish();
        if hash != info.nar_hash {
            return Err(CacheError::Store(crate::store::StoreError::WrongContents {
                path: info.path.clone(),
                expected: info.nar_hash.to_sri(),
                actual: hash.to_sri(),
            }));
        }
        let output = encoder.finish().map_err(self.failed(file))?;
        let (mut output, hash, size) = output.finish();
        output.flush().map_err(self.failed(file))?;
        Ok((hash, size))
    }

    fn encoder<W: Write>(&self, output: W, size: u64) -> io::Result<Encoder<W>> {
        let level = self.options.level.or(self.cache.level);
        Ok(match self.options.compression {
            Compression::None => Encoder::None(output),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(output, level.unwrap_or(3))?;
                if size >= LARGE && self.threads > 1 {
                    encoder.multithread(u32::try_from(self.threads).unwrap_or(1))?;
                }
                Encoder::Zstd(encoder)
            }
            Compression::Xz => {
                let level = u32::try_from(level.unwrap_or(6)).unwrap_or(6);
                Encoder::Xz(liblzma::write::XzEncoder::new(output, level))
            }
            Compression::Bzip2 => {
                let level = u32::try_from(level.unwrap_or(9)).unwrap_or(9);
                Encoder::Bzip2(bzip2::write::BzEncoder::new(output, bzip2::Compression::new(level)))
            }
        })
    }

    fn describe(&self, narinfo: &NarInfo) -> Result<(), CacheError> {
        if self.options.listings || self.cache.listings {
            let mut everything = everything;
            let mut files = Walker::new(&self.store.physical(&narinfo.path), &mut everything);
            let text = listing::file(&mut files)
                .map_err(|error| CacheError::Store(crate::store::StoreError::Tree(error)))?;
            self.write(&format!("{}.ls", narinfo.path.hash_part()), text.as_bytes())?;
        }
        self.write(&format!("{}.narinfo", narinfo.path.hash_part()), narinfo.to_string().as_bytes())
    }

    /// Records for which derivations a content-addressed path was built, as far as those are still here.
    fn realisations(&self, path: &StorePath) -> Result<(), CacheError> {
        let hashes = HashCache::new(|path: &StorePath| self.store.read_derivation(path));
        for (drv, output) in self.store.realised_by(path)? {
            let Ok(derivation) = self.store.derivation(&drv) else { continue };
            let Ok(hash) = derivation.realisation_hash(&hashes) else { continue };
            let mut realisation = CachedRealisation::new(&hash, &output, path.clone());
            self.options.keys.iter().for_each(|key| realisation.sign(key));
            self.write(&CachedRealisation::file(&hash, &output), realisation.to_json().as_bytes())?;
        }
        Ok(())
    }
}

/// Hashes and counts what is written through it.
struct Measured<W> {
    output: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Measured<W> {
    fn new(output: W) -> Measured<W> {
        Measured { output, hasher: Hasher::new(Algorithm::Sha256), size: 0 }
    }

    fn finish(self) -> (W, Hash, u64) {
        (self.output, self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.output.write(data)?;
        self.hasher.update(&data[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

enum Encoder<W: Write> {
    None(W),
    Zstd(zstd::Encoder<'static, W>),
    Xz(liblzma::write::XzEncoder<W>),
    Bzip2(bzip2::write::BzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    fn finish(self) -> io::Result<W> {
        match self {
            Encoder::None(output) => Ok(output),
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Bzip2(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::None(output) => output.write(data),
            Encoder::Zstd(encoder) => encoder.write(data),
            Encoder::Xz(encoder) => encoder.write(data),
            Encoder::Bzip2(encoder) => encoder.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Only the end matters, and an early flush costs compression.
        Ok(())
    }
}
