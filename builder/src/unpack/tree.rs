//! Writes a tree below one folder so that nothing ends up outside it, whatever the names say.
//!
//! Files get the modes and times of a store's; folders stay writable for whoever goes on with the tree.
//! Every folder on the way is opened by its own name from the folder above it and never through a symbolic link, so what an archive
//! put there earlier, or another process puts there meanwhile, cannot lead elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{LinkatFlags, UnlinkatFlags, linkat, symlinkat, unlinkat};

use super::entry_path::EntryPath;
use super::error::Fault;

/// The time stamp of every file in a store.
const TIME: TimeSpec = TimeSpec::new(1, 0);
const OPEN_FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A folder being filled.
pub(super) struct Tree {
    root: OwnedFd,
    /// The folders from the root to the one last written to: entries come mostly side by side.
    open: Vec<(Vec<u8>, OwnedFd)>,
}

impl Tree {
    /// Fills the existing folder `path`.
    pub(super) fn open(path: &Path) -> Result<Tree, Fault> {
        let root = open(path, OPEN_FOLDER, Mode::empty()).map_err(|error| Fault::write(b".", error))?;
        Ok(Tree { root, open: Vec::new() })
    }

    /// Makes a folder, unless it is there. A symbolic link or file of that name gives way.
    pub(super) fn folder(&mut self, path: &EntryPath) -> Result<(), Fault> {
        let Some((above, name)) = path.split_last() else { return Ok(()) };
        let above = self.descend(above)?;
        let made = match kind_of(above, name) {
            Ok(Some(SFlag::S_IFDIR)) => Ok(()),
            Ok(Some(_)) => {
                unlinkat(above, name, UnlinkatFlags::NoRemoveDir).and_then(|()| make_folder(above, name))
            }
            Ok(None) => make_folder(above, name),
            Err(error) => Err(error),
        };
        made.map_err(|error| Fault::write(&path.display(), error))
    }

    /// Makes a file and lets `fill` write it. A file or link of that name gives way, and is not written through.
    pub(super) fn file(
        &mut self,
        path: &EntryPath,
        executable: bool,
        fill: impl FnOnce(&mut File) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (above, name) = self.place(path)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let create = || openat(above, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let file = give_way(above, name, create).map_err(|error| Fault::write(&path.display(), error))?;
        let mut file = File::from(file);
        fill(&mut file)?;
        let mode = if executable { 0o555 } else { 0o444 };
        let finish = || {
            fchmod(file.as_fd(), Mode::from_bits_truncate(mode))?;
            futimens(file.as_fd(), &TIME, &TIME)
        };
        finish().map_err(|error| Fault::write(&path.display(), error))
    }

    /// Makes a symbolic link. Its target may be anything: nothing here follows it.
    pub(super) fn symlink(&mut self, path: &EntryPath, target: &[u8]) -> Result<(), Fault> {
        if target.is_empty() || target.contains(&0) {
            return Err(Fault::refused(&path.display(), "a symbolic link without a usable target"));
        }
        let (above, name) = self.place(path)?;
        let create = || symlinkat(target, above, name);
        give_way(above, name, create)
            .and_then(|()| utimensat(above, name, &TIME, &TIME, UtimensatFlags::NoFollowSymlink))
            .map_err(|error| Fault::write(&path.display(), error))
    }

    /// Makes another name for the file or link `existing` of this tree.
    pub(super) fn hard_link(&mut self, path: &EntryPath, existing: &EntryPath) -> Result<(), Fault> {
        if path == existing {
            return Ok(());
        }
        let refuse = |reason| Fault::refused(&path.display(), reason);
        let (folder, old_name) =
            existing.split_last().ok_or_else(|| refuse("a hard link to the folder it is unpacked into"))?;
        let old = self
            .descend(folder)?
            .try_clone_to_owned()
            .map_err(|error| Fault::write(&path.display(), error))?;
        match kind_of(old.as_fd(), old_name) {
            Ok(None) => return Err(refuse("a hard link to a file that does not come before it")),
            Ok(Some(SFlag::S_IFDIR)) => return Err(refuse("a hard link to a folder")),
            Ok(Some(_)) => {}
            Err(error) => return Err(Fault::write(&path.display(), error)),
        }
        let (above, name) = self.place(path)?;
        let create = || linkat(old.as_fd(), old_name, above, name, LinkatFlags::empty());
        give_way(above, name, create).map_err(|error| Fault::write(&path.display(), error))
    }

    /// The open folder that `path` goes into, and its name there.
    fn place<'a>(&mut self, path: &'a EntryPath) -> Result<(BorrowedFd<'_>, &'a [u8]), Fault> {
        let (above, name) = path
            .split_last()
            .ok_or_else(|| Fault::refused(b".", "which replaces the folder it is unpacked into"))?;
        Ok((self.descend(above)?, name))
    }

    /// Opens the folder at `components` below the root, making those that no entry made.
    fn descend(&mut self, components: &[Vec<u8>]) -> Result<BorrowedFd<'_>, Fault> {
        let common =
            self.open.iter().zip(components).take_while(|((name, _), component)| name == *component).count();
        self.open.truncate(common);
        for depth in common..components.len() {
            let name = &components[depth];
            let above = self.open.last().map_or(self.root.as_fd(), |(_, folder)| folder.as_fd());
            let path = || components[..=depth].join(&b'/');
            let folder = match openat(above, name.as_slice(), OPEN_FOLDER, Mode::empty()) {
                Err(Errno::ENOENT) => {
                    make_folder(above, name).map_err(|error| Fault::write(&path(), error))?;
                    openat(above, name.as_slice(), OPEN_FOLDER, Mode::empty())
                }
                opened => opened,
            };
            let folder = folder.map_err(|error| match error {
                Errno::ELOOP | Errno::ENOTDIR => Fault::refused(
                    &components.join(&b'/'),
                    "a path through something that is no folder (a symbolic link, which could lead anywhere, or a file)",
                ),
                error => Fault::write(&path(), error),
            })?;
            self.open.push((name.clone(), folder));
        }
        Ok(self.open.last().map_or(self.root.as_fd(), |(_, folder)| folder.as_fd()))
    }
}

fn make_folder(above: BorrowedFd<'_>, name: &[u8]) -> nix::Result<()> {
    mkdirat(above, name, Mode::S_IRWXU)
}

/// Runs `create`; if something other than a folder is in its way, removes that and runs it again.
fn give_way<T>(above: BorrowedFd<'_>, name: &[u8], create: impl Fn() -> nix::Result<T>) -> nix::Result<T> {
    match create() {
        Err(Errno::EEXIST) => {
            unlinkat(above, name, UnlinkatFlags::NoRemoveDir)?;
            create()
        }
        created => created,
    }
}

/// What kind of thing has this name, if any.
fn kind_of(above: BorrowedFd<'_>, name: &[u8]) -> nix::Result<Option<SFlag>> {
    match fstatat(above, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(FileStat { st_mode, .. }) => Ok(Some(SFlag::from_bits_truncate(st_mode & SFlag::S_IFMT.bits()))),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies exactly `length` bytes of an entry.
pub(super) fn copy(from: &mut dyn io::Read, to: &mut File, length: u64, entry: &[u8]) -> Result<(), Fault> {
    let mut buffer = [0; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = from.read(&mut buffer[..wanted]).map_err(Fault::reading)?;
        if got == 0 {
            return Err(Fault::damaged("it ends within a file"));
        }
        io::Write::write_all(to, &buffer[..got]).map_err(|error| Fault::write(entry, error))?;
        left -= got as u64;
    }
    Ok(())
}
