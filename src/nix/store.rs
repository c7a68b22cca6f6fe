//! The store behind the commands under Nix's names: opened when it is first needed, written to unless that is ruled out.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use zeval_builder::{
    cancel::Cancellation,
    store::{Layout, Store as BuilderStore, Syncing},
};
use zeval_evaluator::{
    store::{self as eval, PathsOnly, Source, Store, StoreError},
    value::context::{Built, Derived},
};
use zeval_model::{
    Derivation,
    derivation::Instantiated,
    store_path::{References, StorePath},
};

use super::{flags::Common, location, realise::Lines};
use crate::{diagnostic::Failed, store::EvaluationStore};

/// Which store is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// `dummy://`: paths are computed, nothing is kept.
    Nowhere,
    /// A physical store.
    Folder(PathBuf),
}

/// A store for evaluation.
pub struct NixStore {
    place: Place,
    read_only: bool,
    paths: PathsOnly,
    options: zeval_builder::build::BuildOptions,
    view: Arc<Lines>,
    syncing: Syncing,
    opened: OnceLock<Result<Arc<EvaluationStore>, String>>,
}

impl NixStore {
    /// The store that flags, settings and the environment name.
    pub fn new(common: &Common, read_only: bool) -> Result<NixStore, String> {
        let place = place(location(common).as_deref().unwrap_or("auto"))?;
        let flags = crate::cli::BuildFlags::default();
        let options = match crate::commands::build_options_in(&flags, &common.settings) {
            Ok(options) => options,
            Err(Failed::Other(text) | Failed::Build { text, .. }) => return Err(text),
            Err(_) => return Err("the settings cannot be read".into()),
        };
        let view = Arc::new(Lines::new(common.verbosity, common.build_output, false));
        let (paths, syncing) = (PathsOnly::default(), common.settings.syncing());
        Ok(NixStore { place, read_only, paths, options, view, syncing, opened: OnceLock::new() })
    }

    /// The folder of the physical store, if there is one.
    pub fn folder(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Nowhere => None,
            Place::Folder(folder) => Some(folder.clone()),
        }
    }

    /// The physical store, opened now if it was not yet.
    pub fn open(&self) -> Result<&Arc<EvaluationStore>, StoreError> {
        let opened = self.opened.get_or_init(|| match &self.place {
            Place::Nowhere => Err("store 'dummy://' holds nothing".into()),
            Place::Folder(folder) => {
                let store = BuilderStore::open_syncing(folder, self.syncing);
                let store = store.map_err(|error| error.to_string())?;
                let (view, cancellation) = (self.view.clone(), Cancellation::new());
                Ok(Arc::new(EvaluationStore::new(Arc::new(store), self.options.clone(), view, cancellation)))
            }
        });
        opened.as_ref().map_err(|error| error.clone().into())
    }

    /// Writes what waits to be written.
    pub fn flush(&self) -> Result<(), StoreError> {
        match self.opened.get() {
            Some(Ok(store)) => store.flush(),
            _ => Ok(()),
        }
    }

    /// A derivation that is wanted and was not written, as nothing is to be.
    fn unwritten<'b>(&self, wanted: &[&'b Built]) -> Option<&'b StorePath> {
        wanted.iter().find_map(|built| match &*built.derivation {
            Derived::Opaque(drv) if self.read_only && !self.is_valid(drv) => Some(drv),
            _ => None,
        })
    }

    /// The store to write to: none when only paths are wanted.
    fn writable(&self, operation: &str) -> Result<Option<&Arc<EvaluationStore>>, StoreError> {
        match &self.place {
            _ if self.read_only => Ok(None),
            Place::Nowhere => {
                Err(format!("operation '{operation}' is not supported by store 'dummy://'").into())
            }
            Place::Folder(_) => self.open().map(Some),
        }
    }
}

/// The store that the settings or the environment name.
pub fn location(common: &Common) -> Option<String> {
    let named = std::env::var("NIX_REMOTE").ok().filter(|name| !name.is_empty());
    common.settings.text("store").map(str::to_owned).or(named)
}

/// Whether a text can be where a store is.
pub fn is_location(text: &str) -> bool {
    matches!(text, "auto" | "local" | "daemon" | "dummy" | "") || text.contains('/')
}

/// The place that a store's URL means. Stores of the local machine are all zeval's own.
fn place(url: &str) -> Result<Place, String> {
    if matches!(url.split('?').next(), Some("dummy://" | "dummy")) {
        return Ok(Place::Nowhere);
    }
    match (location::local(url)?, url.split_once("://")) {
        (Some(folder), _) => Ok(Place::Folder(folder)),
        (None, Some((scheme, _))) => Err(format!("don't know how to open Nix store with scheme '{scheme}'")),
        (None, None) => Err(format!("Cannot parse Nix store '{url}'")),
    }
}

impl Store for NixStore {
    fn add_source<'f>(
        &self,
        source: &Source<'_>,
        filter: &'f mut eval::Filter<'f>,
    ) -> Result<StorePath, StoreError> {
        match self.writable("addToStore")? {
            Some(store) => store.add_source(source, filter),
            None => self.paths.add_source(source, filter),
        }
    }

    fn add_text(
        &self,
        name: &str,
        contents: &[u8],
        references: &References,
    ) -> Result<StorePath, StoreError> {
        match self.writable("addToStore")? {
            Some(store) => store.add_text(name, contents, references),
            None => self.paths.add_text(name, contents, references),
        }
    }

    fn add_derivation(&self, derivation: &Derivation, instantiated: &Instantiated) -> Result<(), StoreError> {
        match self.writable("writeDerivation")? {
            Some(store) => store.add_derivation(derivation, instantiated),
            None => self.paths.add_derivation(derivation, instantiated),
        }
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, StoreError> {
        match self.paths.read_derivation(path) {
            Err(error) if self.place == Place::Nowhere => Err(error),
            Err(_) => self.open()?.read_derivation(path),
            found => found,
        }
    }

    fn realise(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError> {
        if let Some(missing) = self.unwritten(wanted) {
            return Err(format!("path '{}' is not valid", missing.base_name()).into());
        }
        self.open()?.realise(wanted)
    }

    fn realise_ahead(&self, wanted: &[&Built]) -> Option<Vec<StorePath>> {
        if self.unwritten(wanted).is_some() {
            return None;
        }
        self.open().ok()?.realise_ahead(wanted)
    }

    fn physical(&self, logical: &Path) -> PathBuf {
        let Place::Folder(folder) = &self.place else { return logical.to_owned() };
        match logical.strip_prefix(zeval_model::store_dir()) {
            Ok(below) => Layout::new(folder).store().join(below),
            Err(_) => logical.to_owned(),
        }
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn is_content_addressed(&self, path: &StorePath) -> bool {
        self.place != Place::Nowhere && self.open().is_ok_and(|store| store.is_content_addressed(path))
    }

    fn is_valid(&self, path: &StorePath) -> bool {
        // A store that is not there holds nothing, and need not be made for that answer.
        let Place::Folder(folder) = &self.place else { return false };
        Layout::new(folder).physical(path).symlink_metadata().is_ok()
            && self.open().is_ok_and(|store| store.is_valid(path))
    }
}
