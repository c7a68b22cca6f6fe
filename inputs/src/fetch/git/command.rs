//! Running `git`.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use bstr::ByteSlice;

use crate::{InputError, Result};

/// Variables that would make git look at another repository than the one it is told.
const MISLEADING: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"];

/// A repository of this machine: one with a work tree, or a bare one.
#[derive(Clone)]
pub(in crate::fetch) struct Repository {
    /// Its folder.
    pub folder: PathBuf,
    is_bare: bool,
}

/// A `git` that is not there, in words that say what to do.
fn cannot_run(error: std::io::Error) -> InputError {
    InputError::new(match error.kind() {
        std::io::ErrorKind::NotFound => {
            "executing 'git': No such file or directory; install git, or put it in PATH".to_owned()
        }
        _ => format!("executing 'git': {error}"),
    })
}

/// `git` with arguments, in no repository.
pub(in crate::fetch) fn git<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new("git");
    for variable in MISLEADING {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command and gives what it prints; what it says of errors goes to the user.
pub(in crate::fetch) fn output(mut command: Command) -> Result<(ExitStatus, Vec<u8>)> {
    let output = command.stderr(Stdio::inherit()).output().map_err(cannot_run)?;
    Ok((output.status, output.stdout))
}

impl Repository {
    /// A work tree, which has `.git`.
    pub fn work_tree(folder: &Path) -> Result<Repository> {
        if !folder.join(".git").exists() {
            let message = format!("Git repository \"{}\" does not exist.", folder.display());
            return Err(InputError::new(message));
        }
        Ok(Repository { folder: folder.to_owned(), is_bare: false })
    }

    /// A bare repository.
    pub fn bare(folder: &Path) -> Repository {
        Repository { folder: folder.to_owned(), is_bare: true }
    }

    /// `git` in this repository.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = git::<&str>(&["--no-optional-locks", "-C"]);
        command.arg(&self.folder);
        if self.is_bare {
            command.args(["--git-dir", "."]);
        }
        command.args(arguments);
        command
    }

    /// What `git` prints; `None` if it fails, whose reason nobody sees.
    pub fn try_output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Option<Vec<u8>>> {
        let mut command = self.command(arguments);
        let output = command.stderr(Stdio::null()).output().map_err(cannot_run)?;
        Ok(output.status.success().then_some(output.stdout))
    }

    /// What `git` prints; an error with its own words if it fails.
    pub fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Vec<u8>> {
        self.output_of(arguments, &[], &[])
    }

    /// The same, with variables, and a text for its standard input.
    pub fn output_of<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        variables: &[(&str, &Path)],
        input: &[u8],
    ) -> Result<Vec<u8>> {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(cannot_run)?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // What is not read breaks the pipe: then git's own words say more.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        });
        let output = output.map_err(cannot_run)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let first = arguments.first().map(|first| first.as_ref().to_string_lossy().into_owned());
        Err(InputError::new(format!(
            "program 'git' failed to {} in '{}': {}",
            first.unwrap_or_default(),
            self.folder.display(),
            output.stderr.trim().to_str_lossy()
        )))
    }

    /// The first line that `git` prints, if it succeeds.
    pub fn line<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Option<String>> {
        let output = self.try_output(arguments)?;
        Ok(output.map(|output| output.trim().to_str_lossy().into_owned()))
    }

    /// The commit that a name stands for.
    pub fn commit(&self, name: &str) -> Result<Option<String>> {
        self.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")])
    }

    /// The branch that is checked out, as `refs/heads/x`; `None` for a detached one.
    pub fn head(&self) -> Result<Option<String>> {
        self.line(&["symbolic-ref", "--quiet", "HEAD"])
    }

    /// Whether its history was cut off.
    pub fn is_shallow(&self) -> Result<bool> {
        Ok(self.line(&["rev-parse", "--is-shallow-repository"])?.as_deref() == Some("true"))
    }

    /// When a commit was made, in seconds since 1970.
    pub fn time(&self, revision: &str) -> Result<u64> {
        let output = self.output(&["log", "-1", "--no-show-signature", "--format=%ct", revision])?;
        number(&output)
    }

    /// How many commits lead up to one, itself included.
    pub fn count(&self, revision: &str) -> Result<u64> {
        number(&self.output(&["rev-list", "--count", revision])?)
    }
}

fn number(output: &[u8]) -> Result<u64> {
    let text = output.trim().to_str_lossy();
    text.parse().map_err(|_| InputError::new(format!("git printed '{text}' where a number was expected")))
}
