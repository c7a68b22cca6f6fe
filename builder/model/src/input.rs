//! The attributes of an input: the plain data that says what to fetch, or what was fetched.

use std::collections::BTreeMap;

use serde_json::Value;

/// One attribute of an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attr {
    String(String),
    /// A count or a time in seconds.
    Int(u64),
    Bool(bool),
}

/// The attributes of an input, by name. `type` says which kind of input it is.
pub type Attrs = BTreeMap<String, Attr>;

impl Attr {
    /// The same in JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Attr::String(text) => Value::from(text.as_str()),
            Attr::Int(number) => Value::from(*number),
            Attr::Bool(value) => Value::from(*value),
        }
    }

    /// The attribute that a JSON value stands for, if it can be one.
    pub fn from_json(value: &Value) -> Option<Attr> {
        match value {
            Value::String(text) => Some(Attr::String(text.clone())),
            Value::Bool(value) => Some(Attr::Bool(*value)),
            // As Nix reads them: what is not a whole number loses its fraction.
            Value::Number(number) => number
                .as_u64()
                .or_else(|| number.as_i64().map(|number| number as u64))
                .or_else(|| number.as_f64().map(|number| number as u64))
                .map(Attr::Int),
            _ => None,
        }
    }
}

impl From<&str> for Attr {
    fn from(text: &str) -> Attr {
        Attr::String(text.to_owned())
    }
}

impl From<String> for Attr {
    fn from(text: String) -> Attr {
        Attr::String(text)
    }
}

impl From<u64> for Attr {
    fn from(number: u64) -> Attr {
        Attr::Int(number)
    }
}

impl From<bool> for Attr {
    fn from(value: bool) -> Attr {
        Attr::Bool(value)
    }
}

/// Attributes as a JSON object.
pub fn to_json(attrs: &Attrs) -> Value {
    Value::Object(attrs.iter().map(|(name, attr)| (name.clone(), attr.to_json())).collect())
}
