//! Flakes on the command line: which one is meant, how it is locked, and what in it.

pub mod select;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::Path,
    sync::Arc,
};

use zeval_builder::build::BuildOptions;
use zeval_evaluator::{Evaluator, Failure, Session, Settings, Value, position::PosId, with_large_stack};
use zeval_inputs::{
    Attr, Attrs, Fetcher, FlakeRef, Input, InputError,
    lock::{LockOptions, Locked, parse_path, source_folder},
    reference::{Reading, path::FLAKE_FILES},
    registry::Entry,
};

use crate::{
    cli::{FlakeFlags, Language},
    commands::Context,
    diagnostic::Failed,
    inputs::{self, EvaluationInputs},
    measure::Measure,
    store::EvaluationStore,
};

/// Settings that a flake may have without being asked for: they change nothing but looks.
const HARMLESS: [&str; 5] = [
    "bash-prompt",
    "bash-prompt-prefix",
    "bash-prompt-suffix",
    "commit-lock-file-summary",
    "commit-lockfile-summary",
];

/// A flake, what in it, and which of its outputs: `REF#ATTRIBUTE^OUTPUTS`.
#[derive(Clone, Debug)]
pub struct Installable {
    /// The flake.
    pub reference: FlakeRef,
    /// What in it; empty for what it has by default.
    pub fragment: String,
    /// Which outputs of the derivation.
    pub outputs: Outputs,
}

/// Which outputs of a derivation are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// Those that it says are to be installed.
    Default,
    /// `^*`
    All,
    /// `^a,b`
    Named(Vec<String>),
}

impl Outputs {
    /// Splits what is behind the last `^` off.
    pub fn split(text: &str) -> (&str, Outputs) {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte))
        };
        match text.rsplit_once('^') {
            Some((rest, "*")) => (rest, Outputs::All),
            Some((rest, names)) if names.split(',').all(is_name) => {
                (rest, Outputs::Named(names.split(',').map(str::to_owned).collect()))
            }
            _ => (text, Outputs::Default),
        }
    }
}

/// Whether an operand of a command names a flake, not a file: it has a `#` or a scheme, or is a folder that has a flake
/// and no `default.zx` or `default.nix`.
pub fn is_flake(operand: &OsStr) -> bool {
    let path = Path::new(operand);
    let text = operand.to_string_lossy();
    if path.is_dir() {
        let has = |names: &[&str]| names.iter().any(|name| path.join(name).exists());
        return !has(&["default.zx", "default.nix"]) && has(&FLAKE_FILES);
    }
    let has_scheme = || {
        text.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|first: char| first.is_ascii_lowercase())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        })
    };
    !path.exists() && (text.contains('#') || has_scheme())
}

/// What an evaluation of flakes works with.
pub struct Flakes {
    /// The flags.
    flags: FlakeFlags,
    /// What fetches.
    pub inputs: Arc<EvaluationInputs>,
    /// Where the evaluation writes derivations.
    pub store: Arc<EvaluationStore>,
    /// The system that is meant where none is said.
    pub system: String,
}

type Result<T> = std::result::Result<T, Failure>;

/// An error of inputs as one of the evaluation.
pub fn failed(error: InputError) -> Failure {
    inputs::failure(error).at(PosId::NONE)
}

impl Context {
    /// Evaluates with flakes: purely, unless `--impure` is given.
    pub fn with_flakes<T: Send>(
        &self,
        language: &Language,
        flags: &FlakeFlags,
        options: &BuildOptions,
        adjust: impl FnOnce(&mut Settings),
        work: impl FnOnce(&mut Evaluator, &Flakes) -> Result<T> + Send,
    ) -> std::result::Result<T, Failed> {
        let store = self.store()?;
        let store = Arc::new(EvaluationStore::new(
            store,
            options.clone(),
            self.view.clone(),
            self.cancellation.clone(),
        ));
        let mut settings = language.settings(self.wants_traces());
        settings.pure = !language.impure;
        if settings.pure {
            settings.search_path.clear();
        }
        adjust(&mut settings);
        let flakes = self.flakes(&settings, &language.option, flags, &store)?;
        let measure = Measure::new(language.profile.clone(), language.stats);
        let session = Session::new(settings, measure.store(store.clone()));
        session.use_inputs(flakes.inputs.clone());
        let result = with_large_stack(|| {
            self.evaluating(language, &store, &measure, session, |evaluator| {
                flakes.use_inputs_from(evaluator)?;
                work(evaluator, &flakes)
            })
        });
        let result = result
            .map_err(|error| Failed::other(format!("cannot start a thread to evaluate on: {error}")))?;
        store.flush().map_err(Failed::other)?;
        Ok(result?)
    }

