//! Dynamic derivations: inputs that are outputs of derivations which are themselves built. They join the graph as soon as
//! they are known.

use std::collections::{BTreeMap, BTreeSet};

use zeval_model::derivation::InputOutputs;
use zeval_model::{Derivation, StorePath};

use super::graph::{Graph, NodeId, State};
use super::{Planner, RealiseError, Shared, Work};
use crate::build::{BuildError, Malformed};
use crate::cache::Offer;

/// The built derivations whose outputs a derivation wants, as far as they are known.
type Wanted = BTreeMap<StorePath, BTreeSet<String>>;

/// The built derivations that `drv` has as inputs, as far as they are known.
pub fn known(graph: &Graph, drv: &Derivation) -> Vec<StorePath> {
    wanted(graph, drv).into_keys().collect()
}

fn wanted(graph: &Graph, drv: &Derivation) -> Wanted {
    let mut found = Wanted::new();
    for (path, inputs) in &drv.input_derivations {
        follow(graph, path, inputs, &mut found);
    }
    found
}

fn follow(graph: &Graph, path: &StorePath, inputs: &InputOutputs, found: &mut Wanted) {
    for (output, inner) in &inputs.dynamic {
        let results = graph.find(path).map(|id| &graph.node(id).results);
        let Some(built) = results.and_then(|results| results.get(output)) else { continue };
        let outputs = found.entry(built.clone()).or_default();
        outputs.extend(inner.outputs.iter().cloned());
        outputs.extend(inner.dynamic.keys().cloned());
        follow(graph, built, inner, found);
    }
}

impl Work<'_> {
    /// Adds to the graph what a derivation that was about to start turns out to need, and lets it wait for that; whether there
    /// was such.
    pub(super) fn expand(&self, shared: &mut Shared, id: NodeId) -> Result<bool, BuildError> {
        let node = shared.graph.node(id);
        if !node.is_dynamic {
            return Ok(false);
        }
        let drv = self.realiser.store.derivation(&node.path)?;
        let missing: Wanted = wanted(&shared.graph, &drv)
            .into_iter()
            .filter(|(path, outputs)| !is_done(&shared.graph, path, outputs))
            .collect();
        if missing.is_empty() {
            return Ok(false);
        }
        let name = drv.name.as_str();
        let failed = |error: RealiseError| match error {
            RealiseError::Store(error) => BuildError::Store(error),
            error => {
                Malformed::new(format!("an input of {name} that was built makes no sense: {error}")).into()
            }
        };
        let offer = Offer::default();
        let mut planner = Planner::new(&self.realiser, &mut shared.graph, &offer);
        for (path, outputs) in &missing {
            let input = planner.want(path, outputs, false).map_err(failed)?;
            planner.graph.depend(id, input);
        }
        let opened = planner.opened;
        shared.graph.wait(id);
        self.start(shared, &opened).map_err(failed)?;
        Ok(true)
    }
}

fn is_done(graph: &Graph, path: &StorePath, outputs: &BTreeSet<String>) -> bool {
    graph.find(path).is_some_and(|id| {
        let node = graph.node(id);
        node.state == State::Done && outputs.iter().all(|output| node.results.contains_key(output))
    })
}
