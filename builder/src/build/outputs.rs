//! What a build left in its outputs becomes store paths: metadata, references, content addresses, checks, registration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeval_model::ingest::hash_path;
use zeval_model::store_path::{References, output_path_name, store_path};
use zeval_model::{Algorithm, ContentAddress, ContentMethod, Derivation, Hash, Output, StorePath};

use super::attributes::Attributes;
use super::error::BuildError;
use super::scan::{self, Scanned};
use crate::cancel::Cancellation;
use crate::store::{PathInfo, canonicalise, now};

/// Where the builder is told to write each output: to its final path if that is known, else to one of the same length
/// that nothing else has, the same as Nix's.
pub fn scratch_paths(
    drv: &Derivation,
    drv_path: &StorePath,
) -> Result<BTreeMap<String, StorePath>, BuildError> {
    let scratch = |(name, output): (&String, &Output)| {
        let path = match output.path() {
            Some(path) => path.clone(),
            None => {
                let kind = format!("rewrite:{}:name:{name}", drv_path.base_name());
                store_path(&kind, &Hash::zero(Algorithm::Sha256), &output_path_name(&drv.name, name))?
            }
        };
        Ok((name.clone(), path))
    };
    drv.outputs.iter().map(scratch).collect()
}

/// Outputs as the builder left them.
pub struct Raw<'a> {
    pub drv: &'a Derivation,
    pub drv_path: &'a StorePath,
    pub attributes: &'a Attributes<'a>,
    pub scratch: &'a BTreeMap<String, StorePath>,
    /// What the builder saw; only this can be referred to.
    pub inputs: &'a BTreeSet<StorePath>,
    /// Holds each output under the base name of its scratch path.
    pub folder: PathBuf,
    /// For copies with other hashes in them.
    pub rewritten: PathBuf,
    /// The end of the log, for the error of a missing output.
    pub last_lines: &'a [String],
    pub cancellation: &'a Cancellation,
}

/// An output ready to be moved to the store.
#[derive(Clone, Debug)]
pub struct Made {
    pub info: PathInfo,
    pub files: PathBuf,
}

