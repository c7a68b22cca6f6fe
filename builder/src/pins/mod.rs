//! Source pins: the files of `seeds/`, each a source with its hash and its addresses.

mod check;
mod edit;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;
use zeval_model::{Hash, HashError};

pub use check::{AddressCheck, check};
pub use edit::{Added, NewPin, Updated, add, update};

use crate::cancel::Cancellation;
use crate::events::Observer;
use crate::fetch::{FetchError, Mirrors};

const EXTENSION: &str = "toml";
const MIRROR_SCHEME: &str = "mirror://";

/// A source as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The file that describes it.
    pub path: PathBuf,
    pub name: String,
    pub version: String,
    /// The name of the source's file in a store.
    pub file: String,
    pub hash: Hash,
    /// `mirror://NAME/PATH` addresses, which are tried first.
    pub mirrors: Vec<String>,
    pub urls: Vec<String>,
    /// As an SPDX expression.
    pub licence: String,
    pub homepage: Option<String>,
    /// Where upstream's own signature of the file is, if it signs.
    pub signature: Option<String>,
}

/// What pins are fetched with.
pub struct Context<'a> {
    pub mirrors: &'a Mirrors,
    /// An existing folder that is the caller's to remove.
    pub scratch: &'a Path,
    /// How many addresses are asked at once; at least one.
    pub jobs: usize,
    pub observer: &'a dyn Observer,
    pub cancellation: &'a Cancellation,
}

/// Why a pin was not read, added or updated.
#[derive(Debug, Error)]
pub enum PinError {
    #[error("cannot {action} {}: {error}", path.display())]
    File { action: &'static str, path: PathBuf, error: io::Error },
    #[error("{} is no pin: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("the hash in {}: {error}", path.display())]
    Hash { path: PathBuf, error: HashError },
    #[error("there is already a pin {}: `zeval pin update` changes it", path.display())]
    Exists { path: PathBuf },
    #[error("there is no pin `{name}` in {}", folder.display())]
    Unknown { name: String, folder: PathBuf },
    #[error(
        "`{address}` does not end in the name of a file, such as NAME-VERSION.tar.xz: give name, version and file"
    )]
    NoName { address: String },
    #[error("no address of `{name}` has the version {version}: write its addresses into {}", path.display())]
    NoAddress { name: String, version: String, path: PathBuf },
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl PinError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PinError {
        let path = path.to_owned();
        move |error| PinError::File { action, path, error }
    }
}

/// A pin's file with the places of what an update changes.
#[derive(Deserialize)]
struct Source {
    name: String,
    version: Spanned<String>,
    file: Spanned<String>,
    hash: Spanned<String>,
    #[serde(default)]
    mirrors: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    urls: Option<Spanned<Vec<String>>>,
    licence: String,
    homepage: Option<String>,
    signature: Option<Spanned<String>>,
}

impl Source {
    fn parse(text: &str, path: &Path) -> Result<Source, PinError> {
        toml::from_str(text)
            .map_err(|error| PinError::Malformed { path: path.to_owned(), reason: error.to_string() })
    }

    fn pin(&self, path: &Path) -> Result<Pin, PinError> {
        let list = |addresses: &Option<Spanned<Vec<String>>>| {
            addresses.as_ref().map(|addresses| addresses.get_ref().clone()).unwrap_or_default()
        };
        let pin = Pin {
            path: path.to_owned(),
            name: self.name.clone(),
            version: self.version.get_ref().clone(),
            file: self.file.get_ref().clone(),
            hash: Hash::parse_sri(self.hash.get_ref())
                .map_err(|error| PinError::Hash { path: path.to_owned(), error })?,
            mirrors: list(&self.mirrors),
            urls: list(&self.urls),
            licence: self.licence.clone(),
            homepage: self.homepage.clone(),
            signature: self.signature.as_ref().map(|signature| signature.get_ref().clone()),
        };
        if let Some(address) = pin.mirrors.iter().find(|address| !address.starts_with(MIRROR_SCHEME)) {
            let reason =
                format!("`{address}` in `mirrors` is no mirror:// address; others belong into `urls`");
            return Err(PinError::Malformed { path: path.to_owned(), reason });
        }
        if pin.addresses().next().is_none() {
            let reason = "it has no address in `mirrors` or `urls`".to_owned();
            return Err(PinError::Malformed { path: path.to_owned(), reason });
        }
        Ok(pin)
    }
}

impl Pin {
    /// Reads a pin from the text of its file; `path` is the file's.
    pub fn parse(text: &str, path: &Path) -> Result<Pin, PinError> {
        Source::parse(text, path)?.pin(path)
    }

    /// Reads the pin in the file `path`.
    pub fn read(path: &Path) -> Result<Pin, PinError> {
        Pin::parse(&fs::read_to_string(path).map_err(PinError::file("read", path))?, path)
    }

    /// All addresses, in the order in which they are tried.
    pub fn addresses(&self) -> impl Iterator<Item = &String> {
        self.mirrors.iter().chain(&self.urls)
    }
}

/// The pins in `folder` and the folders below it, sorted by their files' paths.
pub fn read_all(folder: &Path) -> Result<Vec<Pin>, PinError> {
    let mut pins = Vec::new();
    let entries = fs::read_dir(folder).map_err(PinError::file("read", folder))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(PinError::file("read", folder))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            pins.extend(read_all(&path)?);
        } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
            pins.push(Pin::read(&path)?);
        }
    }
    Ok(pins)
}

/// The pin that `name` names: by its file below `folder` (`musl`, `debian/tcc`) or by its own name.
pub fn find(folder: &Path, name: &str) -> Result<Pin, PinError> {
    let by_file = folder.join(format!("{name}.{EXTENSION}"));
    let pins = read_all(folder)?;
    let index = pins.iter().position(|pin| pin.path == by_file);
    let index = index.or_else(|| pins.iter().position(|pin| pin.name == name));
    let unknown = || PinError::Unknown { name: name.to_owned(), folder: folder.to_owned() };
    index.and_then(|index| pins.into_iter().nth(index)).ok_or_else(unknown)
}

/// `text` with each range replaced. The ranges must not overlap.
fn replace_ranges(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = String::with_capacity(text.len());
    let mut end = 0;
    for (range, replacement) in edits {
        edited.push_str(&text[end..range.start]);
        edited.push_str(&replacement);
        end = range.end;
    }
    edited.push_str(&text[end..]);
    edited
}

#[cfg(test)]
mod tests;
