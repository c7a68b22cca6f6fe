//! The `zeval` command: parses arguments, shows progress and errors; what it does is in the libraries.

mod advice;
mod cli;
mod commands;
mod derivations;
mod diagnostic;
mod evaluation;
mod evaluation_cache;
mod flakes;
mod inputs;
mod measure;
mod nix;
mod output;
mod progress;
mod repl;
mod store;

use std::{ffi::OsString, path::Path, process::ExitCode};

/// Evaluation allocates much, from several threads, and frees little.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit status of a program that a closed pipe ended, as shells have it.
const PIPE_CLOSED: i32 = 141;

fn main() -> ExitCode {
    end_when_nobody_reads();
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    // The sandbox's first process is this program again: before anything else happens.
    if arguments.first().is_some_and(|first| first == zeval_builder::sandbox::ENTRY) {
        zeval_builder::sandbox::sandbox_main();
    }
    if let [first, view] = arguments.as_slice()
        && first == zeval_builder::sandbox::VIEW_ENTRY
    {
        eprintln!("error: {}", zeval_builder::sandbox::view_main(&view.to_string_lossy()));
        return ExitCode::FAILURE;
    }
    let status = run(&program, arguments);
    zeval_builder::store::end_sessions();
    status
}

/// Ends the program where it prints to a pipe that was closed: that is no error to tell of.
fn end_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|text| text.starts_with("failed printing to std")) {
            std::process::exit(PIPE_CLOSED);
        }
        usual(panic);
    }));
}

/// Runs the command that the program's name or the first argument means.
fn run(program: &std::ffi::OsStr, arguments: Vec<OsString>) -> ExitCode {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    if nix::is_command(&name) {
        return nix::run(&name, &arguments);
    }
    match arguments.split_first() {
        Some((first, rest)) if nix::is_command(&first.to_string_lossy()) => {
            nix::run(&first.to_string_lossy(), rest)
        }
        _ => commands::run(),
    }
}
