//! Where a store keeps what.

use std::fs;
use std::path::{Path, PathBuf};

use zeval_model::StorePath;

/// The folders and files of one physical store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    store: PathBuf,
    state: PathBuf,
}

impl Layout {
    /// The store rooted at `dir`; for `/` the logical and the physical store are one. Where `dir/store` is a link, the paths
    /// are where it leads to: that makes a folder of Nix's, which has its state elsewhere.
    pub fn new(dir: &Path) -> Layout {
        if dir == Path::new("/") {
            return Layout {
                root: dir.to_owned(),
                store: PathBuf::from(zeval_model::store_dir()),
                state: PathBuf::from("/nix/var/zeval"),
            };
        }
        let store = dir.join("store");
        let store = fs::read_link(&store).map_or(store, |target| dir.join(target));
        Layout { root: dir.to_owned(), store, state: dir.to_owned() }
    }

    /// What the store is opened by.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the store paths.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// The folder of all the rest.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where the files of `path` are.
    pub fn physical(&self, path: &StorePath) -> PathBuf {
        self.store.join(path.base_name())
    }

    pub fn database(&self) -> PathBuf {
        self.state.join("db.sqlite")
    }

    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    pub fn locks(&self) -> PathBuf {
        self.state.join("locks")
    }

    /// Locked shared while a process says what it needs, and alone while paths are collected.
    pub fn gate(&self) -> PathBuf {
        self.state.join("collector.gate")
    }

    /// Files by their contents, to which equal files of store paths are hard links.
    pub fn links(&self) -> PathBuf {
        self.state.join("links")
    }

    /// What is being made; on the file system of the store, so that it gets there by a rename.
    pub fn temporary(&self) -> PathBuf {
        self.state.join("tmp")
    }

    /// Links to the users' result links: where a folder of Nix's has them, too.
    pub fn roots(&self) -> PathBuf {
        self.state.join(if self.is_divided() { "gcroots/auto" } else { "roots" })
    }

    /// The folders in which every link is a root. Users of Nix put some into `gcroots` by hand.
    pub fn root_folders(&self) -> Vec<PathBuf> {
        let own = (!self.is_divided()).then(|| self.roots());
        own.into_iter().chain([self.state.join("gcroots"), self.profiles()]).collect()
    }

    /// Whether the paths are not in the folder of the rest.
    fn is_divided(&self) -> bool {
        self.store != self.state.join("store")
    }

    /// Profiles: links to generations, all of which are roots.
    pub fn profiles(&self) -> PathBuf {
        self.state.join("profiles")
    }

    /// Build folders and outputs that were kept for a person to look at.
    pub fn kept(&self) -> PathBuf {
        self.state.join("kept")
    }

    /// Every folder that must exist, outer ones first.
    pub fn folders(&self) -> [PathBuf; 7] {
        [
            self.state.clone(),
            self.store.clone(),
            self.logs(),
            self.locks(),
            self.temporary(),
            self.roots(),
            self.kept(),
        ]
    }
}
