//! Store paths: their names, their parsing and how they are computed from what they hold.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use thiserror::Error;

use crate::content_address::ContentMethod;
use crate::encoding::{NIX32_DIGITS, encode_nix32};
use crate::hash::{Algorithm, Hash};

/// The logical store unless [`choose_store_dir`] named another.
pub const DEFAULT_STORE_DIR: &str = "/nix/store";

static STORE_DIR: OnceLock<String> = OnceLock::new();

/// The logical store: an absolute path with no slash at its end. Every hash in a store path depends on it; where the
/// files really are is the store's business. It is one for the whole process, since paths of two stores never mix.
pub fn store_dir() -> &'static str {
    STORE_DIR.get_or_init(|| DEFAULT_STORE_DIR.to_owned())
}

/// Names the logical store, as `NIX_STORE_DIR` does. It must happen before the first use of [`store_dir`]; whether it did.
pub fn choose_store_dir(path: &str) -> Result<bool, StorePathError> {
    let path = canonicalize(path)?;
    Ok(STORE_DIR.set(path.clone()).is_ok() || store_dir() == path)
}

/// Whether a path is below the logical store, and not the store itself.
pub fn is_in_store(path: &[u8]) -> bool {
    path.strip_prefix(store_dir().as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
}

/// The number of base32 digits at the start of a store path's base name.
pub const HASH_LENGTH: usize = 32;

/// The number of bytes that those digits encode.
pub const HASH_SIZE: usize = 20;

/// The longest name, in bytes; with the hash and a dash it leaves room for the suffixes of temporary and lock files.
pub const MAX_NAME_LENGTH: usize = 211;

const DERIVATION_EXTENSION: &str = ".drv";

/// Why a text is no store path or name, in the words of Nix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StorePathError {
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("path '{path}' is not a valid store path: {cause}")]
    PathName { path: String, cause: NameError },
    #[error("'{0}' is too short to be a valid store path")]
    TooShort(String),
    #[error("store path '{path}' contains illegal base-32 character '{character}'")]
    IllegalDigit { path: String, character: char },
    #[error("store path '{0}' has no '-' between its hash and its name")]
    NoDash(String),
    #[error("path '{0}' is not in the Nix store")]
    NotInStore(String),
    #[error("not an absolute path: \"{0}\"")]
    NotAbsolute(String),
    #[error("store path '{0}' is not a valid derivation path")]
    NotDerivation(String),
    #[error(
        "fixed output derivation '{0}' is not allowed to refer to other store paths.\nYou may need to use the 'unsafeDiscardReferences' derivation attribute, see the manual for more details."
    )]
    References(String),
    #[error("Git file ingestion must use SHA-1 or SHA-256 hash, but instead using: {0}")]
    GitAlgorithm(Algorithm),
    #[error("a text store object is addressed by its SHA-256 hash, not by {0}")]
    TextAlgorithm(Algorithm),
    #[error("text store object '{0}' is not allowed to refer to itself")]
    TextSelfReference(String),
}

/// Why a name cannot be the name of a store path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("name must not be empty")]
    Empty,
    #[error("name '{0}' must be no longer than {MAX_NAME_LENGTH} characters")]
    TooLong(String),
    #[error("name '{0}' is not valid")]
    Dots(String),
    #[error("name '{name}' is not valid: first dash-separated component must not be '{component}'")]
    DotsFirst { name: String, component: &'static str },
    #[error("name '{name}' contains illegal character '{character}'")]
    IllegalCharacter { name: String, character: char },
}

/// Checks that `name` may be the name of a store path: letters, digits and `+-._?=`, and neither `.` nor `..` before the
/// first dash.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(NameError::TooLong(name.to_owned()));
    }
    for component in [".", ".."] {
        match name.strip_prefix(component) {
            Some("") => return Err(NameError::Dots(name.to_owned())),
            Some(rest) if rest.starts_with('-') => {
                return Err(NameError::DotsFirst { name: name.to_owned(), component });
            }
            _ => (),
        }
    }
    match name.chars().find(|&c| !is_name_character(c)) {
        Some(character) => Err(NameError::IllegalCharacter { name: name.to_owned(), character }),
        None => Ok(()),
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '?' | '=')
}

