//! What the process does that is killed: adds, refers, links, syncs, deletes and collects.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeval_builder::cancel::Cancellation;
use zeval_builder::store::{CollectOptions, Store};
use zeval_model::{Algorithm, ContentMethod, StorePath};

/// The first argument that makes this program that process.
pub const ENTRY: &str = "__work";

/// Works in the store at `dir`, under a name of the kernel's boot, once it has read something.
pub fn command(dir: &Path, boot: &str) -> Command {
    fs::create_dir_all(beside(dir)).unwrap();
    let mut command = Command::new("/proc/self/exe");
    command.arg(ENTRY).arg(dir).arg(boot).stdin(Stdio::piped());
    command
}

/// A folder for what is no part of the store. Whoever removes the store removes it.
pub fn beside(dir: &Path) -> PathBuf {
    dir.with_extension("beside")
}

/// Where it writes down what it was told.
fn notes(dir: &Path) -> PathBuf {
    beside(dir).join("work.notes")
}

struct Notes(PathBuf);

impl Notes {
    fn write(&self, word: &str, path: &StorePath) {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.0).unwrap();
        file.write_all(format!("{word} {path}\n").as_bytes()).unwrap();
    }
}

fn noted(dir: &Path, word: &str) -> BTreeSet<StorePath> {
    let text = fs::read_to_string(notes(dir)).unwrap_or_default();
    let paths = |word: &str| -> BTreeSet<StorePath> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        lines.map(|path| StorePath::from_absolute(path).unwrap()).collect()
    };
    paths(word).difference(&paths("deleting")).cloned().collect()
}

/// What must be there after a kill: what it was told is valid.
pub fn added(dir: &Path) -> BTreeSet<StorePath> {
    noted(dir, "added")
}

/// What must be there after a power cut: what it was told is on the disk.
pub fn promised(dir: &Path) -> BTreeSet<StorePath> {
    noted(dir, "synced")
}

/// Does the work.
pub fn run(arguments: &[String]) -> ! {
    // Who traces us says when.
    let _ = std::io::stdin().read(&mut [0]);
    let dir = Path::new(&arguments[0]);
    let notes = Notes(notes(dir));
    let store = Store::open_under_boot(dir, &arguments[1]).unwrap();
    let mut linked = BTreeSet::new();
    for round in 0..2 {
        let text = |name: &str, references: &BTreeSet<StorePath>| {
            let path = store.add_text(name, format!("{name} {round}").as_bytes(), references).unwrap();
            notes.write("added", &path);
            path
        };
        let base = text("base", &BTreeSet::new());
        let top = text("top", &BTreeSet::from([base.clone()]));
        let tree = store.add_path("tree", &tree(dir, round), ContentMethod::Nar, Algorithm::Sha256).unwrap();
        notes.write("added", &tree);
        store.register_root(&top).unwrap();
        linked.insert(top.clone());
        store.sync().unwrap();
        [&base, &top, &tree].iter().for_each(|path| notes.write("synced", path));
        let later = text("later", &BTreeSet::from([top.clone()]));
        let unwanted = text("unwanted", &BTreeSet::new());
        for path in [&unwanted, &later] {
            notes.write("deleting", path);
        }
        drop(store.delete(&BTreeSet::from([later, unwanted]), &Cancellation::new()));
        store.optimise(&Cancellation::new(), &|_, _| ()).unwrap();
    }
    drop(store);
    // Nothing is pinned now: only what is linked stays.
    let store = Store::open_under_boot(dir, &arguments[1]).unwrap();
    let live = store.closure(&linked).unwrap();
    for path in store.all_valid().unwrap().difference(&live) {
        notes.write("deleting", path);
    }
    store.collect(&CollectOptions::default(), &Cancellation::new(), |_, _| ()).unwrap();
    std::process::exit(0)
}

/// A folder of this program's own to add.
fn tree(dir: &Path, round: usize) -> PathBuf {
    let folder = beside(dir).join(format!("tree-{round}"));
    fs::create_dir_all(folder.join("below")).unwrap();
    fs::write(folder.join("file"), vec![b'x'; 20_000]).unwrap();
    fs::write(folder.join("below/file"), vec![b'x'; 20_000]).unwrap();
    fs::write(folder.join("below/other"), format!("{round}")).unwrap();
    folder
}
