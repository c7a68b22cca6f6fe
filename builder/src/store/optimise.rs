//! Equal files become one: hard links to files that are kept by their contents, or files that share their blocks on the disk.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use zeval_model::{Algorithm, ContentMethod, StorePath, ingest};

use super::extents::{self, Shared};
use super::{IoContext, Store, StoreError, seal};
use crate::cancel::Cancellation;

/// How equal files are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    HardLinks,
    /// The same blocks on the disk where the file system can, else hard links.
    Blocks,
}

/// What was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Files that became hard links.
    pub files: u64,
    /// Files that share blocks since.
    pub sharing_blocks: u64,
    pub bytes: u64,
}

#[derive(Default)]
struct Counters {
    files: AtomicU64,
    sharing_blocks: AtomicU64,
    bytes: AtomicU64,
    next: AtomicUsize,
    done: AtomicUsize,
    /// Whether hard links are made: asked for, or all that the file system can.
    links: AtomicBool,
}

impl Store {
    /// Makes equal files of all valid paths one, on all cores.
    pub fn optimise(
        &self,
        sharing: Sharing,
        cancellation: &Cancellation,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Saved, StoreError> {
        let links = self.layout.links();
        fs::create_dir_all(&links).doing("make the folder", &links)?;
        // Else a power cut could take the file that a path shares with a younger one.
        self.sync()?;
        let paths: Vec<StorePath> = self.all_valid()?.into_iter().collect();
        let counters = Counters { links: (sharing == Sharing::HardLinks).into(), ..Counters::default() };
        let work = || -> Result<(), StoreError> {
            let scratch = self.temporary_folder()?;
            while let Some(path) = paths.get(counters.next.fetch_add(1, Ordering::Relaxed)) {
                if cancellation.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                // The lock keeps a repair away, the pin the collector.
                self.pin([path])?;
                let _lock = self.lock(path, cancellation, || ())?;
                if self.is_valid(path)? {
                    let top = self.physical(path);
                    self.share(&top, &scratch.path().join("0"), &counters)?;
                    seal(&top).doing("seal", &top)?;
                }
                progress(counters.done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(StoreError::Cancelled)))
        })?;
        Ok(Saved {
            files: counters.files.into_inner(),
            sharing_blocks: counters.sharing_blocks.into_inner(),
            bytes: counters.bytes.into_inner(),
        })
    }

    /// Sees to it that no other file will be linked to one in the tree `damaged`.
    pub(super) fn unshare(&self, damaged: &Path) -> Result<(), StoreError> {
        let mut inodes = BTreeSet::new();
        let mut pending = vec![damaged.to_owned()];
        while let Some(at) = pending.pop() {
            let found = fs::symlink_metadata(&at).doing("look at", &at)?;
            if found.is_dir() {
                for entry in fs::read_dir(&at).doing("read", &at)? {
                    pending.push(entry.doing("read", &at)?.path());
                }
            } else if found.nlink() > 1 {
                inodes.insert(found.ino());
            }
        }
        let links = self.layout.links();
        if inodes.is_empty() {
            return Ok(());
        }
        for entry in fs::read_dir(&links).doing("read", &links)? {
            let link = entry.doing("read", &links)?.path();
            if fs::symlink_metadata(&link).is_ok_and(|found| inodes.contains(&found.ino())) {
                // A collector may have been faster; what it leaves is gone, too.
                let _ = fs::remove_file(&link);
            }
        }
        Ok(())
    }

    /// The bytes that files which are hard links of each other save.
    pub fn shared_bytes(&self) -> Result<u64, StoreError> {
        let folder = self.layout.links();
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(0) };
        let mut bytes = 0;
        for entry in entries {
            let entry = entry.doing("read", &folder)?;
            // The one kept for sharing, and the first to be shared, save nothing.
            bytes += entry.metadata().map_or(0, |found| found.nlink().saturating_sub(2) * found.len());
        }
        Ok(bytes)
    }

    fn share(&self, at: &Path, scratch: &Path, counters: &Counters) -> Result<(), StoreError> {
        let found = fs::symlink_metadata(at).doing("look at", at)?;
        if found.is_dir() {
            let mut entries: Vec<PathBuf> = Vec::new();
            for entry in fs::read_dir(at).doing("read", at)? {
                entries.push(entry.doing("read", at)?.path());
            }
            return entries.iter().try_for_each(|entry| self.share(entry, scratch, counters));
        }
        // An empty file takes no room.
        if !found.is_file() || found.len() == 0 {
            return Ok(());
        }
        let hash = ingest::hash_path(at, ContentMethod::Flat, Algorithm::Blake3)?;
        let executable = if found.mode() & 0o111 == 0 { "" } else { "-x" };
        let link = self.layout.links().join(format!("{}{executable}", hash.to_nix32()));
        loop {
            let Ok(shared) = fs::symlink_metadata(&link) else {
                match fs::hard_link(at, &link) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    // This file has as many names as it can: it stays as it is.
                    Err(error) if error.kind() == io::ErrorKind::TooManyLinks => return Ok(()),
                    result => return result.doing("link to", &link),
                }
            };
            if shared.ino() == found.ino() || shared.len() != found.len() {
                return Ok(());
            }
            if !counters.links.load(Ordering::Relaxed) {
                match share_blocks(&link, at, found.len()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error).doing("share blocks with", at),
                    Ok(Shared::Unsupported) => counters.links.store(true, Ordering::Relaxed),
                    Ok(Shared::Now) => {
                        counters.sharing_blocks.fetch_add(1, Ordering::Relaxed);
                        counters.bytes.fetch_add(found.blocks() * 512, Ordering::Relaxed);
                        return Ok(());
                    }
                    Ok(Shared::Before | Shared::Not) => return Ok(()),
                }
            }
            return match replace(&link, at, scratch) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::TooManyLinks => Ok(()),
                Err(error) => Err(error).doing("link in the place of", at),
                Ok(()) => {
                    if found.nlink() == 1 {
                        counters.files.fetch_add(1, Ordering::Relaxed);
                        counters.bytes.fetch_add(found.blocks() * 512, Ordering::Relaxed);
                    }
                    Ok(())
                }
            };
        }
    }
}

fn share_blocks(link: &Path, at: &Path, length: u64) -> io::Result<Shared> {
    extents::share(&File::open(link)?, &File::open(at)?, length)
}

/// Puts another name of `link` in the place of `at`, in one step, and gives the folder its metadata back.
fn replace(link: &Path, at: &Path, scratch: &Path) -> io::Result<()> {
    let _ = fs::remove_file(scratch);
    fs::hard_link(link, scratch)?;
    let parent = at.parent().unwrap_or(Path::new("/"));
    if is_store_folder(parent) {
        return fs::rename(scratch, at);
    }
    fs::set_permissions(parent, Permissions::from_mode(0o755))?;
    let renamed = fs::rename(scratch, at);
    seal(parent)?;
    renamed
}

/// The folder of all paths stays writable; those within paths are 0555.
fn is_store_folder(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|found| found.mode() & 0o200 != 0)
}
