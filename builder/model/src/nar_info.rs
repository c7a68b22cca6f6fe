//! What a binary cache says of a store path: the `.narinfo` format.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::content_address::ContentAddress;
use crate::hash::Hash;
use crate::signature::{Signature, fingerprint};
use crate::store_path::StorePath;

/// A path in a binary cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NarInfo {
    pub path: StorePath,
    /// Where the archive is, relative to the cache.
    pub url: String,
    /// `none`, `xz`, `zstd`, `bzip2` and others.
    pub compression: String,
    /// Of the archive as it is stored, compressed.
    pub file_hash: Option<Hash>,
    pub file_size: Option<u64>,
    /// SHA-256 of the archive.
    pub nar_hash: Hash,
    pub nar_size: u64,
    /// Includes the path itself if it refers to itself.
    pub references: BTreeSet<StorePath>,
    pub deriver: Option<StorePath>,
    pub signatures: BTreeSet<Signature>,
    pub content_address: Option<ContentAddress>,
}

/// Why a text is no `.narinfo`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NarInfoError {
    #[error("it has no '{0}'")]
    Missing(&'static str),
    #[error("its '{field}' is wrong: {reason}")]
    Wrong { field: String, reason: String },
    #[error("it has a line without a colon: {0}")]
    Line(String),
}

/// What Nix writes where the deriver is not known.
const UNKNOWN_DERIVER: &str = "unknown-deriver";

impl NarInfo {
    /// What is signed of the path.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.path, &self.nar_hash, self.nar_size, &self.references)
    }
}

impl FromStr for NarInfo {
    type Err = NarInfoError;

    fn from_str(text: &str) -> Result<NarInfo, NarInfoError> {
        let mut fields = Fields::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, value) =
                line.split_once(':').ok_or_else(|| NarInfoError::Line(line.chars().take(80).collect()))?;
            fields.set(name, value.trim())?;
        }
        let missing = NarInfoError::Missing;
        Ok(NarInfo {
            path: fields.path.ok_or(missing("StorePath"))?,
            url: fields.url.ok_or(missing("URL"))?,
            // What the oldest caches, which do not say it, have.
            compression: fields.compression.unwrap_or_else(|| "bzip2".to_owned()),
            file_hash: fields.file_hash,
            file_size: fields.file_size,
            nar_hash: fields.nar_hash.ok_or(missing("NarHash"))?,
            nar_size: fields.nar_size.ok_or(missing("NarSize"))?,
            references: fields.references,
            deriver: fields.deriver,
            signatures: fields.signatures,
            content_address: fields.content_address,
        })
    }
}

#[derive(Default)]
struct Fields {
    path: Option<StorePath>,
    url: Option<String>,
    compression: Option<String>,
    file_hash: Option<Hash>,
    file_size: Option<u64>,
    nar_hash: Option<Hash>,
    nar_size: Option<u64>,
    references: BTreeSet<StorePath>,
    deriver: Option<StorePath>,
    signatures: BTreeSet<Signature>,
    content_address: Option<ContentAddress>,
}

impl Fields {
    fn set(&mut self, name: &str, value: &str) -> Result<(), NarInfoError> {
        let wrong = |reason: &dyn fmt::Display| NarInfoError::Wrong {
            field: name.to_owned(),
            reason: reason.to_string(),
        };
        let base_name = |text: &str| StorePath::from_base_name(text).map_err(|error| wrong(&error));
        let hash = || Hash::parse(value, None).map_err(|error| wrong(&error));
        let number = || value.parse::<u64>().map_err(|error| wrong(&error));
        match name {
            "StorePath" => self.path = Some(StorePath::from_absolute(value).map_err(|error| wrong(&error))?),
            "URL" if is_relative(value) => self.url = Some(value.to_owned()),
            "URL" => return Err(wrong(&"it leads out of the cache")),
            "Compression" if !value.is_empty() => self.compression = Some(value.to_owned()),
            "FileHash" => self.file_hash = Some(hash()?),
            "FileSize" => self.file_size = Some(number()?),
            "NarHash" => self.nar_hash = Some(hash()?),
            "NarSize" => self.nar_size = Some(number()?),
            "References" => {
                self.references = value.split_whitespace().map(base_name).collect::<Result<_, _>>()?;
            }
            "Deriver" if value != UNKNOWN_DERIVER && !value.is_empty() => {
                self.deriver = Some(base_name(value)?);
            }
            // A signature of a kind that we do not know is as good as none.
            "Sig" => self.signatures.extend(value.parse::<Signature>().ok()),
            "CA" if !value.is_empty() => {
                self.content_address = Some(value.parse().map_err(|error| wrong(&error))?);
            }
            _ => (),
        }
        Ok(())
    }
}

