//! Why one path depends on another: the references on the way, and the files that hold them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bstr::ByteSlice;
use serde_json::json;
use zeval_builder::store::Store;
use zeval_model::{
    StorePath,
    tree::{Event, TreeError, TreeSource, Walker, everything},
};

use super::{Context, Result, named};
use crate::{cli::store::WhyDepends, diagnostic::Failed};

/// Where the hash part of a path occurs in another one.
struct Occurrence {
    /// Below the path; empty for the path itself.
    file: String,
    /// In bytes, in the file or in the target of the link.
    offset: usize,
    is_link: bool,
}

/// References of a path, and the length of the shortest way to the dependency.
pub type Distances = BTreeMap<StorePath, usize>;

/// `zeval store why-depends`
pub fn why_depends(context: &Context, arguments: &WhyDepends) -> Result<()> {
    let store = context.store()?;
    let find = |path: &std::path::PathBuf| -> Result<StorePath> {
        let mut found = named(&store, std::slice::from_ref(path), false)?;
        found.pop_first().ok_or_else(|| Failed::other("no path was named"))
    };
    let (path, dependency) = (find(&arguments.path)?, find(&arguments.dependency)?);
    let references = references(&store, &path)?;
    let distances = distances(&references, &dependency);
    if !distances.contains_key(&path) {
        if arguments.json {
            println!("[]");
            return Ok(());
        }
        return Err(Failed::other(format!("'{path}' does not depend on '{dependency}'")));
    }
    let steps = steps(&references, &distances, &path, &dependency, arguments.all);
    if arguments.json {
        return print_json(&store, &steps);
    }
    println!("{path}");
    let mut shown = BTreeSet::new();
    print_tree(&store, &steps, &path, "", &mut shown)
}

pub fn references(store: &Store, path: &StorePath) -> Result<BTreeMap<StorePath, BTreeSet<StorePath>>> {
    let closure = store.closure(&BTreeSet::from([path.clone()])).map_err(Failed::other)?;
    let mut references = BTreeMap::new();
    for path in closure {
        let mut of_path = store.require(&path).map_err(Failed::other)?.references;
        of_path.remove(&path);
        references.insert(path, of_path);
    }
    Ok(references)
}

pub fn distances(references: &BTreeMap<StorePath, BTreeSet<StorePath>>, dependency: &StorePath) -> Distances {
    let mut referrers: BTreeMap<&StorePath, Vec<&StorePath>> = BTreeMap::new();
    for (path, references) in references {
        for reference in references {
            referrers.entry(reference).or_default().push(path);
        }
    }
    let mut distances = Distances::from([(dependency.clone(), 0)]);
    let mut queue = VecDeque::from([dependency]);
    while let Some(path) = queue.pop_front() {
        let distance = distances[path] + 1;
        for referrer in referrers.get(path).into_iter().flatten() {
            if !distances.contains_key(*referrer) {
                distances.insert((*referrer).clone(), distance);
                queue.push_back(referrer);
            }
        }
    }
    distances
}

/// The references to follow from each path on the way: those of the shortest way, or of all.
fn steps(
    references: &BTreeMap<StorePath, BTreeSet<StorePath>>,
    distances: &Distances,
    start: &StorePath,
    dependency: &StorePath,
    all: bool,
) -> BTreeMap<StorePath, Vec<StorePath>> {
    let mut steps = BTreeMap::new();
    let mut pending = vec![start.clone()];
    while let Some(path) = pending.pop() {
        if steps.contains_key(&path) || path == *dependency {
            continue;
        }
        let mut next: Vec<&StorePath> =
            references[&path].iter().filter(|path| distances.contains_key(path)).collect();
        next.sort_by_key(|path| distances[*path]);
        next.truncate(if all { usize::MAX } else { 1 });
        pending.extend(next.iter().map(|path| (*path).clone()));
        steps.insert(path, next.into_iter().cloned().collect());
    }
    steps
}

