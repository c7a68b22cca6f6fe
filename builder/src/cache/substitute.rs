//! Taking outputs from caches instead of building them.
//!
//! A cache is a convenience: whatever is wrong with one is told once, and what it cannot give is built.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use zeval_model::derivation::HashCache;
use zeval_model::{Derivation, Hash, NarInfo, StorePath};

use super::download::{self, Wanted, ask, missing};
use super::{Cache, CacheError, CachedRealisation, Trust};
use crate::cancel::Cancellation;
use crate::events::{ActivityKind, Event, Observer, Planned};
use crate::parallel::in_parallel;
use crate::schedule::DrvOutput;
use crate::store::{PathInfo, Realisation, Store, StoreError};

/// Where to look for outputs.
#[derive(Clone, Debug, Default)]
pub struct Substitution {
    pub caches: Vec<Cache>,
    pub trust: Trust,
}

/// What caches have of what is wanted. It is known before any of it is downloaded, so that what they do not have can be built
/// meanwhile.
#[derive(Debug, Default)]
pub struct Offer {
    outputs: HashMap<StorePath, BTreeMap<String, StorePath>>,
    /// The paths of those, and all that they refer to and that is not there.
    paths: BTreeMap<StorePath, Wanted>,
}

impl Offer {
    /// What an output of a derivation was built to by others.
    pub fn get(&self, drv: &StorePath, output: &str) -> Option<&StorePath> {
        self.outputs.get(drv)?.get(output)
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// What is to be downloaded, for people.
    pub fn planned(&self) -> Vec<Planned> {
        let planned = |path: &StorePath| Planned {
            drv: path.clone(),
            name: path.name().to_owned(),
            kind: ActivityKind::Fetch,
        };
        self.paths.keys().map(planned).collect()
    }

    /// Downloads all of it, references first. `ended` hears of each path, on some thread, whether it is there now.
    pub fn download(
        self,
        store: &Store,
        observer: &dyn Observer,
        cancellation: &Cancellation,
        ended: impl Fn(&StorePath, bool) + Sync,
    ) {
        download::download_each(store, &self.paths, observer, cancellation, |path, error| {
            match error {
                None | Some(CacheError::Cancelled) => (),
                Some(error) => {
                    observer.event(Event::Warning { text: format!("{error}; going on without it") })
                }
            }
            ended(path, error.is_none());
        });
    }
}

/// Looks into caches for outputs, as often as asked.
pub struct Substituter<'a> {
    store: &'a Store,
    substitution: &'a Substitution,
    observer: &'a dyn Observer,
    cancellation: &'a Cancellation,
    /// Those that answered, once they were asked.
    opened: Mutex<Option<Vec<Cache>>>,
}

impl<'a> Substituter<'a> {
    pub fn new(
        store: &'a Store,
        substitution: &'a Substitution,
        observer: &'a dyn Observer,
        cancellation: &'a Cancellation,
    ) -> Substituter<'a> {
        Substituter { store, substitution, observer, cancellation, opened: Mutex::default() }
    }

    /// What caches have of `wanted` and, where they do not have it, of what it is built from.
    pub fn find(&self, wanted: &[DrvOutput]) -> Result<Offer, StoreError> {
        let mut search = Search {
            store: self.store,
            trust: &self.substitution.trust,
            observer: self.observer,
            cancellation: self.cancellation,
            caches: Vec::new(),
            offer: Offer::default(),
        };
        if !search.is_needed(wanted)? {
            return Ok(search.offer);
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match opened.take() {
            Some(caches) => search.caches = caches,
            None => search.open(&self.substitution.caches),
        }
        let mut seen: BTreeSet<(StorePath, String)> = BTreeSet::new();
        let mut level: Vec<DrvOutput> = wanted.to_vec();
        while !level.is_empty() && !search.caches.is_empty() && !self.cancellation.is_cancelled() {
            level.retain(|output| seen.insert((output.drv.clone(), output.output.clone())));
            level = search.ask(&level)?;
        }
        *opened = Some(search.caches);
        Ok(search.offer)
    }
}

struct Search<'a> {
    store: &'a Store,
    trust: &'a Trust,
    observer: &'a dyn Observer,
    cancellation: &'a Cancellation,
    caches: Vec<Cache>,
    offer: Offer,
}

/// An output that is not there, and where it would be.
struct Question {
    output: DrvOutput,
    drv: Derivation,
    /// Known before, or from a cache's realisation.
    path: Option<StorePath>,
}

