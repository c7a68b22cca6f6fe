//! Derivations as JSON, in the form of `nix derivation show` of Nix 2.34 (version 4).

use bstr::BStr;
use serde_json::{Map, Value, json};

use super::{Derivation, InputOutputs, Output, STRUCTURED_ATTRIBUTES};

/// The version of the format.
pub const JSON_VERSION: u64 = 4;

impl Derivation {
    /// The object that `nix derivation show` prints for this derivation. Bytes that are not UTF-8 are replaced.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "args": self.args.iter().map(|arg| text(arg.as_ref())).collect::<Value>(),
            "builder": text(self.builder.as_ref()),
            "env": self.env_to_json(),
            "inputs": {
                "drvs": self.input_derivations.iter().map(|(path, wanted)| (path.base_name().to_owned(), wanted.to_json())).collect::<Map<_, _>>(),
                "srcs": self.input_sources.iter().map(|path| Value::from(path.base_name())).collect::<Value>(),
            },
            "name": self.name,
            "outputs": self.outputs.iter().map(|(name, output)| (name.clone(), output.to_json())).collect::<Map<_, _>>(),
            "system": text(self.platform.as_ref()),
            "version": JSON_VERSION,
        });
        if let Some(attributes) = self.structured_attributes() {
            object["structuredAttrs"] = attributes;
        }
        object
    }

    /// The structured attributes, if there are any and they are JSON.
    pub fn structured_attributes(&self) -> Option<Value> {
        let text = self.env.get(BStr::new(STRUCTURED_ATTRIBUTES))?;
        serde_json::from_slice(text).ok()
    }

    fn env_to_json(&self) -> Map<String, Value> {
        let plain = self.env.iter().filter(|(name, _)| *name != STRUCTURED_ATTRIBUTES);
        plain.map(|(name, value)| (name.to_string(), text(value.as_ref()))).collect()
    }
}

impl InputOutputs {
    fn to_json(&self) -> Value {
        json!({
            "outputs": self.outputs,
            "dynamicOutputs": self.dynamic.iter().map(|(output, wanted)| (output.clone(), wanted.to_json())).collect::<Map<_, _>>(),
        })
    }
}

impl Output {
    fn to_json(&self) -> Value {
        match self {
            Output::InputAddressed(path) => json!({ "path": path.base_name() }),
            Output::Fixed { method, hash, .. } => json!({ "method": method.name(), "hash": hash.to_sri() }),
            Output::Floating { method, algorithm } => {
                json!({ "method": method.name(), "hashAlgo": algorithm.name() })
            }
            Output::Deferred => json!({}),
            Output::Impure { method, algorithm } => {
                json!({ "method": method.name(), "hashAlgo": algorithm.name(), "impure": true })
            }
        }
    }
}

fn text(bytes: &BStr) -> Value {
    Value::from(bytes.to_string())
}
