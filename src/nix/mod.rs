//! The commands under Nix's names, with Nix's flags and output.

mod errors;
mod flags;
mod instantiate;
pub mod settings;
mod settings_table;
mod store;

use std::{ffi::OsString, process::ExitCode};

pub use errors::render as render_error;

/// Whether a name is that of a command of Nix that this program stands in for.
pub fn is_command(name: &str) -> bool {
    matches!(name, "nix-instantiate")
}

/// Runs the command of that name.
pub fn run(_: &str, arguments: &[OsString]) -> ExitCode {
    instantiate::run(arguments)
}
