//! The folders that a build writes in, on disk: a build may need more room than memory has.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::sandbox::Identity;
use crate::store::{IoContext, Store, StoreError, TemporaryFolder, make_folder, remove_tree};

/// The folders of one build.
#[derive(Debug)]
pub struct Folders {
    whole: TemporaryFolder,
    /// Bytes of the largest of them when it was empty and new.
    fresh_size: u64,
}

/// Folders of builds that ended, to be used again. To make and remove them costs more than all else on the disk that a small
/// build needs.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Vec<Folders>>);

impl Shelf {
    /// More are not kept.
    const ROOM: usize = 16;

    /// Folders with nothing in them, owned by whom the build runs as.
    pub fn take(&self, store: &Store, identity: &Identity) -> Result<Folders, StoreError> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        found.map_or_else(|| Folders::make(store, identity), Ok)
    }

    /// Empties folders and keeps them, or removes them if they are not as they were.
    pub fn put_back(&self, folders: Folders) {
        if !folders.empty().unwrap_or(false) {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Shelf::ROOM {
            kept.push(folders);
        }
    }
}

impl Folders {
    fn make(store: &Store, identity: &Identity) -> Result<Folders, StoreError> {
        let mut folders = Folders { whole: store.temporary_folder()?, fresh_size: 0 };
        make_folder(&folders.mount_point()).doing("make the folder", &folders.mount_point())?;
        for (folder, mode) in folders.written() {
            fs::create_dir(&folder).doing("make the folder", &folder)?;
            set_mode(&folder, mode).doing("set the mode of", &folder)?;
            give(&folder, identity).doing("give away", &folder)?;
            let size = fs::symlink_metadata(&folder).doing("look at", &folder)?.size();
            folders.fresh_size = folders.fresh_size.max(size);
        }
        Ok(folders)
    }

    /// Removes all that is in them; whether they are then as they were when they were new. What a build leaves of a folder itself
    /// is its mode, which is set anew, and on some file systems its size.
    fn empty(&self) -> io::Result<bool> {
        remove_tree(&self.rewritten())?;
        let mut is_as_new = true;
        for (folder, mode) in self.written() {
            if !fs::symlink_metadata(&folder)?.is_dir() {
                return Ok(false);
            }
            set_mode(&folder, mode | 0o700)?;
            for entry in fs::read_dir(&folder)? {
                remove_tree(&entry?.path())?;
            }
            set_mode(&folder, mode)?;
            is_as_new &= fs::symlink_metadata(&folder)?.size() <= self.fresh_size;
        }
        Ok(is_as_new)
    }

    /// What a build may write in, and the mode of it.
    fn written(&self) -> [(PathBuf, u32); 3] {
        [(self.build(), 0o700), (self.tmp(), 0o1777), (self.outputs(), 0o1775)]
    }

    /// Holds all that the build writes.
    pub fn whole(&self) -> &Path {
        self.whole.path()
    }

    pub fn mount_point(&self) -> PathBuf {
        self.whole.path().join("root")
    }

    /// Seen as `/build`.
    pub fn build(&self) -> PathBuf {
        self.whole.path().join("build")
    }

    /// Seen as `/tmp`.
    pub fn tmp(&self) -> PathBuf {
        self.whole.path().join("tmp")
    }

    /// Seen as `/nix/store`.
    pub fn outputs(&self) -> PathBuf {
        self.whole.path().join("store")
    }

    /// For what is made of the outputs afterwards.
    pub fn rewritten(&self) -> PathBuf {
        self.whole.path().join("rewritten")
    }

    /// Puts files into the build folder.
    pub fn write(&self, files: &BTreeMap<String, Vec<u8>>, identity: &Identity) -> Result<(), StoreError> {
        for (name, content) in files {
            let path = self.build().join(name);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
            let mut file = file.doing("make", &path)?;
            file.write_all(content).doing("write", &path)?;
            give(&path, identity).doing("give away", &path)?;
        }
        Ok(())
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn give(path: &Path, identity: &Identity) -> io::Result<()> {
    match identity.outside {
        Some((user, group)) => chown(path, Some(user), Some(group)),
        None => Ok(()),
    }
}
