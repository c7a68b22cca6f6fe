//! `zeval flake metadata`: where a flake is, and its inputs.

use serde_json::{Map, Value};
use zeval_inputs::{
    InputError,
    lock::{Edge, LockFile, Locked, NodeId, ROOT},
};
use zeval_model::{StorePath, input::to_json, time};

use super::{Context, Result, print_json};
use crate::{
    cli::FlakeArgument,
    flakes::{Flakes, failed},
};

/// Runs the command.
pub fn run(context: &Context, flake: &FlakeArgument, json: bool, colours: bool) -> Result<()> {
    let (text, value) = context.with_flake(flake, |evaluator, flakes| {
        let reference = flakes.reference(&flake.reference)?;
        let locked = flakes.lock_copied(evaluator, &reference)?;
        let facts = Facts::of(flakes, &locked).map_err(failed)?;
        Ok((text(&locked, &facts, colours), as_json(&locked, &facts)))
    })?;
    match json {
        true => print_json(&value),
        false => print!("{text}"),
    }
    Ok(())
}

/// What is printed in both forms.
struct Facts {
    store_path: StorePath,
    resolved: String,
    locked: String,
    is_locked: bool,
    revision: Option<String>,
    dirty_revision: Option<String>,
    fingerprint: Option<String>,
}

impl Facts {
    fn of(flakes: &Flakes, locked: &Locked) -> std::result::Result<Facts, InputError> {
        let flake = &locked.flake;
        let (store_path, _) = StorePath::split_absolute(&flake.folder.to_string_lossy())
            .map_err(|error| InputError::new(error.to_string()))?;
        let fetcher = flakes.inputs.fetcher()?;
        Ok(Facts {
            store_path,
            resolved: flake.resolved.to_text()?,
            locked: flake.locked.to_text()?,
            is_locked: flake.locked.input.is_locked(&fetcher.settings),
            revision: flake.locked.input.revision_text()?,
            dirty_revision: flake.locked.input.text("dirtyRev")?.map(str::to_owned),
            fingerprint: locked.fingerprint(fetcher)?.map(|hash| hash.to_base16()),
        })
    }
}

fn as_json(locked: &Locked, facts: &Facts) -> Value {
    let flake = &locked.flake;
    let mut json = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            json.insert(name.to_owned(), value);
        }
    };
    set("description", flake.description.description.as_deref().map(Value::from));
    set("originalUrl", Some(flake.original.shown().into()));
    set("original", Some(to_json(&flake.original.to_attrs())));
    set("resolvedUrl", Some(facts.resolved.as_str().into()));
    set("resolved", Some(to_json(&flake.resolved.to_attrs())));
    set("url", Some(facts.locked.as_str().into()));
    set("locked", Some(to_json(&flake.locked.to_attrs())));
    set("revision", facts.revision.as_deref().map(Value::from));
    set("dirtyRevision", facts.dirty_revision.as_deref().map(Value::from));
    set("revCount", flake.locked.input.revision_count().map(Value::from));
    set("lastModified", flake.locked.input.last_modified().map(Value::from));
    set("path", Some(facts.store_path.to_string().into()));
    set("locks", Some(locked.lock_file.to_json().0));
    set("fingerprint", facts.fingerprint.as_deref().map(Value::from));
    Value::Object(json)
}

fn text(locked: &Locked, facts: &Facts, colours: bool) -> String {
    let bold = |text: &str| if colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let input = &locked.flake.locked.input;
    let mut text = String::new();
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let space = " ".repeat(WIDTH - name.len());
            text += &format!("{}{space}{value}\n", bold(&format!("{name}:")));
        }
    };
    line("Resolved URL", Some(&facts.resolved));
    line("Locked URL", Some(facts.locked.as_str()).filter(|_| facts.is_locked));
    line("Description", locked.flake.description.description.as_deref());
    line("Path", Some(&facts.store_path.to_string()));
    line("Revision", facts.revision.as_deref());
    line("Revision", facts.dirty_revision.as_deref());
    line("Revisions", input.revision_count().map(|count| count.to_string()).as_deref());
    line("Last modified", input.last_modified().map(time::moment).as_deref());
    line("Fingerprint", facts.fingerprint.as_deref());
    let file = &locked.lock_file;
    if !file.node(ROOT).inputs.is_empty() {
        text += &format!("{}\n", bold("Inputs:"));
    }
    tree(file, ROOT, "", &mut vec![ROOT], &bold, &mut text);
    text
}

/// Columns that the names of facts take.
const WIDTH: usize = 14;

fn tree(
    file: &LockFile,
    node: NodeId,
    prefix: &str,
    visited: &mut Vec<NodeId>,
    bold: &dyn Fn(&str) -> String,
    text: &mut String,
) {
    let inputs = &file.node(node).inputs;
    for (index, (name, edge)) in inputs.iter().enumerate() {
        let (branch, below) =
            if index + 1 == inputs.len() { ("└───", "    ") } else { ("├───", "│   ") };
        let name = bold(name);
        match edge {
            Edge::Follows(path) => {
                *text += &format!("{prefix}{branch}{name} follows input '{}'\n", path.join("/"));
            }
            Edge::Node(child) => {
                let source = file.node(*child).source.as_ref();
                let locked = source.map(|source| source.locked.shown()).unwrap_or_default();
                let time = source.and_then(|source| source.locked.input.last_modified());
                let time = time.map(|time| format!(" ({})", time::moment(time))).unwrap_or_default();
                *text += &format!("{prefix}{branch}{name}: {locked}{time}\n");
                if !visited.contains(child) {
                    visited.push(*child);
                    tree(file, *child, &format!("{prefix}{below}"), visited, bold, text);
                }
            }
        }
    }
}
