//! Inputs for an evaluation: the crate of inputs, as the evaluator sees it.

mod closure;
mod flake;
mod in_place;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use zeval_builder::{cancel::Cancellation, events::Observer, store::Store};
use zeval_evaluator::{
    Evaluator,
    inputs::{Fetched, InputFailure, Inputs, LockedFlake, Tree, Wanted},
    position::PosId,
    shown::{self, Shown},
};
use zeval_inputs::{
    Attrs, Fetcher, FlakeRef, Input, InputError, Settings, fetch::nar_or_file_hash, reference::Reading,
    registry::UseRegistries, url,
};

use zeval_model::StorePath;

use crate::nix::settings::NixSettings;

pub use flake::{evaluator_flake, lock};

/// Opens the store when something is fetched.
type Open = Box<dyn Fn() -> Result<Arc<Store>, String> + Send + Sync>;

/// Inputs, fetched into a store that is opened when it must be.
pub struct EvaluationInputs {
    settings: Settings,
    open: Open,
    observer: Arc<dyn Observer>,
    cancellation: Cancellation,
    /// Whose signatures are believed.
    trusted_keys: Vec<String>,
    /// Whether what is not made from its contents needs a signature.
    require_signatures: bool,
    fetcher: OnceLock<Result<Arc<Fetcher>, String>>,
}

/// What the settings of inputs are for this user, with some experimental features on.
pub fn settings(features: &[String]) -> Settings {
    let mut settings = Settings::new(cache_folder().join("zeval/inputs"));
    settings.features = features.to_vec();
    settings.user_registry = config_folder().map(|folder| folder.join("nix/registry.json"));
    settings.fetched = Arc::new(|path, name, work_tree| {
        if let Some(name) = name {
            let shown = Shown { name: name.to_owned(), work_tree: work_tree.map(Path::to_owned) };
            shown::register(&path.to_string(), shown);
        }
    });
    settings
}

fn folder_of(variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below_home)))
}

/// Where what can be had again is kept.
fn cache_folder() -> PathBuf {
    folder_of("XDG_CACHE_HOME", ".cache").unwrap_or_else(std::env::temp_dir)
}

/// Where the user's configuration is.
fn config_folder() -> Option<PathBuf> {
    folder_of("XDG_CONFIG_HOME", ".config")
}

/// Lets Nix's settings say how inputs are treated.
pub fn apply(given: &NixSettings, settings: &mut Settings) {
    settings.tarball_ttl = given.number("tarball-ttl").unwrap_or(settings.tarball_ttl);
    let switches = [
        ("allow-dirty", &mut settings.allow_dirty),
        ("warn-dirty", &mut settings.warn_dirty),
        ("allow-dirty-locks", &mut settings.allow_dirty_locks),
        ("use-registries", &mut settings.use_registries),
        ("trust-tarballs-from-git-forges", &mut settings.trust_tarballs_from_git_forges),
    ];
    for (name, value) in switches {
        *value = given.is_on(name).unwrap_or(*value);
    }
    if let Some(registry) = given.text("flake-registry").filter(|registry| !registry.is_empty()) {
        settings.flake_registry = registry.to_owned();
    }
    if let Some(summary) = given.text("commit-lock-file-summary") {
        settings.commit_summary = summary.to_owned();
    }
    let tokens = given.words("access-tokens");
    let tokens = tokens.iter().filter_map(|token| token.split_once('='));
    settings.access_tokens.extend(tokens.map(|(host, token)| (host.to_owned(), token.to_owned())));
}

impl EvaluationInputs {
    /// Inputs with settings, fetched into the store that `open` gives.
    pub fn new(
        settings: Settings,
        open: Open,
        observer: Arc<dyn Observer>,
        cancellation: Cancellation,
    ) -> EvaluationInputs {
        EvaluationInputs {
            settings,
            open,
            observer,
            cancellation,
            trusted_keys: Vec::new(),
            require_signatures: true,
            fetcher: OnceLock::new(),
        }
    }

    /// The same, where what caches have is believed as settings say.
    pub fn trusting(self, given: &NixSettings) -> EvaluationInputs {
        let trusted_keys = given.words("trusted-public-keys");
        let require_signatures = given.is_on("require-sigs") != Some(false);
        EvaluationInputs { trusted_keys, require_signatures, ..self }
    }

    /// How inputs are treated.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What fetches, with the store opened.
    pub fn fetcher(&self) -> Result<&Arc<Fetcher>, InputError> {
        let opened = self.fetcher.get_or_init(|| {
            let store = (self.open)()?;
            let (observer, cancellation) = (self.observer.clone(), self.cancellation.clone());
            let fetcher = Fetcher::new(self.settings.clone(), store, observer, cancellation);
            Ok(Arc::new(fetcher))
        });
        opened.as_ref().map_err(|error| InputError::new(error.clone()))
    }

