//! What is wanted, as it becomes known, and what caches have of it: both join the graph while it is worked on.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender};

use zeval_model::StorePath;

use super::graph::{NodeId, State};
use super::{DrvOutput, Planner, RealiseError, Work};
use crate::build::{BuildError, Check};
use crate::cache::{self, Offer};
use crate::cancel::Cancellation;
use crate::events::Event;
use crate::store::{Realisation, StoreError};

/// Takes what is wanted while it is still being found out.
pub struct Wants<'a> {
    pub(super) sender: Sender<Vec<DrvOutput>>,
    pub(super) cancellation: &'a Cancellation,
}

impl Wants<'_> {
    /// Begins to make these outputs valid; their derivations are in the store. Whether it is of use to find more: it is not once
    /// something failed.
    pub fn add(&self, wanted: Vec<DrvOutput>) -> bool {
        self.sender.send(wanted).is_ok() && self.is_of_use()
    }

    /// Whether it is of use to find more.
    pub fn is_of_use(&self) -> bool {
        !self.cancellation.is_cancelled()
    }
}

impl Work<'_> {
    /// Puts what is wanted into the graph, as it comes, and works on it with threads of `scope`.
    pub(super) fn feed<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        wanted: &Receiver<Vec<DrvOutput>>,
    ) {
        let mut has_workers = false;
        while let Ok(mut batch) = wanted.recv() {
            batch.extend(wanted.try_iter().flatten());
            match self.begin(&batch) {
                Ok(offer) if offer.is_empty() => (),
                Ok(offer) => drop(scope.spawn(|| self.download(offer))),
                Err(error) => self.give_up(error),
            }
            if !has_workers && !self.lock().graph.is_finished() {
                has_workers = true;
                self.spawn_workers(scope);
            }
        }
        self.lock().complete = true;
        self.changed.notify_all();
    }

    /// Nothing more can be done: an error of the store, or of a request that makes no sense.
    fn give_up(&self, error: RealiseError) {
        self.lock().error.get_or_insert(error);
        self.realiser.cancellation.cancel();
    }

    /// Adds what is wanted to the graph; gives what is to be downloaded of it.
    fn begin(&self, wanted: &[DrvOutput]) -> Result<Offer, RealiseError> {
        self.realiser.store.pin(wanted.iter().map(|wanted| &wanted.drv))?;
        let offer = self.find(wanted)?;
        self.add(wanted, &offer)?;
        Ok(offer)
    }

    fn find(&self, wanted: &[DrvOutput]) -> Result<Offer, StoreError> {
        match &self.substituter {
            Some(substituter) if self.realiser.options.check == Check::Nothing => substituter.find(wanted),
            _ => Ok(Offer::default()),
        }
    }

    /// Downloads what is offered. What cannot be had is built, or what that needs downloaded.
    fn download(&self, offer: Offer) {
        let realiser = &self.realiser;
        offer.download(realiser.store, realiser.observer, realiser.cancellation, |path, is_there| {
            let ended = match is_there {
                true => self.arrived(path),
                false if realiser.cancellation.is_cancelled() => Ok(()),
                false => self.missed(path),
            };
            ended.unwrap_or_else(|error| self.give_up(error));
        });
    }

    /// Ends the waiting of what was to be downloaded to `path`.
    fn arrived(&self, path: &StorePath) -> Result<(), RealiseError> {
        let waiting: Vec<(NodeId, StorePath, Vec<String>)> = {
            let shared = self.lock();
            let nodes = shared.graph.offered(path).iter();
            nodes
                .map(|&id| (id, shared.graph.node(id).path.clone(), shared.graph.outputs_at(id, path)))
                .collect()
        };
        for (id, drv, outputs) in waiting {
            self.remember(&drv, &outputs, path)?;
            let mut shared = self.lock();
            for output in outputs {
                shared.graph.node_mut(id).offered.remove(&output);
                shared.graph.node_mut(id).results.insert(output, path.clone());
            }
            let node = shared.graph.node(id);
            if node.state == State::Downloading && node.offered.is_empty() {
                shared.graph.complete(id, Default::default());
            }
        }
        self.changed.notify_all();
        Ok(())
    }

    /// What a derivation was built to, where its text does not say it.
    fn remember(&self, drv: &StorePath, outputs: &[String], path: &StorePath) -> Result<(), StoreError> {
        let store = self.realiser.store;
        let text = store.derivation(drv)?;
        let is_unknown =
            |output: &&String| text.outputs.get(*output).is_some_and(|found| found.path().is_none());
        let realisations: Vec<_> = outputs
            .iter()
            .filter(is_unknown)
            .map(|output| Realisation { drv: drv.clone(), output: output.clone(), path: path.clone() })
            .collect();
        if realisations.is_empty() { Ok(()) } else { store.register(&[], &realisations) }
    }

    /// Builds what was to be downloaded to `path`.
    fn missed(&self, path: &StorePath) -> Result<(), RealiseError> {
        let waiting = self.lock().graph.offered(path).to_vec();
        for id in waiting {
            let path = {
                let shared = self.lock();
                let node = shared.graph.node(id);
                if node.state != State::Downloading {
                    continue;
                }
                node.path.clone()
            };
            let drv = self.realiser.store.derivation(&path)?;
            let offer = self.find(&cache::inputs(&drv))?;
            self.build_instead(id, &offer)?;
            if !offer.is_empty() {
                self.download(offer);
            }
        }
        Ok(())
    }

    fn build_instead(&self, id: NodeId, offer: &Offer) -> Result<(), RealiseError> {
        let mut shared = self.lock();
        let mut planner = Planner::new(&self.realiser, &mut shared.graph, offer);
        if planner.graph.build_instead(id) {
            planner.opened.push(id);
            let drv = self.realiser.store.derivation(&planner.graph.node(id).path)?;
            planner.plan_inputs(vec![(id, drv)])?;
        }
        let opened = planner.opened;
        self.start(&mut shared, &opened)
    }

    /// Tells what will have to be downloaded.
    pub(super) fn announce(&self, offer: &Offer) {
        if !offer.is_empty() {
            self.realiser.observer.event(Event::Planned(offer.planned()));
        }
    }

    /// Puts `wanted` and everything that it needs and that is not there into the graph.
    pub(super) fn add(&self, wanted: &[DrvOutput], offer: &Offer) -> Result<(), RealiseError> {
        let mut shared = self.lock();
        self.announce(offer);
        let check = self.realiser.options.check != Check::Nothing;
        let mut planner = Planner::new(&self.realiser, &mut shared.graph, offer);
        for DrvOutput { drv, output } in wanted {
            planner.want(drv, &BTreeSet::from([output.clone()]), check)?;
        }
        let opened = planner.opened;
        self.start(&mut shared, &opened)
    }
}

impl From<BuildError> for RealiseError {
    /// For errors of the plan, which are the store's.
    fn from(error: BuildError) -> RealiseError {
        match error {
            BuildError::Store(error) => RealiseError::Store(error),
            other => RealiseError::Store(StoreError::Corrupt(other.to_string())),
        }
    }
}
