//! Files in the store, by their logical paths.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Map, Value, json};

use super::{Context, Result, split};
use crate::{cli::store::Ls, diagnostic::Failed};

/// `zeval store ls`
pub fn list(context: &Context, arguments: &Ls) -> Result<()> {
    let (store_dir, below, physical) = locate(context, &arguments.path)?;
    let failed = |error: io::Error| Failed::other(format!("cannot list '{store_dir}{below}': {error}"));
    if arguments.json {
        let listing = as_json(&physical, arguments.recursive, true).map_err(failed)?;
        println!("{listing}");
        return Ok(());
    }
    let is_folder = fs::symlink_metadata(&physical).map_err(failed)?.is_dir();
    match is_folder {
        true => print_folder(&physical, ".", arguments).map_err(failed),
        false => print_entry(&physical, &format!("{store_dir}{below}"), arguments).map_err(failed),
    }
}

/// `zeval store cat`
pub fn cat(context: &Context, path: &Path) -> Result<()> {
    let (store_dir, below, physical) = locate(context, path)?;
    let failed = |error: io::Error| Failed::other(format!("cannot read '{store_dir}{below}': {error}"));
    let found = fs::symlink_metadata(&physical).map_err(failed)?;
    if !found.is_file() {
        return Err(Failed::other(format!("'{store_dir}{below}' is not a regular file")));
    }
    let mut file = fs::File::open(&physical).map_err(failed)?;
    match io::copy(&mut file, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
        _ => Ok(()),
    }
}

/// The store path, what is below it, and where that is.
fn locate(context: &Context, path: &Path) -> Result<(String, String, std::path::PathBuf)> {
    let store = context.store()?;
    let (path, below) = split(&store, path)?;
    store.require(&path).map_err(Failed::other)?;
    let mut physical = store.physical(&path);
    // A link within the path must not lead out of it.
    for component in below.split('/').filter(|component| !component.is_empty()) {
        if fs::symlink_metadata(&physical).is_ok_and(|found| found.is_symlink()) {
            let link = physical.display();
            return Err(Failed::other(format!("'{link}' is a symbolic link: name what it points to")));
        }
        physical.push(component);
    }
    Ok((path.to_string(), below, physical))
}

fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn print_folder(folder: &Path, shown: &str, arguments: &Ls) -> io::Result<()> {
    for name in entries(folder)? {
        let (path, shown) = (folder.join(&name), format!("{shown}/{name}"));
        print_entry(&path, if arguments.recursive { &shown } else { &name }, arguments)?;
        if arguments.recursive && fs::symlink_metadata(&path)?.is_dir() {
            print_folder(&path, &shown, arguments)?;
        }
    }
    Ok(())
}

fn print_entry(path: &Path, shown: &str, arguments: &Ls) -> io::Result<()> {
    if !arguments.long {
        println!("{shown}");
        return Ok(());
    }
    let found = fs::symlink_metadata(path)?;
    let is_executable = found.permissions().mode() & 0o111 != 0;
    let (mode, size) = match (found.is_dir(), found.is_symlink(), is_executable) {
        (true, ..) => ("dr-xr-xr-x", 0),
        (_, true, _) => ("lrwxrwxrwx", 0),
        (.., true) => ("-r-xr-xr-x", found.len()),
        _ => ("-r--r--r--", found.len()),
    };
    let target = match found.is_symlink() {
        true => format!(" -> {}", fs::read_link(path)?.display()),
        false => String::new(),
    };
    println!("{mode} {size:>20} {shown}{target}");
    Ok(())
}

/// As `nix store ls --json`; without `recursive`, folders below the first are empty.
fn as_json(path: &Path, recursive: bool, is_top: bool) -> io::Result<Value> {
    let found = fs::symlink_metadata(path)?;
    if found.is_dir() {
        let mut listed = Map::new();
        for name in entries(path)? {
            let entry = match recursive || is_top {
                true if recursive => as_json(&path.join(&name), true, false)?,
                _ => json!({}),
            };
            listed.insert(name, entry);
        }
        return Ok(json!({ "type": "directory", "entries": listed }));
    }
    if found.is_symlink() {
        return Ok(json!({ "type": "symlink", "target": fs::read_link(path)?.to_string_lossy() }));
    }
    let mut file = json!({ "type": "regular", "size": found.len() });
    if found.permissions().mode() & 0o111 != 0 {
        file["executable"] = json!(true);
    }
    Ok(file)
}
