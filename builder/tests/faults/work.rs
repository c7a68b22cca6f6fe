//! What the process does that is killed: adds, refers, links, syncs, deletes and collects; or imports, copies from and to a
//! cache, copies between stores, and repairs.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeval_builder::cache::{self, Cache, CopyOptions, Trust, UploadOptions};
use zeval_builder::cancel::Cancellation;
use zeval_builder::events::Silent;
use zeval_builder::store::{CollectOptions, Sharing, Store, Syncing};
use zeval_model::{Algorithm, ContentMethod, StorePath};

/// The first argument that makes this program that process.
pub const ENTRY: &str = "__work";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Much of what a store can do.
    Store,
    /// As [`Work::Store`], where all that is registered is waited for (`fsync-store-paths`).
    Synced,
    /// An import of an export.
    Import,
    /// A copy from a binary cache.
    FromCache,
    /// A copy to a binary cache, which is what the faults are done to.
    ToCache,
    /// A copy from another store.
    FromStore,
    /// A repair of a damaged path.
    Repair,
}

impl Work {
    pub const ALL: [Work; 7] = [
        Work::Store,
        Work::Synced,
        Work::Import,
        Work::FromCache,
        Work::ToCache,
        Work::FromStore,
        Work::Repair,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Work::Store => "store",
            Work::Synced => "synced",
            Work::Import => "import",
            Work::FromCache => "from_cache",
            Work::ToCache => "to_cache",
            Work::FromStore => "from_store",
            Work::Repair => "repair",
        }
    }

    /// The command that does it in the folder `dir`, under a name of the kernel's boot, once it has read something.
    pub fn command(self, dir: &Path, boot: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.args([ENTRY, self.name()]).arg(dir).arg(boot).stdin(Stdio::piped());
        command
    }

    /// Makes what it needs to be there: beside the store, or in it.
    pub fn prepare(self, dir: &Path) {
        fs::create_dir_all(beside(dir)).unwrap();
        match self {
            Work::Store | Work::Synced => (),
            Work::Repair => {
                let store = Store::open_under_boot(dir, "first", Syncing::default()).unwrap();
                let paths = fill(&store, &beside(dir));
                store.sync().unwrap();
                damage(&store, &paths);
                Work::export(&beside(dir));
            }
            _ => Work::export(&beside(dir)),
        }
    }

    /// A store beside, with an export and a cache of what it has.
    fn export(beside: &Path) {
        let store = Store::open(&beside.join("source")).unwrap();
        let paths = fill(&store, beside);
        store.export(&paths, fs::File::create(beside.join("export")).unwrap()).unwrap();
        let cache = Cache::new(&format!("file://{}", beside.join("cache").display())).unwrap();
        copy_to(&store, &cache, &paths);
    }
}

/// A folder for what is no part of the store. Whoever removes the store removes it.
pub fn beside(dir: &Path) -> PathBuf {
    dir.with_extension("beside")
}

/// What [`Work::ToCache`] writes to.
pub fn cache_in(dir: &Path) -> Cache {
    Cache::new(&format!("file://{}", dir.join("cache").display())).unwrap()
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
    let (dir, boot) = (Path::new(&arguments[1]), &arguments[2]);
    let notes = Notes(notes(dir));
    let work = Work::ALL.into_iter().find(|work| work.name() == arguments[0]).unwrap();
    match work {
        Work::Store | Work::Synced => change_much(dir, boot, work == Work::Synced, &notes),
        Work::ToCache => {
            let source = Store::open_under_boot(&beside(dir).join("source"), boot, Syncing::default());
            let source = source.unwrap();
            copy_to(&source, &cache_in(dir), &source.all_valid().unwrap());
        }
        _ => {
            let store = Store::open_under_boot(dir, boot, Syncing::default()).unwrap();
            take(work, &store, &beside(dir)).iter().for_each(|path| notes.write("added", path));
            store.sync().unwrap();
            added(dir).iter().for_each(|path| notes.write("synced", path));
        }
    }
    std::process::exit(0)
}

fn copy_to(store: &Store, cache: &Cache, paths: &BTreeSet<StorePath>) {
    let options = UploadOptions { listings: true, ..UploadOptions::default() };
    cache::copy_to(store, cache, paths, &options, &Cancellation::new(), &|_, _| ()).unwrap();
}

