//! Where the store is for the commands under Nix's names, as Nix's variables and addresses of stores say.
//!
//! Nix keeps store paths (`NIX_STORE_DIR`) and what it knows of them (`NIX_STATE_DIR`) in two folders. A store of zeval's is
//! one folder; with a link in it, the paths can be in the other.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use zeval_model::store_path::{DEFAULT_STORE_DIR, choose_store_dir, store_dir};

/// Takes the logical store from `NIX_STORE_DIR` (formerly `NIX_STORE`), before anything asks for it.
pub fn choose_logical_store() -> Result<(), String> {
    let named = ["NIX_STORE_DIR", "NIX_STORE"].iter().find_map(|name| std::env::var(name).ok());
    match named.filter(|path| !path.is_empty()) {
        Some(path) => choose_store_dir(&path).map(drop).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

/// The store of this user: where Nix's variables say, or zeval's own.
pub fn usual() -> Result<PathBuf, String> {
    if store_dir() != DEFAULT_STORE_DIR {
        let store = Path::new(store_dir());
        let state = std::env::var_os("NIX_STATE_DIR").filter(|path| !path.is_empty());
        let beside = || store.parent().unwrap_or(Path::new("/")).join("var/nix");
        return divided(&state.map_or_else(beside, PathBuf::from), store);
    }
    let folder = std::env::var_os("ZEVAL_STORE").map(PathBuf::from);
    folder
        .or_else(crate::store::default_folder)
        .ok_or_else(|| "no folder for the store is known: set HOME or ZEVAL_STORE".into())
}

/// The store of this machine that an address of Nix's means (`auto`, `local?root=DIR`, a folder's path), if it means one.
pub fn local(url: &str) -> Result<Option<PathBuf>, String> {
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let parameter = |wanted: &str| {
        let pairs = parameters.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| PathBuf::from(value)).next_back()
    };
    let root = match place.split_once("://") {
        Some(("local" | "unix", "")) => None,
        Some(("local" | "unix", folder)) => Some(PathBuf::from(folder)),
        Some(_) => return Ok(None),
        None if matches!(place, "auto" | "" | "local" | "daemon") => parameter("root"),
        None if place.contains('/') => Some(std::path::absolute(place).map_err(|error| error.to_string())?),
        None => return Ok(None),
    };
    let below = |folder: &str| root.as_ref().map(|root| root.join(folder));
    match (parameter("state").or(below("nix/var/nix")), parameter("real").or(below("nix/store"))) {
        (None, None) => usual().map(Some),
        _ if root.as_ref().is_some_and(|root| root.join("db.sqlite").exists()) => Ok(root),
        (Some(state), Some(paths)) => divided(&state, &paths).map(Some),
        (Some(state), None) => divided(&state, Path::new(store_dir())).map(Some),
        (None, Some(_)) => Err(format!("the address '{url}' gives `real` and neither `state` nor `root`")),
    }
}

/// A store with `state` in one folder and its paths in another; made if it is not there.
fn divided(state: &Path, paths: &Path) -> Result<PathBuf, String> {
    if state.join("db/db.sqlite").exists() {
        return Err(format!(
            "the store at '{}' is C++ Nix's, whose database is another: choose another folder for `NIX_STATE_DIR`",
            state.display()
        ));
    }
    let link = state.join("store");
    if fs::read_link(&link).is_ok_and(|target| target == paths) {
        return Ok(state.to_owned());
    }
    // The collector would take them for what a crash left behind.
    if !state.join("db.sqlite").exists()
        && fs::read_dir(paths).is_ok_and(|mut entries| entries.next().is_some())
    {
        return Err(format!(
            "the folder '{}' has files that no store of zeval's knows: choose another for `NIX_STORE_DIR`",
            paths.display()
        ));
    }
    let made = fs::create_dir_all(state.join("gcroots"))
        .and_then(|()| fs::create_dir_all(state.join("profiles")))
        .and_then(|()| symlink(paths, &link));
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(format!(
            "the store at '{}' has its paths elsewhere than in '{}'",
            state.display(),
            paths.display()
        )),
        Err(error) => Err(format!("cannot make the store at '{}': {error}", state.display())),
        Ok(()) => Ok(state.to_owned()),
    }
}
