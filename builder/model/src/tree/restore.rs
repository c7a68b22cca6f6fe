//! Writes a tree to the file system, never outside the place it is given.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, fstat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::symlinkat;

use super::{Event, MAX_DEPTH, TreeError, TreeSource, is_valid_name, is_valid_target};

/// The permissions and times of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// What the umask leaves of `rw` or `rwx`, and the current time.
    Umask,
    /// Those of a valid store path: `r--` or `r-x` for all, one second after the epoch.
    Store,
}

/// The time of every file in a store.
const STORE_TIME: TimeSpec = TimeSpec::new(1, 0);

const COPY_BUFFER: usize = 128 * 1024;

/// Writes the tree of `source` to `destination`, which must not exist but whose parent must.
///
/// On an error, what was written remains for the caller to remove. Names are checked here again, whatever the source,
/// every file is created anew relative to its open parent and no symbolic link is followed.
pub fn restore(source: &mut dyn TreeSource, destination: &Path, modes: Modes) -> Result<(), TreeError> {
    let mut restorer = Restorer { path: destination.to_owned(), modes, open: Vec::new(), buffer: Vec::new() };
    while let Some(event) = source.next_event()? {
        restorer.write(event, source)?;
    }
    match restorer.open.is_empty() {
        true => Ok(()),
        false => Err(TreeError::Order("a directory does not end")),
    }
}

struct Restorer {
    /// The innermost open directory, or the destination.
    path: PathBuf,
    modes: Modes,
    open: Vec<OwnedFd>,
    buffer: Vec<u8>,
}

impl Restorer {
    fn write(&mut self, event: Event, source: &mut dyn TreeSource) -> Result<(), TreeError> {
        match event {
            Event::DirectoryStart { name } => self.start_directory(name.as_ref()),
            Event::DirectoryEnd => self.end_directory(),
            Event::Regular { name, executable, size } => {
                self.regular(name.as_ref(), executable, size, source.contents())
            }
            Event::Symlink { name, target } => self.symlink(name.as_ref(), target.as_ref()),
        }
    }

    /// Where to create `name`: the open parent, and the file relative to it.
    fn place(&self, name: &BStr) -> Result<(BorrowedFd<'_>, PathBuf), TreeError> {
        match self.open.last() {
            Some(parent) if is_valid_name(name) => Ok((parent.as_fd(), as_path(name).to_owned())),
            None if name.is_empty() => Ok((AT_FDCWD, self.path.clone())),
            _ => Err(TreeError::BadArchive(format!("NAR contains invalid file name '{name}'"))),
        }
    }

    /// For messages, and to become `self.path`.
    fn path_of(&self, name: &BStr) -> PathBuf {
        match name.is_empty() {
            true => self.path.clone(),
            false => self.path.join(as_path(name)),
        }
    }

    fn start_directory(&mut self, name: &BStr) -> Result<(), TreeError> {
        let (parent, file) = self.place(name)?;
        let path = self.path_of(name);
        if self.open.len() >= MAX_DEPTH {
            return Err(TreeError::TooDeep { path });
        }
        mkdirat(parent, &file, Mode::from_bits_truncate(0o777))
            .map_err(TreeError::file("creating directory", &path))?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = openat(parent, &file, flags, Mode::empty())
            .map_err(TreeError::file("opening directory", &path))?;
        self.open.push(directory);
        self.path = path;
        Ok(())
    }

    fn end_directory(&mut self) -> Result<(), TreeError> {
        let Some(directory) = self.open.pop() else {
            return Err(TreeError::Order("a directory ends that has not started"));
        };
        self.finish(directory.as_fd(), &self.path, 0o555)?;
        if !self.open.is_empty() {
            self.path.pop();
        }
        Ok(())
    }

    fn regular(
        &mut self,
        name: &BStr,
        executable: bool,
        size: u64,
        contents: &mut dyn Read,
    ) -> Result<(), TreeError> {
        let (parent, file) = self.place(name)?;
        let path = self.path_of(name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = match (self.modes, executable) {
            (Modes::Umask, false) => 0o666,
            (Modes::Umask, true) => 0o777,
            (Modes::Store, false) => 0o444,
            (Modes::Store, true) => 0o555,
        };
        let created = openat(parent, &file, flags, Mode::from_bits_truncate(mode))
            .map_err(TreeError::file("creating file", &path))?;
        let mut created = File::from(created);
        self.buffer.resize(COPY_BUFFER, 0);
        let mut copied = 0;
        loop {
            let count = contents.read(&mut self.buffer)?;
            if count == 0 {
                break;
            }
            created.write_all(&self.buffer[..count]).map_err(|source| TreeError::File {
                action: "writing to file",
                path: path.clone(),
                source,
            })?;
            copied += count as u64;
        }
        if copied != size {
            return Err(TreeError::Changed { path });
        }
        self.finish(created.as_fd(), &path, mode)
    }

    fn symlink(&mut self, name: &BStr, target: &BStr) -> Result<(), TreeError> {
        let (parent, file) = self.place(name)?;
        let path = self.path_of(name);
        if !is_valid_target(target) {
            return Err(TreeError::BadArchive("NAR contains invalid symlink target".to_owned()));
        }
        let create = || {
            symlinkat(target.as_bytes(), parent, &file)?;
            if self.modes == Modes::Store {
                utimensat(parent, &file, &STORE_TIME, &STORE_TIME, UtimensatFlags::NoFollowSymlink)?;
            }
            Ok::<_, Errno>(())
        };
        create().map_err(TreeError::file("creating symbolic link", &path))
    }

    fn finish(&self, file: BorrowedFd<'_>, path: &Path, mode: u32) -> Result<(), TreeError> {
        if self.modes == Modes::Umask {
            return Ok(());
        }
        let set = || {
            // A file has its mode already, unless the umask took of it.
            if fstat(file)?.st_mode & 0o7777 != mode {
                fchmod(file, Mode::from_bits_truncate(mode))?;
            }
            futimens(file, &STORE_TIME, &STORE_TIME)
        };
        set().map_err(TreeError::file("setting mode and time of", path))
    }
}

/// File names are bytes on every system that this runs on.
fn as_path(name: &BStr) -> &Path {
    Path::new(OsStr::from_bytes(name))
}