    fn flakes(
        &self,
        settings: &Settings,
        options: &[String],
        flags: &FlakeFlags,
        store: &Arc<EvaluationStore>,
    ) -> std::result::Result<Flakes, Failed> {
        let inputs = self.inputs_with(&settings.features, options, &store.store, |settings| {
            settings.allow_dirty_locks |= flags.allow_dirty_locks;
            settings.use_registries &= !flags.no_use_registries;
            if flags.refresh {
                settings.tarball_ttl = 0;
            }
        })?;
        let (flags, store) = (flags.clone(), Arc::clone(store));
        Ok(Flakes { flags, inputs, store, system: settings.system.clone() })
    }
}

impl Flakes {
    /// What fetches.
    pub fn fetcher(&self) -> Result<&Fetcher> {
        self.inputs.fetcher().map(|fetcher| &**fetcher).map_err(failed)
    }

    fn reading(base: &Path, allow_missing: bool) -> Reading<'_> {
        Reading { base: Some(base), allow_missing, is_flake: true, keep_relative: false }
    }

    /// Reads a reference as the command line has it.
    pub fn reference(&self, text: &str) -> Result<FlakeRef> {
        let base = current_folder()?;
        let settings = self.inputs.settings();
        FlakeRef::parse(settings, &with_home(text), Flakes::reading(&base, false)).map_err(failed)
    }

    /// Reads `REF#ATTRIBUTE^OUTPUTS` as the command line has it.
    pub fn installable(&self, text: &str) -> Result<Installable> {
        let base = current_folder()?;
        let (text, outputs) = Outputs::split(text);
        let text = with_home(text);
        let settings = self.inputs.settings();
        let (reference, fragment) =
            FlakeRef::parse_with_fragment(settings, &text, Flakes::reading(&base, false)).map_err(failed)?;
        Ok(Installable { reference, fragment, outputs })
    }

    /// How the flags say that flakes are locked.
    pub fn options(&self) -> Result<LockOptions> {
        let flags = &self.flags;
        let base = current_folder()?;
        let mut overrides = BTreeMap::new();
        for pair in flags.override_input.chunks_exact(2) {
            let path = input_path(&pair[0])?;
            let settings = self.inputs.settings();
            let reference = FlakeRef::parse(settings, &with_home(&pair[1]), Flakes::reading(&base, true))
                .map_err(failed)?;
            overrides.insert(path, reference);
        }
        let is_elsewhere = flags.reference_lock_file.is_some() && flags.output_lock_file.is_none();
        let mut updates = BTreeSet::new();
        for input in &flags.update_input {
            let words = "'--update-input' is a deprecated alias for 'flake update' and will be removed in a future version.";
            self.inputs.settings().warn(words);
            updates.insert(input_path(input)?);
        }
        Ok(LockOptions {
            update: !flags.no_update_lock_file,
            write: !flags.no_write_lock_file && overrides.is_empty() && !is_elsewhere,
            commit: flags.commit_lock_file,
            use_registries: self.inputs.settings().use_registries,
            reference_lock_file: flags.reference_lock_file.clone(),
            output_lock_file: flags.output_lock_file.clone(),
            in_place: true,
            overrides,
            updates,
            ..LockOptions::default()
        })
    }

    /// Locks a flake as the flags say.
    pub fn lock(&self, evaluator: &mut Evaluator, reference: &FlakeRef) -> Result<Locked> {
        self.lock_with(evaluator, reference, &self.options()?)
    }

    /// The same, the flake itself being put into the store: for commands that tell its store path or hash.
    pub fn lock_copied(&self, evaluator: &mut Evaluator, reference: &FlakeRef) -> Result<Locked> {
        self.lock_with(evaluator, reference, &LockOptions { in_place: false, ..self.options()? })
    }

    /// Locks a flake, and asks about the settings that it would like to have.
    pub fn lock_with(
        &self,
        evaluator: &mut Evaluator,
        reference: &FlakeRef,
        options: &LockOptions,
    ) -> Result<Locked> {
        let locked = inputs::lock(&self.inputs, evaluator, reference, options)?;
        self.keep_inputs(&locked)?;
        for (name, value) in &locked.flake.description.settings {
            self.ask(name, value);
        }
        Ok(locked)
    }

    /// Lets the store keep what the lock file of a flake on this machine pins.
    fn keep_inputs(&self, locked: &Locked) -> Result<()> {
        let FlakeRef { input, folder } = &locked.flake.resolved;
        let Some(source) = source_folder(input).map_err(failed)? else { return Ok(()) };
        let file = source.join(folder).join("flake.lock");
        if !file.is_file() {
            return Ok(());
        }
        let registered = self.fetcher()?.store.register_lock(&file);
        registered.map_err(|error| failed(InputError::new(error.to_string())))
    }

    /// What becomes of a setting that a flake would like to have: none is taken that was not asked for.
    fn ask(&self, name: &str, value: &str) {
        let plain = name.strip_prefix("extra-").unwrap_or(name);
        if HARMLESS.contains(&plain) {
            return;
        }
        let settings = self.inputs.settings();
        settings.warn(match self.flags.accept_flake_config {
            false => format!(
                "ignoring untrusted flake configuration setting '{name}'.\nPass '--accept-flake-config' to trust it"
            ),
            true => format!("the flake's setting '{name} = {value}' is accepted, but has no meaning for zeval"),
        });
    }

    /// The value of a flake: its outputs, with attributes of its own.
    pub fn call(&self, evaluator: &mut Evaluator, locked: &Locked) -> Result<Value> {
        let flake = inputs::evaluator_flake(locked)?;
        evaluator.call_flake(&flake)
    }

    /// The outputs of a flake.
    pub fn outputs(&self, evaluator: &mut Evaluator, locked: &Locked) -> Result<Value> {
        let flake = self.call(evaluator, locked)?;
        let attrs = evaluator.expect_attrs(flake, PosId::NONE, "while parsing cached flake data")?;
        Ok(attrs.get(zeval_evaluator::Symbol::intern(b"outputs")).unwrap_or(Value::NULL))
    }

    /// `--inputs-from`: the inputs of a flake stand for their names.
    fn use_inputs_from(&self, evaluator: &mut Evaluator) -> Result<()> {
        self.use_overrides()?;
        for text in &self.flags.inputs_from {
            let reference = self.reference(text)?;
            let options = LockOptions { write: false, ..LockOptions::default() };
            let locked = inputs::lock(&self.inputs, evaluator, &reference, &options)?;
            for name in locked.lock_file.node(zeval_inputs::lock::ROOT).inputs.keys() {
                let found = locked.lock_file.find(std::slice::from_ref(name)).map_err(failed)?;
                let Some(source) = found.and_then(|node| locked.lock_file.node(node).source.clone()) else {
                    continue;
                };
                let attrs = Attrs::from([
                    ("type".to_owned(), Attr::from("indirect")),
                    ("id".to_owned(), Attr::from(name.as_str())),
                ]);
                let from = Input::from_attrs(self.inputs.settings(), attrs).map_err(failed)?;
                let folder = Some(source.locked.folder).filter(|folder| !folder.is_empty());
                let entry = Entry { from, to: source.locked.input, folder, exact: false };
                self.fetcher()?.override_registry(entry);
            }
        }
        Ok(())
    }
}

