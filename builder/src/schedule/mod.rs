//! From outputs wanted to outputs valid: finds what is missing, and realises it with every core busy.
//!
//! The graph stands under one lock that nobody holds while building. Threads take what can start, the one with the longest
//! chain waiting for it first; fetches have threads of their own.

mod dynamic;
mod graph;
mod realise;
mod slots;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use zeval_model::{Derivation, StorePath};

use crate::build::{self, BuildError, BuildOptions, Check};
use crate::cache;
use crate::cancel::Cancellation;
use crate::events::{ActivityKind, Event, Observer, Planned};
use crate::sandbox::{Identity, choose_identity};
use crate::store::{Store, StoreError};
use graph::{Cost, Graph, NodeId, Queue, State};
use realise::{Job, Realiser, Results};

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
        Builder { store, options, identity: choose_identity() }
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
        let started = Instant::now();
        self.store.pin(wanted.iter().map(|wanted| &wanted.drv))?;
        if let (Some(substitution), Check::Nothing) = (&self.options.substitution, self.options.check) {
            cache::substitute(self.store, substitution, wanted, observer, cancellation)?;
        }
        let inner = cancellation.child();
        let realiser = Realiser {
            store: self.store,
            options: &self.options,
            identity: &self.identity,
            observer,
            cancellation: &inner,
        };
        let work = Work { realiser, state: Mutex::default(), changed: Condvar::new() };
        work.add(wanted)?;
        work.run();
        let result = work.result(wanted, cancellation);
        if started.elapsed() > WORTH_SYNCING {
            self.store.sync()?;
        }
        result
    }

    /// The derivations that [`Builder::build`] would have to realise, as far as can be known.
    pub fn plan(&self, wanted: &[DrvOutput]) -> Result<Vec<Planned>, RealiseError> {
        let collector = Collector::default();
        let cancellation = Cancellation::new();
        let realiser = Realiser {
            store: self.store,
            options: &self.options,
            identity: &self.identity,
            observer: &collector,
            cancellation: &cancellation,
        };
        let work = Work { realiser, state: Mutex::default(), changed: Condvar::new() };
        work.add(wanted)?;
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
    state: Mutex<Shared>,
    /// Something can start, or everything has ended.
    changed: Condvar,
}

#[derive(Default)]
struct Shared {
    graph: Graph,
    failures: Vec<Failure>,
    dropped: Vec<StorePath>,
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `wanted` and everything that it needs and that is not there into the graph.
    fn add(&self, wanted: &[DrvOutput]) -> Result<(), RealiseError> {
        let mut shared = self.lock();
        let mut planner = Planner { realiser: &self.realiser, graph: &mut shared.graph, opened: Vec::new() };
        for DrvOutput { drv, output } in wanted {
            planner.want(
                drv,
                &BTreeSet::from([output.clone()]),
                self.realiser.options.check != Check::Nothing,
            )?;
        }
        let opened = planner.opened;
        self.start(&mut shared.graph, &opened)
    }

    /// Announces and queues what was put into the graph.
    fn start(&self, graph: &mut Graph, opened: &[NodeId]) -> Result<(), RealiseError> {
        let planned = opened.iter().map(|&id| {
            let node = graph.node(id);
            Planned { drv: node.path.clone(), name: node.drv.name.clone(), kind: node.kind }
        });
        self.realiser.observer.event(Event::Planned(planned.collect()));
        if opened.is_empty() {
            return Ok(());
        }
        let efforts = self.realiser.store.efforts()?;
        graph.rank_and_queue(opened, |node| {
            let effort = efforts.get(&node.drv.name);
            effort.map_or(Cost { seconds: DEFAULT_SECONDS, memory: 0 }, |effort| Cost {
                seconds: effort.milliseconds / 1000,
                memory: effort.peak_kibibytes,
            })
        });
        self.changed.notify_all();
        Ok(())
    }

    /// Works until nothing is left that can be done.
    fn run(&self) {
        let options = self.realiser.options;
        let (builds, fetches) = (options.jobs.max(1), options.fetches.max(1));
        std::thread::scope(|scope| {
            (0..builds).for_each(|_| drop(scope.spawn(|| self.work(Queue::Builds))));
            (0..fetches).for_each(|_| drop(scope.spawn(|| self.work(Queue::Fetches))));
        });
    }

    /// One thread's life.
    fn work(&self, queue: Queue) {
        let slots = self.realiser.options.slots.as_ref().filter(|_| queue == Queue::Builds);
        while let Some((id, work)) = self.next(queue) {
            let _slot = slots.map(|slots| slots.take());
            let result = self.realiser.realise(&work.job());
            self.end(id, result);
        }
    }

