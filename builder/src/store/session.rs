//! Temporary folders that are reclaimed when their owner is gone, however it went.
//!
//! Each process that uses the store has one folder in the store's `tmp`, and beside it a lock file that it keeps locked.
//! The lock comes first and goes last: a folder whose lock is free, or missing, belongs to nobody.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::lock::FileLock;
use super::tree;

pub const LOCK_SUFFIX: &str = ".lock";

/// The folders of this process's sessions, for [`end_all`].
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes the folders of this process's sessions. For the end of a process: what an evaluation holds is never dropped.
pub fn end_all() {
    let open = std::mem::take(&mut *OPEN.lock().unwrap_or_else(PoisonError::into_inner));
    for folder in open {
        // What cannot be removed now is reclaimed by the next process.
        let _ = tree::remove(&folder);
        let _ = fs::remove_file(folder.with_added_extension(LOCK_SUFFIX.trim_start_matches('.')));
    }
}

/// This process's folder of temporary folders.
#[derive(Debug)]
pub struct Session {
    folder: PathBuf,
    next: AtomicU64,
    // Dropped after the folder has been removed.
    _lock: FileLock,
}

impl Session {
    /// Makes a folder in `temporary`, after removing those that belong to nobody.
    pub fn start(temporary: &Path) -> io::Result<Session> {
        reclaim(temporary)?;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{since_epoch:x}-{count}", std::process::id());
            let Some(lock) = FileLock::try_acquire(&temporary.join(format!("{name}{LOCK_SUFFIX}")))? else {
                continue;
            };
            let folder = temporary.join(name);
            tree::make_folder(&folder)?;
            OPEN.lock().unwrap_or_else(PoisonError::into_inner).push(folder.clone());
            return Ok(Session { folder, next: AtomicU64::new(0), _lock: lock });
        }
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A new path that nothing is at yet.
    pub fn fresh(&self) -> PathBuf {
        self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// A new empty folder, removed with everything in it when dropped.
    pub fn folder(&self) -> io::Result<TemporaryFolder> {
        let path = self.fresh();
        tree::make_folder(&path)?;
        Ok(TemporaryFolder { path })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed now is reclaimed by the next one.
        let _ = tree::remove(&self.folder);
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).retain(|folder| *folder != self.folder);
    }
}

/// Removed with everything in it when dropped.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed now is reclaimed with the session.
        let _ = tree::remove(&self.path);
    }
}

/// The names of the sessions that have a folder in `temporary`, alive or not.
pub fn names(temporary: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(temporary)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if !name.is_empty() && !name.ends_with(LOCK_SUFFIX) {
            names.push(name);
        }
    }
    Ok(names)
}

fn reclaim(temporary: &Path) -> io::Result<()> {
    for entry in fs::read_dir(temporary)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let folder = temporary.join(name.strip_suffix(LOCK_SUFFIX).unwrap_or(name));
        let lock = temporary.join(format!("{}{LOCK_SUFFIX}", name.strip_suffix(LOCK_SUFFIX).unwrap_or(name)));
        // Held by its owner, or by another one who is removing it.
        if let Some(_lock) = FileLock::try_acquire(&lock)? {
            // What cannot be removed keeps nobody from working.
            let _ = tree::remove(&folder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_reclaimed_and_those_of_the_living_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let living = Session::start(temporary.path()).unwrap();
        let kept = living.folder().unwrap();
        let dead = temporary.path().join("1-dead");
        fs::create_dir_all(dead.join("0")).unwrap();
        fs::write(temporary.path().join("2-dead.lock"), "").unwrap();
        fs::create_dir(temporary.path().join("2-dead")).unwrap();

        let other = Session::start(temporary.path()).unwrap();
        assert!(kept.path().exists());
        assert!(!dead.exists());
        assert!(!temporary.path().join("2-dead").exists());
        drop((kept, living, other));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}
