//! Registries: what short names of flakes stand for.

use std::path::Path;

use serde_json::{Value, json};
use zeval_model::input::to_json;

use crate::{Attr, Attrs, Input, InputError, Result, Settings, input::text};

/// Lookups after which a name is taken to lead in circles.
const MAX_LOOKUPS: usize = 100;

/// Which registries count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UseRegistries {
    /// None.
    No,
    /// All.
    All,
    /// Those that do not depend on the machine: for the inputs of a flake.
    Limited,
}

/// Who a registry belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The command line.
    Flag,
    /// The user.
    User,
    /// The machine.
    System,
    /// Everybody.
    Global,
}

/// What names stand for.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Who it belongs to.
    pub kind: Kind,
    /// The names.
    pub entries: Vec<Entry>,
}

/// What one name stands for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub from: Input,
    /// What it stands for.
    pub to: Input,
    /// The folder of the flake in it.
    pub folder: Option<String>,
    /// Whether it stands for the name without another branch or revision only.
    pub exact: bool,
}

impl Registry {
    /// An empty one.
    pub fn new(kind: Kind) -> Registry {
        Registry { kind, entries: Vec::new() }
    }

    /// Reads a file of version 2; one that is not there is empty, one that is malformed is warned of.
    pub fn read(settings: &Settings, path: &Path, kind: Kind) -> Registry {
        let Ok(text) = std::fs::read(path) else { return Registry::new(kind) };
        match parse(settings, &text, path) {
            Ok(entries) => Registry { kind, entries },
            Err(error) => {
                settings.warn(format!("cannot read flake registry '{}': {error}", path.display()));
                Registry::new(kind)
            }
        }
    }

    /// The same, where a malformed file is an error: it is to be changed, and nothing in it may be lost.
    pub fn read_or_fail(settings: &Settings, path: &Path, kind: Kind) -> Result<Registry> {
        let cannot = |error: &dyn std::fmt::Display| {
            InputError::new(format!("cannot read flake registry '{}': {error}", path.display()))
        };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Registry::new(kind)),
            Err(error) => return Err(cannot(&error)),
        };
        let entries = parse(settings, &text, path).map_err(|error| cannot(&error))?;
        Ok(Registry { kind, entries })
    }

    /// The text of its file.
    pub fn to_text(&self) -> String {
        let entries = self.entries.iter().map(|entry| {
            let mut to = entry.to.attrs.clone();
            to.extend(entry.folder.iter().map(|folder| ("dir".to_owned(), Attr::from(folder.as_str()))));
            let mut object = json!({ "from": to_json(&entry.from.attrs), "to": to_json(&to) });
            if entry.exact {
                object["exact"] = Value::Bool(true);
            }
            object
        });
        let registry = json!({ "version": 2, "flakes": entries.collect::<Vec<_>>() });
        format!("{registry:#}")
    }
}

fn parse(settings: &Settings, text: &[u8], path: &Path) -> Result<Vec<Entry>> {
    let malformed = |error: serde_json::Error| InputError::new(error.to_string());
    let json: Value = serde_json::from_slice(text).map_err(malformed)?;
    let version = json["version"].as_u64().unwrap_or(0);
    if version != 2 {
        let message = format!("flake registry '{}' has unsupported version {version}", path.display());
        return Err(InputError::new(message));
    }
    let entries = json["flakes"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let mut to = attrs(&entry["to"])?;
            let folder = text_of(&to, "dir")?;
            to.remove("dir");
            Ok(Entry {
                from: Input::from_attrs(settings, attrs(&entry["from"])?)?,
                to: Input::from_attrs(settings, to)?,
                folder,
                exact: entry["exact"].as_bool().unwrap_or(false),
            })
        })
        .collect()
}

fn text_of(attrs: &Attrs, name: &str) -> Result<Option<String>> {
    Ok(text(attrs, name)?.map(str::to_owned))
}

/// The attributes that a JSON object holds.
pub fn attrs(json: &Value) -> Result<Attrs> {
    let unsupported = || InputError::new("unsupported input attribute type in lock file");
    let object = json.as_object().ok_or_else(unsupported)?;
    object
        .iter()
        .map(|(name, value)| Ok((name.clone(), Attr::from_json(value).ok_or_else(unsupported)?)))
        .collect()
}

/// What an input stands for, and the folder of the flake in it if a registry names one.
pub fn resolve(
    registries: &[Registry],
    input: &Input,
    which: UseRegistries,
) -> Result<(Input, Option<String>)> {
    let mut found = (input.clone(), None);
    if which == UseRegistries::No {
        return Ok(found);
    }
    for _ in 0..MAX_LOOKUPS {
        match look_up(registries, &found.0, which)? {
            Some(next) => found = next,
            None if found.0.is_direct() => return Ok(found),
            None => {
                let message = format!("cannot find flake '{}' in the flake registries", found.0.shown());
                return Err(InputError::new(message));
            }
        }
    }
    Err(InputError::new(format!("cycle detected in flake registry for '{}'", found.0.shown())))
}

fn look_up(
    registries: &[Registry],
    input: &Input,
    which: UseRegistries,
) -> Result<Option<(Input, Option<String>)>> {
    let counts = |kind| which == UseRegistries::All || matches!(kind, Kind::Flag | Kind::Global);
    for entry in
        registries.iter().filter(|registry| counts(registry.kind)).flat_map(|registry| &registry.entries)
    {
        if entry.exact && entry.from == *input {
            return Ok(Some((entry.to.clone(), entry.folder.clone())));
        }
        if !entry.exact && entry.from.contains(input) {
            let reference = input.reference().filter(|_| entry.from.reference().is_none());
            let revision = match entry.from.revision()? {
                None => input.revision()?,
                Some(_) => None,
            };
            let to = entry.to.with_overrides(reference, revision.as_ref())?;
            return Ok(Some((to, entry.folder.clone())));
        }
    }
    Ok(None)
}
