//! What is to be realised and what waits for what.
//!
//! Grows while it is worked on. Every operation costs what it touches: a graph of thousands is no slower a derivation
//! than one of ten.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use zeval_model::{Derivation, Output, StorePath};

use crate::events::ActivityKind;

/// The place of a derivation in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a derivation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Some inputs are not realised yet; `Node::missing` says how many.
    Waiting,
    /// In the queue of its kind.
    Ready,
    Running,
    /// Caches have it: what `Node::offered` says is being downloaded.
    Downloading,
    /// `Node::results` has every output that is wanted.
    Done,
    Failed,
}

/// A derivation of which outputs are wanted. Its text is read again when it is built: of thousands, it would be most of what a
/// graph has in memory.
#[derive(Debug)]
pub struct Node {
    pub path: StorePath,
    /// The names of all its outputs.
    pub outputs: Box<[Box<str>]>,
    /// Whether some of its inputs are outputs of derivations that are built first.
    pub is_dynamic: bool,
    is_fixed: bool,
    pub kind: ActivityKind,
    /// Names of the outputs that somebody wants; none is left when they are there.
    pub wanted: BTreeSet<String>,
    pub state: State,
    /// Build it although it is there, and compare.
    pub check: bool,
    /// What each output was built to.
    pub results: BTreeMap<String, StorePath>,
    /// Where outputs will be that are being downloaded.
    pub offered: BTreeMap<String, StorePath>,
    /// Inputs that are not done; a derivation counts once.
    missing: usize,
    dependents: Vec<NodeId>,
    /// KiB of memory that it needed when it was built before.
    memory: u64,
    /// Seconds from here to the end of the longest chain of dependents, by what earlier builds took.
    priority: u64,
}

impl Node {
    /// What is built is called so.
    pub fn name(&self) -> &str {
        let name = self.path.name();
        name.strip_suffix(".drv").unwrap_or(name)
    }

    /// What mostly waits for a network does not keep a processor from a build. Programs of the derivation's own that make a fixed
    /// output are taken to fetch it: nothing else has the network.
    fn queue(&self) -> Queue {
        match self.kind {
            ActivityKind::Fetch => Queue::Fetches,
            ActivityKind::Build if self.is_fixed => Queue::Fetches,
            ActivityKind::Unpack | ActivityKind::Build => Queue::Builds,
        }
    }
}

/// The derivations and the queues of those that could start.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    by_path: HashMap<StorePath, NodeId>,
    /// Which derivations wait for a path that is being downloaded.
    by_download: HashMap<StorePath, Vec<NodeId>>,
    builds: BinaryHeap<(u64, std::cmp::Reverse<NodeId>)>,
    fetches: BinaryHeap<(u64, std::cmp::Reverse<NodeId>)>,
    /// Added, though an input had failed.
    hopeless: Vec<NodeId>,
    unfinished: usize,
    /// KiB that what runs needed before, together.
    memory: u64,
}

/// What a build will cost, by what it cost before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub seconds: u64,
    /// KiB.
    pub memory: u64,
}

/// Which queue to take from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    Builds,
    Fetches,
}

impl Graph {
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub fn find(&self, path: &StorePath) -> Option<NodeId> {
        self.by_path.get(path).copied()
    }

    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Adds a derivation that is done.
    pub fn insert(&mut self, path: StorePath, drv: &Derivation, kind: ActivityKind) -> NodeId {
        let is_fixed = |output| matches!(output, &Output::Fixed { .. });
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.by_path.insert(path.clone(), id);
        self.nodes.push(Node {
            path,
            outputs: drv.outputs.keys().map(|name| name.as_str().into()).collect(),
            is_dynamic: drv.has_dynamic_inputs(),
            is_fixed: !drv.outputs.is_empty() && drv.outputs.values().all(is_fixed),
            kind,
            wanted: BTreeSet::new(),
            state: State::Done,
            check: false,
            results: BTreeMap::new(),
            offered: BTreeMap::new(),
            missing: 0,
            dependents: Vec::new(),
            memory: 0,
            priority: 0,
        });
        id
    }

    /// Turns a derivation that is done, or was to be downloaded, into one that must still be built; its inputs must be first.
    pub fn reopen(&mut self, id: NodeId) {
        if self.node(id).state == State::Done {
            self.unfinished += 1;
        }
        self.node_mut(id).state = State::Waiting;
        self.node_mut(id).offered.clear();
    }

    /// Turns a derivation that is done into one whose outputs are downloaded to `paths`.
    pub fn await_download(&mut self, id: NodeId, paths: BTreeMap<String, StorePath>) {
        if self.node(id).state == State::Done {
            self.unfinished += 1;
        }
        self.node_mut(id).state = State::Downloading;
        for path in paths.values() {
            self.by_download.entry(path.clone()).or_default().push(id);
        }
        self.node_mut(id).offered.extend(paths);
    }

