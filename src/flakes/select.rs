//! Finding what is meant in the outputs of a flake: `.#hello` is `packages.SYSTEM.hello`, if there is one.

use bstr::ByteSlice;
use zeval_evaluator::{EvalError, Evaluator, Failure, Symbol, Value, View, position::PosId, suggest};

use super::Outputs;
use crate::evaluation::parse_path;

type Result<T> = std::result::Result<T, Failure>;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Search {
    /// Where, if nothing is said.
    pub defaults: Vec<String>,
    /// What may stand before what is said.
    pub prefixes: Vec<String>,
}

impl Search {
    /// Where commands look for what they build.
    pub fn packages(system: &str) -> Search {
        Search {
            defaults: vec![format!("packages.{system}.default"), format!("defaultPackage.{system}")],
            prefixes: vec![format!("packages.{system}."), format!("legacyPackages.{system}.")],
        }
    }

    /// The same, with a kind of output before.
    pub fn first(system: &str, kind: &str, old: &str) -> Search {
        let packages = Search::packages(system);
        let defaults = [format!("{kind}.{system}.default"), format!("{old}.{system}")];
        Search {
            defaults: defaults.into_iter().chain(packages.defaults).collect(),
            prefixes: [format!("{kind}.{system}.")].into_iter().chain(packages.prefixes).collect(),
        }
    }

    /// What is to be worked on: an environment that is made for that, or that of a package.
    pub fn environments(system: &str) -> Search {
        Search::first(system, "devShells", "devShell")
    }

    /// Templates, which are for every system.
    pub fn templates() -> Search {
        Search {
            defaults: vec!["templates.default".to_owned(), "defaultTemplate".to_owned()],
            prefixes: vec!["templates.".to_owned()],
        }
    }

    /// Unit tests, which are for every system.
    pub fn tests() -> Search {
        Search { defaults: vec!["tests".to_owned()], prefixes: vec!["tests.".to_owned()] }
    }

    /// The attribute paths to try.
    pub fn paths(&self, fragment: &str) -> Vec<String> {
        match fragment.strip_prefix('.') {
            Some(exact) => vec![exact.to_owned()],
            None if fragment.is_empty() => self.defaults.clone(),
            None => {
                let prefixed = self.prefixes.iter().map(|prefix| format!("{prefix}{fragment}"));
                prefixed.chain([fragment.to_owned()]).collect()
            }
        }
    }
}

/// What was found.
pub struct Selected {
    /// Its attribute path.
    pub attribute: String,
    /// Its value, evaluated or not.
    pub value: Value,
}

/// Finds the first of several attribute paths that is there. `flake` is for the error if none is.
pub fn select(evaluator: &mut Evaluator, outputs: Value, paths: &[String], flake: &str) -> Result<Selected> {
    let mut suggestions = Vec::new();
    for path in paths {
        match find(evaluator, outputs, path)? {
            Ok(value) => return Ok(Selected { attribute: path.clone(), value }),
            Err(near) => suggestions.extend(near),
        }
    }
    suggestions.dedup();
    let shown: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
    let shown = match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    };
    let message = format!("flake '{flake}' does not provide attribute {shown}");
    Err(EvalError::eval(PosId::NONE, message).suggest(suggestions))
}

/// The value at an attribute path, or the names that are near to the one that is not there.
fn find(
    evaluator: &mut Evaluator,
    outputs: Value,
    path: &str,
) -> Result<std::result::Result<Value, Vec<String>>> {
    let mut value = outputs;
    let names = parse_path(path)?;
    for (index, name) in names.iter().enumerate() {
        let View::Attrs(attrs) = evaluator.force(value)?.view() else {
            let message = format!("'{}' is not an attribute set", names[..index].join("."));
            return Err(EvalError::wrong_type(PosId::NONE, message));
        };
        match attrs.get(Symbol::intern(name.as_bytes())) {
            Some(member) => value = member,
            None => {
                let names = attrs.flatten(&mut evaluator.heap);
                let names = names.keys.symbols().iter().map(|symbol| symbol.text());
                return Ok(Err(suggest::closest(name.as_bytes().as_bstr(), names)));
            }
        }
    }
    Ok(Ok(value))
}

/// The names of the outputs of a derivation that are meant.
pub fn output_names(evaluator: &mut Evaluator, derivation: Value, outputs: &Outputs) -> Result<Vec<String>> {
    let attrs = evaluator.expect_attrs(derivation, PosId::NONE, "")?;
    let get = |name: &str| attrs.get(Symbol::intern(name.as_bytes()));
    match outputs {
        Outputs::Named(names) => Ok(names.clone()),
        Outputs::All => strings(evaluator, get("outputs")),
        Outputs::Default => {
            if let Some(specified) = get("outputSpecified") {
                let doing = "while evaluating the attribute 'outputSpecified'";
                let name = get("outputName").filter(|_| true);
                if evaluator.expect_bool(specified, PosId::NONE, doing)?
                    && let Some(name) = name
                {
                    return Ok(vec![string(evaluator, name)?]);
                }
            } else if let Some(meta) = get("meta") {
                let meta =
                    evaluator.expect_attrs(meta, PosId::NONE, "while evaluating the attribute 'meta'")?;
                let names = strings(evaluator, meta.get(Symbol::intern(b"outputsToInstall")))?;
                if !names.is_empty() {
                    return Ok(names);
                }
            }
            Ok(vec!["out".to_owned()])
        }
    }
}

/// A string, whatever it refers to.
pub fn string(evaluator: &mut Evaluator, value: Value) -> Result<String> {
    let text = evaluator.expect_string(value, PosId::NONE, "")?;
    Ok(text.bytes().to_str_lossy().into_owned())
}

fn strings(evaluator: &mut Evaluator, list: Option<Value>) -> Result<Vec<String>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let list = evaluator.expect_list(list, PosId::NONE, "")?;
    list.iter().map(|element| string(evaluator, element)).collect()
}