/// A path directly below the logical store, `/nix/store/HASH-NAME`.
///
/// Cheap to clone. Ordered by base name, as Nix orders the paths it prints. `Display` is the absolute path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(Arc<str>);

impl StorePath {
    /// Reads `HASH-NAME`.
    pub fn from_base_name(base_name: &str) -> Result<StorePath, StorePathError> {
        check_base_name(base_name)?;
        Ok(StorePath(base_name.into()))
    }

    /// Reads `/nix/store/HASH-NAME`, tolerating repeated and trailing slashes and `.` and `..` components.
    pub fn from_absolute(path: &str) -> Result<StorePath, StorePathError> {
        if let Some(base_name) = path.strip_prefix(store_dir()).and_then(|rest| rest.strip_prefix('/'))
            && check_base_name(base_name).is_ok()
        {
            return Ok(StorePath(base_name.into()));
        }
        let path = canonicalize(path)?;
        match path.strip_prefix(store_dir()).and_then(|rest| rest.strip_prefix('/')) {
            Some(base_name) if !base_name.contains('/') => StorePath::from_base_name(base_name),
            _ => Err(StorePathError::NotInStore(path)),
        }
    }

    /// Splits a path in the store into the store path and what is below it: empty, or starting with a slash.
    pub fn split_absolute(path: &str) -> Result<(StorePath, String), StorePathError> {
        let path = canonicalize(path)?;
        let Some(inside) = path.strip_prefix(store_dir()).and_then(|rest| rest.strip_prefix('/')) else {
            return Err(StorePathError::NotInStore(path));
        };
        let (base_name, below) = inside.split_at(inside.find('/').unwrap_or(inside.len()));
        Ok((StorePath::from_base_name(base_name)?, below.to_owned()))
    }

    fn from_parts(hash: [u8; HASH_SIZE], name: &str) -> Result<StorePath, StorePathError> {
        let base_name = format!("{}-{name}", encode_nix32(&hash));
        match check_name(name) {
            Ok(()) => Ok(StorePath(base_name.into())),
            Err(cause) => Err(StorePathError::PathName { path: base_name, cause }),
        }
    }

    /// `HASH-NAME`.
    pub fn base_name(&self) -> &str {
        &self.0
    }

    /// The 32 base32 digits.
    pub fn hash_part(&self) -> &str {
        &self.0[..HASH_LENGTH]
    }

    /// What follows the hash and the dash.
    pub fn name(&self) -> &str {
        &self.0[HASH_LENGTH + 1..]
    }

    /// Whether the name ends in `.drv`.
    pub fn is_derivation(&self) -> bool {
        self.0.ends_with(DERIVATION_EXTENSION)
    }

    /// The name without `.drv`; an error if this is no path of a derivation.
    pub fn derivation_name(&self) -> Result<&str, StorePathError> {
        let name = self.name().strip_suffix(DERIVATION_EXTENSION);
        name.ok_or_else(|| StorePathError::NotDerivation(self.to_string()))
    }

    /// A path that no content has: `HASH` is made of zeros. Nix gives it to what is only evaluated.
    pub fn dummy(name: &str) -> Result<StorePath, StorePathError> {
        StorePath::from_parts([0; HASH_SIZE], name)
    }

