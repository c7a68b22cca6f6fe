//! Sources that are read where they are: put into the store only when somebody looks at their store path.
//!
//! Until then paths in such a source begin with a store path that nobody else has. Whatever makes a text of a path asks
//! [`Session::observed`] for the real one first, so that none of them gets into a value.

use std::{
    borrow::Cow,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use zeval_model::store_path::StorePath;

use crate::{
    eval::error::Result,
    inputs::InputFailure,
    position::PosId,
    session::Session,
    store::{Filter, Source, StoreError},
};

/// A source, read where it is.
pub trait InPlace: Send + Sync {
    /// Where a file of it is, given its path below the root; `None` if the source does not have it.
    fn file(&self, below: &Path) -> Option<PathBuf>;

    /// Whether the source has a file or folder.
    fn has(&self, below: &Path) -> bool;

    /// The source in the store.
    fn stored(&self) -> Result<Stored, InputFailure>;
}

/// What is known of a source once it is in the store.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where.
    pub store_path: StorePath,
    /// `sha256-...`
    pub nar_hash: String,
    /// Seconds since 1970.
    pub last_modified: u64,
}

/// The sources of an evaluation that are read where they are, by what paths in them begin with.
#[derive(Default)]
pub(crate) struct Sources {
    any: AtomicBool,
    known: RwLock<Vec<Known>>,
}

struct Known {
    prefix: Vec<u8>,
    source: Arc<dyn InPlace>,
}

impl Session {
    /// Lets paths below a store path that nobody has mean a source that is read where it is.
    pub fn use_in_place(&self, store_path: &StorePath, source: Arc<dyn InPlace>) {
        let prefix = store_path.to_string().into_bytes();
        let mut known = self.in_place.known.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if known.iter().all(|other| other.prefix != prefix) {
            known.push(Known { prefix, source });
            self.in_place.any.store(true, Ordering::Release);
        }
    }

    /// The source that a path is in, if that is read where it is, and the path below its root.
    pub(crate) fn in_place<'p>(&self, path: &'p [u8]) -> Option<(Arc<dyn InPlace>, &'p Path)> {
        if !self.in_place.any.load(Ordering::Acquire) {
            return None;
        }
        let known = self.in_place.known.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.iter().find_map(|known| {
            let below = match path.strip_prefix(known.prefix.as_slice())? {
                [] => b"".as_slice(),
                [b'/', below @ ..] => below,
                _ => return None,
            };
            Some((known.source.clone(), Path::new(std::ffi::OsStr::from_bytes(below))))
        })
    }

    /// A path as texts have it.
    pub fn observed<'p>(&self, path: &'p [u8], pos: PosId) -> Result<Cow<'p, [u8]>> {
        let Some((source, below)) = self.in_place(path) else { return Ok(Cow::Borrowed(path)) };
        let stored = source.stored().map_err(|failure| failure.at(pos))?;
        let mut text = stored.store_path.to_string().into_bytes();
        if !below.as_os_str().is_empty() {
            text.push(b'/');
            text.extend_from_slice(below.as_os_str().as_bytes());
        }
        Ok(Cow::Owned(text))
    }

    /// The last component of a path.
    pub(crate) fn file_name(&self, path: &[u8], pos: PosId) -> Result<Vec<u8>> {
        let is_root = self.in_place(path).is_some_and(|(_, below)| below.as_os_str().is_empty());
        let path = if is_root { self.observed(path, pos)? } else { Cow::Borrowed(path) };
        Ok(path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec())
    }

    /// Adds a file or folder to the store, less what its source does not have. `path` is what `source.path` is to the
    /// evaluation.
    pub(crate) fn add_path<'f>(
        &self,
        path: &[u8],
        source: &Source<'_>,
        filter: &'f mut Filter<'f>,
    ) -> std::result::Result<StorePath, StoreError> {
        let Some((tree, below)) = self.in_place(path) else { return self.add_source(source, filter) };
        self.add_source(source, &mut |file, kind| {
            let rest = file.strip_prefix(source.path).unwrap_or(file);
            Ok(tree.has(&below.join(rest)) && filter(file, kind)?)
        })
    }
}
