//! Fetching: inputs to trees in the store.

mod archive;
mod cache;
pub mod forge;
pub mod git;
mod in_place;
mod mercurial;
mod path;
mod several;
mod wishes;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use zeval_builder::{cancel::Cancellation, events::Observer, store::Store};
use zeval_model::{
    Algorithm, ContentMethod, Hash, StorePath,
    tree::{Modes, Walker, restore},
};

use crate::{
    Attrs, Input, InputError, Result, Settings,
    registry::{self, Kind, Registry, UseRegistries},
};
use cache::Cache;

pub use archive::nar_or_file_hash;
pub use in_place::InPlace;
pub use wishes::Wish;

/// Fetches inputs, each once.
pub struct Fetcher {
    /// How.
    pub settings: Settings,
    /// Where to.
    pub store: Arc<Store>,
    observer: Arc<dyn Observer>,
    cancellation: Cancellation,
    cache: Cache,
    seen: Mutex<BTreeMap<Attrs, Tree>>,
    /// Work trees as they were when they were first looked at: a run sees one state of each, as with Nix.
    work_trees: Mutex<BTreeMap<PathBuf, Arc<git::State>>>,
    /// Sources of this machine that were left where they are, by their stand-ins.
    in_place: Mutex<BTreeMap<StorePath, Arc<InPlace>>>,
    /// Who wants what.
    wishes: Mutex<BTreeMap<String, Wish>>,
    flags: Mutex<Registry>,
    registries: OnceLock<Vec<Registry>>,
}

/// A source in the store.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Where.
    pub store_path: StorePath,
    /// What would fetch just this again.
    pub input: Input,
}

/// What an input led to.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The source.
    pub tree: Tree,
    /// The input, registries looked up.
    pub resolved: Input,
    /// The folder of the flake, if a registry says so.
    pub folder: Option<String>,
}

/// A tree that a scheme has put in the store, and what it learned of the input.
struct Made {
    store_path: StorePath,
    nar_hash: Hash,
    input: Input,
}

fn failed(error: impl ToString) -> InputError {
    InputError::new(error.to_string())
}

impl Fetcher {
    /// A fetcher into a store.
    pub fn new(
        settings: Settings,
        store: Arc<Store>,
        observer: Arc<dyn Observer>,
        cancellation: Cancellation,
    ) -> Fetcher {
        let cache = Cache::new(settings.cache.join("answers"));
        Fetcher {
            settings,
            store,
            observer,
            cancellation,
            cache,
            seen: Mutex::default(),
            work_trees: Mutex::default(),
            in_place: Mutex::default(),
            wishes: Mutex::default(),
            flags: Mutex::new(Registry::new(Kind::Flag)),
            registries: OnceLock::new(),
        }
    }

