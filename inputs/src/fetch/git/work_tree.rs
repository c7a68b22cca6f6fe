//! Work trees: the files that git knows, as they are now.

use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use bstr::{BStr, BString, ByteSlice};
use serde_json::json;
use zeval_model::{
    Algorithm, ContentMethod, Hash, Hasher, StorePath,
    tree::{Modes, Walker, restore},
};

use super::{command::Repository, export};
use crate::{
    Input, Result,
    fetch::{Fetcher, failed},
};

/// What git says of a work tree.
pub(in crate::fetch) struct State {
    /// The commit that is checked out, if there is one yet.
    pub head: Option<String>,
    /// The files that git knows and that are there.
    pub files: BTreeSet<BString>,
    /// Those that differ from the commit.
    changed: Vec<BString>,
    /// Those that are gone.
    deleted: HashSet<BString>,
    /// Whether anything differs from the commit.
    pub is_dirty: bool,
    /// Whether somebody was told that it is dirty.
    is_told: AtomicBool,
}

impl State {
    pub fn of(repository: &Repository) -> Result<State> {
        let head = repository.line(&["rev-parse", "--verify", "--quiet", "HEAD"])?;
        let mut state = State {
            head,
            files: BTreeSet::new(),
            changed: Vec::new(),
            deleted: HashSet::new(),
            is_dirty: false,
            is_told: AtomicBool::new(false),
        };
        let status = ["status", "--porcelain=v2", "-z", "--untracked-files=no", "--no-renames"];
        let status = repository.output(&[&status[..], &["--ignore-submodules=all"]].concat())?;
        for line in status.split(|&byte| byte == 0) {
            state.note(line);
        }
        let listing = repository.output(&["ls-files", "-z", "--stage"])?;
        for line in listing.split(|&byte| byte == 0) {
            let Some((head, path)) = line.split_once_str("\t") else { continue };
            if !head.starts_with(b"160000") && !state.deleted.contains(path.as_bstr()) {
                state.files.insert(path.into());
            }
        }
        Ok(state)
    }

    /// Whether git knows a file, or one in a folder.
    pub fn has(&self, path: &BStr) -> bool {
        if path.is_empty() || self.files.contains(path) {
            return true;
        }
        let folder = BString::from([path.as_bytes(), b"/"].concat());
        self.files.range(folder.clone()..).next().is_some_and(|file| file.starts_with(&folder))
    }

    /// Whether nobody was told yet that the work tree is dirty.
    pub fn is_news(&self) -> bool {
        !self.is_told.swap(true, Ordering::Relaxed)
    }

    /// Notes one line of `git status`: `1 XY SUBMODULE MODE MODE MODE OBJECT OBJECT PATH`, or `u` with two more fields.
    fn note(&mut self, line: &[u8]) {
        let fields = match line.first() {
            Some(b'1') => 9,
            Some(b'u') => 11,
            _ => return,
        };
        let parts: Vec<&[u8]> = line.splitn(fields, |&byte| byte == b' ').collect();
        let (Some(state), Some(path)) = (parts.get(1), parts.get(fields - 1)) else { return };
        self.is_dirty = true;
        match state.contains(&b'D') {
            true => {
                self.deleted.insert(BString::from(*path));
            }
            false => self.changed.push(BString::from(*path)),
        }
    }

