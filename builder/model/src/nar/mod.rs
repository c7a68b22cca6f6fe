//! The Nix archive: one byte string for each tree of files, whatever the machine, order and times.

mod position;
mod read;
mod write;

use std::io::{BufReader, Read, Write};
use std::path::Path;

use crate::tree::{self, Filter, Modes, TreeError, Walker, everything};

pub use position::Position;
pub use read::Reader;
pub use write::{Tee, Writer, copy};

/// What every archive starts with.
pub const MAGIC: &str = "nix-archive-1";

/// The archive of the files at `path` that `filter` lets pass, written to `writer` in pieces of some size.
pub fn dump_path_filtered<'a>(
    path: &Path,
    writer: impl Write,
    filter: &'a mut Filter<'a>,
) -> Result<(), TreeError> {
    copy(&mut Walker::new(path, filter), writer)
}

/// The archive of the files at `path`, written to `writer`.
pub fn dump_path(path: &Path, writer: impl Write) -> Result<(), TreeError> {
    dump_path_filtered(path, writer, &mut everything)
}

/// Restores an archive to `destination`, which must not exist but whose parent must. Reads beyond the archive's end.
pub fn restore(reader: impl Read, destination: &Path, modes: Modes) -> Result<(), TreeError> {
    tree::restore(&mut Reader::new(BufReader::with_capacity(64 * 1024, reader)), destination, modes)
}

/// The zero bytes after a string of `length` bytes.
fn padding(length: u64) -> usize {
    (length.wrapping_neg() % 8) as usize
}
