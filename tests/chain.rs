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
fn the_way_by_gcc_4_7_goes_by_its_own_steps() {
    let planned = zeval(&["build", "clang.zx", "--dry-run", "--argstr", "path", "gnu-4.7"]);
    let has = |step: &str| planned.lines().any(|line| line.ends_with(&format!("-{step}.drv")));
    for step in ["gcc-4.7.4.tar.bz2", "gcc-10.5.0.tar.xz", "stage2a-gcc47", "stage2a-gcc10-gcc47", "clang"] {
        assert!(has(step), "{step}");
    }
    for step in ["gcc-3.4.6.tar.gz", "stage2a-gcc34", "stage2a-musl-gcc34", "stage2a-gcc10-gcc34"] {
        assert!(!has(step), "{step}");
    }
}

/// Binaries of others are Debian's packages, the pins below seeds/debian.
#[test]
fn nothing_prebuilt_enters_but_the_seed() {
    let sources: BTreeSet<String> = std::fs::read_dir(exprs().join("../seeds"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| toml::from_str::<toml::Table>(&std::fs::read_to_string(path).unwrap()).unwrap())
        .map(|pin| pin["file"].as_str().unwrap().to_owned())
        .collect();
    let others = |arguments: &[&str]| -> Vec<String> {
        zeval(&[&["build", "clang.zx", "--dry-run"], arguments].concat())
            .lines()
            .filter_map(|line| line.strip_prefix("fetch "))
            .map(|path| path.split_once('-').unwrap().1.trim_end_matches(".drv").to_owned())
            .filter(|file| !sources.contains(file))
            .collect()
    };
    let mut seed = others(&[]);
    seed.sort();
    assert!(
        matches!(&seed[..], [libc, tcc] if libc.starts_with("libc6_") && tcc.starts_with("tcc_")),
        "{seed:?}"
    );
    assert!(others(&["--arg", "tccSeed", "./clang.zx"]).is_empty());
}

/// The templates of this program build on stage 1: with these sources, each is what they make and one step more.
#[test]
fn templates_build_on_stage_1() {
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources");
    std::fs::create_dir(&sources).unwrap();
    for name in ["exprs", "seeds"] {
        let from = exprs().join("..").join(name);
        let status = Command::new("cp").arg("-r").arg(from).arg(&sources).status().unwrap();
        assert!(status.success());
    }
    let override_input = ["--override-input", "zeval", &format!("path:{}", sources.display())];
    for (template, step) in [("site", "site"), ("c-library", "greeting-x86_64-linux-musl")] {
        let made = folder.path().join(template);
        let made = made.to_str().unwrap();
        zeval(&["flake", "new", made, "-t", template]);
        let planned = zeval(&[&["build", "--dry-run", made], &override_input[..]].concat());
        for part in ["stage1", "stage1-protobusybox", step] {
            let suffix = format!("-{part}.drv");
            assert!(planned.lines().any(|line| line.ends_with(&suffix)), "{template}: {part}");
        }
    }
}

/// Without it, an output could refer to what it was built with, and bring it along.
#[test]
fn every_step_says_what_may_stay() {
    let unlimited = zeval(&[
        "eval",
        "--json",
        "--expr",
        r#"
        let
          named =
            name: value:
            if (value.type or "") == "derivation" then
              if value ? allowedRequisites then [ ] else [ name ]
            else if builtins.isAttrs value then
              builtins.concatMap (part: named "${name}.${part}" value.${part}) (builtins.attrNames value)
            else
              [ ];
        in
        builtins.concatMap (stage: named stage (import ./chain.zx { }).${stage}) [ "stage2a" "stage2b" "tests" ]
        "#,
    ]);
    assert_eq!(unlimited.trim(), "[]");
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