fn print_tree(
    store: &Store,
    steps: &BTreeMap<StorePath, Vec<StorePath>>,
    path: &StorePath,
    indent: &str,
    shown: &mut BTreeSet<StorePath>,
) -> Result<()> {
    let Some(next) = steps.get(path) else { return Ok(()) };
    for (index, reference) in next.iter().enumerate() {
        let is_last = index + 1 == next.len();
        let (branch, below) = if is_last { ("└───", "    ") } else { ("├───", "│   ") };
        for occurrence in occurrences(store, path, reference)?.iter().take(SHOWN) {
            println!("{indent}│   {occurrence}");
        }
        let is_new = shown.insert(reference.clone());
        let note = if is_new || !steps.contains_key(reference) { "" } else { " (see above)" };
        println!("{indent}{branch}{reference}{note}");
        if is_new {
            print_tree(store, steps, reference, &format!("{indent}{below}"), shown)?;
        }
    }
    Ok(())
}

/// How many occurrences of a reference are told.
const SHOWN: usize = 3;

fn print_json(store: &Store, steps: &BTreeMap<StorePath, Vec<StorePath>>) -> Result<()> {
    let mut all = Vec::new();
    for (path, next) in steps {
        for reference in next {
            let found: Vec<_> = occurrences(store, path, reference)?
                .iter()
                .map(|found| json!({ "file": found.file, "offset": found.offset, "isLink": found.is_link }))
                .collect();
            all.push(json!({ "path": path.to_string(), "reference": reference.to_string(), "files": found }));
        }
    }
    println!("{}", json!(all));
    Ok(())
}

/// The first occurrence of `reference` in each file of `path`.
fn occurrences(store: &Store, path: &StorePath, reference: &StorePath) -> Result<Vec<Occurrence>> {
    let mut everything = everything;
    let mut walker = Walker::new(&store.physical(path), &mut everything);
    find(&mut walker, reference.hash_part().as_bytes()).map_err(Failed::other)
}

fn find(tree: &mut dyn TreeSource, needle: &[u8]) -> std::result::Result<Vec<Occurrence>, TreeError> {
    let mut found = Vec::new();
    let mut folders: Vec<String> = Vec::new();
    let place = |folders: &[String], name: &bstr::BString| {
        let parts = folders.iter().cloned().chain([name.to_string()]).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("/")
    };
    while let Some(event) = tree.next_event()? {
        match event {
            Event::DirectoryStart { name } => folders.push(name.to_string()),
            Event::DirectoryEnd => drop(folders.pop()),
            Event::Symlink { name, target } => {
                let file = place(&folders, &name);
                found.extend(target.find(needle).map(|offset| Occurrence { file, offset, is_link: true }));
            }
            Event::Regular { name, .. } => {
                let offset = first(tree.contents(), needle)?;
                let file = place(&folders, &name);
                found.extend(offset.map(|offset| Occurrence { file, offset, is_link: false }));
            }
        }
    }
    Ok(found)
}

/// The offset of the first `needle`, reading piece by piece.
fn first(contents: &mut dyn std::io::Read, needle: &[u8]) -> std::io::Result<Option<usize>> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut kept, mut offset) = (0, 0);
    loop {
        let count = contents.read(&mut buffer[kept..])?;
        if count == 0 {
            return Ok(None);
        }
        let end = kept + count;
        if let Some(index) = buffer[..end].find(needle) {
            return Ok(Some(offset + index));
        }
        kept = end.min(needle.len() - 1);
        buffer.copy_within(end - kept..end, 0);
        offset += end - kept;
    }
}

impl std::fmt::Display for Occurrence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = if self.file.is_empty() { "the file itself" } else { &self.file };
        match self.is_link {
            true => write!(f, "{file}: in the target of the link"),
            false => write!(f, "{file}: at byte {}", self.offset),
        }
    }
}
