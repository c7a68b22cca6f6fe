//! What is known of a valid store path.

use std::collections::BTreeSet;

use zeval_model::signature::{Signature, fingerprint};
use zeval_model::store_path::References;
use zeval_model::{ContentAddress, Hash, StorePath};

/// A valid store path's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    pub path: StorePath,
    /// SHA-256 of the NAR.
    pub nar_hash: Hash,
    /// Bytes of the NAR.
    pub nar_size: u64,
    /// Includes the path itself if it refers to itself.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Seconds since 1970 when it became valid here.
    pub registered: i64,
    pub content_address: Option<ContentAddress>,
    pub signatures: BTreeSet<Signature>,
    /// Made here: trusted without a signature.
    pub ultimate: bool,
}

impl PathInfo {
    /// The record of a path that became valid just now and is named by its contents; its NAR has that hash and size.
    pub fn of_contents(
        path: &StorePath,
        references: BTreeSet<StorePath>,
        address: ContentAddress,
        (nar_hash, nar_size): (Hash, u64),
    ) -> PathInfo {
        PathInfo {
            path: path.clone(),
            nar_hash,
            nar_size,
            references,
            deriver: None,
            registered: super::now(),
            content_address: Some(address),
            signatures: BTreeSet::new(),
            ultimate: false,
        }
    }

    /// What is signed of the path.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.path, &self.nar_hash, self.nar_size, &self.references)
    }

    /// Whether the path is made from its content address: then it needs no signature.
    pub fn is_content_addressed(&self) -> bool {
        let mut references = References { others: self.references.clone(), self_reference: false };
        references.self_reference = references.others.remove(&self.path);
        self.content_address.is_some_and(|address| {
            address.store_path(self.path.name(), &references).is_ok_and(|path| path == self.path)
        })
    }
}

/// A content-addressed output and the path it was built to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realisation {
    /// The derivation; one in which every input is a plain path stands for all that resolve to it.
    pub drv: StorePath,
    pub output: String,
    pub path: StorePath,
}

/// A path that was built here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltPath {
    pub path: StorePath,
    pub deriver: StorePath,
    /// Seconds since 1970.
    pub registered: i64,
    /// Bytes of the NAR.
    pub nar_size: u64,
}

/// What a build took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    pub milliseconds: u64,
    /// Peak resident memory of its largest process.
    pub peak_kibibytes: u64,
}
