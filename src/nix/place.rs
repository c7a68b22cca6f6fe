//! What the words of a command line name: store paths, links to them, derivations and their outputs.

use std::{collections::BTreeSet, ffi::OsStr, path::Path, sync::Arc};

use zeval_builder::store::Store;
use zeval_model::{StorePath, store_dir};

use super::{
    flags::Common,
    outcome::{Outcome, Stop, fail},
    realise::Wanted,
    store::NixStore,
};
use crate::commands::store::logical;

/// Opens the store that the flags and the environment name.
pub fn open(common: &Common) -> Outcome<Arc<Store>> {
    let store = NixStore::new(common, common.read_only).map_err(Stop::of)?;
    Ok(Arc::clone(&store.open()?.store))
}

/// The store path that a word names: the path itself, a file below it, or a link to it.
pub fn store_path(store: &Store, word: &OsStr) -> Outcome<StorePath> {
    let path = Path::new(word);
    let found = match path.starts_with(store_dir()) {
        true => Some(path.to_owned()),
        false => logical(store, path).ok(),
    };
    let found = found.filter(|found| found != Path::new(store_dir()));
    let Some(found) = found else {
        let absolute = std::path::absolute(path)?;
        return fail(format!("path \"{}\" is not in the Nix store", absolute.display()));
    };
    Ok(StorePath::split_absolute(&found.to_string_lossy())?.0)
}

/// As [`store_path`], where a derivation may be followed by `!` and names of outputs.
pub fn wanted(store: &Store, word: &OsStr) -> Outcome<Wanted> {
    let text = word.to_string_lossy();
    let (path, chosen) = match text.split_once('!') {
        Some((path, outputs)) => (path.to_owned(), Some(outputs.to_owned())),
        None => (text.into_owned(), None),
    };
    let path = store_path(store, path.as_ref())?;
    if !path.is_derivation() {
        return Ok(Wanted::Path(path));
    }
    if !store.is_valid(&path)? {
        return fail(format!("path '{path}' is not valid"));
    }
    let outputs: BTreeSet<String> = match chosen.as_deref() {
        None | Some("*") => store.derivation(&path)?.outputs.into_keys().collect(),
        Some(chosen) => chosen.split(',').map(str::to_owned).collect(),
    };
    Ok(Wanted::Outputs { drv: path, outputs })
}
