//! Building for the commands under Nix's names: what they say before, meanwhile, and when something fails.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
    io::IsTerminal,
    sync::{Mutex, MutexGuard, PoisonError},
};

use zeval_builder::{
    build::{BuildError, BuildOptions, Check},
    cancel::Cancellation,
    events::{ActivityId, Event, Observer},
    fetch::{self, FetchError, Reason},
    printable::printable,
    schedule::{Builder, DrvOutput, Failure, RealiseError},
    store::Store,
    user_environment,
};
use zeval_model::{Derivation, StorePath, derivation::DerivationKind};

use super::{
    errors,
    flags::{Common, INFO, WARN},
    outcome::{Outcome, Stop, fail},
};
use crate::commands::announce::{Announcer, announcing};

/// What is to be valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// A path that is no derivation.
    Path(StorePath),
    /// Outputs of a derivation.
    Outputs { drv: StorePath, outputs: BTreeSet<String> },
}

/// Builds, and says what Nix says.
pub struct Realiser<'s> {
    pub store: &'s Store,
    pub options: BuildOptions,
    pub verbosity: i32,
    pub build_output: bool,
    /// Whether the name of its build stands before each line that a builder prints.
    pub named: bool,
}

impl<'s> Realiser<'s> {
    /// As the shared flags want it.
    pub fn new(store: &'s Store, options: BuildOptions, common: &Common) -> Realiser<'s> {
        let (verbosity, build_output) = (common.verbosity, common.build_output);
        Realiser { store, options, verbosity, build_output, named: false }
    }

    /// Says what will have to be built, and what nobody knows how to.
    pub fn announce(&self, wanted: &[Wanted]) -> Outcome<()> {
        self.announce_beside(wanted, BTreeSet::new)
    }

    /// The same, with what has begun to be built: that is asked for last, as it grows.
    fn announce_beside(&self, wanted: &[Wanted], begun: impl FnOnce() -> BTreeSet<StorePath>) -> Outcome<()> {
        if self.verbosity < INFO {
            return Ok(());
        }
        let planned = Builder::new(self.store, self.options.clone()).plan(&outputs(wanted));
        let planned = planned.map_err(|error| self.unplannable(&error))?;
        let mut drvs: BTreeSet<StorePath> = planned.into_iter().map(|planned| planned.drv).collect();
        drvs.extend(begun());
        match drvs.len() {
            0 => {}
            1 => eprintln!("this derivation will be built:"),
            count => eprintln!("these {count} derivations will be built:"),
        }
        for drv in self.store.references_first(&drvs)? {
            eprintln!("  {drv}");
        }
        let unknown = self.unknown(wanted)?;
        if !unknown.is_empty() {
            eprintln!("don't know how to build these paths:");
            unknown.iter().for_each(|path| eprintln!("  {path}"));
        }
        Ok(())
    }

    /// The plain paths that are not valid.
    pub fn unknown(&self, wanted: &[Wanted]) -> Outcome<BTreeSet<StorePath>> {
        let mut unknown = BTreeSet::new();
        for wanted in wanted {
            if let Wanted::Path(path) = wanted
                && !self.store.is_valid(path)?
            {
                unknown.insert(path.clone());
            }
        }
        Ok(unknown)
    }

    fn refuse_unknown(&self, wanted: &[Wanted]) -> Outcome<()> {
        match self.unknown(wanted)?.pop_first() {
            Some(path) => {
                fail(format!("path '{path}' is required, but there is no substituter that can build it"))
            }
            None => Ok(()),
        }
    }

    /// Makes valid what `find` finds, and begins while it still finds: it tells the announcer what it knows already. All is said
    /// in Nix's order, as if nothing was begun before everything is known; what fails before is told then, too.
    pub fn build_while(&self, find: impl FnOnce(&Announcer<'_>) -> Outcome<Vec<Wanted>>) -> Outcome<()> {
        let mut lines = Lines::new(self.verbosity, self.build_output, self.named);
        lines.held = Mutex::new(Some(Vec::new()));
        let (mut asked, mut stopped) = (Vec::new(), None);
        let builder = Builder::new(self.store, self.options.clone());
        let built = builder.build_while(&lines, &Cancellation::new(), |wants| {
            let found = announcing(wants, find).and_then(|found| {
                self.announce_beside(&found, || lines.planned())?;
                self.refuse_unknown(&found)?;
                Ok(found)
            });
            match found {
                Ok(found) => asked = outputs(&found),
                Err(stop) => {
                    stopped = Some(stop);
                    return Err(RealiseError::Cancelled);
                }
            }
            lines.release();
            wants.add(asked.clone());
            Ok(asked.clone())
        });
        match (stopped, built) {
            (Some(stop), _) => Err(stop),
            (None, Ok(_)) => Ok(self.store.settle()?),
            (None, Err(error)) => Err(self.unrealised(&asked, error)),
        }
    }

    fn unrealised(&self, wanted: &[DrvOutput], error: RealiseError) -> Stop {
        match error {
            RealiseError::Failed { failures, dropped } => self.failed(wanted, &failures, &dropped),
            error => self.unplannable(&error),
        }
    }

    /// Makes everything valid.
    pub fn build(&self, wanted: &[Wanted]) -> Outcome<()> {
        self.refuse_unknown(wanted)?;
        let wanted = outputs(wanted);
        if self.options.check != Check::Nothing
            && !self.options.repair
            && let Some(new) = wanted.iter().find(|wanted| !self.is_built(&wanted.drv))
        {
            return fail(nothing_to_compare(&new.drv));
        }
        let mut lines = Lines::new(self.verbosity, self.build_output, self.named);
        lines.checks = self.options.check != Check::Nothing && !self.options.repair;
        let builder = Builder::new(self.store, self.options.clone());
        let built = builder.build(&wanted, &lines, &Cancellation::new());
        built.map_err(|error| self.unrealised(&wanted, error))?;
        if self.options.check == Check::Nothing {
            self.store.settle()?;
        }
        Ok(())
    }

    fn unplannable(&self, error: &RealiseError) -> Stop {
        match error {
            RealiseError::NoSuchOutput { drv, output, .. } => {
                Stop::of(format!("derivation '{drv}' does not have output '{output}'"))
            }
            error => Stop::of(error),
        }
    }

    /// Says what failed, in the order of Nix: what others waited for, then what was asked for.
    fn failed(&self, wanted: &[DrvOutput], failures: &[Failure], dropped: &[StorePath]) -> Stop {
        let status = exit_status(failures, |drv| self.is_fixed(drv));
        let mut asked: Vec<&StorePath> = wanted.iter().map(|wanted| &wanted.drv).collect();
        asked.sort_by_key(|drv| (drv.name(), drv.base_name()));
        asked.dedup();
        let waited_for: BTreeSet<StorePath> = dropped.iter().flat_map(|drv| self.inputs(drv)).collect();
        for failure in failures {
            if !asked.contains(&&failure.drv) || waited_for.contains(&failure.drv) {
                eprint!("{}", errors::message(&self.describe(failure)));
            }
        }
        let lost: BTreeSet<&StorePath> = failures.iter().map(|failure| &failure.drv).chain(dropped).collect();
        let mut texts: Vec<(StorePath, String)> = Vec::new();
        for drv in dropped.iter().filter(|drv| !asked.contains(drv)) {
            eprint!("{}", errors::message(&self.dependency_failed(drv, &lost)));
        }
        for drv in asked {
            let failure = failures.iter().find(|failure| failure.drv == *drv);
            match failure {
                Some(failure) => texts.push((drv.clone(), self.describe(failure))),
                None if dropped.contains(drv) => {
                    texts.push((drv.clone(), self.dependency_failed(drv, &lost)));
                }
                None if !self.is_built(drv) => texts.push((drv.clone(), String::new())),
                None => {}
            }
        }
        self.last_words(texts, status)
    }

    /// One failure is the error; of several all are told, and then that they failed.
    fn last_words(&self, mut texts: Vec<(StorePath, String)>, status: u8) -> Stop {
        if texts.len() < 2 {
            let text = texts.pop().map(|(_, text)| text).unwrap_or_default();
            return Stop::Failed { text, status };
        }
        let first = texts.iter().position(|(_, text)| !text.is_empty()).unwrap_or(0);
        let (others, first) = (
            texts.iter().enumerate().filter(|(index, _)| *index != first).map(|(_, (_, text))| text),
            &texts[first].1,
        );
        for text in others.chain([first]) {
            match text.is_empty() {
                true => eprintln!(),
                false => eprint!("{}", errors::message(text)),
            }
        }
        let names: BTreeSet<String> = texts.iter().map(|(drv, _)| format!("'{drv}'")).collect();
        let names: Vec<String> = names.into_iter().collect();
        Stop::Failed { text: format!("build of {} failed", names.join(", ")), status }
    }

    fn inputs(&self, drv: &StorePath) -> Vec<StorePath> {
        let drv = self.store.derivation(drv);
        drv.map_or_else(|_| Vec::new(), |drv| drv.input_derivations.into_keys().collect())
    }

    fn is_fixed(&self, drv: &StorePath) -> bool {
        self.store.derivation(drv).is_ok_and(|drv| matches!(drv.kind(), Ok(DerivationKind::Fixed)))
    }

    fn is_built(&self, drv: &StorePath) -> bool {
        let known = output_paths(self.store, drv).unwrap_or_default();
        known
            .iter()
            .all(|(_, path)| path.as_ref().is_some_and(|path| self.store.is_valid(path).unwrap_or(false)))
    }

    fn describe(&self, failure: &Failure) -> String {
        let drv = &failure.drv;
        match &failure.error {
            BuildError::BuilderFailed { last_lines, .. } => {
                let reason = reason_of(&failure.error);
                let mut text = self.cannot_build(drv, &format!("builder {reason}."));
                if !self.build_output && !last_lines.is_empty() {
                    let lines: String = last_lines.iter().map(|line| format!("> {line}\n")).collect();
                    let _ = write!(text, "Last {} log lines:\n{lines}", last_lines.len());
                    let _ = write!(text, "For full logs, run:\n  nix log {drv}");
                }
                text
            }
            BuildError::MissingOutput { output, path, .. } => format!(
                "builder for '{drv}' failed to produce output path for output '{output}' at \"{}\"",
                self.store.physical(path).display()
            ),
            error if wrong_hash(error).is_some() => {
                let (expected, actual) = wrong_hash(error).unwrap_or_default();
                format!(
                    "hash mismatch in fixed-output derivation '{drv}':\n  specified: {expected}\n     got:    {actual}"
                )
            }
            BuildError::ForbiddenReferences { path, bad, .. } => {
                let bad: String = bad.iter().map(|path| format!("\n  {path}")).collect();
                format!("output '{path}' is not allowed to refer to the following paths:{bad}")
            }
            BuildError::TooLarge { path, actual, limit, closure, .. } => {
                let what = if *closure { "closure of path" } else { "path" };
                format!("{what} '{path}' is too large at {actual} bytes; limit is {limit} bytes")
            }
            BuildError::OutputCycle(outputs) => {
                let [first, second, ..] = &outputs[..] else {
                    return self.cannot_build(drv, "outputs in a cycle.");
                };
                format!(
                    "cycle detected in build of '{drv}' in the references of output '{first}' from output '{second}'"
                )
            }
            BuildError::BadReferenceSpecifier { output, specifier, outputs } => format!(
                "derivation '{drv}' output check for '{output}' contains output name '{specifier}', but this is not a valid output of this derivation. (Valid outputs are [{}].)",
                outputs.join(", ")
            ),
            BuildError::NotAFlatFile { output, .. } => {
                let paths = output_paths(self.store, drv).unwrap_or_default();
                let path = paths.into_iter().find(|(name, _)| name == output).and_then(|(_, path)| path);
                let path = path.map(|path| self.store.physical(&path).display().to_string());
                format!(
                    "output path \"{}\" should be a non-executable regular file since recursive hashing is not enabled (one of outputHashMode={{flat,text}} is true)",
                    path.as_deref().unwrap_or(output)
                )
            }
            error if let Some((builder, reason)) = error.unexecutable() => {
                let reason = reason.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default();
                eprint!("{}", errors::message(&format!("executing '{builder}': {reason}")));
                self.cannot_build(drv, "builder failed with exit code 1.")
            }
            BuildError::NoSandbox => {
                format!(
                    "derivation '{drv}' has '__noChroot' set, but that's not allowed when 'sandbox' is 'true'"
                )
            }
            BuildError::ImpureHostPath { path } => format!(
                "derivation '{drv}' requested impure path '{}', but it was not in allowed-impure-host-deps",
                path.display()
            ),
            BuildError::Suspicious { output, path, .. } => format!(
                "suspicious ownership or permission on \"{}\" for output '{output}'; rejecting this build output",
                self.store.physical(path).display()
            ),
            BuildError::WrongSystem { wanted, available } => {
                let current = available.split(',').next().unwrap_or_default();
                format!(
                    "Cannot build '{drv}'.\nReason: platform mismatch\nRequired system: '{wanted}'\nCurrent system: '{current}'"
                )
            }
            BuildError::MissingFeatures { wanted, available } => format!(
                "Cannot build '{drv}'.\nReason: missing system features\nRequired features: {{{}}}\nAvailable features: {{{}}}",
                wanted.join(", "),
                available.join(", ")
            ),
            BuildError::TimedOut { limit, .. } | BuildError::Silent { limit, .. } => {
                format!("timed out after {} seconds", limit.as_secs())
            }
            BuildError::Differs { path, kept, .. } => {
                let kept = kept.as_ref().map(|kept| format!(" from \"{}\"", kept.display()));
                format!(
                    "derivation '{drv}' may not be deterministic: output \"{path}\" differs{}",
                    kept.unwrap_or_default()
                )
            }
            BuildError::NothingToCompare { .. } => nothing_to_compare(drv),
            BuildError::UserEnvironment(error) => {
                eprint!("{}", errors::message(&conflict(error)));
                self.cannot_build(drv, "builder failed with exit code 1.")
            }
            error => self.cannot_build(drv, &format!("{error}.")),
        }
    }

    fn dependency_failed(&self, drv: &StorePath, lost: &BTreeSet<&StorePath>) -> String {
        match self.inputs(drv).iter().filter(|input| lost.contains(input)).count() {
            1 => self.cannot_build(drv, "1 dependency failed."),
            count => self.cannot_build(drv, &format!("{count} dependencies failed.")),
        }
    }

    fn cannot_build(&self, drv: &StorePath, reason: &str) -> String {
        let mut text = format!("Cannot build '{drv}'.\nReason: {reason}\nOutput paths:\n");
        let paths = output_paths(self.store, drv).unwrap_or_default();
        let paths: BTreeSet<StorePath> = paths.into_iter().filter_map(|(_, path)| path).collect();
        for path in paths {
            let _ = writeln!(text, "  {path}");
        }
        text
    }
}

/// Why a user environment could not be made.
pub fn conflict(error: &user_environment::Error) -> String {
    match error {
        user_environment::Error::Conflict(one, other) => format!(
            "Unable to build profile. There is a conflict for the following files:\n\n  \"{}\"\n  \"{}\"",
            one.display(),
            other.display()
        ),
        error => error.to_string(),
    }
}

fn nothing_to_compare(drv: &StorePath) -> String {
    format!(
        "some outputs of '{drv}' are not valid, so checking is not possible\nHint: --rebuild and --check error if the \
         derivation was not previously built and cannot be substituted.\n      Remove it to perform a fresh build, or \
         use --repair to rewrite missing or corrupted builds in the store."
    )
}

/// The hash that was specified and that of what was made, where they differ.
fn wrong_hash(error: &BuildError) -> Option<(String, String)> {
    match error {
        BuildError::HashMismatch { expected, actual, .. } => Some((expected.clone(), actual.clone())),
        BuildError::Fetch(fetch::Error::Fetch(FetchError::NoAddressServes { attempts, .. })) => {
            attempts.iter().find_map(|attempt| match &attempt.reason {
                Reason::WrongHash(wrong) => Some((wrong.expected.to_sri(), wrong.got.to_sri())),
                _ => None,
            })
        }
        _ => None,
    }
}

fn reason_of(error: &BuildError) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("the builder ").unwrap_or(&text);
    text.split(';').next().unwrap_or_default().to_owned()
}

fn outputs(wanted: &[Wanted]) -> Vec<DrvOutput> {
    let mut all = Vec::new();
    for wanted in wanted {
        if let Wanted::Outputs { drv, outputs } = wanted {
            all.extend(outputs.iter().map(|output| DrvOutput { drv: drv.clone(), output: output.clone() }));
        }
    }
    all
}

/// The outputs of a derivation, with their paths where they are known.
pub fn output_paths(store: &Store, drv: &StorePath) -> Outcome<Vec<(String, Option<StorePath>)>> {
    let read: Derivation = store.derivation(drv)?;
    let mut all = Vec::new();
    for (name, output) in &read.outputs {
        let path = match output.path() {
            Some(path) => Some(path.clone()),
            None => store.realisation(drv, name)?,
        };
        all.push((name.clone(), path));
    }
    Ok(all)
}

/// As Nix combines the reasons: what may go better next time is 1, else bits tell what kinds of failures there were.
fn exit_status(failures: &[Failure], is_fixed: impl Fn(&StorePath) -> bool) -> u8 {
    const FAILED: u8 = 4;
    const TIMED_OUT: u8 = FAILED | 1;
    const WRONG_HASH: u8 = FAILED | 2;
    const DIFFERS: u8 = 8;
    const MARK: u8 = 0x60;
    let bits = failures.iter().fold(0, |bits, failure| {
        bits | match &failure.error {
            BuildError::TimedOut { .. } | BuildError::Silent { .. } => TIMED_OUT,
            error if wrong_hash(error).is_some() => WRONG_HASH,
            BuildError::Differs { .. } => DIFFERS,
            BuildError::BuilderFailed { .. } if !is_fixed(&failure.drv) => FAILED,
            error if error.unexecutable().is_some() && !is_fixed(&failure.drv) => FAILED,
            BuildError::LogTooLong { .. }
            | BuildError::MissingFeatures { .. }
            | BuildError::UserEnvironment(_)
            | BuildError::WrongSystem { .. } => FAILED,
            _ => 0,
        }
    });
    if bits == 0 { 1 } else { bits | MARK }
}

/// What happens, a line each, as Nix's older commands say it.
pub struct Lines {
    verbosity: i32,
    build_output: bool,
    /// Whether what was built is built again, to be compared.
    checks: bool,
    /// The names of what is being built, if they are to be shown.
    names: Option<Mutex<HashMap<ActivityId, String>>>,
    /// The store paths that are being copied from elsewhere.
    copied: Mutex<HashMap<ActivityId, StorePath>>,
    /// Whether what builders print may be coloured.
    has_colours: bool,
    /// What derivations have become with the paths of their inputs.
    resolved: Mutex<HashMap<StorePath, StorePath>>,
    /// What is to be said later.
    held: Mutex<Option<Vec<Event>>>,
}

impl Lines {
    /// How much is said, whether what builders print is shown, and whether with the name of the build.
    pub fn new(verbosity: i32, build_output: bool, named: bool) -> Lines {
        let names = named.then(Mutex::default);
        let has_colours = std::io::stderr().is_terminal();
        Lines {
            verbosity,
            build_output,
            checks: false,
            names,
            copied: Mutex::default(),
            has_colours,
            resolved: Mutex::default(),
            held: Mutex::default(),
        }
    }

