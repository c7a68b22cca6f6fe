//! Reads an output once and learns all that its bytes say: hash, size, references.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use zeval_model::ingest::hash_nar_modulo;
use zeval_model::references::{ReferenceScanner, Rewrites, RewritingSink, RewritingSource};
use zeval_model::store_path::{References, store_path};
use zeval_model::tree::{self, Modes, TreeError, Walker, everything};
use zeval_model::{Algorithm, ContentAddress, ContentMethod, Hash, Hasher, StorePath, nar};

use super::error::BuildError;
use crate::cancel::Cancellation;

/// What the NAR of a tree says.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// SHA-256.
    pub nar_hash: Hash,
    pub nar_size: u64,
    /// Those of the candidates that occur.
    pub references: BTreeSet<StorePath>,
    /// The NAR's hash with the tree's own hash part blanked, under the algorithm asked for.
    pub modulo: Option<Hash>,
}

/// Reads the tree at `files`, which is to become `itself`. A file with holes takes as long as if it had none, so this can be
/// cancelled.
pub fn scan<'a>(
    files: &Path,
    candidates: impl Iterator<Item = &'a StorePath>,
    itself: &StorePath,
    modulo: Option<Algorithm>,
    cancellation: &Cancellation,
) -> Result<Scanned, BuildError> {
    // Under SHA-256 the hash modulo nothing is the NAR's own: only a reference to itself needs a second reading.
    let at_once = modulo.filter(|algorithm| *algorithm != Algorithm::Sha256);
    let blanking = |algorithm| RewritingSink::new(Rewrites::blank(itself), Hasher::new(algorithm));
    let mut readers = Readers {
        nar: Hasher::new(Algorithm::Sha256),
        size: 0,
        scanner: ReferenceScanner::new(candidates.cloned()),
        modulo: at_once.map(blanking),
        cancellation,
    };
    let read = nar::dump_path(files, &mut readers);
    if cancellation.is_cancelled() {
        return Err(BuildError::Cancelled);
    }
    read?;
    let nar_hash = readers.nar.finish();
    let references = readers.scanner.finish();
    let modulo = match (modulo, readers.modulo) {
        (_, Some(sink)) => Some(sink.finish().map_err(TreeError::from)?.0.finish()),
        (Some(algorithm), None) if references.contains(itself) => {
            let mut everything = everything;
            Some(hash_nar_modulo(&mut Walker::new(files, &mut everything), algorithm, itself)?.0)
        }
        (Some(_), None) => Some(nar_hash),
        (None, None) => None,
    };
    Ok(Scanned { nar_hash, nar_size: readers.size, references, modulo })
}

struct Readers<'a> {
    nar: Hasher,
    size: u64,
    scanner: ReferenceScanner,
    modulo: Option<RewritingSink<Hasher>>,
    cancellation: &'a Cancellation,
}

impl Write for Readers<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.cancellation.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.nar.update(data);
        self.size += data.len() as u64;
        self.scanner.update(data);
        if let Some(modulo) = &mut self.modulo {
            modulo.write_all(data)?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies `files` to `copy` with the hash parts of the keys of `rewrites` replaced by those of the values.
pub fn copy_rewritten(
    files: &Path,
    rewrites: &BTreeMap<StorePath, StorePath>,
    copy: &Path,
) -> Result<(), BuildError> {
    let mut everything = everything;
    let mut source = RewritingSource::new(Walker::new(files, &mut everything), Rewrites::new(rewrites));
    Ok(tree::restore(&mut source, copy, Modes::Store)?)
}

/// The path of what a floating output holds.
///
/// Nix knows no path for a NAR with references under a hash other than SHA-256 and fails there; we go on, and form the
/// path in the same way with the other hash.
pub fn content_path(
    address: &ContentAddress,
    name: &str,
    references: &References,
) -> Result<StorePath, BuildError> {
    let is_ours = address.method == ContentMethod::Nar
        && address.hash.algorithm() != Algorithm::Sha256
        && !references.is_empty();
    if !is_ours {
        return Ok(address.store_path(name, references)?);
    }
    let mut kind = "source".to_owned();
    references.others.iter().for_each(|path| kind.push_str(&format!(":{path}")));
    if references.self_reference {
        kind.push_str(":self");
    }
    Ok(store_path(&kind, &address.hash, name)?)
}
