//! The hash of a derivation modulo fixed outputs, and the output paths that follow from it.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use bstr::BString;
use rustc_hash::FxHashMap;

use super::aterm::{Aterm, InputHashes, Masked};
use super::placeholder::placeholder;
use super::{Derivation, DerivationError, DerivationKind, Output};
use crate::hash::{Algorithm, Hash};
use crate::store_path::{References, StorePath, StorePathError, content_path, output_path};

/// The hash of a derivation in which every input is replaced by such a hash, and fixed outputs by what they must contain:
/// so it does not change with the way a fixed output is fetched. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashModulo {
    /// The same for all outputs.
    pub hash: Hash,
    /// Whether a content-addressed input still keeps the output paths from being computed.
    pub deferred: bool,
    outputs: Arc<[Box<str>]>,
}

impl HashModulo {
    pub fn has_output(&self, output: &str) -> bool {
        self.outputs.iter().any(|known| **known == *output)
    }
}

/// Where the hashes of input derivations come from.
pub trait DerivationHashes {
    fn modulo(&self, derivation: &StorePath) -> Result<HashModulo, DerivationError>;
}

impl<T: DerivationHashes + ?Sized> DerivationHashes for &T {
    fn modulo(&self, derivation: &StorePath) -> Result<HashModulo, DerivationError> {
        (**self).modulo(derivation)
    }
}

/// A derivation ready to be written to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instantiated {
    pub path: StorePath,
    /// The content of the `.drv` file.
    pub aterm: Vec<u8>,
    pub modulo: HashModulo,
}

impl Derivation {
    /// The hash modulo fixed outputs, with the output paths in it: what derivations that use this one see.
    pub fn hash_modulo(&self, hashes: &impl DerivationHashes) -> Result<HashModulo, DerivationError> {
        let kind = self.kind()?;
        let inputs = self.hash_inputs(kind, hashes)?;
        Ok(self.hash_with(kind, &inputs, || self.print(Masked::No)))
    }

    /// The hash by which the realisations of the outputs are recorded: as [`Derivation::hash_modulo`], without the output
    /// paths. Nix writes a realisation as `sha256:BASE16!OUTPUT`.
    pub fn realisation_hash(&self, hashes: &impl DerivationHashes) -> Result<Hash, DerivationError> {
        let kind = self.kind()?;
        let inputs = self.hash_inputs(kind, hashes)?;
        Ok(self.hash_with(kind, &inputs, || self.print(Masked::Yes)).hash)
    }

    /// Computes the output paths that can be known and sets the variables named as the outputs, as `derivationStrict`
    /// does: paths, or placeholders where the path follows from the content. The outputs must be there already;
    /// those to be input-addressed as [`Output::Deferred`], which they remain if an input is not known yet.
    pub fn fill_outputs(&mut self, hashes: &impl DerivationHashes) -> Result<(), DerivationError> {
        self.fill_outputs_and_hash_inputs(hashes).map(drop)
    }

    /// Fills the outputs and gives everything that is needed to write the derivation and to use it as an input.
    pub fn instantiate(&mut self, hashes: &impl DerivationHashes) -> Result<Instantiated, DerivationError> {
        let (inputs, masked) = self.fill_outputs_and_hash_inputs(hashes)?;
        let aterm = match masked {
            Some(masked) => masked.filled(&self.outputs),
            None => self.print(Masked::No),
        };
        let modulo = self.hash_with(self.kind()?, &inputs, || &aterm);
        let path = self.store_path_of_aterm(&aterm.text)?;
        Ok(Instantiated { path, aterm: aterm.text, modulo })
    }

    /// The path of the `.drv` file that holds `aterm`.
    pub(super) fn store_path_of_aterm(&self, aterm: &[u8]) -> Result<StorePath, StorePathError> {
        let hash = Hash::of(Algorithm::Sha256, aterm);
        content_path(crate::ContentMethod::Text, &hash, &format!("{}.drv", self.name), &self.references())
    }

