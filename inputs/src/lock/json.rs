//! Lock files as text: version 7 is written, 5 and 6 are read too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use zeval_model::input::to_json;

use super::{Edge, InputPath, LockFile, Node, NodeId, ROOT, Source};
use crate::{FlakeRef, InputError, Result, Settings, registry::attrs};

/// The version that is written.
const VERSION: u64 = 7;

impl LockFile {
    /// Reads a lock file; `name` is for messages.
    pub fn parse(settings: &Settings, text: &[u8], name: &str) -> Result<LockFile> {
        LockFile::parse_text(settings, text, name).map_err(|error| {
            error.advise(format!(
                "take an older {name} from your history, or remove it and pin all inputs anew: zeval flake lock"
            ))
        })
    }

    fn parse_text(settings: &Settings, text: &[u8], name: &str) -> Result<LockFile> {
        let json: Value = serde_json::from_slice(text)
            .map_err(|error| InputError::new(format!("Could not parse '{name}': {error}")))?;
        let version = json["version"].as_u64().unwrap_or(0);
        if !(5..=VERSION).contains(&version) {
            let message = format!("lock file '{name}' has unsupported version {version}");
            return Err(InputError::new(message));
        }
        let malformed = |what: &str| InputError::new(format!("lock file '{name}' {what}"));
        let root = json["root"].as_str().ok_or_else(|| malformed("does not name its root"))?;
        let nodes = json["nodes"].as_object().ok_or_else(|| malformed("has no nodes"))?;
        let mut reader = Reader {
            settings,
            nodes,
            file: LockFile::default(),
            known: BTreeMap::from([(root.to_owned(), ROOT)]),
        };
        let node = nodes.get(root).ok_or_else(|| missing(root))?;
        reader.inputs(ROOT, node)?;
        Ok(reader.file)
    }

    /// The text of the file, without a newline at its end, and what its nodes are called in it.
    pub fn to_text(&self) -> (String, BTreeMap<NodeId, String>) {
        let (json, names) = self.to_json();
        (format!("{json:#}"), names)
    }

    /// The same as JSON.
    pub fn to_json(&self) -> (Value, BTreeMap<NodeId, String>) {
        let mut writer =
            Writer { file: self, names: BTreeMap::new(), taken: BTreeSet::new(), nodes: Map::new() };
        let root = writer.node("root", ROOT);
        let json = json!({ "version": VERSION, "root": root, "nodes": writer.nodes });
        (json, writer.names)
    }
}

impl PartialEq for LockFile {
    fn eq(&self, other: &LockFile) -> bool {
        self.to_json().0 == other.to_json().0
    }
}

fn missing(name: &str) -> InputError {
    InputError::new(format!("lock file references missing node '{name}'"))
}

struct Reader<'a> {
    settings: &'a Settings,
    nodes: &'a Map<String, Value>,
    file: LockFile,
    known: BTreeMap<String, NodeId>,
}

impl Reader<'_> {
    fn inputs(&mut self, node: NodeId, json: &Value) -> Result<()> {
        let Some(inputs) = json["inputs"].as_object() else { return Ok(()) };
        for (name, input) in inputs {
            let edge = match input {
                Value::Array(path) => Edge::Follows(names(path)?),
                Value::String(key) => Edge::Node(self.child(key)?),
                _ => return Err(InputError::new(format!("lock file has a malformed input '{name}'"))),
            };
            self.file.set_input(node, name, edge);
        }
        Ok(())
    }

    fn child(&mut self, key: &str) -> Result<NodeId> {
        match self.known.get(key) {
            Some(&ROOT) => Err(InputError::new("lock file contains cycle to root node")),
            Some(&known) => Ok(known),
            None => {
                let json = self.nodes.get(key).ok_or_else(|| missing(key))?;
                let node = self.file.add(self.source(json)?);
                self.known.insert(key.to_owned(), node);
                self.inputs(node, json)?;
                Ok(node)
            }
        }
    }

    fn source(&self, json: &Value) -> Result<Source> {
        let mut locked = self.reference(json, "locked")?;
        if !locked.input.is_locked(self.settings) && locked.input.relative_path().is_none() {
            if locked.input.nar_hash()?.is_none() {
                return Err(InputError::new(format!(
                    "Lock file contains unlocked input '{}'. Use '--allow-dirty-locks' to accept this lock file.",
                    to_json(&locked.input.attrs)
                )));
            }
            self.settings.warn(format!(
                "Lock file entry '{}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. This is not \
                 reproducible and will break after garbage collection or when shared.",
                locked.shown()
            ));
        }
        // What a lock file says of an input is all there is to say.
        locked.input = locked.input.finally();
        Ok(Source {
            locked,
            original: self.reference(json, "original")?,
            is_flake: json["flake"].as_bool().unwrap_or(true),
            parent: json["parent"].as_array().map(|path| names(path)).transpose()?,
        })
    }

    fn reference(&self, json: &Value, name: &str) -> Result<FlakeRef> {
        let Some(value) = json.get(name) else {
            return Err(InputError::new(format!("attribute '{name}' missing in lock file")));
        };
        let mut found = attrs(value)?;
        // Version 5 had a part of it elsewhere.
        if let Some(info) = json.get("info").filter(|_| name == "locked") {
            found.extend(attrs(info)?);
        }
        FlakeRef::from_attrs(self.settings, &found)
    }
}

fn names(path: &[Value]) -> Result<InputPath> {
    path.iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| InputError::new("lock file has a path of inputs that are not names"))
}

struct Writer<'a> {
    file: &'a LockFile,
    names: BTreeMap<NodeId, String>,
    taken: BTreeSet<String>,
    nodes: Map<String, Value>,
}

impl Writer<'_> {
    /// Writes a node and those it leads to; gives what it is called.
    fn node(&mut self, wanted: &str, id: NodeId) -> String {
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        let mut name = wanted.to_owned();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        self.names.insert(id, name.clone());
        let node: &Node = self.file.node(id);
        let mut json = Map::new();
        if !node.inputs.is_empty() {
            let inputs = node.inputs.iter().map(|(input, edge)| {
                let value = match edge {
                    Edge::Node(child) => Value::from(self.node(input, *child)),
                    Edge::Follows(path) => Value::from(path.as_slice()),
                };
                (input.clone(), value)
            });
            let inputs: Map<String, Value> = inputs.collect();
            json.insert("inputs".to_owned(), Value::Object(inputs));
        }
        if let Some(source) = &node.source {
            let mut locked = source.locked.to_attrs();
            locked.remove("__final");
            json.insert("locked".to_owned(), to_json(&locked));
            json.insert("original".to_owned(), to_json(&source.original.to_attrs()));
            if !source.is_flake {
                json.insert("flake".to_owned(), Value::Bool(false));
            }
            if let Some(parent) = &source.parent {
                json.insert("parent".to_owned(), Value::from(parent.as_slice()));
            }
        }
        self.nodes.insert(name.clone(), Value::Object(json));
        name
    }
}
