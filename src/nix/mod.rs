//! The commands under Nix's names, with Nix's flags and output.

mod build;
mod channel;
mod collect_garbage;
mod command;
mod copy_closure;
mod env;
mod errors;
mod flags;
mod hash;
mod instantiate;
mod location;
mod nix_store;
mod outcome;
mod place;
mod prefetch;
mod profiles;
mod realise;
pub mod settings;
mod settings_table;
mod shell;
mod store;

use std::{ffi::OsString, process::ExitCode};

pub use errors::render as render_error;

/// What Nix we speak like.
const VERSION: &str = "2.34.8";

type Run = fn(&[OsString]) -> ExitCode;

const COMMANDS: [(&str, Run); 11] = [
    ("nix", command::run),
    ("nix-build", build::run),
    ("nix-channel", channel::run),
    ("nix-collect-garbage", collect_garbage::run),
    ("nix-copy-closure", copy_closure::run),
    ("nix-env", env::run),
    ("nix-hash", hash::run),
    ("nix-instantiate", instantiate::run),
    ("nix-prefetch-url", prefetch::run),
    ("nix-shell", shell::run),
    ("nix-store", nix_store::run),
];

fn find(name: &str) -> Option<Run> {
    COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

/// Whether a name is that of a command of Nix that this program stands in for.
pub fn is_command(name: &str) -> bool {
    find(name).is_some()
}

/// Runs the command of that name.
pub fn run(name: &str, arguments: &[OsString]) -> ExitCode {
    let Some(run) = find(name) else { return ExitCode::FAILURE };
    match location::choose_logical_store() {
        Ok(()) => run(arguments),
        Err(message) => outcome::end(name, outcome::fail(message)),
    }
}

/// `--version` of a command.
fn print_version(name: &str) {
    println!("{name} (Nix) {VERSION}");
}
