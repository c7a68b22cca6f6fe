//! Paths and the contents that they are made from: recognising that, and making it so.

use std::collections::{BTreeMap, BTreeSet};

use zeval_model::ingest::{hash_nar_modulo, hash_nar_of_path};
use zeval_model::references::{Rewrites, RewritingSource};
use zeval_model::store_path::References;
use zeval_model::tree::{self, Modes, Walker, everything};
use zeval_model::{Algorithm, ContentAddress, ContentMethod, Hash, StorePath, ingest};

use super::{PathInfo, Store, StoreError};
use crate::cancel::Cancellation;

impl Store {
    /// The content address of `info`, whose files are in place, if its path is one that can be told from them alone: a
    /// source, a text, or a derivation.
    pub(super) fn recognise_address(&self, info: &PathInfo) -> Result<Option<ContentAddress>, StoreError> {
        let references = references_of(info);
        let is_it = |address: &ContentAddress| {
            address.store_path(info.path.name(), &references).is_ok_and(|path| path == info.path)
        };
        let nar = ContentAddress { method: ContentMethod::Nar, hash: info.nar_hash };
        if !references.self_reference && is_it(&nar) {
            return Ok(Some(nar));
        }
        let files = self.physical(&info.path);
        if !files.symlink_metadata().is_ok_and(|found| found.is_file()) {
            return Ok(None);
        }
        let hash = ingest::hash_path(&files, ContentMethod::Flat, Algorithm::Sha256)?;
        let kinds = [ContentMethod::Text, ContentMethod::Flat].map(|method| ContentAddress { method, hash });
        Ok(kinds.into_iter().find(is_it))
    }

    /// Copies `paths`, which must be closed under references, to paths that are made from their contents, and gives which
    /// became which. References within are changed accordingly.
    pub fn make_content_addressed(
        &self,
        paths: &BTreeSet<StorePath>,
        cancellation: &Cancellation,
    ) -> Result<BTreeMap<StorePath, StorePath>, StoreError> {
        self.pin(paths)?;
        let mut made: BTreeMap<StorePath, StorePath> = BTreeMap::new();
        for path in self.references_first(paths)? {
            let info = self.require(&path)?;
            let new = self.readdress(&info, &made, cancellation)?;
            made.insert(path, new);
        }
        Ok(made)
    }

    fn readdress(
        &self,
        info: &PathInfo,
        made: &BTreeMap<StorePath, StorePath>,
        cancellation: &Cancellation,
    ) -> Result<StorePath, StoreError> {
        let old = &info.path;
        let mut references = references_of(info);
        references.others =
            references.others.iter().map(|path| made.get(path).unwrap_or(path).clone()).collect();
        let folder = self.temporary_folder()?;
        let copy = folder.path().join("0");
        let rewritten = |rewrites: &BTreeMap<StorePath, StorePath>, copy: &std::path::Path| {
            let mut everything = everything;
            let walker = Walker::new(&self.layout.physical(old), &mut everything);
            let mut source = RewritingSource::new(walker, Rewrites::new(rewrites));
            tree::restore(&mut source, copy, Modes::Store)
        };
        rewritten(made, &copy)?;
        let mut everything = everything;
        let hash: Hash = hash_nar_modulo(&mut Walker::new(&copy, &mut everything), Algorithm::Sha256, old)?.0;
        let address = ContentAddress { method: ContentMethod::Nar, hash };
        let path = address.store_path(old.name(), &references)?;
        self.pin([&path])?;
        let _lock = self.lock(&path, cancellation, || ())?;
        if self.is_valid(&path)? {
            return Ok(path);
        }
        let mut files = copy;
        if references.self_reference {
            files = folder.path().join("1");
            let mut all = made.clone();
            all.insert(old.clone(), path.clone());
            rewritten(&all, &files)?;
        }
        let mut all = references.others;
        all.extend(references.self_reference.then(|| path.clone()));
        self.place(&files, &path, all, address, hash_nar_of_path(&files, Algorithm::Sha256)?)?;
        Ok(path)
    }
}

fn references_of(info: &PathInfo) -> References {
    let mut others = info.references.clone();
    let self_reference = others.remove(&info.path);
    References { others, self_reference }
}
