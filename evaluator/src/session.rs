//! What all threads of an evaluation share: settings, the store, and what was read and computed once.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, RwLock},
};

use rustc_hash::FxHashMap;
use zeval_model::{
    Algorithm, ContentMethod,
    derivation::{HashModulo, Instantiated},
    store_path::StorePath,
};

use crate::{
    builtins::Globals,
    code_cache::CodeCache,
    eval::error::{ErrorKind, EvalError, Result},
    inputs::{Inputs, NoInputs},
    ir::{Call, Expr, Variable},
    lint::Lints,
    position::PosId,
    reads::Reads,
    store::{self, Source, Store},
    value::{Heap, Value},
};

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--pure-eval`: nothing that is not pinned.
    pub pure: bool,
    /// `--restrict-eval`: only files in the search path.
    pub restricted: bool,
    /// What may be fetched nonetheless: addresses, what addresses begin with up to a slash, or schemes with their colon.
    pub allowed_uris: Vec<String>,
    /// What `<x>` is looked up in: prefix and path or URL, first match counts.
    pub search_path: Vec<(Vec<u8>, Vec<u8>)>,
    /// `builtins.currentSystem`
    pub system: String,
    /// Nested calls before evaluation gives up.
    pub max_call_depth: u32,
    /// Whether errors tell of every call on the way.
    pub show_trace: bool,
    /// The home folder, for `~/x`.
    pub home: Option<PathBuf>,
    /// Experimental features that are on.
    pub features: Vec<String>,
    /// Whether `builtins.traceVerbose` prints.
    pub trace_verbose: bool,
    /// Whether importing from a derivation may build.
    pub import_from_derivation: bool,
    /// Whether it is told that such an import did.
    pub trace_import_from_derivation: bool,
    /// What to say of literals that some style forbids.
    pub lints: Lints,
    /// Whether `warn` ends the evaluation.
    pub abort_on_warn: bool,
    /// Whether the debugger leaves errors alone that `tryEval` will catch.
    pub ignore_try: bool,
    /// Whether the debugger stops at `trace` and `warn`.
    pub stops_at_trace: bool,
    /// Whether the debugger stops at `warn`.
    pub stops_at_warn: bool,
    /// Whether every call is told of.
    pub trace_calls: bool,
    /// Whether `<std>` is the library that comes with zeval, where the search path has no such entry.
    pub library: bool,
    /// Whether every file that is evaluated is told of.
    pub tell_files: bool,
    /// Where compiled files are kept.
    pub code_cache: Option<CodeCache>,
    /// Whether to record what is read.
    pub records_reads: bool,
    /// Threads that evaluate at a time.
    pub jobs: usize,
    /// From how many bytes of values on other threads help.
    pub helped_from: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            pure: false,
            restricted: false,
            allowed_uris: Vec::new(),
            search_path: Vec::new(),
            system: format!("{}-linux", std::env::consts::ARCH),
            max_call_depth: 10_000,
            show_trace: false,
            home: None,
            features: Vec::new(),
            trace_verbose: false,
            import_from_derivation: true,
            trace_import_from_derivation: false,
            lints: Lints::default(),
            abort_on_warn: false,
            ignore_try: false,
            stops_at_trace: false,
            stops_at_warn: false,
            trace_calls: false,
            library: true,
            tell_files: false,
            code_cache: None,
            records_reads: false,
            jobs: 1,
            helped_from: 40 << 20,
        }
    }
}

impl Settings {
    /// Everything besides a file's text that decides its code, for [`CodeCache::new`].
    pub fn code_salt(&self, build: &str) -> String {
        let pipes = self.has_feature("pipe-operators");
        format!("{} {build} pure={} pipes={pipes}", crate::ir::archive::VERSION, self.pure)
    }

    /// Whether other threads may help: not where files, calls or builds are told of, which is done in the order of one thread.
    pub(crate) fn has_helpers(&self) -> bool {
        let tells = self.trace_calls || self.tell_files || self.trace_import_from_derivation;
        self.jobs > 1 && !self.lints.any() && !tells
    }

    /// Whether an experimental feature is on.
    pub fn has_feature(&self, name: &str) -> bool {
        self.features.iter().any(|feature| feature == name)
    }
}

/// What all threads of an evaluation share.
pub struct Session {
    /// How to evaluate.
    pub settings: Settings,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The names that are always there.
    pub globals: Globals,
    /// What was read of the world, if somebody wants to know.
    pub reads: Option<Arc<Reads>>,
    /// Prints what `trace` and `warn` say. See [`Session::say`].
    messages: Box<dyn Fn(&str) + Send + Sync>,
    /// The values of imported files, by resolved path.
    pub(crate) imports: RwLock<FxHashMap<Vec<u8>, Value>>,
    copied: Mutex<FxHashMap<Vec<u8>, StorePath>>,
    /// Folders with all links followed: an evaluation looks into each many times.
    folders: Mutex<FxHashMap<PathBuf, PathBuf>>,
    /// Where the entries of search paths lead, if that is there.
    pub(crate) search_path_folders: Mutex<FxHashMap<Vec<u8>, Option<Vec<u8>>>>,
    hashes: RwLock<FxHashMap<StorePath, HashModulo>>,
    applications: [OnceLock<&'static Expr>; 4],
    inputs: OnceLock<Arc<dyn Inputs>>,
    pub(crate) in_place: crate::in_place::Sources,
}

impl Session {
    /// A new evaluation.
    pub fn new(settings: Settings, store: Arc<dyn Store>) -> Arc<Session> {
        Session::with_messages(
            settings,
            store,
            Box::new(|message| {
                use std::io::Write;
                let _ = std::io::stderr().write_all(&crate::text::raw::bytes(&format!("{message}\n")));
            }),
        )
    }

    /// The same, with another place for what `trace` prints.
    pub fn with_messages(
        settings: Settings,
        store: Arc<dyn Store>,
        messages: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Arc<Session> {
        let mut heap = Heap::new();
        let globals = Globals::new(&settings, &mut heap);
        let session = Arc::new(Session {
            reads: settings.records_reads.then(Arc::default),
            settings,
            store,
            globals,
            messages,
            imports: RwLock::default(),
            copied: Mutex::default(),
            folders: Mutex::default(),
            search_path_folders: Mutex::default(),
            hashes: RwLock::default(),
            applications: [const { OnceLock::new() }; 4],
            inputs: OnceLock::new(),
            in_place: Default::default(),
        });
        // Values live as long as the process, and so does what they were made with: taking it all apart at the end
        // costs more than a small evaluation.
        std::mem::forget(session.clone());
        session
    }

    /// Code that applies the value in slot 0 to those in slots 1 to `arguments`: what delayed applications run.
    pub(crate) fn application(&self, arguments: usize) -> &'static Expr {
        self.applications[arguments].get_or_init(|| {
            let slot = |slot| Expr::Local(Variable { slot, pos: PosId::NONE });
            let arguments: Vec<Expr> = (1..=arguments as u32).map(slot).collect();
            let call = Call { function: slot(0), arguments: arguments.leak(), pos: PosId::NONE };
            Box::leak(Box::new(Expr::Apply(Box::leak(Box::new(call)))))
        })
    }

    /// Lets the evaluation have sources that come from elsewhere. To be called once, before it begins.
    pub fn use_inputs(&self, inputs: Arc<dyn Inputs>) {
        let _ = self.inputs.set(inputs);
    }

    /// Sources that come from elsewhere.
    pub fn inputs(&self) -> &dyn Inputs {
        self.inputs.get().map_or(&NoInputs, |inputs| &**inputs)
    }

    /// What was just asked for may be another thing the next time.
    pub(crate) fn unrepeatable(&self) {
        if let Some(reads) = &self.reads {
            reads.unrepeatable();
        }
    }

    /// Says something to the user.
    pub fn say(&self, message: &str) {
        // It is to be said every time.
        self.unrepeatable();
        (self.messages)(message);
    }

    /// Where a file is, given its logical path.
    pub fn physical(&self, path: &[u8]) -> PathBuf {
        let source = self.in_place(path);
        if let Some(file) = source.as_ref().and_then(|(source, below)| source.file(below)) {
            if let Some(reads) = &self.reads {
                reads.looked(&file);
            }
            return file;
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(path)).to_owned();
        if path.starts_with(zeval_model::store_dir()) {
            if source.is_none() {
                self.rely_on(&path);
            }
            return self.store.physical(&path);
        }
        if let Some(reads) = &self.reads {
            reads.looked(&path);
        }
        path
    }

    /// The result depends on the store having what a path is in.
    pub(crate) fn rely_on(&self, path: &Path) {
        if let Some(reads) = &self.reads
            && let Some(text) = path.to_str()
            && let Ok((store_path, _)) = StorePath::split_absolute(text)
        {
            reads.valid(&store_path.to_string());
        }
    }

    /// The contents of a file.
    pub(crate) fn read_file(&self, physical: &Path) -> std::io::Result<Vec<u8>> {
        if let Some(reads) = &self.reads {
            reads.read(physical);
        }
        std::fs::read(physical)
    }

    /// The entries of a folder.
    pub(crate) fn read_folder(&self, physical: &Path) -> std::io::Result<std::fs::ReadDir> {
        if let Some(reads) = &self.reads {
            reads.listed(physical);
        }
        std::fs::read_dir(physical)
    }

    /// Adds a source to the store. What is added of it counts as read, what the filter leaves out as looked at.
    pub(crate) fn add_source<'f>(
        &self,
        source: &Source<'_>,
        filter: &'f mut store::Filter<'f>,
    ) -> Result<StorePath, store::StoreError> {
        let Some(reads) = &self.reads else { return self.store.add_source(source, filter) };
        reads.contents(source.path);
        self.store.add_source(source, &mut |path, kind| {
            let wanted = filter(path, kind)?;
            if wanted {
                reads.contents(path)
            } else {
                reads.looked(path)
            }
            Ok(wanted)
        })
    }

    /// A file's path with all links followed.
    pub(crate) fn canonical(&self, file: &Path) -> std::io::Result<PathBuf> {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return file.canonicalize();
        };
        if file.symlink_metadata()?.is_symlink() {
            if let Some(reads) = &self.reads {
                reads.followed(file);
            }
            return file.canonicalize();
        }
        if let Some(known) = lock(&self.folders).get(folder) {
            return Ok(known.join(name));
        }
        if let Some(reads) = &self.reads {
            reads.followed(folder);
        }
        let resolved = folder.canonicalize()?;
        let path = resolved.join(name);
        lock(&self.folders).insert(folder.to_owned(), resolved);
        Ok(path)
    }

    /// Copies a file or folder to the store under its own name, once.
    pub fn copy_to_store(&self, path: &[u8], pos: PosId) -> Result<StorePath> {
        if let Some(copied) = lock(&self.copied).get(path) {
            return Ok(copied.clone());
        }
        if path.ends_with(b".drv") {
            let shown = crate::text::raw::Shown(path);
            return Err(EvalError::eval(
                pos,
                format!("file names are not allowed to end in '.drv' ({shown})"),
            ));
        }
        let name = String::from_utf8_lossy(&self.file_name(path, pos)?).into_owned();
        self.check_access(path, pos)?;
        let physical = self.physical(path);
        if physical.symlink_metadata().is_err() {
            return Err(missing(path, pos));
        }
        let source = Source {
            path: &physical,
            name: if name.is_empty() { "source" } else { &name },
            method: ContentMethod::Nar,
            algorithm: Algorithm::Sha256,
        };
        let added = self
            .add_path(path, &source, &mut zeval_model::tree::everything)
            .map_err(|error| EvalError::new(ErrorKind::World, pos, error.to_string()))?;
        lock(&self.copied).insert(path.to_vec(), added.clone());
        Ok(added)
    }

    /// Forbids what pure and restricted evaluation forbid.
    pub fn check_access(&self, path: &[u8], pos: PosId) -> Result<()> {
        let shown = crate::text::raw::Shown(path);
        if self.settings.pure && !zeval_model::store_path::is_in_store(path) {
            let message = format!(
                "access to absolute path '{shown}' is forbidden in pure evaluation mode (use '--impure' to override)"
            );
            return Err(EvalError::new(ErrorKind::Restricted, pos, message));
        }
        if self.settings.restricted && !self.is_in_search_path(path) {
            let message = format!("access to absolute path '{shown}' is forbidden in restricted mode");
            return Err(EvalError::new(ErrorKind::Restricted, pos, message));
        }
        Ok(())
    }

    fn is_in_search_path(&self, path: &[u8]) -> bool {
        zeval_model::store_path::is_in_store(path)
            || self.settings.search_path.iter().any(|(_, entry)| {
                if crate::search_path::is_address(entry) {
                    return false;
                }
                let entry = crate::search_path::absolute(entry);
                path.strip_prefix(entry.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            })
    }

    /// Remembers a derivation for those that will depend on it.
    pub(crate) fn remember(&self, instantiated: &Instantiated) {
        let mut hashes = self.hashes.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        hashes.insert(instantiated.path.clone(), instantiated.modulo.clone());
    }
}

impl zeval_model::derivation::DerivationHashes for Session {
    fn modulo(
        &self,
        path: &StorePath,
    ) -> std::result::Result<HashModulo, zeval_model::derivation::DerivationError> {
        let known = self.hashes.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(path).cloned();
        if let Some(modulo) = known {
            return Ok(modulo);
        }
        // Not made by this evaluation: rare enough that the recursion over its inputs needs no tuning.
        let modulo = store::read_for_hash(&*self.store, path)?.hash_modulo(&self)?;
        let mut hashes = self.hashes.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        hashes.insert(path.clone(), modulo.clone());
        Ok(modulo)
    }
}

/// The error for a file that is not there.
pub(crate) fn missing(path: &[u8], pos: PosId) -> crate::Failure {
    EvalError::new(ErrorKind::World, pos, crate::shown::missing(path))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
