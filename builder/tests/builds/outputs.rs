//! What builds give: paths, references, metadata, environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;

use zeval_builder::events::{Event, Outcome};
use zeval_builder::sandbox::Bind;
use zeval_builder::schedule::DrvOutput;
use zeval_builder::store::Root;
use zeval_model::derivation::{downstream_placeholder, placeholder};
use zeval_model::ingest::hash_path;
use zeval_model::store_path::References;
use zeval_model::{Algorithm, ContentAddress, ContentMethod, Output};

use crate::workshop::*;

pub const CASES: &[(&str, fn())] = &[
    ("programs_of_32_bits_run_and_are_filtered", programs_of_32_bits_run_and_are_filtered),
    ("the_post_build_hook_hears_of_builds", the_post_build_hook_hears_of_builds),
    ("an_input_addressed_output_lands_where_it_was_said", an_input_addressed_output_lands_where_it_was_said),
    ("metadata_is_canonical", metadata_is_canonical),
    ("floating_outputs_are_addressed_by_content", floating_outputs_are_addressed_by_content),
    ("self_references_are_rewritten", self_references_are_rewritten),
    ("outputs_that_refer_to_each_other", outputs_that_refer_to_each_other),
    (
        "a_rebuilt_input_with_the_same_bits_stops_the_rebuild",
        a_rebuilt_input_with_the_same_bits_stops_the_rebuild,
    ),
    ("an_input_addressed_user_of_a_floating_output", an_input_addressed_user_of_a_floating_output),
    ("references_are_those_in_the_bytes", references_are_those_in_the_bytes),
    ("the_environment_is_nix", the_environment_is_nix),
    ("variables_pass_as_files", variables_pass_as_files),
    ("structured_attributes", structured_attributes),
    ("the_graph_of_references_is_exported", the_graph_of_references_is_exported),
    ("phases_and_logs", phases_and_logs),
    ("a_fixed_output_is_there_whoever_made_it", a_fixed_output_is_there_whoever_made_it),
    ("result_links", result_links),
    ("links_are_seen_as_links", links_are_seen_as_links),
];

fn an_input_addressed_output_lands_where_it_was_said() {
    let shop = Workshop::new();
    let drv = shop.add(input_addressed("x", &["write $out hello"]));
    let said = shop.store.derivation(&drv).unwrap().outputs["out"].path().unwrap().clone();
    assert_eq!(shop.build(&drv).unwrap(), said);
    assert_eq!(fs::read_to_string(shop.store.physical(&said)).unwrap(), "hello");
    let info = shop.store.require(&said).unwrap();
    assert_eq!((info.deriver, info.content_address), (Some(drv.clone()), None));
    assert!(shop.store.is_intact(&said).unwrap());
    let recorder = Recorder::default();
    shop.build_all(&[DrvOutput { drv, output: "out".to_owned() }], &recorder).unwrap();
    assert_eq!(recorder.started(), Vec::<String>::new());
}

fn metadata_is_canonical() {
    let shop = Workshop::new();
    let drv = shop.add(input_addressed(
        "x",
        &[
            "mkdir $out",
            "mkdir $out/d",
            "write $out/d/f x",
            "mode $out/d/f 711",
            "write $out/g x",
            "mode $out/d 000",
        ],
    ));
    let path = shop.store.physical(&shop.build(&drv).unwrap());
    let own = fs::metadata(shop.dir.path()).unwrap();
    for (file, mode) in [("", 0o555), ("d", 0o555), ("d/f", 0o555), ("g", 0o444)] {
        let metadata = fs::symlink_metadata(path.join(file)).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (mode, 1), "{file}");
        assert_eq!((metadata.uid(), metadata.gid()), (own.uid(), own.gid()), "{file}");
    }
}

fn floating_outputs_are_addressed_by_content() {
    let shop = Workshop::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Blake3, Algorithm::Sha512] {
        let out = placeholder("out");
        let drv = shop.add(with_variable(floating("x", algorithm, &["write $out hello"]), "out", &out));
        let path = shop.build(&drv).unwrap();
        let hash = hash_path(&shop.store.physical(&path), ContentMethod::Nar, algorithm).unwrap();
        let address = ContentAddress { method: ContentMethod::Nar, hash };
        assert_eq!(address.store_path("x", &References::none()).unwrap(), path);
        assert_eq!(shop.store.require(&path).unwrap().content_address, Some(address));
        assert_eq!(shop.store.realisation(&drv, "out").unwrap(), Some(path));
    }
}

