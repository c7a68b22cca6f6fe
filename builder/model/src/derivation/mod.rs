//! Derivations: what is built from what, by which program.

mod aterm;
mod json;
mod modulo;
mod placeholder;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;
use thiserror::Error;

use crate::content_address::ContentMethod;
use crate::hash::{Algorithm, Hash, HashError};
use crate::store_path::{StorePath, StorePathError, content_path, output_path_name};

pub use modulo::{DerivationHashes, HashCache, HashModulo, Instantiated};
pub use placeholder::{DownstreamPlaceholder, downstream_placeholder, placeholder};

/// The environment variable that carries structured attributes as JSON in the ATerm.
pub const STRUCTURED_ATTRIBUTES: &str = "__json";

/// One build step: the outputs it makes, its inputs and the process that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derivation {
    /// The name, without `.drv`. The ATerm does not hold it; the store path does.
    pub name: String,
    pub outputs: BTreeMap<String, Output>,
    /// Outputs of other derivations that must be built first.
    pub input_derivations: BTreeMap<StorePath, InputOutputs>,
    /// Store paths that must be there already.
    pub input_sources: BTreeSet<StorePath>,
    /// The system, such as `x86_64-linux` or `builtin`.
    pub platform: BString,
    pub builder: BString,
    pub args: Vec<BString>,
    /// Structured attributes are the variable `__json`.
    pub env: BTreeMap<BString, BString>,
}

/// An output and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The path follows from the inputs.
    InputAddressed(StorePath),
    /// The content is known beforehand. Made by [`Output::fixed`], which computes the path.
    Fixed { method: ContentMethod, hash: Hash, path: StorePath },
    /// The path follows from the content, known once built.
    Floating { method: ContentMethod, algorithm: Algorithm },
    /// Will be input-addressed once the content-addressed inputs are known.
    Deferred,
    /// Content-addressed, and built anew each time.
    Impure { method: ContentMethod, algorithm: Algorithm },
}

impl Output {
    /// The output `output` of the derivation `derivation`, whose content must have `hash`.
    pub fn fixed(
        method: ContentMethod,
        hash: Hash,
        derivation: &str,
        output: &str,
    ) -> Result<Output, StorePathError> {
        let name = output_path_name(derivation, output);
        let path = content_path(method, &hash, &name, &Default::default())?;
        Ok(Output::Fixed { method, hash, path })
    }

    /// The path, where it is known before building.
    pub fn path(&self) -> Option<&StorePath> {
        match self {
            Output::InputAddressed(path) | Output::Fixed { path, .. } => Some(path),
            Output::Floating { .. } | Output::Deferred | Output::Impure { .. } => None,
        }
    }

    fn kind(&self) -> DerivationKind {
        match self {
            Output::InputAddressed(_) => DerivationKind::InputAddressed,
            Output::Fixed { .. } => DerivationKind::Fixed,
            Output::Floating { .. } => DerivationKind::Floating,
            Output::Deferred => DerivationKind::Deferred,
            Output::Impure { .. } => DerivationKind::Impure,
        }
    }
}

/// The outputs wanted of an input derivation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputOutputs {
    pub outputs: BTreeSet<String>,
    /// For outputs that are derivations themselves (dynamic derivations): what is wanted of each.
    pub dynamic: BTreeMap<String, InputOutputs>,
}

impl InputOutputs {
    /// One output, and nothing dynamic.
    pub fn of(output: &str) -> InputOutputs {
        InputOutputs { outputs: BTreeSet::from([output.to_owned()]), dynamic: BTreeMap::new() }
    }
}

/// What all outputs of a derivation have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerivationKind {
    InputAddressed,
    Fixed,
    Floating,
    Deferred,
    Impure,
}

impl DerivationKind {
    /// Whether the path of an output follows from its content.
    pub fn is_content_addressed(self) -> bool {
        matches!(self, DerivationKind::Fixed | DerivationKind::Floating | DerivationKind::Impure)
    }

    /// Whether the hash modulo fixed outputs depends on the input derivations.
    fn depends_on_inputs(self) -> bool {
        !matches!(self, DerivationKind::Fixed | DerivationKind::Impure)
    }
}

/// What can be wrong with a derivation.
#[derive(Debug, Error)]
pub enum DerivationError {
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("must have at least one output")]
    NoOutputs,
    #[error("can't mix derivation output types")]
    MixedOutputs,
    #[error("only one fixed output is allowed for now")]
    SeveralFixed,
    #[error("single fixed output must be named \"out\"")]
    FixedNotOut,
    #[error("all floating outputs must use the same hash algorithm")]
    FloatingAlgorithms,
    #[error("no hash for output '{output}' of derivation '{derivation}'")]
    NoSuchOutput { output: String, derivation: String },
    #[error("derivation '{0}' depends on itself")]
    Cycle(StorePath),
    #[error("error parsing derivation '{name}': {message} (at byte {offset})")]
    Syntax { name: String, offset: usize, message: String },
    #[error("cannot read derivation '{path}': {source}")]
    Read { path: StorePath, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Derivation {
    /// The kind that all outputs share; an error if they share none.
    pub fn kind(&self) -> Result<DerivationKind, DerivationError> {
        let mut outputs = self.outputs.values();
        let kind = outputs.next().ok_or(DerivationError::NoOutputs)?.kind();
        if outputs.any(|output| output.kind() != kind) {
            return Err(DerivationError::MixedOutputs);
        }
        match kind {
            DerivationKind::Fixed if self.outputs.len() > 1 => Err(DerivationError::SeveralFixed),
            DerivationKind::Fixed if !self.outputs.contains_key("out") => Err(DerivationError::FixedNotOut),
            DerivationKind::Floating | DerivationKind::Impure if !self.has_one_algorithm() => {
                Err(DerivationError::FloatingAlgorithms)
            }
            _ => Ok(kind),
        }
    }

    fn has_one_algorithm(&self) -> bool {
        let mut algorithms = self.outputs.values().filter_map(|output| match output {
            Output::Floating { algorithm, .. } | Output::Impure { algorithm, .. } => Some(algorithm),
            _ => None,
        });
        let first = algorithms.next();
        algorithms.all(|algorithm| Some(algorithm) == first)
    }

    /// Whether it wants outputs of derivations that are outputs of derivations.
    pub fn has_dynamic_inputs(&self) -> bool {
        self.input_derivations.values().any(|input| !input.dynamic.is_empty())
    }

    /// The path of its `.drv` file.
    pub fn store_path(&self) -> Result<StorePath, StorePathError> {
        self.store_path_of_aterm(&self.to_aterm())
    }
}
