//! From outputs wanted to outputs valid: finds what is missing, and realises it with every core busy.
//!
//! The graph stands under one lock that nobody holds while building. Threads take what can start, the one with the longest
//! chain waiting for it first; fetches have threads of their own.

mod dynamic;
mod feed;
mod graph;
mod realise;
mod slots;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use thiserror::Error;
use zeval_model::{Derivation, StorePath};

use crate::build::{self, BuildError, BuildOptions, Check, Shelf};
use crate::cache::{Offer, Substituter};
use crate::cancel::Cancellation;
use crate::events::{ActivityKind, Event, Observer, Planned};
use crate::sandbox::{Identity, choose_identity};
use crate::store::{Store, StoreError};
use graph::{Cost, Graph, NodeId, Queue, State};
use realise::{Job, Realiser, Results};

pub use feed::Wants;
pub use slots::Slots;
pub use sources::sources;

/// An output of a derivation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrvOutput {
    pub drv: StorePath,
    pub output: String,
}

/// An output and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Built {
    pub drv: StorePath,
    pub output: String,
    pub path: StorePath,
}

/// A derivation that failed.
#[derive(Debug)]
pub struct Failure {
    pub drv: StorePath,
    pub error: BuildError,
    /// The compressed file with the whole log, if the builder ran.
    pub log: Option<PathBuf>,
}

/// Why not everything that was wanted is there.
#[derive(Debug, Error)]
pub enum RealiseError {
    #[error("{}", describe(failures, dropped))]
    Failed {
        failures: Vec<Failure>,
        /// What could not be tried because an input failed.
        dropped: Vec<StorePath>,
    },
    #[error("'{drv}' has no output '{output}'; it has {}", outputs.join(", "))]
    NoSuchOutput { drv: StorePath, output: String, outputs: Vec<String> },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cancelled")]
    Cancelled,
}

fn describe(failures: &[Failure], dropped: &[StorePath]) -> String {
    let mut text: Vec<String> =
        failures.iter().map(|failure| format!("cannot build '{}': {}", failure.drv, failure.error)).collect();
    match dropped.len() {
        0 => (),
        1 => text.push("1 derivation that needs it was not built".to_owned()),
        count => text.push(format!("{count} derivations that need it were not built")),
    }
    text.join("\n")
}

/// Realises derivations in one store.
pub struct Builder<'a> {
    store: &'a Store,
    options: BuildOptions,
    identity: Identity,
}

impl<'a> Builder<'a> {
    pub fn new(store: &'a Store, options: BuildOptions) -> Builder<'a> {
        let identity = choose_identity(options.as_caller);
        Builder { store, options, identity }
    }

    /// Makes every output of `wanted` valid, and gives their paths in the same order.
    ///
    /// When cancelled, everything that was started is ended before this returns.
    pub fn build(
        &self,
        wanted: &[DrvOutput],
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> Result<Vec<Built>, RealiseError> {
        self.build_while(observer, cancellation, |wants| {
            wants.add(wanted.to_vec());
            Ok(wanted.to_vec())
        })
    }

    /// The same for what `find` finds out meanwhile: it says all that is wanted in the end, and names what it knows before.
    ///
    /// If it fails, so does this, and what was started is ended. It is told when there is no use in going on.
    pub fn build_while<E: From<RealiseError>>(
        &self,
        observer: &dyn Observer,
        cancellation: &Cancellation,
        find: impl FnOnce(&Wants<'_>) -> Result<Vec<DrvOutput>, E>,
    ) -> Result<Vec<Built>, E> {
        let started = Instant::now();
        let inner = cancellation.child();
        let work = Work::new(self.realiser(observer, &inner));
        let (sender, receiver) = mpsc::channel();
        let wants = Wants { sender, cancellation: &inner };
        let in_work = &work;
        let found = std::thread::scope(|scope| {
            scope.spawn(move || in_work.feed(scope, &receiver));
            let found = find(&wants);
            if found.is_err() {
                inner.cancel();
            }
            drop(wants);
            found
        });
        if started.elapsed() > WORTH_SYNCING {
            self.store.sync().map_err(RealiseError::from)?;
        }
        work.result(found, cancellation)
    }

    fn realiser<'r>(&'r self, observer: &'r dyn Observer, cancellation: &'r Cancellation) -> Realiser<'r> {
        let (store, options, identity) = (self.store, &self.options, &self.identity);
        Realiser { store, options, identity, observer, cancellation, shelf: Shelf::default() }
    }

    /// The derivations that [`Builder::build`] would have to realise, as far as can be known.
    pub fn plan(&self, wanted: &[DrvOutput]) -> Result<Vec<Planned>, RealiseError> {
        let collector = Collector::default();
        let cancellation = Cancellation::new();
        let work = Work::new(self.realiser(&collector, &cancellation));
        work.add(wanted, &Offer::default())?;
        Ok(collector.0.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Default)]
struct Collector(Mutex<Vec<Planned>>);

impl Observer for Collector {
    fn event(&self, event: Event) {
        if let Event::Planned(planned) = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(planned);
        }
    }
}

/// Work that took longer is brought to disk before it is called done. To sync may itself take seconds where others write
/// much; less than this is sooner verified, should the power fail, than synced each time.
const WORTH_SYNCING: Duration = Duration::from_secs(3);

/// What a build is taken to last that was never seen.
const DEFAULT_SECONDS: u64 = 1;

/// A request being worked on.
struct Work<'a> {
    realiser: Realiser<'a>,
    substituter: Option<Substituter<'a>>,
    state: Mutex<Shared>,
    /// Something can start, or everything has ended.
    changed: Condvar,
}