    /// Those that wait for a download.
    pub fn offered(&self, path: &StorePath) -> &[NodeId] {
        self.by_download.get(path).map_or(&[], Vec::as_slice)
    }

    /// The outputs that will be at a path once it is downloaded.
    pub fn outputs_at(&self, id: NodeId, path: &StorePath) -> Vec<String> {
        let offered = self.node(id).offered.iter();
        offered.filter(|(_, at)| *at == path).map(|(output, _)| output.clone()).collect()
    }

    /// Gives up the wait for downloads; whether there was one.
    pub fn build_instead(&mut self, id: NodeId) -> bool {
        let waits = self.node(id).state == State::Downloading;
        if waits {
            self.reopen(id);
        }
        waits
    }

    /// Says that `dependent` waits for `input`, unless that is done already.
    pub fn depend(&mut self, dependent: NodeId, input: NodeId) {
        match self.node(input).state {
            State::Done => return,
            State::Failed => self.hopeless.push(dependent),
            State::Waiting | State::Ready | State::Running | State::Downloading => (),
        }
        self.node_mut(input).dependents.push(dependent);
        self.node_mut(dependent).missing += 1;
    }

    /// Gives those that were added but can never be realised, because an input had failed before.
    pub fn drop_hopeless(&mut self) -> Vec<NodeId> {
        let hopeless = std::mem::take(&mut self.hopeless);
        self.drop_all(hopeless)
    }

