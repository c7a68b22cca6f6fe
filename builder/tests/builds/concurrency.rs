//! Many threads and processes on one store, and processes that are killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use zeval_builder::build::BuildOptions;
use zeval_builder::events::{Event, Silent};
use zeval_builder::schedule::{Builder, DrvOutput, RealiseError};
use zeval_builder::store::Store;
use zeval_model::{Algorithm, StorePath};

use crate::workshop::*;

/// The first argument that makes this program a process that builds in somebody else's store.
pub const ENTRY: &str = "__build";

pub const CASES: &[(&str, fn())] = &[
    ("a_wide_graph", a_wide_graph),
    ("a_long_chain", a_long_chain),
    ("what_is_wanted_is_begun_before_all_is_known", what_is_wanted_is_begun_before_all_is_known),
    ("what_needs_a_failure_of_before_is_dropped", what_needs_a_failure_of_before_is_dropped),
    ("fetches_go_on_beside_builds", fetches_go_on_beside_builds),
    ("processes_share_the_work", processes_share_the_work),
    ("killed_at_any_moment", killed_at_any_moment),
    ("threads_add_at_once", threads_add_at_once),
    ("a_killed_process_leaves_no_builder", a_killed_process_leaves_no_builder),
];

/// Waits until the observer has heard that `count` activities ended.
fn wait_for_ends(recorder: &Recorder, count: usize) {
    let started = Instant::now();
    let ends =
        || recorder.0.lock().unwrap().iter().filter(|event| matches!(event, Event::Finished { .. })).count();
    while ends() < count {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing was begun");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn what_is_wanted_is_begun_before_all_is_known() {
    let shop = Workshop::new();
    let [one, two] = ["one", "two"].map(|name| shop.add(input_addressed(name, &["write $out x"])));
    let recorder = Recorder::default();
    let built = Builder::new(&shop.store, shop.options.clone())
        .build_while(&recorder, &Default::default(), |wants| {
            assert!(wants.add(vec![wanted(&one)]));
            wait_for_ends(&recorder, 1);
            let all = vec![wanted(&one), wanted(&two)];
            wants.add(all.clone());
            Ok::<_, RealiseError>(all)
        })
        .unwrap();
    assert_eq!(built.len(), 2);
    assert_eq!(recorder.started(), ["one", "two"]);
}

fn what_needs_a_failure_of_before_is_dropped() {
    let mut shop = Workshop::new();
    let bad = shop.add(input_addressed("bad", &["exit 1"]));
    let path = shop.store.derivation(&bad).unwrap().outputs["out"].path().unwrap().to_string();
    let needs = shop.add(with_input(input_addressed("needs", &["copy $bad $out"]), "bad", &bad, &path));
    let good = shop.add(input_addressed("good", &["write $out x"]));
    shop.options.keep_going = true;
    let recorder = Recorder::default();
    let result = Builder::new(&shop.store, shop.options.clone()).build_while(
        &recorder,
        &Default::default(),
        |wants| {
            wants.add(vec![wanted(&bad)]);
            wait_for_ends(&recorder, 1);
            let all = vec![wanted(&bad), wanted(&needs), wanted(&good)];
            assert!(wants.add(all.clone()), "there is more to do");
            Ok::<_, RealiseError>(all)
        },
    );
    let Err(RealiseError::Failed { failures, dropped }) = result else { panic!("{result:?}") };
    assert_eq!(failures.len(), 1);
    assert_eq!(dropped, [needs]);
    assert_eq!(recorder.started(), ["bad", "good"]);
}

/// One build at a time: a fixed output, which is taken to be a download, is made beside it.
fn fetches_go_on_beside_builds() {
    let mut shop = Workshop::new();
    shop.options.jobs = 1;
    let long = shop.add(input_addressed("long", &["sleep 3000", "write $out x"]));
    let fetched = shop.add(fixed("fetched", "content", &["write $out content"]));
    let recorder = Recorder::default();
    shop.build_all(&[wanted(&long), wanted(&fetched)], &recorder).unwrap();
    let events = recorder.0.lock().unwrap();
    let started = |name: &str| {
        events.iter().find_map(|event| match event {
            Event::Started { id, name: found, .. } if found == name => Some(*id),
            _ => None,
        })
    };
    let ended = |name: &str| {
        let id = started(name).unwrap();
        events
            .iter()
            .position(|event| matches!(event, Event::Finished { id: found, .. } if *found == id))
            .unwrap()
    };
    assert!(ended("fetched") < ended("long"));
}

/// Builds the outputs named by the arguments after the store's folder.
pub fn child(arguments: &[String]) -> ! {
    let store = Store::open(Path::new(&arguments[0])).unwrap();
    let wanted: Vec<_> =
        arguments[1..].iter().map(|drv| wanted(&StorePath::from_absolute(drv).unwrap())).collect();
    let options = BuildOptions { jobs: 2, ..options() };
    Builder::new(&store, options).build(&wanted, &Silent, &Default::default()).unwrap();
    drop(store);
    std::process::exit(0)
}

fn wanted(drv: &StorePath) -> DrvOutput {
    DrvOutput { drv: drv.clone(), output: "out".to_owned() }
}

fn start(shop: &Workshop, drvs: &[StorePath]) -> Child {
    let mut command = Command::new("/proc/self/exe");
    command.arg(ENTRY).arg(shop.dir.path()).args(drvs.iter().map(StorePath::to_string));
    command.spawn().unwrap()
}

fn a_wide_graph() {
    let shop = Workshop::new();
    let mut top = floating("top", Algorithm::Blake3, &["write $out x"]);
    for number in 0..60 {
        let drv = shop.add(floating(
            &format!("leaf-{number}"),
            Algorithm::Blake3,
            &[&format!("write $out {number}")],
        ));
        let stand_in = zeval_model::derivation::downstream_placeholder(&drv, "out").unwrap();
        top = with_input(top, &format!("leaf{number}"), &drv, &stand_in);
    }
    let recorder = Recorder::default();
    shop.build_all(&[wanted(&shop.add(top))], &recorder).unwrap();
    assert_eq!(recorder.started().len(), 61);
}

fn a_long_chain() {
    let shop = Workshop::new();
    let mut last = shop.add(input_addressed("link", &["write $out 0"]));
    for _ in 0..40 {
        let path = shop.store.derivation(&last).unwrap().outputs["out"].path().unwrap().to_string();
        last = shop.add(with_input(
            input_addressed("link", &["copy $before $out", "mode $out 644", "append $out x"]),
            "before",
            &last,
            &path,
        ));
    }
    assert_eq!(shop.read(&last), format!("0{}", "x".repeat(40)));
}

fn processes_share_the_work() {
    let shop = Workshop::new();
    let drvs: Vec<StorePath> = (0..6)
        .map(|number| {
            let text = format!("write $out {number}");
            let kind = [input_addressed, |name: &str, commands: &[&str]| {
                floating(name, Algorithm::Blake3, commands)
            }];
            shop.add(kind[number % 2](&format!("x{number}"), &["sleep 50", &text]))
        })
        .collect();
    let children: Vec<Child> = (0..4).map(|_| start(&shop, &drvs)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for drv in &drvs {
        assert!(shop.store.is_intact(&shop.build(drv).unwrap()).unwrap());
    }
    assert_eq!(fs::read_dir(shop.store.layout().locks()).unwrap().count(), 0);
}

fn killed_at_any_moment() {
    let shop = Workshop::new();
    let commands = [
        "mkdir $out",
        "write $out/file x",
        "mkdir $out/folder",
        "mode $out/folder 500",
        "write $out/self $out",
    ];
    for round in 0..25 {
        let round_name = format!("x{round}");
        let drvs = [
            shop.add(input_addressed(&round_name, &commands)),
            shop.add(floating(&round_name, Algorithm::Sha256, &commands)),
        ];
        let mut child = start(&shop, &drvs);
        std::thread::sleep(Duration::from_millis(round * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut next = start(&shop, &drvs);
        assert!(next.wait().unwrap().success());
    }
    for path in shop.store.all_valid().unwrap() {
        assert!(shop.store.is_intact(&path).unwrap(), "{path}");
    }
    // Only our own is left.
    let temporary = fs::read_dir(shop.store.layout().temporary()).unwrap().count();
    assert_eq!(temporary, 2);
    assert_eq!(
        fs::read_dir(shop.store.layout().store()).unwrap().count(),
        shop.store.all_valid().unwrap().len()
    );
}

fn threads_add_at_once() {
    let shop = Workshop::new();
    let source = shop.dir.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "x").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (shop, source) = (&shop, &source);
            scope.spawn(move || {
                for number in 0..50 {
                    let text = format!("{}", (number * thread) % 70);
                    shop.store.add_text("text", text.as_bytes(), &Default::default()).unwrap();
                    let method = zeval_model::ContentMethod::Nar;
                    shop.store.add_path("source", source, method, Algorithm::Sha256).unwrap();
                }
            });
        }
    });
    for path in shop.store.all_valid().unwrap() {
        assert!(shop.store.is_intact(&path).unwrap());
    }
}

fn a_killed_process_leaves_no_builder() {
    let shop = Workshop::new();
    let drv = shop.add(input_addressed("x", &["cling", "daemon 600003", "sleep 600003"]));
    let mut child = start(&shop, &[drv]);
    let wait_until = |condition: &dyn Fn() -> bool| {
        let since = Instant::now();
        while !condition() {
            assert!(since.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_until(&|| processes_with("sleep 600003") == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(&|| processes_with("sleep 600003") == 0);
}
