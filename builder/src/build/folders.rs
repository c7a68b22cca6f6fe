//! The folders that a build writes in, on disk: a build may need more room than memory has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeval_model::StorePath;

use crate::sandbox::Identity;
use crate::store::{IoContext, Store, StoreError, TemporaryFolder, make_folder, remove_tree};

/// The folders of one build.
#[derive(Debug)]
pub struct Folders {
    whole: TemporaryFolder,
    /// Bytes of the largest of them when it was empty and new.
    fresh_size: u64,
    /// Names in the folder for outputs on which inputs are mounted, and whether each is a folder. Nobody can change what is
    /// covered by a mount, and the next build mostly has the same inputs.
    mount_points: Mutex<BTreeMap<String, bool>>,
}

/// Folders of builds that ended, to be used again. To make and remove them costs more than all else on the disk that a small
/// build needs.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Vec<Folders>>);

impl Shelf {
    /// More are not kept.
    const ROOM: usize = 16;

    /// Folders with nothing in them but places to mount some of `inputs` on, owned by whom the build runs as.
    pub fn take(
        &self,
        store: &Store,
        identity: &Identity,
        inputs: &BTreeSet<StorePath>,
    ) -> Result<Folders, StoreError> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let folders = found.map_or_else(|| Folders::make(store, identity), Ok)?;
        folders.expect(store, inputs)?;
        Ok(folders)
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
        let whole = store.temporary_folder()?;
        let mut folders = Folders { whole, fresh_size: 0, mount_points: Mutex::default() };
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

    /// Removes places to mount what is no input, and remembers which ones there will be.
    fn expect(&self, store: &Store, inputs: &BTreeSet<StorePath>) -> Result<(), StoreError> {
        let mut expected = BTreeMap::new();
        for path in inputs {
            // What is not there is told by the sandbox. A link is no mount, but made anew.
            if let Ok(found) = fs::symlink_metadata(store.physical(path))
                && !found.is_symlink()
            {
                expected.insert(path.base_name().to_owned(), found.is_dir());
            }
        }
        let mut present = self.mount_points.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, is_folder) in present.iter() {
            if expected.get(name) != Some(is_folder) {
                let path = self.outputs().join(name);
                remove_tree(&path).doing("remove", &path)?;
            }
        }
        *present = expected;
        Ok(())
    }

    /// Removes all that is in them but places to mount on; whether they are then as they were when they were new. What a build leaves of a folder itself
    /// is its mode, which is set anew, and on some file systems its size.
    fn empty(&self) -> io::Result<bool> {
        remove_tree(&self.rewritten())?;
        let mount_points = self.mount_points.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = self.outputs();
        let is_kept = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            path.parent() == Some(&outputs) && name.is_some_and(|name| mount_points.contains_key(name))
        };
        let mut is_as_new = true;
        for (folder, mode) in self.written() {
            if !fs::symlink_metadata(&folder)?.is_dir() {
                return Ok(false);
            }
            set_mode(&folder, mode | 0o700)?;
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if !is_kept(&path) {
                    remove_tree(&path)?;
                }
            }
            set_mode(&folder, mode)?;
            let may_be_larger = folder == outputs && !mount_points.is_empty();
            is_as_new &= may_be_larger || fs::symlink_metadata(&folder)?.size() <= self.fresh_size;
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
