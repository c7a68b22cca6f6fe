//! Lock files are written as they were read, and malformed ones are refused in words that help.

use std::sync::Arc;

use zeval_inputs::{
    Settings,
    lock::{self, LockFile},
};

fn settings() -> Settings {
    let mut settings = Settings::new("/nonexistent".into());
    settings.features = vec!["flakes".into()];
    settings.warn = Arc::new(|_| ());
    settings
}

fn parse(text: &str) -> Result<LockFile, String> {
    LockFile::parse(&settings(), text.as_bytes(), "flake.lock").map_err(|error| error.to_string())
}

/// As Nix 2.34.8 wrote it for a flake with every kind of input.
const WRITTEN: &str = include_str!("written.lock");

#[test]
fn a_lock_file_is_written_as_it_was_read() {
    let file = parse(WRITTEN).expect("a lock file that Nix wrote");
    assert_eq!(format!("{}\n", file.to_text().0), WRITTEN);
}

#[test]
fn inputs_are_found_through_what_they_follow() {
    let file = parse(WRITTEN).expect("a lock file that Nix wrote");
    let path = |text: &str| lock::parse_path(text).expect("a path of inputs");
    let leaf = file.find(&path("leaf")).expect("no cycle");
    assert!(leaf.is_some());
    assert_eq!(file.find(&path("mid/leaf")).expect("no cycle"), leaf);
    assert_eq!(file.find(&path("mid/nothing")).expect("no cycle"), None);
    assert!(file.check().is_ok());
}

#[test]
fn a_change_is_told_by_input() {
    let file = parse(WRITTEN).expect("a lock file that Nix wrote");
    let changed = WRITTEN.replace(r#""mid": "mid","#, "").replace("1577934245", "1609556645");
    let changed = parse(&changed).expect("a lock file");
    let told = lock::difference(&file, &changed);
    assert!(told.contains("• Removed input 'mid'\n"), "{told}");
    assert!(told.contains("• Updated input 'leaf':\n"), "{told}");
    assert!(told.contains("(2020-01-02)\n  → "), "{told}");
    assert_eq!(lock::difference(&file, &file), "");
}

#[test]
fn malformed_lock_files_are_refused() {
    let node = |inputs: &str, more: &str| {
        format!(
            r#"{{ "version": 7, "root": "root", "nodes": {{ "root": {{ "inputs": {{ {inputs} }} }}{more} }} }}"#
        )
    };
    let cases = [
        ("{", "Could not parse 'flake.lock'"),
        (r#"{ "version": 9 }"#, "lock file 'flake.lock' has unsupported version 9"),
        (r#"{ "version": 7 }"#, "lock file 'flake.lock' does not name its root"),
        (r#"{ "version": 7, "root": "root", "nodes": {} }"#, "lock file references missing node 'root'"),
        (&node(r#""a": "a""#, ""), "lock file references missing node 'a'"),
        (&node(r#""a": "root""#, ""), "lock file contains cycle to root node"),
        (&node(r#""a": 1"#, ""), "lock file has a malformed input 'a'"),
        (&node(r#""a": "a""#, r#", "a": {}"#), "attribute 'locked' missing in lock file"),
        (
            &node(r#""a": "a""#, r#", "a": { "locked": { "type": "path", "path": "/x" } }"#),
            "Lock file contains unlocked input '{\"path\":\"/x\",\"type\":\"path\"}'. Use '--allow-dirty-locks' to accept \
             this lock file.",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(text).expect_err(text);
        assert!(error.starts_with(expected), "{text}\n  {error}");
    }
    let cycle = parse(&node(r#""a": [ "b" ], "b": [ "a" ]"#, "")).expect("a lock file");
    let error = cycle.check().expect_err("a cycle").to_string();
    assert_eq!(error, "follow cycle detected: [b -> a -> b]");
    let nowhere = parse(&node(r#""a": [ "b" ]"#, "")).expect("a lock file");
    let error = nowhere.check().expect_err("nothing to follow").to_string();
    assert_eq!(error, "input 'a' follows a non-existent input 'b'");
}
