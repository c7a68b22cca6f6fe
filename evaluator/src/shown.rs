//! How sources in the store are shown to people: a path in a work tree as the user knows it, not as its copy.

use std::{
    borrow::Cow,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::RwLock,
};

/// How a source is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What stands for its store path: a folder, or `«git+https://...»`.
    pub name: String,
    /// The work tree that it has the known files of.
    pub work_tree: Option<PathBuf>,
}

/// Store paths of this process's evaluations, as absolute paths, and how they are shown.
static SOURCES: RwLock<Vec<(Vec<u8>, Shown)>> = RwLock::new(Vec::new());

/// Lets a store path be shown otherwise. The last word counts.
pub fn register(store_path: &str, shown: Shown) {
    let mut sources = SOURCES.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    sources.retain(|(path, _)| path != store_path.as_bytes());
    sources.push((store_path.as_bytes().to_vec(), shown));
}

/// The source that a path is in, and the path below it with its slash.
fn source(path: &[u8]) -> Option<(Shown, &[u8])> {
    if !zeval_model::store_path::is_in_store(path) {
        return None;
    }
    let sources = SOURCES.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    sources.iter().find_map(|(prefix, shown)| {
        let below = path.strip_prefix(prefix.as_slice())?;
        (below.is_empty() || below[0] == b'/').then(|| (shown.clone(), below))
    })
}

/// A path as it is shown.
pub fn path(path: &[u8]) -> Cow<'_, str> {
    match source(path) {
        Some((shown, below)) => Cow::Owned(format!("{}{}", shown.name, crate::text::raw::Shown(below))),
        None => match path.strip_prefix(crate::embedded::FOLDER) {
            Some(below) if !below.starts_with(b"/std") => {
                Cow::Owned(format!("<nix{}>", crate::text::raw::Shown(below)))
            }
            _ => crate::text::raw::text(path),
        },
    }
}

/// What is said of a path that is not there.
pub fn missing(path: &[u8]) -> String {
    let work_tree = source(path).and_then(|(shown, below)| Some((shown.work_tree?, below)));
    let Some((folder, below)) = work_tree else {
        return format!("path '{}' does not exist", self::path(path));
    };
    let name = below.strip_prefix(b"/").unwrap_or(below);
    let folder_name = folder.display();
    match folder.join(Path::new(std::ffi::OsStr::from_bytes(name))).symlink_metadata() {
        Ok(_) => format!(
            "Path '{0}' in the repository \"{folder_name}\" is not tracked by Git.\n\nTo make it visible to Nix, run:\n\n\
             git -C \"{folder_name}\" add \"{0}\"",
            crate::text::raw::Shown(name)
        ),
        Err(_) => {
            format!(
                "Path '{}' does not exist in Git repository \"{folder_name}\".",
                crate::text::raw::Shown(name)
            )
        }
    }
}
