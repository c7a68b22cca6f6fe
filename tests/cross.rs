//! The cross toolchains of `exprs/` evaluate for every target. Nothing is built or fetched.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn plan(target: &str) -> Output {
    let store = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_zeval"))
        .args(["build", "cross.zx", "--dry-run", "-A", "tests", "--argstr", "target", target])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("exprs"))
        .env("ZEVAL_STORE", store.path())
        .output()
        .unwrap()
}

#[test]
fn every_target_has_its_toolchain() {
    for processor in ["x86_64", "i686", "aarch64", "armv7hf", "riscv64", "s390x", "ppc64le", "loongarch64"] {
        let target = format!("{processor}-linux-musl");
        let planned = plan(&target);
        assert!(planned.status.success(), "{}", String::from_utf8_lossy(&planned.stderr));
        let planned = String::from_utf8(planned.stdout).unwrap();
        for part in ["musl", "builtins", "libcxx", "toolchain"] {
            let derivation = format!("-{target}-{part}.drv");
            assert!(planned.lines().any(|line| line.ends_with(&derivation)), "{derivation}");
        }
    }
}

#[test]
fn names_that_others_use_mean_the_same() {
    let planned = |target: &str| String::from_utf8(plan(target).stdout).unwrap();
    assert_eq!(planned("arm64-unknown-linux-musl"), planned("aarch64-linux-musl"));
    assert_eq!(planned("armv7-linux-musleabihf"), planned("armv7hf-linux-musl"));
}

#[test]
fn what_there_is_no_toolchain_for_is_said() {
    for (target, complaint) in [
        ("sparc-linux-musl", "there is no toolchain for the processor 'sparc' of 'sparc-linux-musl'"),
        ("x86_64-plan9", "there is no toolchain for the system 'plan9' of 'x86_64-plan9'"),
    ] {
        let refused = plan(target);
        assert!(!refused.status.success());
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains(complaint), "{told}");
    }
}
