//! Several imports from derivations are built at once: a store whose builds wait for each other would never end otherwise.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use zeval_evaluator::{
    Evaluator, Session, Settings,
    load::Scope,
    position::Origin,
    store::{Filter, PathsOnly, Source, Store, StoreError},
    value::context::Built,
    with_large_stack,
};
use zeval_model::{Derivation, StorePath, derivation::Instantiated, store_path::References};

/// Builds that are under way only end when so many are.
const TOGETHER: usize = 4;

/// A store whose builds give files that say `1`.
struct Meeting {
    paths: PathsOnly,
    file: PathBuf,
    running: Mutex<usize>,
    arrived: Condvar,
}

impl Meeting {
    fn build(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError> {
        let mut running = self.running.lock().expect("no build panics");
        *running += 1;
        self.arrived.notify_all();
        let patience = Duration::from_secs(20);
        let (running, waited) = self
            .arrived
            .wait_timeout_while(running, patience, |running| *running < TOGETHER)
            .expect("no build panics");
        if waited.timed_out() {
            return Err(format!("only {running} builds ran at once").into());
        }
        let path = "/nix/store/00000000000000000000000000000000-built";
        wanted.iter().map(|_| Ok(StorePath::from_absolute(path)?)).collect()
    }
}

impl Store for Meeting {
    fn add_source<'f>(
        &self,
        source: &Source<'_>,
        filter: &'f mut Filter<'f>,
    ) -> Result<StorePath, StoreError> {
        self.paths.add_source(source, filter)
    }

    fn add_text(&self, name: &str, text: &[u8], references: &References) -> Result<StorePath, StoreError> {
        self.paths.add_text(name, text, references)
    }

    fn add_derivation(&self, derivation: &Derivation, instantiated: &Instantiated) -> Result<(), StoreError> {
        self.paths.add_derivation(derivation, instantiated)
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, StoreError> {
        self.paths.read_derivation(path)
    }

    fn realise(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError> {
        self.build(wanted)
    }

    fn realise_ahead(&self, wanted: &[&Built]) -> Option<Vec<StorePath>> {
        self.build(wanted).ok()
    }

    fn physical(&self, logical: &Path) -> PathBuf {
        match logical.starts_with("/nix/store") {
            true => self.file.clone(),
            false => logical.to_owned(),
        }
    }

    fn is_valid(&self, _: &StorePath) -> bool {
        false
    }
}

fn evaluate(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("built.nix");
    std::fs::write(&file, "1").expect("a file");
    let store =
        Meeting { paths: PathsOnly::default(), file, running: Mutex::default(), arrived: Condvar::new() };
    let session = Session::new(Settings { jobs: 2, ..Settings::default() }, Arc::new(store));
    let evaluate = || {
        let mut evaluator = Evaluator::new(session);
        let built = "n: import (derivation { name = ''n${toString n}''; system = ''x''; builder = ''x''; })";
        let text = format!("let built = {built}; ns = builtins.genList (n: n) {TOGETHER}; in {text}");
        let value =
            evaluator.evaluate_text(Origin::String, text.into_bytes(), "/".into(), Scope::default())?;
        let value = evaluator.force_deep(value)?;
        Ok::<_, zeval_evaluator::Failure>(zeval_evaluator::print::for_eval(value))
    };
    match with_large_stack(evaluate).expect("a thread") {
        Ok(printed) => printed,
        Err(error) => panic!("{}", error.message),
    }
}

#[test]
fn elements_of_a_list_and_attributes_of_a_set() {
    assert_eq!(evaluate("map built ns"), "[ 1 1 1 1 ]");
    let set = r#"builtins.listToAttrs (map (n: { name = "a${toString n}"; value = built n; }) ns)"#;
    assert_eq!(evaluate(set), "{ a0 = 1; a1 = 1; a2 = 1; a3 = 1; }");
}

#[test]
fn parts_of_a_text_and_of_a_derivation() {
    assert_eq!(evaluate("builtins.concatStringsSep \"\" (map (n: toString (built n)) ns)"), "\"1111\"");
    let all = r#"derivation { name = "all"; system = "x"; builder = "x"; parts = map built ns; }"#;
    assert_eq!(evaluate(&format!("builtins.isString ({all}).outPath")), "true");
}

#[test]
fn results_of_a_function_over_a_list() {
    assert_eq!(evaluate("builtins.concatMap (n: [ (built n) ]) ns"), "[ 1 1 1 1 ]");
}
