//! What a power cut may have damaged: found by hash at the next start, and forgotten so that it is made again.

use zeval_model::ingest::hash_nar_of_path;
use zeval_model::{Algorithm, StorePath};

use super::{IoContext, PathInfo, Store, StoreError, remove_tree};
use crate::parallel::in_parallel;

impl Store {
    /// Verifies the paths that were not known to be on disk when the kernel stopped.
    pub(super) fn recover(&self) -> Result<(), StoreError> {
        let doubtful = self.database.doubtful()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let intact = in_parallel(&doubtful, threads, |path| self.is_intact(path));
        for (path, is_intact) in doubtful.iter().zip(intact) {
            match self.info(path)? {
                // It referred to one that was lost.
                None => (),
                Some(_) if is_intact? => self.database.trust(path)?,
                Some(_) => {
                    for lost in self.database.invalidate(path)? {
                        let place = self.physical(&lost);
                        remove_tree(&place).doing("remove the damaged", &place)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the files of `path` are those that were registered.
    pub fn is_intact(&self, path: &StorePath) -> Result<bool, StoreError> {
        Ok(self.has_contents(&self.require(path)?))
    }

    pub(super) fn has_contents(&self, info: &PathInfo) -> bool {
        let found = hash_nar_of_path(&self.physical(&info.path), Algorithm::Sha256);
        matches!(found, Ok((hash, size)) if hash == info.nar_hash && size == info.nar_size)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::super::Syncing;
    use super::*;

    #[test]
    fn after_a_power_cut_whole_paths_stay_and_damaged_ones_go_with_their_referrers() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_under_boot(dir.path(), "first", Syncing::default()).unwrap();
        let safe = store.add_text("safe", b"synced", &BTreeSet::new()).unwrap();
        store.sync().unwrap();
        let whole = store.add_text("whole", b"whole", &BTreeSet::new()).unwrap();
        let torn = store.add_text("torn", b"torn", &BTreeSet::from([whole.clone()])).unwrap();
        let referrer = store.add_text("referrer", b"referrer", &BTreeSet::from([torn.clone()])).unwrap();
        let overwrite = |path: &StorePath| {
            let place = store.physical(path);
            remove_tree(&place).unwrap();
            fs::write(place, "").unwrap();
        };
        overwrite(&torn);
        overwrite(&safe);
        assert_eq!(store.all_valid().unwrap().len(), 4);
        drop(store);

        let same_boot = Store::open_under_boot(dir.path(), "first", Syncing::default()).unwrap();
        assert!(same_boot.is_valid(&torn).unwrap());
        drop(same_boot);

        let store = Store::open_under_boot(dir.path(), "second", Syncing::default()).unwrap();
        // What was synced is not looked at again.
        assert_eq!(store.all_valid().unwrap(), BTreeSet::from([safe, whole.clone()]));
        assert!(!store.physical(&torn).exists());
        assert!(!store.physical(&referrer).exists());
        assert!(store.is_intact(&whole).unwrap());
        assert_eq!(store.add_text("torn", b"torn", &BTreeSet::from([whole])).unwrap(), torn);
    }
}
