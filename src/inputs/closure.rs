//! Store paths with all that they refer to, from a binary cache, for `fetchClosure`.

use std::collections::BTreeSet;

use zeval_builder::{
    cache::{self, Cache, CacheError, CopyOptions, Trust},
    store::Store,
};
use zeval_inputs::InputError;
use zeval_model::StorePath;

use super::EvaluationInputs;

impl EvaluationInputs {
    fn copy(&self, store: &Store, url: &str, path: &StorePath, trust: Trust) -> Result<(), CacheError> {
        let cache = Cache::new(url)?.open(&self.cancellation)?;
        let options = CopyOptions { trust, ..CopyOptions::default() };
        let paths = BTreeSet::from([path.clone()]);
        cache::copy_from(store, &cache, &paths, &options, &*self.observer, &self.cancellation)?;
        Ok(())
    }

    /// Copies a path as it is: what is not made from its contents needs a signature that is believed.
    pub(super) fn closure_copied(&self, url: &str, path: &StorePath) -> Result<(), InputError> {
        let store = &self.fetcher()?.store;
        let copy = || {
            if store.keeps(path)? {
                return Ok(());
            }
            let mut trust = Trust::in_keys(self.trusted_keys.iter().map(String::as_str))?;
            trust.require_signatures = self.require_signatures;
            self.copy(store, url, path, trust)
        };
        copy().map_err(|error: CacheError| InputError::new(error.to_string()))
    }

    /// Copies a path to one that is made from its contents. Nobody need be trusted for that, so what comes from the cache
    /// must not get into the store as it is: it goes to a store of its own first.
    pub(super) fn closure_readdressed(&self, url: &str, path: &StorePath) -> Result<StorePath, InputError> {
        let store = &self.fetcher()?.store;
        let copy = || {
            let folder = store.temporary_folder()?;
            let aside = Store::open(&folder.path().join("store"))?;
            let no_trust = Trust { require_signatures: false, ..Trust::default() };
            self.copy(&aside, url, path, no_trust)?;
            let closure = aside.closure(&BTreeSet::from([path.clone()]))?;
            let made = aside.make_content_addressed(&closure, &self.cancellation)?;
            let copies: BTreeSet<StorePath> = made.values().cloned().collect();
            for copy in aside.references_first(&copies)? {
                store.take_from(&aside, &copy, &self.cancellation)?;
            }
            Ok(made.get(path).unwrap_or(path).clone())
        };
        copy().map_err(|error: CacheError| InputError::new(error.to_string()))
    }
}
