//! How the content of a store object becomes a hash, and the content addresses that stores record.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::hash::{Hash, HashError};
use crate::store_path::{References, StorePath, StorePathError, content_path};

/// What of a store object is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentMethod {
    /// The bytes of a single file.
    Flat,
    /// The NAR of the tree; Nix's language calls it `recursive`.
    Nar,
    /// The bytes of a single file that may refer to store paths: derivations and `builtins.toFile`.
    Text,
    /// The tree as a git object.
    Git,
}

impl ContentMethod {
    /// The name in JSON and on command lines: `flat`, `nar`, `text`, `git`.
    pub const fn name(self) -> &'static str {
        match self {
            ContentMethod::Flat => "flat",
            ContentMethod::Nar => "nar",
            ContentMethod::Text => "text",
            ContentMethod::Git => "git",
        }
    }

    /// What stands before the algorithm in ATerm and in content addresses: nothing, `r:`, `text:`, `git:`.
    pub const fn prefix(self) -> &'static str {
        match self {
            ContentMethod::Flat => "",
            ContentMethod::Nar => "r:",
            ContentMethod::Text => "text:",
            ContentMethod::Git => "git:",
        }
    }

    /// Splits the prefix off a text such as `r:sha256`.
    pub fn split_prefix(text: &str) -> (ContentMethod, &str) {
        let prefixed = [ContentMethod::Nar, ContentMethod::Text, ContentMethod::Git];
        let stripped = prefixed.into_iter().find_map(|m| Some((m, text.strip_prefix(m.prefix())?)));
        stripped.unwrap_or((ContentMethod::Flat, text))
    }
}

impl fmt::Display for ContentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No content method has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown content address method '{0}', expect 'flat', 'nar', 'text', or 'git'")]
pub struct UnknownMethod(pub String);

impl FromStr for ContentMethod {
    type Err = UnknownMethod;

    /// Reads a name; `recursive` is another one for `nar`.
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        match text {
            "flat" => Ok(ContentMethod::Flat),
            "nar" | "recursive" => Ok(ContentMethod::Nar),
            "text" => Ok(ContentMethod::Text),
            "git" => Ok(ContentMethod::Git),
            _ => Err(UnknownMethod(text.to_owned())),
        }
    }
}

/// A method and the hash it gave: `text:sha256:NIX32` or `fixed:r:sha256:NIX32`, as stores and caches record it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentAddress {
    pub method: ContentMethod,
    pub hash: Hash,
}

impl ContentAddress {
    /// The store path of the object of this content, name and references.
    pub fn store_path(&self, name: &str, references: &References) -> Result<StorePath, StorePathError> {
        content_path(self.method, &self.hash, name, references)
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.method == ContentMethod::Text { "" } else { "fixed:" };
        write!(f, "{kind}{}{}", self.method.prefix(), self.hash.to_prefixed_nix32())
    }
}

/// Why a text is no content address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContentAddressError {
    #[error("not a content address because it is not in the form '<prefix>:<rest>': {0}")]
    NoPrefix(String),
    #[error("content address prefix '{0}' is unrecognized. Recognized prefixes are 'text' or 'fixed'")]
    UnknownPrefix(String),
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl FromStr for ContentAddress {
    type Err = ContentAddressError;

    fn from_str(text: &str) -> Result<Self, ContentAddressError> {
        let (kind, rest) =
            text.split_once(':').ok_or_else(|| ContentAddressError::NoPrefix(text.to_owned()))?;
        let (method, hash) = match kind {
            "text" => (ContentMethod::Text, rest),
            // A text is never `fixed`; what is taken for its prefix here is then no algorithm.
            "fixed" if rest.starts_with(ContentMethod::Text.prefix()) => (ContentMethod::Flat, rest),
            "fixed" => ContentMethod::split_prefix(rest),
            _ => return Err(ContentAddressError::UnknownPrefix(kind.to_owned())),
        };
        Ok(ContentAddress { method, hash: Hash::parse_prefixed(hash)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Algorithm;

    #[test]
    fn content_addresses_survive_printing() {
        use ContentMethod::{Flat, Git, Nar, Text};
        let hash = Hash::of(Algorithm::Sha1, b"");
        for (method, start) in
            [(Flat, "fixed:sha1:"), (Nar, "fixed:r:sha1:"), (Git, "fixed:git:sha1:"), (Text, "text:sha1:")]
        {
            let address = ContentAddress { method, hash };
            assert!(address.to_string().starts_with(start));
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        let refused =
            ["", "sha1:x", "fixed:text:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "fixed:r:sha1:x"];
        for text in refused {
            assert!(text.parse::<ContentAddress>().is_err(), "{text}");
        }
    }
}
