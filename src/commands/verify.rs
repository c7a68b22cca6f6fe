//! `zeval verify`: compares what is built with the hashes recorded in the tree.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use zeval_builder::schedule::{Builder, DrvOutput};
use zeval_model::{Algorithm, ingest::hash_nar_of_path};

use super::{Context, Result, build_options};
use crate::{cli::Verify, diagnostic::Failed};

/// What is recorded of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recorded {
    /// The store path.
    path: String,
    /// The content address that the path is made from, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    /// SHA-256 of its NAR, as SRI.
    nar_hash: String,
    /// Bytes of its NAR.
    nar_size: u64,
}

/// By attribute (empty if the expression is a derivation itself) and output.
type Hashes = BTreeMap<String, BTreeMap<String, Recorded>>;

const HEADER: &str = "\
# Attribute, output, and then its path, its content address, and the SHA-256 and size of its NAR.
# Written by `zeval verify --record`, compared by `zeval verify`.
";

/// Runs the command: builds what is missing, hashes what is there anew, and compares.
pub fn run(context: &Context, arguments: &Verify) -> Result<()> {
    let file = hashes_file(arguments)?;
    let found = found(context, arguments)?;
    if arguments.record {
        // Selected attributes are recorded beside those that are.
        let others = !arguments.source.attributes.is_empty() && file.exists();
        let mut all = if others { read(&file)? } else { Hashes::new() };
        all.extend(found.clone());
        write(&file, &all)?;
        eprintln!("recorded {} hashes in {}", found.len(), file.display());
        return Ok(());
    }
    compare(&read(&file)?, &found, arguments)
}

fn hashes_file(arguments: &Verify) -> Result<PathBuf> {
    match (&arguments.hashes, &arguments.source.file) {
        (Some(file), _) => Ok(file.clone()),
        (None, Some(file)) => Ok(Path::new(file).with_extension("hashes.toml")),
        (None, None) => Err(Failed::other("say with --hashes which file records the hashes")),
    }
}

fn found(context: &Context, arguments: &Verify) -> Result<Hashes> {
    let store = context.store()?;
    let options = build_options(&arguments.options, &arguments.source.language.option)?;
    let targets = context.targets(&arguments.source, &store, &options)?;
    let wanted: Vec<DrvOutput> = targets.iter().map(|target| target.wanted.clone()).collect();
    let built = Builder::new(&store, options).build(&wanted, &*context.view, &context.cancellation)?;
    let mut found = Hashes::new();
    for (target, built) in targets.iter().zip(built) {
        let (hash, nar_size) =
            hash_nar_of_path(&store.physical(&built.path), Algorithm::Sha256).map_err(Failed::other)?;
        let info = store.require(&built.path).map_err(Failed::other)?;
        let recorded = Recorded {
            path: built.path.to_string(),
            ca: info.content_address.map(|address| address.to_string()),
            nar_hash: hash.to_sri(),
            nar_size,
        };
        found.entry(target.place()).or_default().insert(built.output, recorded);
    }
    Ok(found)
}

fn read(file: &Path) -> Result<Hashes> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failed::other(format!("cannot read '{}': {error}; `zeval verify --record` writes it", file.display()))
    })?;
    toml::from_str(&text).map_err(|error| Failed::other(format!("{}: {error}", file.display())))
}

fn write(file: &Path, hashes: &Hashes) -> Result<()> {
    let text = toml::to_string(hashes).map_err(Failed::other)?;
    fs::write(file, format!("{HEADER}{text}"))
        .map_err(|error| Failed::other(format!("cannot write '{}': {error}", file.display())))
}

/// Every output with its name for people.
fn outputs(hashes: &Hashes) -> BTreeMap<String, &Recorded> {
    let mut named = BTreeMap::new();
    for (attribute, outputs) in hashes {
        for (output, recorded) in outputs {
            let name = match attribute.is_empty() || attribute == output {
                true => output.clone(),
                false => format!("{attribute}.{output}"),
            };
            named.insert(name, recorded);
        }
    }
    named
}

fn compare(recorded: &Hashes, found: &Hashes, arguments: &Verify) -> Result<()> {
    let (recorded, found) = (outputs(recorded), outputs(found));
    let mut wrong = Vec::new();
    for (name, found) in &found {
        match recorded.get(name) {
            Some(recorded) if recorded == found => {}
            Some(recorded) => wrong.push(format!(
                "{name}:\n  recorded: {} {}\n  found:    {} {}",
                recorded.nar_hash, recorded.path, found.nar_hash, found.path
            )),
            None => wrong.push(format!("{name}: not recorded; found {} {}", found.nar_hash, found.path)),
        }
    }
    let partial = !arguments.source.attributes.is_empty();
    for name in recorded.keys().filter(|name| !partial && !found.contains_key(*name)) {
        wrong.push(format!("{name}: recorded, but the expression has no such output"));
    }
    if arguments.json {
        println!("{}", json!({ "compared": found.len(), "differences": wrong }));
    }
    if !wrong.is_empty() {
        return Err(Failed::other(format!("the outputs are not those recorded:\n{}", wrong.join("\n"))));
    }
    if !arguments.json {
        for (name, found) in found {
            println!("{name}: {} as recorded", found.nar_hash);
        }
    }
    Ok(())
}