    fn input(&self, wanted: Wanted) -> Result<Input, InputError> {
        match wanted {
            Wanted::Attrs(attrs) => Input::from_attrs(&self.settings, attrs),
            Wanted::Address(address) => Input::parse(&self.settings, &address, true),
        }
    }
}

/// An error of inputs as the evaluator has it.
pub fn failure(error: InputError) -> InputFailure {
    InputFailure { message: error.message, traces: error.traces, advice: error.advice, status: error.status }
}

/// What the evaluator is told of a source.
pub fn tree(store_path: StorePath, input: &Input) -> Result<Tree, InputError> {
    let text = |name: &str| input.text(name).ok().flatten().map(str::to_owned);
    Ok(Tree {
        store_path,
        nar_hash: input.nar_hash()?.map(|hash| hash.to_sri()),
        submodules: (input.kind() == "git").then(|| input.flag("submodules")).transpose()?,
        revision: input.revision_text()?,
        revision_count: input.revision_count(),
        dirty_revision: text("dirtyRev").zip(text("dirtyShortRev")),
        last_modified: input.last_modified(),
        branch: (input.kind() == "hg").then(|| text("ref")).flatten(),
    })
}

impl Inputs for EvaluationInputs {
    fn parse_reference(&self, text: &str) -> Result<Attrs, InputFailure> {
        let parsed = FlakeRef::parse(&self.settings, text, Reading::BUILTIN);
        parsed.map(|reference| reference.to_attrs()).map_err(failure)
    }

    fn reference_text(&self, attrs: &Attrs) -> Result<String, InputFailure> {
        let reference = FlakeRef::from_attrs(&self.settings, attrs);
        reference.and_then(|reference| reference.to_text()).map_err(failure)
    }

    fn git_address(&self, text: &str) -> Result<String, InputFailure> {
        url::git_url(text).map(|url| url.to_string()).map_err(failure)
    }

    fn address(&self, wanted: &Wanted) -> Result<String, InputFailure> {
        let address = self.input(wanted.clone()).and_then(|input| input.to_url());
        address.map(|address| address.to_string()).map_err(failure)
    }

    fn fetch_tree(
        &self,
        wanted: Wanted,
        caller: &str,
        pure: bool,
        is_final: bool,
    ) -> Result<Tree, InputFailure> {
        let fetch = || -> Result<Tree, InputError> {
            let mut input = self.input(wanted)?;
            let has_flakes = self.settings.require("flakes").is_ok();
            if !pure && !input.is_direct() && has_flakes {
                input = self.fetcher()?.resolve(&input, UseRegistries::Limited)?.0;
            }
            if pure && !input.is_locked(&self.settings) {
                let shown = input.to_url()?;
                if input.nar_hash()?.is_none() {
                    return Err(InputError::new(format!(
                        "in pure evaluation mode, '{caller}' doesn't fetch unlocked input '{shown}'"
                    )));
                }
                self.settings.warn(format!(
                    "Input '{shown}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. This is not \
                     reproducible and will break after garbage collection or when shared."
                ));
            }
            let shown = input.to_url()?;
            if is_final {
                input = input.finally();
            } else if input.is_final() {
                let message = format!("input '{shown}' is not allowed to use the '__final' attribute");
                return Err(InputError::new(message));
            }
            let fetched = self.fetcher()?.fetch(&input, UseRegistries::No)?.tree;
            tree(fetched.store_path, &fetched.input)
        };
        fetch().map_err(failure)
    }

    fn fetch_file(&self, address: &str, name: &str, unpack: bool) -> Result<Fetched, InputFailure> {
        let fetch = || -> Result<Fetched, InputError> {
            let fetcher = self.fetcher()?;
            let store_path = match unpack {
                true => fetcher.fetch_archive(address, name)?,
                false => fetcher.download_file(address, name, &[])?.store_path,
            };
            let hash = nar_or_file_hash(fetcher, &store_path, unpack)?;
            Ok(Fetched { store_path, hash })
        };
        fetch().map_err(failure)
    }

    fn copy_closure(&self, cache: &str, path: &StorePath) -> Result<(), InputFailure> {
        self.closure_copied(cache, path).map_err(failure)
    }

    fn readdress_closure(&self, cache: &str, path: &StorePath) -> Result<StorePath, InputFailure> {
        self.closure_readdressed(cache, path).map_err(failure)
    }

    fn lock_flake(
        &self,
        evaluator: &mut Evaluator,
        reference: &str,
        pos: PosId,
    ) -> zeval_evaluator::Result<LockedFlake> {
        flake::of_builtin(self, evaluator, reference, pos)
    }
}
