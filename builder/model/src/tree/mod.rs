//! Trees of files as Nix sees them: directories, symbolic links, and regular files that are executable or not.
//!
//! A [`TreeSource`] gives a tree piece by piece, in one canonical order. Sources are a folder ([`Walker`]) and a NAR
//! ([`crate::nar::Reader`]); what consumes them writes a NAR, hashes as git does, or restores to a folder.

mod restore;
mod walk;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use thiserror::Error;

pub use restore::{Modes, restore};
pub use walk::{FileType, Filter, Walker, everything};

/// How many directories may lie within each other; Nix neither reads nor writes deeper ones.
pub const MAX_DEPTH: usize = 64;

/// The longest file name, in bytes.
pub const MAX_NAME_LENGTH: usize = 255;

/// A piece of a tree. Entries of a directory come between its start and its end, sorted by the bytes of their names.
/// The root's name is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    DirectoryStart {
        name: BString,
    },
    DirectoryEnd,
    /// Its content may be read from the source until the next event is asked for.
    Regular {
        name: BString,
        executable: bool,
        size: u64,
    },
    Symlink {
        name: BString,
        target: BString,
    },
}

/// Gives a tree piece by piece.
pub trait TreeSource {
    /// The next piece; `None` after the tree's end.
    fn next_event(&mut self) -> Result<Option<Event>, TreeError>;

    /// The content of the regular file of the last event: gives exactly its size, or an error. What is not read is skipped.
    fn contents(&mut self) -> &mut dyn Read;
}

/// Why a tree could not be read or written.
#[derive(Debug, Error)]
pub enum TreeError {
    #[error("bad archive: {0}")]
    BadArchive(String),
    #[error("string is too long")]
    StringTooLong,
    #[error("non-zero padding")]
    Padding,
    #[error("unexpected end-of-file")]
    UnexpectedEnd,
    #[error("{action} '{}': {}", path.display(), describe(source))]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("file '{}' has an unsupported type", path.display())]
    UnsupportedType { path: PathBuf },
    #[error("path '{}' exceeds maximum NAR directory depth of {MAX_DEPTH}", path.display())]
    TooDeep { path: PathBuf },
    #[error("file '{}' changed while it was read", path.display())]
    Changed { path: PathBuf },
    #[error("path '{}' is a {found}; only a regular file can be hashed flat", path.display())]
    NotRegular { path: PathBuf, found: &'static str },
    #[error(transparent)]
    Filter(Box<dyn std::error::Error + Send + Sync>),
    #[error("{}", describe(.0))]
    Io(io::Error),
    /// A writer was asked for a tree that is not one.
    #[error("not a tree in canonical order: {0}")]
    Order(&'static str),
}

impl From<io::Error> for TreeError {
    /// Also unwraps errors of this type that went through [`Read`].
    fn from(error: io::Error) -> TreeError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => TreeError::UnexpectedEnd,
            io::ErrorKind::Other => error.downcast().unwrap_or_else(TreeError::Io),
            _ => TreeError::Io(error),
        }
    }
}

impl TreeError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(nix::Error) -> TreeError {
        let path = path.to_owned();
        move |error| TreeError::File { action, path, source: error.into() }
    }
}

/// The message of an error of the system, without Rust's `(os error 2)`.
fn describe(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::Error::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// Whether an entry of a directory may have this name: not empty, `.` or `..`, no slash and no zero byte.
pub fn is_valid_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= MAX_NAME_LENGTH
        && name.find_byteset(b"/\0").is_none()
}

/// Whether a symbolic link may point to this: not empty and no zero byte.
pub fn is_valid_target(target: &BStr) -> bool {
    !target.is_empty() && !target.contains(&0)
}
