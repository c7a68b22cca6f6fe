//! The post-build hook: a program of the user's that hears of everything built, for example to copy it to a cache.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::Task;
use super::error::BuildError;
use super::outputs::Made;
use crate::events::Event;

/// Runs the hook, if there is one, and shows what it prints as part of the log. If it fails, what was built stays.
pub fn run(task: &Task<'_>, made: &BTreeMap<String, Made>) -> Result<(), BuildError> {
    let Some(hook) = &task.options.post_build_hook else { return Ok(()) };
    let failed = |reason: String| BuildError::HookFailed { hook: hook.clone(), reason };
    let paths: Vec<String> = made.values().map(|made| made.info.path.to_string()).collect();
    let (output, input) = std::io::pipe().map_err(|error| failed(error.to_string()))?;
    let errors = input.try_clone().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(hook);
    command
        .env("DRV_PATH", task.written_as.to_string())
        .env("OUT_PATHS", paths.join(" "))
        .env("ZEVAL_STORE", task.store.layout().root())
        .stdin(Stdio::null())
        .stdout(input)
        .stderr(errors);
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be run: {error}")))?;
    // The ends of the pipe that are ours go with it, so that the output ends.
    drop(command);
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        task.observer.event(Event::LogLine { id: task.id, line });
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("failed: {status}"))) }
}
