//! A disk that keeps what was synced, and of the rest what it likes.
//!
//! Of each file the contents are known that were synced last, of each folder the entries. When the power is cut, an entry
//! that changed since is as it was or as it became, and of contents that changed since each block is old, new, or was never
//! written: in no order, as nothing was promised.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

const BLOCK: usize = 4096;

/// Numbers that look random and are the same each time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// A file or folder under whatever name. Numbers are used again when a file is gone, but not at the same time.
type Identity = (u64, Duration);

fn identity(found: &Metadata) -> Identity {
    let made = found.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    (found.ino(), made.unwrap_or_default())
}

/// What is at the end of an entry.
#[derive(Clone, Debug)]
enum Node {
    File(Identity),
    Link(PathBuf),
    Folder(Identity),
}

impl Node {
    fn at(path: &Path) -> Option<Node> {
        let found = fs::symlink_metadata(path).ok()?;
        Some(match () {
            () if found.is_dir() => Node::Folder(identity(&found)),
            () if found.is_symlink() => Node::Link(fs::read_link(path).ok()?),
            () => Node::File(identity(&found)),
        })
    }
}

type Entries = BTreeMap<OsString, Node>;

#[derive(Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    mode: u32,
}

/// A folder, and what of it is safe.
pub struct Disk {
    top: PathBuf,
    files: HashMap<Identity, Contents>,
    folders: HashMap<Identity, Entries>,
}

impl Disk {
    /// The folder is empty and safe.
    pub fn new(top: &Path) -> Disk {
        let top = top.canonicalize().unwrap();
        let mut disk = Disk { top: top.clone(), files: HashMap::new(), folders: HashMap::new() };
        disk.keep_all(&top);
        disk
    }

    /// A file's contents, or a folder's entries, are safe now.
    pub fn synced_file(&mut self, path: &Path) {
        if path.starts_with(&self.top) {
            self.keep(path);
        }
    }

    /// Everything is safe now.
    pub fn synced_all(&mut self) {
        let top = self.top.clone();
        self.keep_all(&top);
    }

    fn keep(&mut self, path: &Path) {
        match Node::at(path) {
            Some(Node::File(number)) => drop(self.files.insert(number, contents(path))),
            Some(Node::Folder(number)) => drop(self.folders.insert(number, entries(path))),
            _ => (),
        }
    }

    fn keep_all(&mut self, path: &Path) {
        self.keep(path);
        for (name, node) in entries(path) {
            match node {
                Node::Folder(_) => self.keep_all(&path.join(name)),
                _ => self.keep(&path.join(name)),
            }
        }
    }

    /// Makes in `after` what may be there after a power cut.
    pub fn cut(&self, after: &Path, random: &mut Random) {
        // What is there now, by number.
        let mut now = HashMap::new();
        find_all(&self.top, &mut now);
        let Some(Node::Folder(top)) = Node::at(&self.top) else { return };
        let mut done = HashMap::new();
        self.cut_folder(top, after, &now, &mut done, random);
    }

    fn cut_folder(
        &self,
        number: Identity,
        after: &Path,
        now: &HashMap<Identity, PathBuf>,
        done: &mut HashMap<Identity, PathBuf>,
        random: &mut Random,
    ) {
        let none = Entries::new();
        let old = self.folders.get(&number).unwrap_or(&none);
        let new = now.get(&number).map(|path| entries(path)).unwrap_or_default();
        let names: BTreeSet<&OsString> = old.keys().chain(new.keys()).collect();
        for name in names {
            let node = if random.coin() { old.get(name) } else { new.get(name) };
            let Some(node) = node else { continue };
            let place = after.join(name);
            match node {
                Node::Link(target) => symlink(target, &place).unwrap(),
                Node::Folder(number) => {
                    fs::create_dir(&place).unwrap();
                    self.cut_folder(*number, &place, now, done, random);
                    if let Some(mode) = now.get(number).and_then(|path| fs::metadata(path).ok()) {
                        fs::set_permissions(&place, Permissions::from_mode(mode.mode() & 0o7777)).unwrap();
                    }
                }
                Node::File(number) => match done.get(number) {
                    Some(other) => fs::hard_link(other, &place).unwrap(),
                    None => {
                        let Contents { bytes, mode } = self.cut_file(*number, now, random);
                        fs::write(&place, bytes).unwrap();
                        fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
                        done.insert(*number, place);
                    }
                },
            }
        }
    }

    fn cut_file(&self, number: Identity, now: &HashMap<Identity, PathBuf>, random: &mut Random) -> Contents {
        let old = self.files.get(&number);
        let new = now.get(&number).map(|path| contents(path));
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) if old.bytes == new.bytes => return new,
            (Some(old), None) => return old.clone(),
            (old, new) => (old.cloned().unwrap_or_default(), new.unwrap_or_default()),
        };
        let length = match random.below(3) {
            0 => old.bytes.len(),
            1 => new.bytes.len(),
            _ => random.below(new.bytes.len().max(old.bytes.len()) as u64 + 1) as usize,
        };
        // What was synced is never lost, only written over.
        let length = if new.bytes.len() >= old.bytes.len() { length.max(old.bytes.len()) } else { length };
        let mut bytes = vec![0; length];
        for (index, block) in bytes.chunks_mut(BLOCK).enumerate() {
            let source = if random.coin() { &old.bytes } else { &new.bytes };
            let source = source.get(index * BLOCK..).unwrap_or_default();
            let source =
                if source.is_empty() { old.bytes.get(index * BLOCK..).unwrap_or_default() } else { source };
            let count = source.len().min(block.len());
            block[..count].copy_from_slice(&source[..count]);
        }
        Contents { bytes, mode: new.mode }
    }
}

fn entries(folder: &Path) -> Entries {
    let Ok(found) = fs::read_dir(folder) else { return Entries::new() };
    let found =
        found.filter_map(|entry| Some((entry.as_ref().ok()?.file_name(), Node::at(&entry.ok()?.path())?)));
    found.collect()
}

fn contents(path: &Path) -> Contents {
    let mode = fs::metadata(path).map_or(0o644, |found| found.mode() & 0o7777);
    Contents { bytes: fs::read(path).unwrap_or_default(), mode }
}

fn find_all(path: &Path, found: &mut HashMap<Identity, PathBuf>) {
    match Node::at(path) {
        Some(Node::File(number)) => drop(found.insert(number, path.to_owned())),
        Some(Node::Folder(number)) => {
            found.insert(number, path.to_owned());
            for name in entries(path).into_keys() {
                find_all(&path.join(name), found);
            }
        }
        _ => (),
    }
}
