//! Store paths from a cache to the store: closures, in parallel, going on where an interrupted download ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use zeval_model::{NarInfo, StorePath};

use super::{Cache, CacheError, Trust};
use crate::cancel::Cancellation;
use crate::events::{ActivityId, ActivityKind, Event, Observer, Outcome};
use crate::fetch::{FetchError, Mirrors, Transfer};
use crate::parallel::in_parallel;
use crate::store::{PathInfo, Store, StoreError};
use crate::unpack;

/// Requests for descriptions at once: each is short and mostly waits.
pub(super) const ASKERS: usize = 16;
/// Archives at once.
const DOWNLOADS: usize = 6;

/// How to copy.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    pub trust: Trust,
    /// Leaves out what the paths refer to.
    pub without_references: bool,
}

/// A path that is to be downloaded.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub cache: Cache,
    pub nar: NarInfo,
    pub info: PathInfo,
}

/// Copies `paths` and all that they refer to from `cache`; gives what was copied.
pub fn copy_from(
    store: &Store,
    cache: &Cache,
    paths: &BTreeSet<StorePath>,
    options: &CopyOptions,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<Vec<StorePath>, CacheError> {
    let caches = std::slice::from_ref(cache);
    let mut wanted = BTreeMap::new();
    let mut pending = paths.clone();
    store.pin(paths)?;
    while !pending.is_empty() {
        let missing = missing(store, &pending)?;
        let mut next = BTreeSet::new();
        for (path, found) in missing.iter().zip(ask(caches, &missing, cancellation)) {
            let Some((cache, nar)) = found? else {
                return Err(CacheError::Absent { url: cache.url.clone(), path: path.clone() });
            };
            let info = cache.believe(&nar, &options.trust)?;
            if !options.without_references {
                next.extend(info.references.iter().filter(|path| !wanted.contains_key(*path)).cloned());
            }
            wanted.insert(path.clone(), Wanted { cache, nar, info });
        }
        next.retain(|path| !wanted.contains_key(path));
        store.pin(&next)?;
        pending = next;
    }
    download(store, wanted, observer, cancellation)
}

/// What `cache` says of `paths` and of all that they refer to, as far as it has it.
pub fn descriptions(
    cache: &Cache,
    paths: &BTreeSet<StorePath>,
    cancellation: &Cancellation,
) -> Result<BTreeMap<StorePath, NarInfo>, CacheError> {
    let mut found = BTreeMap::new();
    let mut pending: Vec<StorePath> = paths.iter().cloned().collect();
    while !pending.is_empty() {
        let mut next = BTreeSet::new();
        for answer in ask(std::slice::from_ref(cache), &pending, cancellation) {
            if let Some((_, info)) = answer? {
                next.extend(info.references.iter().cloned());
                found.insert(info.path.clone(), info);
            }
        }
        next.retain(|path| !found.contains_key(path));
        pending = next.into_iter().collect();
    }
    Ok(found)
}

/// Those of `paths` that are not valid.
pub(super) fn missing(store: &Store, paths: &BTreeSet<StorePath>) -> Result<Vec<StorePath>, CacheError> {
    let mut missing = Vec::new();
    for path in paths {
        if !store.is_valid(path)? {
            missing.push(path.clone());
        }
    }
    Ok(missing)
}

type Found = Result<Option<(Cache, NarInfo)>, CacheError>;

/// What the first of `caches` that has it says of each path. An error only where no cache has the path.
pub(super) fn ask(caches: &[Cache], paths: &[StorePath], cancellation: &Cancellation) -> Vec<Found> {
    in_parallel(paths, ASKERS, |path| {
        let mut error = None;
        for cache in caches {
            match cache.info(path, cancellation) {
                Ok(Some(info)) => return Ok(Some((cache.clone(), info))),
                Ok(None) => (),
                Err(failed) => error = error.or(Some(failed)),
            }
        }
        error.map_or(Ok(None), Err)
    })
}

/// What is left to download, and how far it is.
struct Queue {
    /// Paths whose references are not all there, with the number of those.
    waiting: BTreeMap<StorePath, usize>,
    /// Which of `waiting` refer to a path.
    referrers: BTreeMap<StorePath, Vec<StorePath>>,
    ready: Vec<StorePath>,
    running: usize,
}

impl Queue {
    fn new(wanted: &BTreeMap<StorePath, Wanted>) -> Queue {
        let mut queue =
            Queue { waiting: BTreeMap::new(), referrers: BTreeMap::new(), ready: Vec::new(), running: 0 };
        for (path, item) in wanted {
            let mut count = 0;
            for reference in item.info.references.iter().filter(|other| *other != path) {
                if wanted.contains_key(reference) {
                    queue.referrers.entry(reference.clone()).or_default().push(path.clone());
                    count += 1;
                }
            }
            match count {
                0 => queue.ready.push(path.clone()),
                count => drop(queue.waiting.insert(path.clone(), count)),
            }
        }
        queue
    }

    /// Lets what waited only for `path` begin.
    fn complete(&mut self, path: &StorePath) {
        for referrer in self.referrers.remove(path).unwrap_or_default() {
            if let Some(count) = self.waiting.get_mut(&referrer) {
                *count -= 1;
                if *count == 0 {
                    self.waiting.remove(&referrer);
                    self.ready.push(referrer);
                }
            }
        }
    }

    /// Gives all that refers to `path`, directly or not, and cannot be had without it.
    fn fail(&mut self, path: &StorePath) -> Vec<StorePath> {
        let mut lost = Vec::new();
        let mut pending = self.referrers.remove(path).unwrap_or_default();
        while let Some(referrer) = pending.pop() {
            if self.waiting.remove(&referrer).is_some() {
                pending.extend(self.referrers.remove(&referrer).unwrap_or_default());
                lost.push(referrer);
            }
        }
        lost
    }
}

/// Downloads all of `wanted`, references first, until the first error. What was done before an error stays.
pub(super) fn download(
    store: &Store,
    wanted: BTreeMap<StorePath, Wanted>,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<Vec<StorePath>, CacheError> {
    let until_error = cancellation.child();
    let (copied, failed) = (Mutex::new(Vec::new()), Mutex::new(None));
    run(store, &wanted, observer, &until_error, |path, result, _| match result {
        Ok(()) => copied.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone()),
        Err(error) => {
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            until_error.cancel();
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(copied.into_inner().unwrap_or_else(PoisonError::into_inner)), Err)
}

/// Downloads of `wanted` what can be had, references first. `ended` hears of each path; the error of one that could not be had
/// for want of another is the other's, and told once.
pub(super) fn download_each(
    store: &Store,
    wanted: &BTreeMap<StorePath, Wanted>,
    observer: &dyn Observer,
    cancellation: &Cancellation,
    ended: impl Fn(&StorePath, Option<&CacheError>) + Sync,
) {
    run(store, wanted, observer, cancellation, |path, result, lost| {
        ended(path, result.as_ref().err());
        lost.iter().for_each(|path| ended(path, Some(&CacheError::Cancelled)));
    });
}

/// Downloads what can be had. `ended` hears of each path that was tried, with what cannot be had because of that.
fn run(
    store: &Store,
    wanted: &BTreeMap<StorePath, Wanted>,
    observer: &dyn Observer,
    cancellation: &Cancellation,
    ended: impl Fn(&StorePath, Result<(), CacheError>, &[StorePath]) + Sync,
) {
    let queue = Mutex::new(Queue::new(wanted));
    let changed = Condvar::new();
    let lock = || -> MutexGuard<'_, Queue> { queue.lock().unwrap_or_else(PoisonError::into_inner) };
    let work = || {
        loop {
            let mut state = lock();
            let path = loop {
                if state.ready.is_empty() && state.running == 0 {
                    changed.notify_all();
                    return;
                }
                if let Some(path) = state.ready.pop() {
                    break path;
                }
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.running += 1;
            drop(state);
            let result = fetch_one(store, &wanted[&path], observer, cancellation);
            let mut state = lock();
            state.running -= 1;
            let mut lost = Vec::new();
            match result {
                Ok(()) => state.complete(&path),
                Err(_) => lost = state.fail(&path),
            }
            drop(state);
            changed.notify_all();
            ended(&path, result, &lost);
        }
    };
    std::thread::scope(|scope| {
        (0..DOWNLOADS.min(wanted.len())).for_each(|_| drop(scope.spawn(work)));
    });
}

fn fetch_one(
    store: &Store,
    wanted: &Wanted,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<(), CacheError> {
    if cancellation.is_cancelled() {
        return Err(CacheError::Cancelled);
    }
    if store.is_valid(&wanted.info.path)? {
        return Ok(());
    }
    let id = ActivityId::fresh();
    let started = Instant::now();
    let path = &wanted.info.path;
    observer.event(Event::Started {
        id,
        drv: path.clone(),
        name: path.name().to_owned(),
        kind: ActivityKind::Fetch,
    });
    let result = receive(store, wanted, id, observer, cancellation);
    let outcome = match &result {
        Ok(()) => Outcome::Built,
        Err(CacheError::Cancelled) => Outcome::Cancelled,
        Err(_) => Outcome::Failed,
    };
    observer.event(Event::Finished { id, outcome, elapsed: started.elapsed() });
    result
}

/// Takes the files of a valid path, which suffered, from `cache`. They must be those that were registered, so that nobody
/// need be trusted.
pub fn repair_from(
    store: &Store,
    cache: &Cache,
    path: &StorePath,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<(), CacheError> {
    let Some(nar) = cache.info(path, cancellation)? else {
        return Err(CacheError::Absent { url: cache.url.clone(), path: path.clone() });
    };
    let progress = Progress { id: ActivityId::fresh(), observer, cancellation };
    read_archive(store, cache, &nar, &progress, |archive| store.repair(path, archive, cancellation))
}

fn receive(
    store: &Store,
    Wanted { cache, nar, info }: &Wanted,
    id: ActivityId,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<(), CacheError> {
    let progress = Progress { id, observer, cancellation };
    read_archive(store, cache, nar, &progress, |archive| store.receive(info, archive, cancellation))
}

struct Progress<'a> {
    id: ActivityId,
    observer: &'a dyn Observer,
    cancellation: &'a Cancellation,
}

/// Fetches an archive and lets `consume` have it, decompressed.
fn read_archive(
    store: &Store,
    cache: &Cache,
    nar: &NarInfo,
    progress: &Progress<'_>,
    consume: impl FnOnce(&mut dyn Read) -> Result<(), StoreError>,
) -> Result<(), CacheError> {
    let lies = |reason: String| CacheError::Lies { url: cache.url.clone(), path: nar.path.clone(), reason };
    let cancellation = progress.cancellation;
    let scratch = store.temporary_folder()?;
    let file = match cache.folder() {
        // Nothing is gained by a copy of the archive.
        Some(folder) => {
            let (id, url) = (progress.id, cache.address(&nar.url));
            progress.observer.event(Event::FetchStarted { id, url, total: nar.file_size });
            folder.join(&nar.url)
        }
        None => {
            let file = scratch.path().join("nar");
            let transfer = Transfer {
                name: nar.path.base_name(),
                addresses: &[cache.address(&nar.url)],
                expected: nar.file_hash,
                mirrors: &Mirrors::default(),
                partial: &store.layout().state().join("partial"),
                scratch: scratch.path(),
                id: progress.id,
                observer: progress.observer,
                cancellation,
            };
            transfer.run(&file).map_err(|error| match error {
                FetchError::Cancelled { .. } => CacheError::Cancelled,
                error => CacheError::Unreachable { url: cache.url.clone(), reason: error.to_string() },
            })?;
            file
        }
    };
    let archive = File::open(&file).map_err(|error| lies(format!("{}: {error}", file.display())))?;
    let archive = unpack::decompressed(archive).map_err(|fault| lies(fault.to_string()))?;
    let mut archive = BufReader::with_capacity(256 * 1024, Watched { input: archive, cancellation });
    match consume(&mut archive) {
        Ok(()) => Ok(()),
        Err(_) if cancellation.is_cancelled() => Err(CacheError::Cancelled),
        Err(StoreError::WrongContents { expected, actual, .. }) => {
            Err(lies(format!("its archive has the hash {actual}, not {expected}")))
        }
        Err(StoreError::Tree(error)) => Err(lies(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Ends when the wish to stop comes.
struct Watched<'a, R> {
    input: R,
    cancellation: &'a Cancellation,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.cancellation.is_cancelled() {
            true => Err(std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "cancelled")),
            false => self.input.read(buffer),
        }
    }
}
