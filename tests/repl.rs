//! Sessions of `zeval repl`: every `tests/repl/*.txt` is what is seen when the lines behind its prompts are typed.
//!
//! Those with a `NAME.in` beside them were recorded from `nix repl` by `record.sh`; what differs from it on purpose is in the
//! others, which `ZEVAL_UPDATE=1 cargo test --test repl` writes down anew.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use libtest_mimic::{Arguments, Failed, Trial};

const PROMPTS: [&str; 3] = ["zeval> ", "     > ", "debug> "];

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repl");
    let mut sessions: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("tests/repl")
        .map(|entry| entry.expect("an entry of tests/repl").path())
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
    if found == recorded {
        return Ok(());
    }
    if std::env::var_os("ZEVAL_UPDATE").is_some() && !session.with_extension("in").exists() {
        return Ok(fs::write(session, found)?);
    }
    let difference = similar::TextDiff::from_lines(&recorded, &found);
    Err(format!("{}", difference.unified_diff().header("recorded", "found")).into())
}

/// Types the lines of a session; gives the session anew. Its first line may be `# flags: ...`.
fn replay(recorded: &str) -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    let here = folder.path().canonicalize()?;
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repl/data"), &here)?;
    let first = recorded.lines().next().and_then(|line| line.strip_prefix("# flags: "));
    let lines =
        recorded.lines().filter_map(|line| PROMPTS.iter().find_map(|prompt| line.strip_prefix(prompt)));
    let mut typed: String = lines.map(|line| format!("{line}\n")).collect();
    // The last prompt is answered by the end of the input.
    if recorded.trim_end().ends_with(PROMPTS[0].trim_end()) {
        typed.pop();
    }
    let flags = first.unwrap_or("repl --error-format nix");
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; exec \"$0\" {flags}"), env!("CARGO_BIN_EXE_zeval")])
        .current_dir(&here)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", "/root")
        .env("ZEVAL_STORE", here.join(".store"))
        .env("XDG_CACHE_HOME", here.join(".cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // A session is short: it fits a pipe's buffer.
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(typed.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).replace(&here.display().to_string(), "/here");
    let header = first.map_or(String::new(), |flags| format!("# flags: {flags}\n"));
    // What the store holds is read-only, and is to be removed.
    Command::new("chmod").args(["-R", "u+w"]).arg(&here).status()?;
    Ok(header + &text)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => {
                fs::create_dir(&target)?;
                copy(&entry.path(), &target)?;
            }
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
