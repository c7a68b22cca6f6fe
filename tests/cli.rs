//! What a person types and what they see: every `tests/cli/*.txt` is a session with `zeval`, run again and compared.
//!
//! A line that begins with `$ ` is given to `sh` in a copy of `tests/cli/data`; what follows is all that it prints, then
//! `[status N]` unless that is 0. `ZEVAL_UPDATE=1 cargo test --test cli` writes down what is printed now. What Nix itself
//! prints in the sessions called `nix-*` is recorded by `tests/cli/record.sh`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let mut sessions: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("tests/cli")
        .map(|entry| entry.expect("an entry of tests/cli").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    sessions.sort();
    let trials = sessions.into_iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(name, move || compare(&path))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn compare(session: &Path) -> Result<(), Failed> {
    let recorded = fs::read_to_string(session)?;
    let found = replay(&recorded)?;
    if std::env::var_os("ZEVAL_UPDATE").is_some() {
        return Ok(fs::write(session, found)?);
    }
    if found == recorded {
        return Ok(());
    }
    let difference = similar::TextDiff::from_lines(&recorded, &found);
    Err(format!("{}", difference.unified_diff().header("recorded", "found")).into())
}

const NIX_NAMES: [&str; 11] = [
    "nix",
    "nix-build",
    "nix-channel",
    "nix-collect-garbage",
    "nix-copy-closure",
    "nix-env",
    "nix-hash",
    "nix-instantiate",
    "nix-prefetch-url",
    "nix-shell",
    "nix-store",
];

/// Runs the commands of a session and writes the session anew.
fn replay(recorded: &str) -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    let here = folder.path().canonicalize()?;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/data");
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        fs::copy(entry.path(), here.join(entry.file_name()))?;
    }
    // The same program under the names of Nix's commands.
    let names = tempfile::tempdir()?;
    for name in NIX_NAMES {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_zeval"), names.path().join(name))?;
    }
    let mut found = String::new();
    for command in recorded.lines().filter(|line| line.starts_with("$ ")) {
        found.push_str(command);
        found.push('\n');
        found.push_str(&run(&command[2..], &here, names.path())?);
    }
    // What the store holds is read-only, and is to be removed.
    Command::new("chmod").args(["-R", "u+w"]).arg(&here).status()?;
    Ok(found)
}

fn run(command: &str, here: &Path, names: &Path) -> Result<String, Failed> {
    let program = Path::new(env!("CARGO_BIN_EXE_zeval"));
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("/"));
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir(here)
        .env_clear()
        .env("PATH", format!("{}:{}:{path}", names.display(), folder.display()))
        .env("HOME", here)
        .env("ZEVAL_STORE", here.join(".store"))
        .stdin(Stdio::null())
        .output()?;
    let mut text = String::from_utf8_lossy(&output.stdout).replace(&here.display().to_string(), "/here");
    text = text.lines().map(|line| format!("{}\n", without_hashes(&without_times(line)))).collect();
    if !output.status.success() {
        text.push_str(&format!("[status {}]\n", output.status.code().unwrap_or(-1)));
    }
    Ok(text)
}

/// A line without the hashes of derivations: they depend on the folder that the session runs in.
fn without_hashes(line: &str) -> String {
    const HASH: usize = 32;
    let mut parts = line.split("/nix/store/");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            part.find(|c: char| !c.is_ascii_alphanumeric() && !"+-._?=".contains(c)).unwrap_or(part.len());
        match part[..end].trim_end_matches('.').ends_with(".drv") && end > HASH {
            true => out.push_str(&format!("/nix/store/HASH{}", &part[HASH..])),
            false => out.push_str(&format!("/nix/store/{part}")),
        }
    }
    out
}

/// A line without what differs from run to run: the clock in front, and how long something took.
fn without_times(line: &str) -> String {
    let line = match line.split_once("] ") {
        Some((clock, rest)) if clock.starts_with('[') && clock[1..].trim().parse::<f64>().is_ok() => {
            format!("[time] {rest}")
        }
        _ => line.to_owned(),
    };
    match line.rsplit_once(" after ") {
        Some((before, time)) if time.ends_with(" s") => format!("{before} after TIME"),
        _ => line,
    }
}
