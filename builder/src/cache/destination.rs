//! Where a cache is written to: a folder, or a server that takes files by `PUT`.

use std::io;
use std::path::{Path, PathBuf};

use zeval_model::{Hash, StorePath, store_dir};

use super::folder::Folder;
use super::location::DESCRIPTION;
use super::{Cache, CacheError};
use crate::cancel::Cancellation;
use crate::fetch::{self, Upload};
use crate::store::{Store, TemporaryFolder};

/// A cache that is written to.
pub(super) struct Destination<'a> {
    cache: &'a Cache,
    cancellation: &'a Cancellation,
    /// None for a server.
    folder: Option<Folder>,
}

/// A place for an archive while it is written.
pub(super) struct Draft {
    pub file: PathBuf,
    // Removed when dropped.
    _scratch: Option<TemporaryFolder>,
}

impl<'a> Destination<'a> {
    /// Gets a cache ready to be written to, making it if there is none.
    pub fn open(
        cache: &'a Cache,
        store: &Store,
        cancellation: &'a Cancellation,
    ) -> Result<Destination<'a>, CacheError> {
        let mut destination = Destination { cache, cancellation, folder: None };
        if let Some(folder) = cache.folder() {
            destination.folder =
                Some(Folder::open(folder, store.boot()).map_err(destination.failed(DESCRIPTION))?);
        }
        match cache.read(DESCRIPTION, cancellation)? {
            Some(_) => drop(cache.clone().open(cancellation)?),
            None => destination.write(DESCRIPTION, format!("StoreDir: {}\n", store_dir()).as_bytes())?,
        }
        Ok(destination)
    }

    fn failed(&self, name: &str) -> impl FnOnce(io::Error) -> CacheError + use<> {
        let (url, name) = (self.cache.url.clone(), name.to_owned());
        move |error| CacheError::Write { url, reason: format!("{name}: {error}") }
    }

    /// Whether the cache has `path`.
    pub fn has(&self, path: &StorePath) -> Result<bool, CacheError> {
        match &self.folder {
            Some(folder) => Ok(folder.has(path)),
            None => Ok(self.cache.info(path, self.cancellation)?.is_some()),
        }
    }

    /// Writes a small file, all or nothing.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), CacheError> {
        match &self.folder {
            Some(folder) => folder.write(name, contents).map_err(self.failed(name)),
            None => self.put(name, &Upload::Bytes(contents)),
        }
    }

    /// A place for the archive of `path`.
    pub fn draft(&self, store: &Store, path: &StorePath) -> Result<Draft, CacheError> {
        match &self.folder {
            Some(folder) => {
                let file = folder.temporary(&format!("nar/{}", path.hash_part()));
                Ok(Draft { file, _scratch: None })
            }
            // What it is called at the server is known when it is whole.
            None => {
                let scratch = store.temporary_folder()?;
                Ok(Draft { file: scratch.path().join("nar"), _scratch: Some(scratch) })
            }
        }
    }

    /// Gives an archive the name that it is found by.
    pub fn publish(&self, draft: &Draft, name: &str, hash: &Hash) -> Result<(), CacheError> {
        match &self.folder {
            Some(folder) => folder.publish(&draft.file, name, hash).map_err(self.failed(name)),
            None => self.put(name, &Upload::File(&draft.file)),
        }
    }

    /// Brings all to disk, if it is to this machine's.
    pub fn sync(&self) -> Result<(), CacheError> {
        match &self.folder {
            Some(folder) => folder.sync().map_err(self.failed("nar")),
            None => Ok(()),
        }
    }

    fn put(&self, name: &str, upload: &Upload<'_>) -> Result<(), CacheError> {
        let put = fetch::put(&self.cache.address(name), upload, kind(name), self.cancellation);
        put.map_err(|reason| match self.cancellation.is_cancelled() {
            true => CacheError::Cancelled,
            false => CacheError::Write { url: self.cache.url.clone(), reason: format!("{name}: {reason}") },
        })
    }
}

/// What a server is told of a file, as Nix tells it.
fn kind(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|ending| ending.to_str()) {
        Some("narinfo") => "text/x-nix-narinfo",
        Some("ls" | "doi") => "application/json",
        _ if name.starts_with("log/") => "text/plain; charset=utf-8",
        _ if name.starts_with("nar/") => "application/x-nix-nar",
        _ => "text/x-nix-cache-info",
    }
}
