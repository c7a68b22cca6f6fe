//! A cache in a folder that is written to: files appear whole or not at all, and what a kill or a power cut left is put right
//! by the next one who writes.
//!
//! Files are not synced one by one. Before anything is written, the time and the name of the kernel's boot are brought to disk.
//! Who finds those of another boot reads again what was written since then, and takes back what suffered.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeval_model::{Algorithm, Hash, Hasher, NarInfo, StorePath, store_dir};

use super::CachedRealisation;
use super::location::DESCRIPTION;
use crate::parallel::in_parallel;
use crate::store::now;

/// Says since when, and under which boot, files may not be on disk.
const MARK: &str = ".zeval-unsynced";
/// In the names of files that are being written.
const TEMPORARY: &str = ".tmp-";
/// After so many seconds Linux has written most of what it was given, and to sync costs little.
const GATHERED: i64 = 60;

/// The folder, while we write to it.
pub(super) struct Folder {
    path: PathBuf,
    boot: String,
    // Held for its lock, which all who write share.
    _lock: File,
}

impl Folder {
    /// Gets the folder ready, making it if it is not there; `boot` names the kernel's boot.
    pub fn open(path: &Path, boot: &str) -> io::Result<Folder> {
        for folder in ["nar", "log", "realisations"] {
            fs::create_dir_all(path.join(folder))?;
        }
        let lock = File::open(path)?;
        let folder = Folder { path: path.to_owned(), boot: boot.to_owned(), _lock: lock };
        match folder._lock.try_lock() {
            Ok(()) => folder.put_right()?,
            // Others are writing, and whoever came first has looked.
            Err(TryLockError::WouldBlock) => (),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        folder._lock.lock_shared()?;
        Ok(folder)
    }

    /// Writes a small file, all or nothing.
    pub fn write(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        let file = self.path.join(name);
        // One like it may be on disk already, which ours is not.
        if fs::read(&file).is_ok_and(|present| present == contents) {
            return Ok(());
        }
        let temporary = self.temporary(name);
        fs::create_dir_all(file.parent().unwrap_or(&self.path))?;
        fs::write(&temporary, contents)?;
        fs::rename(&temporary, &file)
    }

    /// A name beside the file `name` that nobody else writes to.
    pub fn temporary(&self, name: &str) -> PathBuf {
        let thread = format!("{:?}", std::thread::current().id());
        let digits: String = thread.chars().filter(char::is_ascii_digit).collect();
        self.path.join(format!("{name}{TEMPORARY}{}-{digits}", std::process::id()))
    }

    /// Gives an archive that was written to [`Folder::temporary`] its name, which its hash makes: another path may have the same
    /// archive, and have it on disk already.
    pub fn publish(&self, temporary: &Path, name: &str, hash: &Hash) -> io::Result<()> {
        let file = self.path.join(name);
        match hash_of(&file) {
            Ok((present, _)) if present == *hash => fs::remove_file(temporary),
            _ => fs::rename(temporary, &file),
        }
    }

    /// Whether `path` is described, and its archive is there.
    pub fn has(&self, path: &StorePath) -> bool {
        let found = self.described(&format!("{}.narinfo", path.hash_part()));
        found.is_some_and(|info| {
            info.path == *path
                && fs::metadata(self.path.join(&info.url))
                    .is_ok_and(|found| info.file_size.is_none_or(|size| size == found.len()))
        })
    }

    /// Brings all that was written to disk.
    pub fn sync(&self) -> io::Result<()> {
        nix::unistd::syncfs(&self._lock)?;
        self.mark()
    }

    fn described(&self, file: &str) -> Option<NarInfo> {
        fs::read_to_string(self.path.join(file)).ok()?.parse().ok()
    }

    /// For one who is alone: removes what was half written, and takes back what a power cut damaged.
    fn put_right(&self) -> io::Result<()> {
        for folder in ["", "nar", "log", "realisations"] {
            for (name, _) in files(&self.path.join(folder))? {
                if name.contains(TEMPORARY) {
                    fs::remove_file(self.path.join(folder).join(name))?;
                }
            }
        }
        let text = fs::read_to_string(self.path.join(MARK)).unwrap_or_default();
        let mut words = text.split_whitespace();
        match (words.next(), words.next().and_then(|time| time.parse::<i64>().ok())) {
            (Some(boot), Some(since)) if boot != self.boot => {
                self.take_back(since)?;
                self.sync()
            }
            (Some(_), Some(since)) if now() - since > GATHERED => self.sync(),
            (Some(_), Some(_)) => Ok(()),
            // Nothing was written by one who marks.
            _ => self.mark(),
        }
    }

    /// Says, on disk when this returns, that what is written from now on may not be.
    fn mark(&self) -> io::Result<()> {
        let temporary = self.temporary(MARK);
        let mut file = File::create(&temporary)?;
        file.write_all(format!("{} {}\n", self.boot, now()).as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(MARK))?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes what was written since a time, in seconds since 1970, and is not whole, with what refers to it.
    fn take_back(&self, since: i64) -> io::Result<()> {
        let young = |folder: &str| -> io::Result<Vec<String>> {
            let files = files(&self.path.join(folder))?.into_iter();
            Ok(files.filter(|(_, changed)| *changed >= since).map(|(name, _)| name).collect())
        };
        let names = young("")?;
        if names.iter().any(|name| name == DESCRIPTION) {
            // What writes here is for this store only.
            let text = fs::read_to_string(self.path.join(DESCRIPTION)).unwrap_or_default();
            if !text.lines().any(|line| line.strip_prefix("StoreDir: ") == Some(store_dir())) {
                fs::remove_file(self.path.join(DESCRIPTION))?;
            }
        }
        for name in names.iter().filter(|name| name.ends_with(".ls")) {
            let text = fs::read(self.path.join(name))?;
            if serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_err() {
                fs::remove_file(self.path.join(name))?;
            }
        }
        for name in young("realisations")? {
            let file = self.path.join("realisations").join(name);
            if CachedRealisation::parse(&fs::read(&file)?).is_err() {
                fs::remove_file(file)?;
            }
        }
        self.take_back_descriptions(names.iter().filter(|name| name.ends_with(".narinfo")).collect())
    }

    fn take_back_descriptions(&self, names: Vec<&String>) -> io::Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let whole = in_parallel(&names, threads, |name| {
            self.described(name).filter(|info| self.is_whole(info).unwrap_or(false))
        });
        let mut left = Vec::new();
        for (name, info) in names.into_iter().zip(whole) {
            match info {
                Some(info) => left.push((name, info)),
                None => fs::remove_file(self.path.join(name))?,
            }
        }
        // Each may be what another one refers to.
        loop {
            let there = |path: &StorePath| self.path.join(format!("{}.narinfo", path.hash_part())).exists();
            let (whole, lost): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(_, info)| info.references.iter().all(there));
            if lost.is_empty() {
                return Ok(());
            }
            for (name, _) in lost {
                fs::remove_file(self.path.join(name))?;
            }
            left = whole;
        }
    }

    /// Whether the archive is the one that was described.
    fn is_whole(&self, info: &NarInfo) -> io::Result<bool> {
        let Some(hash) = info.file_hash.filter(|hash| hash.algorithm() == Algorithm::Sha256) else {
            return Ok(false);
        };
        let (found, size) = hash_of(&self.path.join(&info.url))?;
        Ok(found == hash && info.file_size.is_none_or(|wanted| wanted == size))
    }
}

/// The SHA-256 and the size of a file.
fn hash_of(file: &Path) -> io::Result<(Hash, u64)> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let size = io::copy(&mut File::open(file)?, &mut hasher)?;
    Ok((hasher.finish(), size))
}

/// The files in a folder, with the times of their last change in seconds since 1970.
fn files(folder: &Path) -> io::Result<BTreeSet<(String, i64)>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let status = entry.metadata()?;
        if let (true, Ok(name)) = (status.is_file(), entry.file_name().into_string()) {
            found.insert((name, status.mtime()));
        }
    }
    Ok(found)
}
