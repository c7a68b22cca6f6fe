//! The manifest of a profile of `nix profile`: what was added, from where, and which store paths that gave.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use bstr::BString;
use serde_json::{Map, Value, json};
use zeval_builder::{
    builtin::Request,
    cancel::Cancellation,
    events::{ActivityId, Silent},
    store::{Store, canonicalise},
    user_environment,
};
use zeval_evaluator::text::version::parse_derivation_name;
use zeval_model::StorePath;

use super::super::super::{
    outcome::{Outcome, Stop, fail},
    place,
};
use crate::flakes::Outputs;

/// The version of the format that is written.
const VERSION: u64 = 3;
/// The priority of what says none: of two equal files that of the lower number is taken.
pub const PRIORITY: i64 = 5;

/// Where an element came from, to be looked at again for an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As it was given.
    pub original: String,
    /// What that stood for.
    pub locked: String,
    pub attribute: String,
    pub outputs: Outputs,
}

/// What one command added.
#[derive(Clone, Debug)]
pub struct Element {
    pub paths: BTreeSet<StorePath>,
    pub source: Option<Source>,
    pub active: bool,
    pub priority: i64,
}

/// The elements by their names.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    pub elements: BTreeMap<String, Element>,
}

/// `^dev,lib`
pub fn shown(outputs: &Outputs) -> String {
    match outputs {
        Outputs::Default => String::new(),
        Outputs::All => "^*".to_owned(),
        Outputs::Named(names) => {
            let mut names = names.clone();
            names.sort();
            format!("^{}", names.join(","))
        }
    }
}

impl Element {
    /// How messages name it.
    pub fn identifier(&self) -> String {
        match &self.source {
            Some(source) => format!("{}#{}{}", source.original, source.attribute, shown(&source.outputs)),
            None => self.paths.iter().map(|path| split(path.name()).0).collect::<Vec<_>>().join(", "),
        }
    }