    /// Waits for something to do; nothing when all has ended or is to end.
    fn next(&self, queue: Queue) -> Option<(NodeId, Item)> {
        const LOOK_UP: Duration = Duration::from_millis(100);
        let mut shared = self.lock();
        loop {
            if shared.graph.is_finished() || self.realiser.cancellation.is_cancelled() {
                self.changed.notify_all();
                return None;
            }
            if let Some(id) = shared.graph.take(queue, self.realiser.options.memory >> 10) {
                match self.expand(&mut shared, id) {
                    Ok(true) => {}
                    Ok(false) => return Some((id, Item::of(&shared.graph, id))),
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
                for dropped in shared.graph.fail(id) {
                    let drv = shared.graph.node(dropped).path.clone();
                    self.realiser.observer.event(Event::Dropped { drv: drv.clone() });
                    shared.dropped.push(drv);
                }
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

    fn result(self, wanted: &[DrvOutput], outer: &Cancellation) -> Result<Vec<Built>, RealiseError> {
        let Shared { graph, failures, dropped } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !failures.is_empty() {
            return Err(RealiseError::Failed { failures, dropped });
        }
        let mut built = Vec::new();
        for DrvOutput { drv, output } in wanted {
            let node = graph.find(drv).map(|id| graph.node(id)).filter(|node| node.state == State::Done);
            let Some(path) = node.and_then(|node| node.results.get(output)) else {
                debug_assert!(outer.is_cancelled());
                return Err(RealiseError::Cancelled);
            };
            built.push(Built { drv: drv.clone(), output: output.clone(), path: path.clone() });
        }
        Ok(built)
    }
}

/// What a thread needs to know of a node once the graph is unlocked.
struct Item {
    path: StorePath,
    drv: Arc<Derivation>,
    kind: ActivityKind,
    check: bool,
    inputs: BTreeMap<StorePath, Results>,
}

impl Item {
    fn of(graph: &Graph, id: NodeId) -> Item {
        let node = graph.node(id);
        let input = |path: &StorePath| Some((path.clone(), graph.node(graph.find(path)?).results.clone()));
        let dynamic = dynamic::known(graph, &node.drv);
        let inputs = node.drv.input_derivations.keys().chain(&dynamic).filter_map(input).collect();
        Item {
            path: node.path.clone(),
            drv: Arc::clone(&node.drv),
            kind: node.kind,
            check: node.check,
            inputs,
        }
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

/// Finds what is missing. Does not recurse: chains of derivations get long.
struct Planner<'a, 'b> {
    realiser: &'a Realiser<'b>,
    graph: &'a mut Graph,
    /// Derivations that are to be realised and were not before.
    opened: Vec<NodeId>,
}

impl Planner<'_, '_> {
    fn want(
        &mut self,
        drv: &StorePath,
        outputs: &BTreeSet<String>,
        check: bool,
    ) -> Result<NodeId, RealiseError> {
        let mut unseen = Vec::new();
        let root = self.visit(drv, outputs, check, &mut unseen)?;
        let mut edges = Vec::new();
        while let Some(id) = unseen.pop() {
            let drv = Arc::clone(&self.graph.node(id).drv);
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
        Ok(root)
    }

    /// The node of a derivation, which goes to `unseen` if it turns out that it must be realised.
    fn visit(
        &mut self,
        path: &StorePath,
        outputs: &BTreeSet<String>,
        check: bool,
        unseen: &mut Vec<NodeId>,
    ) -> Result<NodeId, RealiseError> {
        let id = match self.graph.find(path) {
            Some(id) => id,
            None => self.insert(path)?,
        };
        let node = self.graph.node_mut(id);
        for output in outputs {
            if !node.drv.outputs.contains_key(output) {
                let (drv, output) = (path.clone(), output.clone());
                let outputs = node.drv.outputs.keys().cloned().collect();
                return Err(RealiseError::NoSuchOutput { drv, output, outputs });
            }
        }
        node.wanted.extend(outputs.iter().cloned());
        let is_worth_checking = node.kind != ActivityKind::Fetch || self.realiser.options.repair;
        node.check |= check && is_worth_checking;
        let is_there = node.wanted.iter().all(|output| node.results.contains_key(output)) && !node.check;
        if node.state == State::Done && !is_there {
            self.graph.reopen(id);
            self.opened.push(id);
            unseen.push(id);
        }
        Ok(id)
    }

    fn insert(&mut self, path: &StorePath) -> Result<NodeId, RealiseError> {
        let drv = Arc::new(self.realiser.store.derivation(path)?);
        let kind = build::activity_kind(&drv);
        let present = self.realiser.present(path, &drv).map_err(|error| match error {
            BuildError::Store(error) => error,
            other => StoreError::Corrupt(other.to_string()),
        })?;
        let id = self.graph.insert(path.clone(), drv, kind);
        self.graph.node_mut(id).results = present;
        Ok(id)
    }
}

impl fmt::Display for DrvOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}^{}", self.drv, self.output)
    }
}