    /// Makes a name stand for something, before all registries.
    pub fn override_registry(&self, entry: registry::Entry) {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).entries.push(entry);
    }

    /// What an input stands for.
    pub fn resolve(&self, input: &Input, which: UseRegistries) -> Result<(Input, Option<String>)> {
        if which == UseRegistries::No {
            return Ok((input.clone(), None));
        }
        let flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let local = std::slice::from_ref(&flags);
        // What the command line says needs no other registry: with it, nothing is asked over the network.
        if let Ok(found) = registry::resolve(local, input, which)
            && found.0 != *input
        {
            return Ok(found);
        }
        if input.is_direct() && !self.settings.use_registries {
            return Ok((input.clone(), None));
        }
        let registries: Vec<Registry> = [local, self.registries(input)?].concat();
        registry::resolve(&registries, input, which)
    }

    /// All registries, those that count first.
    pub fn all_registries(&self) -> Result<Vec<Registry>> {
        let flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let name = Attrs::from([("type".to_owned(), "indirect".into()), ("id".to_owned(), "x".into())]);
        let any = Input::from_attrs(&self.settings, name)?;
        let others = self.registries(&any)?;
        Ok(std::iter::once(flags).chain(others.iter().cloned()).collect())
    }

    /// The registries of the user, the machine and everybody; the last one is only asked for if the name is in none of the
    /// others.
    fn registries(&self, input: &Input) -> Result<&[Registry]> {
        if let Some(registries) = self.registries.get() {
            return Ok(registries);
        }
        let read = |path: &Option<PathBuf>, kind| match path {
            Some(path) => Registry::read(&self.settings, path, kind),
            None => Registry::new(kind),
        };
        let mut registries = vec![
            read(&self.settings.user_registry, Kind::User),
            read(&self.settings.system_registry, Kind::System),
        ];
        match self.settings.flake_registry.as_str() {
            "" => {}
            path if path.starts_with('/') => {
                registries.push(Registry::read(&self.settings, Path::new(path), Kind::Global));
            }
            // Nothing that is direct needs it but to be redirected, which is not worth a request that may fail.
            _ if input.is_direct() => return Ok(&[]),
            address => {
                let file = self.download_file(address, "flake-registry.json", &[])?;
                let path = self.store.physical(&file.store_path);
                registries.push(Registry::read(&self.settings, &path, Kind::Global));
            }
        }
        Ok(self.registries.get_or_init(|| registries))
    }

    /// Fetches an input, or finds that it was fetched.
    pub fn fetch(&self, input: &Input, which: UseRegistries) -> Result<Fetched> {
        if let Some(tree) = self.seen(input) {
            return Ok(Fetched { tree, resolved: input.clone(), folder: None });
        }
        let (resolved, folder) = match (input.is_direct(), which) {
            (true, _) => (input.clone(), None),
            (false, UseRegistries::No) => {
                return Err(InputError::new(format!(
                    "'{}' is an indirect flake reference, but registry lookups are not allowed",
                    input.shown()
                )));
            }
            (false, which) => self.resolve(input, which)?,
        };
        let tree = match self.seen(&resolved) {
            Some(tree) => tree,
            None => self.fetch_direct(&resolved).map_err(|error| self.advised(input, error))?,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(resolved.attrs.clone(), tree.clone());
        Ok(Fetched { tree, resolved, folder })
    }

    fn seen(&self, input: &Input) -> Option<Tree> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&input.attrs).cloned()
    }

    /// Forgets what was fetched in this run: a source of this machine has changed.
    pub fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn fetch_direct(&self, input: &Input) -> Result<Tree> {
        input.scheme("fetch")?;
        let shown = input.to_url()?;
        let made = self
            .make(input)
            .and_then(|made| {
                let mut result = made.input.finally();
                check(input, &mut result)?;
                Ok(Made { input: result, ..made })
            })
            .map_err(|error| error.trace(format!("while fetching the input '{shown}'")))?;
        let work_tree = git::used_in_place(input)?;
        let name = match (&work_tree, input.kind()) {
            (Some(folder), _) => Some(folder.display().to_string()),
            (None, "path") => None,
            _ => Some(format!("«{}»", made.input.shown())),
        };
        (self.settings.fetched)(&made.store_path, name.as_deref(), work_tree.as_deref());
        let mut result = made.input;
        result.set("narHash", made.nar_hash.to_sri());
        match input.nar_hash()? {
            Some(expected) if expected != made.nar_hash => {
                // Nix has the two the wrong way round here, and its words are what is compared with.
                Err(wrong_nar_hash(input, &made.nar_hash, Some(&expected)))
            }
            _ => Ok(Tree { store_path: made.store_path, input: result }),
        }
    }

    /// What the content of a source depends on, if that is known without looking at it.
    pub fn fingerprint(&self, input: &Input) -> Result<Option<String>> {
        let revision = input.revision_text()?;
        let hash = || Ok::<_, InputError>(input.nar_hash()?.map(|hash| hash.to_sri()));
        match input.kind() {
            "git" => self.git_fingerprint(input),
            "github" | "gitlab" | "sourcehut" | "hg" => Ok(revision),
            "tarball" => Ok(hash()?.or(revision)),
            "path" => Ok(hash()?.map(|hash| format!("path:{hash}"))),
            _ => Ok(None),
        }
    }

    /// Copies a source to a new folder: with its history, if it is a repository.
    pub fn clone_to(&self, input: &Input, folder: &Path) -> Result<()> {
        let cloned = match input.kind() {
            "git" => input.clone(),
            "github" | "gitlab" | "sourcehut" => {
                let address = Input::parse(&self.settings, &forge::clone_address(input)?, true)?;
                address.with_overrides(input.reference(), input.revision()?.as_ref())?
            }
            _ => {
                if folder.exists() {
                    let message = format!("cannot clone into existing path \"{}\"", folder.display());
                    return Err(InputError::new(message));
                }
                let tree = self.fetch(input, UseRegistries::No)?.tree;
                let mut filter = zeval_model::tree::everything;
                let physical = self.store.physical(&tree.store_path);
                let mut walker = Walker::new(&physical, &mut filter);
                return restore(&mut walker, folder, Modes::Umask).map_err(failed);
            }
        };
        git::clone(&cloned, folder)
    }

    fn make(&self, input: &Input) -> Result<Made> {
        if input.is_final()
            && let Some(nar_hash) = input.nar_hash()?
        {
            let store_path = input.store_path()?;
            if self.store.keeps(&store_path).map_err(failed)? {
                return Ok(Made { store_path, nar_hash, input: input.clone() });
            }
        }
        match input.kind() {
            "path" => self.path(input),
            "git" => self.git(input),
            "github" | "gitlab" | "sourcehut" => self.forge(input),
            "tarball" => self.tarball(input),
            "file" => self.file(input),
            "hg" => self.mercurial(input),
            _ => {
                Err(InputError::new(format!("indirect input '{}' cannot be fetched directly", input.shown())))
            }
        }
    }

    /// What is known of a store path that was just made.
    fn made(&self, store_path: StorePath, input: Input) -> Result<Made> {
        let nar_hash = self.store.require(&store_path).map_err(failed)?.nar_hash;
        Ok(Made { store_path, nar_hash, input })
    }

    /// Makes a folder of the store's temporary ones a store path.
    fn adopt(&self, folder: &Path, name: &str) -> Result<StorePath> {
        self.store.adopt(name, folder, ContentMethod::Nar, Algorithm::Sha256).map_err(failed)
    }

    /// A tree that an earlier run made, if the store still has it.
    fn remembered(&self, input: &Input, hash: &str) -> Option<StorePath> {
        let mut known = input.clone();
        known.set("narHash", hash);
        let path = known.store_path().ok()?;
        self.store.keeps(&path).ok()?.then_some(path)
    }
}