#[derive(Default)]
struct Shared {
    graph: Graph,
    /// All that is wanted is known.
    complete: bool,
    failures: Vec<Failure>,
    dropped: Vec<StorePath>,
    /// Why nothing more can be done.
    error: Option<RealiseError>,
}

impl<'a> Work<'a> {
    fn new(realiser: Realiser<'a>) -> Work<'a> {
        let substitution = realiser.options.substitution.as_deref();
        let Realiser { store, observer, cancellation, .. } = realiser;
        let substituter = substitution.map(|caches| Substituter::new(store, caches, observer, cancellation));
        Work { realiser, substituter, state: Mutex::default(), changed: Condvar::new() }
    }
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces and queues what was put into the graph.
    fn start(&self, shared: &mut Shared, opened: &[NodeId]) -> Result<(), RealiseError> {
        let graph = &mut shared.graph;
        let planned = opened.iter().map(|&id| {
            let node = graph.node(id);
            Planned { drv: node.path.clone(), name: node.name().to_owned(), kind: node.kind }
        });
        self.realiser.observer.event(Event::Planned(planned.collect()));
        if opened.is_empty() {
            return Ok(());
        }
        let hopeless = graph.drop_hopeless();
        let efforts = self.realiser.store.efforts()?;
        graph.rank_and_queue(opened, |node| {
            let effort = efforts.get(node.name());
            effort.map_or(Cost { seconds: DEFAULT_SECONDS, memory: 0 }, |effort| Cost {
                seconds: effort.milliseconds / 1000,
                memory: effort.peak_kibibytes,
            })
        });
        self.drop_nodes(shared, &hopeless);
        self.changed.notify_all();
        Ok(())
    }

    /// Threads that work until nothing is left that can be done, or comes.
    fn spawn_workers<'scope>(&'scope self, scope: &'scope std::thread::Scope<'scope, '_>) {
        let options = self.realiser.options;
        let (builds, fetches) = (options.jobs.max(1), options.fetches.max(1));
        (0..builds).for_each(|_| drop(scope.spawn(|| self.work(Queue::Builds))));
        (0..fetches).for_each(|_| drop(scope.spawn(|| self.work(Queue::Fetches))));
    }

    /// One thread's life.
    fn work(&self, queue: Queue) {
        let slots = self.realiser.options.slots.as_ref().filter(|_| queue == Queue::Builds);
        while let Some(id) = self.next(queue) {
            let _slot = slots.map(|slots| slots.take());
            let result = self.item(id).and_then(|item| self.realiser.realise(&item.job()));
            self.end(id, result);
        }
    }