    /// Appends the absolute path to `buffer`.
    pub(crate) fn push_absolute(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(store_dir().as_bytes());
        buffer.push(b'/');
        buffer.extend_from_slice(self.0.as_bytes());
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", store_dir(), self.0)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_base_name(base_name: &str) -> Result<(), StorePathError> {
    if base_name.len() < HASH_LENGTH + 1 {
        return Err(StorePathError::TooShort(base_name.to_owned()));
    }
    let is_digit = |byte: &u8| NIX32_DIGITS[usize::from(*byte)] != 0xff;
    if let Some(bad) = base_name.as_bytes()[..HASH_LENGTH].iter().position(|byte| !is_digit(byte)) {
        let character = base_name[bad..].chars().next().unwrap_or_default();
        return Err(StorePathError::IllegalDigit { path: base_name.to_owned(), character });
    }
    // All bytes before are ASCII digits, so this is a character boundary.
    let Some(name) = base_name[HASH_LENGTH..].strip_prefix('-') else {
        return Err(StorePathError::NoDash(base_name.to_owned()));
    };
    check_name(name).map_err(|cause| StorePathError::PathName { path: base_name.to_owned(), cause })
}

/// Removes `.`, `..` and superfluous slashes without looking at the file system.
fn canonicalize(path: &str) -> Result<String, StorePathError> {
    if !path.starts_with('/') {
        return Err(StorePathError::NotAbsolute(path.to_owned()));
    }
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => (),
            ".." => {
                components.pop();
            }
            other => components.push(other),
        }
    }
    Ok(format!("/{}", components.join("/")))
}

/// What a store object refers to: other paths, and possibly itself, whose path is not known before it is computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    pub others: BTreeSet<StorePath>,
    pub self_reference: bool,
}

impl References {
    pub fn none() -> References {
        References::default()
    }

    pub fn is_empty(&self) -> bool {
        self.others.is_empty() && !self.self_reference
    }

    /// `kind` with every reference appended, as fingerprints of store paths carry it.
    fn append_to(&self, kind: &str) -> String {
        let mut text = kind.to_owned();
        for path in &self.others {
            text.push(':');
            text.push_str(&path.to_string());
        }
        if self.self_reference {
            text.push_str(":self");
        }
        text
    }
}

/// The path of `name` whose content has the digest `inner`; `kind` tells apart what the digest is of
/// (`source`, `text`, `output:out`), followed by `:` and a path for each reference. Nix's `makeStorePath`.
pub fn store_path(kind: &str, inner: &Hash, name: &str) -> Result<StorePath, StorePathError> {
    let fingerprint = format!("{kind}:{}:{}:{name}", inner.to_prefixed_base16(), store_dir());
    StorePath::from_parts(Hash::of(Algorithm::Sha256, fingerprint.as_bytes()).compress(), name)
}

/// The path of `output` of an input-addressed derivation, from the derivation's hash modulo fixed outputs.
pub fn output_path(output: &str, modulo: &Hash, derivation_name: &str) -> Result<StorePath, StorePathError> {
    store_path(&format!("output:{output}"), modulo, &output_path_name(derivation_name, output))
}

/// The name of an output's path: that of the derivation, followed by `-OUTPUT` unless it is `out`.
pub fn output_path_name(derivation_name: &str, output: &str) -> String {
    match output {
        "out" => derivation_name.to_owned(),
        _ => format!("{derivation_name}-{output}"),
    }
}

