//! What the evaluator asks about sources that come from elsewhere, through one trait that it owns.

use zeval_model::{StorePath, input::Attrs};

use crate::{
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Failure, Result},
    },
    position::PosId,
};

/// Why an input could not be had, in Nix's words.
#[derive(Clone, Debug, Default)]
pub struct InputFailure {
    /// What is wrong.
    pub message: String,
    /// What was being done, innermost first.
    pub traces: Vec<String>,
    /// What the user can do.
    pub advice: Vec<String>,
    /// The exit status that it asks for.
    pub status: i32,
}

impl InputFailure {
    /// The failure of an evaluation.
    pub fn at(self, pos: PosId) -> Failure {
        let mut error = EvalError::new(ErrorKind::World, pos, self.message);
        error.status = self.status;
        error.advice = self.advice;
        self.traces.into_iter().fold(error, |error, text| error.trace(PosId::NONE, text))
    }
}

/// What is to be fetched.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// What attributes describe.
    Attrs(Attrs),
    /// What an address stands for.
    Address(String),
}

/// What is known of a source that was fetched.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Where it is.
    pub store_path: StorePath,
    /// `sha256-...`
    pub nar_hash: Option<String>,
    /// Whether it has its submodules, if it is of a kind that can have some.
    pub submodules: Option<bool>,
    /// The revision.
    pub revision: Option<String>,
    /// The number of commits that lead up to it.
    pub revision_count: Option<u64>,
    /// The revision that is checked out where there are further changes, and its short form.
    pub dirty_revision: Option<(String, String)>,
    /// Seconds since 1970.
    pub last_modified: Option<u64>,
    /// The branch, for repositories that have named ones.
    pub branch: Option<String>,
}

impl Tree {
    /// What is told of the state that a source is in, by attribute; it changes with each commit.
    pub fn state(&self) -> Vec<(&'static str, Told)> {
        let mut state = Vec::new();
        if let Some(revision) = &self.revision {
            state.push(("rev", Told::Text(revision.clone())));
            state.push(("shortRev", Told::Text(revision.chars().take(7).collect())));
        }
        if let Some(count) = self.revision_count {
            state.push(("revCount", Told::Number(count)));
        }
        if let Some((revision, short)) = &self.dirty_revision {
            state.push(("dirtyRev", Told::Text(revision.clone())));
            state.push(("dirtyShortRev", Told::Text(short.clone())));
        }
        if let Some(time) = self.last_modified {
            state.push(("lastModified", Told::Number(time)));
            state.push(("lastModifiedDate", Told::Text(zeval_model::time::compact(time))));
        }
        state
    }
}

/// A text or a number that an evaluation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Told::Text(text) => f.write_str(text),
            Told::Number(number) => number.fmt(f),
        }
    }
}

/// A flake whose inputs are all known.
#[derive(Clone, Debug)]
pub struct LockedFlake {
    /// Its lock file.
    pub lock_file: String,
    /// The nodes of the lock file whose sources are there already.
    pub sources: Vec<LockedSource>,
}

/// The source of a node of a lock file.
#[derive(Clone, Debug)]
pub struct LockedSource {
    /// The name of the node.
    pub node: String,
    /// The flake's folder in the source.
    pub folder: String,
    /// The source.
    pub tree: Tree,
    /// Whether the revision is not to be told, since the lock file is not what the revision has.
    pub is_changed: bool,
}

/// Sources that come from elsewhere.
pub trait Inputs: Send + Sync {
    /// The attributes of a flake reference.
    fn parse_reference(&self, text: &str) -> Result<Attrs, InputFailure>;

    /// The flake reference that attributes stand for.
    fn reference_text(&self, attrs: &Attrs) -> Result<String, InputFailure>;

    /// The address of a git repository in canonical form.
    fn git_address(&self, text: &str) -> Result<String, InputFailure>;

    /// The address that stands for a source.
    fn address(&self, wanted: &Wanted) -> Result<String, InputFailure>;

    /// Fetches a source. In pure evaluation only one that always has the same content; `caller` is named in errors.
    fn fetch_tree(
        &self,
        wanted: Wanted,
        caller: &str,
        pure: bool,
        is_final: bool,
    ) -> Result<Tree, InputFailure>;

    /// Fetches a file, or an archive whose contents are wanted; gives the store path.
    fn fetch_file(&self, address: &str, name: &str, unpack: bool) -> Result<Fetched, InputFailure>;

    /// Copies a store path and all that it refers to from a binary cache.
    fn copy_closure(&self, cache: &str, path: &StorePath) -> Result<(), InputFailure>;

    /// Makes of a store path in a binary cache, and of what it refers to, paths that are made from their contents; gives the
    /// one in its place.
    fn readdress_closure(&self, cache: &str, path: &StorePath) -> Result<StorePath, InputFailure>;

    /// Finds the inputs of a flake; what their `flake.nix` says, the evaluator tells.
    fn lock_flake(&self, evaluator: &mut Evaluator, reference: &str, pos: PosId) -> Result<LockedFlake>;
}

/// A file or an unpacked archive.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it is.
    pub store_path: StorePath,
    /// The hash that a caller may have said: of the file, or of the archive's tree.
    pub hash: zeval_model::Hash,
}

/// Where nothing can be fetched.
pub struct NoInputs;

fn nothing<T>() -> Result<T, InputFailure> {
    let message = "this evaluation cannot fetch anything".to_owned();
    Err(InputFailure { message, status: 1, ..InputFailure::default() })
}

impl Inputs for NoInputs {
    fn parse_reference(&self, _: &str) -> Result<Attrs, InputFailure> {
        nothing()
    }

    fn reference_text(&self, _: &Attrs) -> Result<String, InputFailure> {
        nothing()
    }

    fn git_address(&self, _: &str) -> Result<String, InputFailure> {
        nothing()
    }

    fn address(&self, _: &Wanted) -> Result<String, InputFailure> {
        nothing()
    }

    fn fetch_tree(&self, _: Wanted, _: &str, _: bool, _: bool) -> Result<Tree, InputFailure> {
        nothing()
    }

    fn fetch_file(&self, _: &str, _: &str, _: bool) -> Result<Fetched, InputFailure> {
        nothing()
    }

    fn copy_closure(&self, _: &str, _: &StorePath) -> Result<(), InputFailure> {
        nothing()
    }

    fn readdress_closure(&self, _: &str, _: &StorePath) -> Result<StorePath, InputFailure> {
        nothing()
    }

    fn lock_flake(&self, _: &mut Evaluator, _: &str, pos: PosId) -> Result<LockedFlake> {
        nothing().map_err(|failure| failure.at(pos))
    }
}
