//! Builds that fail, and what is said and left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zeval_builder::build::{BuildError, Check};
use zeval_builder::cancel::Cancellation;
use zeval_builder::events::{Event, Observer, Outcome, Silent};
use zeval_builder::sandbox::{End, Excess};
use zeval_builder::schedule::{Builder, DrvOutput, RealiseError};
use zeval_builder::store::Unfit;
use zeval_model::derivation::downstream_placeholder;
use zeval_model::{Algorithm, Derivation, Output, StorePath};

use crate::workshop::*;

pub const CASES: &[(&str, fn())] = &[
    ("what_the_machine_does_not_offer", what_the_machine_does_not_offer),
    ("an_exit_code_and_the_last_lines", an_exit_code_and_the_last_lines),
    ("a_signal", a_signal),
    ("no_such_builder", no_such_builder),
    ("a_missing_output", a_missing_output),
    ("a_wrong_hash_shows_both", a_wrong_hash_shows_both),
    ("a_pipe_in_the_output", a_pipe_in_the_output),
    ("another_machine", another_machine),
    ("forbidden_references", forbidden_references),
    ("forbidden_requisites", forbidden_requisites),
    ("a_timeout_ends_every_process", a_timeout_ends_every_process),
    ("silence_ends_a_build", silence_ends_a_build),
    ("a_flood_is_stopped", a_flood_is_stopped),
    ("a_fork_bomb_is_stopped", a_fork_bomb_is_stopped),
    ("a_build_that_uses_too_much_memory_is_stopped", a_build_that_uses_too_much_memory_is_stopped),
    ("an_output_that_others_may_write", an_output_that_others_may_write),
    ("what_is_asked_of_the_machine", what_is_asked_of_the_machine),
    ("cancelling_ends_everything", cancelling_ends_everything),
    ("keep_going_does_what_it_can", keep_going_does_what_it_can),
    ("the_build_folder_is_kept", the_build_folder_is_kept),
    ("the_build_folder_is_kept_of_what_is_refused", the_build_folder_is_kept_of_what_is_refused),
    ("a_failure_is_told_before_the_folders_are_removed", a_failure_is_told_before_the_folders_are_removed),
    ("check_finds_no_difference", check_finds_no_difference),
    ("check_finds_a_difference_and_keeps_it", check_finds_a_difference_and_keeps_it),
    ("check_in_other_surroundings", check_in_other_surroundings),
    ("check_with_folders_turned_round", check_with_folders_turned_round),
    ("outputs_in_a_circle", outputs_in_a_circle),
];

/// Builds what must fail, and gives the only failure.
fn failure(shop: &Workshop, drv: Derivation) -> BuildError {
    failure_of(shop, &shop.add(drv))
}

fn failure_of(shop: &Workshop, drv: &StorePath) -> BuildError {
    match shop.build(drv) {
        Err(RealiseError::Failed { mut failures, .. }) if failures.len() == 1 => failures.remove(0).error,
        other => panic!("{other:?}"),
    }
}

fn an_exit_code_and_the_last_lines() {
    let mut shop = Workshop::new();
    shop.options.log_lines = 2;
    let drv = shop.add(input_addressed("x", &["print a", "print b", "print c", "exit 3"]));
    let error = failure_of(&shop, &drv);
    assert!(matches!(error, BuildError::BuilderFailed { end: End::Exited(3), .. }), "{error}");
    assert_eq!(error.last_lines(), ["b ", "c "]);
    assert!(error.to_string().contains("exit code 3"), "{error}");
    assert_eq!(shop.store.read_log(&drv).unwrap().unwrap(), b"a \nb \nc \n");
    assert!(
        !shop.store.is_valid(shop.store.derivation(&drv).unwrap().outputs["out"].path().unwrap()).unwrap()
    );
}

