//! Why a derivation could not be built.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use zeval_model::derivation::DerivationError;
use zeval_model::store_path::StorePathError;
use zeval_model::tree::TreeError;
use zeval_model::{Hash, StorePath};

use super::room::Filled;
use crate::sandbox::{EXECUTING, End, Excess};
use crate::store::{StoreError, Unfit};
use crate::{fetch, unpack, user_environment};

/// What is wrong with a derivation's own text.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    pub fn new(what: impl Into<String>) -> Malformed {
        Malformed(what.into())
    }

    pub fn attribute(name: &str, what: impl std::fmt::Display) -> Malformed {
        Malformed(format!("its attribute `{name}` {what}"))
    }
}

/// Why building one derivation failed. The derivation itself is named by whoever passes this on.
#[derive(Debug, Error)]
pub enum BuildError {
    #[error("the derivation makes no sense: {0}")]
    Malformed(#[from] Malformed),
    #[error(
        "it is for '{wanted}', and this machine builds for {available}; build it on such a machine, or choose another \
         `system`"
    )]
    WrongSystem { wanted: String, available: String },
    #[error(
        "it requires the features {}, and this machine offers {}; build it on such a machine, or name further features \
         with `--option system-features`",
        wanted.join(", "), available.join(", ")
    )]
    MissingFeatures { wanted: Vec<String>, available: Vec<String> },
    #[error(
        "its `__noChroot` asks to see the files and the network of this machine; allow that with `--allow-no-chroot` (or `sandbox = relaxed`), or name what it needs with `--sandbox-path`"
    )]
    NoSandbox,
    #[error("it is built, but the post-build hook {} {reason}", hook.display())]
    HookFailed { hook: PathBuf, reason: String },
    #[error(
        "no builtin builder is called '{0}'; there are builtin:fetchurl, builtin:unpack, builtin:unpack-channel and builtin:buildenv"
    )]
    UnknownBuiltin(String),
    #[error("cannot make the sandbox: cannot {step}: {source}{}", hint_suffix(hint))]
    Sandbox { step: String, source: io::Error, hint: Option<String> },
    #[error("the builder {}{}", describe_end(end), log_suffix(last_lines))]
    BuilderFailed { end: End, last_lines: Vec<String> },
    #[error("it took longer than {} s, which is the limit (timeout){}", .limit.as_secs(), log_suffix(last_lines))]
    TimedOut { limit: Duration, last_lines: Vec<String> },
    #[error(
        "it printed nothing for {} s, which is the limit (max-silent-time){}", .limit.as_secs(), log_suffix(last_lines)
    )]
    Silent { limit: Duration, last_lines: Vec<String> },
    #[error(
        "it printed more than {limit} bytes, which is the limit (max-build-log-size){}",
        log_suffix(last_lines)
    )]
    LogTooLong { limit: u64, last_lines: Vec<String> },
    #[error("{}{}", describe_excess(*excess, *limit), log_suffix(last_lines))]
    UsedTooMuch { excess: Excess, limit: u64, last_lines: Vec<String> },
    #[error(
        "it was filling the disk: what it wrote has {} MiB in {} files, and {} MiB{} are left; make room (zeval store gc), \
         or use a store elsewhere (--store){}",
        filled.used >> 20, filled.files, filled.left >> 20, files_left(filled), log_suffix(last_lines)
    )]
    FilledDisk { filled: Filled, last_lines: Vec<String> },
    #[error(
        "it asks for '{}' of the machine (`__impureHostDeps`), which `allowed-impure-host-deps` does not allow", path.display()
    )]
    ImpureHostPath { path: PathBuf },
    #[error("the pre-build hook {} {reason}", hook.display())]
    PreBuildHook { hook: PathBuf, reason: String },
    #[error(
        "its output '{output}' may be written by others than its owner (mode {mode:o}), who may have changed it; it is \
         rejected"
    )]
    Suspicious { output: String, path: StorePath, mode: u32 },
    #[error(
        "the builder succeeded but did not make the output '{output}' at {path}{}",
        log_suffix(last_lines)
    )]
    MissingOutput { output: String, path: StorePath, last_lines: Vec<String> },
    #[error("the output '{output}' cannot go to the store: {cause}")]
    Unfit { output: String, cause: Unfit },
    #[error(
        "hash mismatch in the fixed-output derivation:\n  specified: {expected}\n  got:       {actual}{}\nIf what it makes now is right, write\n  {} = \"{actual}\";",
        addresses_suffix(addresses), if addresses.is_empty() { "outputHash" } else { "hash" }
    )]
    HashMismatch { expected: String, actual: String, addresses: Vec<String> },
    #[error(
        "the output '{output}' must be a regular file that is not executable, since its `outputHashMode` is `{method}`"
    )]
    NotAFlatFile { output: String, method: &'static str },
    #[error("the outputs refer to each other in a circle: {}", .0.join(" -> "))]
    OutputCycle(Vec<String>),
    #[error("output '{output}' ({path}) is not allowed to refer to the following paths:{}", list(bad))]
    ForbiddenReferences { output: String, path: StorePath, bad: Vec<StorePath> },
    #[error(
        "its reference check for '{output}' names '{specifier}', which is neither a store path nor one of its outputs ({})",
        outputs.join(", ")
    )]
    BadReferenceSpecifier { output: String, specifier: String, outputs: Vec<String> },
    #[error("output '{output}' ({path}) has {actual} bytes{}; the limit is {limit} bytes", if *closure { " with its closure" } else { "" })]
    TooLarge { output: String, path: StorePath, actual: u64, limit: u64, closure: bool },
    #[error(
        "it may not be deterministic: output '{output}' differs from {path}{}",
        kept.as_ref().map(|kept| format!("; what was built now is at {}", kept.display())).unwrap_or_default()
    )]
    Differs { output: String, path: StorePath, expected: Box<Hash>, actual: Box<Hash>, kept: Option<PathBuf> },
    #[error(
        "there is nothing to compare with: output '{output}' has not been built yet; build it without --check first"
    )]
    NothingToCompare { output: String },
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    #[error(transparent)]
    UserEnvironment(#[from] user_environment::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cancelled")]
    Cancelled,
}

