//! The attributes of a derivation that say how it wants to be built, from its environment or its structured attributes.

use std::collections::{BTreeMap, BTreeSet};

use bstr::{BStr, BString, ByteSlice};
use serde_json::{Map, Value};
use zeval_model::Derivation;
use zeval_model::derivation::STRUCTURED_ATTRIBUTES;

use super::error::Malformed;

type Answer<T> = Result<T, Malformed>;

/// Where a derivation's attributes are.
pub enum Attributes<'a> {
    Environment(&'a BTreeMap<BString, BString>),
    Structured(Map<String, Value>),
}

impl<'a> Attributes<'a> {
    pub fn of(drv: &'a Derivation) -> Answer<Attributes<'a>> {
        let Some(text) = drv.env.get(BStr::new(STRUCTURED_ATTRIBUTES)) else {
            return Ok(Attributes::Environment(&drv.env));
        };
        match serde_json::from_slice(text) {
            Ok(Value::Object(attributes)) => Ok(Attributes::Structured(attributes)),
            Ok(_) => Err(Malformed::new("its `__json` is no object")),
            Err(error) => Err(Malformed::new(format!("its `__json` cannot be read: {error}"))),
        }
    }

    /// Whether the derivation itself sets this variable of the builder's environment.
    pub fn has_variable(&self, name: &BString) -> bool {
        match self {
            Attributes::Environment(env) => env.contains_key(name),
            Attributes::Structured(_) => false,
        }
    }

    /// A list of words.
    pub fn words(&self, name: &str) -> Answer<Option<Vec<String>>> {
        match self {
            Attributes::Environment(env) => {
                env.get(BStr::new(name)).map(|text| split(name, text)).transpose()
            }
            Attributes::Structured(attributes) => {
                attributes.get(name).map(|value| strings(name, value)).transpose()
            }
        }
    }

    /// A truth: `true`, or as a variable `1`.
    pub fn flag(&self, name: &str) -> bool {
        match self {
            Attributes::Environment(env) => env.get(BStr::new(name)).is_some_and(|value| value == "1"),
            Attributes::Structured(attributes) => attributes.get(name) == Some(&Value::Bool(true)),
        }
    }

    /// What may be referred to by which output, and how large it may be.
    pub fn checks(&self, output: &str) -> Answer<Checks> {
        match self {
            Attributes::Environment(_) => Ok(Checks {
                ignore_self: true,
                max_size: None,
                max_closure_size: None,
                allowed_references: self.words("allowedReferences")?,
                allowed_requisites: self.words("allowedRequisites")?,
                disallowed_references: self.words("disallowedReferences")?.unwrap_or_default(),
                disallowed_requisites: self.words("disallowedRequisites")?.unwrap_or_default(),
            }),
            Attributes::Structured(attributes) => {
                let checks = match attributes.get("outputChecks") {
                    None => return Ok(Checks::default()),
                    Some(Value::Object(all)) => all.get(output),
                    Some(_) => return Err(Malformed::attribute("outputChecks", "is no attribute set")),
                };
                match checks {
                    None => Ok(Checks::default()),
                    Some(Value::Object(checks)) => Checks::structured(checks),
                    Some(_) => {
                        Err(Malformed::attribute("outputChecks", "has a value that is no attribute set"))
                    }
                }
            }
        }
    }

    /// Whether references are not to be looked for in `output`.
    pub fn discards_references(&self, output: &str) -> bool {
        let Attributes::Structured(attributes) = self else { return false };
        let discarded = attributes.get("unsafeDiscardReferences").and_then(|outputs| outputs.get(output));
        discarded == Some(&Value::Bool(true))
    }

    /// The variables that come as the path of a file which holds the value.
    pub fn passed_as_file(&self) -> Answer<BTreeSet<String>> {
        match self {
            Attributes::Environment(_) => {
                Ok(self.words("passAsFile")?.unwrap_or_default().into_iter().collect())
            }
            Attributes::Structured(_) => Ok(BTreeSet::new()),
        }
    }

    /// By name of the file or JSON key, the paths whose closures the builder wants described.
    pub fn exported_graphs(&self) -> Answer<BTreeMap<String, BTreeSet<String>>> {
        const NAME: &str = "exportReferencesGraph";
        match self {
            Attributes::Environment(_) => {
                let words = self.words(NAME)?.unwrap_or_default();
                if words.len() % 2 != 0 {
                    return Err(Malformed::attribute(
                        NAME,
                        "has an odd number of words: it is a list of file names and paths",
                    ));
                }
                let mut graphs = BTreeMap::new();
                for pair in words.chunks_exact(2) {
                    if !is_file_name(&pair[0]) {
                        return Err(Malformed::attribute(
                            NAME,
                            format!("has the invalid file name '{}'", pair[0]),
                        ));
                    }
                    graphs.insert(pair[0].clone(), BTreeSet::from([pair[1].clone()]));
                }
                Ok(graphs)
            }
            Attributes::Structured(attributes) => {
                let Some(Value::Object(graphs)) = attributes.get(NAME) else { return Ok(BTreeMap::new()) };
                graphs
                    .iter()
                    .map(|(key, paths)| {
                        let mut flat = BTreeSet::new();
                        flatten(paths, &mut flat)?;
                        Ok((key.clone(), flat))
                    })
                    .collect()
            }
        }
    }
}

/// What is checked of an output once it is built. References are store paths or names of outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Whether an output may always be among its own requisites.
    pub ignore_self: bool,
    /// Bytes of the NAR.
    pub max_size: Option<u64>,
    /// Bytes of the NARs of the closure.
    pub max_closure_size: Option<u64>,
    pub allowed_references: Option<Vec<String>>,
    pub allowed_requisites: Option<Vec<String>>,
    pub disallowed_references: Vec<String>,
    pub disallowed_requisites: Vec<String>,
}

