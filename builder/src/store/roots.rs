//! Links that keep what they name: the results of builds.
//!
//! A result link lies where the user wants it; the store's `roots` folder holds a link to that link, so that it counts as
//! long as it exists and stops counting when the user deletes it. Lock files are kept in the same way (`locks.rs`).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use zeval_model::{Algorithm, Hash, StorePath};

use super::locks::locked_roots;
use super::{IoContext, Store, StoreError};

impl Store {
    /// Makes `link` point to the files of `path`, replacing a link that is there, and registers it as a root.
    pub fn add_root(&self, link: &Path, path: &StorePath) -> Result<(), StoreError> {
        let link = std::path::absolute(link).doing("find", link)?;
        self.pin([path])?;
        // The root is there before the link, so that no moment is without it.
        replace_link(&link, &self.root_of_link(&link))?;
        replace_link(&self.physical(path), &link)
    }

    /// The link in the store's folder that leads to a link of the user's, or to another file that keeps something.
    pub(super) fn root_of_link(&self, link: &Path) -> PathBuf {
        let hash = Hash::of(Algorithm::Sha256, link.as_os_str().as_bytes()).to_nix32();
        self.layout.roots().join(&hash[..32])
    }

    /// Registers `path` itself as a root, under a name of its own, until [`Store::remove_root`].
    pub fn register_root(&self, path: &StorePath) -> Result<PathBuf, StoreError> {
        self.pin([path])?;
        self.require(path)?;
        let link = self.layout.roots().join(format!("registered-{}", path.base_name()));
        replace_link(&self.physical(path), &link)?;
        Ok(link)
    }

    /// Takes back [`Store::register_root`]; whether there was such a root.
    pub fn remove_root(&self, path: &StorePath) -> Result<bool, StoreError> {
        let link = self.layout.roots().join(format!("registered-{}", path.base_name()));
        match fs::remove_file(&link) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            result => result.doing("remove", &link).map(|()| true),
        }
    }

    /// Every root that still exists.
    pub fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let mut roots = Vec::new();
        for folder in self.layout.root_folders() {
            self.roots_in(&folder, &mut roots)?;
        }
        roots.sort();
        Ok(roots)
    }

    fn roots_in(&self, folder: &Path, roots: &mut Vec<Root>) -> Result<(), StoreError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            result => result.doing("read", folder)?,
        };
        for entry in entries {
            let entry = entry.doing("read", folder)?;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.roots_in(&entry.path(), roots)?,
                Ok(kind) if kind.is_symlink() => roots.extend(self.roots_at(&entry.path())),
                // Nothing else is a root.
                _ => (),
            }
        }
        Ok(())
    }

    /// What the link `at` keeps: the store path it names, or that another link names that it leads to; or what the lock
    /// file pins that it leads to.
    fn roots_at(&self, at: &Path) -> Vec<Root> {
        let mut link = at.to_owned();
        for _ in 0..MAX_LINKS {
            let Ok(target) = fs::read_link(&link) else { return locked_roots(&link) };
            let target = link.parent().unwrap_or(Path::new("/")).join(target);
            let below = [self.layout.store(), Path::new(zeval_model::store_dir())]
                .into_iter()
                .find_map(|store| target.strip_prefix(store).ok());
            if let Some(below) = below {
                let name = below.components().next().and_then(|name| name.as_os_str().to_str());
                let path = name.and_then(|name| StorePath::from_base_name(name).ok());
                return path.map(|path| Root { link, path }).into_iter().collect();
            }
            link = target;
        }
        Vec::new()
    }
}

/// How many links lead to each other at most: a root's, and those of a profile and its generation.
const MAX_LINKS: usize = 8;

/// A link, and the store path that it keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Root {
    pub link: PathBuf,
    pub path: StorePath,
}

/// Makes the link `at`, in one step even if one is there. Anything else that is there is left alone, and an error.
pub(super) fn replace_link(target: &Path, at: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(at) {
        Ok(metadata) if !metadata.is_symlink() => {
            let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(StoreError::Io {
                action: "put a link in place of the file or folder",
                path: at.to_owned(),
                source,
            });
        }
        _ => (),
    }
    let mut name = at.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = at.with_file_name(name);
    let _ = fs::remove_file(&temporary);
    symlink(target, &temporary).doing("make the link", &temporary)?;
    fs::rename(&temporary, at).doing("make the link", at)
}
