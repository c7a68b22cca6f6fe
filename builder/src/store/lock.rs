//! Locks between processes, one file each.
//!
//! The file is removed while still locked, so none are left behind by those that end well; one left by a killed process
//! is unlocked by the kernel and simply locked again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cancel::Cancellation;

/// A lock that is held until dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    // Held for its lock.
    _file: File,
}

impl FileLock {
    /// Takes the lock, or gives `None` if another one holds it.
    pub fn try_acquire(path: &Path) -> io::Result<Option<FileLock>> {
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
                // Its last holder may have removed the file after we opened it: then the name is free again.
                Ok(()) if file.metadata()?.nlink() == 0 => continue,
                Ok(()) => return Ok(Some(FileLock { path: path.to_owned(), _file: file })),
            }
        }
    }

    /// Takes the lock, waiting for it. `waiting` is called once if it has to; `None` if cancelled meanwhile.
    pub fn acquire(
        path: &Path,
        cancellation: &Cancellation,
        waiting: impl FnOnce(),
    ) -> io::Result<Option<FileLock>> {
        if let Some(lock) = FileLock::try_acquire(path)? {
            return Ok(Some(lock));
        }
        waiting();
        let mut pause = Duration::from_millis(2);
        while !cancellation.is_cancelled() {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
            if let Some(lock) = FileLock::try_acquire(path)? {
                return Ok(Some(lock));
            }
        }
        Ok(None)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A file that stays behind only takes room.
        let _ = std::fs::remove_file(&self.path);
    }
}
