//! Store paths to and from a host that the user's own ssh reaches, by `nix-store` there: of Nix, or of zeval.

use std::{
    collections::BTreeSet,
    io::BufWriter,
    process::{Child, Command, Stdio},
};

use zeval_builder::{cancel::Cancellation, store::Store};
use zeval_model::StorePath;

use super::Result;
use crate::diagnostic::Failed;

/// Paths that are named in one command at the most: a command line has an end.
const PATHS_AT_ONCE: usize = 500;

/// A host and the program to call there.
pub struct Host {
    name: String,
    program: String,
}

impl Host {
    /// The host of an address `ssh://HOST`, maybe with `?remote-program=PROGRAM`.
    pub fn of(url: &str) -> Option<Host> {
        let rest = url.strip_prefix("ssh://")?;
        let (name, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let program = parameters.split('&').find_map(|parameter| parameter.strip_prefix("remote-program="));
        Some(Host {
            name: name.trim_end_matches('/').to_owned(),
            program: program.unwrap_or("nix-store").to_owned(),
        })
    }

    /// Those of `paths` that the host does not have.
    pub fn missing(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeSet<StorePath>> {
        let words: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let mut missing = BTreeSet::new();
        for some in words.chunks(PATHS_AT_ONCE) {
            for line in self.ask(&["--check-validity", "--print-invalid"], some, "what it has")? {
                missing.insert(StorePath::from_absolute(&line).map_err(Failed::other)?);
            }
        }
        Ok(missing)
    }

    /// Sends `paths`, whose references the host has or gets with them.
    pub fn send(&self, store: &Store, paths: &BTreeSet<StorePath>) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        // What it prints are the paths, which we know.
        let mut command = self.ssh(&["--import"], &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(no_ssh)?;
        if let Some(input) = child.stdin.take() {
            let sent = store.export(paths, BufWriter::with_capacity(256 * 1024, input));
            self.finish(child)?;
            sent?;
        }
        Ok(())
    }

    /// Fetches those of `paths`, and of what they refer to if `recursive`, that are not here.
    pub fn receive(
        &self,
        store: &Store,
        paths: &BTreeSet<StorePath>,
        recursive: bool,
        cancellation: &Cancellation,
    ) -> Result<Vec<StorePath>> {
        let mut wanted: Vec<String> = paths.iter().map(ToString::to_string).collect();
        if recursive {
            wanted = self.ask(&["--query", "--requisites"], &wanted, "what the paths refer to")?;
        }
        let mut missing = Vec::new();
        for path in &wanted {
            let path = StorePath::from_absolute(path).map_err(Failed::other)?;
            if !store.is_valid(&path)? {
                missing.push(path.to_string());
            }
        }
        let mut received = Vec::new();
        for some in missing.chunks(PATHS_AT_ONCE) {
            let mut child = self.ssh(&["--export"], some).stdout(Stdio::piped()).spawn().map_err(no_ssh)?;
            let imported = match child.stdout.take() {
                Some(output) => store.import(output, cancellation),
                None => Ok(Vec::new()),
            };
            self.finish(child)?;
            received.extend(imported?);
        }
        Ok(received)
    }

    /// The lines that the program there prints.
    fn ask(&self, words: &[&str], paths: &[String], what: &str) -> Result<Vec<String>> {
        let output = self.ssh(words, paths).stderr(Stdio::inherit()).output().map_err(no_ssh)?;
        if !output.status.success() {
            let (host, program) = (&self.name, &self.program);
            return Err(Failed::other(format!(
                "'{host}' does not tell {what}: see whether 'ssh {host} {program} --version' works"
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// The user's own ssh, as the user has set it up. Words are store paths and options: nothing that a shell would change.
    fn ssh(&self, words: &[&str], paths: &[String]) -> Command {
        let mut command = Command::new(std::env::var_os("ZEVAL_SSH").unwrap_or_else(|| "ssh".into()));
        command.arg("-T").arg("--").arg(&self.name).arg(&self.program).args(words).args(paths);
        command
    }

    fn finish(&self, mut child: Child) -> Result<()> {
        drop(child.stdin.take());
        let status = child.wait().map_err(Failed::other)?;
        match status.success() {
            true => Ok(()),
            false => {
                Err(Failed::other(format!("copying by ssh to or from '{}' failed: {status}", self.name)))
            }
        }
    }
}

fn no_ssh(error: std::io::Error) -> Failed {
    Failed::other(format!("cannot run ssh: {error}"))
}
