//! Reads a tree from the file system, without following symbolic links.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::vec;

use nix::dir::{Dir, Type};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::{Event, MAX_DEPTH, TreeError, TreeSource};

/// What a filter is told about a file; the names are those of `builtins.readFileType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    Regular,
    Directory,
    Symlink,
    Unknown,
}

impl FileType {
    pub const fn name(self) -> &'static str {
        match self {
            FileType::Regular => "regular",
            FileType::Directory => "directory",
            FileType::Symlink => "symlink",
            FileType::Unknown => "unknown",
        }
    }
}

/// Decides whether a file below the root becomes part of the tree; called for directories before what is in them. Its
/// error ends the walk as [`TreeError::Filter`].
pub type Filter<'a> =
    dyn FnMut(&Path, FileType) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// The filter that leaves nothing out.
pub fn everything(_: &Path, _: FileType) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    Ok(true)
}

/// Walks a folder, or a single file or link.
pub struct Walker<'a> {
    /// The root, until it is visited.
    path: PathBuf,
    filter: &'a mut Filter<'a>,
    started: bool,
    open: Vec<OpenDirectory>,
    /// The regular file of the last event, if it was one.
    file: Option<OpenFile>,
    nothing: io::Empty,
}

struct OpenDirectory {
    directory: Dir,
    entries: vec::IntoIter<(OsString, FileType)>,
    path: PathBuf,
}

struct OpenFile {
    file: File,
    remaining: u64,
    path: PathBuf,
}

impl<'a> Walker<'a> {
    /// The tree at `root`; nothing is read before the first event. If `root` is a symbolic link, the link is the tree.
    pub fn new(root: &Path, filter: &'a mut Filter<'a>) -> Walker<'a> {
        Walker {
            path: root.to_owned(),
            filter,
            started: false,
            open: Vec::new(),
            file: None,
            nothing: io::empty(),
        }
    }

    /// The next file that the filter lets pass, or the end of a directory.
    fn visit_next(&mut self) -> Result<Option<Event>, TreeError> {
        loop {
            let Some(directory) = self.open.last_mut() else { return Ok(None) };
            let Some((name, kind)) = directory.entries.next() else {
                self.open.pop();
                return Ok(Some(Event::DirectoryEnd));
            };
            let path = directory.path.join(&name);
            if (self.filter)(&path, kind).map_err(TreeError::Filter)? {
                let found = Found { parent: directory.directory.as_fd(), file: &name, name: &name, path };
                let (event, opened) = found.open(kind)?;
                return self.keep(event, opened).map(Some);
            }
        }
    }

    fn visit_root(&mut self) -> Result<Event, TreeError> {
        let path = std::mem::take(&mut self.path);
        let kind =
            type_of(AT_FDCWD, path.as_os_str()).map_err(TreeError::file("getting status of", &path))?;
        let file = path.clone().into_os_string();
        let found = Found { parent: AT_FDCWD, file: &file, name: OsStr::new(""), path };
        let (event, opened) = found.open(kind)?;
        self.keep(event, opened)
    }

    fn keep(&mut self, event: Event, opened: Opened) -> Result<Event, TreeError> {
        match opened {
            Opened::Directory(directory) if self.open.len() >= MAX_DEPTH => {
                return Err(TreeError::TooDeep { path: directory.path });
            }
            Opened::Directory(directory) => self.open.push(directory),
            Opened::File(file) => self.file = Some(file),
            Opened::Nothing => (),
        }
        Ok(event)
    }
}

impl TreeSource for Walker<'_> {
    fn next_event(&mut self) -> Result<Option<Event>, TreeError> {
        self.file = None;
        match std::mem::replace(&mut self.started, true) {
            false => self.visit_root().map(Some),
            true => self.visit_next(),
        }
    }

    fn contents(&mut self) -> &mut dyn Read {
        match &mut self.file {
            Some(file) => file,
            None => &mut self.nothing,
        }
    }
}

/// A file that is to become part of the tree.
struct Found<'a> {
    parent: BorrowedFd<'a>,
    /// What to open in `parent`.
    file: &'a OsStr,
    /// The name in the tree.
    name: &'a OsStr,
    /// For the filter and for messages.
    path: PathBuf,
}

enum Opened {
    Nothing,
    File(OpenFile),
    Directory(OpenDirectory),
}

impl Found<'_> {
    fn open(self, kind: FileType) -> Result<(Event, Opened), TreeError> {
        let name = self.name.as_bytes().into();
        match kind {
            FileType::Directory => Ok((Event::DirectoryStart { name }, self.open_directory()?)),
            FileType::Regular => {
                let (file, executable) = self.open_file()?;
                let size = file.remaining;
                Ok((Event::Regular { name, executable, size }, Opened::File(file)))
            }
            FileType::Symlink => {
                let target = readlinkat(self.parent, self.file)
                    .map_err(TreeError::file("reading symbolic link", &self.path))?;
                Ok((Event::Symlink { name, target: target.into_vec().into() }, Opened::Nothing))
            }
            FileType::Unknown => Err(TreeError::UnsupportedType { path: self.path }),
        }
    }

    fn open_directory(self) -> Result<Opened, TreeError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut directory = Dir::openat(self.parent, self.file, flags, Mode::empty())
            .map_err(TreeError::file("opening directory", &self.path))?;
        let entries =
            read_directory(&mut directory).map_err(TreeError::file("reading directory", &self.path))?;
        Ok(Opened::Directory(OpenDirectory { directory, entries: entries.into_iter(), path: self.path }))
    }

    /// The file, and whether its owner may execute it.
    fn open_file(self) -> Result<(OpenFile, bool), TreeError> {
        // Should a FIFO have taken the file's place, opening it must not wait for a writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let opened = openat(self.parent, self.file, flags, Mode::empty());
        let file = File::from(opened.map_err(TreeError::file("opening file", &self.path))?);
        let status = fstat(&file).map_err(TreeError::file("getting status of", &self.path))?;
        if file_type(&status) != FileType::Regular {
            return Err(TreeError::UnsupportedType { path: self.path });
        }
        let remaining = u64::try_from(status.st_size).unwrap_or(0);
        Ok((OpenFile { file, remaining, path: self.path }, status.st_mode & 0o100 != 0))
    }
}

impl Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::Error::other(TreeError::Changed { path: self.path.clone() }));
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

/// The names in a directory, sorted by their bytes, and what they name.
fn read_directory(directory: &mut Dir) -> nix::Result<Vec<(OsString, FileType)>> {
    let mut entries = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            entries.push((name.to_owned(), entry.file_type()));
        }
    }
    entries.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    let with_type = entries.into_iter().map(|(name, kind)| {
        let kind = match kind {
            Some(Type::File) => FileType::Regular,
            Some(Type::Directory) => FileType::Directory,
            Some(Type::Symlink) => FileType::Symlink,
            Some(_) => FileType::Unknown,
            // Some file systems do not tell.
            None => type_of(directory.as_fd(), &name)?,
        };
        Ok((name, kind))
    });
    with_type.collect()
}

fn type_of(parent: BorrowedFd<'_>, file: &OsStr) -> nix::Result<FileType> {
    Ok(file_type(&fstatat(parent, file, AtFlags::AT_SYMLINK_NOFOLLOW)?))
}

fn file_type(status: &FileStat) -> FileType {
    match SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => FileType::Regular,
        SFlag::S_IFDIR => FileType::Directory,
        SFlag::S_IFLNK => FileType::Symlink,
        _ => FileType::Unknown,
    }
}
