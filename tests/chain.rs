//! The compiler chain of `exprs/` evaluates to its last step, and every recorded hash belongs to a step. Nothing is built or fetched.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn exprs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("exprs")
}

fn zeval(arguments: &[&str]) -> String {
    let store = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_zeval"))
        .args(arguments)
        .current_dir(exprs())
        .env("ZEVAL_STORE", store.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_way_to_clang_goes_by_every_stage() {
    let planned = zeval(&["build", "clang.zx", "--dry-run"]);
    for step in ["stage1", "stage2a-gcc34", "stage2a-gcc10", "stage2a-cmake", "stage2a-clang-driver", "clang"]
    {
        let suffix = format!("-{step}.drv");
        assert!(planned.lines().any(|line| line.starts_with("build ") && line.ends_with(&suffix)), "{step}");
    }
}

#[test]
fn the_steps_of_an_expression_are_those_recorded() {
    for name in ["stage1", "stage2a"] {
        let attributes = zeval(&[
            "eval",
            &format!("{name}.zx"),
            "--json",
            "--apply",
            "steps: builtins.attrNames (steps { })",
        ]);
        let attributes: BTreeSet<String> = serde_json::from_str(&attributes).unwrap();
        let recorded = std::fs::read_to_string(exprs().join(format!("{name}.hashes.toml"))).unwrap();
        let recorded: toml::Table = toml::from_str(&recorded).unwrap();
        assert_eq!(attributes, recorded.keys().cloned().collect(), "{name}");
    }
}
