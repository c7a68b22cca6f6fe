//! Hashes trees as git does: blobs and trees, under SHA-1 or SHA-256.

use bstr::BString;

use crate::hash::{Algorithm, Hash, Hasher};
use crate::tree::{Event, TreeError, TreeSource};

/// The object id of a tree, or of the blob that its root is; git's mode of the root is not part of it.
pub fn hash(source: &mut dyn TreeSource, algorithm: Algorithm) -> Result<Hash, TreeError> {
    let mut open: Vec<Directory> = Vec::new();
    let mut root = None;
    while let Some(event) = source.next_event()? {
        let entry = match event {
            Event::DirectoryStart { name } => {
                open.push(Directory { name, entries: Vec::new() });
                continue;
            }
            Event::DirectoryEnd => match open.pop() {
                Some(directory) => directory.finish(algorithm),
                None => return Err(TreeError::Order("a directory ends that has not started")),
            },
            Event::Regular { name, executable, size } => {
                let mut hasher = start("blob", size, algorithm);
                std::io::copy(source.contents(), &mut hasher)?;
                Entry { mode: if executable { "100755" } else { "100644" }, name, id: hasher.finish() }
            }
            Event::Symlink { name, target } => {
                let mut hasher = start("blob", target.len() as u64, algorithm);
                hasher.update(&target);
                Entry { mode: "120000", name, id: hasher.finish() }
            }
        };
        match open.last_mut() {
            Some(directory) => directory.entries.push(entry),
            None => root = Some(entry.id),
        }
    }
    root.ok_or(TreeError::Order("the tree does not end"))
}

const DIRECTORY_MODE: &str = "40000";

struct Directory {
    name: BString,
    entries: Vec<Entry>,
}

struct Entry {
    mode: &'static str,
    name: BString,
    id: Hash,
}

impl Directory {
    fn finish(mut self, algorithm: Algorithm) -> Entry {
        self.entries.sort_by(|a, b| a.sort_key().cmp(b.sort_key()));
        let mut text = Vec::new();
        for entry in &self.entries {
            text.extend_from_slice(entry.mode.as_bytes());
            text.push(b' ');
            text.extend_from_slice(&entry.name);
            text.push(0);
            text.extend_from_slice(entry.id.as_bytes());
        }
        let mut hasher = start("tree", text.len() as u64, algorithm);
        hasher.update(&text);
        Entry { mode: DIRECTORY_MODE, name: self.name, id: hasher.finish() }
    }
}

impl Entry {
    /// Git orders directories as if their names ended in a slash.
    fn sort_key(&self) -> impl Iterator<Item = &u8> {
        let slash: &[u8] = if self.mode == DIRECTORY_MODE { b"/" } else { b"" };
        self.name.iter().chain(slash)
    }
}

fn start(kind: &str, size: u64, algorithm: Algorithm) -> Hasher {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(format!("{kind} {size}\0").as_bytes());
    hasher
}
