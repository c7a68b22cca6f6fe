//! `zeval log`: prints what a build printed.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use zeval_builder::store::Store;
use zeval_model::{STORE_DIR, StorePath};

use super::{Context, Result};
use crate::{cli::Log, diagnostic::Failed};

/// Runs the command.
pub fn run(context: &Context, arguments: &Log) -> Result<()> {
    let store = context.store()?;
    let path = store_path(&store, &arguments.path)?;
    let drv = match path.is_derivation() {
        true => path.clone(),
        false => {
            let info = store.require(&path).map_err(Failed::other)?;
            info.deriver.ok_or_else(|| {
                Failed::other(format!("'{path}' was not built here, so there is no log of it"))
            })?
        }
    };
    match store.read_log(&drv).map_err(Failed::other)? {
        Some(text) => {
            let _ = std::io::stdout().write_all(&text);
            Ok(())
        }
        None => Err(Failed::other(format!(
            "there is no log of '{drv}': it was not built here, or printed nothing"
        ))),
    }
}

/// The store path that a logical path, a physical one or a link to one names.
fn store_path(store: &Store, path: &Path) -> Result<StorePath> {
    let resolved = if path.starts_with(STORE_DIR) {
        path.to_owned()
    } else {
        let real = path
            .canonicalize()
            .map_err(|error| Failed::other(format!("cannot find '{}': {error}", path.display())))?;
        let root =
            store.layout().store().canonicalize().unwrap_or_else(|_| store.layout().store().to_owned());
        match real.strip_prefix(root) {
            Ok(below) => PathBuf::from(STORE_DIR).join(below),
            Err(_) => return Err(Failed::other(format!("'{}' is not in the store", path.display()))),
        }
    };
    let (path, _) = StorePath::split_absolute(&resolved.to_string_lossy()).map_err(Failed::other)?;
    Ok(path)
}
