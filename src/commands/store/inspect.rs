//! What is known of paths, and of the store.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use zeval_builder::store::{PathInfo, Store};
use zeval_model::StorePath;

use super::{Context, Result, human, named};
use crate::{cli::store::PathInfo as Arguments, diagnostic::Failed};

/// `zeval store path-info`
pub fn path_info(context: &Context, arguments: &Arguments) -> Result<()> {
    let store = context.store()?;
    let paths = match arguments.all {
        true => store.all_valid().map_err(Failed::other)?,
        false => named(&store, &arguments.paths, arguments.recursive)?,
    };
    // Another process may have collected some just now.
    let infos = store.infos(&paths).map_err(Failed::other)?;
    let closure_sizes = match arguments.closure_size {
        true => closure_sizes(&store, &infos)?,
        false => BTreeMap::new(),
    };
    if arguments.json {
        let all: serde_json::Map<String, Value> = infos
            .iter()
            .map(|(path, info)| (path.to_string(), as_json(info, closure_sizes.get(path).copied())))
            .collect();
        println!("{}", json!(all));
        return Ok(());
    }
    let size = |bytes: u64| match arguments.human_readable {
        true => human(bytes),
        false => bytes.to_string(),
    };
    for (path, info) in &infos {
        let mut line = path.to_string();
        if arguments.size {
            line.push_str(&format!("\t{:>12}", size(info.nar_size)));
        }
        if let Some(&bytes) = closure_sizes.get(path) {
            line.push_str(&format!("\t{:>12}", size(bytes)));
        }
        if arguments.sigs {
            let trust = info.ultimate.then_some("ultimate".to_owned());
            let address = info.content_address.map(|address| format!("ca:{address}"));
            let signatures = info.signatures.iter().map(ToString::to_string);
            let words: Vec<String> = trust.into_iter().chain(address).chain(signatures).collect();
            line.push_str(&format!("\t{}", words.join(" ")));
        }
        println!("{line}");
    }
    Ok(())
}

/// As `nix path-info --json` prints it.
pub fn as_json(info: &PathInfo, closure_size: Option<u64>) -> Value {
    let strings = |paths: &BTreeSet<StorePath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut object = json!({
        "ca": info.content_address.map(|address| address.to_string()),
        "deriver": info.deriver.as_ref().map(ToString::to_string),
        "narHash": info.nar_hash.to_sri(),
        "narSize": info.nar_size,
        "references": strings(&info.references),
        "registrationTime": info.registered,
        "signatures": info.signatures.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "storeDir": zeval_model::store_dir(),
        "ultimate": info.ultimate,
        "version": 1,
    });
    if let Some(size) = closure_size {
        object["closureSize"] = json!(size);
    }
    object
}

/// Reads each path of all closures once.
pub fn closure_sizes(
    store: &Store,
    infos: &BTreeMap<StorePath, PathInfo>,
) -> Result<BTreeMap<StorePath, u64>> {
    let all = store.closure(&infos.keys().cloned().collect()).map_err(Failed::other)?;
    let indices: BTreeMap<&StorePath, usize> = all.iter().zip(0..).collect();
    let mut nodes = Vec::with_capacity(all.len());
    let known = store.infos(&all).map_err(Failed::other)?;
    for path in &all {
        let Some(info) = known.get(path) else {
            return Err(Failed::other(format!("path '{path}' was removed just now")));
        };
        let references: Vec<usize> =
            info.references.iter().filter_map(|path| indices.get(path).copied()).collect();
        nodes.push((info.nar_size, references));
    }
    // Marks what was seen on behalf of which path, so that nothing is cleared between two.
    let mut seen_for = vec![usize::MAX; nodes.len()];
    let mut sizes = BTreeMap::new();
    for path in infos.keys() {
        let Some(&start) = indices.get(path) else { continue };
        let (mut size, mut pending) = (0, vec![start]);
        while let Some(index) = pending.pop() {
            if std::mem::replace(&mut seen_for[index], start) != start {
                size += nodes[index].0;
                pending.extend(&nodes[index].1);
            }
        }
        sizes.insert(path.clone(), size);
    }
    Ok(sizes)
}

/// `zeval store info`
pub fn info(context: &Context, json: bool) -> Result<()> {
    let store = context.store()?;
    let paths = store.all_valid().map_err(Failed::other)?;
    let mut bytes = 0;
    for info in store.infos(&paths).map_err(Failed::other)?.values() {
        bytes += info.nar_size;
    }
    let free = store.free_bytes().map_err(Failed::other)?;
    let layout = store.layout();
    if json {
        let info = json!({
            "store": zeval_model::store_dir(),
            "physical": layout.store(),
            "state": layout.state(),
            "paths": paths.len(),
            "narSize": bytes,
            "free": free,
            "version": env!("CARGO_PKG_VERSION"),
        });
        println!("{info}");
        return Ok(());
    }
    println!("logical store:  {}", zeval_model::store_dir());
    println!("its files:      {}", layout.store().display());
    println!("state:          {}", layout.state().display());
    println!("valid paths:    {}, {}", paths.len(), human(bytes));
    println!("free:           {}", human(free));
    Ok(())
}