impl Checks {
    fn structured(checks: &Map<String, Value>) -> Answer<Checks> {
        let size = |name: &str| match checks.get(name) {
            None => Ok(None),
            Some(value) => {
                let bytes = value.as_u64();
                bytes.map(Some).ok_or_else(|| Malformed::attribute(name, "is no number of bytes"))
            }
        };
        let list = |name: &str| checks.get(name).map(|value| strings(name, value)).transpose();
        Ok(Checks {
            ignore_self: false,
            max_size: size("maxSize")?,
            max_closure_size: size("maxClosureSize")?,
            allowed_references: list("allowedReferences")?,
            allowed_requisites: list("allowedRequisites")?,
            disallowed_references: list("disallowedReferences")?.unwrap_or_default(),
            disallowed_requisites: list("disallowedRequisites")?.unwrap_or_default(),
        })
    }
}

fn split(name: &str, text: &BString) -> Answer<Vec<String>> {
    let words = text.split(|byte| b" \t\n\r".contains(byte)).filter(|word| !word.is_empty());
    words
        .map(|word| {
            word.to_str().map(str::to_owned).map_err(|_| Malformed::attribute(name, "is not valid UTF-8"))
        })
        .collect()
}

fn strings(name: &str, value: &Value) -> Answer<Vec<String>> {
    let list =
        value.as_array().and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    list.ok_or_else(|| Malformed::attribute(name, "is no list of strings"))
}

fn flatten(value: &Value, to: &mut BTreeSet<String>) -> Answer<()> {
    match value {
        Value::String(path) => {
            to.insert(path.clone());
            Ok(())
        }
        Value::Array(list) => list.iter().try_for_each(|item| flatten(item, to)),
        _ => Err(Malformed::attribute(
            "exportReferencesGraph",
            "has a value that is neither a path nor a list",
        )),
    }
}

/// `[A-Za-z_][A-Za-z0-9_.-]*`
fn is_file_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}
