//! What a change of a lock file means, for people.

use super::{Edge, LockFile, shown};
use crate::FlakeRef;

/// The inputs that were added, removed and updated, a paragraph each.
pub fn difference(old: &LockFile, new: &LockFile) -> String {
    let (before, after) = (old.all_inputs(), new.all_inputs());
    let mut text = String::new();
    let mut paths: Vec<_> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let name = shown(path);
        match (before.get(path), after.get(path)) {
            (None, Some(edge)) => text += &format!("• Added input '{name}':\n    {}\n", describe(new, edge)),
            (Some(_), None) => text += &format!("• Removed input '{name}'\n"),
            (Some(was), Some(is)) if !are_equal(old, was, new, is) => {
                let (was, is) = (describe(old, was), describe(new, is));
                text += &format!("• Updated input '{name}':\n    {was}\n  → {is}\n");
            }
            _ => {}
        }
    }
    text
}

fn locked<'a>(file: &'a LockFile, edge: &Edge) -> Option<&'a FlakeRef> {
    match edge {
        Edge::Node(node) => file.node(*node).source.as_ref().map(|source| &source.locked),
        Edge::Follows(_) => None,
    }
}

fn are_equal(old: &LockFile, was: &Edge, new: &LockFile, is: &Edge) -> bool {
    match (was, is) {
        (Edge::Follows(was), Edge::Follows(is)) => was == is,
        (Edge::Node(_), Edge::Node(_)) => locked(old, was) == locked(new, is),
        _ => false,
    }
}

fn describe(file: &LockFile, edge: &Edge) -> String {
    match edge {
        Edge::Follows(path) => format!("follows '{}'", shown(path)),
        Edge::Node(_) => locked(file, edge).map(describe_reference).unwrap_or_default(),
    }
}

/// A reference with the day of its source.
pub(super) fn describe_reference(reference: &FlakeRef) -> String {
    let mut text = format!("'{}'", reference.shown());
    if let Some(time) = reference.input.last_modified() {
        text += &format!(" ({})", zeval_model::time::day(time));
    }
    text
}