    fn resolved(&self) -> MutexGuard<'_, HashMap<StorePath, StorePath>> {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<Event>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The derivations that were begun, or will be, of what is to be said later.
    fn planned(&self) -> BTreeSet<StorePath> {
        let held = self.held();
        let planned = held.iter().flatten().filter_map(|event| match event {
            Event::Planned(planned) => Some(planned.iter().map(|planned| &planned.drv)),
            _ => None,
        });
        planned.flatten().filter(|path| path.is_derivation()).cloned().collect()
    }

    /// Says what was to be said later.
    fn release(&self) {
        // Nobody else says anything meanwhile.
        let mut held = self.held();
        held.take().into_iter().flatten().for_each(|event| self.say(event));
    }

    fn started(&self, id: ActivityId, name: String) {
        if let Some(names) = &self.names {
            names.lock().unwrap_or_else(PoisonError::into_inner).insert(id, name);
        }
    }

    fn log_line(&self, id: ActivityId, line: &str) {
        let line = printable(line, self.has_colours);
        let Some(names) = &self.names else { return eprintln!("{line}") };
        let names = names.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("{}> {line}", names.get(&id).map(String::as_str).unwrap_or_default());
    }
}

impl crate::progress::View for Lines {
    fn stage(&self, text: &str) {
        if self.verbosity >= INFO {
            eprintln!("{text}");
        }
    }
}

impl Observer for Lines {
    fn event(&self, event: Event) {
        let mut held = self.held();
        match held.as_mut() {
            Some(held) if self.is_said(&event) => held.push(event),
            Some(_) => {}
            None => {
                drop(held);
                self.say(event);
            }
        }
    }
}

impl Lines {
    /// Whether anybody wants to hear of it.
    fn is_said(&self, event: &Event) -> bool {
        match event {
            Event::LogLine { .. } => self.build_output,
            Event::FetchProgress { .. } => false,
            _ => true,
        }
    }

