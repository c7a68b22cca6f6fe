//! References that are paths: `.`, `./sub#attr`, `/a/b?dir=c`.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{FlakeRef, Reading, from_url};
use crate::{
    InputError, Result, Settings,
    url::{Authority, Url, decode_query, path_segments, percent_decode},
};

/// The files that make a folder a flake, in the order in which they are looked for.
pub const FLAKE_FILES: [&str; 2] = ["flake.zx", "flake.nix"];

fn is_flake(folder: &Path) -> bool {
    FLAKE_FILES.iter().any(|file| folder.join(file).symlink_metadata().is_ok())
}

/// Reads a reference that is a path.
pub(super) fn parse(settings: &Settings, text: &str, reading: Reading<'_>) -> Result<(FlakeRef, String)> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = decode_query(query, true, &mut |message| settings.warn(message))?;
    let fragment = percent_decode(fragment)?;
    let mut path = path.to_owned();
    if let Some(base) = reading.base {
        path = absolute(&path, base);
        if reading.is_flake {
            let folder = flake_folder(settings, Path::new(&path), reading.allow_missing)?;
            if let Some(mut url) = in_repository(&folder, text, &query)? {
                url.fragment = fragment;
                return from_url(settings, url, true);
            }
            path = folder.to_string_lossy().into_owned();
        }
    } else if !reading.keep_relative && !path.starts_with('/') {
        let message = format!("flake reference '{text}' is not an absolute path");
        return Err(InputError::bad_url(message));
    }
    let authority = path.starts_with('/').then(Authority::default);
    let url = Url { scheme: "path".to_owned(), authority, path: path_segments(&path), query, fragment };
    from_url(settings, url, reading.is_flake)
}

/// A path from `base` on, without `.` and `..`, links followed.
pub(super) fn absolute(path: &str, base: &Path) -> String {
    let joined = base.join(path);
    let resolved = joined.canonicalize().unwrap_or_else(|_| clean(&joined));
    resolved.to_string_lossy().into_owned()
}

/// An absolute path without `.` and `..`.
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// The folder of the flake that a path is in.
fn flake_folder(settings: &Settings, path: &Path, allow_missing: bool) -> Result<PathBuf> {
    let metadata = path.symlink_metadata().map_err(|error| {
        InputError::new(match error.kind() {
            std::io::ErrorKind::NotFound => format!("path '{}' does not exist", path.display()),
            _ => format!("cannot look at '{}': {error}", path.display()),
        })
    })?;
    let mut path = path.to_owned();
    if !metadata.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !FLAKE_FILES.contains(&name.as_str()) {
            return Err(InputError::bad_url(format!(
                "path \"{}\" is not a flake (because it's not a directory)",
                path.display()
            )));
        }
        let parent = path.parent().unwrap_or(Path::new("/")).to_owned();
        settings.warn(format!(
            "Path \"{}\" should point at the directory containing the '{name}' file, not the file itself. Pretending \
             that you meant \"{}\"",
            path.display(),
            parent.display()
        ));
        path = parent;
    }
    if allow_missing || is_flake(&path) {
        return Ok(path);
    }
    settings.warn(format!("path \"{}\" does not contain a 'flake.nix', searching up", path.display()));
    search_up(&path)
}

fn search_up(start: &Path) -> Result<PathBuf> {
    let device = |path: &Path| path.symlink_metadata().map(|metadata| metadata.dev()).ok();
    let home = device(start);
    for folder in start.ancestors().take_while(|folder| *folder != Path::new("/")) {
        if is_flake(folder) {
            return Ok(folder.to_owned());
        }
        if folder.join(".git").exists() {
            return Err(InputError::new(format!(
                "path \"{}\" is not part of a flake (neither it nor its parent directories contain a 'flake.nix' file)",
                folder.display()
            )));
        }
        if device(folder) != home {
            return Err(InputError::new(format!(
                "unable to find a flake before encountering filesystem boundary at \"{}\"",
                folder.display()
            )));
        }
    }
    Err(InputError::bad_url("could not find a flake.nix file"))
}

/// The address of a folder in the work tree of a git repository.
fn in_repository(
    folder: &Path,
    text: &str,
    query: &std::collections::BTreeMap<String, String>,
) -> Result<Option<Url>> {
    let Some(root) = folder
        .ancestors()
        .take_while(|root| *root != Path::new("/"))
        .find(|root| root.join(".git").symlink_metadata().is_ok())
    else {
        return Ok(None);
    };
    let mut query = query.clone();
    let below = folder.strip_prefix(root).unwrap_or(Path::new("")).to_string_lossy();
    if !below.is_empty() {
        if query.contains_key("dir") {
            let message = format!("flake URL '{text}' has an inconsistent 'dir' parameter");
            return Err(InputError::new(message));
        }
        query.insert("dir".to_owned(), below.into_owned());
    }
    if root.join(".git/shallow").exists() {
        query.insert("shallow".to_owned(), "1".to_owned());
    }
    Ok(Some(Url {
        scheme: "git+file".to_owned(),
        authority: Some(Authority::default()),
        path: path_segments(&root.to_string_lossy()),
        query,
        ..Url::default()
    }))
}