fn self_references_are_rewritten() {
    let shop = Workshop::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Blake3] {
        let commands = ["mkdir $out", "write $out/self $out", "symlink $out/self $out/link"];
        let path = shop.build(&shop.add(floating("x", algorithm, &commands))).unwrap();
        let files = shop.store.physical(&path);
        assert_eq!(fs::read_to_string(files.join("self")).unwrap(), path.to_string());
        assert_eq!(fs::read_link(files.join("link")).unwrap().to_str().unwrap(), format!("{path}/self"));
        assert_eq!(shop.references(&path), BTreeSet::from([path.clone()]));
        // Another derivation that makes the same has another temporary path and must still end at the same place.
        let other = with_variable(floating("x", algorithm, &commands), "other", "1");
        assert_eq!(shop.build(&shop.add(other)).unwrap(), path);
    }
}

fn outputs_that_refer_to_each_other() {
    let shop = Workshop::new();
    let output = Output::Floating { method: ContentMethod::Nar, algorithm: Algorithm::Sha256 };
    let mut drv = derivation("x", output.clone(), &["write $lib lib", "write $out $lib", "write $doc $out"]);
    drv.outputs.insert("lib".to_owned(), output.clone());
    drv.outputs.insert("doc".to_owned(), output);
    let drv = shop.add(drv);
    let [out, lib, doc] = ["out", "lib", "doc"].map(|output| shop.build_output(&drv, output).unwrap());
    assert_eq!(lib.name(), "x-lib");
    assert_eq!(fs::read_to_string(shop.store.physical(&out)).unwrap(), lib.to_string());
    assert_eq!(fs::read_to_string(shop.store.physical(&doc)).unwrap(), out.to_string());
    assert_eq!(shop.references(&doc), BTreeSet::from([out.clone()]));
    assert_eq!(shop.store.closure(&BTreeSet::from([doc.clone()])).unwrap(), BTreeSet::from([out, lib, doc]));
}

fn a_rebuilt_input_with_the_same_bits_stops_the_rebuild() {
    let shop = Workshop::new();
    let top = |input| {
        let stand_in = downstream_placeholder(input, "out").unwrap();
        with_input(floating("top", Algorithm::Blake3, &["copy $input $out"]), "input", input, &stand_in)
    };
    let first = shop.add(floating("input", Algorithm::Blake3, &["write $out same"]));
    let second = shop.add(floating("input", Algorithm::Blake3, &["print another", "write $out same"]));
    let (one, other) = (shop.add(top(&first)), shop.add(top(&second)));
    assert_ne!(one, other);
    let path = shop.build(&one).unwrap();
    let recorder = Recorder::default();
    let wanted = DrvOutput { drv: other.clone(), output: "out".to_owned() };
    let built = shop.build_all(&[wanted], &recorder).unwrap();
    assert_eq!(built[0].path, path);
    let events = recorder.0.lock().unwrap();
    let outcomes = events.iter().filter_map(|event| match event {
        Event::Finished { outcome, .. } => Some(outcome.clone()),
        _ => None,
    });
    assert_eq!(outcomes.collect::<Vec<_>>(), [Outcome::Built]);
    assert!(events.iter().any(|event| matches!(event, Event::Dropped { drv } if *drv == other)));
}

fn an_input_addressed_user_of_a_floating_output() {
    let shop = Workshop::new();
    let input = shop.add(floating("input", Algorithm::Sha256, &["write $out content"]));
    let stand_in = downstream_placeholder(&input, "out").unwrap();
    let user =
        shop.add(with_input(input_addressed("user", &["write $out $input"]), "input", &input, &stand_in));
    assert_eq!(shop.store.derivation(&user).unwrap().outputs["out"], Output::Deferred);
    let path = shop.build(&user).unwrap();
    let input_path = shop.store.realisation(&input, "out").unwrap().unwrap();
    assert_eq!(fs::read_to_string(shop.store.physical(&path)).unwrap(), input_path.to_string());
    assert_eq!(shop.references(&path), BTreeSet::from([input_path]));
    assert_eq!(shop.store.realisation(&user, "out").unwrap(), Some(path));
}

