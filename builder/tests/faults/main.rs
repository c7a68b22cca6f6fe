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
use zeval_builder::cache::{self, CopyOptions, Trust};
use zeval_builder::cancel::Cancellation;
use zeval_builder::events::Silent;
use zeval_builder::store::{CollectOptions, Fault, Store, Syncing, VerifyOptions};
use zeval_model::StorePath;

use disk::{Disk, Random};
use tracer::{Call, Next};
use work::Work;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == work::ENTRY) {
        work::run(&arguments[2..]);
    }
    let trial = |work: Work, name: &str, case: fn(Work)| {
        Trial::test(format!("{name}_{}", work.name()), move || {
            case(work);
            Ok(())
        })
    };
    let trials = Work::ALL.into_iter().flat_map(|work| {
        [
            trial(work, "killed_in", killed_before_any_write),
            trial(work, "power_cut_in", power_cut_before_any_write),
        ]
    });
    // One at a time: who traces waits for any child.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials.collect()).exit();
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
fn writes_in_all(work: Work) -> usize {
    let dir = tempfile::tempdir().unwrap();
    work.prepare(dir.path());
    let mut count = 0;
    tracer::trace(&mut work.command(dir.path(), "first"), &mut |call| {
        count += usize::from(matches!(call, Call::Write));
        Next::GoOn
    });
    assert!(count > 30, "only {count} writes: are they seen?");
    remove(dir);
    count
}

/// Runs the work until its write number `moment`; `disk` sees what is synced.
fn run_until(work: Work, dir: &Path, moment: usize, disk: &mut Disk) {
    let mut count = 0;
    tracer::trace(&mut work.command(dir, "first"), &mut |call| match call {
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

fn killed_before_any_write(work: Work) {
    for moment in chosen(writes_in_all(work)) {
        let dir = tempfile::tempdir().unwrap();
        work.prepare(dir.path());
        run_until(work, dir.path(), moment, &mut Disk::new(dir.path()));
        check(work, dir.path(), "first", &work::added(dir.path()), moment);
        remove(dir);
    }
}

fn power_cut_before_any_write(work: Work) {
    for moment in chosen(writes_in_all(work)) {
        let dir = tempfile::tempdir().unwrap();
        work.prepare(dir.path());
        let mut disk = Disk::new(dir.path());
        run_until(work, dir.path(), moment, &mut disk);
        let promised = work::promised(dir.path());
        for seed in 0..cuts() {
            let after = tempfile::tempdir().unwrap();
            disk.cut(after.path(), &mut Random::new(moment as u64 * 8 + seed));
            // What is beside is on another disk.
            std::os::unix::fs::symlink(work::beside(dir.path()), work::beside(after.path())).unwrap();
            check(work, after.path(), "second", &promised, moment);
            remove(after);
        }
        remove(dir);
    }
}

/// What must hold after a fault.
fn check(work: Work, dir: &Path, boot: &str, promised: &BTreeSet<StorePath>, moment: usize) {
    match work {
        Work::ToCache => check_cache(dir, boot, moment),
        _ => check_store(work, dir, boot, promised, moment),
    }
}

fn go_on(work: Work, dir: &Path, boot: &str, moment: usize) {
    let status = work.command(dir, boot).stdin(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "at {moment}: the next process fails");
}

fn check_store(work: Work, dir: &Path, boot: &str, promised: &BTreeSet<StorePath>, moment: usize) {
    let open = || Store::open_under_boot(dir, boot, Syncing::default());
    let store = open().unwrap_or_else(|error| panic!("at {moment}: {error}"));
    let faults = |store: &Store| {
        let paths: Vec<StorePath> = store.all_valid().unwrap().into_iter().collect();
        let contents = VerifyOptions { contents: true, trusted: None };
        store.verify(&paths, &contents, &Cancellation::new(), &|_| ()).unwrap()
    };
    // What was damaged before may be so still, until it was told to be whole.
    let is_old = |path: &StorePath| {
        work == Work::Repair && ["base", "tree"].contains(&path.name()) && !promised.contains(path)
    };
    let mut found = faults(&store);
    found.retain(|(path, fault)| !(is_old(path) && *fault == Fault::Modified));
    assert_eq!(found, [], "at {moment}: valid, and not whole");
    let valid = store.all_valid().unwrap();
    let lost: Vec<_> = promised.difference(&valid).collect();
    assert!(lost.is_empty(), "at {moment}: lost: {lost:?}");
    drop(store);
    // It can be gone on with, and what was left behind goes.
    go_on(work, dir, boot, moment);
    let store = open().unwrap();
    assert_eq!(faults(&store), [], "at {moment}: not whole after all was done");
    store.collect(&CollectOptions::default(), &Cancellation::new(), |_, _| ()).unwrap();
    let files = fs::read_dir(store.layout().store()).unwrap().count();
    assert_eq!(files, store.all_valid().unwrap().len(), "at {moment}: files that belong to nothing");
}

/// A cache has all that it describes when the next process has written to it; after a mere kill, before that, too.
fn check_cache(dir: &Path, boot: &str, moment: usize) {
    let source = Store::open(&work::beside(dir).join("source")).unwrap();
    let whole = || {
        let cache = work::cache_in(dir);
        let described: BTreeSet<StorePath> = source
            .all_valid()
            .unwrap()
            .into_iter()
            .filter(|path| cache.info(path, &Cancellation::new()).unwrap().is_some())
            .collect();
        let target = tempfile::tempdir().unwrap();
        let store = Store::open(target.path()).unwrap();
        let trust = Trust { require_signatures: false, ..Trust::default() };
        let options = CopyOptions { trust, ..CopyOptions::default() };
        if !described.is_empty() {
            let copied =
                cache::copy_from(&store, &cache, &described, &options, &Silent, &Cancellation::new());
            copied.unwrap_or_else(|error| panic!("at {moment}: {error}"));
        }
        drop(store);
        remove(target);
        described
    };
    if boot == "first" {
        whole();
    }
    go_on(Work::ToCache, dir, boot, moment);
    assert_eq!(whole(), source.all_valid().unwrap(), "at {moment}: not all is there");
    for folder in ["cache", "cache/nar", "cache/realisations"] {
        for entry in fs::read_dir(dir.join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().contains(".tmp-"), "at {moment}: {name:?} is left");
        }
    }
}

/// Folders in a store are read-only.
fn remove(dir: tempfile::TempDir) {
    let path = dir.keep();
    zeval_builder::store::remove_tree(&path).unwrap();
    let beside = work::beside(&path);
    match beside.is_symlink() {
        true => fs::remove_file(beside).unwrap(),
        false => zeval_builder::store::remove_tree(&beside).unwrap(),
    }
}
