//! What `nix-env` deals with: derivations of a set, of a manifest or of the store, and what they say of themselves.

use std::collections::BTreeMap;

use zeval_evaluator::{
    EvalError, Evaluator, Failure, Symbol, Value, View,
    eval::coerce::Coercion,
    position::PosId,
    text::version::{self, parse_derivation_name},
};
use zeval_model::StorePath;

use crate::derivations;

type Result<T> = std::result::Result<T, Failure>;

/// Outputs by name, with their paths if those were asked for.
pub type Outputs = BTreeMap<String, Option<StorePath>>;

/// A package.
#[derive(Clone)]
pub struct Package {
    /// The attributes that lead to it, apart by points.
    pub attribute: String,
    pub name: String,
    source: Source,
    /// What was set of its `meta`, over what it says itself.
    pub flags: BTreeMap<String, String>,
}

#[derive(Clone)]
enum Source {
    /// A derivation's set.
    Set(Value),
    /// A path in the store, or outputs of a derivation there.
    Stored { drv: Option<StorePath>, outputs: Outputs },
}

fn failed<T>(message: impl Into<String>) -> Result<T> {
    Err(EvalError::eval(PosId::NONE, message.into()))
}

impl Package {
    /// The package that a derivation's set is.
    pub fn of_set(evaluator: &mut Evaluator, attribute: String, set: Value) -> Result<Package> {
        let mut package =
            Package { attribute, name: String::new(), source: Source::Set(set), flags: BTreeMap::new() };
        package.name = match package.text(evaluator, "name")? {
            Some(name) => name,
            None => return failed("derivation name missing"),
        };
        Ok(package)
    }

    /// The package that a store path is, or a derivation in the store.
    pub fn stored(name: String, drv: Option<StorePath>, outputs: Outputs) -> Package {
        let source = Source::Stored { drv, outputs };
        Package { attribute: String::new(), name, source, flags: BTreeMap::new() }
    }

    fn get(&self, name: &str) -> Option<Value> {
        match self.source {
            Source::Set(set) => set.as_attrs()?.get(Symbol::intern(name.as_bytes())),
            Source::Stored { .. } => None,
        }
    }

