//! The commands of `zeval`, a file each, and what they have in common.

pub mod announce;
mod build;
pub mod captured;
mod compare;
pub mod copy;
pub mod develop;
mod doc;
mod doctor;
pub mod eval;
mod explain;
mod fetch;
pub mod flake;
mod fmt;
pub mod history;
pub mod host;
mod init;
mod instantiate;
mod lint;
mod log;
mod lsp;
mod pages;
mod pin;
pub mod repair;
pub mod run;
pub mod store;
pub mod targets;
mod test;
mod texts;
mod verify;
mod why_rebuild;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Once},
};

use clap::Parser;
use zeval_builder::{
    build::{BuildError, BuildOptions, Sandboxing},
    cache::{Cache, Substitution, Trust},
    cancel::Cancellation,
    events::Event,
    fetch::{self as fetching, FetchError, Reason},
    sandbox::{Bind, Limits},
    schedule::{Failure, RealiseError},
    store::{Store, StoreError},
};
use zeval_evaluator::{EvalError, Evaluator, eval::INTERRUPT};

use crate::{
    cli::{BuildFlags, Cli, Command, ErrorFormat, Global},
    diagnostic::{Failed, report},
    inputs::EvaluationInputs,
    nix::settings::NixSettings,
    progress::{self, View},
};

/// The exit status of an interrupted command, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// What a command works with.
#[derive(Clone)]
pub struct Context {
    pub global: Global,
    pub view: Arc<dyn View>,
    pub cancellation: Cancellation,
}

pub type Result<T> = std::result::Result<T, Failed>;

