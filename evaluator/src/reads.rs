//! What an evaluation read of the world around it, and whether all of that is still as it was.
//!
//! For each thing that was looked at there is a stamp: of a file that was read, which file it is and when it was changed; of a
//! folder that was listed, the same; of a path that was only looked for, what is there. An evaluation is repeatable if nothing
//! else decided its result: it asked for no time and fetched nothing that may change, and it printed nothing.

use std::{
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use rustc_hash::FxHashMap;

use crate::session::lock;

/// What was done with a path or name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
enum Manner {
    /// A path was looked for.
    Looked = 1,
    /// A file was read.
    Read = 2,
    /// A folder was listed.
    Listed = 3,
    /// All links in a path were followed.
    Followed = 4,
    /// An environment variable was read.
    Variable = 5,
    /// The store was asked whether it has a path: it had.
    Valid = 6,
    /// Something was used that is told to each evaluation.
    Told = 7,
}

impl Manner {
    fn from_byte(byte: u8) -> Option<Manner> {
        use Manner::{Followed, Listed, Looked, Read, Told, Valid, Variable};
        [Looked, Read, Listed, Followed, Variable, Valid, Told]
            .into_iter()
            .find(|manner| *manner as u8 == byte)
    }
}

type Stamp = [u8; 16];

/// A file changed less than this before it was read may change again without a later time.
const GRANULARITY: Duration = Duration::from_millis(20);

/// What an evaluation read so far.
#[derive(Default)]
pub struct Reads {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stamps: FxHashMap<(Manner, Vec<u8>), Stamp>,
    is_unrepeatable: bool,
}

impl Reads {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Something else than what is recorded here decides the result.
    pub fn unrepeatable(&self) {
        self.state().is_unrepeatable = true;
    }

    fn record(&self, manner: Manner, name: &[u8], stamp: impl FnOnce() -> Option<Stamp>) {
        let key = (manner, name.to_vec());
        if self.state().stamps.contains_key(&key) {
            return;
        }
        let stamp = stamp();
        let mut state = self.state();
        match stamp {
            Some(stamp) => {
                state.stamps.insert(key, stamp);
            }
            None => state.is_unrepeatable = true,
        }
    }

    /// A path was looked for.
    pub fn looked(&self, path: &Path) {
        self.record(Manner::Looked, path.as_os_str().as_bytes(), || Some(Now::default().kind(path)));
    }

    /// A file is about to be read.
    pub fn read(&self, path: &Path) {
        self.record(Manner::Read, path.as_os_str().as_bytes(), || settled(path));
    }

    /// A folder is about to be listed.
    pub fn listed(&self, path: &Path) {
        self.record(Manner::Listed, path.as_os_str().as_bytes(), || settled(path));
    }

    /// What is at a path is about to be copied: a file's contents, a folder's names, where a link leads.
    pub fn contents(&self, path: &Path) {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => self.listed(path),
            Ok(metadata) if metadata.is_file() => self.read(path),
            _ => self.looked(path),
        }
    }

    /// All links in a path are about to be followed.
    pub fn followed(&self, path: &Path) {
        self.record(Manner::Followed, path.as_os_str().as_bytes(), || Some(Now::default().target(path)));
    }

    /// An environment variable is read.
    pub fn variable(&self, name: &[u8]) {
        self.record(Manner::Variable, name, || Some(stamp_of_variable(name)));
    }

    /// A store path is relied on.
    pub fn valid(&self, path: &str) {
        self.record(Manner::Valid, path.as_bytes(), || Some(Stamp::default()));
    }

    /// Something is used that is told to each evaluation, such as the commit of a flake.
    pub fn told(&self, name: &[u8], value: &[u8]) {
        self.record(Manner::Told, name, || Some(stamp(&[value])));
    }

    /// All of it, if the evaluation would give the same as long as [`is_as_it_was`] holds.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let state = self.state();
        if state.is_unrepeatable {
            return None;
        }
        // What is known of one path is compared together.
        let mut stamps: Vec<_> =
            state.stamps.iter().map(|((manner, name), stamp)| (name, *manner, stamp)).collect();
        stamps.sort_unstable_by_key(|(name, manner, _)| (*name, *manner as u8));
        let mut bytes = Vec::new();
        for (name, manner, stamp) in stamps {
            bytes.push(manner as u8);
            bytes.extend_from_slice(stamp);
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name);
        }
        Some(bytes)
    }
}

