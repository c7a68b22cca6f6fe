//! Every example in the documentation of the standard library gives what it says it gives.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The examples of a file: what to evaluate, and what it gives.
fn examples(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for document in text.split("/**").skip(1).filter_map(|rest| rest.split("*/").next()) {
        let Some((_, example)) = document.split_once("# Example\n") else { continue };
        let Some((expression, outcome)) = example.split_once("\n    =>") else { continue };
        let outcome = outcome.lines().next().unwrap_or_default();
        found.push((expression.trim().to_owned(), outcome.trim().to_owned()));
    }
    found
}

#[test]
fn examples_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let mut count = 0;
    let mut checks = String::from("builtins.filter (check: !check.holds) [\n");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for (index, (expression, outcome)) in examples(&fs::read_to_string(&path).unwrap()).iter().enumerate()
        {
            count += 1;
            let _ = writeln!(
                checks,
                "(let got = builtins.tryEval (with import <std/{file}>; ({expression})); in {{ example = \"{file} {index}\"; \
                 holds = got.success && got.value == ({outcome}); }})"
            );
        }
    }
    checks.push(']');
    assert!(count > 50, "only {count} examples were found");
    let store = tempfile::tempdir().unwrap();
    let script = store.path().join("examples.zx");
    fs::write(&script, checks).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_zeval"))
        .args(["eval", "--json"])
        .arg(&script)
        .env("ZEVAL_STORE", store.path().join("store"))
        .env("HOME", store.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]", "{errors}");
}