/// Parses the command line and does what it says.
pub fn run() -> ExitCode {
    if is_version_as_json() {
        print(&pages::version());
        return ExitCode::SUCCESS;
    }
    let Cli { global, command } = Cli::parse();
    let view = progress::view(&global);
    let context = Context { global, view, cancellation: Cancellation::new() };
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the process at once: the store is safe at any moment.
        let flag = context.cancellation.flag();
        let armed = signal_hook::flag::register_conditional_shutdown(
            signal,
            i32::from(INTERRUPTED),
            Arc::clone(&flag),
        );
        if let Err(error) = armed.and_then(|_| signal_hook::flag::register(signal, flag)) {
            eprintln!("warning: signals cannot be handled: {error}");
        }
    }
    let result = match command {
        Command::Build(arguments) => build::run(&context, &arguments),
        Command::Copy(arguments) => copy::run(&context, &arguments),
        Command::Completions(arguments) => pages::completions(&arguments),
        Command::Doc(arguments) => doc::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&context, &arguments),
        Command::Eval(arguments) => eval::run(&context, &arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Fetch(arguments) => fetch::run(&context, &arguments),
        Command::Flake(arguments) => flake::run(&context, &arguments),
        Command::Fmt(arguments) => fmt::run(&context, &arguments),
        Command::History(arguments) => history::run(&context, &arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Instantiate(arguments) => instantiate::run(&context, &arguments),
        Command::Lint(arguments) => lint::run(&context, &arguments),
        Command::Log(arguments) => log::run(&context, &arguments),
        Command::Lsp => lsp::run(),
        Command::Man(arguments) => pages::man(&arguments),
        Command::Pin(arguments) => pin::run(&context, &arguments),
        Command::Repl(arguments) => crate::repl::run(&context, &arguments),
        Command::Run(arguments) => run::run(&context, &arguments),
        Command::Shell(arguments) => run::shell(&context, &arguments),
        Command::Develop(arguments) => develop::run(&context, &arguments),
        Command::Serve(arguments) => copy::serve(&context, &arguments),
        Command::Store(arguments) => store::run(&context, &arguments),
        Command::Test(arguments) => test::run(&context, &arguments),
        Command::Verify(arguments) => verify::run(&context, &arguments),
        Command::WhyRebuild(arguments) => why_rebuild::run(&context, &arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => context.tell(&failed),
    }
}

/// `zeval --version --json`, in either order: clap itself has a text for `--version` only.
fn is_version_as_json() -> bool {
    let mut words: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    words.sort();
    words == ["--json", "--version"]
}

/// Lets a signal end what an evaluator does.
pub fn interrupt_on_signals(evaluator: &Evaluator) {
    let limit = evaluator.interrupter();
    if let Err(error) = signal_hook::flag::register_usize(signal_hook::consts::SIGINT, limit, INTERRUPT) {
        eprintln!("warning: signals cannot be handled: {error}");
    }
}

impl Context {
    /// For what works in a command under one of Nix's names: errors are shown as Nix shows them.
    pub fn under_nix_name(show_trace: bool) -> Context {
        let global = Global {
            store: None,
            show_trace,
            error_format: ErrorFormat::Nix,
            log_format: None,
            quiet: false,
        };
        Context { global, view: progress::plain(), cancellation: Cancellation::new() }
    }

    /// Opens the store.
    pub fn store(&self) -> Result<Arc<Store>> {
        let folder = self.global.store.clone().or_else(crate::store::default_folder);
        let Some(folder) = folder else {
            return Err(Failed::other(
                "no folder for the store is known: set HOME, ZEVAL_STORE, or give --store DIR",
            ));
        };
        let syncing = settings(&[])?.syncing();
        let store = Store::open_syncing(&folder, syncing).map_err(Failed::other)?;
        self.view.remember(store.efforts().map_err(Failed::other)?);
        Ok(Arc::new(store))
    }

    /// Inputs, fetched into a store, as settings say; `options` are those of `--option`.
    pub fn inputs(
        &self,
        features: &[String],
        options: &[String],
        store: &Arc<Store>,
    ) -> Result<Arc<EvaluationInputs>> {
        self.inputs_with(features, options, store, |_| ())
    }

    /// The same, with some settings changed.
    pub fn inputs_with(
        &self,
        features: &[String],
        options: &[String],
        store: &Arc<Store>,
        adjust: impl FnOnce(&mut zeval_inputs::Settings),
    ) -> Result<Arc<EvaluationInputs>> {
        let mut settings = crate::inputs::settings(features);
        let given = self::settings(options)?;
        crate::inputs::apply(&given, &mut settings);
        adjust(&mut settings);
        let view = self.view.clone();
        settings.warn = Arc::new(move |text| view.event(Event::Warning { text: text.to_owned() }));
        let store = Arc::clone(store);
        let open = Box::new(move || Ok(Arc::clone(&store)));
        let (view, cancellation) = (self.view.clone(), self.cancellation.clone());
        let inputs = EvaluationInputs::new(settings, open, view, cancellation);
        Ok(Arc::new(inputs.trusting(&given)))
    }

    /// An error in an expression as the user wants to see it.
    pub fn shown(&self, error: &EvalError, show_trace: bool) -> String {
        match self.global.error_format {
            ErrorFormat::Human => report(error, show_trace),
            ErrorFormat::Json => crate::diagnostic::json(error),
            ErrorFormat::Nix => crate::nix::render_error("zeval", error, show_trace),
        }
    }

    fn tell(&self, failed: &Failed) -> ExitCode {
        match failed {
            Failed::Evaluation(error) => {
                crate::output::tell(&self.shown(error, self.global.show_trace));
                ExitCode::from(error.status as u8)
            }
            Failed::Build { text, status } => {
                eprintln!("error: {text}");
                ExitCode::from(*status)
            }
            Failed::Program(status) => ExitCode::from(*status),
            Failed::Other(text) => {
                eprintln!("error: {text}");
                ExitCode::FAILURE
            }
            Failed::Cancelled => {
                eprintln!("interrupted; what was finished is kept, the next run goes on from there");
                ExitCode::from(INTERRUPTED)
            }
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        match error {
            StoreError::Cancelled => Failed::Cancelled,
            error => Failed::Other(error.to_string()),
        }
    }
}

impl From<RealiseError> for Failed {
    fn from(error: RealiseError) -> Failed {
        let mut text = error.to_string();
        match &error {
            RealiseError::Cancelled => Failed::Cancelled,
            RealiseError::Failed { failures, .. } => {
                text.push_str(&logs(failures));
                let status = failures.iter().fold(0, |status, failure| status | status_of(&failure.error));
                Failed::Build { text, status }
            }
            _ => Failed::Other(text),
        }
    }
}

/// How to see more of each failure; of several, what failed as a list.
fn logs(failures: &[Failure]) -> String {
    let log = |failure: &Failure| failure.log.as_ref().map(|_| format!("zeval log {}", failure.drv));
    match failures {
        [one] => log(one).map(|command| format!("\nthe whole log: {command}")).unwrap_or_default(),
        several => {
            let mut lines: Vec<String> = several
                .iter()
                .map(|failure| {
                    let name = failure.drv.name().trim_end_matches(".drv");
                    let log = log(failure).map(|command| format!(": {command}"));
                    format!("\n  {name}{}", log.unwrap_or_default())
                })
                .collect();
            lines.sort();
            format!("\n{} failed, and the whole log of each:{}", several.len(), lines.concat())
        }
    }
}

/// The exit status of `nix-build` for a failure; those of several failures are combined with "or".
fn status_of(error: &BuildError) -> u8 {
    const FAILED: u8 = 100;
    const TIMED_OUT: u8 = 101;
    const WRONG_HASH: u8 = 102;
    const DIFFERS: u8 = 104;
    match error {
        BuildError::TimedOut { .. } | BuildError::Silent { .. } => TIMED_OUT,
        BuildError::HashMismatch { .. } => WRONG_HASH,
        BuildError::Fetch(fetching::Error::Fetch(FetchError::NoAddressServes { attempts, .. }))
            if attempts.iter().any(|attempt| matches!(attempt.reason, Reason::WrongHash(_))) =>
        {
            WRONG_HASH
        }
        BuildError::Differs { .. } => DIFFERS,
        _ => FAILED,
    }
}

/// Prints a result. Nobody may read it to its end: that is no error of ours.
fn print(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
}

/// Whom flags and settings say to believe.
pub fn trust(keys: &[String]) -> Result<Trust> {
    let settings = NixSettings::from_environment().map_err(Failed::other)?;
    let mut words = settings.words("trusted-public-keys");
    words.extend(keys.iter().cloned());
    copy::trust_in(&words)
}

/// What configuration files, the environment and `--option` say.
pub fn settings(options: &[String]) -> Result<NixSettings> {
    let mut settings = NixSettings::from_environment().map_err(Failed::other)?;
    for pair in options.chunks_exact(2) {
        settings.set(&pair[0], &pair[1]);
    }
    Ok(settings)
}

/// The caches that flags and settings name, unless they say to take nothing from any.
fn substitution(flags: &BuildFlags, settings: &NixSettings) -> Result<Option<Arc<Substitution>>> {
    if flags.no_substitute || settings.is_on("substitute") == Some(false) {
        return Ok(None);
    }
    let mut urls = flags.substituter.clone();
    if urls.is_empty() {
        urls = settings.words("substituters");
    }
    let caches: Vec<Cache> = urls.iter().map(|url| Cache::new(url)).collect::<std::result::Result<_, _>>()?;
    if caches.is_empty() {
        return Ok(None);
    }
    let mut keys = settings.words("trusted-public-keys");
    keys.extend(flags.trusted_public_key.iter().cloned());
    let mut trust = copy::trust_in(&keys)?;
    trust.require_signatures = settings.is_on("require-sigs").unwrap_or(true);
    Ok(Some(Arc::new(Substitution { caches, trust })))
}

/// The files of the machine that every build is to see, as `TARGET` or `TARGET=SOURCE`, with `?` at the end if they may be
/// missing.
fn sandbox_paths(words: &[String]) -> Result<Vec<Bind>> {
    let mut binds = Vec::new();
    for word in words {
        let (word, may_be_missing) = match word.strip_suffix('?') {
            Some(word) => (word, true),
            None => (word.as_str(), false),
        };
        let (target, source) = word.split_once('=').unwrap_or((word, word));
        let (target, source) = (PathBuf::from(target), PathBuf::from(source));
        if !target.is_absolute() || !source.is_absolute() {
            return Err(Failed::other(format!("the sandbox path '{word}' is not absolute")));
        }
        if source.exists() {
            binds.push(Bind { source, target, writable: false });
        } else if !may_be_missing {
            return Err(Failed::other(format!("the sandbox path '{}' does not exist", source.display())));
        }
    }
    Ok(binds)
}

/// The builder's options that flags and settings stand for; `options` are those of `--option`.
pub fn build_options(flags: &BuildFlags, options: &[String]) -> Result<BuildOptions> {
    let options = build_options_in(flags, &settings(options)?)?;
    if options.sandboxing == Sandboxing::Off {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            eprintln!(
                "warning: the setting `sandbox` is false: builds see this machine's files and network, and may change what you may"
            );
        });
    }
    Ok(options)
}