/// The path of a content-addressed object, from the hash that `method` makes of it.
///
/// Only NARs under SHA-256 and texts may have references. With a self-reference `hash` is the hash modulo it.
pub fn content_path(
    method: ContentMethod,
    hash: &Hash,
    name: &str,
    references: &References,
) -> Result<StorePath, StorePathError> {
    match (method, hash.algorithm()) {
        (ContentMethod::Git, algorithm) if !matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256) => {
            Err(StorePathError::GitAlgorithm(algorithm))
        }
        (ContentMethod::Text, Algorithm::Sha256) if references.self_reference => {
            Err(StorePathError::TextSelfReference(name.to_owned()))
        }
        (ContentMethod::Text, Algorithm::Sha256) => store_path(&references.append_to("text"), hash, name),
        (ContentMethod::Text, algorithm) => Err(StorePathError::TextAlgorithm(algorithm)),
        (ContentMethod::Nar, Algorithm::Sha256) => store_path(&references.append_to("source"), hash, name),
        _ if !references.is_empty() => Err(StorePathError::References(name.to_owned())),
        _ => {
            let inner = format!("fixed:out:{}{}:", method.prefix(), hash.to_prefixed_base16());
            store_path("output:out", &Hash::of(Algorithm::Sha256, inner.as_bytes()), name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "acfdghijklmnpqrsvwxyz01234567890";

    #[test]
    fn refuses_names_in_the_words_of_nix() {
        for (name, message) in [
            ("", "name must not be empty"),
            (".", "name '.' is not valid"),
            ("..", "name '..' is not valid"),
            (".-a", "name '.-a' is not valid: first dash-separated component must not be '.'"),
            ("..-a", "name '..-a' is not valid: first dash-separated component must not be '..'"),
            ("a b", "name 'a b' contains illegal character ' '"),
            ("a/b", "name 'a/b' contains illegal character '/'"),
        ] {
            assert_eq!(check_name(name).unwrap_err().to_string(), message);
        }
        assert!(check_name(&"a".repeat(211)).is_ok());
        assert!(
            check_name(&"a".repeat(212)).unwrap_err().to_string().ends_with("no longer than 211 characters")
        );
        for name in [".a", "...", "...-a", "a..", "A+-._?=9"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn refuses_paths_in_the_words_of_nix() {
        for (path, message) in [
            ("/nix/store/xx".to_owned(), "'xx' is too short to be a valid store path".to_owned()),
            (
                "/nix/store/ecfdghijklmnpqrsvwxyz01234567890-a".to_owned(),
                "store path 'ecfdghijklmnpqrsvwxyz01234567890-a' contains illegal base-32 character 'e'"
                    .to_owned(),
            ),
            (
                format!("/nix/store/{DIGITS}-a b"),
                format!(
                    "path '{DIGITS}-a b' is not a valid store path: name 'a b' contains illegal character ' '"
                ),
            ),
            (
                format!("/nix/store/{DIGITS}-"),
                format!("path '{DIGITS}-' is not a valid store path: name must not be empty"),
            ),
            (
                format!("/nix/store/{DIGITS}-a/b"),
                format!("path '/nix/store/{DIGITS}-a/b' is not in the Nix store"),
            ),
            (format!("/nix/{DIGITS}-a/."), format!("path '/nix/{DIGITS}-a' is not in the Nix store")),
            ("/nix/store".to_owned(), "path '/nix/store' is not in the Nix store".to_owned()),
            ("a".to_owned(), "not an absolute path: \"a\"".to_owned()),
        ] {
            assert_eq!(StorePath::from_absolute(&path).unwrap_err().to_string(), message);
        }
        for base_name in [format!("{DIGITS}/a"), format!("{DIGITS}1a"), format!("{}é", &DIGITS[..31])] {
            assert!(StorePath::from_base_name(&base_name).is_err(), "{base_name}");
        }
    }

    #[test]
    fn canonicalizes_absolute_paths() {
        let expected = StorePath::from_base_name(&format!("{DIGITS}-a.drv")).unwrap();
        for path in [
            format!("/nix/store/{DIGITS}-a.drv"),
            format!("/nix//store/{DIGITS}-a.drv/"),
            format!("/nix/./store/x/../{DIGITS}-a.drv"),
        ] {
            assert_eq!(StorePath::from_absolute(&path).unwrap(), expected);
        }
        assert_eq!(
            StorePath::split_absolute(&format!("/nix/store/{DIGITS}-a.drv/b/../c")).unwrap(),
            (expected.clone(), "/c".to_owned())
        );
        assert_eq!(expected.to_string(), format!("/nix/store/{DIGITS}-a.drv"));
        assert_eq!((expected.hash_part(), expected.name()), (DIGITS, "a.drv"));
        assert_eq!(expected.derivation_name(), Ok("a"));
    }
}
