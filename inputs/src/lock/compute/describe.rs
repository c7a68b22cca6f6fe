//! What a flake says of itself, and how that is learned.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use zeval_model::StorePath;

use super::{InputPath, Result};
use crate::{Attrs, Fetcher, FlakeRef, Input, InputError, reference::path::clean, registry::UseRegistries};

/// What a flake says of itself.
#[derive(Clone, Debug, Default)]
pub struct FlakeDescription {
    /// What it is.
    pub description: Option<String>,
    /// Its inputs.
    pub inputs: BTreeMap<String, FlakeInput>,
    /// Attributes of its own source (`inputs.self`).
    pub own: Attrs,
    /// Settings that it would like to have, as text.
    pub settings: Vec<(String, String)>,
}

/// What a flake says of an input.
#[derive(Clone, Debug, Default)]
pub struct FlakeInput {
    /// Where it is.
    pub reference: Option<FlakeRef>,
    /// Whether it is not to be used as a flake.
    pub is_plain: bool,
    /// The input, by its path from the root, that it is the same as.
    pub follows: Option<InputPath>,
    /// What its own inputs are to be instead.
    pub overrides: BTreeMap<String, FlakeInput>,
}

/// Reads what a flake says; the language is needed for that.
pub trait FlakeReader {
    /// What goes wrong in the language.
    type Error;

    /// Reads the flake in a folder of the store, given by its logical path. Paths of inputs to be followed begin with
    /// `prefix`. `shown` is for messages.
    fn read(
        &mut self,
        folder: &Path,
        prefix: &[String],
        shown: &str,
    ) -> std::result::Result<FlakeDescription, LockError<Self::Error>>;
}

/// Why a flake could not be locked.
#[derive(Debug)]
pub enum LockError<E> {
    /// Something about inputs.
    Input(InputError),
    /// Something in the language, and what was being done, innermost first.
    Language(E, Vec<String>),
}

impl<E> From<InputError> for LockError<E> {
    fn from(error: InputError) -> LockError<E> {
        LockError::Input(error)
    }
}

impl<E> LockError<E> {
    pub(super) fn trace(self, text: String) -> LockError<E> {
        match self {
            LockError::Input(error) => LockError::Input(error.trace(text)),
            LockError::Language(error, mut traces) => {
                traces.push(text);
                LockError::Language(error, traces)
            }
        }
    }
}

/// A flake that was fetched and read.
#[derive(Clone, Debug)]
pub struct Flake {
    /// What was asked for.
    pub original: FlakeRef,
    /// The same, registries looked up.
    pub resolved: FlakeRef,
    /// What always gives just this.
    pub locked: FlakeRef,
    /// The source before attributes of its own (`inputs.self`) were known: Nix's fingerprint is made of that.
    pub read_first: Input,
    /// Its folder, as a logical path.
    pub folder: PathBuf,
    /// What it says.
    pub description: FlakeDescription,
}

/// Fetches and reads a flake without its inputs.
pub fn fetch_flake<R: FlakeReader>(
    fetcher: &Fetcher,
    reader: &mut R,
    reference: &FlakeRef,
    registries: UseRegistries,
    prefix: &[String],
    in_place: bool,
) -> Result<Flake, R> {
    let fetched = match in_place {
        true => fetcher.fetch_in_place(&reference.input, registries)?,
        false => fetcher.fetch(&reference.input, registries)?,
    };
    let folder = fetched.folder.unwrap_or_else(|| reference.folder.clone());
    let resolved = FlakeRef { input: fetched.resolved, folder: folder.clone() };
    let mut tree = fetched.tree;
    let place = |path: &StorePath| clean(&Path::new(&path.to_string()).join(&folder));
    let shown = resolved.shown();
    let mut description = reader.read(&place(&tree.store_path), prefix, &shown)?;
    let read_first = tree.input.clone();
    let changed = with_own_attributes(&tree.input, &description.own)?;
    if let Some(input) = changed {
        tree = fetcher.fetch(&input, UseRegistries::No)?.tree;
        description = reader.read(&place(&tree.store_path), prefix, &shown)?;
    }
    let locked = FlakeRef { input: tree.input, folder: folder.clone() };
    let folder = place(&tree.store_path);
    Ok(Flake { original: reference.clone(), resolved, locked, read_first, folder, description })
}

/// The input with what a flake says of its own source, if that changes anything.
fn with_own_attributes(input: &Input, own: &Attrs) -> std::result::Result<Option<Input>, InputError> {
    let mut changed = input.clone();
    for (name, value) in own {
        if !matches!(name.as_str(), "submodules" | "lfs") {
            return Err(InputError::new(format!("flake 'self' attribute '{name}' is not supported")));
        }
        changed.attrs.insert(name.clone(), value.clone());
    }
    if changed == *input {
        return Ok(None);
    }
    changed.attrs.remove("narHash");
    // The time of a folder that was left where it is gets known only now.
    Ok(Some(if changed.last_modified().is_none() { changed.not_finally() } else { changed }))
}
