//! Reading everything again: whether each path's files are those that were registered, and whether it is to be trusted.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeval_model::StorePath;
use zeval_model::signature::PublicKey;

use super::{Store, StoreError};
use crate::cancel::Cancellation;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Read and hash the files; else only see that they are there.
    pub contents: bool,
    /// Require of each path that it was made here, is made from its contents, or is signed by one of these keys.
    pub trusted: Option<Vec<PublicKey>>,
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its files are not there.
    Missing,
    /// Its files are not those that were registered.
    Modified,
    /// Nobody who is trusted vouches for it.
    Untrusted,
}

impl Fault {
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Missing => "missing",
            Fault::Modified => "modified",
            Fault::Untrusted => "untrusted",
        }
    }
}

impl Store {
    /// What is wrong with `paths`, on all cores. `progress` is told how many are done.
    pub fn verify(
        &self,
        paths: &[StorePath],
        options: &VerifyOptions,
        cancellation: &Cancellation,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<(StorePath, Fault)>, StoreError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let paths = self.largest_first(paths)?;
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let faults = Mutex::new(Vec::new());
        let work = || -> Result<(), StoreError> {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                if cancellation.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                if let Some(fault) = self.fault(path, options)? {
                    let mut faults = faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    faults.push((path.clone(), fault));
                }
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(StoreError::Cancelled)))
        })?;
        let mut faults = faults.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        faults.sort();
        Ok(faults)
    }

    /// The valid ones of `paths`: so that at the end no core waits for another one that began a large path last.
    fn largest_first(&self, paths: &[StorePath]) -> Result<Vec<StorePath>, StoreError> {
        let wanted: HashSet<&StorePath> = paths.iter().collect();
        let mut sized = self.database.sizes()?;
        sized.retain(|(path, _)| wanted.contains(path));
        sized.sort_by_key(|&(_, size)| std::cmp::Reverse(size));
        Ok(sized.into_iter().map(|(path, _)| path).collect())
    }

    /// What is wrong with `path`; nothing if it is not valid.
    fn fault(&self, path: &StorePath, options: &VerifyOptions) -> Result<Option<Fault>, StoreError> {
        let Some(fault) = self.suspect(path, options)? else { return Ok(None) };
        if fault == Fault::Untrusted {
            return Ok(Some(fault));
        }
        // It may have been collected meanwhile, and even made again: look once more with the collector kept away.
        self.pin([path])?;
        self.suspect(path, options)
    }

    fn suspect(&self, path: &StorePath, options: &VerifyOptions) -> Result<Option<Fault>, StoreError> {
        let Some(info) = self.info(path)? else { return Ok(None) };
        if self.physical(path).symlink_metadata().is_err() {
            return Ok(Some(Fault::Missing));
        }
        if options.contents && !self.has_contents(&info) {
            return Ok(Some(Fault::Modified));
        }
        let Some(keys) = &options.trusted else { return Ok(None) };
        let fingerprint = info.fingerprint();
        let is_signed = || {
            info.signatures
                .iter()
                .any(|signature| keys.iter().any(|key| key.verify(fingerprint.as_bytes(), signature)))
        };
        let is_trusted = info.ultimate || info.is_content_addressed() || is_signed();
        Ok((!is_trusted).then_some(Fault::Untrusted))
    }
}
