//! Ends a build that fills the disk, while there is still room for everything else on the machine.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How often the build's files are, while the disk is nearly full.
const COUNT: Duration = Duration::from_secs(2);

/// What a build writes, and the disk that it writes to.
#[derive(Debug)]
pub struct Room {
    folder: PathBuf,
    looked: Instant,
    counted: Option<Instant>,
}

/// A disk that is nearly full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Bytes of the build's own files.
    pub used: u64,
    /// Bytes that are free.
    pub left: u64,
    /// The build's own files, folders and links.
    pub files: u64,
    /// How many more the file system takes, if it has a limit.
    pub files_left: u64,
}

impl Room {
    /// `folder` has all that the build can write.
    pub fn new(folder: &Path) -> Room {
        Room { folder: folder.to_owned(), looked: Instant::now(), counted: None }
    }

    /// Whether the disk is nearly full and it is this build that holds much of it.
    pub fn is_filled(&mut self) -> Option<Filled> {
        if self.looked.elapsed() < LOOK {
            return None;
        }
        self.looked = Instant::now();
        let disk = statvfs(&self.folder).ok()?;
        let left = disk.blocks_available() * disk.fragment_size();
        let is_recent = self.counted.is_some_and(|counted| counted.elapsed() < COUNT);
        let has_room = left >= reserve(disk.blocks() * disk.fragment_size());
        let has_files = disk.files_available() >= disk.files() / SHARE;
        if (has_room && has_files) || is_recent {
            return None;
        }
        let filled = self.measure();
        self.counted = Some(Instant::now());
        let holds_much = filled.used > filled.left && !has_room;
        let has_many = filled.files > filled.files_left && !has_files;
        (holds_much || has_many).then_some(filled)
    }

    /// What the build holds, and what is left.
    pub fn measure(&self) -> Filled {
        let disk = statvfs(&self.folder).ok();
        let (used, files) = size_on_disk(&self.folder);
        let left = disk.map_or(0, |disk| disk.blocks_available() * disk.fragment_size());
        Filled { used, left, files, files_left: disk.map_or(0, |disk| disk.files_available()) }
    }
}

/// One part of so many is what builds leave to others of a disk, and of the files that it can hold.
const SHARE: u64 = 50;

/// Of a disk of that size, what builds leave to others.
fn reserve(size: u64) -> u64 {
    (size / SHARE).min(512 << 20)
}

/// Bytes that the files below `folder` have on the disk, and how many there are; what vanishes meanwhile does not count.
fn size_on_disk(folder: &Path) -> (u64, u64) {
    const BLOCK: u64 = 512;
    let (mut size, mut files) = (0, 0);
    let mut seen = HashSet::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.nlink() > 1 && !found.is_dir() && !seen.insert((found.dev(), found.ino())) {
            continue;
        }
        size += found.blocks() * BLOCK;
        files += 1;
        if found.is_dir() {
            pending.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    (size, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_links_share_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, vec![1; 100_000]).unwrap();
        let one = size_on_disk(folder.path());
        fs::hard_link(&file, folder.path().join("again")).unwrap();
        assert_eq!(size_on_disk(folder.path()), one);
        assert!(one.0 >= 100_000);
        assert_eq!(one.1, 2);
    }

    #[test]
    fn little_is_kept_of_a_small_disk() {
        assert_eq!(reserve(100 << 20), 2 << 20);
        assert_eq!(reserve(1 << 40), 512 << 20);
    }
}
