//! What a builder that runs inside this process (`builtin:fetchurl`, `builtin:unpack`) is given.

use std::collections::BTreeMap;
use std::path::Path;

use bstr::{BStr, BString};

use crate::cancel::Cancellation;
use crate::events::{ActivityId, Observer};

/// One derivation with a builtin builder.
///
/// The builder writes `output`, which does not exist yet and whose parent does. Permissions, times, the check of a
/// fixed output's hash and registration are the caller's; on an error the caller removes what was written.
/// The agreed entry points are `fetch::run(&Request) -> Result<(), fetch::Error>` and
/// `unpack::run(&Request) -> Result<(), unpack::Error>`.
pub struct Request<'a> {
    /// For events.
    pub id: ActivityId,
    /// The derivation's name, without `.drv`.
    pub name: &'a str,
    /// The derivation's environment; store paths in it are logical (`/nix/store/...`).
    pub env: &'a BTreeMap<BString, BString>,
    /// Where to write `out`.
    pub output: &'a Path,
    /// The folder that holds the store paths physically: `/nix/store/HASH-NAME` is `store_dir.join("HASH-NAME")`.
    pub store_dir: &'a Path,
    /// A folder on the same file system as `output` for what is only needed meanwhile; the caller removes it.
    pub scratch: &'a Path,
    pub observer: &'a dyn Observer,
    pub cancellation: &'a Cancellation,
}

impl<'a> Request<'a> {
    /// The variable `name` of the derivation.
    pub fn variable(&self, name: &str) -> Option<&'a BStr> {
        self.env.get(BStr::new(name)).map(|value| value.as_ref())
    }
}
