//! How two closures differ: packages by name, their versions and sizes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use zeval_builder::store::Store;
use zeval_model::StorePath;

use super::{Context, Result, human};
use crate::{cli::store::DiffClosures, diagnostic::Failed};

/// A change of size below this is not worth a line.
const NOTABLE: u64 = 8 * 1024;

/// What a closure has under one name.
#[derive(Default)]
struct Package {
    versions: BTreeSet<String>,
    bytes: u64,
}

/// `zeval store diff-closures`
pub fn diff_closures(context: &Context, arguments: &DiffClosures) -> Result<()> {
    let store = context.store()?;
    let path = |given| super::store_path(&store, given);
    print(&store, &path(&arguments.before)?, &path(&arguments.after)?, arguments.json)
}

/// Prints how the closures of two paths differ.
pub fn print(store: &Store, before: &StorePath, after: &StorePath, json: bool) -> Result<()> {
    print_with(store, before, after, json, "")
}

/// The same in words, with something in front of each line.
pub fn print_indented(store: &Store, before: &StorePath, after: &StorePath, indent: &str) -> Result<()> {
    print_with(store, before, after, false, indent)
}

fn print_with(store: &Store, before: &StorePath, after: &StorePath, json: bool, indent: &str) -> Result<()> {
    let packages = |path: &StorePath| {
        store.require(path).map_err(Failed::other)?;
        let closure = store.closure(&BTreeSet::from([path.clone()])).map_err(Failed::other)?;
        packages(store, &closure)
    };
    let (before, after) = (packages(before)?, packages(after)?);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = Package::default();
    let mut all = serde_json::Map::new();
    for name in names {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        let grown = i128::from(new.bytes) - i128::from(old.bytes);
        let is_notable = grown.unsigned_abs() >= u128::from(NOTABLE);
        if old.versions == new.versions && !is_notable {
            continue;
        }
        if json {
            let difference =
                json!({ "before": old.versions, "after": new.versions, "sizeDelta": grown as i64 });
            all.insert(name.clone(), difference);
            continue;
        }
        let mut parts = Vec::new();
        if old.versions != new.versions {
            parts.push(format!("{} → {}", versions(&old.versions), versions(&new.versions)));
        }
        if is_notable {
            let sign = if grown < 0 { '-' } else { '+' };
            parts.push(format!("{sign}{}", human(u64::try_from(grown.unsigned_abs()).unwrap_or(u64::MAX))));
        }
        println!("{indent}{name}: {}", parts.join(", "));
    }
    if json {
        println!("{}", json!(all));
    }
    Ok(())
}

fn versions(versions: &BTreeSet<String>) -> String {
    if versions.is_empty() {
        return "∅".to_owned();
    }
    let shown = |version: &String| if version.is_empty() { "ε".to_owned() } else { version.clone() };
    versions.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn packages(store: &Store, closure: &BTreeSet<StorePath>) -> Result<BTreeMap<String, Package>> {
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for path in closure {
        let bytes = store.require(path).map_err(Failed::other)?.nar_size;
        let (name, version) = split_name(path.name());
        let package = packages.entry(name).or_default();
        package.versions.insert(version);
        package.bytes += bytes;
    }
    Ok(packages)
}

/// Splits `foo-bar-1.2-dev` into `foo-bar` and `1.2`: the version starts with the first part that starts with a digit and
/// ends before an output's name, which tells nothing of the package.
fn split_name(name: &str) -> (String, String) {
    let parts: Vec<&str> = name.split('-').collect();
    let starts_with_digit = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
    let Some(start) = parts.iter().position(starts_with_digit).filter(|&start| start > 0) else {
        return (name.to_owned(), String::new());
    };
    let is_output = |part: &&str| part.len() > 1 && part.chars().all(|c| c.is_ascii_lowercase());
    let end = match parts.last().filter(|last| is_output(last)) {
        Some(_) if parts.len() > start + 1 => parts.len() - 1,
        _ => parts.len(),
    };
    (parts[..start].join("-"), parts[start..end].join("-"))
}

#[cfg(test)]
mod tests {
    use super::split_name;

    #[test]
    fn names_and_versions() {
        for (text, name, version) in [
            ("glibc-2.40-66", "glibc", "2.40-66"),
            ("openssl-3.0.1-dev", "openssl", "3.0.1"),
            ("source", "source", ""),
            ("gcc-wrapper-14", "gcc-wrapper", "14"),
        ] {
            assert_eq!(split_name(text), (name.to_owned(), version.to_owned()));
        }
    }
}
