//! `zeval log`: prints what a build printed.

use std::{collections::BTreeSet, io::Write, path::Path, sync::Arc};

use zeval_builder::store::Store;
use zeval_model::{StorePath, store_dir};

use super::{Context, Result, store::store_path};
use crate::{
    cli::{Log, Source},
    diagnostic::Failed,
};

/// Runs the command.
pub fn run(context: &Context, arguments: &Log) -> Result<()> {
    let store = context.store()?;
    for drv in derivations(context, &store, &arguments.path)? {
        print(&store, &drv)?;
    }
    Ok(())
}

/// The derivations whose logs are meant.
fn derivations(context: &Context, store: &Arc<Store>, path: &Path) -> Result<BTreeSet<StorePath>> {
    let is_expression = path.extension().is_some_and(|ending| ending == "zx" || ending == "nix");
    if is_expression && !path.starts_with(store_dir()) {
        let source = Source { file: Some(path.into()), ..Source::default() };
        let targets = context.targets(&source, store, &Default::default())?;
        return Ok(targets.into_iter().map(|target| target.wanted.drv).collect());
    }
    if let Some(drv) = by_name(store, path)? {
        return Ok(BTreeSet::from([drv]));
    }
    let path = store_path(store, path)?;
    if path.is_derivation() {
        return Ok(BTreeSet::from([path]));
    }
    let deriver = store.require(&path).map_err(Failed::other)?.deriver;
    let none = || Failed::other(format!("'{path}' was not built here, so there is no log of it"));
    Ok(BTreeSet::from([deriver.ok_or_else(none)?]))
}

/// The last build of that name, if it is a name and no file.
fn by_name(store: &Store, path: &Path) -> Result<Option<StorePath>> {
    let Some(name) = path.to_str().filter(|name| !name.contains('/') && !path.exists()) else {
        return Ok(None);
    };
    match store.latest_log(name).map_err(Failed::other)? {
        Some(drv) => Ok(Some(drv)),
        None => {
            Err(Failed::other(format!("there is no file '{name}', and nothing of that name was built here")))
        }
    }
}

fn print(store: &Store, drv: &StorePath) -> Result<()> {
    match store.read_log(drv).map_err(Failed::other)? {
        Some(text) => {
            // Nobody reads on: that is no error of ours.
            let _ = std::io::stdout().write_all(&text);
            Ok(())
        }
        None => Err(Failed::other(format!(
            "there is no log of '{drv}': it was not built here, or printed nothing"
        ))),
    }
}
