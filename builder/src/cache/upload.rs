//! Store paths to a cache that is written to: archives in parallel, descriptions only when all that they refer to is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use zeval_model::derivation::HashCache;
use zeval_model::signature::SecretKey;
use zeval_model::tree::{Walker, everything};
use zeval_model::{Hash, NarInfo, StorePath, nar};

use super::destination::Destination;
use super::download::ASKERS;
use super::encoder::{Encoder, Measured};
use super::listing;
use super::{Cache, CacheError, CachedRealisation, Compression};
use crate::cancel::Cancellation;
use crate::parallel::in_parallel;
use crate::store::{PathInfo, Store, StoreError};

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
    store.pin(paths)?;
    let destination = Destination::open(cache, store, cancellation)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let infos = missing(store, cache, &destination, paths, threads)?;
    let upload = Upload { store, cache, destination, options, cancellation, threads };
    let written = Mutex::new(Written { next: 0, done: BTreeMap::new(), uploaded: Uploaded::default() });
    let items: Vec<(usize, &PathInfo)> = infos.iter().enumerate().collect();
    let failed = AtomicBool::new(false);
    let results = in_parallel(&items, threads, |&(index, info)| {
        if failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let done =
            upload.one(info, index, &written).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        progress(done, infos.len());
        Ok::<_, CacheError>(())
    });
    results.into_iter().collect::<Result<(), _>>()?;
    paths.iter().try_for_each(|path| upload.realisations(path))?;
    if store.waits_for_disk() {
        upload.destination.sync()?;
    }
    Ok(written.into_inner().unwrap_or_else(PoisonError::into_inner).uploaded)
}

/// Writes the log of a build of `drv` to `cache`, which is made if there is none.
pub fn write_log(
    store: &Store,
    cache: &Cache,
    drv: &StorePath,
    log: &[u8],
    cancellation: &Cancellation,
) -> Result<(), CacheError> {
    let destination = Destination::open(cache, store, cancellation)?;
    destination.write(&format!("log/{}", drv.base_name()), log)
}

/// What is known of those of `paths` that the cache does not have, references first.
fn missing(
    store: &Store,
    cache: &Cache,
    destination: &Destination<'_>,
    paths: &BTreeSet<StorePath>,
    threads: usize,
) -> Result<Vec<PathInfo>, CacheError> {
    let order = store.references_first(paths)?;
    let askers = if cache.folder().is_some() { threads } else { ASKERS };
    let present = in_parallel(&order, askers, |path| destination.has(path));
    let mut known = store.infos(paths)?;
    let mut infos = Vec::new();
    for (path, present) in order.iter().zip(present) {
        if !present? {
            infos.extend(known.remove(path));
        }
    }
    Ok(infos)
}

struct Written {
    next: usize,
    done: BTreeMap<usize, NarInfo>,
    uploaded: Uploaded,
}

struct Upload<'a> {
    store: &'a Store,
    cache: &'a Cache,
    destination: Destination<'a>,
    options: &'a UploadOptions,
    cancellation: &'a Cancellation,
    /// How many cores there are.
    threads: usize,
}

/// Archives of so many bytes are compressed by several threads each, lest the last one be waited for with idle cores. What
/// is smaller is done sooner by one.
const LARGE: u64 = 32 << 20;

impl Upload<'_> {
    /// Writes the archive of path number `index`, and all descriptions whose turn has come: each comes after those of its
    /// references. Gives how many are done.
    fn one(&self, info: &PathInfo, index: usize, written: &Mutex<Written>) -> Result<usize, CacheError> {
        let narinfo = self.archive(info)?;
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        written.done.insert(index, narinfo);
        while let Some(narinfo) = {
            let next = written.next;
            written.done.remove(&next)
        } {
            self.describe(&narinfo)?;
            written.next += 1;
            written.uploaded.bytes += narinfo.nar_size;
            written.uploaded.compressed_bytes += narinfo.file_size.unwrap_or(0);
            written.uploaded.paths.push(narinfo.path);
        }
        Ok(written.next)
    }

    /// Writes the archive of a path, and says what to say of it.
    fn archive(&self, info: &PathInfo) -> Result<NarInfo, CacheError> {
        if self.cancellation.is_cancelled() {
            return Err(CacheError::Cancelled);
        }
        let draft = self.destination.draft(self.store, &info.path)?;
        let published = self.write_archive(info, &draft.file).and_then(|(hash, size)| {
            let name = format!("nar/{}.nar{}", hash.to_nix32(), self.options.compression.ending());
            self.destination.publish(&draft, &name, &hash)?;
            Ok((hash, size, name))
        });
        let (file_hash, file_size, url) = published.inspect_err(|_| {
            // What is left is only in the way.
            let _ = fs::remove_file(&draft.file);
        })?;
        let mut narinfo = NarInfo {
            path: info.path.clone(),
            url,
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
        let failed = |error: io::Error| CacheError::Write {
            url: self.cache.url.clone(),
            reason: format!("{}: {error}", file.display()),
        };
        let output = File::create(file).map_err(failed)?;
        let output = Measured::new(BufWriter::with_capacity(256 * 1024, output));
        let threads = if info.nar_size < LARGE { 1 } else { self.threads };
        let level = self.options.level.or(self.cache.level);
        let encoder = Encoder::new(output, self.options.compression, level, threads).map_err(failed)?;
        let mut source = Measured::new(encoder);
        nar::dump_path(&self.store.physical(&info.path), &mut source)
            .map_err(|error| CacheError::Store(StoreError::Tree(error)))?;
        let (encoder, hash, _) = source.finish();
        if hash != info.nar_hash {
            return Err(CacheError::Store(StoreError::WrongContents {
                path: info.path.clone(),
                expected: info.nar_hash.to_sri(),
                actual: hash.to_sri(),
            }));
        }
        let output = encoder.finish().map_err(failed)?;
        let (mut output, hash, size) = output.finish();
        output.flush().map_err(failed)?;
        Ok((hash, size))
    }

    fn describe(&self, narinfo: &NarInfo) -> Result<(), CacheError> {
        if self.options.listings || self.cache.listings {
            let mut everything = everything;
            let mut files = Walker::new(&self.store.physical(&narinfo.path), &mut everything);
            let text =
                listing::file(&mut files).map_err(|error| CacheError::Store(StoreError::Tree(error)))?;
            self.destination.write(&format!("{}.ls", narinfo.path.hash_part()), text.as_bytes())?;
        }
        let name = format!("{}.narinfo", narinfo.path.hash_part());
        self.destination.write(&name, narinfo.to_string().as_bytes())
    }

    /// Records for which derivations a content-addressed path was built, as far as those are still here.
    fn realisations(&self, path: &StorePath) -> Result<(), CacheError> {
        let hashes = HashCache::new(|path: &StorePath| self.store.read_derivation(path));
        for (drv, output) in self.store.realised_by(path)? {
            let Ok(derivation) = self.store.derivation(&drv) else { continue };
            let Ok(hash) = derivation.realisation_hash(&hashes) else { continue };
            let mut realisation = CachedRealisation::new(&hash, &output, path.clone());
            self.options.keys.iter().for_each(|key| realisation.sign(key));
            self.destination
                .write(&CachedRealisation::file(&hash, &output), realisation.to_json().as_bytes())?;
        }
        Ok(())
    }
}
