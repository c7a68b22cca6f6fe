//! Why an archive was not unpacked.

use std::io;
use std::path::{Path, PathBuf};

use bstr::BString;
use thiserror::Error;

/// A failure to unpack one archive.
#[derive(Debug, Error)]
#[error("cannot unpack {}: {fault}", archive.display())]
pub struct UnpackError {
    pub archive: PathBuf,
    pub fault: Fault,
}

impl UnpackError {
    pub(super) fn of(archive: &Path) -> impl Fn(Fault) -> UnpackError {
        move |fault| UnpackError { archive: archive.to_owned(), fault }
    }
}

/// What is wrong with an archive, or with the place it is unpacked to.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("{0}")]
    Read(io::Error),
    #[error(
        "it is no archive of a known kind (it begins with {0}); known are tar, zip and cpio (newc) archives, plain or compressed with gzip, bzip2, xz, lzma, lzip or zstd, and .deb packages"
    )]
    UnknownKind(String),
    #[error("it is damaged or cut short: {0}")]
    Damaged(String),
    #[error("it holds `{entry}`, {reason}")]
    Refused { entry: BString, reason: &'static str },
    #[error("it unpacks to more than {0} bytes, which is the limit")]
    TooLarge(u64),
    #[error("it holds more than {0} entries, which is the limit")]
    TooMany(u64),
    #[error("interrupted")]
    Cancelled,
    #[error("cannot write `{entry}`: {error}")]
    Write { entry: BString, error: io::Error },
}

impl Fault {
    pub(super) fn damaged(reason: impl Into<String>) -> Fault {
        Fault::Damaged(reason.into())
    }

    pub(super) fn refused(entry: &[u8], reason: &'static str) -> Fault {
        Fault::Refused { entry: entry.into(), reason }
    }

    pub(super) fn write(entry: &[u8], error: impl Into<io::Error>) -> Fault {
        Fault::Write { entry: entry.into(), error: error.into() }
    }

    /// What a failed read of the archive means: decoders say by the kind of an error that their input is bad.
    pub(super) fn reading(error: io::Error) -> Fault {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        match error.kind() {
            InvalidData | InvalidInput | Other | UnexpectedEof => Fault::Damaged(error.to_string()),
            _ => Fault::Read(error),
        }
    }
}