    /// The versions of its paths.
    pub fn versions(&self) -> String {
        let versions: BTreeSet<String> = self.paths.iter().map(|path| split(path.name()).1).collect();
        versions.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// The operand that would add it again.
    pub fn installable(&self) -> String {
        match &self.source {
            Some(_) => self.identifier(),
            None => self.paths.iter().map(StorePath::to_string).collect::<Vec<_>>().join(" "),
        }
    }

    /// The name that it gets, unless another has it.
    fn name(&self) -> String {
        let from_source =
            self.source.as_ref().and_then(|source| name_of(&source.original, &source.attribute));
        from_source.unwrap_or_else(|| self.identifier())
    }

    fn to_json(&self) -> Value {
        let mut json = json!({
            "active": self.active,
            "priority": self.priority,
            "storePaths": self.paths.iter().map(StorePath::to_string).collect::<Vec<_>>(),
        });
        if let Some(source) = &self.source {
            json["originalUrl"] = json!(source.original);
            json["url"] = json!(source.locked);
            json["attrPath"] = json!(source.attribute);
            json["outputs"] = match &source.outputs {
                Outputs::Default => Value::Null,
                Outputs::All => json!(["*"]),
                Outputs::Named(names) => json!(names.iter().collect::<BTreeSet<_>>()),
            };
        }
        json
    }

    fn from_json(json: &Value) -> Option<Element> {
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let paths = json.get("storePaths")?.as_array()?.iter();
        let paths = paths.map(|path| StorePath::from_absolute(path.as_str()?).ok()).collect::<Option<_>>()?;
        let outputs = match json.get("outputs").and_then(Value::as_array) {
            None => Outputs::Default,
            Some(names) if names.iter().any(|name| name == "*") => Outputs::All,
            Some(names) => {
                Outputs::Named(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
        };
        let (original, locked) = (text("originalUrl").or(text("originalUri")), text("url").or(text("uri")));
        let source = match (original, locked, text("attrPath")) {
            (Some(original), Some(locked), Some(attribute)) if !locked.is_empty() => {
                Some(Source { original, locked, attribute, outputs })
            }
            _ => None,
        };
        let active = json.get("active").and_then(Value::as_bool).unwrap_or(true);
        let priority = json.get("priority").and_then(Value::as_i64).unwrap_or(PRIORITY);
        Some(Element { paths, source, active, priority })
    }
}

/// The name of a store path without its version, and the version.
fn split(name: &str) -> (String, String) {
    let (name, version) = parse_derivation_name(name.as_bytes());
    (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(version).into_owned())
}

/// A name for what is at an attribute of a flake.
fn name_of(reference: &str, attribute: &str) -> Option<String> {
    let (address, query) = reference.split_once('?').unwrap_or((reference, ""));
    if let Some(folder) = query.split('&').find_map(|part| part.strip_prefix("dir=")) {
        return Some(folder.to_owned());
    }
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let last = attribute.rsplit('.').next().unwrap_or_default();
    if attribute.split('.').all(is_name) && last != "default" && !attribute.starts_with("defaultPackage.") {
        return Some(last.to_owned());
    }
    let (scheme, path) = address.split_once(':').unwrap_or(("", address));
    if ["github", "gitlab", "sourcehut"].contains(&scheme) {
        return path.split('/').nth(1).map(str::to_owned);
    }
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = if scheme.starts_with("git") { last.trim_end_matches(".git") } else { last };
    is_name(&last.replace('.', "-")).then(|| last.to_owned())
}

impl Manifest {
    /// The manifest in the folder of a generation, whose store is given; nothing is in a profile that is not there.
    pub fn read(store: &Store, folder: &Path) -> Outcome<Manifest> {
        let file = folder.join("manifest.json");
        let Ok(text) = fs::read(&file) else { return Manifest::of_older_command(store, folder) };
        let json: Value = serde_json::from_slice(&text).map_err(Stop::of)?;
        let unreadable = || Stop::of(format!("the profile manifest \"{}\" makes no sense", file.display()));
        match json.get("version").and_then(Value::as_u64) {
            Some(1..=VERSION) => {}
            Some(version) => {
                let file = file.display();
                return fail(format!("profile manifest \"{file}\" has unsupported version {version}"));
            }
            None => return Err(unreadable()),
        }
        let mut manifest = Manifest::default();
        match json.get("elements") {
            Some(Value::Object(elements)) => {
                for (name, element) in elements {
                    manifest
                        .elements
                        .insert(name.clone(), Element::from_json(element).ok_or_else(unreadable)?);
                }
            }
            // Before they had names.
            Some(Value::Array(elements)) => {
                for element in elements {
                    manifest.add(Element::from_json(element).ok_or_else(unreadable)?);
                }
            }
            _ => return Err(unreadable()),
        }
        Ok(manifest)
    }

    /// What `nix-env` installed: each of the paths that the manifest in the store refers to.
    fn of_older_command(store: &Store, folder: &Path) -> Outcome<Manifest> {
        let mut manifest = Manifest::default();
        let Ok(link) = fs::read_link(folder.join("manifest.nix")) else { return Ok(manifest) };
        let path = place::store_path(store, link.as_os_str())?;
        for path in store.require(&path)?.references {
            if !path.is_derivation() {
                let paths = BTreeSet::from([path]);
                manifest.add(Element { paths, source: None, active: true, priority: PRIORITY });
            }
        }
        Ok(manifest)
    }

    /// Adds an element under a name that is free, and gives that.
    pub fn add(&mut self, element: Element) -> String {
        let wanted = element.name();
        let mut name = wanted.clone();
        let mut number = 1;
        while self.elements.contains_key(&name) {
            name = format!("{wanted}-{number}");
            number += 1;
        }
        self.elements.insert(name.clone(), element);
        name
    }

    /// What `manifest.json` holds.
    pub fn to_json(&self) -> Value {
        let elements: Map<String, Value> =
            self.elements.iter().map(|(name, element)| (name.clone(), element.to_json())).collect();
        json!({ "elements": elements, "version": VERSION })
    }

    /// Makes the tree of links to all that is in it, in the store.
    pub fn build(&self, store: &Store) -> Result<StorePath, Unbuildable> {
        let mut words = String::new();
        let mut references = BTreeSet::new();
        for element in self.elements.values() {
            for path in &element.paths {
                words.push_str(&format!("{} {} 1 {path} ", element.active, element.priority));
                references.insert(path.clone());
            }
        }
        let scratch = store.temporary_folder().map_err(Stop::of)?;
        let output = scratch.path().join("profile");
        let variables = BTreeMap::from([(BString::from("derivations"), BString::from(words))]);
        user_environment::run(&Request {
            id: ActivityId::fresh(),
            name: "profile",
            env: &variables,
            output: &output,
            store_dir: store.layout().store(),
            scratch: scratch.path(),
            observer: &Silent,
            cancellation: &Cancellation::new(),
        })?;
        fs::write(output.join("manifest.json"), self.to_json().to_string()).map_err(Stop::of)?;
        canonicalise(&output).map_err(Stop::of)?;
        Ok(store.adopt_referring("profile", &output, references).map_err(Stop::of)?)
    }
}

/// Why no tree could be made.
pub enum Unbuildable {
    Tree(user_environment::Error),
    Other(Stop),
}

impl From<user_environment::Error> for Unbuildable {
    fn from(error: user_environment::Error) -> Unbuildable {
        Unbuildable::Tree(error)
    }
}

impl From<Stop> for Unbuildable {
    fn from(stop: Stop) -> Unbuildable {
        Unbuildable::Other(stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_what_tells_most() {
        for (reference, attribute, name) in [
            ("path:/tmp/flake", "packages.x86_64-linux.hello", Some("hello")),
            ("path:/tmp/flake", "packages.x86_64-linux.default", Some("flake")),
            ("github:owner/repo/branch", "packages.x86_64-linux.default", Some("repo")),
            ("github:owner/repo?dir=sub", "packages.x86_64-linux.hello", Some("sub")),
            ("git+file:///home/me/project.git", "defaultPackage.x86_64-linux", Some("project")),
        ] {
            assert_eq!(name_of(reference, attribute).as_deref(), name, "{reference}#{attribute}");
        }
    }
}
