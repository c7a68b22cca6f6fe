//! Files that share their blocks on the disk and stay files of their own, where the file system can do that (btrfs, XFS): the
//! kernel compares them itself, and shares only what is equal.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

/// Bytes that are compared at once: btrfs takes no more.
const PIECE: u64 = 16 << 20;
/// `FILE_DEDUPE_RANGE_DIFFERS`
const DIFFERS: i32 = 1;
/// Of `FIEMAP_EXTENT_...`: the place is unknown, not chosen yet, or the data lie among those of the file system.
const NO_PLACE: u32 = 0x2 | 0x4 | 0x200;

/// `struct file_dedupe_range` of `linux/fs.h`, for one target.
#[repr(C)]
#[derive(Default)]
struct DedupeRange {
    source_offset: u64,
    source_length: u64,
    target_count: u16,
    reserved: u16,
    reserved_too: u32,
    target: i64,
    target_offset: u64,
    bytes_deduped: u64,
    status: i32,
    reserved_at_end: u32,
}

/// `struct fiemap` of `linux/fiemap.h`, with room for one extent.
#[repr(C)]
#[derive(Default)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    logical: u64,
    physical: u64,
    extent_length: u64,
    reserved_of_extent: [u64; 2],
    extent_flags: u32,
    reserved_at_end: [u32; 3],
}

const FIDEDUPERANGE: libc::Ioctl = libc::_IOWR::<[u64; 3]>(0x94, 54);
const FS_IOC_FIEMAP: libc::Ioctl = libc::_IOWR::<[u64; 4]>(b'f' as u32, 11);

/// What came of sharing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    Now,
    /// It was so already.
    Before,
    /// The files differ, or are too small to lie in blocks of their own.
    Not,
    /// The file system cannot share blocks.
    Unsupported,
}

/// Lets `target`, a file of ours, have the blocks of `source`, if all of their `length` bytes are equal.
pub fn share(source: &File, target: &File, length: u64) -> io::Result<Shared> {
    match (first_block(source), first_block(target)) {
        (Ok(Some(one)), Ok(Some(other))) if one == other => return Ok(Shared::Before),
        (Ok(Some(_)), Ok(Some(_))) => (),
        (Ok(_), Ok(_)) => return Ok(Shared::Not),
        _ => return Ok(Shared::Unsupported),
    }
    let mut offset = 0;
    while offset < length {
        let mut range = DedupeRange {
            source_offset: offset,
            source_length: PIECE.min(length - offset),
            target_count: 1,
            target: i64::from(target.as_raw_fd()),
            target_offset: offset,
            ..DedupeRange::default()
        };
        // SAFETY: the structure is the one that the call reads and writes, with the one target that it announces, and lives during
        // the call; both descriptors are open.
        let result = unsafe { libc::ioctl(source.as_raw_fd(), FIDEDUPERANGE, &raw mut range) };
        let result = match Errno::result(result) {
            Ok(_) if range.status < 0 => Err(Errno::from_raw(-range.status)),
            Ok(_) => Ok(()),
            Err(errno) => Err(errno),
        };
        match result {
            Err(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::ENOSYS | Errno::EXDEV | Errno::EPERM) => {
                return Ok(Shared::Unsupported);
            }
            Err(Errno::EINVAL) => return Ok(Shared::Not),
            Err(errno) => return Err(errno.into()),
            Ok(()) if range.status == DIFFERS || range.bytes_deduped == 0 => return Ok(Shared::Not),
            Ok(()) => offset += range.bytes_deduped,
        }
    }
    Ok(Shared::Now)
}

/// Where on the disk a file begins, if it is in blocks that have a place; an error if the file system does not tell.
fn first_block(file: &File) -> nix::Result<Option<u64>> {
    let mut map = Map { length: u64::MAX, extent_count: 1, ..Map::default() };
    // SAFETY: the structure is the one that the call reads and writes, with room for the one extent that it announces, and lives
    // during the call; the descriptor is open.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) };
    Errno::result(result)?;
    let is_placed = map.mapped_extents == 1 && map.extent_flags & NO_PLACE == 0;
    Ok(is_placed.then_some(map.physical))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// On whatever file system the tests run: blocks are shared, or that is said not to be possible; contents stay.
    #[test]
    fn contents_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, byte: u8| {
            let path = folder.path().join(name);
            fs::write(&path, vec![byte; 100_000]).unwrap();
            (File::open(&path).unwrap(), path)
        };
        let ((one, _), (same, same_path), (other, other_path)) =
            (make("one", 1), make("same", 1), make("other", 2));
        [&one, &same, &other].iter().for_each(|file| file.sync_all().unwrap());
        let first = share(&one, &same, 100_000).unwrap();
        assert!(matches!(first, Shared::Now | Shared::Unsupported), "{first:?}");
        if first == Shared::Now {
            assert_eq!(share(&one, &same, 100_000).unwrap(), Shared::Before);
            assert_eq!(share(&one, &other, 100_000).unwrap(), Shared::Not);
        }
        assert_eq!(fs::read(same_path).unwrap(), vec![1; 100_000]);
        assert_eq!(fs::read(other_path).unwrap(), vec![2; 100_000]);
    }
}