    /// Ranks derivations that were added together and queues those that can start. `cost` estimates a build.
    pub fn rank_and_queue(&mut self, added: &[NodeId], cost: impl Fn(&Node) -> Cost) {
        // Dependents first, as a derivation ranks before what waits for it.
        let mut unranked: HashMap<NodeId, usize> =
            added.iter().map(|&id| (id, self.node(id).dependents.len())).collect();
        for id in added {
            let outside =
                self.node(*id).dependents.iter().filter(|dependent| !unranked.contains_key(dependent));
            let outside = outside.count();
            if let Some(count) = unranked.get_mut(id) {
                *count -= outside;
            }
        }
        let inputs = self.inputs_among(added);
        let mut ready: Vec<NodeId> = added.iter().copied().filter(|id| unranked[id] == 0).collect();
        while let Some(id) = ready.pop() {
            let node = self.node(id);
            let above =
                node.dependents.iter().map(|dependent| self.node(*dependent).priority).max().unwrap_or(0);
            let cost = cost(node);
            self.node_mut(id).priority = above + cost.seconds.max(1);
            self.node_mut(id).memory = cost.memory;
            for input in inputs.get(&id).into_iter().flatten() {
                if let Some(count) = unranked.get_mut(input) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(*input);
                    }
                }
            }
        }
        for &id in added {
            if self.node(id).state == State::Waiting && self.node(id).missing == 0 {
                self.queue(id);
            }
        }
    }

    fn inputs_among(&self, added: &[NodeId]) -> HashMap<NodeId, Vec<NodeId>> {
        let mut inputs: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
        for &id in added {
            for &dependent in &self.node(id).dependents {
                inputs.entry(dependent).or_default().push(id);
            }
        }
        inputs
    }

    fn queue(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.state = State::Ready;
        let entry = (node.priority, std::cmp::Reverse(id));
        match node.queue() {
            Queue::Fetches => self.fetches.push(entry),
            Queue::Builds => self.builds.push(entry),
        }
    }

    /// Lets a running derivation wait again, for inputs that only turned out now.
    pub fn wait(&mut self, id: NodeId) {
        self.memory -= self.node(id).memory;
        self.node_mut(id).state = State::Waiting;
        if self.node(id).missing == 0 {
            self.queue(id);
        }
    }

    /// The one of those that could start that has most waiting for it. What would need more than `memory` KiB together with
    /// what runs must wait; what needs more by itself runs beside nothing that was ever seen to need memory.
    pub fn take(&mut self, queue: Queue, memory: u64) -> Option<NodeId> {
        let left = if self.memory == 0 { u64::MAX } else { memory.saturating_sub(self.memory) };
        let nodes = &self.nodes;
        let queue = match queue {
            Queue::Builds => &mut self.builds,
            Queue::Fetches => &mut self.fetches,
        };
        let mut too_large = Vec::new();
        let mut taken = None;
        while let Some(entry) = queue.pop() {
            let (_, std::cmp::Reverse(id)) = entry;
            if nodes[id.index()].memory <= left {
                taken = Some(id);
                break;
            }
            too_large.push(entry);
        }
        queue.extend(too_large);
        let id = taken?;
        self.node_mut(id).state = State::Running;
        self.memory += self.node(id).memory;
        Some(id)
    }

    /// Records that a running derivation is realised and queues what waited only for it.
    pub fn complete(&mut self, id: NodeId, results: BTreeMap<String, StorePath>) {
        self.leave(id, State::Done);
        self.node_mut(id).results.extend(results);
        self.node_mut(id).wanted = BTreeSet::new();
        for dependent in std::mem::take(&mut self.node_mut(id).dependents) {
            let node = self.node_mut(dependent);
            node.missing -= 1;
            if node.missing == 0 && node.state == State::Waiting {
                self.queue(dependent);
            }
        }
    }

    /// Records that a running derivation failed; gives all that can never be realised because of it.
    pub fn fail(&mut self, id: NodeId) -> Vec<NodeId> {
        self.leave(id, State::Failed);
        let dependents = std::mem::take(&mut self.node_mut(id).dependents);
        self.drop_all(dependents)
    }

    /// Gives up those that wait, and all that waits for them.
    fn drop_all(&mut self, mut pending: Vec<NodeId>) -> Vec<NodeId> {
        let mut dropped = Vec::new();
        while let Some(dependent) = pending.pop() {
            if self.node(dependent).state == State::Waiting {
                self.node_mut(dependent).state = State::Failed;
                self.unfinished -= 1;
                pending.append(&mut self.node_mut(dependent).dependents);
                dropped.push(dependent);
            }
        }
        dropped
    }

    fn leave(&mut self, id: NodeId, state: State) {
        self.memory -= self.node(id).memory;
        self.node_mut(id).state = state;
        self.unfinished -= 1;
    }

    /// Whether nothing is left to be realised, or nothing can be.
    pub fn is_finished(&self) -> bool {
        self.unfinished == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain_and_leaf(graph: &mut Graph) -> [NodeId; 3] {
        let mut insert = |digit: &str| {
            let path = StorePath::from_base_name(&format!("{}-x.drv", digit.repeat(32))).unwrap();
            let id = graph.insert(path, &Derivation::default(), ActivityKind::Build);
            graph.reopen(id);
            id
        };
        let [top, middle, leaf] = ["a", "b", "c"].map(&mut insert);
        let other = insert("d");
        graph.depend(top, middle);
        graph.depend(middle, leaf);
        graph.depend(top, other);
        graph.rank_and_queue(&[top, middle, leaf, other], |_| Cost { seconds: 1, memory: 0 });
        [top, middle, leaf]
    }

    #[test]
    fn what_has_the_longest_way_to_go_starts_first() {
        let mut graph = Graph::default();
        let [top, middle, leaf] = chain_and_leaf(&mut graph);
        assert_eq!(graph.take(Queue::Builds, 1000), Some(leaf));
        let other = graph.take(Queue::Builds, 1000).unwrap();
        assert_eq!(graph.take(Queue::Builds, 1000), None);
        graph.complete(leaf, BTreeMap::new());
        assert_eq!(graph.take(Queue::Builds, 1000), Some(middle));
        graph.complete(middle, BTreeMap::new());
        graph.complete(other, BTreeMap::new());
        assert_eq!(graph.take(Queue::Builds, 1000), Some(top));
        graph.complete(top, BTreeMap::new());
        assert!(graph.is_finished());
    }

    #[test]
    fn a_failure_drops_all_that_waits_for_it() {
        let mut graph = Graph::default();
        let [top, middle, leaf] = chain_and_leaf(&mut graph);
        assert_eq!(graph.take(Queue::Builds, 1000), Some(leaf));
        let other = graph.take(Queue::Builds, 1000).unwrap();
        assert_eq!(graph.fail(leaf), [middle, top]);
        graph.complete(other, BTreeMap::new());
        assert!(graph.is_finished());
        assert_eq!(graph.take(Queue::Builds, 1000), None);
    }

    #[test]
    fn what_needs_much_memory_waits_for_room() {
        let mut graph = Graph::default();
        let mut insert = |digit: &str| {
            let path = StorePath::from_base_name(&format!("{}-x.drv", digit.repeat(32))).unwrap();
            let id = graph.insert(path, &Derivation::default(), ActivityKind::Build);
            graph.reopen(id);
            id
        };
        let [large, huge, small] = ["a", "b", "c"].map(&mut insert);
        graph.rank_and_queue(&[large, huge, small], |node| match node.path.base_name().as_bytes()[0] {
            b'a' => Cost { seconds: 9, memory: 700 },
            b'b' => Cost { seconds: 5, memory: 5000 },
            _ => Cost { seconds: 1, memory: 300 },
        });
        assert_eq!(graph.take(Queue::Builds, 1000), Some(large));
        assert_eq!(graph.take(Queue::Builds, 1000), Some(small));
        assert_eq!(graph.take(Queue::Builds, 1000), None);
        graph.complete(large, BTreeMap::new());
        assert_eq!(graph.take(Queue::Builds, 1000), None);
        graph.complete(small, BTreeMap::new());
        assert_eq!(graph.take(Queue::Builds, 1000), Some(huge));
        graph.complete(huge, BTreeMap::new());
        assert!(graph.is_finished());
    }
}
