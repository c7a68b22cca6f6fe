//! What is known of a valid store path.

use std::collections::BTreeSet;

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
}

/// A content-addressed output and the path it was built to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realisation {
    /// The derivation; one in which every input is a plain path stands for all that resolve to it.
    pub drv: StorePath,
    pub output: String,
    pub path: StorePath,
}

/// What a build took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    pub milliseconds: u64,
    /// Peak resident memory of its largest process.
    pub peak_kibibytes: u64,
}
