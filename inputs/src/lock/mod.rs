//! Lock files: the graph of a flake's inputs, each pinned.

mod compute;
mod difference;
mod json;

use std::collections::{BTreeMap, BTreeSet};

use crate::{FlakeRef, InputError, Result, Settings, error::Cause, scheme::is_flake_id};

pub use compute::{
    Flake, FlakeDescription, FlakeInput, FlakeReader, LockError, LockOptions, Locked, LockedSource,
    fetch_flake, lock, source_folder,
};
pub use difference::difference;

/// The names of inputs that lead from the root to one.
pub type InputPath = Vec<String>;

/// A node of a lock file, by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(usize);

/// What an input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edge {
    /// A node of its own.
    Node(NodeId),
    /// The same as the input at a path from the root.
    Follows(InputPath),
}

/// A flake or another source, with its inputs.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// By name.
    pub inputs: BTreeMap<String, Edge>,
    /// What the source is; nothing for the root.
    pub source: Option<Source>,
}

/// A pinned source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What always gives this source.
    pub locked: FlakeRef,
    /// What was asked for.
    pub original: FlakeRef,
    /// Whether it is used as a flake.
    pub is_flake: bool,
    /// The input whose source this one is within: for relative paths.
    pub parent: Option<InputPath>,
}

/// A lock file.
#[derive(Clone, Debug)]
pub struct LockFile {
    nodes: Vec<Node>,
}

/// The root.
pub const ROOT: NodeId = NodeId(0);

impl Default for LockFile {
    fn default() -> LockFile {
        LockFile { nodes: vec![Node::default()] }
    }
}

impl LockFile {
    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    fn add(&mut self, source: Source) -> NodeId {
        self.nodes.push(Node { inputs: BTreeMap::new(), source: Some(source) });
        NodeId(self.nodes.len() - 1)
    }

    fn set_input(&mut self, node: NodeId, name: &str, edge: Edge) {
        self.nodes[node.0].inputs.insert(name.to_owned(), edge);
    }

    /// The node that a path of inputs leads to, through everything that follows something.
    pub fn find(&self, path: &[String]) -> Result<Option<NodeId>> {
        self.find_from(path, &mut Vec::new())
    }

    fn find_from(&self, path: &[String], visited: &mut Vec<InputPath>) -> Result<Option<NodeId>> {
        if let Some(start) = visited.iter().position(|seen| seen == path) {
            let cycle: Vec<String> =
                visited[start..].iter().map(|path| shown(path)).chain([shown(path)]).collect();
            let message = format!("follow cycle detected: [{}]", cycle.join(" -> "));
            return Err(InputError::new(message).because(Cause::Circle));
        }
        visited.push(path.to_vec());
        let mut node = ROOT;
        for name in path {
            node = match self.node(node).inputs.get(name) {
                None => return Ok(None),
                Some(Edge::Node(next)) => *next,
                Some(Edge::Follows(path)) => match self.find_from(path, visited)? {
                    Some(next) => next,
                    None => return Ok(None),
                },
            };
        }
        Ok(Some(node))
    }

    /// All inputs by their paths; those of a node that several inputs share only once.
    pub fn all_inputs(&self) -> BTreeMap<InputPath, Edge> {
        let mut all = BTreeMap::new();
        self.collect(&mut Vec::new(), ROOT, &mut BTreeSet::new(), &mut all);
        all
    }

    fn collect(
        &self,
        prefix: &mut InputPath,
        node: NodeId,
        done: &mut BTreeSet<NodeId>,
        all: &mut BTreeMap<InputPath, Edge>,
    ) {
        if !done.insert(node) {
            return;
        }
        for (name, edge) in &self.node(node).inputs {
            prefix.push(name.clone());
            all.entry(prefix.clone()).or_insert_with(|| edge.clone());
            if let Edge::Node(child) = edge {
                self.collect(prefix, *child, done, all);
            }
            prefix.pop();
        }
    }

    /// An error if an input follows one that is not there, or itself.
    pub fn check(&self) -> Result<()> {
        for (path, edge) in self.all_inputs() {
            if let Edge::Follows(target) = &edge
                && !target.is_empty()
                && self.find(target)?.is_none()
            {
                return Err(InputError::new(format!(
                    "input '{}' follows a non-existent input '{}'",
                    shown(&path),
                    shown(target)
                )));
            }
        }
        Ok(())
    }

    /// An input that does not always give the same source.
    pub fn unlocked(&self, settings: &Settings) -> Option<&FlakeRef> {
        let is_locked = |reference: &FlakeRef| {
            let input = &reference.input;
            input.is_locked(settings) || (settings.allow_dirty_locks && input.attrs.contains_key("narHash"))
        };
        self.reachable()
            .into_iter()
            .filter_map(|node| self.node(node).source.as_ref())
            .map(|source| &source.locked)
            .find(|locked| {
                (!is_locked(locked) || !locked.input.is_final()) && locked.input.relative_path().is_none()
            })
    }

    fn reachable(&self) -> BTreeSet<NodeId> {
        let mut reachable = BTreeSet::new();
        let mut open = vec![ROOT];
        while let Some(node) = open.pop() {
            if reachable.insert(node) {
                open.extend(self.node(node).inputs.values().filter_map(|edge| match edge {
                    Edge::Node(child) => Some(*child),
                    Edge::Follows(_) => None,
                }));
            }
        }
        reachable
    }
}

/// A path of inputs as text.
pub fn shown(path: &[String]) -> String {
    path.join("/")
}

/// A path of inputs from text.
pub fn parse_path(text: &str) -> Result<InputPath> {
    text.split('/')
        .filter(|name| !name.is_empty())
        .map(|name| match is_flake_id(name) {
            true => Ok(name.to_owned()),
            false => Err(InputError::new(format!("invalid flake input attribute path element '{name}'"))),
        })
        .collect()
}
