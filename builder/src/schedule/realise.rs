//! Realises one derivation of the graph: resolves it, sees whether somebody has it, and else builds it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use zeval_model::derivation::DerivationKind;
use zeval_model::{Derivation, StorePath};

use crate::build::{self, BuildError, BuildOptions, Folders, Shelf, Task};
use crate::cancel::Cancellation;
use crate::events::{ActivityId, ActivityKind, Event, Observer, Outcome};
use crate::sandbox::Identity;
use crate::store::{FileLock, Realisation, Store};

/// What each output of a derivation was built to.
pub type Results = BTreeMap<String, StorePath>;

/// What all derivations of a request have in common.
pub struct Realiser<'a> {
    pub store: &'a Store,
    pub options: &'a BuildOptions,
    pub identity: &'a Identity,
    pub observer: &'a dyn Observer,
    pub cancellation: &'a Cancellation,
    pub shelf: Shelf,
}

/// The folders of builds that ended.
type Leftovers = RefCell<Vec<Folders>>;

/// One derivation whose inputs are realised.
pub struct Job<'a> {
    pub path: &'a StorePath,
    pub drv: &'a Derivation,
    pub kind: ActivityKind,
    pub check: bool,
    /// What the outputs of each input derivation were built to.
    pub inputs: BTreeMap<StorePath, Results>,
}

impl Realiser<'_> {
    /// The paths of the outputs of a derivation that are known and valid.
    pub fn present(&self, path: &StorePath, drv: &Derivation) -> Result<Results, BuildError> {
        let mut results = Results::new();
        for (name, output) in &drv.outputs {
            let found = match output.path() {
                Some(path) => self.store.is_valid(path)?.then(|| path.clone()),
                None if matches!(output, zeval_model::Output::Impure { .. }) => None,
                None => self.pinned_realisation(path, name)?,
            };
            results.extend(found.map(|path| (name.clone(), path)));
        }
        Ok(results)
    }

    /// What an output was built to, kept from the collector: that the derivation is pinned need not be enough, as others
    /// may have built it since the collector looked.
    fn pinned_realisation(&self, drv: &StorePath, output: &str) -> Result<Option<StorePath>, BuildError> {
        let Some(found) = self.store.realisation(drv, output)? else { return Ok(None) };
        self.store.pin([&found])?;
        Ok(self.store.is_valid(&found)?.then_some(found))
    }

    /// Realises the derivation and says on the way what happens.
    pub fn realise(&self, job: &Job<'_>) -> Result<Results, BuildError> {
        let id = ActivityId::fresh();
        let started = Instant::now();
        let (drv, name, kind) = (job.path.clone(), job.drv.name.clone(), job.kind);
        let resolved = Resolved::of(job)?;
        if resolved.path != drv && job.drv.kind()? != DerivationKind::Fixed {
            self.observer.event(Event::Resolved { drv: drv.clone(), to: resolved.path.clone() });
        }
        if self.begins_nothing(job, &resolved)? {
            let result = self.realise_as(id, job, &resolved, &Leftovers::default());
            self.observer.event(Event::Dropped { drv });
            return result.map(|(results, _)| results);
        }
        self.observer.event(Event::Started { id, drv, name, kind });
        // Removing what a large build leaves takes long: what became of it is told first.
        let leftovers = Leftovers::default();
        let result = self.realise_as(id, job, &resolved, &leftovers);
        let outcome = match &result {
            Ok((_, outcome)) => outcome.clone(),
            Err(error) if error.is_cancellation() => Outcome::Cancelled,
            Err(_) => Outcome::Failed,
        };
        self.observer.event(Event::Finished { id, outcome, elapsed: started.elapsed() });
        leftovers.take().into_iter().for_each(|folders| self.shelf.put_back(folders));
        result.map(|(results, _)| results)
    }

    /// Whether it will not be built, as far as can be told before: this machine refuses to, or what it resolves to was built
    /// before.
    fn begins_nothing(&self, job: &Job<'_>, resolved: &Resolved<'_>) -> Result<bool, BuildError> {
        if build::refusal(self.options, job.drv).is_some() {
            return Ok(true);
        }
        let is_another = resolved.path != *job.path && !job.check;
        Ok(is_another && resolved.is_complete(&self.present(&resolved.path, &resolved.drv)?))
    }

    fn realise_as(
        &self,
        id: ActivityId,
        job: &Job<'_>,
        resolved: &Resolved<'_>,
        leftovers: &Leftovers,
    ) -> Result<(Results, Outcome), BuildError> {
        let (drv, path) = (resolved.drv.as_ref(), &resolved.path);
        // What it resolves to, and with it what that was built to, is not in the closure of what was asked for.
        if path != job.path {
            self.store.pin([path])?;
        }
        let _locks = self.lock(id, path, drv)?;
        let mut present = self.present(path, drv)?;
        let outcome = if resolved.is_complete(&present) {
            self.record(job, path, &present)?;
            Outcome::AlreadyThere
        } else {
            let realised_for = realised_for(job, path, drv);
            let build = |task: &Task<'_>, folders: &Folders| task.build(folders, &realised_for);
            present = self.task(id, job, path, drv, leftovers, build)?;
            Outcome::Built
        };
        if job.check {
            self.task(id, job, path, drv, leftovers, |task, folders| task.compare(folders, &present))?;
            return Ok((present, Outcome::Built));
        }
        Ok((present, outcome))
    }

    /// Locks the outputs, or the derivation itself where their paths are not known yet.
    fn lock(&self, id: ActivityId, path: &StorePath, drv: &Derivation) -> Result<Vec<FileLock>, BuildError> {
        let known: BTreeSet<&StorePath> = drv.outputs.values().filter_map(|output| output.path()).collect();
        let paths = if known.is_empty() { BTreeSet::from([path]) } else { known };
        let lock = |path: &StorePath| {
            let waiting = || self.observer.event(Event::WaitingForLock { id, path: path.to_string() });
            self.store.lock(path, self.cancellation, waiting)
        };
        Ok(paths.into_iter().map(lock).collect::<Result<_, _>>()?)
    }

    /// Remembers for the derivation as written what is known for the one that it resolves to.
    fn record(&self, job: &Job<'_>, path: &StorePath, results: &Results) -> Result<(), BuildError> {
        if path == job.path || job.drv.kind()? == DerivationKind::Fixed {
            return Ok(());
        }
        let realisation = |(output, path): (&String, &StorePath)| Realisation {
            drv: job.path.clone(),
            output: output.clone(),
            path: path.clone(),
        };
        Ok(self.store.register(&[], &results.iter().map(realisation).collect::<Vec<_>>())?)
    }

    fn task<T>(
        &self,
        id: ActivityId,
        job: &Job<'_>,
        drv_path: &StorePath,
        drv: &Derivation,
        leftovers: &Leftovers,
        run: impl FnOnce(&Task<'_>, &Folders) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        if drv_path != job.path {
            self.store.add_derivation(drv)?;
        }
        let inputs = self.input_closure(job, drv)?;
        let Realiser { store, options, identity, observer, cancellation, .. } = *self;
        let (written_as, inputs) = (job.path, &inputs);
        let task =
            Task { store, options, identity, observer, cancellation, id, drv_path, drv, written_as, inputs };
        let folders = self.shelf.take(store, identity, inputs)?;
        let result = run(&task, &folders);
        leftovers.borrow_mut().push(folders);
        result
    }

    fn input_closure(&self, job: &Job<'_>, drv: &Derivation) -> Result<BTreeSet<StorePath>, BuildError> {
        let mut direct = drv.input_sources.clone();
        for (input, wanted) in &drv.input_derivations {
            let results = job.inputs.get(input);
            for output in &wanted.outputs {
                let path = results.and_then(|results| results.get(output));
                direct.insert(path.cloned().ok_or_else(|| unrealised(input, output))?);
            }
        }
        let closure = self.store.closure(&direct)?;
        match direct.difference(&closure).next() {
            Some(missing) => Err(crate::store::StoreError::NotValid(missing.clone()).into()),
            None => Ok(closure),
        }
    }
}

