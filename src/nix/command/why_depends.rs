//! `nix why-depends`

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use bstr::ByteSlice;
use zeval_builder::store::Store;
use zeval_model::{
    StorePath,
    tree::{Event, TreeError, TreeSource, Walker, everything},
};

use super::{
    super::outcome::{Outcome, usage},
    Call,
};
use crate::commands::store::depends::{Distances, distances, references};

const NORMAL: &str = "\u{1b}[0m";
const GREEN: &str = "\u{1b}[32;1m";
const BLUE: &str = "\u{1b}[34;1m";
/// Of what was shown above already.
const GREY: &str = "\u{1b}[38;5;244m";

/// How many bytes beside a reference are shown.
const MARGIN: usize = 32;

pub fn run(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let [package, dependency] = &call.named(&store)?[..] else {
        return usage("more arguments are required");
    };
    for path in [package, dependency] {
        store.require(path)?;
    }
    let references = references(&store, package)?;
    let distances = distances(&references, dependency);
    if !distances.contains_key(package) {
        eprintln!("'{package}' does not depend on '{dependency}'");
        return Ok(());
    }
    let mut tree = Tree {
        store: &store,
        references,
        distances,
        package,
        dependency,
        all: call.has("--all"),
        precise: call.has("--precise"),
        visited: BTreeSet::new(),
        out: Vec::new(),
    };
    if !tree.precise {
        let _ = writeln!(tree.out, "{package}");
    }
    tree.print(package, "", "")?;
    // Nobody reads on: that is no error of ours.
    let _ = io::stdout().write_all(&tree.out);
    Ok(())
}

struct Tree<'a> {
    store: &'a Store,
    references: BTreeMap<StorePath, BTreeSet<StorePath>>,
    distances: Distances,
    package: &'a StorePath,
    dependency: &'a StorePath,
    all: bool,
    precise: bool,
    visited: BTreeSet<StorePath>,
    out: Vec<u8>,
}

/// Whether there is more to be shown.
type GoesOn = bool;

impl Tree<'_> {
    /// Shows `path`, behind `first`, and the ways that go on from it, behind `rest`.
    fn print(&mut self, path: &StorePath, first: &str, rest: &str) -> Outcome<GoesOn> {
        let seen = self.visited.contains(path);
        if self.precise {
            let (colour, arrow) = (if seen { GREY } else { "" }, if first.is_empty() { "" } else { "→ " });
            let _ = writeln!(self.out, "{first}{colour}{arrow}{path}{NORMAL}");
        }
        if path == self.dependency && !self.all && self.package != self.dependency {
            return Ok(false);
        }
        if seen {
            return Ok(true);
        }
        if self.precise {
            self.visited.insert(path.clone());
        }
        let next = self.next(path)?;
        let hits = match self.precise {
            true => self.hits(path, &next)?,
            false => vec![Vec::new(); next.len()],
        };
        for (index, (to, hits)) in next.iter().zip(hits).enumerate() {
            let is_last = !self.all || index + 1 == next.len();
            let (branch, below) = if is_last { ("└───", "    ") } else { ("├───", "│   ") };
            for (number, hit) in hits.iter().take(if self.all { usize::MAX } else { 1 }).enumerate() {
                let _ = write!(self.out, "{rest}{}", if number == 0 { branch } else { below });
                self.out.extend_from_slice(hit);
                self.out.push(b'\n');
            }
            if !self.precise {
                let colour = if self.visited.contains(to) { GREY } else { "" };
                let _ = writeln!(self.out, "{colour}{rest}{branch}{to}{NORMAL}");
                self.visited.insert(path.clone());
            }
            let pad = format!("{rest}{below}");
            if !self.print(to, &pad, &pad)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The references of `path` that lead to the dependency, the nearest first.
    fn next(&self, path: &StorePath) -> Outcome<Vec<StorePath>> {
        let leads = self.references[path].iter().filter(|to| self.distances.contains_key(to));
        let mut next: Vec<StorePath> = leads.cloned().collect();
        if self.package == self.dependency && self.store.require(path)?.references.contains(path) {
            next.push(path.clone());
            next.sort();
        }
        next.sort_by_key(|to| self.distances[to]);
        Ok(next)
    }

    /// For each of `references`, the files and links of `path` that hold it.
    fn hits(&self, path: &StorePath, references: &[StorePath]) -> Result<Vec<Vec<Vec<u8>>>, TreeError> {
        let mut hits = vec![Vec::new(); references.len()];
        let mut everything = everything;
        let mut files = Walker::new(&self.store.physical(path), &mut everything);
        let mut folders: Vec<String> = Vec::new();
        while let Some(event) = files.next_event()? {
            let (name, contents, kind) = match event {
                Event::DirectoryStart { name } => {
                    folders.push(name.to_string());
                    continue;
                }
                Event::DirectoryEnd => {
                    folders.pop();
                    continue;
                }
                Event::Symlink { name, target } => (name, Vec::from(target), Kind::Link),
                Event::Regular { name, .. } => {
                    let mut contents = Vec::new();
                    files.contents().read_to_end(&mut contents)?;
                    (name, contents, Kind::File)
                }
            };
            let name = name.to_string();
            let parts: Vec<&str> =
                folders.iter().chain([&name]).map(String::as_str).filter(|part| !part.is_empty()).collect();
            let file = if parts.is_empty() { "/".to_owned() } else { parts.join("/") };
            for (hits, reference) in hits.iter_mut().zip(references) {
                let part = reference.hash_part().as_bytes();
                if let Some(at) = contents.find(part) {
                    let colour = if reference == self.dependency { GREEN } else { BLUE };
                    hits.push(hit(&file, kind, &contents, at..at + part.len(), colour));
                }
            }
        }
        Ok(hits)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Link,
}

/// A file and what is in it at and around `part`, or a link and all of its target.
fn hit(file: &str, kind: Kind, contents: &[u8], part: std::ops::Range<usize>, colour: &str) -> Vec<u8> {
    let printable =
        |bytes: &[u8]| bytes.iter().map(|&b| if (32..127).contains(&b) { b } else { b'.' }).collect();
    let (head, before, after, tail): (_, Vec<u8>, Vec<u8>, _) = match kind {
        Kind::Link => (" -> ", contents[..part.start].to_vec(), contents[part.end..].to_vec(), ""),
        Kind::File => {
            let (start, end) = (part.start.saturating_sub(MARGIN), (part.end + MARGIN).min(contents.len()));
            (": …", printable(&contents[start..part.start]), printable(&contents[part.end..end]), "…")
        }
    };
    let pieces: [&[u8]; 8] = [
        file.as_bytes(),
        head.as_bytes(),
        &before,
        colour.as_bytes(),
        &contents[part],
        NORMAL.as_bytes(),
        &after,
        tail.as_bytes(),
    ];
    pieces.concat()
}