fn a_signal() {
    let error = failure(&Workshop::new(), input_addressed("x", &["abort"]));
    assert!(matches!(error, BuildError::BuilderFailed { end: End::Signalled(_), .. }), "{error}");
}

fn no_such_builder() {
    let drv = Derivation { builder: "/no/such/program".into(), ..input_addressed("x", &[]) };
    let error = failure(&Workshop::new(), drv);
    assert!(matches!(error, BuildError::Sandbox { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}

fn a_missing_output() {
    let error = failure(&Workshop::new(), input_addressed("x", &[]));
    assert!(matches!(&error, BuildError::MissingOutput { output, .. } if output == "out"), "{error}");
}

fn a_wrong_hash_shows_both() {
    let shop = Workshop::new();
    let error = failure(&shop, fixed("x", "expected", &["write $out actual"]));
    let sri = |text: &str| zeval_model::Hash::of(Algorithm::Sha256, text.as_bytes()).to_sri();
    let text = error.to_string();
    assert!(text.contains(&sri("expected")) && text.contains(&sri("actual")), "{text}");
    assert!(text.ends_with(&format!("outputHash = \"{}\";", sri("actual"))), "{text}");
}

fn a_pipe_in_the_output() {
    let error = failure(&Workshop::new(), input_addressed("x", &["mkdir $out", "fifo $out/pipe"]));
    assert!(matches!(error, BuildError::Unfit { cause: Unfit::SpecialFile, .. }), "{error}");
}

fn another_machine() {
    let drv = Derivation { platform: "vax-vms".into(), ..input_addressed("x", &["write $out x"]) };
    let error = failure(&Workshop::new(), drv);
    assert!(error.to_string().contains("vax-vms"), "{error}");
}

/// A text and a derivation that refers to it.
fn with_reference(shop: &Workshop) -> (StorePath, Derivation) {
    let text = shop.store.add_text("text", b"x", &BTreeSet::new()).unwrap();
    let mut drv = with_variable(input_addressed("x", &["write $out $text"]), "text", &text.to_string());
    drv.input_sources.insert(text.clone());
    (text, drv)
}

fn forbidden_references() {
    let shop = Workshop::new();
    let (text, drv) = with_reference(&shop);
    for (name, value) in [("allowedReferences", ""), ("disallowedReferences", &text.to_string())] {
        match failure(&shop, with_variable(drv.clone(), name, value)) {
            BuildError::ForbiddenReferences { bad, .. } => assert_eq!(bad, std::slice::from_ref(&text)),
            other => panic!("{other}"),
        }
    }
    let error = failure(&shop, with_variable(drv.clone(), "allowedReferences", "nonsense"));
    assert!(matches!(error, BuildError::BadReferenceSpecifier { .. }), "{error}");
    for (name, value) in [("allowedReferences", text.to_string()), ("disallowedReferences", "out".to_owned())]
    {
        shop.build(&shop.add(with_variable(drv.clone(), name, &value))).unwrap();
    }
}

fn forbidden_requisites() {
    let shop = Workshop::new();
    let (text, middle) = with_reference(&shop);
    let middle = shop.add(middle);
    let middle_path = shop.build(&middle).unwrap();
    let top = input_addressed("top", &["mkdir $out", "write $out/a $middle", "write $out/b $out"]);
    let top = with_input(top, "middle", &middle, &middle_path.to_string());
    let allow = |paths: &str| with_variable(top.clone(), "allowedRequisites", paths);
    match failure(&shop, allow(&middle_path.to_string())) {
        BuildError::ForbiddenReferences { bad, .. } => assert_eq!(bad, std::slice::from_ref(&text)),
        other => panic!("{other}"),
    }
    let error = failure(&shop, with_variable(top.clone(), "disallowedRequisites", &text.to_string()));
    assert!(matches!(error, BuildError::ForbiddenReferences { .. }), "{error}");
    shop.build(&shop.add(allow(&format!("{middle_path} {text}")))).unwrap();
}

fn a_timeout_ends_every_process() {
    let mut shop = Workshop::new();
    shop.options.timeout = Some(Duration::from_millis(400));
    let started = Instant::now();
    let error = failure(&shop, input_addressed("x", &["print begun", "daemon 600001", "sleep 600001"]));
    assert!(matches!(error, BuildError::TimedOut { .. }), "{error}");
    assert_eq!(error.last_lines(), ["begun "]);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(processes_with("sleep 600001"), 0);
}

fn silence_ends_a_build() {
    let mut shop = Workshop::new();
    shop.options.max_silent_time = Some(Duration::from_millis(300));
    let error = failure(&shop, input_addressed("x", &["print begun", "sleep 60000"]));
    assert!(matches!(error, BuildError::Silent { .. }), "{error}");
}

fn a_fork_bomb_is_stopped() {
    let mut shop = Workshop::new();
    shop.options.limits.processes = 48;
    let error = failure(&shop, input_addressed("x", &["bomb"]));
    assert!(matches!(error, BuildError::UsedTooMuch { excess: Excess::Processes, limit: 48, .. }), "{error}");
    assert!(error.to_string().contains("48 processes"), "{error}");
}

fn a_build_that_uses_too_much_memory_is_stopped() {
    let mut shop = Workshop::new();
    shop.options.limits.memory = Some(64 << 20);
    let error = failure(&shop, input_addressed("x", &["allocate 134217728"]));
    assert!(matches!(error, BuildError::UsedTooMuch { excess: Excess::Memory, .. }), "{error}");
    assert!(error.to_string().contains("more than 64 MiB"), "{error}");
}

fn an_output_that_others_may_write() {
    let error = failure(&Workshop::new(), input_addressed("x", &["write $out x", "mode $out 666"]));
    assert!(matches!(error, BuildError::Suspicious { mode: 0o666, .. }), "{error}");
}

fn what_is_asked_of_the_machine() {
    let mut shop = Workshop::new();
    let host = tempfile::tempdir().unwrap();
    let file = host.path().join("file");
    fs::write(&file, "of the machine").unwrap();
    let mut drv = input_addressed("x", &[&format!("copy {} $out", file.display())]);
    drv.env.insert("__impureHostDeps".into(), file.display().to_string().into());
    let error = failure(&shop, drv.clone());
    assert!(matches!(error, BuildError::ImpureHostPath { .. }), "{error}");
    shop.options.impure_host_paths.push(host.path().to_owned());
    assert_eq!(shop.read(&shop.add(drv)), "of the machine");
    let drv = input_addressed("y", &["copy /there $out"]);
    let hook = host.path().join("hook");
    fs::write(&hook, format!("#!/bin/sh\necho extra-sandbox-paths; echo /there={}\n", file.display()))
        .unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    shop.options.pre_build_hook = Some(hook);
    assert_eq!(shop.read(&shop.add(drv)), "of the machine");
}

fn a_flood_is_stopped() {
    let mut shop = Workshop::new();
    shop.options.max_log_size = Some(1 << 20);
    let error = failure(&shop, input_addressed("x", &["flood"]));
    assert!(matches!(error, BuildError::LogTooLong { .. }), "{error}");
}

/// Cancels at the first line of a log.
struct CancelAtFirstLine(Cancellation);

impl Observer for CancelAtFirstLine {
    fn event(&self, event: Event) {
        if let Event::LogLine { .. } = event {
            self.0.cancel();
        }
    }
}

fn cancelling_ends_everything() {
    let shop = Workshop::new();
    let drv = shop.add(input_addressed("x", &["daemon 600002", "print begun", "sleep 600002"]));
    let cancellation = Cancellation::new();
    let started = Instant::now();
    let builder = Builder::new(&shop.store, shop.options.clone());
    let wanted = [DrvOutput { drv: drv.clone(), output: "out".to_owned() }];
    let result = builder.build(&wanted, &CancelAtFirstLine(cancellation.clone()), &cancellation);
    assert!(matches!(result, Err(RealiseError::Cancelled)), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(processes_with("sleep 600002"), 0);
}

fn keep_going_does_what_it_can() {
    let mut shop = Workshop::new();
    shop.options.keep_going = true;
    let bad = shop.add(floating("bad", Algorithm::Sha256, &["exit 1"]));
    let stand_in = downstream_placeholder(&bad, "out").unwrap();
    let user = floating("user", Algorithm::Sha256, &["write $out $bad"]);
    let user = shop.add(with_input(user, "bad", &bad, &stand_in));
    let good = shop.add(floating("good", Algorithm::Sha256, &["sleep 100", "write $out x"]));
    let wanted = [&user, &good].map(|drv| DrvOutput { drv: drv.clone(), output: "out".to_owned() });
    match shop.build_all(&wanted, &Silent) {
        Err(RealiseError::Failed { failures, dropped }) => {
            assert_eq!(failures.iter().map(|failure| &failure.drv).collect::<Vec<_>>(), [&bad]);
            assert_eq!(failures[0].log, Some(shop.store.log_path(&bad)));
            assert_eq!(dropped, [user]);
        }
        other => panic!("{other:?}"),
    }
    assert!(shop.store.realisation(&good, "out").unwrap().is_some());
}

fn the_build_folder_is_kept() {
    assert_kept(input_addressed("x", &["write trace found", "exit 1"]));
}

fn the_build_folder_is_kept_of_what_is_refused() {
    let drv = input_addressed("x", &["write trace found", "write $out $out"]);
    assert_kept(with_variable(drv, "allowedReferences", ""));
}

/// Looks, when it is told of a failure, whether there is a file of that name in the folder still.
struct LooksForFile {
    folder: PathBuf,
    name: &'static str,
    found: AtomicBool,
}

impl Observer for LooksForFile {
    fn event(&self, event: Event) {
        if let Event::Finished { outcome: Outcome::Failed, .. } = event {
            self.found.store(holds(&self.folder, self.name), Ordering::Relaxed);
        }
    }
}

fn holds(folder: &Path, name: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name() == name || holds(&entry.path(), name))
}

fn a_failure_is_told_before_the_folders_are_removed() {
    let shop = Workshop::new();
    let drv = shop.add(input_addressed("x", &["write trace found", "exit 1"]));
    let (folder, name) = (shop.dir.path().join("tmp"), "trace");
    let observer = LooksForFile { folder: folder.clone(), name, found: AtomicBool::new(false) };
    shop.build_all(&[DrvOutput { drv, output: "out".to_owned() }], &observer).unwrap_err();
    assert!(observer.found.into_inner(), "removed before it was told");
    assert!(!holds(&folder, name), "left behind");
}

/// A build that fails with `keep_failed` leaves its file `trace` where it says.
fn assert_kept(drv: Derivation) {
    let mut shop = Workshop::new();
    shop.options.keep_failed = true;
    let drv = shop.add(drv);
    let recorder = Arc::new(Recorder::default());
    let wanted = [DrvOutput { drv, output: "out".to_owned() }];
    shop.build_all(&wanted, recorder.as_ref()).unwrap_err();
    let events = recorder.0.lock().unwrap();
    let kept = events.iter().find_map(|event| match event {
        Event::Kept { path, .. } => Some(path.clone()),
        _ => None,
    });
    assert_eq!(fs::read_to_string(kept.unwrap().join("trace")).unwrap(), "found");
}

fn check_finds_no_difference() {
    let mut shop = Workshop::new();
    let drv = shop.add(floating("x", Algorithm::Blake3, &["mkdir $out", "write $out/self $out"]));
    let input = shop.add(input_addressed("y", &["write $out x"]));
    for drv in [&drv, &input] {
        shop.build(drv).unwrap();
        shop.options.check = Check::Wanted;
        let recorder = Recorder::default();
        shop.build_all(&[DrvOutput { drv: drv.clone(), output: "out".to_owned() }], &recorder).unwrap();
        assert_eq!(recorder.started().len(), 1);
        shop.options.check = Check::Nothing;
    }
}

fn check_in_other_surroundings() {
    let mut shop = Workshop::new();
    let steady = shop.add(input_addressed("steady", &["write $out x"]));
    let fickle = shop.add(input_addressed("fickle", &["environment $out"]));
    for drv in [&steady, &fickle] {
        shop.build(drv).unwrap();
    }
    shop.options.check = Check::Wanted;
    shop.build(&fickle).unwrap();
    shop.options.vary = true;
    shop.build(&steady).unwrap();
    let error = shop.build(&fickle).unwrap_err().to_string();
    assert!(error.contains("may not be deterministic"), "{error}");
}

fn check_with_folders_turned_round() {
    let mut shop = Workshop::new();
    let files = ["mkdir $out", "write $out/a x", "write $out/b x", "write $out/c x"];
    let listing = shop.add(input_addressed("listing", &[&files[..], &["list $out $out/list"]].concat()));
    let path = shop.build(&listing).unwrap();
    let list = |folder: &std::path::Path| fs::read_to_string(folder.join("list")).unwrap();
    let before = list(&shop.store.physical(&path));
    shop.options.check = Check::Wanted;
    shop.build(&listing).unwrap();
    shop.options.vary = true;
    let BuildError::Differs { kept: Some(kept), .. } = failure_of(&shop, &listing) else { panic!() };
    let mut other: Vec<_> = before.split(' ').collect();
    other.reverse();
    assert_eq!(list(&kept), other.join(" "));
}

fn check_finds_a_difference_and_keeps_it() {
    let mut shop = Workshop::new();
    let random = [
        input_addressed("x", &["mkdir $out", "random $out/file"]),
        floating("y", Algorithm::Sha256, &["mkdir $out", "random $out/file"]),
    ];
    for drv in random {
        let drv = shop.add(drv);
        let path = shop.build(&drv).unwrap();
        let before = fs::read(shop.store.physical(&path).join("file")).unwrap();
        shop.options.check = Check::Wanted;
        match failure_of(&shop, &drv) {
            BuildError::Differs { path: named, kept: Some(kept), .. } => {
                assert_eq!(named, path);
                assert_ne!(fs::read(kept.join("file")).unwrap(), before);
            }
            other => panic!("{other}"),
        }
        assert_eq!(fs::read(shop.store.physical(&path).join("file")).unwrap(), before);
        shop.options.check = Check::Nothing;
    }
}

fn outputs_in_a_circle() {
    let output = Output::Floating { method: zeval_model::ContentMethod::Nar, algorithm: Algorithm::Sha256 };
    let mut drv = derivation("x", output.clone(), &["write $out $lib", "write $lib $out"]);
    drv.outputs.insert("lib".to_owned(), output);
    let error = failure(&Workshop::new(), drv);
    assert!(matches!(error, BuildError::OutputCycle(_)), "{error}");
}

fn what_the_machine_does_not_offer() {
    let mut shop = Workshop::new();
    let drv =
        with_variable(input_addressed("x", &["write $out x"]), "requiredSystemFeatures", "benchmark moon");
    let drv = shop.add(drv);
    let error = shop.build(&drv).unwrap_err().to_string();
    assert!(error.contains("requires the features benchmark, moon"), "{error}");
    shop.options.features.insert("moon".to_owned());
    assert_eq!(shop.read(&drv), "x");
    let open = shop.add(with_variable(input_addressed("y", &["write $out y"]), "__noChroot", "1"));
    let error = shop.build(&open).unwrap_err().to_string();
    assert!(error.contains("--allow-no-chroot"), "{error}");
}
