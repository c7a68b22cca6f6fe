//! How inputs are treated: what the command line and the environment say.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeval_model::StorePath;

use crate::error::{InputError, Result};

/// Seconds for which what a server said is believed.
const TARBALL_TTL: u64 = 3600;

/// How inputs are treated.
#[derive(Clone)]
pub struct Settings {
    /// Experimental features that are on.
    pub features: Vec<String>,
    /// Seconds for which what a server said is believed.
    pub tarball_ttl: u64,
    /// What to show to which host (`github.com`) or part of it (`github.com/owner`).
    pub access_tokens: BTreeMap<String, String>,
    /// Where the registry of all is: an address, a path, or nothing.
    pub flake_registry: String,
    /// Registries of the user and of the machine.
    pub user_registry: Option<PathBuf>,
    /// See `user_registry`.
    pub system_registry: Option<PathBuf>,
    /// Whether names are looked up in registries at all.
    pub use_registries: bool,
    /// Whether a git work tree with changes may be used.
    pub allow_dirty: bool,
    /// Whether to say so.
    pub warn_dirty: bool,
    /// Whether lock files may hold inputs that are known by their hash only.
    pub allow_dirty_locks: bool,
    /// The first line of what a commit of a lock file says; empty for that of Nix.
    pub commit_summary: String,
    /// Whether a revision alone pins what a forge serves as an archive.
    pub trust_tarballs_from_git_forges: bool,
    /// What stands before the hosts of GitHub, GitLab and SourceHut instead of `https://`; only tests have another.
    pub forges: String,
    /// Where fetched repositories and answers are kept.
    pub cache: PathBuf,
    /// Prints a warning.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
    /// Hears of every source that was fetched: its store path, what people know it as (if not by that path), and the work
    /// tree that it is of.
    pub fetched: Arc<Fetched>,
}

/// See [`Settings::fetched`].
pub type Fetched = dyn Fn(&StorePath, Option<&str>, Option<&Path>) + Send + Sync;

impl Settings {
    /// What counts unless something else is said, with a folder for what is kept between runs.
    pub fn new(cache: PathBuf) -> Settings {
        Settings {
            features: Vec::new(),
            tarball_ttl: TARBALL_TTL,
            access_tokens: BTreeMap::new(),
            flake_registry: "https://channels.nixos.org/flake-registry.json".to_owned(),
            user_registry: None,
            system_registry: Some(PathBuf::from("/etc/nix/registry.json")),
            use_registries: true,
            allow_dirty: true,
            warn_dirty: true,
            allow_dirty_locks: false,
            commit_summary: String::new(),
            trust_tarballs_from_git_forges: true,
            forges: "https://".to_owned(),
            cache,
            warn: Arc::new(|message| eprintln!("warning: {message}")),
            fetched: Arc::new(|_, _, _| ()),
        }
    }

    /// Prints a warning.
    pub fn warn(&self, message: impl AsRef<str>) {
        (self.warn)(message.as_ref());
    }

    /// An error unless an experimental feature is on.
    pub fn require(&self, feature: &str) -> Result<()> {
        if self.features.iter().any(|enabled| enabled == feature) {
            return Ok(());
        }
        Err(InputError::new(format!(
            "experimental Nix feature '{feature}' is disabled; add '--extra-experimental-features {feature}' to enable it"
        )))
    }
}
