//! Lock files that keep what they pin: the sources of projects that are worked on.
//!
//! A project is registered by a link in the store's `roots` folder to its `flake.lock`. As long as that file is there, the
//! sources that it names are roots, those that were fetched after the registration too.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeval_model::store_path::{References, content_path};
use zeval_model::{Algorithm, ContentMethod, Hash, StorePath};

use super::roots::{Root, replace_link};
use super::{IoContext, Store, StoreError};

/// What the file is called that pins a flake's inputs.
const LOCK_FILE: &str = "flake.lock";

/// The name of a source in the store where a lock file gives none.
const SOURCE: &str = "source";

impl Store {
    /// Lets the sources that a lock file pins be kept, for as long as the file is there.
    pub fn register_lock(&self, file: &Path) -> Result<(), StoreError> {
        let file = std::path::absolute(file).doing("find", file)?;
        let root = self.root_of_link(&file);
        if fs::read_link(&root).is_ok_and(|target| target == file) {
            return Ok(());
        }
        replace_link(&file, &root)
    }
}

/// The roots that the file at `link` stands for, if it is a lock file. One that cannot be read keeps nothing.
pub(super) fn locked_roots(link: &Path) -> Vec<Root> {
    if !is_lock_file(link) {
        return Vec::new();
    }
    let Ok(text) = fs::read(link) else { return Vec::new() };
    let Ok(lock) = serde_json::from_slice::<Value>(&text) else { return Vec::new() };
    let root = |path| Root { link: PathBuf::from(link), path };
    sources(&lock).into_iter().map(root).collect()
}

/// Whether a root is a lock file, not a link to a store path.
pub(super) fn is_lock_file(root: &Path) -> bool {
    root.file_name() == Some(OsStr::new(LOCK_FILE))
}

/// The store paths of the sources that a lock file pins by their hash.
fn sources(lock: &Value) -> BTreeSet<StorePath> {
    let nodes = lock["nodes"].as_object().into_iter().flat_map(|nodes| nodes.values());
    nodes.filter_map(|node| source(&node["locked"])).collect()
}

fn source(locked: &Value) -> Option<StorePath> {
    let hash = Hash::parse_sri(locked["narHash"].as_str()?).ok()?;
    if hash.algorithm() != Algorithm::Sha256 {
        return None;
    }
    let name = locked["name"].as_str().unwrap_or(SOURCE);
    content_path(ContentMethod::Nar, &hash, name, &References::none()).ok()
}
