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

#[cfg(test)]
mod tests {
    use super::*;

    /// As Nix 2.34.8 wrote them into tests/data/drv/q6jqq0ddb6pdhhxvnwzb2jhs03mpffpc-dyn.drv and others.
    #[test]
    fn placeholders_are_those_of_nix() {
        assert_eq!(placeholder("out"), "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
        let path = |base_name| StorePath::from_base_name(base_name).unwrap();
        let known = path("25dz0hx8cqlvnz43z9vlval4a6ac9nnx-ca.drv");
        for (output, expected) in [
            ("out", "/0nsjkgf7bf39bpa4kvh415a8xm436y46kj47qkdz8dsxr912rjph"),
            ("dev", "/0pggzaj4grb514zp82j491zml2lds7jqx8j9kvrhkd48az3ivfz7"),
        ] {
            assert_eq!(downstream_placeholder(&known, output).unwrap(), expected);
        }
        let producer = path("yb60ncgw8fj9xl2q8mfajxnp83p0mcs1-txt.drv.drv");
        let produced = DownstreamPlaceholder::unknown_output(&producer, "out").unwrap();
        let out = DownstreamPlaceholder::unknown_derivation(produced, "out");
        assert_eq!(out.render(), "/0298pqr942gl4nwchj5pp5hvx2pfh1glqq7yk9f7n4f5rbzczvdq");
        let bin = DownstreamPlaceholder::unknown_derivation(out, "bin");
        assert_eq!(bin.render(), "/07pxzyfw0m0x49x4j9xcjyvz1x8njs3ph7vcdiidh0h9dpaqjzgz");
    }
}
