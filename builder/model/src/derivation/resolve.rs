//! Resolves derivations: replaces inputs that are derivations by the store paths they were built to.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;

use super::{Derivation, DerivationError, DerivationHashes, DownstreamPlaceholder, HashModulo, InputOutputs};
use crate::store_path::StorePath;

/// What to put in the place of what.
type Rewrites = BTreeMap<String, String>;

impl Derivation {
    /// This derivation with plain store paths as inputs, their placeholders replaced and deferred outputs filled in; as
    /// Nix's `tryResolve`. `output_path` gives the path that an output of a derivation was built to; where it gives
    /// none, neither does this.
    pub fn resolve(
        &self,
        mut output_path: impl FnMut(&StorePath, &str) -> Option<StorePath>,
    ) -> Result<Option<Derivation>, DerivationError> {
        let mut rewrites = Rewrites::new();
        let mut sources = self.input_sources.clone();
        for (path, wanted) in &self.input_derivations {
            let mut inputs =
                Inputs { output_path: &mut output_path, rewrites: &mut rewrites, sources: &mut sources };
            if inputs.add(None, path, wanted)?.is_none() {
                return Ok(None);
            }
        }
        let mut resolved = Derivation {
            input_derivations: BTreeMap::new(),
            input_sources: sources,
            name: self.name.clone(),
            outputs: self.outputs.clone(),
            platform: self.platform.clone(),
            builder: self.builder.clone(),
            args: self.args.clone(),
            env: self.env.clone(),
        };
        resolved.rewrite(&rewrites);
        if resolved.kind()? == super::DerivationKind::Deferred {
            resolved.fill_outputs(&NoInputs)?;
        }
        Ok(Some(resolved))
    }

    fn rewrite(&mut self, rewrites: &Rewrites) {
        if rewrites.is_empty() {
            return;
        }
        rewrite(&mut self.builder, rewrites);
        self.args.iter_mut().for_each(|arg| rewrite(arg, rewrites));
        let env = std::mem::take(&mut self.env);
        self.env.extend(env.into_iter().map(|(mut name, mut value)| {
            rewrite(&mut name, rewrites);
            rewrite(&mut value, rewrites);
            (name, value)
        }));
    }
}

/// Gathers what the inputs of one derivation become.
struct Inputs<'a, F> {
    output_path: &'a mut F,
    rewrites: &'a mut Rewrites,
    sources: &'a mut BTreeSet<StorePath>,
}

impl<F: FnMut(&StorePath, &str) -> Option<StorePath>> Inputs<'_, F> {
    /// `placeholder` is that of the derivation itself, if it is an output of another.
    fn add(
        &mut self,
        placeholder: Option<DownstreamPlaceholder>,
        derivation: &StorePath,
        wanted: &InputOutputs,
    ) -> Result<Option<()>, DerivationError> {
        let placeholder_of = |output: &str| match placeholder {
            None => DownstreamPlaceholder::unknown_output(derivation, output),
            Some(placeholder) => Ok(DownstreamPlaceholder::unknown_derivation(placeholder, output)),
        };
        for output in &wanted.outputs {
            let Some(path) = (self.output_path)(derivation, output) else { return Ok(None) };
            self.rewrites.insert(placeholder_of(output)?.render(), path.to_string());
            self.sources.insert(path);
        }
        for (output, inner) in &wanted.dynamic {
            let Some(path) = (self.output_path)(derivation, output) else { return Ok(None) };
            if self.add(Some(placeholder_of(output)?), &path, inner)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

/// All placeholders are a slash and 52 base32 digits.
const PLACEHOLDER_LENGTH: usize = 53;

fn rewrite(text: &mut BString, rewrites: &Rewrites) {
    if text.len() < PLACEHOLDER_LENGTH {
        return;
    }
    let mut result = Vec::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(slash) = memchr::memchr(b'/', &text[from..]) {
        let start = from + slash;
        let candidate = text.get(start..start + PLACEHOLDER_LENGTH);
        let replacement = candidate.and_then(|bytes| rewrites.get(str::from_utf8(bytes).ok()?));
        from = start + 1;
        if let Some(replacement) = replacement {
            result.extend_from_slice(&text[copied..start]);
            result.extend_from_slice(replacement.as_bytes());
            copied = start + PLACEHOLDER_LENGTH;
            from = copied;
        }
    }
    if copied > 0 {
        result.extend_from_slice(&text[copied..]);
        *text = result.into();
    }
}

/// A resolved derivation has no input derivations to ask for.
struct NoInputs;

impl DerivationHashes for NoInputs {
    fn modulo(&self, derivation: &StorePath) -> Result<HashModulo, DerivationError> {
        Err(DerivationError::Cycle(derivation.clone()))
    }
}
