//! What survives: a process that works in a store is killed before each of its writes, and the power is cut there.
//!
//! The process is traced. Before a write that is chosen it is killed; what is then on the disk is either what it wrote, or,
//! for a power cut, what a disk could hold that keeps what was synced, and of the rest what it likes (`disk.rs`). The next
//! process must find a store in which everything valid is whole and everything is that was promised to stay.
//!
//! `ZEVAL_FAULTS=500 cargo test --test faults` cuts at so many moments.

#![allow(clippy::unwrap_used)]

mod disk;
mod tracer;
mod work;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use libtest_mimic::{Arguments, Trial};
use zeval_builder::cancel::Cancellation;
use zeval_builder::store::{CollectOptions, Store, VerifyOptions};
use zeval_model::StorePath;

use disk::{Disk, Random};
use tracer::{Call, Next};

const CASES: &[(&str, fn())] = &[
    ("killed_before_any_write", killed_before_any_write),
    ("power_cut_before_any_write", power_cut_before_any_write),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == work::ENTRY) {
        work::run(&arguments[2..]);
    }
    let trial = |&(name, case): &(&'static str, fn())| {
        Trial::test(name, move || {
            case();
            Ok(())
        })
    };
    // One at a time: who traces waits for any child.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, CASES.iter().map(trial).collect()).exit();
}

/// How many moments are tried.
fn moments() -> usize {
    std::env::var("ZEVAL_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// How many disks are made up of each power cut: more when more moments are wanted.
fn cuts() -> u64 {
    if std::env::var_os("ZEVAL_FAULTS").is_some() { 3 } else { 1 }
}

/// Numbers of writes, spread over `count`.
fn chosen(count: usize) -> impl Iterator<Item = usize> {
    let moments = moments().min(count);
    (0..moments).map(move |index| index * count / moments)
}

/// How many writes the work makes that nobody interrupts.
fn writes_in_all() -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    tracer::trace(&mut work::command(dir.path(), "first"), &mut |call| {
        count += usize::from(matches!(call, Call::Write));
        Next::GoOn
    });
    assert!(count > 100, "only {count} writes: are they seen?");
    remove(dir);
    count
}

/// Runs the work until its write number `moment`; `disk` sees what is synced.
fn run_until(dir: &Path, moment: usize, disk: &mut Disk) {
    let mut count = 0;
    tracer::trace(&mut work::command(dir, "first"), &mut |call| match call {
        Call::Write if count == moment => Next::Kill,
        Call::Write => {
            count += 1;
            Next::GoOn
        }
        Call::Synced(file) => {
            disk.synced_file(file);
            Next::GoOn
        }
        Call::SyncedAll => {
            disk.synced_all();
            Next::GoOn
        }
    });
}

fn killed_before_any_write() {
    for moment in chosen(writes_in_all()) {
        let dir = tempfile::tempdir().unwrap();
        run_until(dir.path(), moment, &mut Disk::new(dir.path()));
        check(dir.path(), "first", &work::added(dir.path()), moment);
        remove(dir);
    }
}

fn power_cut_before_any_write() {
    for moment in chosen(writes_in_all()) {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(dir.path());
        run_until(dir.path(), moment, &mut disk);
        let promised = work::promised(dir.path());
        for seed in 0..cuts() {
            let after = tempfile::tempdir().unwrap();
            disk.cut(after.path(), &mut Random::new(moment as u64 * 8 + seed));
            check(after.path(), "second", &promised, moment);
            remove(after);
        }
        remove(dir);
    }
}

/// What must hold of a store after a fault.
fn check(dir: &Path, boot: &str, promised: &BTreeSet<StorePath>, moment: usize) {
    let store = Store::open_under_boot(dir, boot).unwrap_or_else(|error| panic!("at {moment}: {error}"));
    let valid = store.all_valid().unwrap();
    let paths: Vec<StorePath> = valid.iter().cloned().collect();
    let contents = VerifyOptions { contents: true, trusted: None };
    let faults = store.verify(&paths, &contents, &Cancellation::new(), &|_| ()).unwrap();
    assert_eq!(faults, [], "at {moment}: valid, and not whole");
    let lost: Vec<_> = promised.difference(&valid).collect();
    assert!(lost.is_empty(), "at {moment}: lost: {lost:?}");
    drop(store);
    // It can be gone on with, and what was left behind goes.
    let status = work::command(dir, boot).stdin(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "at {moment}: the next process fails");
    let store = Store::open_under_boot(dir, boot).unwrap();
    store.collect(&CollectOptions::default(), &Cancellation::new(), |_, _| ()).unwrap();
    let files = fs::read_dir(store.layout().store()).unwrap().count();
    assert_eq!(files, store.all_valid().unwrap().len(), "at {moment}: files that belong to nothing");
}

/// Folders in a store are read-only.
fn remove(dir: tempfile::TempDir) {
    let path = dir.keep();
    zeval_builder::store::remove_tree(&path).unwrap();
    zeval_builder::store::remove_tree(&work::beside(&path)).unwrap();
}