    /// What the `.drv` file refers to.
    pub fn references(&self) -> References {
        let others = self.input_derivations.keys().chain(&self.input_sources).cloned().collect();
        References { others, self_reference: false }
    }

    /// Gives the text with the outputs left out, too, if it was needed.
    fn fill_outputs_and_hash_inputs(
        &mut self,
        hashes: &impl DerivationHashes,
    ) -> Result<(InputHashes, Option<Aterm>), DerivationError> {
        let kind = self.unfill_outputs()?;
        let inputs = self.hash_inputs(kind, hashes)?;
        if kind != DerivationKind::Deferred {
            return Ok((inputs, None));
        }
        let masked = self.print(Masked::Yes);
        let modulo = self.hash_with(kind, &inputs, || &masked);
        if !modulo.deferred {
            self.set_output_paths(&modulo.hash)?;
        }
        Ok((inputs, Some(masked)))
    }

    /// Makes input-addressed outputs deferred again and gives every output's variable the value that does not depend on
    /// the derivation's hash.
    fn unfill_outputs(&mut self) -> Result<DerivationKind, DerivationError> {
        for (name, output) in &mut self.outputs {
            if let Output::InputAddressed(_) = output {
                *output = Output::Deferred;
            }
            let value = match output {
                Output::Fixed { path, .. } => path.to_string(),
                Output::Floating { .. } | Output::Impure { .. } => placeholder(name),
                Output::InputAddressed(_) | Output::Deferred => String::new(),
            };
            self.env.insert(name.as_str().into(), value.into());
        }
        self.kind()
    }

    fn set_output_paths(&mut self, modulo: &Hash) -> Result<(), DerivationError> {
        for (name, output) in &mut self.outputs {
            let path = output_path(name, modulo, &self.name)?;
            self.env.insert(name.as_str().into(), BString::from(path.to_string()));
            *output = Output::InputAddressed(path);
        }
        Ok(())
    }

    fn hash_inputs(
        &self,
        kind: DerivationKind,
        hashes: &impl DerivationHashes,
    ) -> Result<InputHashes, DerivationError> {
        let mut inputs = Vec::new();
        let mut deferred = false;
        if !kind.depends_on_inputs() {
            return Ok(InputHashes::new(inputs, deferred));
        }
        for (path, wanted) in &self.input_derivations {
            let modulo = hashes.modulo(path)?;
            if let Some(output) = wanted.outputs.iter().find(|output| !modulo.has_output(output)) {
                let derivation = self.name.clone();
                return Err(DerivationError::NoSuchOutput { output: output.clone(), derivation });
            }
            deferred |= modulo.deferred;
            inputs.push((modulo.hash, &wanted.outputs));
        }
        Ok(InputHashes::new(inputs, deferred))
    }

    /// `print` is asked for the text if the hash depends on it.
    fn hash_with<A: Borrow<Aterm>>(
        &self,
        kind: DerivationKind,
        inputs: &InputHashes,
        print: impl FnOnce() -> A,
    ) -> HashModulo {
        let hash = match (kind, self.outputs.get("out")) {
            (DerivationKind::Fixed, Some(Output::Fixed { method, hash, path })) => {
                let prefix = method.prefix();
                let text = format!("fixed:out:{prefix}{}:{path}", hash.to_prefixed_base16());
                Hash::of(Algorithm::Sha256, text.as_bytes())
            }
            (DerivationKind::Impure, _) => Hash::of(Algorithm::Sha256, b"impure"),
            _ => print().borrow().hash_modulo(inputs),
        };
        let deferred = match kind {
            DerivationKind::Fixed => false,
            DerivationKind::Floating | DerivationKind::Impure => true,
            // A derivation whose outputs are deferred has a deferred input; if it has none, they can be filled in.
            DerivationKind::InputAddressed | DerivationKind::Deferred => inputs.deferred,
        };
        HashModulo { hash, deferred, outputs: self.outputs.keys().map(|name| name.as_str().into()).collect() }
    }
}

/// Remembers the hashes of derivations; those not seen yet are read by `read` and hashed, with all their inputs.
pub struct HashCache<R> {
    read: R,
    known: RwLock<FxHashMap<StorePath, HashModulo>>,
}

