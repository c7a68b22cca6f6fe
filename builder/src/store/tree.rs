//! Trees of files that are not ours to trust: removing them and giving them a store's permissions and times.
//!
//! No symbolic link is followed; every folder is opened by its own name from the folder above it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::dir::Dir;
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
    let top = open_folder_for_change(AT_FDCWD, path)?;
    let mut moved = 0;
    loop {
        let names = entries(&top)?;
        if names.is_empty() {
            return unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir);
        }
        for name in names {
            remove_below(top.as_fd(), name.as_bytes(), MAX_DEPTH, &mut |above, name| {
                moved += 1;
                renameat(above, name, &top, format!(".zeval-removing-{moved}").as_str())
            })?;
        }
    }
}

/// Removes `name`. Each level takes a descriptor and stack, so `too_deep` must get what is more than `levels` deep out of
/// the way.
fn remove_below(
    above: BorrowedFd<'_>,
    name: &[u8],
    levels: usize,
    too_deep: &mut impl FnMut(BorrowedFd<'_>, &[u8]) -> nix::Result<()>,
) -> nix::Result<()> {
    if remove_file(above, name)? == Removed::Yes {
        return Ok(());
    }
    let folder = open_folder_for_change(above, name)?;
    if levels == 0 {
        drop(folder);
        return too_deep(above, name);
    }
    for entry in entries(&folder)? {
        remove_below(folder.as_fd(), entry.as_bytes(), levels - 1, too_deep)?;
    }
    unlinkat(above, name, UnlinkatFlags::RemoveDir)
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

/// Opens a folder and makes it one that we may read, enter and write.
fn open_folder_for_change(above: BorrowedFd<'_>, name: &[u8]) -> nix::Result<OwnedFd> {
    let open = || openat(above, name, OPEN_FOLDER, Mode::empty());
    let folder = match open() {
        Err(Errno::EACCES) => {
            // Only a folder without read permission gets here, and a symbolic link has no permissions to lack.
            fchmodat(above, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            open()?
        }
        result => result?,
    };
    fchmod(&folder, Mode::S_IRWXU)?;
    Ok(folder)
}

fn entries(folder: &OwnedFd) -> nix::Result<Vec<CString>> {
    // A descriptor of its own: reading moves a position that descriptors share.
    let mut listing = Dir::openat(folder.as_fd(), ".", OPEN_FOLDER, Mode::empty())?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
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
            for entry in entries(&folder)? {
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
