//! Runs every case in tests/lang and compares it with what C++ Nix said; see tests/lang/README.md.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

/// A case takes milliseconds; one that takes this long hangs.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What the folder of the cases is called in expectations.
const FOLDER_NAME: &str = "/pwd";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lang");
    let mut files = Vec::new();
    find_cases(&root, &mut files);
    files.sort();
    let differing = known_differences(&root);
    let trials = files.into_iter().map(|file| {
        let name = file.strip_prefix(&root).unwrap_or(&file).with_extension("").display().to_string();
        let root = root.clone();
        match differing.contains(&name) {
            true => vec![Trial::test(name, move || expect_difference(&root, &file)).with_kind("differs")],
            false => [1, 4].map(|threads| case(&root, &file, &name, threads)).into(),
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.flatten().collect()).exit_code()
}

/// A case on so many threads: what it gives must not depend on that.
fn case(root: &Path, file: &Path, name: &str, threads: usize) -> Trial {
    let (root, file) = (root.to_owned(), file.to_owned());
    Trial::test(name, move || run_case(&root, &file, threads)).with_kind(format!("{threads}"))
}

/// The cases that are known not to give what Nix gives yet: one a line in `differences.txt`.
fn known_differences(root: &Path) -> HashSet<String> {
    let text = fs::read_to_string(root.join("differences.txt")).unwrap_or_default();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// A case on the list must still differ, so that the list only ever gets shorter.
fn expect_difference(root: &Path, file: &Path) -> Result<(), Failed> {
    match run_case(root, file, 1) {
        Ok(()) => Err("gives what Nix gives now: take it off tests/lang/differences.txt".into()),
        Err(_) => Ok(()),
    }
}

/// All `.zx` files below a folder, but for folders named `data`.
fn find_cases(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("readable folder").path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "data") {
            find_cases(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "zx") {
            files.push(path);
        }
    }
}

fn run_case(root: &Path, file: &Path, threads: usize) -> Result<(), Failed> {
    let must_fail = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bad-"));
    let expectation = file.with_extension(if must_fail { "err" } else { "exp" });
    let expected = fs::read(&expectation)
        .map_err(|error| format!("{}: {error}; see tests/lang/README.md", expectation.display()))?;
    let expected = shown(&expected);
    let outcome = evaluate(file, threads)?;
    let actual = if must_fail { &outcome.errors } else { &outcome.output };
    let actual = actual.replace(&root.display().to_string(), FOLDER_NAME);
    let status = if must_fail { 1 } else { 0 };
    let mut problems = String::new();
    if outcome.status != Some(status) {
        let shown = outcome.status.map_or("a signal".to_owned(), |status| status.to_string());
        problems += &format!("exit status {shown}, not {status}\n");
        if !must_fail {
            problems += &outcome.errors;
        }
    }
    if actual != expected {
        problems += &difference(&expected, &actual);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

/// The expected lines with `-`, ours with `+`.
fn difference(expected: &str, actual: &str) -> String {
    let diff = similar::TextDiff::from_lines(expected, actual);
    diff.unified_diff().header("Nix", "zeval").missing_newline_hint(false).to_string()
}

struct Outcome {
    /// `None` if a signal ended it.
    status: Option<i32>,
    output: String,
    errors: String,
}

fn evaluate(file: &Path, threads: usize) -> Result<Outcome, Failed> {
    let flags = fs::read_to_string(file.with_extension("flags")).unwrap_or_default();
    let flags: Vec<&str> = flags.lines().collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zeval"));
    command.arg("nix-instantiate");
    if !flags.contains(&"--parse") {
        command.args(["--eval", "--strict"]);
    }
    command.args(["--option", "experimental-features", ""]);
    let store = tempfile::tempdir()?;
    command.args(flags).arg(file.file_name().expect("a file has a name"));
    command.current_dir(file.parent().expect("a file is in a folder"));
    command.env_clear().env("HOME", "/root").env("TERM", "dumb").env("ZEVAL_STORE", store.path());
    // Helpers from the first value on: as a rule, so small evaluations have none.
    command.env("ZEVAL_EVAL_JOBS", threads.to_string()).env("ZEVAL_EVAL_HELPED_FROM", "0");
    // Whatever Nix is configured to do on this machine.
    command.env("NIX_CONF_DIR", store.path()).env("NIX_USER_CONF_FILES", "");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let output = collect(child.stdout.take());
    let errors = collect(child.stderr.take());
    let deadline = Instant::now() + TIMEOUT;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(format!("does not end within {} seconds", TIMEOUT.as_secs()).into());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    let text = |thread: std::thread::JoinHandle<Vec<u8>>| shown(&thread.join().unwrap_or_default());
    Ok(Outcome { status: status.code(), output: text(output), errors: text(errors) })
}

/// Bytes as text, those that are not UTF-8 as `\xFF`, so that they count.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    text
}

/// Reads a pipe to its end in a thread of its own, so that the other pipe cannot fill up meanwhile.
fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
