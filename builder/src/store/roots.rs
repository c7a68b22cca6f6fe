//! Links that keep what they name: the results of builds.
//!
//! A result link lies where the user wants it; the store's `roots` folder holds a link to that link, so that it counts as
//! long as it exists and stops counting when the user deletes it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use zeval_model::{Algorithm, Hash, StorePath};

use super::{IoContext, Store, StoreError};

impl Store {
    /// Makes `link` point to the files of `path`, replacing a link that is there, and registers it as a root.
    pub fn add_root(&self, link: &Path, path: &StorePath) -> Result<(), StoreError> {
        let link = std::path::absolute(link).doing("find", link)?;
        // The root is there before the link, so that no moment is without it.
        let hash = Hash::of(Algorithm::Sha256, link.as_os_str().as_bytes()).to_nix32();
        let root = self.layout.roots().join(&hash[..32]);
        replace_link(&link, &root)?;
        replace_link(&self.physical(path), &link)
    }

    /// Every root that still exists: the link and the path that it keeps.
    pub fn roots(&self) -> Result<BTreeMap<PathBuf, StorePath>, StoreError> {
        let folder = self.layout.roots();
        let mut roots = BTreeMap::new();
        for entry in fs::read_dir(&folder).doing("read", &folder)? {
            let entry = entry.doing("read", &folder)?.path();
            let Ok(link) = fs::read_link(&entry) else { continue };
            let Ok(target) = fs::read_link(&link) else { continue };
            let name = target.strip_prefix(self.layout.store()).ok().and_then(Path::to_str);
            if let Some(Ok(path)) = name.map(StorePath::from_base_name) {
                roots.insert(link, path);
            }
        }
        Ok(roots)
    }
}

/// Makes the link `at`, in one step even if one is there. Anything else that is there is left alone, and an error.
fn replace_link(target: &Path, at: &Path) -> Result<(), StoreError> {
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
