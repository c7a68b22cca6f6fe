//! `zeval flake clone`, `archive` and `prefetch`: sources of flakes, fetched and copied.

use std::path::Path;

use serde_json::{Map, Value, json};
use zeval_evaluator::Failure;
use zeval_inputs::{
    FlakeRef, Input, InputError,
    lock::{Edge, LockFile, NodeId, ROOT},
    registry::UseRegistries,
};
use zeval_model::{StorePath, input::to_json};

use super::{Context, Result, print_json};
use crate::{
    cli::FlakeArgument,
    diagnostic::Failed,
    flakes::{Flakes, failed},
};

/// `zeval flake clone`
pub fn clone(context: &Context, flake: &FlakeArgument, folder: &Path) -> Result<()> {
    context.with_flake(flake, |_, flakes| {
        let reference = flakes.reference(&flake.reference)?;
        let fetcher = flakes.fetcher()?;
        let (input, _) = fetcher.resolve(&reference.input, UseRegistries::All).map_err(failed)?;
        fetcher.clone_to(&input, folder).map_err(failed)
    })
}

/// `zeval flake prefetch`
pub fn prefetch(context: &Context, flake: &FlakeArgument, link: Option<&Path>, json: bool) -> Result<()> {
    let (resolved, tree) = context.with_flake(flake, |_, flakes| {
        let reference = flakes.reference(&flake.reference)?;
        let fetched = flakes.fetcher()?.fetch(&reference.input, UseRegistries::All).map_err(failed)?;
        let folder = fetched.folder.unwrap_or(reference.folder);
        Ok((FlakeRef { input: fetched.resolved, folder: folder.clone() }, (fetched.tree, folder)))
    })?;
    let (tree, folder) = tree;
    let mut locked = FlakeRef { input: tree.input, folder };
    let hash = locked.input.nar_hash().map_err(Failed::other)?.map(|hash| hash.to_sri()).unwrap_or_default();
    if let Some(link) = link {
        context.store()?.add_root(link, &tree.store_path).map_err(Failed::other)?;
    }
    if !json {
        let shown = locked.shown();
        eprintln!("Downloaded '{shown}' to '{}' (hash '{hash}').", tree.store_path);
        return Ok(());
    }
    locked.input.attrs.remove("__final");
    // The hash stands by itself, and is no part of what pins most kinds of inputs.
    if !matches!(locked.input.kind(), "file" | "tarball")
        && resolved.input.text("narHash").ok().flatten().is_none()
    {
        locked.input.attrs.remove("narHash");
    }
    print_json(&json!({
        "storePath": tree.store_path.to_string(),
        "hash": hash,
        "original": to_json(&resolved.to_attrs()),
        "locked": to_json(&locked.to_attrs()),
    }));
    Ok(())
}

/// `zeval flake archive`
pub fn archive(context: &Context, flake: &FlakeArgument, dry_run: bool, json: bool) -> Result<()> {
    let value = context.with_flake(flake, |evaluator, flakes| {
        let reference = flakes.reference(&flake.reference)?;
        let locked = flakes.lock_copied(evaluator, &reference)?;
        let (root, _) = StorePath::split_absolute(&locked.flake.folder.to_string_lossy())
            .map_err(|error| failed(InputError::new(error.to_string())))?;
        if !dry_run {
            fetch_all(flakes, &locked.lock_file)?;
        }
        let inputs = inputs(flakes, &locked.lock_file, ROOT, dry_run)?;
        Ok(json!({ "path": root.to_string(), "inputs": inputs }))
    })?;
    if json {
        print_json(&value);
    }
    Ok(())
}

/// Fetches all that a lock file pins, several sources at once.
fn fetch_all(flakes: &Flakes, file: &LockFile) -> std::result::Result<(), Failure> {
    let edges = file.all_inputs().into_values();
    let sources = edges.filter_map(|edge| match edge {
        Edge::Node(node) => file.node(node).source.clone(),
        Edge::Follows(_) => None,
    });
    let wanted: Vec<(Input, UseRegistries)> = sources
        .map(|source| (source.locked.input, UseRegistries::No))
        .filter(|(input, _)| input.relative_path().is_none())
        .collect();
    for result in flakes.fetcher()?.fetch_all(&wanted) {
        result.map_err(failed)?;
    }
    Ok(())
}

/// Where the inputs of a node are, fetched unless only that is wanted.
fn inputs(
    flakes: &Flakes,
    file: &LockFile,
    node: NodeId,
    dry_run: bool,
) -> std::result::Result<Value, Failure> {
    let mut found = Map::new();
    for (name, edge) in &file.node(node).inputs {
        let Edge::Node(child) = edge else { continue };
        let Some(source) = &file.node(*child).source else { continue };
        let input = &source.locked.input;
        let mut entry = Map::new();
        if input.relative_path().is_none() {
            let path = match dry_run {
                true => input.store_path().map_err(failed)?,
                false => flakes.fetcher()?.fetch(input, UseRegistries::No).map_err(failed)?.tree.store_path,
            };
            entry.insert("path".to_owned(), path.to_string().into());
        }
        entry.insert("inputs".to_owned(), inputs(flakes, file, *child, dry_run)?);
        found.insert(name.clone(), Value::Object(entry));
    }
    Ok(Value::Object(found))
}
