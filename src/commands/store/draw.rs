//! Closures as pictures.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use zeval_model::StorePath;

use super::{Context, Result, human, named};
use crate::{cli::store::Graph, diagnostic::Failed};

/// A path, what it refers to, and the size of its archive.
struct Node {
    path: StorePath,
    references: BTreeSet<StorePath>,
    bytes: u64,
}

/// `zeval store graph`
pub fn graph(context: &Context, arguments: &Graph) -> Result<()> {
    let store = context.store()?;
    let closure = named(&store, &arguments.paths, true)?;
    let mut nodes = Vec::new();
    // In this order each node's column follows from those after it.
    for path in store.references_first(&closure).map_err(Failed::other)? {
        let info = store.require(&path).map_err(Failed::other)?;
        let mut references = info.references;
        references.remove(&path);
        nodes.push(Node { path, references, bytes: info.nar_size });
    }
    if arguments.json {
        let all: serde_json::Map<_, _> = nodes
            .iter()
            .map(|node| {
                let references: Vec<_> = node.references.iter().map(ToString::to_string).collect();
                (node.path.to_string(), json!({ "references": references, "narSize": node.bytes }))
            })
            .collect();
        println!("{}", json!(all));
    } else if arguments.svg {
        print!("{}", svg(&nodes));
    } else {
        print!("{}", dot(&nodes));
    }
    Ok(())
}

/// The language of Graphviz.
fn dot(nodes: &[Node]) -> String {
    let mut text = "digraph G {\nrankdir = LR;\n".to_owned();
    for Node { path, references, bytes } in nodes {
        let shape = if path.is_derivation() { "note" } else { "box" };
        let label = format!("{}\\n{}", path.name(), human(*bytes));
        text.push_str(&format!("\"{}\" [label = \"{label}\", shape = {shape}];\n", path.base_name()));
        for reference in references {
            text.push_str(&format!("\"{}\" -> \"{}\";\n", path.base_name(), reference.base_name()));
        }
    }
    text.push_str("}\n");
    text
}

const WIDTH: usize = 260;
const HEIGHT: usize = 36;
const GAP_X: usize = 80;
const GAP_Y: usize = 14;
const MARGIN: usize = 20;

/// A column for each step on the longest way from a path that nothing refers to; references go to the right.
fn svg(nodes: &[Node]) -> String {
    let mut columns: BTreeMap<&StorePath, usize> = nodes.iter().map(|node| (&node.path, 0)).collect();
    for node in nodes.iter().rev() {
        let next = columns[&node.path] + 1;
        for reference in &node.references {
            if let Some(column) = columns.get_mut(reference) {
                *column = next.max(*column);
            }
        }
    }
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut places: BTreeMap<&StorePath, (usize, usize)> = BTreeMap::new();
    for node in nodes.iter().rev() {
        let column = columns[&node.path];
        let row = rows.entry(column).or_default();
        places.insert(&node.path, (MARGIN + column * (WIDTH + GAP_X), MARGIN + *row * (HEIGHT + GAP_Y)));
        *row += 1;
    }
    let width = 2 * MARGIN + rows.len() * (WIDTH + GAP_X) - GAP_X.min(rows.len() * GAP_X);
    let height = 2 * MARGIN + rows.values().max().unwrap_or(&0) * (HEIGHT + GAP_Y);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    for node in nodes {
        let (x, y) = places[&node.path];
        for reference in &node.references {
            let Some((to_x, to_y)) = places.get(reference) else { continue };
            let (from_x, from_y, to_y) = (x + WIDTH, y + HEIGHT / 2, to_y + HEIGHT / 2);
            let middle = (from_x + to_x) / 2;
            text.push_str(&format!(
                "<path d=\"M{from_x} {from_y} C{middle} {from_y} {middle} {to_y} {to_x} {to_y}\" fill=\"none\" \
                 stroke=\"#999\"/>\n"
            ));
        }
    }
    for Node { path, bytes, .. } in nodes {
        let (x, y) = places[path];
        let fill = if path.is_derivation() { "#eef" } else { "#efe" };
        text.push_str(&format!(
            "<g><title>{path}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"4\" \
             fill=\"{fill}\" stroke=\"#666\"/><text x=\"{}\" y=\"{}\">{}</text>\
             <text x=\"{}\" y=\"{}\" fill=\"#666\" font-size=\"10\">{}</text></g>\n",
            x + 8,
            y + 15,
            shortened(path.name()),
            x + 8,
            y + 29,
            human(*bytes),
        ));
    }
    text.push_str("</svg>\n");
    text
}

/// What fits in a box. Names of store paths need no escaping.
fn shortened(name: &str) -> String {
    const FITS: usize = 36;
    match name.char_indices().nth(FITS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
