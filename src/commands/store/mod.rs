//! `zeval store`: looking at the store and changing it.

mod archives;
mod collect;
pub mod depends;
pub mod differences;
mod draw;
pub mod inspect;
pub mod listing;
mod trust;

pub use trust::secret_key;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use zeval_builder::store::Store;
use zeval_model::{StorePath, store_dir};

use super::{Context, Result};
use crate::{
    cli::store::{Paths, Store as Arguments, StoreCommand},
    diagnostic::Failed,
};

/// Runs the command.
pub fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        StoreCommand::Add(arguments) => archives::add(context, arguments),
        StoreCommand::PathInfo(arguments) => inspect::path_info(context, arguments),
        StoreCommand::Ls(arguments) => listing::list(context, arguments),
        StoreCommand::Cat { path } => listing::cat(context, path),
        StoreCommand::Verify(arguments) => trust::verify(context, arguments),
        StoreCommand::Repair(arguments) => trust::repair(context, arguments),
        StoreCommand::Gc(arguments) => collect::gc(context, arguments),
        StoreCommand::Roots(arguments) => collect::roots(context, arguments),
        StoreCommand::Delete(arguments) => collect::delete(context, arguments),
        StoreCommand::WhyDepends(arguments) => depends::why_depends(context, arguments),
        StoreCommand::DiffClosures(arguments) => differences::diff_closures(context, arguments),
        StoreCommand::Graph(arguments) => draw::graph(context, arguments),
        StoreCommand::Dump { path } => archives::dump(context, path),
        StoreCommand::Restore { destination } => archives::restore(destination),
        StoreCommand::Export(paths) => archives::export(context, paths),
        StoreCommand::Import => archives::import(context),
        StoreCommand::Optimise { hard_links, json } => collect::optimise(context, *hard_links, *json),
        StoreCommand::Sign(arguments) => trust::sign(context, arguments),
        StoreCommand::GenerateKey { name, file } => trust::generate_key(name, file),
        StoreCommand::MakeContentAddressed { paths, json } => {
            archives::make_content_addressed(context, paths, *json)
        }
        StoreCommand::Info { json } => inspect::info(context, *json),
    }
}

/// The store path that a logical path, a physical one or a link to one names.
pub fn store_path(store: &Store, path: &Path) -> Result<StorePath> {
    Ok(split(store, path)?.0)
}

/// As [`store_path`], with what is below it: empty, or starting with a slash.
pub fn split(store: &Store, path: &Path) -> Result<(StorePath, String)> {
    let resolved = if path.starts_with(store_dir()) { path.to_owned() } else { logical(store, path)? };
    StorePath::split_absolute(&resolved.to_string_lossy()).map_err(Failed::other)
}

/// The logical path of a file in the physical store. Links are followed until they are in the store, and not there.
pub fn logical(store: &Store, given: &Path) -> Result<PathBuf> {
    let root = store.layout().store();
    let real_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let mut path = std::path::absolute(given).map_err(Failed::other)?;
    for _ in 0..32 {
        for root in [root, &real_root, Path::new(store_dir())] {
            if let Ok(below) = path.strip_prefix(root) {
                return Ok(Path::new(store_dir()).join(below));
            }
        }
        let name = path.file_name().map(ToOwned::to_owned);
        let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
        let (Some(name), Some(parent)) = (name, parent) else { break };
        path = parent.join(name);
        if path.starts_with(&real_root) {
            continue;
        }
        match std::fs::read_link(&path) {
            Ok(target) => path = parent.join(target),
            Err(error) if !path.exists() => {
                return Err(Failed::other(format!("cannot find '{}': {error}", given.display())));
            }
            Err(_) => break,
        }
    }
    Err(Failed::other(format!("'{}' is not in the store", given.display())))
}

/// The store paths that were named, all valid, with their closures if those were asked for.
fn named(store: &Store, paths: &[PathBuf], recursive: bool) -> Result<BTreeSet<StorePath>> {
    let mut found = BTreeSet::new();
    for path in paths {
        let path = store_path(store, path)?;
        if !store.is_valid(&path).map_err(Failed::other)? {
            return Err(Failed::other(format!("path '{path}' is not valid: it is not in this store")));
        }
        found.insert(path);
    }
    if recursive { store.closure(&found).map_err(Failed::other) } else { Ok(found) }
}

impl Paths {
    fn find(&self, store: &Store) -> Result<BTreeSet<StorePath>> {
        named(store, &self.paths, self.recursive)
    }
}

/// `1 path`, `2 paths`.
pub fn count_of(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A size for people: in binary units, with a decimal.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}
