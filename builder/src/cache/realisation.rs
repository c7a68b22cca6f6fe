//! What a content-addressed output was built to, as caches record it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use zeval_model::signature::{SecretKey, Signature};
use zeval_model::{Hash, StorePath};

use super::Trust;

/// The path that an output of a derivation was built to, for all derivations that are equal modulo fixed outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRealisation {
    /// `sha256:BASE16!OUTPUT`, where the hash is that of the derivation modulo fixed outputs.
    pub id: String,
    pub path: StorePath,
    pub signatures: BTreeSet<Signature>,
    /// By id, the paths that inputs were built to; only passed on.
    dependents: Map<String, Value>,
}

impl CachedRealisation {
    pub fn new(drv: &Hash, output: &str, path: StorePath) -> CachedRealisation {
        let id = id(drv, output);
        CachedRealisation { id, path, signatures: BTreeSet::new(), dependents: Map::new() }
    }

    /// Whether it is of that output: a cache may give one that somebody signed for another.
    pub fn is_of(&self, drv: &Hash, output: &str) -> bool {
        self.id == id(drv, output)
    }

    /// Its file in a cache.
    pub fn file(drv: &Hash, output: &str) -> String {
        format!("realisations/{}.doi", id(drv, output))
    }

    /// Reads a file of a cache.
    pub fn parse(text: &[u8]) -> Result<CachedRealisation, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let string = |name: &str| {
            value.get(name).and_then(Value::as_str).ok_or_else(|| format!("it has no text '{name}'"))
        };
        let path = string("outPath")?;
        // Nix writes the base name, and once wrote the whole path.
        let path =
            path.strip_prefix(zeval_model::store_dir()).map_or(path, |rest| rest.trim_start_matches('/'));
        let path = StorePath::from_base_name(path).map_err(|error| error.to_string())?;
        let signatures = value.get("signatures").and_then(Value::as_array).into_iter().flatten();
        let signatures = signatures.filter_map(|text| text.as_str()?.parse().ok()).collect();
        let dependents =
            value.get("dependentRealisations").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(CachedRealisation { id: string("id")?.to_owned(), path, signatures, dependents })
    }

    /// The text of its file.
    pub fn to_json(&self) -> String {
        self.as_json().to_string()
    }

    /// As [`CachedRealisation::to_json`], before it is text.
    pub fn as_json(&self) -> Value {
        let mut value = self.unsigned();
        value["signatures"] = self.signatures.iter().map(ToString::to_string).collect();
        value
    }

    fn unsigned(&self) -> Value {
        json!({
            "dependentRealisations": self.dependents,
            "id": self.id,
            "outPath": self.path.base_name(),
        })
    }

    /// Adds a signature.
    pub fn sign(&mut self, key: &SecretKey) {
        self.signatures.insert(key.sign(self.unsigned().to_string().as_bytes()));
    }

    /// Whether a key that is trusted signed it.
    pub fn is_trusted(&self, trust: &Trust) -> bool {
        let text = self.unsigned().to_string();
        let is_by = |signature| trust.keys.iter().any(|key| key.verify(text.as_bytes(), signature));
        !trust.require_signatures || self.signatures.iter().any(is_by)
    }
}

fn id(drv: &Hash, output: &str) -> String {
    format!("{}!{output}", drv.to_prefixed_base16())
}
