//! Commits to folders, straight from git's objects: no filter, no line ending and no work tree changes what is there.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::Path,
    process::Stdio,
};

use bstr::{BString, ByteSlice};

use super::{command::Repository, export};
use crate::{InputError, Result, fetch::failed};

/// A file of a commit.
pub(super) struct File {
    pub path: BString,
    mode: Mode,
    object: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Executable,
    Symlink,
    /// A commit of another repository.
    Submodule,
}

/// The files of a commit, sorted by git.
pub(super) fn files(repository: &Repository, revision: &str) -> Result<Vec<File>> {
    let listing = repository.output(&["ls-tree", "-r", "-z", "--full-tree", revision])?;
    listing.split(|&byte| byte == 0).filter(|line| !line.is_empty()).map(parse).collect()
}

/// Reads `100644 blob OBJECT\tPATH`.
fn parse(line: &[u8]) -> Result<File> {
    let malformed = || InputError::new(format!("git printed a line that is no file: '{}'", line.as_bstr()));
    let (head, path) = line.split_once_str("\t").ok_or_else(malformed)?;
    let mut words = head.split(|&byte| byte == b' ');
    let mode = match words.next() {
        Some(b"120000") => Mode::Symlink,
        Some(b"160000") => Mode::Submodule,
        Some(b"100755") => Mode::Executable,
        Some(_) => Mode::Plain,
        None => return Err(malformed()),
    };
    let object = words.nth(1).ok_or_else(malformed)?;
    Ok(File { path: path.into(), mode, object: object.to_str_lossy().into_owned() })
}

/// Writes the files of a commit to a new folder; a submodule is an empty one.
pub(super) fn check_out(
    repository: &Repository,
    revision: &str,
    export_ignore: bool,
    folder: &Path,
) -> Result<()> {
    let mut files = files(repository, revision)?;
    if export_ignore {
        export::drop_ignored(repository, revision, &mut files)?;
    }
    fs::create_dir(folder).map_err(failed)?;
    let mut command = repository.command(&["cat-file", "--batch"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(InputError::new("git has no standard input"));
    };
    let objects: Vec<&str> = wanted(&files).map(|file| file.object.as_str()).collect();
    let written = std::thread::scope(|scope| {
        scope.spawn(move || -> io::Result<()> {
            for object in objects {
                writeln!(stdin, "{object}")?;
            }
            Ok(())
        });
        write_all(&files, &mut BufReader::with_capacity(1 << 16, stdout), folder)
    });
    if written.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    written?;
    match status.success() {
        true => Ok(()),
        false => Err(InputError::new(format!("git cannot read the files of revision '{revision}'"))),
    }
}

fn wanted(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.mode != Mode::Submodule)
}

fn write_all(files: &[File], objects: &mut impl BufRead, folder: &Path) -> Result<()> {
    for file in files {
        let path = inside(folder, file.path.as_bstr())?;
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(failed)?;
        if file.mode == Mode::Submodule {
            fs::create_dir_all(&path).map_err(failed)?;
            continue;
        }
        let size = object_size(objects, file)?;
        let write = |error: io::Error| InputError::new(format!("cannot write '{}': {error}", path.display()));
        let mut content = objects.take(size);
        if file.mode == Mode::Symlink {
            let mut target = Vec::new();
            content.read_to_end(&mut target).map_err(write)?;
            std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&target), &path).map_err(write)?;
        } else {
            let mode = if file.mode == Mode::Executable { 0o555 } else { 0o444 };
            let mut target =
                OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(write)?;
            io::copy(&mut content, &mut target).map_err(write)?;
        }
        // The newline behind the object.
        objects.consume_one().map_err(failed)?;
    }
    Ok(())
}

trait ConsumeOne {
    fn consume_one(&mut self) -> io::Result<()>;
}

impl<R: BufRead> ConsumeOne for R {
    fn consume_one(&mut self) -> io::Result<()> {
        self.read_exact(&mut [0])
    }
}

/// Reads `OBJECT blob SIZE`.
fn object_size(objects: &mut impl BufRead, file: &File) -> Result<u64> {
    let mut header = String::new();
    objects.read_line(&mut header).map_err(failed)?;
    let size = header.trim_end().rsplit(' ').next().and_then(|size| size.parse().ok());
    size.ok_or_else(|| {
        InputError::new(format!("git has not the object '{}' of the file '{}'", file.object, file.path))
    })
}

/// A path below a folder; git keeps none that leads out of it, but a repository may have been made by anything.
fn inside(folder: &Path, path: &bstr::BStr) -> Result<std::path::PathBuf> {
    let is_proper = |part: &[u8]| zeval_model::tree::is_valid_name(part);
    if !path.split(|&byte| byte == b'/').all(is_proper) {
        return Err(InputError::new(format!("the repository has a file with the improper name '{path}'")));
    }
    Ok(folder.join(std::ffi::OsStr::from_bytes(path)))
}

/// The commit of another repository that a path stands for, if it does.
pub(super) fn submodule_revision(
    repository: &Repository,
    revision: &str,
    path: &str,
) -> Result<Option<String>> {
    let listing = repository.output(&["ls-tree", "-z", "--full-tree", revision, "--", path])?;
    let line = listing.split(|&byte| byte == 0).next().filter(|line| !line.is_empty());
    let file = line.map(parse).transpose()?;
    Ok(file.filter(|file| file.mode == Mode::Submodule).map(|file| file.object))
}