impl From<StorePathError> for BuildError {
    fn from(error: StorePathError) -> BuildError {
        StoreError::from(error).into()
    }
}

impl From<DerivationError> for BuildError {
    fn from(error: DerivationError) -> BuildError {
        StoreError::from(error).into()
    }
}

impl From<TreeError> for BuildError {
    fn from(error: TreeError) -> BuildError {
        StoreError::from(error).into()
    }
}

impl BuildError {
    /// The last lines of the builder's output, where the failure is the builder's.
    pub fn last_lines(&self) -> &[String] {
        match self {
            BuildError::BuilderFailed { last_lines, .. }
            | BuildError::TimedOut { last_lines, .. }
            | BuildError::Silent { last_lines, .. }
            | BuildError::LogTooLong { last_lines, .. }
            | BuildError::UsedTooMuch { last_lines, .. }
            | BuildError::FilledDisk { last_lines, .. }
            | BuildError::MissingOutput { last_lines, .. } => last_lines,
            _ => &[],
        }
    }

    /// The builder that could not even be executed, and why.
    pub fn unexecutable(&self) -> Option<(&str, &io::Error)> {
        match self {
            BuildError::Sandbox { step, source, .. } => Some((step.strip_prefix(EXECUTING)?, source)),
            _ => None,
        }
    }

    pub fn is_cancellation(&self) -> bool {
        matches!(self, BuildError::Cancelled | BuildError::Store(StoreError::Cancelled))
    }
}

fn hint_suffix(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

fn describe_end(end: &End) -> String {
    match end {
        End::Exited(status) => format!("failed with exit code {status}"),
        End::Signalled(number) => match nix::sys::signal::Signal::try_from(*number) {
            Ok(signal) => format!("was killed by {signal}"),
            Err(_) => format!("was killed by signal {number}"),
        },
    }
}

fn describe_excess(excess: Excess, limit: u64) -> String {
    match excess {
        Excess::Processes => {
            format!("it had nearly {limit} processes and threads, which is the limit (--max-processes)")
        }
        Excess::Memory => {
            format!("it used more than {} MiB of memory, which is the limit (--max-memory)", limit >> 20)
        }
    }
}

/// Some file systems tell no number, since they have no limit.
fn files_left(filled: &Filled) -> String {
    match filled.files_left {
        0 => String::new(),
        left => format!(" and room for {left} files"),
    }
}

fn log_suffix(last_lines: &[String]) -> String {
    if last_lines.is_empty() {
        return "; it printed nothing".to_owned();
    }
    let lines: String = last_lines.iter().map(|line| format!("\n  > {}", beginning(line))).collect();
    match last_lines.len() {
        1 => format!("; its last line:{lines}"),
        count => format!("; its last {count} lines:{lines}"),
    }
}

/// A line without what is far beyond the end of a terminal's.
fn beginning(line: &str) -> String {
    const ENOUGH: usize = 1000;
    match line.char_indices().nth(ENOUGH) {
        Some((end, _)) => format!("{}… ({} bytes more)", &line[..end], line.len() - end),
        None => line.to_owned(),
    }
}

fn addresses_suffix(addresses: &[String]) -> String {
    addresses.iter().map(|address| format!("\n  from:      {address}")).collect()
}

fn list(paths: &[StorePath]) -> String {
    paths.iter().map(|path| format!("\n  {path}")).collect()
}
