//! Unpacks archives in process, such that nothing is written outside the folder they are unpacked into, whatever they say.

mod builtin;
mod cpio;
mod deb;
mod decompress;
mod entry_path;
mod error;
mod extract;
mod pax;
mod tar;
mod tree;
mod zip;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

pub use builtin::{Error, run, run_channel};
pub use error::{Fault, UnpackError};

use crate::cancel::Cancellation;
use extract::Extractor;

/// How an archive is unpacked.
#[derive(Clone, Debug)]
pub struct Options {
    /// So many times, if the tree is a single folder, what is in that folder takes its place. Never for a .deb.
    pub strip_components: u32,
    /// The most bytes that the files may have together.
    pub max_bytes: u64,
    /// The most entries.
    pub max_entries: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { strip_components: 1, max_bytes: 256 << 30, max_entries: 20_000_000 }
    }
}

/// What an archive held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub entries: u64,
    /// The sizes of all files.
    pub bytes: u64,
    /// When the entry that was changed last was changed, in seconds since 1970.
    pub modified: u64,
}

/// Unpacks `archive`, whose kind its first bytes tell, to `output`, which must not exist. `scratch` is an existing folder on the
/// same file system; what a failure leaves there and at `output` is the caller's to remove.
///
/// Files have mode 444 or 555 and time stamp 1; folders stay writable, so that the caller can move or remove the tree.
pub fn unpack(
    archive: &Path,
    output: &Path,
    scratch: &Path,
    options: &Options,
    cancellation: &Cancellation,
) -> Result<Summary, UnpackError> {
    let failed = UnpackError::of(archive);
    let staging = scratch.join("unpacked");
    let prepare = || -> io::Result<File> {
        fs::create_dir(&staging)?;
        File::open(archive)
    };
    let file = prepare().map_err(|error| failed(Fault::Read(error)))?;
    let mut extractor = Extractor::new(&staging, options, cancellation).map_err(&failed)?;
    let kind = unpack_stream(file, &mut extractor).map_err(&failed)?;
    let summary = extractor.summary();
    let levels = if kind == Kind::Deb { 0 } else { options.strip_components };
    move_stripped(&staging, output, levels).map_err(|error| failed(Fault::write(b".", error)))?;
    Ok(summary)
}

/// What `input` holds once decompressed, by what it begins with; itself if it is not compressed.
pub fn decompressed<'a>(input: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>, Fault> {
    decompress::decoder(input)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tar,
    Zip,
    Cpio,
    Deb,
}

impl Kind {
    /// The kind of an archive that begins so, after decompression.
    fn of(start: &[u8]) -> Option<Kind> {
        match start {
            _ if tar::is_tar(start) => Some(Kind::Tar),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Kind::Zip),
            _ if start.starts_with(b"!<arch>\n") => Some(Kind::Deb),
            _ if start.starts_with(b"070701") || start.starts_with(b"070702") => Some(Kind::Cpio),
            _ => None,
        }
    }
}

fn unpack_stream(file: File, extractor: &mut Extractor<'_>) -> Result<Kind, Fault> {
    let (start, input) = decompress::peek(&file).map_err(Fault::Read)?;
    match Kind::of(&start) {
        // Its directory is at its end.
        Some(Kind::Zip) => zip::extract(&file, extractor).map(|()| Kind::Zip),
        Some(Kind::Deb) => deb::extract(input, extractor).map(|()| Kind::Deb),
        _ => decompress::read_ahead(decompress::decoder(input)?, |content| unpack_plain(content, extractor)),
    }
}

/// Unpacks an archive that is read from its beginning to its end.
fn unpack_plain(content: &mut dyn Read, extractor: &mut Extractor<'_>) -> Result<Kind, Fault> {
    let (start, mut content) = decompress::peek(content).map_err(Fault::reading)?;
    let kind = match Kind::of(&start) {
        Some(Kind::Tar) => extractor.tar(&mut content).map(|()| Kind::Tar)?,
        Some(Kind::Cpio) => cpio::extract(&mut content, extractor).map(|()| Kind::Cpio)?,
        _ => return Err(Fault::UnknownKind(start[..start.len().min(8)].escape_ascii().to_string())),
    };
    // To the end, since that is where the checks of a compressed stream are.
    io::copy(&mut content, &mut io::sink()).map_err(Fault::reading)?;
    Ok(kind)
}

/// Moves the tree at `staging` to `output`, without its topmost folder as often as `levels` says if that is all there is.
fn move_stripped(staging: &Path, output: &Path, levels: u32) -> io::Result<()> {
    let mut top = staging.to_owned();
    for _ in 0..levels {
        let mut entries = fs::read_dir(&top)?;
        let (Some(only), None) = (entries.next().transpose()?, entries.next()) else { break };
        if !only.file_type()?.is_dir() {
            break;
        }
        top = only.path();
    }
    fs::rename(&top, output)
}