/// Brings all of the source to the store; gives what is there then.
fn take(work: Work, store: &Store, beside: &Path) -> Vec<StorePath> {
    let cancellation = Cancellation::new();
    let source = Store::open(&beside.join("source")).unwrap();
    let all = source.all_valid().unwrap();
    let cache = Cache::new(&format!("file://{}", beside.join("cache").display())).unwrap();
    match work {
        Work::Import => {
            store.import(fs::File::open(beside.join("export")).unwrap(), &cancellation).unwrap();
        }
        Work::FromCache => {
            let trust = Trust { require_signatures: false, ..Trust::default() };
            let options = CopyOptions { trust, ..CopyOptions::default() };
            cache::copy_from(store, &cache, &all, &options, &Silent, &cancellation).unwrap();
        }
        Work::FromStore => {
            for path in source.references_first(&all).unwrap() {
                store.take_from(&source, &path, &cancellation).unwrap();
            }
        }
        _ => {
            for path in all.iter().filter(|path| !store.is_intact(path).unwrap()) {
                cache::repair_from(store, &cache, path, &Silent, &cancellation).unwrap();
            }
        }
    }
    // What is kept is seen to be kept.
    all.iter().for_each(|path| drop(store.register_root(path).unwrap()));
    all.into_iter().collect()
}

/// Some paths that refer to each other, a folder among them, and one with its very contents under another name.
fn fill(store: &Store, beside: &Path) -> BTreeSet<StorePath> {
    let text = |name: &str, references: &BTreeSet<StorePath>| {
        store.add_text(name, format!("{name} of a source").as_bytes(), references).unwrap()
    };
    let base = text("base", &BTreeSet::new());
    let top = text("top", &BTreeSet::from([base.clone()]));
    let folder = tree(beside, 9);
    let add = |name| store.add_path(name, &folder, ContentMethod::Nar, Algorithm::Sha256).unwrap();
    BTreeSet::from([base, top, add("tree"), add("tree-again")])
}

/// Writes into a file of a path, and takes all from another one.
fn damage(store: &Store, paths: &BTreeSet<StorePath>) {
    use std::os::unix::fs::PermissionsExt;
    let named = |name: &str| store.physical(paths.iter().find(|path| path.name() == name).unwrap());
    let file = named("tree").join("file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "damaged").unwrap();
    fs::set_permissions(named("base"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(named("base"), "").unwrap();
}

fn change_much(dir: &Path, boot: &str, synced: bool, notes: &Notes) {
    let syncing = Syncing { paths: synced, ..Syncing::default() };
    let store = Store::open_under_boot(dir, boot, syncing).unwrap();
    let mut linked = BTreeSet::new();
    let note = |path: &StorePath| {
        notes.write("added", path);
        if synced {
            notes.write("synced", path);
        }
    };
    for round in 0..2 {
        let text = |name: &str, references: &BTreeSet<StorePath>| {
            let path = store.add_text(name, format!("{name} {round}").as_bytes(), references).unwrap();
            note(&path);
            path
        };
        let base = text("base", &BTreeSet::new());
        let top = text("top", &BTreeSet::from([base.clone()]));
        let tree = tree(&beside(dir), round);
        let add = |name| store.add_path(name, &tree, ContentMethod::Nar, Algorithm::Sha256).unwrap();
        let folder = add("tree");
        note(&folder);
        store.register_root(&top).unwrap();
        linked.insert(top.clone());
        store.sync().unwrap();
        [&base, &top, &folder].iter().for_each(|path| notes.write("synced", path));
        let later = text("later", &BTreeSet::from([top.clone()]));
        let unwanted = text("unwanted", &BTreeSet::new());
        for path in [&unwanted, &later] {
            notes.write("deleting", path);
        }
        drop(store.delete(&BTreeSet::from([later, unwanted]), &Cancellation::new()));
        // Files that are like those that are on disk, and are not.
        note(&add("a-tree-that-comes-first"));
        store.optimise(Sharing::HardLinks, &Cancellation::new(), &|_, _| ()).unwrap();
    }
    drop(store);
    // Nothing is pinned now: only what is linked stays.
    let store = Store::open_under_boot(dir, boot, syncing).unwrap();
    let live = store.closure(&linked).unwrap();
    for path in store.all_valid().unwrap().difference(&live) {
        notes.write("deleting", path);
    }
    store.collect(&CollectOptions::default(), &Cancellation::new(), |_, _| ()).unwrap();
}

/// A folder of this program's own to add.
fn tree(beside: &Path, round: usize) -> PathBuf {
    let folder = beside.join(format!("tree-{round}"));
    fs::create_dir_all(folder.join("below")).unwrap();
    fs::write(folder.join("file"), vec![b'x'; 20_000]).unwrap();
    fs::write(folder.join("below/file"), vec![b'x'; 20_000]).unwrap();
    // More than a block of the disk, however well it is compressed.
    let numbers = (0..4000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) + round as u64);
    let noise: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    fs::write(folder.join("below/other"), noise).unwrap();
    folder
}