/// Whether all that [`Reads::to_bytes`] tells of is as it was. `is_valid` tells whether the store has a path, `told` what an
/// evaluation would be told now.
pub fn is_as_it_was(
    mut bytes: &[u8],
    is_valid: impl Fn(&str) -> bool,
    told: impl Fn(&str) -> Option<String>,
) -> bool {
    let mut now = Now::default();
    while !bytes.is_empty() {
        let Some((manner, name, stamp, rest)) = split(bytes) else { return false };
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        let is_same = match manner {
            Manner::Looked => now.kind(path) == stamp,
            Manner::Read | Manner::Listed => now.state(path).is_some_and(|(state, _)| state == stamp),
            Manner::Followed => now.target(path) == stamp,
            Manner::Variable => stamp_of_variable(name) == stamp,
            Manner::Valid => std::str::from_utf8(name).is_ok_and(&is_valid),
            Manner::Told => {
                let value = std::str::from_utf8(name).ok().and_then(&told);
                value.is_some_and(|value| self::stamp(&[value.as_bytes()]) == stamp)
            }
        };
        if !is_same {
            return false;
        }
        bytes = rest;
    }
    true
}

fn split(bytes: &[u8]) -> Option<(Manner, &[u8], Stamp, &[u8])> {
    let (&manner, rest) = bytes.split_first()?;
    let (&stamp, rest) = rest.split_first_chunk::<16>()?;
    let (&length, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(length) as usize)?;
    Some((Manner::from_byte(manner)?, name, stamp, rest))
}

fn stamp(parts: &[&[u8]]) -> Stamp {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut stamp = Stamp::default();
    stamp.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    stamp
}

/// The file system as it is now, each path looked at once as long as it is asked about again and again.
#[derive(Default)]
struct Now {
    path: PathBuf,
    /// What is at `path`, links not followed.
    own: Option<Metadata>,
    /// Folders with all links followed.
    folders: FxHashMap<PathBuf, PathBuf>,
}

impl Now {
    fn own(&mut self, path: &Path) -> Option<&Metadata> {
        if self.path != path {
            path.clone_into(&mut self.path);
            self.own = path.symlink_metadata().ok();
        }
        self.own.as_ref()
    }

    /// What is at a path, not what is in it.
    fn kind(&mut self, path: &Path) -> Stamp {
        const KIND: u32 = 0o170_000;
        let Some(own) = self.own(path) else { return stamp(&[b"nothing"]) };
        let (target, kind) = match own.is_symlink() {
            true => (
                path.read_link().unwrap_or_default(),
                path.metadata().map_or(0, |followed| followed.mode() & KIND),
            ),
            false => (PathBuf::new(), own.mode() & KIND),
        };
        stamp(&[target.as_os_str().as_bytes(), &kind.to_le_bytes()])
    }

    /// Which file or folder it is, and when it last changed.
    fn state(&mut self, path: &Path) -> Option<(Stamp, SystemTime)> {
        let own = self.own(path)?;
        match own.is_symlink() {
            true => path.metadata().ok().map(|followed| state(&followed)),
            false => Some(state(own)),
        }
    }

    /// Where a path leads.
    fn target(&mut self, path: &Path) -> Stamp {
        stamp(&[self.canonical(path).unwrap_or_default().as_os_str().as_bytes()])
    }

    fn canonical(&mut self, path: &Path) -> Option<PathBuf> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return path.canonicalize().ok();
        };
        if self.own(path)?.is_symlink() {
            return path.canonicalize().ok();
        }
        if let Some(known) = self.folders.get(folder) {
            return Some(known.join(name));
        }
        let canonical = folder.canonicalize().ok()?;
        let path = canonical.join(name);
        self.folders.insert(folder.to_owned(), canonical);
        Some(path)
    }
}

