//! How flakes are locked: what the command line says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::InputPath;
use crate::FlakeRef;

/// How to lock.
#[derive(Clone, Debug)]
pub struct LockOptions {
    /// Whether nothing of the old lock file counts.
    pub recreate: bool,
    /// Whether the lock file may change.
    pub update: bool,
    /// Whether the lock file is written.
    pub write: bool,
    /// Whether it is committed, too.
    pub commit: bool,
    /// Whether an input that is not pinned is an error when the lock file is written.
    pub fail_on_unlocked: bool,
    /// Whether inputs may be fetched that are not pinned.
    pub allow_unlocked: bool,
    /// Whether names are looked up in registries.
    pub use_registries: bool,
    /// A lock file to begin with instead of the flake's.
    pub reference_lock_file: Option<PathBuf>,
    /// Whether a flake of this machine is read where it is: its store path is a stand-in then, and its hash is not known
    /// ([`Fetcher::fetch_in_place`]).
    pub in_place: bool,
    /// Where the lock file goes instead.
    pub output_lock_file: Option<PathBuf>,
    /// Inputs that are something else.
    pub overrides: BTreeMap<InputPath, FlakeRef>,
    /// Inputs that are to be looked up anew.
    pub updates: BTreeSet<InputPath>,
}

impl Default for LockOptions {
    fn default() -> LockOptions {
        LockOptions {
            recreate: false,
            update: true,
            write: true,
            commit: false,
            fail_on_unlocked: false,
            allow_unlocked: true,
            use_registries: true,
            reference_lock_file: None,
            in_place: false,
            output_lock_file: None,
            overrides: BTreeMap::new(),
            updates: BTreeSet::new(),
        }
    }
}
