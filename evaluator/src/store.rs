//! What the evaluator asks of a store, through one trait that it owns.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustc_hash::FxHashMap;
use zeval_model::{
    Algorithm, ContentMethod, Derivation,
    derivation::{DerivationError, Instantiated},
    store_path::{References, StorePath},
};

use crate::value::context::Built;

/// Why the store could not do what was asked; the text is shown to the user.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Says of each file below a path whether it is wanted.
pub type Filter<'a> = zeval_model::tree::Filter<'a>;

/// A file tree to be added.
pub struct Source<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// The name of the store path.
    pub name: &'a str,
    /// How its hash is made.
    pub method: ContentMethod,
    /// With which algorithm.
    pub algorithm: Algorithm,
}

/// A store, as the evaluator needs it.
pub trait Store: Send + Sync {
    /// Adds a file or folder, less what the filter leaves out.
    fn add_source<'f>(
        &self,
        source: &Source<'_>,
        filter: &'f mut Filter<'f>,
    ) -> Result<StorePath, StoreError>;

    /// Adds a text file.
    fn add_text(&self, name: &str, contents: &[u8], references: &References)
    -> Result<StorePath, StoreError>;

    /// Writes a derivation.
    fn add_derivation(&self, derivation: &Derivation, instantiated: &Instantiated) -> Result<(), StoreError>;

    /// Reads a derivation back.
    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, StoreError>;

    /// Builds what an import needs; gives the output paths in the same order.
    fn realise(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError>;

    /// The same before it is needed, from another thread than the evaluation's own: `None` if that failed, which
    /// [`Store::realise`] will tell.
    fn realise_ahead(&self, _: &[&Built]) -> Option<Vec<StorePath>> {
        None
    }

    /// What a store path refers to; nothing if it is not there.
    fn references(&self, _: &StorePath) -> Vec<StorePath> {
        Vec::new()
    }

    /// Where a path below the logical store is kept.
    fn physical(&self, logical: &Path) -> PathBuf;

    /// Whether nothing is written to it, so that paths need not be there.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Whether a store path is there.
    fn is_valid(&self, path: &StorePath) -> bool;

    /// Whether a store path is there and made from its contents.
    fn is_content_addressed(&self, _: &StorePath) -> bool {
        false
    }
}

/// A store that only computes paths: for evaluation that builds nothing.
#[derive(Default)]
pub struct PathsOnly {
    /// The texts of the derivations.
    derivations: Mutex<FxHashMap<StorePath, Vec<u8>>>,
}

impl Store for PathsOnly {
    fn add_source<'f>(
        &self,
        source: &Source<'_>,
        filter: &'f mut Filter<'f>,
    ) -> Result<StorePath, StoreError> {
        source_path(source, filter)
    }

    fn add_text(
        &self,
        name: &str,
        contents: &[u8],
        references: &References,
    ) -> Result<StorePath, StoreError> {
        text_path(name, contents, references)
    }

    fn add_derivation(&self, _: &Derivation, instantiated: &Instantiated) -> Result<(), StoreError> {
        let mut derivations = self.derivations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        derivations.insert(instantiated.path.clone(), instantiated.aterm.clone());
        Ok(())
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, StoreError> {
        let derivations = self.derivations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let text = derivations.get(path).ok_or_else(|| format!("path '{path}' is not valid"))?;
        Ok(Derivation::parse_aterm(text, path.derivation_name()?)?)
    }

    fn realise(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError> {
        let first = wanted.first().map(|built| format!("{:?}", built.derivation)).unwrap_or_default();
        Err(format!("cannot build '{first}' during evaluation: this store only computes paths").into())
    }

    fn physical(&self, logical: &Path) -> PathBuf {
        logical.to_owned()
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn is_valid(&self, _: &StorePath) -> bool {
        false
    }
}

/// The store path that a source will have.
pub fn source_path<'f>(source: &Source<'_>, filter: &'f mut Filter<'f>) -> Result<StorePath, StoreError> {
    let hash = zeval_model::ingest::hash_path_filtered(source.path, source.method, source.algorithm, filter)?;
    Ok(zeval_model::store_path::content_path(source.method, &hash, source.name, &References::none())?)
}

/// The store path that a text will have.
pub fn text_path(name: &str, contents: &[u8], references: &References) -> Result<StorePath, StoreError> {
    let hash = zeval_model::Hash::of(Algorithm::Sha256, contents);
    Ok(zeval_model::store_path::content_path(ContentMethod::Text, &hash, name, references)?)
}

/// Reading through a store, for hashing derivations that this evaluation did not make.
pub(crate) fn read_for_hash(store: &dyn Store, path: &StorePath) -> Result<Derivation, DerivationError> {
    store.read_derivation(path).map_err(|source| DerivationError::Read { path: path.clone(), source })
}