    fn item(&self, id: NodeId) -> Result<Item, BuildError> {
        let path = self.lock().graph.node(id).path.clone();
        let drv = self.realiser.store.derivation(&path)?;
        Ok(Item::of(&self.lock().graph, id, drv))
    }

    /// Waits for something to do; nothing when all has ended or is to end.
    fn next(&self, queue: Queue) -> Option<NodeId> {
        const LOOK_UP: Duration = Duration::from_millis(100);
        let mut shared = self.lock();
        loop {
            let is_over = shared.complete && shared.graph.is_finished();
            if is_over || self.realiser.cancellation.is_cancelled() {
                self.changed.notify_all();
                return None;
            }
            if let Some(id) = shared.graph.take(queue, self.realiser.options.memory >> 10) {
                match self.expand(&mut shared, id) {
                    Ok(true) => {}
                    Ok(false) => return Some(id),
                    Err(error) => {
                        drop(shared);
                        self.end(id, Err(error));
                        shared = self.lock();
                    }
                }
                continue;
            }
            shared = match self.changed.wait_timeout(shared, LOOK_UP) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn end(&self, id: NodeId, result: Result<Results, BuildError>) {
        let mut shared = self.lock();
        match result {
            Ok(results) => shared.graph.complete(id, results),
            Err(error) => {
                let drv = shared.graph.node(id).path.clone();
                let dropped = shared.graph.fail(id);
                self.drop_nodes(&mut shared, &dropped);
                if !error.is_cancellation() {
                    let log = Some(self.realiser.store.log_path(&drv)).filter(|log| log.exists());
                    shared.failures.push(Failure { drv, error, log });
                    if !self.realiser.options.keep_going {
                        self.realiser.cancellation.cancel();
                    }
                }
            }
        }
        self.changed.notify_all();
    }

    /// Tells of what cannot be realised because an input failed.
    fn drop_nodes(&self, shared: &mut Shared, dropped: &[NodeId]) {
        for &id in dropped {
            let drv = shared.graph.node(id).path.clone();
            self.realiser.observer.event(Event::Dropped { drv: drv.clone() });
            shared.dropped.push(drv);
        }
    }

    fn result<E: From<RealiseError>>(
        self,
        wanted: Result<Vec<DrvOutput>, E>,
        outer: &Cancellation,
    ) -> Result<Vec<Built>, E> {
        let Shared { graph, failures, dropped, error, .. } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !failures.is_empty() {
            return Err(RealiseError::Failed { failures, dropped }.into());
        }
        if let Some(error) = error {
            return Err(error.into());
        }
        if outer.is_cancelled() {
            return Err(RealiseError::Cancelled.into());
        }
        let wanted = wanted?;
        let mut built = Vec::new();
        for DrvOutput { drv, output } in &wanted {
            let node = graph.find(drv).map(|id| graph.node(id)).filter(|node| node.state == State::Done);
            let Some(path) = node.and_then(|node| node.results.get(output)) else {
                // Only where it was cancelled from outside after all had ended.
                return Err(RealiseError::Cancelled.into());
            };
            built.push(Built { drv: drv.clone(), output: output.clone(), path: path.clone() });
        }
        Ok(built)
    }
}

/// What a thread needs to know of a node once the graph is unlocked.
struct Item {
    path: StorePath,
    drv: Derivation,
    kind: ActivityKind,
    check: bool,
    inputs: BTreeMap<StorePath, Results>,
}

impl Item {
    fn of(graph: &Graph, id: NodeId, drv: Derivation) -> Item {
        let node = graph.node(id);
        let input = |path: &StorePath| Some((path.clone(), graph.node(graph.find(path)?).results.clone()));
        let dynamic = dynamic::known(graph, &drv);
        let inputs = drv.input_derivations.keys().chain(&dynamic).filter_map(input).collect();
        Item { path: node.path.clone(), drv, kind: node.kind, check: node.check, inputs }
    }

    fn job(&self) -> Job<'_> {
        Job {
            path: &self.path,
            drv: &self.drv,
            kind: self.kind,
            check: self.check,
            inputs: self.inputs.clone(),
        }
    }
}

/// A derivation whose inputs have not been visited.
type Unseen = (NodeId, Derivation);

/// Finds what is missing. Does not recurse: chains of derivations get long.
struct Planner<'a, 'b> {
    realiser: &'a Realiser<'b>,
    graph: &'a mut Graph,
    /// What need not be built.
    offer: &'a Offer,
    /// Derivations that are to be built and were not before.
    opened: Vec<NodeId>,
}

impl<'a, 'b> Planner<'a, 'b> {
    fn new(realiser: &'a Realiser<'b>, graph: &'a mut Graph, offer: &'a Offer) -> Planner<'a, 'b> {
        Planner { realiser, graph, offer, opened: Vec::new() }
    }

