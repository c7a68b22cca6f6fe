//! The derivations that Nix 2.34.8 made of tests/data/drv/source.nix: text, paths, hashes and JSON, to the byte.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use zeval_model::derivation::{DerivationError, HashCache};
use zeval_model::{Derivation, Output, StorePath};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/drv")
}

/// The text of every `.drv` file by its store path.
fn texts() -> BTreeMap<StorePath, Vec<u8>> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts: BTreeMap<_, _> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "drv"))
        .map(|file| {
            let base_name = file.file_name().unwrap().to_str().unwrap();
            (StorePath::from_base_name(base_name).unwrap(), std::fs::read(&file).unwrap())
        })
        .collect();
    assert!(texts.len() >= 15);
    texts
}

fn derivations() -> BTreeMap<StorePath, Derivation> {
    let parse = |(path, text): (StorePath, Vec<u8>)| {
        let derivation = Derivation::parse_aterm(&text, path.derivation_name().unwrap()).unwrap();
        (path, derivation)
    };
    texts().into_iter().map(parse).collect()
}

#[test]
fn parsed_text_prints_the_same() {
    for (path, text) in texts() {
        let derivation = Derivation::parse_aterm(&text, path.derivation_name().unwrap()).unwrap();
        assert_eq!(String::from_utf8(derivation.to_aterm()), String::from_utf8(text), "{path}");
    }
}

#[test]
fn paths_are_those_of_nix() {
    for (path, derivation) in derivations() {
        assert_eq!(derivation.store_path().unwrap(), path);
    }
}

#[test]
fn outputs_are_filled_in_as_nix_does() {
    let derivations = derivations();
    let cache = HashCache::new(|path: &StorePath| Ok::<_, DerivationError>(derivations[path].clone()));
    for (path, expected) in &derivations {
        let mut derivation = expected.clone();
        for (name, output) in &mut derivation.outputs {
            if matches!(output, Output::InputAddressed(_)) {
                *output = Output::Deferred;
            }
            derivation.env.remove(name.as_bytes());
        }
        let instantiated = derivation.instantiate(&cache).unwrap();
        assert_eq!(&derivation, expected, "{path}");
        assert_eq!(&instantiated.path, path);
        assert_eq!(instantiated.aterm, expected.to_aterm());
        assert_eq!(instantiated.modulo, expected.hash_modulo(&cache).unwrap());
    }
}

#[test]
fn json_is_that_of_nix_derivation_show() {
    let text = std::fs::read(folder().join("show.json")).unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&text).unwrap();
    for (path, derivation) in derivations() {
        assert_eq!(derivation.to_json(), shown["derivations"][path.base_name()], "{path}");
    }
}
