//! The physical store: a folder the user may write that holds what `/nix/store` names, and a database of what is valid.
//!
//! Any number of threads and processes use one store at once. What is made goes to a temporary folder first, is renamed
//! to its place and then registered; whatever is in place but not registered is garbage and may be replaced by the one
//! who holds the path's lock. Files are not synced one by one: a path registered since the last [`Store::sync`] carries
//! the name of the kernel's boot, and is verified by its hash before anyone trusts it under another boot.

mod add;
mod collect;
mod content;
mod database;
mod error;
mod export;
mod extents;
mod hashing;
mod info;
mod layout;
mod lock;
mod locks;
mod logs;
mod optimise;
mod pins;
mod processes;
mod receive;
mod recover;
mod roots;
mod session;
mod tree;
mod verify;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use zeval_model::derivation::DerivationError;
use zeval_model::{Derivation, StorePath};

use crate::cancel::Cancellation;
pub use collect::{CollectOptions, Collected, Limit};
use database::Database;
pub use error::{IoContext, StoreError};
pub use export::references_first;
pub use info::{BuiltPath, Effort, PathInfo, Realisation};
pub use layout::Layout;
pub use lock::FileLock;
pub use logs::LogWriter;
pub use optimise::{Saved, Sharing};
pub use receive::HashingReader;
pub use roots::Root;
pub use session::{TemporaryFolder, end_all as end_sessions};
pub use tree::{Unfit, canonicalise, make_folder, remove as remove_tree, seal};
pub use verify::{Fault, VerifyOptions};

/// After so many seconds Linux has written out what was written to files, if nobody has asked for it before.
const GATHERED: i64 = 60;

/// For what of a store the disk is waited for. Without, a power cut may take what is young, and never makes something else
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syncing {
    /// Whoever registers paths is told so when they are on disk (Nix's `fsync-store-paths`).
    pub paths: bool,
    /// The database's file is never written ahead of its journal (Nix's `fsync-metadata`). Without, a power cut may damage it.
    pub metadata: bool,
}

impl Default for Syncing {
    fn default() -> Syncing {
        Syncing { paths: false, metadata: true }
    }
}

/// A store, open.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    syncing: Syncing,
    database: Database,
    // Dropped before the session, whose folder they are in.
    pins: pins::Pins,
    session: session::Session,
}

