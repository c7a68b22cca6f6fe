//! Who wants an input, for errors that say which one could not be had, where that is written, and what can be done.

use std::{
    path::{Path, PathBuf},
    sync::PoisonError,
};

use zeval_model::store_dir;

use super::Fetcher;
use crate::{Input, InputError, error::Cause};

/// Where it is written that an input is needed.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The input, as a path like `a/b`.
    pub input: String,
    /// The `flake.nix`, or the lock file.
    pub file: PathBuf,
    /// Whether the file pins it.
    pub is_locked: bool,
}

/// What stands for an input, however it is asked for: the hash of what it holds, or all that is said.
fn key(input: &Input) -> String {
    match input.text("narHash") {
        Ok(Some(hash)) => hash.to_owned(),
        _ => input.shown(),
    }
}

impl Fetcher {
    /// Notes who wants an input.
    pub fn note_wish(&self, input: &Input, wish: Wish) {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).insert(key(input), wish);
    }

    /// An error with what is known of who wanted the input.
    pub(super) fn advised(&self, input: &Input, mut error: InputError) -> InputError {
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wish) = wishes.get(&key(input))
            && error.advice.is_empty()
        {
            error.advice.push(wish.advice(error.cause));
        }
        error
    }
}

impl Wish {
    fn advice(&self, cause: Cause) -> String {
        let Wish { input, file, is_locked } = self;
        let file = file.display();
        match (cause, is_locked) {
            (Cause::WrongHash, true) => format!(
                "input '{input}' is not what {file} says it was. If you trust what it is now, {}",
                self.renewed()
            ),
            (Cause::MissingRevision, true) => format!(
                "input '{input}' is pinned in {file} to a revision that its repository does not have (any more): its \
                 branch may have been overwritten. To take what is there now, {}",
                self.renewed()
            ),
            (Cause::Unreachable, true) => format!(
                "input '{input}' is pinned in {file}, but is not in the store yet, and where it comes from does not \
                 answer. Try again with a network, or use a copy: --override-input {input} path:/..."
            ),
            (Cause::Unreachable, false) => format!(
                "input '{input}' of {file} cannot be fetched. Look at its address and at the network, or use a copy: \
                 --override-input {input} path:/..."
            ),
            (_, true) => format!("it is the input '{input}', pinned in {file}"),
            (_, false) => format!("it is the input '{input}' of {file}"),
        }
    }

    /// How to pin the input anew.
    fn renewed(&self) -> String {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        match folder.starts_with(store_dir()) {
            true => format!("use --override-input {} REF", self.input),
            false => format!("run: zeval flake update {} --flake {}", self.input, folder.display()),
        }
    }
}