    fn want(
        &mut self,
        drv: &StorePath,
        outputs: &BTreeSet<String>,
        check: bool,
    ) -> Result<NodeId, RealiseError> {
        let mut unseen = Vec::new();
        let root = self.visit(drv, outputs, check, &mut unseen)?;
        self.plan_inputs(unseen)?;
        Ok(root)
    }

    /// Visits what derivations that are to be built need.
    fn plan_inputs(&mut self, mut unseen: Vec<Unseen>) -> Result<(), RealiseError> {
        let mut edges = Vec::new();
        while let Some((id, drv)) = unseen.pop() {
            for (path, wanted) in &drv.input_derivations {
                let check = self.realiser.options.check == Check::Everything;
                // Outputs that are derivations are known, and visited, once they are built.
                let mut outputs = wanted.outputs.clone();
                outputs.extend(wanted.dynamic.keys().cloned());
                edges.push((id, self.visit(path, &outputs, check, &mut unseen)?));
            }
        }
        // Only now is it known which inputs are done.
        edges.into_iter().for_each(|(dependent, input)| self.graph.depend(dependent, input));
        Ok(())
    }

    /// The node of a derivation, which goes to `unseen` if it turns out that it must be realised.
    fn visit(
        &mut self,
        path: &StorePath,
        outputs: &BTreeSet<String>,
        check: bool,
        unseen: &mut Vec<Unseen>,
    ) -> Result<NodeId, RealiseError> {
        let (id, drv) = match self.graph.find(path) {
            Some(id) => (id, None),
            None => self.insert(path).map(|(id, drv)| (id, Some(drv)))?,
        };
        let node = self.graph.node_mut(id);
        for output in outputs {
            if !node.outputs.iter().any(|known| **known == **output) {
                let (drv, output) = (path.clone(), output.clone());
                let outputs = node.outputs.iter().map(|name| name.to_string()).collect();
                return Err(RealiseError::NoSuchOutput { drv, output, outputs });
            }
        }
        node.wanted.extend(outputs.iter().cloned());
        let is_worth_checking = node.kind != ActivityKind::Fetch || self.realiser.options.repair;
        node.check |= check && is_worth_checking;
        let is_there = node.wanted.iter().all(|output| node.results.contains_key(output)) && !node.check;
        if is_there || !matches!(node.state, State::Done | State::Downloading) {
            return Ok(id);
        }
        match self.offered(id) {
            Some(paths) => self.graph.await_download(id, paths),
            None => {
                self.graph.reopen(id);
                self.opened.push(id);
                let drv = drv.map_or_else(|| self.realiser.store.derivation(path), Ok)?;
                unseen.push((id, drv));
            }
        }
        Ok(id)
    }

    /// Where the missing outputs of a derivation will be once they are downloaded, if all can be.
    fn offered(&self, id: NodeId) -> Option<Results> {
        let node = self.graph.node(id);
        let missing = node.wanted.iter().filter(|output| !node.results.contains_key(*output));
        let offered =
            missing.map(|output| Some((output.clone(), self.offer.get(&node.path, output)?.clone())));
        if node.check { None } else { offered.collect() }
    }

    fn insert(&mut self, path: &StorePath) -> Result<Unseen, RealiseError> {
        let drv = self.realiser.store.derivation(path)?;
        let kind = build::activity_kind(&drv);
        let present = self.realiser.present(path, &drv)?;
        let id = self.graph.insert(path.clone(), &drv, kind);
        self.graph.node_mut(id).results = present;
        Ok((id, drv))
    }
}

impl fmt::Display for DrvOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}^{}", self.drv, self.output)
    }
}