impl Raw<'_> {
    /// Gives every output its place and record.
    pub fn finish(&self) -> Result<BTreeMap<String, Made>, BuildError> {
        let mut scanned = BTreeMap::new();
        for (name, output) in &self.drv.outputs {
            scanned.insert(name.clone(), self.scan(name, output)?);
        }
        let mut made: BTreeMap<String, Made> = BTreeMap::new();
        for name in self.order(&scanned)? {
            let (Some(output), Some(scan)) = (self.drv.outputs.get(&name), scanned.get(&name)) else {
                continue;
            };
            let finished = self.finish_output(&name, output, scan, &made)?;
            made.insert(name, finished);
        }
        Ok(made)
    }

    /// Refuses, as Nix does, outputs that others than their owner may write.
    pub fn check_modes(&self) -> Result<(), BuildError> {
        const WRITABLE_BY_OTHERS: u32 = 0o022;
        for (name, path) in self.scratch {
            let Ok(found) = fs::symlink_metadata(self.files(name)) else { continue };
            let mode = found.permissions().mode() & 0o7777;
            if !found.is_symlink() && mode & WRITABLE_BY_OTHERS != 0 {
                return Err(BuildError::Suspicious { output: name.clone(), path: path.clone(), mode });
            }
        }
        Ok(())
    }

    fn files(&self, output: &str) -> PathBuf {
        self.folder.join(self.scratch[output].base_name())
    }

    fn scan(&self, name: &str, output: &Output) -> Result<Scanned, BuildError> {
        let files = self.files(name);
        if fs::symlink_metadata(&files).is_err() {
            return Err(BuildError::MissingOutput {
                output: name.to_owned(),
                path: self.scratch[name].clone(),
                last_lines: self.last_lines.to_vec(),
            });
        }
        self.check_flatness(name, output, &files)?;
        canonicalise(&files).map_err(|cause| BuildError::Unfit { output: name.to_owned(), cause })?;
        let nothing = BTreeSet::new();
        let candidates = if self.attributes.discards_references(name) { &nothing } else { self.inputs };
        scan::scan(
            &files,
            candidates.iter().chain(self.scratch.values()),
            &self.scratch[name],
            algorithm(output),
            self.cancellation,
        )
    }

    fn check_flatness(&self, name: &str, output: &Output, files: &Path) -> Result<(), BuildError> {
        let (Output::Fixed { method, .. } | Output::Floating { method, .. } | Output::Impure { method, .. }) =
            output
        else {
            return Ok(());
        };
        if !matches!(method, ContentMethod::Flat | ContentMethod::Text) {
            return Ok(());
        }
        let metadata = fs::symlink_metadata(files).map_err(io_error("look at", files))?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o100 != 0 {
            return Err(BuildError::NotAFlatFile { output: name.to_owned(), method: method.name() });
        }
        Ok(())
    }

    /// The outputs, each after those that it refers to.
    fn order(&self, scanned: &BTreeMap<String, Scanned>) -> Result<Vec<String>, BuildError> {
        let by_path: BTreeMap<&StorePath, &String> =
            self.scratch.iter().map(|(name, path)| (path, name)).collect();
        let siblings = |name: &String| -> BTreeSet<&String> {
            let references = scanned[name].references.iter();
            references.filter_map(|path| by_path.get(path).copied()).filter(|other| *other != name).collect()
        };
        let mut order = Vec::new();
        let mut left: BTreeSet<&String> = scanned.keys().collect();
        while !left.is_empty() {
            let ready: Vec<&String> =
                left.iter().copied().filter(|name| siblings(name).is_disjoint(&left)).collect();
            if ready.is_empty() {
                return Err(BuildError::OutputCycle(left.into_iter().cloned().collect()));
            }
            for name in ready {
                left.remove(name);
                order.push(name.clone());
            }
        }
        Ok(order)
    }

    fn finish_output(
        &self,
        name: &str,
        output: &Output,
        scan: &Scanned,
        made: &BTreeMap<String, Made>,
    ) -> Result<Made, BuildError> {
        match output {
            Output::InputAddressed(_) | Output::Deferred => Ok(self.input_addressed(name, scan)),
            Output::Fixed { method, hash, path } => self.fixed(name, *method, hash, path, scan),
            Output::Floating { method, algorithm } | Output::Impure { method, algorithm } => {
                self.floating(name, *method, *algorithm, scan, made)
            }
        }
    }

    fn input_addressed(&self, name: &str, scan: &Scanned) -> Made {
        let references = scan.references.clone();
        self.made(
            self.scratch[name].clone(),
            scan.nar_hash,
            scan.nar_size,
            references,
            None,
            self.files(name),
        )
    }

    fn fixed(
        &self,
        name: &str,
        method: ContentMethod,
        expected: &Hash,
        path: &StorePath,
        scan: &Scanned,
    ) -> Result<Made, BuildError> {
        let files = self.files(name);
        let actual = content_hash(&files, method, expected.algorithm(), scan)?;
        if actual != *expected {
            return Err(BuildError::HashMismatch {
                expected: expected.to_sri(),
                actual: actual.to_sri(),
                addresses: self.addresses(),
            });
        }
        let address = ContentAddress { method, hash: actual };
        // Refuses references where the kind of address does not allow them.
        address.store_path(path.name(), &references(&scan.references, path))?;
        Ok(self.made(
            path.clone(),
            scan.nar_hash,
            scan.nar_size,
            scan.references.clone(),
            Some(address),
            files,
        ))
    }

    /// Where a fixed output was fetched from, as far as its derivation says.
    fn addresses(&self) -> Vec<String> {
        let words = ["urls", "url"].into_iter().filter_map(|name| self.attributes.words(name).ok().flatten());
        let mut addresses: Vec<String> = words.flatten().collect();
        addresses.dedup();
        addresses
    }

    /// Puts the final paths of the outputs made before in the place of their scratch paths, addresses what comes of it,
    /// and puts that address in the place of its own.
    fn floating(
        &self,
        name: &str,
        method: ContentMethod,
        algorithm: Algorithm,
        scan: &Scanned,
        made: &BTreeMap<String, Made>,
    ) -> Result<Made, BuildError> {
        let scratch = &self.scratch[name];
        let mut files = self.files(name);
        let mut scan = scan.clone();
        let siblings: BTreeMap<StorePath, StorePath> = made
            .iter()
            .map(|(other, made)| (self.scratch[other].clone(), made.info.path.clone()))
            .filter(|(from, to)| from != to && scan.references.contains(from))
            .collect();
        if !siblings.is_empty() {
            files = self.rewrite(&files, &siblings)?;
            let finals = siblings.values();
            let candidates = scan.references.iter().filter(|path| !siblings.contains_key(path)).chain(finals);
            let candidates: BTreeSet<StorePath> = candidates.cloned().collect();
            let nar_algorithm = (method == ContentMethod::Nar).then_some(algorithm);
            scan = scan::scan(&files, candidates.iter(), scratch, nar_algorithm, self.cancellation)?;
        }
        let hash = content_hash(&files, method, algorithm, &scan)?;
        let address = ContentAddress { method, hash };
        let references = references(&scan.references, scratch);
        let path = scan::content_path(&address, &output_path_name(&self.drv.name, name), &references)?;
        if references.self_reference && path != *scratch {
            files = self.rewrite(&files, &BTreeMap::from([(scratch.clone(), path.clone())]))?;
            scan = scan::scan(&files, std::iter::empty(), &path, None, self.cancellation)?;
        }
        let mut all = references.others;
        if references.self_reference {
            all.insert(path.clone());
        }
        Ok(self.made(path, scan.nar_hash, scan.nar_size, all, Some(address), files))
    }

    /// A copy of `files` with each path's hash in the place of another's.
    fn rewrite(
        &self,
        files: &Path,
        rewrites: &BTreeMap<StorePath, StorePath>,
    ) -> Result<PathBuf, BuildError> {
        fs::create_dir_all(&self.rewritten).map_err(io_error("make the folder", &self.rewritten))?;
        let count = fs::read_dir(&self.rewritten).map_err(io_error("read", &self.rewritten))?.count();
        let copy = self.rewritten.join(count.to_string());
        scan::copy_rewritten(files, rewrites, &copy)?;
        Ok(copy)
    }

    fn made(
        &self,
        path: StorePath,
        nar_hash: Hash,
        nar_size: u64,
        references: BTreeSet<StorePath>,
        content_address: Option<ContentAddress>,
        files: PathBuf,
    ) -> Made {
        let deriver = Some(self.drv_path.clone());
        let info = PathInfo {
            path,
            nar_hash,
            nar_size,
            references,
            deriver,
            registered: now(),
            content_address,
            signatures: BTreeSet::new(),
            ultimate: true,
        };
        Made { info, files }
    }
}

/// The algorithm under which an output's NAR addresses it.
fn algorithm(output: &Output) -> Option<Algorithm> {
    match output {
        Output::Floating { method: ContentMethod::Nar, algorithm }
        | Output::Impure { method: ContentMethod::Nar, algorithm } => Some(*algorithm),
        Output::Fixed { method: ContentMethod::Nar, hash, .. } => Some(hash.algorithm()),
        _ => None,
    }
}

fn content_hash(
    files: &Path,
    method: ContentMethod,
    algorithm: Algorithm,
    scan: &Scanned,
) -> Result<Hash, BuildError> {
    match (method, scan.modulo) {
        (ContentMethod::Nar, Some(modulo)) => Ok(modulo),
        _ => Ok(hash_path(files, method, algorithm)?),
    }
}

fn references(all: &BTreeSet<StorePath>, itself: &StorePath) -> References {
    let mut others = all.clone();
    let self_reference = others.remove(itself);
    References { others, self_reference }
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> BuildError + 'a {
    move |source| crate::store::StoreError::Io { action, path: path.to_owned(), source }.into()
}
