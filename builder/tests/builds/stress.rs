//! Processes that build, add, collect, share and verify in one store at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use zeval_builder::cancel::Cancellation;
use zeval_builder::events::Silent;
use zeval_builder::schedule::{Builder, DrvOutput};
use zeval_builder::store::{CollectOptions, Sharing, Store, VerifyOptions};
use zeval_model::{Algorithm, ContentMethod};

use crate::workshop::*;

/// The first argument that makes this program one of those processes.
pub const ENTRY: &str = "__stress";

pub const CASES: &[(&str, fn())] = &[
    ("eight_processes_build_add_collect_and_verify", eight_processes_build_add_collect_and_verify),
    ("what_is_pinned_or_linked_stays", what_is_pinned_or_linked_stays),
    ("a_source_that_was_there_already_stays", a_source_that_was_there_already_stays),
];

/// More for a longer run: `ZEVAL_STRESS=200 cargo test --test builds eight`.
fn rounds() -> u64 {
    std::env::var("ZEVAL_STRESS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// Works in the store named first, in an order that the number after it decides.
pub fn child(arguments: &[String]) -> ! {
    let seed: u64 = arguments[1].parse().unwrap();
    let mut random = Random(seed);
    for _ in 0..rounds() {
        // Opened anew each time, so that the pins of the round before are gone.
        let store = Store::open(Path::new(&arguments[0])).unwrap();
        match random.below(6) {
            0 | 1 => build(store, random.below(5)),
            2 => add(&store, random.below(20)),
            3 => collect(&store),
            4 => drop(store.optimise(Sharing::HardLinks, &Cancellation::new(), &|_, _| ()).unwrap()),
            _ => verify(&store),
        }
    }
    std::process::exit(0)
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A chain of two derivations, the first of which several chains share.
fn build(store: Store, which: u64) {
    let shop = Workshop { store, options: options(), dir: Scratch::borrowed() };
    let shared =
        floating(&format!("base-{}", which % 2), Algorithm::Sha256, &[&format!("write $out {which}")]);
    let base = shop.add(shared);
    let stand_in = zeval_model::derivation::downstream_placeholder(&base, "out").unwrap();
    let top = floating(
        &format!("top-{which}"),
        Algorithm::Blake3,
        &["copy $base $out", "mode $out 644", "append $out x"],
    );
    let top = shop.add(with_input(top, "base", &base, &stand_in));
    let wanted = [DrvOutput { drv: top, output: "out".to_owned() }];
    let built = Builder::new(&shop.store, shop.options.clone()).build(&wanted, &Silent, &Default::default());
    let path = built.unwrap_or_else(|error| panic!("{error}")).remove(0).path;
    // The process still runs, so nobody may have collected it.
    assert!(shop.store.is_intact(&path).unwrap());
}

fn add(store: &Store, which: u64) {
    let path = store.add_text(&format!("text-{}", which % 7), which.to_string().as_bytes(), &BTreeSet::new());
    let path = path.unwrap();
    let referrer = store.add_text("referrer", which.to_string().as_bytes(), &BTreeSet::from([path.clone()]));
    std::thread::sleep(Duration::from_millis(which));
    assert!(store.is_intact(&path).unwrap());
    assert!(store.is_intact(&referrer.unwrap()).unwrap());
}

fn collect(store: &Store) {
    store.collect(&CollectOptions::default(), &Cancellation::new(), |_, _| ()).unwrap();
}

fn verify(store: &Store) {
    let paths: Vec<_> = store.all_valid().unwrap().into_iter().collect();
    let options = VerifyOptions { contents: true, trusted: None };
    assert_eq!(store.verify(&paths, &options, &Cancellation::new(), &|_| ()).unwrap(), []);
}

fn eight_processes_build_add_collect_and_verify() {
    let shop = Workshop::new();
    let start = |seed: u64| {
        let mut command = Command::new("/proc/self/exe");
        command.arg(ENTRY).arg(shop.dir.path()).arg(seed.to_string()).spawn().unwrap()
    };
    let mut children: Vec<_> = (1..=8).map(start).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    verify(&shop.store);
    collect(&shop.store);
    assert_eq!(shop.store.all_valid().unwrap(), BTreeSet::new());
    assert_eq!(std::fs::read_dir(shop.store.layout().store()).unwrap().count(), 0);
}

fn what_is_pinned_or_linked_stays() {
    let shop = Workshop::new();
    let none = BTreeSet::new();
    let (linked, dead) = {
        let other = Store::open(shop.dir.path()).unwrap();
        let linked = other.add_text("linked", b"linked", &none).unwrap();
        let dead = other.add_text("dead", b"dead", &BTreeSet::from([linked.clone()])).unwrap();
        collect(&shop.store);
        // Its maker lives.
        assert!(shop.store.is_valid(&dead).unwrap());
        let link = shop.dir.path().join("link");
        other.add_root(&link, &linked).unwrap();
        (linked, dead)
    };
    let open = std::fs::File::open(shop.store.physical(&dead)).unwrap();
    collect(&shop.store);
    assert!(shop.store.is_valid(&dead).unwrap(), "a process has it open");
    drop(open);
    let old = CollectOptions { older_than: Some(Duration::from_secs(3600)), ..CollectOptions::default() };
    shop.store.collect(&old, &Cancellation::new(), |_, _| ()).unwrap();
    assert!(shop.store.is_valid(&dead).unwrap(), "it is young");
    let error = shop.store.delete(&BTreeSet::from([linked.clone()]), &Cancellation::new()).unwrap_err();
    assert!(error.to_string().contains("/link keeps it"), "{error}");
    let dry = CollectOptions { dry_run: true, ..CollectOptions::default() };
    let found = shop.store.collect(&dry, &Cancellation::new(), |_, _| ()).unwrap();
    assert_eq!(found.paths, std::slice::from_ref(&dead));
    collect(&shop.store);
    assert!(!shop.store.is_valid(&dead).unwrap());
    assert!(!shop.store.physical(&dead).exists());
    assert!(shop.store.is_intact(&linked).unwrap());
}

fn a_source_that_was_there_already_stays() {
    let shop = Workshop::new();
    let source = shop.dir.path().join("source");
    std::fs::write(&source, "source").unwrap();
    let add = |store: &Store| {
        let mut all = |_: &Path, _| Ok(true);
        store.add_path_filtered("source", &source, ContentMethod::Nar, Algorithm::Sha256, &mut all).unwrap()
    };
    add(&Store::open(shop.dir.path()).unwrap());
    let path = add(&shop.store);
    collect(&Store::open(shop.dir.path()).unwrap());
    assert!(shop.store.is_intact(&path).unwrap());
}
