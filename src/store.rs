//! The builder's store, as the evaluator sees it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use zeval_builder::{
    build::BuildOptions,
    cancel::Cancellation,
    events::Observer,
    schedule::{Builder, DrvOutput, Slots},
    store::Store,
};
use zeval_evaluator::{
    store::{self as eval, Source, StoreError},
    value::context::{Built, Derived},
};
use zeval_model::{
    Derivation,
    derivation::Instantiated,
    store_path::{References, StorePath},
};

/// Where the store is unless the user says otherwise.
pub fn default_folder() -> Option<PathBuf> {
    if nix::unistd::Uid::effective().is_root() {
        return Some(PathBuf::from("/var/lib/zeval"));
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")))?;
    Some(data.join("zeval"))
}

/// The store with what an evaluation has made but not written yet.
pub struct EvaluationStore {
    /// The store.
    pub store: Arc<Store>,
    pending: Mutex<Pending>,
    options: BuildOptions,
    observer: Arc<dyn Observer>,
    cancellation: Cancellation,
    /// Why what was built ahead could not be, until somebody needs it.
    failed_ahead: Mutex<HashMap<Vec<Built>, String>>,
}

/// Derivations are written many at a time.
#[derive(Default)]
struct Pending {
    order: Vec<Instantiated>,
    by_path: HashMap<StorePath, usize>,
}

/// How many derivations wait at most.
const BATCH: usize = 2048;

impl EvaluationStore {
    /// A view of `store`. What an import needs is built with `options`.
    pub fn new(
        store: Arc<Store>,
        options: BuildOptions,
        observer: Arc<dyn Observer>,
        cancellation: Cancellation,
    ) -> EvaluationStore {
        // Several threads may need builds at once.
        let options = BuildOptions { slots: Some(Arc::new(Slots::new(options.jobs))), ..options };
        let failed_ahead = Mutex::default();
        EvaluationStore { store, pending: Mutex::default(), options, observer, cancellation, failed_ahead }
    }

    /// How what an import needs is built.
    pub fn options(&self) -> &BuildOptions {
        &self.options
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the derivations that wait, in one transaction.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut pending = self.pending();
        self.write(&mut pending)
    }

    fn failed_ahead(&self) -> MutexGuard<'_, HashMap<Vec<Built>, String>> {
        self.failed_ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn build(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError> {
        self.flush()?;
        let mut outputs = Vec::with_capacity(wanted.len());
        for built in wanted {
            let drv = match &*built.derivation {
                Derived::Opaque(drv) => drv.clone(),
                // A derivation that is itself built must be, before it is known.
                Derived::Built(inner) => match &self.build(&[inner])?[..] {
                    [drv] => drv.clone(),
                    _ => return Err("a derivation that is built has one path".into()),
                },
            };
            outputs.push(DrvOutput { drv, output: built.output.clone() });
        }
        let builder = Builder::new(&self.store, self.options.clone());
        let built = builder.build(&outputs, &*self.observer, &self.cancellation)?;
        Ok(built.into_iter().map(|built| built.path).collect())
    }

    fn write(&self, pending: &mut Pending) -> Result<(), StoreError> {
        let waiting = std::mem::take(pending);
        if waiting.order.is_empty() {
            return Ok(());
        }
        Ok(self.store.write_derivations(&waiting.order)?)
    }
}

fn owned(wanted: &[&Built]) -> Vec<Built> {
    wanted.iter().map(|built| (*built).clone()).collect()
}

impl eval::Store for EvaluationStore {
    fn add_source<'f>(
        &self,
        source: &Source<'_>,
        filter: &'f mut eval::Filter<'f>,
    ) -> Result<StorePath, StoreError> {
        Ok(self.store.add_path_filtered(source.name, source.path, source.method, source.algorithm, filter)?)
    }

    fn add_text(
        &self,
        name: &str,
        contents: &[u8],
        references: &References,
    ) -> Result<StorePath, StoreError> {
        Ok(self.store.add_text(name, contents, &references.others)?)
    }

    fn add_derivation(&self, _: &Derivation, instantiated: &Instantiated) -> Result<(), StoreError> {
        let mut pending = self.pending();
        if pending.by_path.contains_key(&instantiated.path) {
            return Ok(());
        }
        let index = pending.order.len();
        pending.by_path.insert(instantiated.path.clone(), index);
        pending.order.push(instantiated.clone());
        if pending.order.len() >= BATCH { self.write(&mut pending) } else { Ok(()) }
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, StoreError> {
        let pending = self.pending();
        if let Some(&index) = pending.by_path.get(path) {
            return Ok(Derivation::parse_aterm(&pending.order[index].aterm, path.derivation_name()?)?);
        }
        drop(pending);
        Ok(self.store.derivation(path)?)
    }

    fn realise_ahead(&self, wanted: &[&Built]) -> Option<Vec<StorePath>> {
        let failure = match self.build(wanted) {
            Ok(paths) => return Some(paths),
            Err(error) => error.to_string(),
        };
        self.failed_ahead().insert(owned(wanted), failure);
        None
    }

    fn realise(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError> {
        match self.failed_ahead().remove(&owned(wanted)) {
            Some(failure) => Err(failure.into()),
            None => self.build(wanted),
        }
    }

    fn physical(&self, logical: &Path) -> PathBuf {
        match logical.strip_prefix(zeval_model::store_dir()) {
            Ok(below) => self.store.layout().store().join(below),
            Err(_) => logical.to_owned(),
        }
    }

    fn references(&self, path: &StorePath) -> Vec<StorePath> {
        let info = self.store.info(path).ok().flatten();
        info.map_or_else(Vec::new, |info| info.references.into_iter().collect())
    }

    fn is_content_addressed(&self, path: &StorePath) -> bool {
        let info = self.store.info(path).ok().flatten();
        info.is_some_and(|info| info.is_content_addressed())
    }

    fn is_valid(&self, path: &StorePath) -> bool {
        self.store.keeps(path).unwrap_or(false)
    }
}