    /// What the content depends on: the commit and all that differs from it.
    fn fingerprint(&self, folder: &Path) -> Result<String> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut changed = self.changed.clone();
        changed.sort();
        for path in &changed {
            hasher.update(format!("changed {}:{path}", path.len()).as_bytes());
            let mut filter = zeval_model::tree::everything;
            let mut walker = Walker::new(&folder.join(OsStr::from_bytes(path)), &mut filter);
            let (hash, _) = zeval_model::ingest::hash_nar(&mut walker, Algorithm::Sha256).map_err(failed)?;
            hasher.update(hash.as_bytes());
        }
        let mut deleted: Vec<&BString> = self.deleted.iter().collect();
        deleted.sort();
        for path in deleted {
            hasher.update(format!("deleted {}:{path}", path.len()).as_bytes());
        }
        Ok(hasher.finish().to_base16())
    }

    /// The hash of all that differs from the commit, as Nix makes it.
    pub fn changes_hash(&self, folder: &Path) -> Result<String> {
        fn string(hasher: &mut Hasher, text: &[u8]) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
            hasher.update(&[0; 8][..text.len().next_multiple_of(8) - text.len()]);
        }
        let by_components =
            |path: &BString| path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let mut hasher = Hasher::new(Algorithm::Sha512);
        let mut changed = self.changed.clone();
        changed.sort_by_key(by_components);
        for path in &changed {
            string(&mut hasher, b"modified:");
            string(&mut hasher, format!("/{path}").as_bytes());
            let mut archive = Vec::new();
            let file = folder.join(OsStr::from_bytes(path));
            zeval_model::nar::dump_path(&file, &mut archive).map_err(failed)?;
            hasher.update(&archive);
        }
        let mut deleted: Vec<BString> = self.deleted.iter().cloned().collect();
        deleted.sort_by_key(by_components);
        for path in deleted {
            string(&mut hasher, b"deleted:");
            string(&mut hasher, format!("/{path}").as_bytes());
        }
        Ok(hasher.finish().to_base16())
    }

    /// The known files and the folders around them.
    fn with_folders(&self) -> HashSet<&BStr> {
        let mut all: HashSet<&BStr> = HashSet::with_capacity(self.files.len() * 2);
        for path in &self.files {
            let mut path = path.as_bstr();
            while all.insert(path) {
                let Some(end) = path.rfind("/") else { break };
                path = path[..end].as_bstr();
            }
        }
        all
    }
}

impl Fetcher {
    /// The known files of a work tree as a store path. `dirty` is set if a submodule is.
    pub(super) fn work_tree_source(
        &self,
        repository: &Repository,
        state: &State,
        input: &Input,
        dirty: &mut bool,
    ) -> Result<(StorePath, Hash)> {
        let ignore = input.flag("exportIgnore")?;
        let submodules = match input.flag("submodules")? {
            true => self.checked_out_submodules(repository, dirty)?,
            false => Vec::new(),
        };
        let fingerprint = state.fingerprint(&repository.folder)?;
        let key = json!(["work tree", {
            "head": state.head,
            "changes": fingerprint,
            "exportIgnore": ignore,
            "submodules": submodules.iter().map(|(path, tree)| (path.to_string(), tree.to_string())).collect::<Vec<_>>(),
        }]);
        if let Some(entry) = self.cache.get(&key)
            && let Some(path) = entry.value.as_str().and_then(|hash| self.remembered(input, hash))
        {
            let hash = self.store.require(&path).map_err(failed)?.nar_hash;
            return Ok((path, hash));
        }
        let ignored = match ignore {
            true => export::ignored(repository, state.files.iter().map(|file| file.as_bstr()), &[])?,
            false => HashSet::new(),
        };
        let known = state.with_folders();
        let root = &repository.folder;
        let mut is_known = |path: &Path, _| {
            let below = path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes().as_bstr();
            Ok(known.contains(below) && !export::is_ignored(below, &ignored))
        };
        let store_path = if submodules.is_empty() {
            let (method, algorithm) = (ContentMethod::Nar, Algorithm::Sha256);
            self.store
                .add_path_filtered(&input.name(), root, method, algorithm, &mut is_known)
                .map_err(failed)?
        } else {
            let scratch = self.store.temporary_folder().map_err(failed)?;
            let tree = scratch.path().join("0");
            restore(&mut Walker::new(root, &mut is_known), &tree, Modes::Store).map_err(failed)?;
            for (path, submodule) in &submodules {
                self.place(submodule, &tree.join(OsStr::from_bytes(path)))?;
            }
            self.adopt(&tree, &input.name())?
        };
        let hash = self.store.require(&store_path).map_err(failed)?.nar_hash;
        self.cache.put(&key, json!(hash.to_sri()));
        Ok((store_path, hash))
    }

    /// Copies a store path to a place of a tree that is being made.
    pub(super) fn place(&self, source: &StorePath, place: &Path) -> Result<()> {
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        if place.is_dir() {
            fs::remove_dir(place).map_err(failed)?;
        }
        let mut filter = zeval_model::tree::everything;
        let mut walker = Walker::new(&self.store.physical(source), &mut filter);
        restore(&mut walker, place, Modes::Store).map_err(failed)
    }
}