fn sandboxing(flags: &BuildFlags, settings: &NixSettings) -> Sandboxing {
    if settings.is_on("sandbox") == Some(false) {
        return Sandboxing::Off;
    }
    match flags.allow_no_chroot || settings.text("sandbox") == Some("relaxed") {
        true => Sandboxing::Relaxed,
        false => Sandboxing::Strict,
    }
}

/// The builder's options that flags and settings stand for.
pub fn build_options_in(flags: &BuildFlags, settings: &NixSettings) -> Result<BuildOptions> {
    let default = BuildOptions::default();
    let seconds = |name: &str| {
        settings.number::<u64>(name).filter(|&seconds| seconds > 0).map(std::time::Duration::from_secs)
    };
    let mut paths = settings.words("sandbox-paths");
    paths.extend(flags.sandbox_path.iter().cloned());
    let mut features = default.features.clone();
    features.extend(settings.words("system-features"));
    let mut systems = default.systems.clone();
    systems.extend(settings.words("extra-platforms"));
    let hook = |name: &str| settings.text(name).filter(|hook| !hook.is_empty()).map(PathBuf::from);
    let limits = Limits {
        processes: flags.max_processes.unwrap_or(default.limits.processes).max(1),
        memory: flags.max_memory,
        processors: flags.max_cpu.map(|processors| processors.max(1)),
    };
    let cores = flags.cores.or(settings.number("cores")).filter(|&cores| cores > 0).unwrap_or(default.cores);
    Ok(BuildOptions {
        jobs: flags.max_jobs.or(settings.number("max-jobs")).unwrap_or(default.jobs).max(1),
        cores: limits.processors.map_or(cores, |processors| cores.min(processors)),
        keep_going: flags.keep_going || settings.is_on("keep-going") == Some(true),
        keep_failed: flags.keep_failed || settings.is_on("keep-failed") == Some(true),
        timeout: flags.timeout.or(seconds("timeout")),
        max_silent_time: flags.max_silent_time.or(seconds("max-silent-time")),
        max_log_size: settings
            .number("max-build-log-size")
            .map_or(default.max_log_size, |size: u64| (size > 0).then_some(size)),
        limits,
        impure_host_paths: settings.words("allowed-impure-host-deps").iter().map(PathBuf::from).collect(),
        pre_build_hook: hook("pre-build-hook"),
        sandbox_paths: sandbox_paths(&paths)?,
        sandboxing: sandboxing(flags, settings),
        as_caller: settings.text("build-users-group") == Some(""),
        features,
        systems,
        post_build_hook: flags.post_build_hook.clone().or_else(|| hook("post-build-hook")),
        substitution: substitution(flags, settings)?,
        ..default
    })
}