/// Which file or folder something is of, and when that last changed.
fn state(metadata: &Metadata) -> (Stamp, SystemTime) {
    let numbers = [
        metadata.dev() as i64,
        metadata.ino() as i64,
        metadata.size() as i64,
        metadata.mode().into(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ];
    let changed = SystemTime::UNIX_EPOCH
        + Duration::new(metadata.ctime().max(0) as u64, metadata.ctime_nsec().clamp(0, 999_999_999) as u32);
    (stamp(&[&numbers.map(i64::to_le_bytes).concat()]), changed)
}

/// The state of a file if a later change is sure to show. What cannot be read fails, and failures are not kept.
fn settled(path: &Path) -> Option<Stamp> {
    let (stamp, changed) = Now::default().state(path)?;
    SystemTime::now().duration_since(changed).is_ok_and(|age| age > GRANULARITY).then_some(stamp)
}

fn stamp_of_variable(name: &[u8]) -> Stamp {
    let value = std::env::var_os(std::ffi::OsStr::from_bytes(name)).unwrap_or_default();
    stamp(&[value.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Until the file system's clock has moved on.
    fn settle() {
        std::thread::sleep(2 * GRANULARITY);
    }

    fn holds(reads: &Reads) -> bool {
        let is_valid = |path: &str| path == "/nix/store/there";
        let told = |name: &str| (name == "rev").then(|| "abc".to_owned());
        is_as_it_was(&reads.to_bytes().expect("repeatable"), is_valid, told)
    }

    #[test]
    fn tells_when_a_file_that_was_read_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "1").unwrap();
        settle();
        let reads = Reads::default();
        reads.read(&file);
        assert!(holds(&reads));
        fs::write(&file, "2").unwrap();
        assert!(!holds(&reads));
    }

    #[test]
    fn does_not_mind_what_was_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        settle();
        let reads = Reads::default();
        reads.looked(folder.path());
        reads.read(&folder.path().join("a"));
        fs::write(folder.path().join("b"), "2").unwrap();
        assert!(holds(&reads));
    }

    #[test]
    fn tells_when_a_path_comes_goes_or_becomes_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let reads = Reads::default();
        reads.looked(&path);
        assert!(holds(&reads));
        fs::write(&path, "").unwrap();
        assert!(!holds(&reads));
        let reads = Reads::default();
        reads.looked(&path);
        assert!(holds(&reads));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("b", &path).unwrap();
        assert!(!holds(&reads));
    }

    #[test]
    fn tells_when_a_listed_folder_gets_an_entry() {
        let folder = tempfile::tempdir().unwrap();
        settle();
        let reads = Reads::default();
        reads.listed(folder.path());
        assert!(holds(&reads));
        fs::write(folder.path().join("a"), "").unwrap();
        assert!(!holds(&reads));
    }

    #[test]
    fn asks_for_store_paths_again() {
        let reads = Reads::default();
        reads.valid("/nix/store/there");
        assert!(holds(&reads));
        reads.valid("/nix/store/gone");
        assert!(!holds(&reads));
    }

    #[test]
    fn compares_what_is_told() {
        let reads = Reads::default();
        reads.told(b"rev", b"abc");
        assert!(holds(&reads));
        let reads = Reads::default();
        reads.told(b"rev", b"abd");
        assert!(!holds(&reads));
    }

    #[test]
    fn takes_a_file_changed_just_now_for_unsettled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "1").unwrap();
        let reads = Reads::default();
        reads.read(&file);
        assert!(reads.to_bytes().is_none());
    }

    #[test]
    fn takes_damaged_bytes_for_a_change() {
        let reads = Reads::default();
        reads.variable(b"HOME");
        let bytes = reads.to_bytes().unwrap();
        assert!(!is_as_it_was(&bytes[..bytes.len() - 1], |_| true, |_| None));
        assert!(!is_as_it_was(&[9; 40], |_| true, |_| None));
    }
}