    fn say(&self, event: Event) {
        match event {
            Event::Started { id, drv: path, .. } if !path.is_derivation() => {
                self.copied.lock().unwrap_or_else(PoisonError::into_inner).insert(id, path);
            }
            Event::FetchStarted { id, url, .. } if self.verbosity >= INFO => {
                let copied = self.copied.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(path) = copied.get(&id) {
                    let cache = url.rsplit_once("/nar/").map_or(&*url, |(cache, _)| cache);
                    eprintln!("copying path '{path}' from '{cache}'...");
                }
            }
            Event::Resolved { drv, to } => {
                if self.verbosity >= INFO {
                    eprintln!("resolved derivation: '{drv}' -> '{to}'...");
                }
                self.resolved().insert(drv, to);
            }
            Event::Started { id, drv, name, .. } => {
                if self.verbosity >= INFO {
                    let drv = self.resolved().remove(&drv).unwrap_or(drv);
                    match self.checks {
                        true => eprintln!("checking outputs of '{drv}'..."),
                        false => eprintln!("building '{drv}'..."),
                    }
                }
                self.started(id, name);
            }
            Event::LogLine { id, line } if self.build_output => self.log_line(id, &line),
            Event::WaitingForLock { path, .. } if self.verbosity >= INFO => {
                eprintln!("waiting for lock on '{path}'");
            }
            Event::Kept { path, .. } => eprintln!("note: keeping build directory \"{}\"", path.display()),
            Event::Warning { text } if self.verbosity >= WARN => eprintln!("warning: {text}"),
            _ => {}
        }
    }
}