    fn text(&self, evaluator: &mut Evaluator, name: &str) -> Result<Option<String>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let doing = format!("while evaluating the '{name}' attribute of a derivation");
        let text = evaluator.expect_string(value, PosId::NONE, &doing)?;
        Ok(Some(String::from_utf8_lossy(text.bytes()).into_owned()))
    }

    /// The name without its version, and the version.
    pub fn name_and_version(&self) -> (String, String) {
        split_name(&self.name)
    }

    /// What it is built on; empty if it does not say.
    pub fn system(&self, evaluator: &mut Evaluator) -> Result<String> {
        match self.source {
            Source::Set(_) => Ok(self.text(evaluator, "system")?.unwrap_or_default()),
            Source::Stored { .. } => Ok("unknown".to_owned()),
        }
    }

    /// The derivation, unless only its outputs are known.
    pub fn drv(&self, evaluator: &mut Evaluator) -> Result<Option<StorePath>> {
        match &self.source {
            Source::Stored { drv, .. } => Ok(drv.clone()),
            Source::Set(set) if self.get("drvPath").is_some() => {
                let path = derivations::drv_path(evaluator, *set)?;
                Ok(StorePath::from_absolute(&path).ok())
            }
            Source::Set(_) => Ok(None),
        }
    }

    /// The path of the output that it stands for.
    pub fn out_path(&self, evaluator: &mut Evaluator) -> Result<StorePath> {
        match &self.source {
            Source::Stored { outputs, .. } => match outputs.get("out").or(outputs.values().next()) {
                Some(Some(path)) => Ok(path.clone()),
                _ => failed(format!("the path of '{}' is not known before it is built", self.name)),
            },
            Source::Set(set) => path_of(evaluator, *set),
        }
    }

    /// The name of the output that it stands for.
    pub fn output_name(&self, evaluator: &mut Evaluator) -> Result<String> {
        Ok(self.text(evaluator, "outputName")?.unwrap_or_default())
    }

    /// Its outputs.
    pub fn outputs(&self, evaluator: &mut Evaluator, with_paths: bool) -> Result<Outputs> {
        if let Source::Stored { outputs, .. } = &self.source {
            return Ok(outputs.clone());
        }
        let Some(list) = self.get("outputs") else {
            let path = if with_paths { Some(self.out_path(evaluator)?) } else { None };
            return Ok(Outputs::from([("out".to_owned(), path)]));
        };
        let doing = "while evaluating the 'outputs' attribute of a derivation";
        let mut outputs = Outputs::new();
        for element in evaluator.expect_list(list, PosId::NONE, doing)?.iter() {
            let doing = "while evaluating the name of an output of a derivation";
            let name = evaluator.expect_string(element, PosId::NONE, doing)?;
            let name = String::from_utf8_lossy(name.bytes()).into_owned();
            if !with_paths {
                outputs.insert(name, None);
                continue;
            }
            let Some(output) = self.get(&name) else { continue };
            let doing = "while evaluating an output of a derivation";
            let set = evaluator.expect_attrs(output, PosId::NONE, doing)?;
            if set.get(Symbol::intern(b"outPath")).is_some() {
                let path = path_of(evaluator, output)?;
                outputs.insert(name, Some(path));
            }
        }
        Ok(outputs)
    }

    /// Those outputs that are to be installed, with their paths.
    pub fn installed_outputs(&self, evaluator: &mut Evaluator) -> Result<Outputs> {
        let outputs = self.outputs(evaluator, true)?;
        if matches!(self.source, Source::Stored { .. }) {
            return Ok(outputs);
        }
        let wanted: Vec<String> = match self.get("outputSpecified") {
            Some(value)
                if evaluator.expect_bool(
                    value,
                    PosId::NONE,
                    "while evaluating the 'outputSpecified' attribute of a derivation",
                )? =>
            {
                let name = self.output_name(evaluator)?;
                if !outputs.contains_key(&name) {
                    return failed(format!("derivation does not have output '{name}'"));
                }
                vec![name]
            }
            _ => {
                let Some(list) = self.meta(evaluator, "outputsToInstall")? else { return Ok(outputs) };
                let bad = || EvalError::eval(PosId::NONE, "this derivation has bad 'meta.outputsToInstall'");
                let View::List(list) = list.view() else { return Err(bad()) };
                let mut names = Vec::new();
                for element in list.iter() {
                    let element = evaluator.force(element)?;
                    let name = element.as_string().ok_or_else(bad)?;
                    names.push(String::from_utf8_lossy(name.bytes()).into_owned());
                }
                if names.iter().any(|name| !outputs.contains_key(name)) {
                    return Err(bad());
                }
                names
            }
        };
        Ok(outputs.into_iter().filter(|(name, _)| wanted.contains(name)).collect())
    }

    /// What it says of itself, by name: only what data can be.
    pub fn metas(&self, evaluator: &mut Evaluator) -> Result<BTreeMap<String, Option<Value>>> {
        let mut all = BTreeMap::new();
        if let Some(meta) = self.get("meta") {
            let doing = "while evaluating the 'meta' attribute of a derivation";
            let set = evaluator.expect_attrs(meta, PosId::NONE, doing)?;
            for (name, slot) in set.flatten(&mut evaluator.heap).sorted() {
                let value = data(evaluator, slot.get())?;
                all.insert(name.text().to_string(), value);
            }
        }
        for (name, text) in &self.flags {
            all.insert(name.clone(), Some(evaluator.heap.string(text.as_bytes())));
        }
        Ok(all)
    }

    /// One thing that it says of itself.
    pub fn meta(&self, evaluator: &mut Evaluator, name: &str) -> Result<Option<Value>> {
        if let Some(text) = self.flags.get(name) {
            return Ok(Some(evaluator.heap.string(text.as_bytes())));
        }
        let Some(meta) = self.get("meta") else { return Ok(None) };
        let doing = "while evaluating the 'meta' attribute of a derivation";
        let set = evaluator.expect_attrs(meta, PosId::NONE, doing)?;
        match set.get(Symbol::intern(name.as_bytes())) {
            Some(value) => data(evaluator, value),
            None => Ok(None),
        }
    }

    /// One thing that it says of itself, if that is a text.
    pub fn meta_text(&self, evaluator: &mut Evaluator, name: &str) -> Result<String> {
        let value = self.meta(evaluator, name)?;
        let text = value.and_then(|value| value.as_string());
        Ok(text.map(|text| String::from_utf8_lossy(text.bytes()).into_owned()).unwrap_or_default())
    }

    /// The lower number wins where files of two packages have the same place.
    pub fn priority(&self, evaluator: &mut Evaluator) -> Result<i64> {
        let Some(value) = self.meta(evaluator, "priority")? else { return Ok(0) };
        Ok(match value.view() {
            View::Int(number) => number,
            View::String(text) => String::from_utf8_lossy(text.bytes()).parse().unwrap_or(0),
            _ => 0,
        })
    }

    /// Whether it is to stay as it is.
    pub fn is_kept(&self, evaluator: &mut Evaluator) -> Result<bool> {
        let Some(value) = self.meta(evaluator, "keep")? else { return Ok(false) };
        Ok(match value.view() {
            View::Bool(keep) => keep,
            View::String(text) => text.bytes() == b"true",
            _ => false,
        })
    }
}

/// A value that is data all through; of anything else, nothing.
fn data(evaluator: &mut Evaluator, value: Value) -> Result<Option<Value>> {
    let value = evaluator.force(value)?;
    let parts: Vec<Value> = match value.view() {
        View::List(list) => list.iter().collect(),
        View::Attrs(set) if set.get(Symbol::intern(b"outPath")).is_some() => return Ok(None),
        View::Attrs(set) => {
            set.flatten(&mut evaluator.heap).sorted().into_iter().map(|(_, slot)| slot.get()).collect()
        }
        View::Int(_) | View::Bool(_) | View::String(_) | View::Float(_) => return Ok(Some(value)),
        _ => return Ok(None),
    };
    for part in parts {
        if data(evaluator, part)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(value))
}

fn path_of(evaluator: &mut Evaluator, set: Value) -> Result<StorePath> {
    let doing = "while evaluating the output path of a derivation";
    let attrs = evaluator.expect_attrs(set, PosId::NONE, doing)?;
    let value = attrs.get(Symbol::intern(b"outPath"));
    let Some(value) = value else { return failed("derivation does not have an 'outPath' attribute") };
    let text = evaluator.coerce(value, Coercion::APPENDED, &mut None, PosId::NONE, doing)?;
    let text = String::from_utf8_lossy(text).into_owned();
    StorePath::from_absolute(&text)
        .map_err(|_| EvalError::eval(PosId::NONE, format!("path '{text}' is not in the Nix store")))
}

/// `hello-2.12` apart.
pub fn split_name(name: &str) -> (String, String) {
    let (name, version) = parse_derivation_name(name.as_bytes());
    (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(version).into_owned())
}

/// Which of two versions is newer.
pub fn compare_versions(one: &str, other: &str) -> std::cmp::Ordering {
    version::compare(one.as_bytes(), other.as_bytes())
}