fn references_are_those_in_the_bytes() {
    let shop = Workshop::new();
    let named = shop.store.add_text("named", b"1", &BTreeSet::new()).unwrap();
    let unnamed = shop.store.add_text("unnamed", b"2", &BTreeSet::new()).unwrap();
    let mut drv = with_variable(input_addressed("x", &["write $out $named"]), "named", &named.to_string());
    drv.input_sources = BTreeSet::from([named.clone(), unnamed]);
    let path = shop.build(&shop.add(drv)).unwrap();
    assert_eq!(shop.references(&path), BTreeSet::from([named]));
}

fn the_environment_is_nix() {
    let mut shop = Workshop::new();
    shop.options.cores = 3;
    let drv = with_variable(input_addressed("x", &["environment $out"]), "HOME", "/elsewhere");
    let drv = shop.add(with_variable(drv, "mine", "value"));
    let text = shop.read(&drv);
    let out = shop.build(&drv).unwrap();
    let expected = format!(
        "HOME=/elsewhere\nNIX_BUILD_CORES=3\nNIX_BUILD_TOP=/build\nNIX_LOG_FD=2\nNIX_STORE=/nix/store\n\
         PATH=/path-not-set\nPWD=/build\nTEMP=/build\nTEMPDIR=/build\nTERM=xterm-256color\nTMP=/build\nTMPDIR=/build\n\
         mine=value\nout={out}\n"
    );
    assert_eq!(text, expected);
}

fn variables_pass_as_files() {
    let shop = Workshop::new();
    let drv = with_variable(
        floating("x", Algorithm::Sha256, &["copy $textPath $out"]),
        "text",
        &placeholder("out"),
    );
    let drv = shop.add(with_variable(drv, "passAsFile", "text"));
    let path = shop.build(&drv).unwrap();
    assert_eq!(fs::read_to_string(shop.store.physical(&path)).unwrap(), path.to_string());
}

fn structured_attributes() {
    let shop = Workshop::new();
    let attributes = r#"{"list":["a","b'c"],"number":1,"deep":{"x":[1]}}"#;
    let drv = shop.add(with_variable(input_addressed("x", &["structured"]), "__json", attributes));
    let path = shop.build(&drv).unwrap();
    let files = shop.store.physical(&path);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(files.join("json")).unwrap()).unwrap();
    assert_eq!(json["outputs"]["out"], path.to_string());
    assert_eq!(json["deep"]["x"][0], 1);
    let shell = fs::read_to_string(files.join("sh")).unwrap();
    assert_eq!(
        shell,
        format!(
            "declare -a list=('a' 'b'\\''c' )\ndeclare number=1\ndeclare -A outputs=(['out']='{path}' )\n"
        )
    );
}

fn the_graph_of_references_is_exported() {
    let shop = Workshop::new();
    let leaf = shop.store.add_text("leaf", b"1", &BTreeSet::new()).unwrap();
    let top = shop.store.add_text("top", b"2", &BTreeSet::from([leaf.clone()])).unwrap();
    let graph = format!("graph {top}");
    let mut drv = with_variable(input_addressed("x", &["copy graph $out"]), "exportReferencesGraph", &graph);
    drv.input_sources.insert(top.clone());
    let text = shop.read(&shop.add(drv));
    let records =
        BTreeMap::from([(&leaf, format!("{leaf}\n\n0\n")), (&top, format!("{top}\n\n1\n{leaf}\n"))]);
    let expected: String = records.into_values().collect();
    assert_eq!(text, expected);
}

