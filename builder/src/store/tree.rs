//! Trees of files that are not ours to trust: removing them and giving them a store's permissions and times.
//!
//! No symbolic link is followed; every folder is opened by its own name from the folder above it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstatat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};
use thiserror::Error;
use zeval_model::tree::MAX_DEPTH;

const OPEN_FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The time stamp of everything in a store: one second after the epoch.
const TIME: TimeSpec = TimeSpec::new(1, 0);

/// Makes a folder that everybody may enter, whatever the umask is: root's builds run as somebody else.
pub fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Removes whatever is at `path`, write-protected or not, however deep. Nothing there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match remove_all(path) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn remove_all(path: &Path) -> nix::Result<()> {
    let path = path.as_os_str().as_bytes();
    if remove_file(AT_FDCWD, path)? == Removed::Yes {
        return Ok(());
    }
    let mut moved = 0;
    loop {
        let (top, entries) = Folder::open(AT_FDCWD, path)?;
        if entries.is_empty() {
            return unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir);
        }
        for (above, name) in remove_entries(&top, &entries)? {
            moved += 1;
            renameat(&above, name.as_c_str(), &top.descriptor, format!(".zeval-removing-{moved}").as_str())?;
        }
    }
}

/// Removes the entries of a folder, many of them on several cores. Gives the folders that lie too deep to be gone down to,
/// each with the open one that holds it.
fn remove_entries(top: &Folder, entries: &[Entry]) -> nix::Result<Vec<(OwnedFd, CString)>> {
    let (next, too_deep) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> nix::Result<()> {
        while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            remove_below(top, entry, MAX_DEPTH, &|above, name| {
                let above = nix::unistd::dup(above)?;
                let mut too_deep = too_deep.lock().unwrap_or_else(PoisonError::into_inner);
                too_deep.push((above, name.to_owned()));
                Ok(())
            })?;
        }
        Ok(())
    };
    let threads = match entries.len() {
        0..ENTRIES_WORTH_THREADS => 1,
        _ => std::thread::available_parallelism().map_or(1, usize::from).min(MOST_REMOVERS),
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let own = work();
        helpers.into_iter().fold(own, |result, helper| match helper.join() {
            Ok(other) => result.and(other),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(too_deep.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Fewer are removed sooner than threads start.
const ENTRIES_WORTH_THREADS: usize = 64;
/// More threads wait for each other in the file system.
const MOST_REMOVERS: usize = 8;

/// Removes an entry of `above`. Each level takes a descriptor and stack, so what is more than `levels` deep is left to
/// `too_deep`, and all folders above it stay.
fn remove_below(
    above: &Folder,
    (name, kind): &Entry,
    levels: usize,
    too_deep: &impl Fn(BorrowedFd<'_>, &CStr) -> nix::Result<()>,
) -> nix::Result<()> {
    if *kind != Some(Type::Directory)
        && above.changed(|above| remove_file(above, name.as_bytes()))? == Removed::Yes
    {
        return Ok(());
    }
    if levels == 0 {
        return too_deep(above.descriptor.as_fd(), name);
    }
    let (folder, entries) = above.changed(|above| Folder::open(above, name.as_bytes()))?;
    for entry in entries {
        remove_below(&folder, &entry, levels - 1, too_deep)?;
    }
    drop(folder);
    let removed = above.changed(|above| unlinkat(above, name.as_c_str(), UnlinkatFlags::RemoveDir));
    match removed {
        // Something in it lies too deep, and is removed once it was moved.
        Err(Errno::ENOTEMPTY) => Ok(()),
        result => result,
    }
}

#[derive(PartialEq, Eq)]
enum Removed {
    Yes,
    IsFolder,
}

fn remove_file(above: BorrowedFd<'_>, name: &[u8]) -> nix::Result<Removed> {
    match unlinkat(above, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Ok(Removed::Yes),
        Err(Errno::EISDIR | Errno::EPERM) => Ok(Removed::IsFolder),
        Err(errno) => Err(errno),
    }
}

/// A name in a folder, and what it is of, where the file system tells.
type Entry = (CString, Option<Type>);

/// A folder that is emptied.
struct Folder {
    descriptor: OwnedFd,
}

impl Folder {
    fn open(above: BorrowedFd<'_>, name: &[u8]) -> nix::Result<(Folder, Vec<Entry>)> {
        let open = || Dir::openat(above, name, OPEN_FOLDER, Mode::empty());
        let mut listing = match open() {
            Err(Errno::EACCES) => {
                make_changeable(above, name)?;
                open()?
            }
            result => result?,
        };
        let entries = entries(&mut listing)?;
        // A listing is for one thread only.
        let descriptor = nix::unistd::dup(&listing)?;
        Ok((Folder { descriptor }, entries))
    }

    /// Changes something in the folder, which is made one that we may change if it is not.
    fn changed<T>(&self, change: impl Fn(BorrowedFd<'_>) -> nix::Result<T>) -> nix::Result<T> {
        match change(self.descriptor.as_fd()) {
            Err(Errno::EACCES) => {
                fchmod(&self.descriptor, Mode::S_IRWXU)?;
                change(self.descriptor.as_fd())
            }
            result => result,
        }
    }
}

/// Opens a folder and makes it one that we may read, enter and write.
fn open_folder_for_change(above: BorrowedFd<'_>, name: &[u8]) -> nix::Result<OwnedFd> {
    let open = || openat(above, name, OPEN_FOLDER, Mode::empty());
    let folder = match open() {
        Err(Errno::EACCES) => {
            make_changeable(above, name)?;
            open()?
        }
        result => result?,
    };
    fchmod(&folder, Mode::S_IRWXU)?;
    Ok(folder)
}

/// Only a folder without read permission gets here, and a symbolic link has no permissions to lack.
fn make_changeable(above: BorrowedFd<'_>, name: &[u8]) -> nix::Result<()> {
    fchmodat(above, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)
}

fn entries(listing: &mut Dir) -> nix::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            entries.push((name, entry.file_type()));
        }
    }
    Ok(entries)
}

/// Gives `path` and everything below it what a store holds of metadata: files are 0444 or, if their owner may execute
/// them, 0555; folders 0555; all belong to us and are dated one second after the epoch.
///
/// The folder `path` itself stays writable until [`seal`]: only so can it be renamed.
pub fn canonicalise(path: &Path) -> Result<(), Unfit> {
    canonicalise_at(AT_FDCWD, path.as_os_str().as_bytes(), 0)
}

/// Why a tree cannot be made fit for a store.
#[derive(Debug, Error)]
pub enum Unfit {
    #[error("{0}")]
    System(#[from] Errno),
    #[error("it holds a socket, pipe or device, which a store cannot")]
    SpecialFile,
    #[error("its folders lie more than {MAX_DEPTH} deep within each other")]
    TooDeep,
}

/// The last step for a path that has been renamed to its place.
pub fn seal(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o555))?;
    }
    Ok(utimensat(AT_FDCWD, path, &TIME, &TIME, UtimensatFlags::NoFollowSymlink)?)
}

fn canonicalise_at(above: BorrowedFd<'_>, name: &[u8], depth: usize) -> Result<(), Unfit> {
    if depth > MAX_DEPTH {
        return Err(Unfit::TooDeep);
    }
    let status = fstatat(above, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    take_ownership(above, name, &status)?;
    match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFLNK => (),
        SFlag::S_IFREG => {
            let executable = status.st_mode & Mode::S_IXUSR.bits() != 0;
            let mode = if executable { 0o555 } else { 0o444 };
            if status.st_mode & 0o7777 != mode {
                fchmodat(above, name, Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)?;
            }
        }
        SFlag::S_IFDIR => {
            let folder = open_folder_for_change(above, name)?;
            // A descriptor of its own: reading moves a position that descriptors share.
            let mut listing = Dir::openat(folder.as_fd(), ".", OPEN_FOLDER, Mode::empty())?;
            for (entry, _) in entries(&mut listing)? {
                canonicalise_at(folder.as_fd(), entry.as_bytes(), depth + 1)?;
            }
            let mode = if depth == 0 { 0o755 } else { 0o555 };
            fchmod(&folder, Mode::from_bits_truncate(mode))?;
        }
        _ => return Err(Unfit::SpecialFile),
    }
    Ok(utimensat(above, name, &TIME, &TIME, UtimensatFlags::NoFollowSymlink)?)
}

/// A build started by root ran as somebody else.
fn take_ownership(above: BorrowedFd<'_>, name: &[u8], status: &FileStat) -> nix::Result<()> {
    let (user, group) = (Uid::effective(), Gid::effective());
    if status.st_uid == user.as_raw() && status.st_gid == group.as_raw() || !user.is_root() {
        return Ok(());
    }
    fchownat(above, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_tree_gets_a_stores_metadata_and_can_still_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "x").unwrap();
        let top = folder.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/file"), "x").unwrap();
        fs::write(top.join("a/b/program"), "x").unwrap();
        fs::set_permissions(top.join("a/b/program"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink(&outside, top.join("link")).unwrap();
        fs::set_permissions(top.join("a/b"), fs::Permissions::from_mode(0o000)).unwrap();

        canonicalise(&top).unwrap();
        seal(&top).unwrap();

        let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode(&top), 0o555);
        assert_eq!(mode(&top.join("a/b")), 0o555);
        assert_eq!(mode(&top.join("a/file")), 0o444);
        assert_eq!(mode(&top.join("a/b/program")), 0o555);
        assert_ne!(outside.metadata().unwrap().mtime(), 1);
        for path in [&top, &top.join("link"), &top.join("a/b/program")] {
            assert_eq!(path.symlink_metadata().unwrap().mtime(), 1);
        }
        remove(&top).unwrap();
        assert!(!top.exists());
        assert!(outside.exists());
    }

    #[test]
    fn special_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        fs::create_dir(&top).unwrap();
        nix::unistd::mkfifo(&top.join("pipe"), Mode::S_IRWXU).unwrap();
        assert!(matches!(canonicalise(&top), Err(Unfit::SpecialFile)));
    }

    #[test]
    fn a_tree_of_any_depth_is_removed_and_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut deepest = std::fs::File::open(&top).map(OwnedFd::from).unwrap();
        for _ in 0..5000 {
            nix::sys::stat::mkdirat(&deepest, "x", Mode::S_IRWXU).unwrap();
            deepest = openat(&deepest, "x", OPEN_FOLDER, Mode::empty()).unwrap();
        }
        drop(deepest);
        assert!(matches!(canonicalise(&top), Err(Unfit::TooDeep)));
        remove(&top).unwrap();
        assert!(!top.exists());
    }
}