impl Flakes {
    /// `--override-flake`: flakes that stand for others.
    fn use_overrides(&self) -> Result<()> {
        let base = current_folder()?;
        let settings = self.inputs.settings();
        for pair in self.flags.override_flake.chunks_exact(2) {
            let read = |text: &str| {
                FlakeRef::parse(settings, &with_home(text), Flakes::reading(&base, true)).map_err(failed)
            };
            let (from, to) = (read(&pair[0])?, read(&pair[1])?);
            let folder = Some(to.folder).filter(|folder| !folder.is_empty());
            self.fetcher()?.override_registry(Entry { from: from.input, to: to.input, folder, exact: false });
        }
        Ok(())
    }
}

/// The path of an input, as the command line has it.
pub fn input_path(text: &str) -> Result<Vec<String>> {
    let path = parse_path(text).map_err(failed)?;
    if path.is_empty() {
        return Err(failed(InputError::new(
            "an input path cannot be empty: it would mean the flake itself, not an input",
        )));
    }
    Ok(path)
}

fn current_folder() -> Result<std::path::PathBuf> {
    let folder = std::env::current_dir();
    folder.map_err(|error| failed(InputError::new(format!("cannot tell the current folder: {error}"))))
}

/// `~/x` as the shell would have it, if it stood alone.
fn with_home(text: &str) -> String {
    match (text.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => text.to_owned(),
    }
}