/// The derivations for which the store must remember what the outputs are, since their text does not say it.
fn realised_for(job: &Job<'_>, path: &StorePath, drv: &Derivation) -> Vec<StorePath> {
    let knows_paths = |drv: &Derivation| drv.outputs.values().all(|output| output.path().is_some());
    let is_impure = drv.outputs.values().any(|output| matches!(output, zeval_model::Output::Impure { .. }));
    let mut all = Vec::new();
    if is_impure {
        return all;
    }
    if !knows_paths(drv) {
        all.push(path.clone());
    }
    if path != job.path && !knows_paths(job.drv) {
        all.push(job.path.clone());
    }
    all
}

/// A derivation with plain paths for inputs; the same as written if it has nothing to resolve.
struct Resolved<'a> {
    drv: Cow<'a, Derivation>,
    path: StorePath,
}

impl<'a> Resolved<'a> {
    fn of(job: &Job<'a>) -> Result<Resolved<'a>, BuildError> {
        let drv = resolve(job)?;
        let path = match &drv {
            Cow::Borrowed(_) => job.path.clone(),
            Cow::Owned(drv) => drv.store_path()?,
        };
        Ok(Resolved { drv, path })
    }

    fn is_complete(&self, results: &Results) -> bool {
        results.len() == self.drv.outputs.len()
    }
}

/// The derivation with plain paths in the place of inputs whose paths are only known now.
fn resolve<'a>(job: &Job<'a>) -> Result<Cow<'a, Derivation>, BuildError> {
    let kind = job.drv.kind()?;
    let must = match kind {
        DerivationKind::InputAddressed => false,
        DerivationKind::Fixed
        | DerivationKind::Floating
        | DerivationKind::Deferred
        | DerivationKind::Impure => !job.drv.input_derivations.is_empty(),
    };
    if !must && !job.drv.has_dynamic_inputs() {
        return Ok(Cow::Borrowed(job.drv));
    }
    let mut missing = None;
    let output_path = |drv: &StorePath, output: &str| {
        let path = job.inputs.get(drv).and_then(|results| results.get(output)).cloned();
        if path.is_none() {
            missing = Some((drv.clone(), output.to_owned()));
        }
        path
    };
    match (job.drv.resolve(output_path)?, missing) {
        (Some(resolved), _) => Ok(Cow::Owned(resolved)),
        (None, Some((drv, output))) => Err(unrealised(&drv, &output)),
        (None, None) => Err(unrealised(job.path, "")),
    }
}

fn unrealised(drv: &StorePath, output: &str) -> BuildError {
    crate::build::Malformed::new(format!("its input '{drv}' has no output '{output}'")).into()
}
