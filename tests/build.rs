//! Builds for real with the command: in the sandbox, in a store of their own, without network.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// Opens the file that its first argument names, writes "hello" to it, and ends:
/// `open(argv[1], O_WRONLY|O_CREAT, 0644)`, `write(fd, "hello\n", 6)`, `exit(0)`.
const HELLO: [u8; 58] = [
    0x48, 0x8b, 0x7c, 0x24, 0x10, 0xbe, 0x41, 0x00, 0x00, 0x00, 0xba, 0xa4, 0x01, 0x00, 0x00, 0xb8, 0x02,
    0x00, 0x00, 0x00, 0x0f, 0x05, 0x89, 0xc7, 0x48, 0x8d, 0x35, 0x15, 0x00, 0x00, 0x00, 0xba, 0x06, 0x00,
    0x00, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f,
    0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x0a,
];

/// A static executable of one loaded segment that holds `code`.
fn executable(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2u16, 62] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for half in [1u32, 5] {
        elf.extend(half.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

/// A folder with a store, a builder and an expression that uses it.
struct Workshop(TempDir);

impl Workshop {
    fn new(expression: &str) -> Workshop {
        let workshop = Workshop(tempfile::tempdir().unwrap());
        let program = workshop.path().join("hello");
        fs::write(&program, executable(&HELLO)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(workshop.path().join("default.zx"), expression).unwrap();
        workshop
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn zeval(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zeval"));
        command.args(arguments).current_dir(self.path()).env("HOME", self.path());
        command.env("ZEVAL_STORE", self.path().join("store")).output().unwrap()
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.zeval(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "zeval {arguments:?}: {:?}\n{errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The standard error of a command that ends with `status`.
    fn fail(&self, arguments: &[&str], status: i32) -> String {
        let output = self.zeval(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "zeval {arguments:?}:\n{errors}");
        errors
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What a store holds is read-only, and is to be removed.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.path()).status();
    }
}

const SET: &str = r#"
let
  make = name: derivation {
    inherit name;
    system = "x86_64-linux";
    builder = ./hello;
    args = [ (builtins.placeholder "out") ];
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "blake3";
  };
in
{ one = make "one"; other = make "other"; }
"#;

#[test]
fn members_of_a_set_are_built_and_linked_by_name() {
    let workshop = Workshop::new(SET);
    let paths = workshop.succeed(&["build"]);
    assert_eq!(paths.lines().count(), 2, "{paths}");
    assert_eq!(fs::read_to_string(workshop.path().join("result-one")).unwrap(), "hello\n");
    assert_eq!(fs::read_to_string(workshop.path().join("result-other")).unwrap(), "hello\n");
    assert_eq!(workshop.succeed(&["build", "--no-link"]), paths);
}

#[test]
fn one_derivation_is_linked_as_result_or_as_told() {
    let workshop = Workshop::new(SET);
    workshop.succeed(&["build", "-A", "one"]);
    assert!(workshop.path().join("result").exists());
    workshop.succeed(&["build", "-A", "one", "-o", "here"]);
    assert!(workshop.path().join("here").exists());
}

#[test]
fn a_build_is_the_same_again() {
    let workshop = Workshop::new(SET);
    workshop.succeed(&["build", "--check", "--no-link"]);
}

#[test]
fn a_dry_run_builds_nothing() {
    let workshop = Workshop::new(SET);
    let planned = workshop.succeed(&["build", "--dry-run"]);
    assert_eq!(planned.lines().filter(|line| line.starts_with("build ")).count(), 2, "{planned}");
    assert!(!workshop.path().join("result-one").exists());
}

#[test]
fn a_recorded_hash_is_compared() {
    let workshop = Workshop::new(SET);
    workshop.succeed(&["verify", "default.zx", "--record"]);
    workshop.succeed(&["verify", "default.zx"]);
    let recorded = fs::read_to_string(workshop.path().join("default.hashes.toml")).unwrap();
    fs::write(workshop.path().join("default.hashes.toml"), recorded.replacen("sha256-", "sha256-A", 1))
        .unwrap();
    let errors = workshop.fail(&["verify", "default.zx"], 1);
    assert!(errors.contains("recorded") && errors.contains("found"), "{errors}");
}

#[test]
fn attributes_are_recorded_beside_each_other() {
    let workshop = Workshop::new(SET);
    let hashes = || fs::read_to_string(workshop.path().join("default.hashes.toml")).unwrap();
    workshop.succeed(&["verify", "default.zx", "-A", "one", "-A", "other", "--record"]);
    assert!(hashes().contains("[one.out]") && hashes().contains("[other.out]"), "{}", hashes());
    workshop.succeed(&["verify", "default.zx"]);
    fs::write(workshop.path().join("default.hashes.toml"), hashes().replace("[one.out]", "[gone.out]"))
        .unwrap();
    workshop.succeed(&["verify", "default.zx", "-A", "one", "--record"]);
    assert!(hashes().contains("[one.out]") && hashes().contains("[other.out]"), "{}", hashes());
    assert!(hashes().contains("[gone.out]"), "what was not asked for is left alone: {}", hashes());
    workshop.succeed(&["verify", "default.zx", "-A", "one"]);
}

#[test]
fn a_builder_that_makes_no_output_is_told_with_its_derivation() {
    let workshop = Workshop::new(&SET.replace(r#"(builtins.placeholder "out")"#, r#""/build/elsewhere""#));
    let errors = workshop.fail(&["build", "-A", "one"], 100);
    assert!(errors.contains("did not make the output 'out'"), "{errors}");
    assert!(errors.contains("-one.drv"), "{errors}");
}

#[test]
fn import_from_derivation_builds_while_evaluating() {
    let workshop = Workshop::new(SET);
    let text = workshop.succeed(&["eval", "--raw", "-E", "builtins.readFile (import ./default.zx).one"]);
    assert_eq!(text.trim_end(), "hello");
}