impl Store {
    /// Opens the store rooted at `dir`, making it if it is not there and mending what a crash left behind.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        Store::open_syncing(dir, Syncing::default())
    }

    /// As [`Store::open`], for one who says for what the disk is waited for.
    pub fn open_syncing(dir: &Path, syncing: Syncing) -> Result<Store, StoreError> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Store::open_under_boot(dir, boot.trim(), syncing)
    }

    /// As [`Store::open_syncing`], with the name of the kernel's boot: for tests, which cannot cut the power.
    pub fn open_under_boot(dir: &Path, boot: &str, syncing: Syncing) -> Result<Store, StoreError> {
        let dir = std::path::absolute(dir).doing("find", dir)?;
        let layout = Layout::new(&dir);
        for folder in layout.folders() {
            if let Some(parent) = folder.parent() {
                fs::create_dir_all(parent).doing("make the folder", parent)?;
            }
            match tree::make_folder(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                result => result.doing("make the folder", &folder)?,
            }
        }
        let locks = layout.locks();
        let opening = FileLock::acquire(&locks.join("open.lock"), &Cancellation::new(), || ());
        let opening = opening.doing("lock", &locks)?;
        let temporary = layout.temporary();
        let session = session::Session::start(&temporary).doing("make a folder in", &temporary)?;
        let database = Database::open(&layout.database(), boot.to_owned(), syncing.metadata)?;
        let pins =
            pins::Pins::start(session.path(), &layout.gate()).doing("make a file in", session.path())?;
        let store = Store { layout, syncing, database, pins, session };
        store.recover()?;
        drop(opening);
        Ok(store)
    }

    /// The name of the kernel's boot that we run under.
    pub fn boot(&self) -> &str {
        self.database.boot()
    }

    /// Whether what is written is to be on disk before that is told.
    pub fn waits_for_disk(&self) -> bool {
        self.syncing.paths
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the files of `path` are.
    pub fn physical(&self, path: &StorePath) -> PathBuf {
        self.layout.physical(path)
    }

    pub fn is_valid(&self, path: &StorePath) -> Result<bool, StoreError> {
        self.database.is_valid(path)
    }

    /// Whether `path` is valid; if it is, it stays so until this process ends. For whoever goes on to rely on it.
    pub fn keeps(&self, path: &StorePath) -> Result<bool, StoreError> {
        self.pin([path])?;
        self.is_valid(path)
    }

    pub fn info(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        self.database.info(path)
    }

    /// What is known of those of `paths` that are valid.
    pub fn infos(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, PathInfo>, StoreError> {
        self.database.infos(paths)
    }

    /// As [`Store::info`], where a path that is not valid is an error.
    pub fn require(&self, path: &StorePath) -> Result<PathInfo, StoreError> {
        self.info(path)?.ok_or_else(|| StoreError::NotValid(path.clone()))
    }

    /// Everything that `paths` refer to, directly or not, themselves included; what is not valid is left out.
    pub fn closure(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeSet<StorePath>, StoreError> {
        self.database.closure(paths)
    }

    /// The valid paths that refer to `path`, other than itself.
    pub fn referrers(&self, path: &StorePath) -> Result<BTreeSet<StorePath>, StoreError> {
        self.database.referrers(path)
    }

    pub fn all_valid(&self) -> Result<BTreeSet<StorePath>, StoreError> {
        self.database.all_valid()
    }

    /// The path that `output` of the derivation `drv` was built to, if it was and that path is still valid.
    pub fn realisation(&self, drv: &StorePath, output: &str) -> Result<Option<StorePath>, StoreError> {
        self.database.realisation(drv, output)
    }

    /// Makes paths that are in place valid, and records realisations, all or nothing.
    pub fn register(&self, infos: &[PathInfo], realisations: &[Realisation]) -> Result<(), StoreError> {
        if infos.is_empty() && realisations.is_empty() {
            return Ok(());
        }
        self.database.register(infos, realisations)?;
        if self.syncing.paths { self.sync() } else { Ok(()) }
    }

    /// Makes a path that nothing refers to invalid; its files, if there are any, become garbage.
    pub fn forget(&self, path: &StorePath) -> Result<(), StoreError> {
        self.database.doubt([path])?;
        self.database.delete([path]).map(drop)
    }

    /// The valid path whose hash part is `hash_part`.
    pub fn find_by_hash_part(&self, hash_part: &str) -> Result<Option<StorePath>, StoreError> {
        self.database.find_by_hash_part(hash_part)
    }

    /// Everything that was realised and is valid.
    pub fn all_realisations(&self) -> Result<Vec<Realisation>, StoreError> {
        self.database.all_realisations()
    }

    /// The derivations and outputs that `path` is recorded to have been built for.
    pub fn realised_by(&self, path: &StorePath) -> Result<Vec<(StorePath, String)>, StoreError> {
        self.database.realised_by(path)
    }

    /// Adds signatures to those of a valid path.
    pub fn add_signatures(
        &self,
        path: &StorePath,
        signatures: &BTreeSet<zeval_model::signature::Signature>,
    ) -> Result<(), StoreError> {
        self.database.add_signatures(path, signatures)
    }

    /// Remembers what the last build of a derivation called `name` took.
    pub fn record_effort(&self, name: &str, effort: &Effort) -> Result<(), StoreError> {
        self.database.record_effort(name, effort, now())
    }

    /// What earlier builds took, by the name of the derivation.
    pub fn efforts(&self) -> Result<HashMap<String, Effort>, StoreError> {
        self.database.efforts()
    }

    /// The valid paths that were built here, the latest first.
    pub fn built_paths(&self) -> Result<Vec<BuiltPath>, StoreError> {
        self.database.built_paths()
    }

    /// Reads the derivation at `path`, which must be valid.
    pub fn derivation(&self, path: &StorePath) -> Result<Derivation, StoreError> {
        let name = path.derivation_name()?;
        let file = self.physical(path);
        let text = fs::read(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotValid(path.clone()),
            _ => StoreError::Io { action: "read", path: file, source: error },
        })?;
        Ok(Derivation::parse_aterm(&text, name)?)
    }

    /// As [`Store::derivation`], with the error that the model's readers of derivations give.
    pub fn read_derivation(&self, path: &StorePath) -> Result<Derivation, DerivationError> {
        self.derivation(path)
            .map_err(|error| DerivationError::Read { path: path.clone(), source: Box::new(error) })
    }

    /// Waits for the lock of `path`; `waiting` is called once if another one holds it.
    pub fn lock(
        &self,
        path: &StorePath,
        cancellation: &Cancellation,
        waiting: impl FnOnce(),
    ) -> Result<FileLock, StoreError> {
        let file = self.layout.locks().join(format!("{}.lock", path.base_name()));
        FileLock::acquire(&file, cancellation, waiting).doing("lock", &file)?.ok_or(StoreError::Cancelled)
    }

    /// An empty folder on the store's file system, removed when dropped or, if we are killed, by whoever comes next.
    pub fn temporary_folder(&self) -> Result<TemporaryFolder, StoreError> {
        self.session.folder().doing("make a folder in", &self.layout.temporary())
    }

    /// For the end of a piece of work: brings what was registered to disk, unless all of it is so young that the system
    /// still gathers it, and to wait would cost much. What is not synced when the power fails is verified at the next
    /// start, and made again if it suffered.
    pub fn settle(&self) -> Result<(), StoreError> {
        match self.database.is_unsynced_since(now() - GATHERED)? {
            true => self.sync(),
            false => Ok(()),
        }
    }

    /// Brings everything registered so far to disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.database.sync(|| self.sync_files())
    }

    /// Brings all files of the store's file system to disk.
    fn sync_files(&self) -> Result<(), StoreError> {
        let folder = self.layout.store();
        let open = File::open(folder).doing("open", folder)?;
        nix::unistd::syncfs(open).doing("sync", folder)
    }
}

/// Now, in seconds since 1970.
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    elapsed.as_secs().cast_signed()
}