fn phases_and_logs() {
    let shop = Workshop::new();
    let message = r#"print @nix {"action":"setPhase","phase":"polish"}"#;
    let drv = shop.add(input_addressed("x", &["print one 1", message, "print two 2", "write $out x"]));
    let recorder = Recorder::default();
    shop.build_all(&[DrvOutput { drv: drv.clone(), output: "out".to_owned() }], &recorder).unwrap();
    let events = recorder.0.lock().unwrap();
    let said = events.iter().filter_map(|event| match event {
        Event::Phase { phase, .. } => Some(format!("phase {phase}")),
        Event::LogLine { line, .. } => Some(line.clone()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), ["one 1", "phase polish", "two 2"]);
    let log = String::from_utf8(shop.store.read_log(&drv).unwrap().unwrap()).unwrap();
    assert_eq!(log, "one 1\n@nix {\"action\":\"setPhase\",\"phase\":\"polish\"}\ntwo 2\n");
}

fn a_fixed_output_is_there_whoever_made_it() {
    let shop = Workshop::new();
    let first = shop.add(fixed("x", "content", &["write $out content"]));
    let path = shop.build(&first).unwrap();
    let second = shop.add(fixed("x", "content", &["exit 1"]));
    assert_eq!(shop.build(&second).unwrap(), path);
    let added = shop.store.add_text("y", b"content", &BTreeSet::new()).unwrap();
    assert_ne!(added, path);
}

fn result_links() {
    let shop = Workshop::new();
    let path = shop.store.add_text("x", b"text", &BTreeSet::new()).unwrap();
    let link = shop.dir.path().join("result");
    shop.store.add_root(&link, &path).unwrap();
    shop.store.add_root(&link, &path).unwrap();
    assert_eq!(fs::read_to_string(&link).unwrap(), "text");
    assert_eq!(shop.store.roots().unwrap(), [Root { link: link.clone(), path: path.clone() }]);
    fs::remove_file(&link).unwrap();
    assert_eq!(shop.store.roots().unwrap(), []);
    fs::write(&link, "mine").unwrap();
    assert!(shop.store.add_root(&link, &path).is_err());
}

fn links_are_seen_as_links() {
    let mut shop = Workshop::new();
    let link = shop.dir.path().join("link");
    std::os::unix::fs::symlink("/build/target", &link).unwrap();
    shop.options.sandbox_paths.push(Bind { source: link, target: "/folder/link".into(), writable: false });
    let maker = shop.add(input_addressed("maker", &["symlink /folder/link $out"]));
    let path = shop.build(&maker).unwrap().to_string();
    let reader = input_addressed("reader", &["write /build/target content", "copy $maker $out"]);
    assert_eq!(shop.read(&shop.add(with_input(reader, "maker", &maker, &path))), "content");
}

fn programs_of_32_bits_run_and_are_filtered() {
    let shop = Workshop::new();
    let commands = ["chmod32 755 2", "chmod32 4755 1", "chmod32 2755 1", "write $out x"];
    assert_eq!(shop.read(&shop.add(input_addressed("x", &commands))), "x");
}

fn the_post_build_hook_hears_of_builds() {
    let mut shop = Workshop::new();
    let hook = shop.dir.path().join("hook");
    let heard = shop.dir.path().join("heard");
    let script = |end: &str| {
        let text =
            format!("#!/bin/sh\necho \"$DRV_PATH $OUT_PATHS\" > {}\necho said\n{end}\n", heard.display());
        fs::write(&hook, text).unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    shop.options.post_build_hook = Some(hook.clone());
    script("exit 0");
    let drv = shop.add(input_addressed("x", &["write $out x"]));
    let recorder = Recorder::default();
    let wanted = DrvOutput { drv: drv.clone(), output: "out".to_owned() };
    let built = shop.build_all(&[wanted], &recorder).unwrap().remove(0).path;
    assert_eq!(fs::read_to_string(&heard).unwrap(), format!("{drv} {built}\n"));
    let events = recorder.0.lock().unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::LogLine { line, .. } if line == "said")));
    script("exit 3");
    let drv = shop.add(input_addressed("y", &["write $out y"]));
    let error = shop.build(&drv).unwrap_err().to_string();
    assert!(error.contains("post-build hook") && error.contains("3"), "{error}");
    // What was built stays.
    assert!(shop.build(&drv).is_ok());
}