impl<R: Fn(&StorePath) -> Result<Derivation, DerivationError>> HashCache<R> {
    /// `read` gives the derivation at a path.
    pub fn new(read: R) -> Self {
        HashCache { read, known: RwLock::default() }
    }

    /// Remembers a derivation's hash, so that it need not be read back.
    pub fn insert(&self, derivation: StorePath, modulo: HashModulo) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(derivation, modulo);
    }

    pub fn get(&self, derivation: &StorePath) -> Option<HashModulo> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(derivation).cloned()
    }

    /// Hashes `root` after everything below it, without recursion: chains of derivations get long.
    fn hash_closure(&self, root: &StorePath) -> Result<HashModulo, DerivationError> {
        let mut pending = vec![(root.clone(), None)];
        let mut open = HashSet::new();
        while let Some((path, derivation)) = pending.pop() {
            if let Some(derivation) = derivation {
                let derivation: Derivation = derivation;
                self.insert(path.clone(), derivation.hash_modulo(self)?);
                open.remove(&path);
            } else if self.get(&path).is_none() {
                if !open.insert(path.clone()) {
                    return Err(DerivationError::Cycle(path));
                }
                let derivation = (self.read)(&path)?;
                let inputs: Vec<_> = match derivation.kind()?.depends_on_inputs() {
                    true => derivation.input_derivations.keys().cloned().collect(),
                    false => Vec::new(),
                };
                pending.push((path, Some(derivation)));
                pending.extend(inputs.into_iter().map(|input| (input, None)));
            }
        }
        self.get(root).ok_or_else(|| DerivationError::Cycle(root.clone()))
    }
}

impl<R: Fn(&StorePath) -> Result<Derivation, DerivationError>> DerivationHashes for HashCache<R> {
    fn modulo(&self, derivation: &StorePath) -> Result<HashModulo, DerivationError> {
        match self.get(derivation) {
            Some(modulo) => Ok(modulo),
            None => self.hash_closure(derivation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derivation::InputOutputs;
    use std::collections::BTreeMap;

    fn path(number: usize) -> StorePath {
        StorePath::from_base_name(&format!("{number:032}-x.drv")).unwrap()
    }

    /// Derivation `number` needs the given ones.
    fn needing(number: usize, inputs: &[usize]) -> Derivation {
        let input_derivations = inputs.iter().map(|&input| (path(input), InputOutputs::of("out"))).collect();
        let outputs = BTreeMap::from([("out".to_owned(), Output::Deferred)]);
        Derivation { name: number.to_string(), input_derivations, outputs, ..Derivation::default() }
    }

    fn number(path: &StorePath) -> usize {
        path.hash_part().parse().unwrap()
    }

    #[test]
    fn a_long_chain_is_hashed_and_each_link_read_once() {
        let reads = std::cell::Cell::new(0);
        let cache = HashCache::new(|path: &StorePath| {
            reads.set(reads.get() + 1);
            let number = number(path);
            let inputs: Vec<_> =
                [0, 1, number.wrapping_sub(1)].into_iter().filter(|&input| input < number).collect();
            Ok(needing(number, &inputs))
        });
        let length = 20_000;
        cache.modulo(&path(length)).unwrap();
        assert_eq!(reads.get(), length + 1);
    }

    #[test]
    fn a_cycle_is_an_error() {
        let cache = HashCache::new(|path: &StorePath| Ok(needing(1, &[(number(path) + 1) % 3])));
        assert!(matches!(cache.modulo(&path(0)), Err(DerivationError::Cycle(_))));
    }

    #[test]
    fn an_output_that_is_not_there_is_an_error() {
        let cache = HashCache::new(|_: &StorePath| Ok(needing(1, &[])));
        let mut derivation = needing(2, &[]);
        derivation.input_derivations.insert(path(1), InputOutputs::of("lib"));
        let error = derivation.fill_outputs(&cache).unwrap_err();
        assert_eq!(error.to_string(), "no hash for output 'lib' of derivation '2'");
    }
}
