//! The `zeval` command: parses arguments, shows progress and errors; what it does is in the libraries.

mod evaluation;
mod nix;

use std::process::ExitCode;

/// Evaluation allocates much, from several threads, and frees little.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<std::ffi::OsString> = arguments.collect();
    let name = std::path::Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if nix::is_command(&name) {
        return nix::run(&name, &arguments);
    }
    match arguments.split_first() {
        Some((first, rest)) if nix::is_command(&first.to_string_lossy()) => {
            nix::run(&first.to_string_lossy(), rest)
        }
        _ => ExitCode::FAILURE,
    }
}