impl Search<'_> {
    fn warn(&self, text: String) {
        self.observer.event(Event::Warning { text });
    }

    fn is_needed(&self, wanted: &[DrvOutput]) -> Result<bool, StoreError> {
        for output in wanted {
            if self.question(output)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sees which caches answer.
    fn open(&mut self, caches: &[Cache]) {
        let opened = in_parallel(caches, caches.len(), |cache| cache.clone().open(self.cancellation));
        for result in opened {
            match result {
                Ok(cache) => self.caches.push(cache),
                Err(CacheError::Cancelled) => (),
                Err(error) => self.warn(format!("{error}; going on without it")),
            }
        }
        self.caches.sort_by_key(|cache| cache.priority);
    }

    /// What to look for, if the output is not there and may be substituted.
    fn question(&self, output: &DrvOutput) -> Result<Option<Question>, StoreError> {
        let drv = self.store.derivation(&output.drv)?;
        let Some(found) = drv.outputs.get(&output.output) else { return Ok(None) };
        let path = found.path().cloned();
        let is_there = match &path {
            Some(path) => self.store.is_valid(path)?,
            None => self.store.realisation(&output.drv, &output.output)?.is_some(),
        };
        Ok((!is_there).then(|| Question { output: output.clone(), drv, path }))
    }

    /// Finds what caches have of `level`; gives the inputs of what they do not have.
    fn ask(&mut self, level: &[DrvOutput]) -> Result<Vec<DrvOutput>, StoreError> {
        let mut questions = Vec::new();
        for output in level {
            questions.extend(self.question(output)?);
        }
        self.find_realisations(&mut questions);
        let asked: BTreeSet<StorePath> = questions
            .iter()
            .filter(|question| may_substitute(&question.drv))
            .filter_map(|question| question.path.clone())
            .collect();
        self.store.pin(&asked)?;
        let available = self.closures(asked)?;
        let mut next = Vec::new();
        for question in questions {
            match &question.path {
                Some(path) if available.contains_key(path) || self.offer.paths.contains_key(path) => {
                    self.with_references(path, &available);
                    let outputs = self.offer.outputs.entry(question.output.drv).or_default();
                    outputs.insert(question.output.output, path.clone());
                }
                Some(path) if self.store.is_valid(path)? => self.record(&question, path)?,
                _ => next.extend(inputs(&question.drv)),
            }
        }
        Ok(next)
    }

    /// Asks what outputs were built to whose paths follow from their contents.
    fn find_realisations(&self, questions: &mut [Question]) {
        let hashes = HashCache::new(|path: &StorePath| self.store.read_derivation(path));
        let mut asked = Vec::new();
        for (index, question) in questions.iter().enumerate() {
            if question.path.is_none()
                && may_substitute(&question.drv)
                && let Ok(hash) = question.drv.realisation_hash(&hashes)
            {
                asked.push((index, hash, &question.output.output));
            }
        }
        let told = Mutex::new(BTreeSet::new());
        let answers = in_parallel(&asked, 16, |(index, hash, output)| {
            self.caches.iter().find_map(|cache| {
                let path = self.find_realisation(cache, hash, output).unwrap_or_else(|reason| {
                    // Once: what is wrong with one is wrong with many.
                    if told.lock().unwrap_or_else(PoisonError::into_inner).insert(&cache.url) {
                        let (url, name) = (&cache.url, &questions[*index].drv.name);
                        self.warn(format!(
                            "what the cache {url} says of output '{output}' of {name} is not used: {reason}"
                        ));
                    }
                    None
                });
                path.map(|path| (*index, path))
            })
        });
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        for (index, path) in answers {
            questions[index].path = Some(path);
        }
    }

    /// The path that `cache` knows an output to have been built to; an error if that cannot be believed.
    fn find_realisation(&self, cache: &Cache, drv: &Hash, output: &str) -> Result<Option<StorePath>, String> {
        let text = cache.read(&CachedRealisation::file(drv, output), self.cancellation);
        // A cache that does not answer is told of where its paths are asked for.
        let Some(text) = text.ok().flatten() else { return Ok(None) };
        let realisation = CachedRealisation::parse(&text)?;
        if !realisation.is_of(drv, output) {
            return Err(format!("it is about '{}'", realisation.id));
        }
        match cache.trusted || realisation.is_trusted(self.trust) {
            true => Ok(Some(realisation.path)),
            false => Err("it is signed by no key that is trusted".to_owned()),
        }
    }

    fn record(&self, question: &Question, path: &StorePath) -> Result<(), StoreError> {
        let knows =
            question.drv.outputs.get(&question.output.output).is_some_and(|found| found.path().is_some());
        if knows {
            return Ok(());
        }
        let DrvOutput { drv, output } = question.output.clone();
        self.store.register(&[], &[Realisation { drv, output, path: path.clone() }])
    }

    /// What caches say of `paths` and all that they refer to, without those that lead to something that nobody has.
    fn closures(&mut self, paths: BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, Wanted>, StoreError> {
        let mut available: BTreeMap<StorePath, Wanted> = BTreeMap::new();
        let mut hopeless: BTreeSet<StorePath> = BTreeSet::new();
        let mut pending = paths;
        while !pending.is_empty() {
            pending.retain(|path| !self.offer.paths.contains_key(path));
            let asked = missing(self.store, &pending).map_err(into_store_error)?;
            let mut next = BTreeSet::new();
            for (path, answer) in asked.iter().zip(ask(&self.caches, &asked, self.cancellation)) {
                match self.accept(answer) {
                    Some((cache, nar, info)) => {
                        next.extend(info.references.iter().cloned());
                        available.insert(path.clone(), Wanted { cache, nar, info });
                    }
                    None => drop(hopeless.insert(path.clone())),
                }
            }
            next.retain(|path| !available.contains_key(path) && !hopeless.contains(path));
            self.store.pin(&next)?;
            pending = next;
        }
        drop_referrers(&mut available, hopeless);
        Ok(available)
    }

    fn accept(
        &mut self,
        answer: Result<Option<(Cache, NarInfo)>, CacheError>,
    ) -> Option<(Cache, NarInfo, PathInfo)> {
        match answer {
            Ok(found) => {
                let (cache, nar) = found?;
                match cache.believe(&nar, self.trust) {
                    Ok(info) => Some((cache, nar, info)),
                    Err(error) => {
                        self.warn(error.to_string());
                        None
                    }
                }
            }
            Err(CacheError::Unreachable { url, reason }) => {
                if self.caches.iter().any(|cache| cache.url == url) {
                    self.warn(format!("the cache {url} does not answer: {reason}; going on without it"));
                    self.caches.retain(|cache| cache.url != url);
                }
                None
            }
            Err(CacheError::Cancelled) => None,
            Err(error) => {
                self.warn(error.to_string());
                None
            }
        }
    }

    /// Adds a path and all that it refers to to what is offered.
    fn with_references(&mut self, path: &StorePath, available: &BTreeMap<StorePath, Wanted>) {
        let mut pending = vec![path];
        while let Some(path) = pending.pop() {
            if let Some(item) = available.get(path)
                && self.offer.paths.insert(path.clone(), item.clone()).is_none()
            {
                pending.extend(&item.info.references);
            }
        }
    }
}

/// The outputs that a derivation is built from.
pub fn inputs(drv: &Derivation) -> Vec<DrvOutput> {
    let wanted = drv.input_derivations.iter().flat_map(|(input, wanted)| {
        wanted.outputs.iter().map(|output| DrvOutput { drv: input.clone(), output: output.clone() })
    });
    wanted.collect()
}

/// Whether the author of the derivation allows it.
fn may_substitute(drv: &Derivation) -> bool {
    let forbidden = drv.env.get(bstr::BStr::new("allowSubstitutes")).is_some_and(|value| value.is_empty());
    !forbidden && !drv.outputs.values().any(|output| matches!(output, zeval_model::Output::Impure { .. }))
}

/// Takes out what refers to something hopeless, directly or not.
fn drop_referrers(available: &mut BTreeMap<StorePath, Wanted>, mut hopeless: BTreeSet<StorePath>) {
    loop {
        let lost: Vec<StorePath> = available
            .iter()
            .filter(|(_, item)| item.info.references.iter().any(|path| hopeless.contains(path)))
            .map(|(path, _)| path.clone())
            .collect();
        if lost.is_empty() {
            return;
        }
        for path in lost {
            available.remove(&path);
            hopeless.insert(path);
        }
    }
}

fn into_store_error(error: CacheError) -> StoreError {
    match error {
        CacheError::Store(error) => error,
        _ => StoreError::Cancelled,
    }
}
