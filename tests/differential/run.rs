//! Running expressions, many at a time, with a command like `nix-instantiate`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::generate::FILES;

/// The folder of the expressions.
const CASES: &str = "cases";
/// Seconds that one expression may take.
const LIMIT: u32 = 10;
/// The status of `timeout` for what took longer.
pub const TIMED_OUT: i32 = 124;

/// What an evaluation printed, and its exit status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The exit status; 128 and more for a signal, [`TIMED_OUT`] for what did not end.
    pub status: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// A command like `nix-instantiate`.
pub struct Program {
    /// What runs a shell script for us, as in `oracle run`; empty for nothing.
    pub around: Vec<String>,
    /// The command itself.
    pub command: String,
    /// In which way expressions are given and values shown.
    pub mode: Mode,
}

/// How a command is told of an expression, and asked to show its value.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Mode {
    /// As a file, evaluated all through.
    #[default]
    File,
    /// As an argument: errors have other places.
    Text,
    /// On standard input.
    Input,
    /// As a file, evaluated no further than its outermost value.
    Lazy,
    Json,
    Xml,
    Trace,
}

impl Mode {
    /// The mode of a name.
    pub fn named(name: &str) -> Option<Mode> {
        const NAMES: [(&str, Mode); 7] = [
            ("file", Mode::File),
            ("text", Mode::Text),
            ("input", Mode::Input),
            ("lazy", Mode::Lazy),
            ("json", Mode::Json),
            ("xml", Mode::Xml),
            ("trace", Mode::Trace),
        ];
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    /// What follows the command in a shell script; the expression's number is in `i`.
    fn arguments(self) -> &'static str {
        match self {
            Mode::File => "--strict e$i.nix",
            Mode::Text => "--strict -E \"$(cat e$i.nix)\"",
            Mode::Input => "--strict - <e$i.nix",
            Mode::Lazy => "e$i.nix",
            Mode::Json => "--strict --json e$i.nix",
            Mode::Xml => "--strict --xml e$i.nix",
            Mode::Trace => "--strict --show-trace e$i.nix",
        }
    }
}

impl Program {
    /// Evaluates expressions in a folder, which is emptied first. Each is a file `eN.nix` in a folder of its own below, which
    /// nothing else is written to: expressions can read it.
    pub fn run(&self, folder: &Path, expressions: &[String]) -> io::Result<Vec<Outcome>> {
        let cases = folder.join(CASES);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        prepare(&cases, expressions)?;
        let script = format!(
            "cd {CASES}; i=0; while [ $i -lt {count} ]; do \
             timeout {LIMIT} {command} --eval --option experimental-features '' </dev/null {arguments} >../o$i 2>../f$i; \
             echo $? >../s$i; i=$((i+1)); done\n",
            count = expressions.len(),
            command = self.command,
            arguments = self.mode.arguments(),
        );
        fs::write(folder.join("run.sh"), script)?;
        let words: Vec<&str> = self.around.iter().map(String::as_str).chain(["sh", "run.sh"]).collect();
        let store = folder.join("store");
        let status = Command::new(words[0])
            .args(&words[1..])
            .current_dir(folder)
            .env_remove("NIX_PATH")
            .env("NIX_REMOTE", "dummy://")
            .env("HOME", "/root")
            .env("TERM", "dumb")
            .env("ZEVAL_STORE", &store)
            .env("NIX_CONF_DIR", folder)
            .env("NIX_USER_CONF_FILES", "")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        let outcomes = (0..expressions.len()).map(|index| outcome(folder, index)).collect();
        if status.success() { outcomes } else { Err(io::Error::other(format!("{words:?} failed: {status}"))) }
    }
}

fn prepare(folder: &Path, expressions: &[String]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in FILES {
        let file: PathBuf = folder.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
    }
    for (index, expression) in expressions.iter().enumerate() {
        fs::write(folder.join(format!("e{index}.nix")), format!("{expression}\n"))?;
    }
    Ok(())
}

fn outcome(folder: &Path, index: usize) -> io::Result<Outcome> {
    let read = |kind: &str| -> io::Result<String> {
        let text = fs::read(folder.join(format!("{kind}{index}")))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text
            .replace(&folder.join(CASES).display().to_string(), "/pwd")
            .replace(&format!("e{index}.nix"), "case.nix"))
    };
    let status = read("s")?.trim().parse().map_err(io::Error::other)?;
    Ok(Outcome { status, output: read("o")?, errors: read("f")? })
}
