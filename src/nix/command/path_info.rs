//! `nix path-info`

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _};

use serde_json::{Map, Value, json};
use zeval_builder::cache::Cache;
use zeval_builder::store::{PathInfo, references_first};
use zeval_model::{ContentMethod, StorePath};

use super::{
    super::outcome::{Outcome, usage},
    Call,
    known::{self, Descriptions},
};
use crate::commands::store::inspect::{as_json, closure_sizes};

pub fn run(call: &Call) -> Outcome<()> {
    let format = match (call.has("--json"), call.value("--json-format")) {
        (false, _) => None,
        (_, Some("1")) => Some(1),
        (_, Some("2")) => Some(2),
        (true, None) => {
            call.warn(
                "'--json' without '--json-format' is deprecated; please specify '--json-format 1' or '--json-format 2'. \
                 This will become an error in a future release.",
            );
            Some(1)
        }
        (_, Some(other)) => return usage(format!("invalid value '{other}' for '--json-format'")),
    };
    if let Some(cache) = known::cache(call)? {
        return of_cache(call, cache, format);
    }
    let store = call.store()?;
    let mut missing = Vec::new();
    let paths = match format {
        Some(_) if !call.has("--all") => {
            let mut paths = std::collections::BTreeSet::new();
            for path in call.named(&store)? {
                match store.is_valid(&path)? {
                    true => drop(paths.insert(path)),
                    false => missing.push(path),
                }
            }
            if call.has("-r") { store.closure(&paths)? } else { paths }
        }
        _ => call.paths(&store, call.has("-r"))?,
    };
    for path in &missing {
        call.say(format!("don't know how to build these paths:\n  {path}"));
    }
    let infos = store.infos(&paths)?;
    let order = references_first(&infos);
    let sizes = if call.has("-S") { closure_sizes(&store, &infos)? } else { BTreeMap::new() };
    match format {
        Some(version) => call.print_json(&all_as_json(version, &infos, &missing, &sizes, None)),
        None => table(call, &order, &infos, &sizes),
    }
    Ok(())
}

/// The same of a binary cache.
fn of_cache(call: &Call, cache: Cache, format: Option<u32>) -> Outcome<()> {
    let (described, named) = Descriptions::read(call, cache)?;
    let sizes = if call.has("-S") { described.closure_sizes() } else { BTreeMap::new() };
    let mut infos = described.infos();
    if !call.has("-r") {
        infos.retain(|path, _| named.contains(path));
    }
    match format {
        Some(version) => call.print_json(&all_as_json(version, &infos, &[], &sizes, Some(&described))),
        None => table(call, &references_first(&infos), &infos, &sizes),
    }
    Ok(())
}

fn table(
    call: &Call,
    order: &[StorePath],
    infos: &BTreeMap<StorePath, PathInfo>,
    sizes: &BTreeMap<StorePath, u64>,
) {
    let mut out = String::new();
    let has_columns = call.has("-s") || call.has("-S") || call.has("--sigs");
    let width = order.iter().map(|path| path.to_string().len()).max().filter(|_| has_columns).unwrap_or(0);
    let size = |bytes: u64| match call.has("-h") {
        true => aligned(bytes),
        false => format!("{bytes:>11}"),
    };
    for path in order {
        let info = &infos[path];
        let _ = write!(out, "{:width$}", path.to_string());
        if call.has("-s") {
            let _ = write!(out, "\t{}", size(info.nar_size));
        }
        if let Some(&bytes) = sizes.get(path) {
            let _ = write!(out, "\t{}", size(bytes));
        }
        if call.has("--sigs") {
            let mut words: Vec<String> = Vec::new();
            words.extend(info.ultimate.then(|| "ultimate".to_owned()));
            words.extend(info.content_address.map(|address| format!("ca:{address}")));
            words.extend(info.signatures.iter().map(ToString::to_string));
            let _ = write!(out, "\t{}", words.join(" "));
        }
        out.push('\n');
    }
    // Nobody reads on: that is no error of ours.
    let _ = std::io::stdout().write_all(out.as_bytes());
}

/// A size for people in a column.
fn aligned(bytes: u64) -> String {
    let text = crate::commands::store::human(bytes);
    format!("{text:>10}")
}

fn all_as_json(
    version: u32,
    infos: &BTreeMap<StorePath, PathInfo>,
    missing: &[StorePath],
    sizes: &BTreeMap<StorePath, u64>,
    described: Option<&Descriptions>,
) -> Value {
    let mut all = Map::new();
    let name = |path: &StorePath| if version == 1 { path.to_string() } else { path.base_name().to_owned() };
    for path in missing {
        all.insert(name(path), Value::Null);
    }
    for (path, info) in infos {
        let mut object = as_json(info, sizes.get(path).copied());
        if let Some(described) = described {
            described.extend(path, &mut object);
        }
        if version == 2 {
            object["ca"] = info.content_address.map_or(Value::Null, |address| {
                let method = match address.method {
                    ContentMethod::Nar => "nar",
                    ContentMethod::Flat => "flat",
                    ContentMethod::Text => "text",
                    ContentMethod::Git => "git",
                };
                json!({ "hash": address.hash.to_sri(), "method": method })
            });
            object["deriver"] = info.deriver.as_ref().map_or(Value::Null, |path| json!(path.base_name()));
            object["references"] = info.references.iter().map(StorePath::base_name).collect();
            object["version"] = json!(2);
        }
        all.insert(name(path), object);
    }
    match version {
        1 => Value::Object(all),
        _ => json!({ "info": all, "storeDir": zeval_model::store_dir(), "version": 2 }),
    }
}
