//! Programs of the user's that have a say in builds: the pre-build hook, which lets a build see more of the machine, and the
//! post-build hook, which hears of everything built, for example to copy it to a cache.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Task;
use super::error::BuildError;
use super::outputs::Made;
use crate::events::Event;
use crate::sandbox::Bind;

/// What the pre-build hook, if there is one, wants the build to see: it is called with the path of the derivation, and prints
/// what Nix's prints.
pub fn before(task: &Task<'_>) -> Result<Vec<Bind>, BuildError> {
    let Some(hook) = &task.options.pre_build_hook else { return Ok(Vec::new()) };
    let failed = |reason: String| BuildError::PreBuildHook { hook: hook.clone(), reason };
    let output = Command::new(hook)
        .arg(task.written_as.to_string())
        .env("ZEVAL_STORE", task.store.layout().root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("failed: {}", output.status)));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| failed("printed what is no text".to_owned()))?;
    asked_paths(&text).map_err(failed)
}

/// Reads `extra-sandbox-paths`, then a line `TARGET` or `TARGET=SOURCE` each, then an empty line.
fn asked_paths(text: &str) -> Result<Vec<Bind>, String> {
    let mut binds = Vec::new();
    let mut lines = text.lines();
    while let Some(command) = lines.next() {
        if !matches!(command, "extra-sandbox-paths" | "extra-chroot-dirs") {
            return Err(format!("printed '{command}', which is no command; there is extra-sandbox-paths"));
        }
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            let (target, source) = line.split_once('=').unwrap_or((line, line));
            let (target, source) = (PathBuf::from(target), PathBuf::from(source));
            if !target.is_absolute() || !source.is_absolute() {
                return Err(format!("printed the path '{line}', which is not absolute"));
            }
            binds.push(Bind { source, target, writable: false });
        }
    }
    Ok(binds)
}

/// Runs the post-build hook, if there is one, and shows what it prints as part of the log. If it fails, what was built stays.
pub fn after(task: &Task<'_>, made: &BTreeMap<String, Made>) -> Result<(), BuildError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pre_build_hook_prints() {
        let binds = asked_paths("extra-sandbox-paths\n/etc/x\n/a=/b\n\nextra-chroot-dirs\n/c\n").unwrap();
        let shown: Vec<_> =
            binds.iter().map(|bind| format!("{}={}", bind.target.display(), bind.source.display())).collect();
        assert_eq!(shown, ["/etc/x=/etc/x", "/a=/b", "/c=/c"]);
        assert!(asked_paths("").unwrap().is_empty());
        assert!(asked_paths("something\n").is_err());
        assert!(asked_paths("extra-sandbox-paths\nx\n").is_err());
    }
}