/// Whether an archive's place is within the cache.
fn is_relative(url: &str) -> bool {
    !url.is_empty()
        && !url.starts_with('/')
        && !url.contains("://")
        && !url.split('/').any(|part| part == "..")
}

impl fmt::Display for NarInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "StorePath: {}", self.path)?;
        writeln!(f, "URL: {}", self.url)?;
        writeln!(f, "Compression: {}", self.compression)?;
        if let Some(hash) = &self.file_hash {
            writeln!(f, "FileHash: {}", hash.to_prefixed_nix32())?;
        }
        if let Some(size) = self.file_size {
            writeln!(f, "FileSize: {size}")?;
        }
        writeln!(f, "NarHash: {}", self.nar_hash.to_prefixed_nix32())?;
        writeln!(f, "NarSize: {}", self.nar_size)?;
        let references: Vec<&str> = self.references.iter().map(StorePath::base_name).collect();
        writeln!(f, "References: {}", references.join(" "))?;
        if let Some(deriver) = &self.deriver {
            writeln!(f, "Deriver: {}", deriver.base_name())?;
        }
        for signature in &self.signatures {
            writeln!(f, "Sig: {signature}")?;
        }
        if let Some(address) = &self.content_address {
            writeln!(f, "CA: {address}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by Nix 2.34.8.
    const TEXT: &str = "\
StorePath: /nix/store/vmqflrhn3wbinl95kwwg37nfxbbd45qb-catest
URL: nar/0in3a599as1l7x6mn9qm2wm6d7nq3d6ja63bf5yaf99jm5dkmrmq.nar.xz
Compression: xz
FileHash: sha256:0in3a599as1l7x6mn9qm2wm6d7nq3d6ja63bf5yaf99jm5dkmrmq
FileSize: 136
NarHash: sha256:1bfcwzp0fmxn2yglp0vry2bapyz2q7872bahggn9cdkzw6wrql3j
NarSize: 128
References: 
Deriver: 4a82hzkybbw3ag0kwx5gwrw2b2cg85j5-catest.drv
CA: fixed:r:sha256:1bfcwzp0fmxn2yglp0vry2bapyz2q7872bahggn9cdkzw6wrql3j
";

    #[test]
    fn is_written_as_it_was_read() {
        let info: NarInfo = TEXT.parse().unwrap();
        assert_eq!(info.to_string(), TEXT);
        assert_eq!(info.nar_size, 128);
    }

    #[test]
    fn what_is_missing_or_leads_elsewhere_is_refused() {
        for (from, to) in [
            ("NarHash", "Other"),
            ("NarSize: 128", "NarSize: x"),
            ("URL: nar/", "URL: ../nar/"),
            ("URL: nar/", "URL: /nar/"),
            ("URL: nar/", "URL: http://example.org/"),
            ("/nix/store/", "/other/store/"),
            ("References: ", "References: ../x"),
            ("Compression: xz", "Compression"),
        ] {
            assert!(TEXT.replace(from, to).parse::<NarInfo>().is_err(), "{from} -> {to}");
        }
    }
}