fn wrong_nar_hash(input: &Input, expected: &Hash, got: Option<&Hash>) -> InputError {
    let got = got.map_or("none".to_owned(), |got| format!("'{}'", got.to_sri()));
    InputError::wrong_hash(format!(
        "NAR hash mismatch in input '{}', expected '{}' but got {got}",
        input.shown(),
        expected.to_sri()
    ))
}

/// Refuses a result that is not what was asked for.
fn check(specified: &Input, result: &mut Input) -> Result<()> {
    if specified.is_final() {
        let mut specified = specified.clone();
        for input in [&mut specified, &mut *result] {
            // Old lock files have hashes without the last `=`.
            if let Some(hash) = input.nar_hash()? {
                input.set("narHash", hash.to_sri());
            }
        }
        for (name, value) in &specified.attrs {
            if result.attrs.get(name).is_some_and(|other| other != value) {
                return Err(InputError::new(format!(
                    "mismatch in field '{name}' of input '{specified:?}', got '{result:?}'"
                )));
            }
        }
        result.attrs = specified.attrs;
        return Ok(());
    }
    if let Some(expected) = specified.nar_hash()? {
        let got = result.nar_hash()?;
        if got != Some(expected) {
            return Err(wrong_nar_hash(specified, &expected, got.as_ref()));
        }
    }
    if let Some(expected) = specified.last_modified().filter(|time| result.last_modified() != Some(*time)) {
        let got = result.last_modified().map_or("-1".to_owned(), |time| time.to_string());
        return Err(InputError::new(format!(
            "'lastModified' attribute mismatch in input '{}', expected {expected}, got {got}",
            result.shown()
        )));
    }
    if let Some(expected) = specified.revision()?
        && result.revision()? != Some(expected)
    {
        return Err(InputError::new(format!(
            "'rev' attribute mismatch in input '{}', expected {}",
            result.shown(),
            expected.to_base16()
        )));
    }
    if let Some(expected) = specified.revision_count().filter(|count| result.revision_count() != Some(*count))
    {
        return Err(InputError::new(format!(
            "'revCount' attribute mismatch in input '{}', expected {expected}",
            result.shown()
        )));
    }
    Ok(())
}
