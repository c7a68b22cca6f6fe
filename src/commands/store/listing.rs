//! Files in the store, by their logical paths.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Map, Value, json};
use zeval_builder::store::Store;

use super::{Context, Result, split};
use crate::{cli::store::Ls, diagnostic::Failed};

/// How a listing is to look.
pub struct Shape {
    pub long: bool,
    pub recursive: bool,
    pub json: bool,
    /// A folder as an entry, not what is in it.
    pub folder_itself: bool,
}

/// Whose listing it is: how entries are called, and errors told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A file by its path, entries by their names.
    Zeval,
    /// A file by its last name, entries from `./`.
    Nix,
}

/// `zeval store ls`
pub fn list(context: &Context, arguments: &Ls) -> Result<()> {
    let shape = Shape {
        long: arguments.long,
        recursive: arguments.recursive,
        json: arguments.json,
        folder_itself: false,
    };
    print(&*context.store()?, &arguments.path, &shape, Style::Zeval)
}

/// Lists what is at a path in the store.
pub fn print(store: &Store, path: &Path, shape: &Shape, style: Style) -> Result<()> {
    let (store_dir, below, physical) = locate(store, path)?;
    let failed = |error: io::Error| style.failed("list", &store_dir, &below, &error);
    if shape.json {
        let listing = as_json(&physical, shape.recursive, true).map_err(failed)?;
        println!("{listing}");
        return Ok(());
    }
    let name = match style {
        Style::Zeval => format!("{store_dir}{below}"),
        // A store path itself has no name in itself.
        Style::Nix => below.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let is_folder = fs::symlink_metadata(&physical).map_err(failed)?.is_dir();
    match is_folder {
        true if shape.folder_itself => print_entry(&physical, ".", shape).map_err(failed),
        true => print_folder(&physical, ".", shape, style).map_err(failed),
        false => print_entry(&physical, &name, shape).map_err(failed),
    }
}

/// `zeval store cat`
pub fn cat(context: &Context, path: &Path) -> Result<()> {
    print_file(&*context.store()?, path, Style::Zeval)
}

/// Prints a file in the store.
pub fn print_file(store: &Store, path: &Path, style: Style) -> Result<()> {
    let (store_dir, below, physical) = locate(store, path)?;
    let failed = |error: io::Error| style.failed("read", &store_dir, &below, &error);
    let found = fs::symlink_metadata(&physical).map_err(failed)?;
    if !found.is_file() {
        return Err(match style {
            Style::Zeval => Failed::other(format!("'{store_dir}{below}' is not a regular file")),
            Style::Nix => Failed::other(format!("path '{below}' is not a regular file")),
        });
    }
    let mut file = fs::File::open(&physical).map_err(failed)?;
    match io::copy(&mut file, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
        _ => Ok(()),
    }
}

/// The store path, what is below it, and where that is.
fn locate(store: &Store, path: &Path) -> Result<(String, String, std::path::PathBuf)> {
    let (path, below) = split(store, path)?;
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

impl Style {
    fn failed(self, action: &str, store_dir: &str, below: &str, error: &io::Error) -> Failed {
        match (self, error.kind()) {
            (Style::Nix, io::ErrorKind::NotFound) => {
                Failed::other(format!("path '{store_dir}{below}' does not exist"))
            }
            _ => Failed::other(format!("cannot {action} '{store_dir}{below}': {error}")),
        }
    }
}

fn print_folder(folder: &Path, shown: &str, shape: &Shape, style: Style) -> io::Result<()> {
    for name in entries(folder)? {
        let (path, shown) = (folder.join(&name), format!("{shown}/{name}"));
        let by_name = style == Style::Zeval && !shape.recursive;
        print_entry(&path, if by_name { &name } else { &shown }, shape)?;
        if shape.recursive && fs::symlink_metadata(&path)?.is_dir() {
            print_folder(&path, &shown, shape, style)?;
        }
    }
    Ok(())
}

fn print_entry(path: &Path, shown: &str, shape: &Shape) -> io::Result<()> {
    if !shape.long {
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
