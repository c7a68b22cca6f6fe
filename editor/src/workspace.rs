//! The files that a text refers to: those open in the editor, those on disk, and the standard library.

use std::{
    cell::RefCell,
    fs,
    hash::Hasher,
    path::{Path, PathBuf},
    rc::Rc,
    time::SystemTime,
};

use rustc_hash::{FxHashMap, FxHasher};
use zeval_evaluator::embedded::LIBRARY;

use crate::document::Document;

/// A file that was read.
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub document: Document,
}

/// Files by their paths.
#[derive(Default)]
pub struct Workspace {
    open: FxHashMap<PathBuf, Rc<Source>>,
    read: RefCell<FxHashMap<PathBuf, (SystemTime, Rc<Source>)>>,
    library: RefCell<Option<PathBuf>>,
}

impl Workspace {
    /// Takes the text of a file from the editor, instead of what is on disk.
    pub fn open(&mut self, path: PathBuf, text: String) -> Rc<Source> {
        let source = Rc::new(Source { path: path.clone(), document: Document::new(text) });
        self.open.insert(path, Rc::clone(&source));
        source
    }

    /// The editor has done with a file.
    pub fn close(&mut self, path: &Path) {
        self.open.remove(path);
    }

    /// The files that are open.
    pub fn all_open(&self) -> impl Iterator<Item = &Rc<Source>> {
        self.open.values()
    }

    /// A file, if there is one with text in it.
    pub fn source(&self, path: &Path) -> Option<Rc<Source>> {
        if let Some(source) = self.open.get(path) {
            return Some(Rc::clone(source));
        }
        let changed = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        if let Some((read, source)) = self.read.borrow().get(path)
            && *read == changed
        {
            return Some(Rc::clone(source));
        }
        let document = Document::new(fs::read_to_string(path).ok()?);
        let source = Rc::new(Source { path: path.to_owned(), document });
        self.read.borrow_mut().insert(path.to_owned(), (changed, Rc::clone(&source)));
        Some(source)
    }

    /// The file that a path literal in another file means; the one of a folder that `import` reads.
    pub fn resolve(&self, from: &Path, literal: &str) -> Option<PathBuf> {
        let path = match literal.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
            Some(name) if name == "std" || name.starts_with("std/") => {
                self.library()?.join(name.strip_prefix("std").unwrap_or_default().trim_start_matches('/'))
            }
            Some(name) => on_search_path(name)?,
            None => match literal.strip_prefix("~/") {
                Some(rest) => Path::new(&std::env::var_os("HOME")?).join(rest),
                None => from.parent()?.join(literal),
            },
        };
        let path = fs::canonicalize(path).ok()?;
        match path.is_dir() {
            true => {
                ["default.zx", "default.nix"].iter().map(|name| path.join(name)).find(|file| file.is_file())
            }
            false => Some(path),
        }
    }

    /// The folder with the standard library as files, for editors to open: it is written where caches are.
    fn library(&self) -> Option<PathBuf> {
        if let Some(folder) = &*self.library.borrow() {
            return Some(folder.clone());
        }
        let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(&std::env::var_os("HOME")?).join(".cache"),
        };
        let mut hash = FxHasher::default();
        LIBRARY.iter().for_each(|file| hash.write(file.text));
        let folder = cache.join(format!("zeval/std-{:016x}", hash.finish()));
        if !folder.is_dir() {
            write_library(&folder).ok()?;
        }
        *self.library.borrow_mut() = Some(folder.clone());
        Some(folder)
    }
}

/// Writes the files beside their place and renames the folder: it is there as a whole or not at all.
fn write_library(folder: &Path) -> std::io::Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)?;
    let new = tempfile::Builder::new().prefix("std-").tempdir_in(parent)?;
    for file in LIBRARY {
        if let Some(name) = file.name.strip_prefix("<std>/") {
            fs::write(new.path().join(name), file.text)?;
        }
    }
    match fs::rename(new.path(), folder) {
        // Another server was faster.
        Err(_) if folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Where `<name>` is, by NIX_PATH.
fn on_search_path(name: &str) -> Option<PathBuf> {
    let entries = std::env::var("NIX_PATH").ok()?;
    entries.split(':').find_map(|entry| {
        let path = match entry.split_once('=') {
            Some((prefix, path)) => {
                let rest = name.strip_prefix(prefix)?;
                if !rest.is_empty() && !rest.starts_with('/') {
                    return None;
                }
                Path::new(path).join(rest.trim_start_matches('/'))
            }
            None => Path::new(entry).join(name),
        };
        path.exists().then_some(path)
    })
}
