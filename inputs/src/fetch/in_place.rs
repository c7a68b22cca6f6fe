//! Sources of this machine, read where they are: put into the store only when their store path is asked for.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bstr::ByteSlice;
use zeval_model::{Algorithm, ContentMethod, Hash, Hasher, StorePath, store_path};

use super::{Fetched, Fetcher, Tree, failed, git};
use crate::{Attr, FlakeRef, Input, Result, registry::UseRegistries};

type BeforeStored = Box<dyn Fn(&InPlace) + Send + Sync>;

/// A source of this machine.
pub struct InPlace {
    /// Its folder.
    root: PathBuf,
    /// What puts it into the store.
    asked: Input,
    /// What git says of it, if it is a work tree.
    state: Option<Arc<git::State>>,
    stored: OnceLock<Result<Tree>>,
    before_stored: OnceLock<BeforeStored>,
}

impl InPlace {
    fn new(root: PathBuf, asked: Input, state: Option<Arc<git::State>>) -> InPlace {
        InPlace { root, asked, state, stored: OnceLock::new(), before_stored: OnceLock::new() }
    }

    /// Has something done before all of the source is read, to be put into the store: what was asked for first. False:
    /// the source was read already.
    pub fn before_stored(&self, act: impl Fn(&InPlace) + Send + Sync + 'static) -> bool {
        let is_late = self.before_stored.get().is_none() && self.stored.get().is_some();
        self.before_stored.get_or_init(|| Box::new(act));
        !is_late
    }

    /// Everything in the source: files, links and, where git does not say which files there are, folders.
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.state {
            Some(state) => state.files.iter().map(|file| self.root.join(file.to_path_lossy())).collect(),
            None => {
                let entries =
                    walkdir::WalkDir::new(&self.root).into_iter().filter_map(std::result::Result::ok);
                entries.map(walkdir::DirEntry::into_path).collect()
            }
        }
    }

    /// A hash of the names of all files, if git says which files there are.
    pub fn names_hash(&self) -> Option<String> {
        let state = self.state.as_ref()?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for file in &state.files {
            hasher.update(file);
            hasher.update(b"\0");
        }
        Some(hasher.finish().to_sri())
    }

    /// Whether the source has a file or folder, given its path below the root.
    pub fn has(&self, below: &Path) -> bool {
        self.state.as_ref().is_none_or(|state| state.has(below.as_os_str().as_bytes().as_bstr()))
    }
}

/// A store path that nothing else has: paths in the source begin with it until its own is known.
fn stand_in(root: &Path, name: &str) -> Result<StorePath> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let text = format!("source in place {number} {}", root.display());
    let hash = Hash::of(Algorithm::Sha256, text.as_bytes());
    store_path::content_path(ContentMethod::Nar, &hash, name, &store_path::References::none()).map_err(failed)
}

impl Fetcher {
    /// The same as [`Fetcher::fetch`], but a source of this machine is left where it is: the store path is a stand-in, and
    /// the input lacks its hash (and, for a plain folder, its time).
    pub fn fetch_in_place(&self, input: &Input, which: UseRegistries) -> Result<Fetched> {
        let (resolved, folder) = match input.is_direct() {
            true => (input.clone(), None),
            false if which == UseRegistries::No => return self.fetch(input, which),
            false => self.resolve(input, which)?,
        };
        let left = match resolved.kind() {
            "git" => self.work_tree_in_place(&resolved),
            "path" => folder_in_place(&resolved),
            _ => Ok(None),
        };
        let left = left.map_err(|error| match resolved.to_url() {
            Ok(shown) => error.trace(format!("while fetching the input '{shown}'")),
            Err(_) => error,
        })?;
        let Some((source, input)) = left else { return self.fetch(input, which) };
        let store_path = stand_in(&source.root, &resolved.name())?;
        let name = source.root.display().to_string();
        let work_tree = source.state.as_ref().map(|_| source.root.as_path());
        (self.settings.fetched)(&store_path, Some(&name), work_tree);
        let tree = Tree { store_path: store_path.clone(), input: input.finally() };
        let mut known = self.in_place.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(store_path, Arc::new(source));
        Ok(Fetched { tree, resolved, folder })
    }

    fn work_tree_in_place(&self, input: &Input) -> Result<Option<(InPlace, Input)>> {
        let is_asked = |name: &&str| input.attrs.get(*name).is_some_and(|value| *value != Attr::Bool(false));
        let is_special = ["submodules", "exportIgnore", "lfs"].iter().any(is_asked);
        if is_special || input.is_final() || input.nar_hash()?.is_some() {
            return Ok(None);
        }
        let Some(root) = git::used_in_place(input)? else { return Ok(None) };
        let (state, known) = self.described_work_tree(input, &root)?;
        let source = InPlace::new(root, input.clone(), Some(state));
        Ok(Some((source, known)))
    }

    /// The source of this machine that a store path stands for.
    pub fn in_place(&self, store_path: &StorePath) -> Option<Arc<InPlace>> {
        self.in_place.lock().unwrap_or_else(PoisonError::into_inner).get(store_path).cloned()
    }

    /// Where a file of a source is, given its path below the root; nothing if the source does not have it.
    pub fn file_in_place(&self, source: &InPlace, below: &Path) -> Option<PathBuf> {
        if !source.has(below) {
            return None;
        }
        let mut file = source.root.clone();
        for component in below.components() {
            file.push(component);
            // Where a link leads is another matter in the store, where nothing is around the source.
            if file.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
                let tree = self.stored(source).ok()?;
                return Some(self.store.physical(&tree.store_path).join(below));
            }
        }
        Some(file)
    }

    /// A source of this machine, put into the store.
    pub fn stored(&self, source: &InPlace) -> Result<Tree> {
        let stored = source.stored.get_or_init(|| {
            if let Some(act) = source.before_stored.get() {
                act(source);
            }
            Ok(self.fetch(&source.asked, UseRegistries::No)?.tree)
        });
        stored.clone()
    }

    /// What always gives just this source, if it was left where it is: with its hash, for which it is put into the store.
    pub fn completed(&self, reference: &FlakeRef, store_path: &StorePath) -> Result<FlakeRef> {
        match self.in_place(store_path) {
            None => Ok(reference.clone()),
            Some(source) => {
                Ok(FlakeRef { input: self.stored(&source)?.input, folder: reference.folder.clone() })
            }
        }
    }
}

fn folder_in_place(input: &Input) -> Result<Option<(InPlace, Input)>> {
    let root = crate::reference::path::clean(Path::new(input.required_text("path")?));
    let is_plain = root.is_absolute() && !root.starts_with(zeval_model::store_dir()) && root.is_dir();
    let is_pinned = input.attrs.keys().any(|name| name != "type" && name != "path");
    let source = InPlace::new(root, input.clone(), None);
    Ok((is_plain && !is_pinned).then(|| (source, input.clone())))
}
