//! Binary caches, in Nix's formats: folders and HTTP servers that hold store paths for others.

mod destination;
mod download;
mod encoder;
mod folder;
pub mod listing;
mod location;
mod realisation;
pub mod serve;
mod substitute;
mod upload;

use thiserror::Error;
use zeval_model::StorePath;
use zeval_model::signature::{PublicKey, Signature, SignatureError, fingerprint};

use crate::store::{PathInfo, StoreError};

pub use download::{CopyOptions, copy_from, descriptions, repair_from};
pub use location::{Cache, Compression};
pub use realisation::CachedRealisation;
pub use substitute::{Offer, Substituter, Substitution, inputs};
pub use upload::{UploadOptions, Uploaded, copy_to, write_log};

/// What can go wrong with a cache.
#[derive(Debug, Error)]
pub enum CacheError {
    #[error("'{url}' is no binary cache that can be used: {reason}")]
    Unusable { url: String, reason: String },
    #[error("the cache {url} does not answer: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("the cache {url} does not have '{path}'")]
    Absent { url: String, path: StorePath },
    #[error("what the cache {url} says of '{path}' cannot be used: {reason}")]
    Lies { url: String, path: StorePath, reason: String },
    #[error(
        "'{path}' from {url} is signed by no key that is trusted ({}); add one with --trusted-public-key, or copy with \
         --no-check-sigs",
        keys(signed_by)
    )]
    Untrusted { url: String, path: StorePath, signed_by: Vec<String> },
    #[error("cannot write to the cache {url}: {reason}")]
    Write { url: String, reason: String },
    #[error("'{0}' is no key: {1}")]
    Key(String, SignatureError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cancelled")]
    Cancelled,
}

fn keys(names: &[String]) -> String {
    match names {
        [] => "it has no signature".to_owned(),
        names => format!("it is signed by {}", names.join(", ")),
    }
}

/// Whom to believe.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Paths that are not made from their contents need a signature by one of these.
    pub keys: Vec<PublicKey>,
    /// Else no signature is asked for.
    pub require_signatures: bool,
}

impl Default for Trust {
    fn default() -> Trust {
        Trust { keys: Vec::new(), require_signatures: true }
    }
}

impl Trust {
    /// One that believes in the keys written in `words`.
    pub fn in_keys<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Trust, CacheError> {
        let key = |word: &'a str| word.parse().map_err(|error| CacheError::Key(word.to_owned(), error));
        Ok(Trust { keys: words.into_iter().map(key).collect::<Result<_, _>>()?, require_signatures: true })
    }

    /// Whether a path may come from elsewhere. One that is made from its contents is checked when it has come.
    pub fn accepts(&self, info: &PathInfo) -> bool {
        if !self.require_signatures || info.is_content_addressed() {
            return true;
        }
        let text = fingerprint(&info.path, &info.nar_hash, info.nar_size, &info.references);
        let is_trusted =
            |signature: &Signature| self.keys.iter().any(|key| key.verify(text.as_bytes(), signature));
        info.signatures.iter().any(is_trusted)
    }
}
