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

/// Compares a page of the book that a command makes, behind what is written by hand.
fn generated(page: &str, flag: &str) {
    const MARK: &str = "<!-- What follows is generated: ZEVAL_UPDATE=1 cargo test --test stdlib -->\n";
    let output = Command::new(env!("CARGO_BIN_EXE_zeval")).args(["doc", flag]).output().expect("zeval runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src").join(page);
    let written = fs::read_to_string(&path).expect("the page is there");
    let by_hand = written.split(MARK).next().unwrap_or_default();
    let wanted = format!("{by_hand}{MARK}\n{}", String::from_utf8_lossy(&output.stdout));
    if std::env::var_os("ZEVAL_UPDATE").is_some() {
        fs::write(path, wanted).expect("the page can be written");
        return;
    }
    assert!(
        written == wanted,
        "book/src/{page} is not what `zeval doc {flag}` gives: ZEVAL_UPDATE=1 cargo test --test stdlib"
    );
}

#[test]
fn reference_of_the_library_is_current() {
    generated("reference-std.md", "--std");
}

#[test]
fn reference_of_the_builtins_is_current() {
    generated("reference-builtins.md", "--builtins");
}

#[test]
fn every_attribute_of_the_library_is_documented() {
    let names = r#"builtins.mapAttrs (file: builtins.attrNames) (import <std>)"#;
    let run = |arguments: &[&str]| -> serde_json::Value {
        let store = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_zeval"))
            .args(arguments)
            .env("ZEVAL_STORE", store.path().join("store"))
            .env("HOME", store.path())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let names = run(&["eval", "--json", "-E", names]);
    let documented = run(&["doc", "--std", "--json"]);
    let mut missing = Vec::new();
    for (file, names) in names.as_object().unwrap() {
        let document =
            documented.as_array().unwrap().iter().find(|document| document["file"] == file.as_str());
        let attributes = document.and_then(|document| document["attributes"].as_array());
        for name in names.as_array().unwrap() {
            let is_documented = attributes.is_some_and(|attributes| {
                attributes.iter().any(|attribute| {
                    &attribute["name"] == name
                        && attribute["text"].as_str().is_some_and(|text| text.contains("# Type"))
                })
            });
            if !is_documented {
                missing.push(format!("{file}.{}", name.as_str().unwrap_or_default()));
            }
        }
    }
    assert!(missing.is_empty(), "without documentation: {missing:?}");
}

#[test]
fn unit_tests_pass() {
    let store = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_zeval"))
        .args(["test", "tests/stdlib"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ZEVAL_STORE", store.path().join("store"))
        .env("HOME", store.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let passed: usize =
        text.lines().last().and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0);
    // What the store holds is read-only, and is to be removed.
    let _ = Command::new("chmod").args(["-R", "u+w"]).arg(store.path()).status();
    assert!(output.status.success() && passed > 80, "{text}{}", String::from_utf8_lossy(&output.stderr));
}
