//! The strings that stand for output paths not known yet.

use crate::encoding::encode_nix32;
use crate::hash::{Algorithm, Hash};
use crate::store_path::{HASH_SIZE, StorePath, StorePathError, output_path_name};

/// What a derivation writes for the path of its own `output`: `builtins.placeholder`, 53 bytes.
pub fn placeholder(output: &str) -> String {
    render(&Hash::of(Algorithm::Sha256, format!("nix-output:{output}").as_bytes()))
}

/// What a derivation writes for the path of `output` of `derivation`, whose outputs are content-addressed or deferred.
pub fn downstream_placeholder(derivation: &StorePath, output: &str) -> Result<String, StorePathError> {
    Ok(DownstreamPlaceholder::unknown_output(derivation, output)?.render())
}

/// Stands for an output of another derivation whose path is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DownstreamPlaceholder(Hash);

impl DownstreamPlaceholder {
    /// For `output` of a derivation that is known (Nix's `unknownCaOutput`).
    pub fn unknown_output(derivation: &StorePath, output: &str) -> Result<Self, StorePathError> {
        let name = output_path_name(derivation.derivation_name()?, output);
        let text = format!("nix-upstream-output:{}:{name}", derivation.hash_part());
        Ok(DownstreamPlaceholder(Hash::of(Algorithm::Sha256, text.as_bytes())))
    }

    /// For `output` of a derivation that is itself an output not known yet.
    pub fn unknown_derivation(derivation: DownstreamPlaceholder, output: &str) -> Self {
        let compressed: [u8; HASH_SIZE] = derivation.0.compress();
        let text = format!("nix-computed-output:{}:{output}", encode_nix32(&compressed));
        DownstreamPlaceholder(Hash::of(Algorithm::Sha256, text.as_bytes()))
    }

    /// The text in environment variables and arguments.
    pub fn render(&self) -> String {
        render(&self.0)
    }
}

fn render(hash: &Hash) -> String {
    format!("/{}", hash.to_nix32())
}
