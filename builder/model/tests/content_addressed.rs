//! Content-addressed derivations that Nix 2.34.8 built: how it resolved and hashed them, and a path that refers to itself.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use zeval_model::derivation::HashCache;
use zeval_model::ingest::hash_nar_modulo;
use zeval_model::references::{ReferenceScanner, Rewrites, RewritingSink};
use zeval_model::store_path::{References, content_path};
use zeval_model::{Algorithm, ContentMethod, Derivation, Hash, StorePath, nar};

const DEP: &str = "srks74lnaz4mlngn9kwmbas0n7yhj9h5-dep.drv";
const BUILT_DEP: &str = "k0bq3s4hdvxal217l04jr24n8jm5l29g-dep";

fn data(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn path(base_name: &str) -> StorePath {
    StorePath::from_base_name(base_name).unwrap()
}

fn derivation(path: &StorePath) -> Derivation {
    let text = data(&format!("resolve/{}", path.base_name()));
    Derivation::parse_aterm(&text, path.derivation_name().unwrap()).unwrap()
}

#[test]
fn resolves_as_nix() {
    for (unresolved, resolved) in [
        ("wqj4a630nrfjx0w1xqjflsp6vd1dc027-self.drv", "55v4708kygwwlmhy3vyh6jbnl2dr0arl-self.drv"),
        ("hj6bp9dfsj94zp0ba4jbls0dsbky19k7-ia.drv", "p5385dv4i93p5dc96dd0dpp7zna30jwn-ia.drv"),
    ] {
        let unresolved = derivation(&path(unresolved));
        assert_eq!(unresolved.resolve(|_, _| None).unwrap(), None);
        let built = |derivation: &StorePath, output: &str| {
            assert_eq!((derivation.base_name(), output), (DEP, "out"));
            Some(path(BUILT_DEP))
        };
        let found = unresolved.resolve(built).unwrap().unwrap();
        assert_eq!(found.store_path().unwrap(), path(resolved));
        assert_eq!(found, derivation(&path(resolved)));
    }
}

/// The hashes by which Nix recorded the realisations of these derivations.
#[test]
fn realisations_have_the_hashes_of_nix() {
    let cache = HashCache::new(|path: &StorePath| Ok(derivation(path)));
    for (name, hash) in [
        (DEP, "60e789c1ee6b59c04233af5b19e11224cd901e4d194dccaa6c6660218f00cc32"),
        (
            "wqj4a630nrfjx0w1xqjflsp6vd1dc027-self.drv",
            "1f9ff8896d2afa910526d07837db1f59c735365ba8b3e9f36c3460ee807fb642",
        ),
        (
            "55v4708kygwwlmhy3vyh6jbnl2dr0arl-self.drv",
            "614be50755be4c74cde8524c434f91ef2bd481e75cb19b937984208f72fba499",
        ),
        (
            "hj6bp9dfsj94zp0ba4jbls0dsbky19k7-ia.drv",
            "15239474433a35780d7c2badb9b6b578d926f2c1a4681b78b1a7818b2d310349",
        ),
        (
            "p5385dv4i93p5dc96dd0dpp7zna30jwn-ia.drv",
            "8f3ea8ad0dc888d2a343080eb0c60fe1f1baf7b7ca94af63343c1e3c3901baa8",
        ),
    ] {
        assert_eq!(derivation(&path(name)).realisation_hash(&cache).unwrap().to_base16(), hash, "{name}");
    }
}

/// From the build's temporary path to the final one.
#[test]
fn a_self_reference_is_hashed_and_rewritten_as_by_nix() {
    let archive = data("nar/self.nar");
    let last = path("45bl2kd63ilpq0far1vsp81impl9r2sv-self");
    let temporary = path("00000000000000000000000000000000-self");
    let rewrite = |archive: &[u8], from: &StorePath, to: &StorePath| {
        let rewrites = Rewrites::new(&BTreeMap::from([(from.clone(), to.clone())]));
        let mut sink = RewritingSink::new(rewrites, Vec::new());
        archive.chunks(100).for_each(|chunk| sink.write_all(chunk).unwrap());
        sink.finish().unwrap()
    };
    let (built, count) = rewrite(&archive, &last, &temporary);
    assert_eq!(count, 3);

    let mut scanner = ReferenceScanner::new([temporary.clone(), path(BUILT_DEP), last.clone()]);
    scanner.update(&built);
    assert!(scanner.finish().into_iter().eq([temporary.clone(), path(BUILT_DEP)]));

    let mut source = nar::Reader::new(built.as_slice());
    let (hash, count) = hash_nar_modulo(&mut source, Algorithm::Sha256, &temporary).unwrap();
    assert_eq!(hash.to_nix32(), "07vmbgm35p7n78ik6784vg06y4qqmspw7phdbxbzbjwizrv95wms");
    assert_eq!(count, 3);
    let references = References { others: [path(BUILT_DEP)].into(), self_reference: true };
    assert_eq!(content_path(ContentMethod::Nar, &hash, "self", &references).unwrap(), last);

    let (rewritten, _) = rewrite(&built, &temporary, &last);
    assert!(rewritten == archive);
    let nar_hash = Hash::of(Algorithm::Sha256, &rewritten);
    assert_eq!(nar_hash.to_sri(), "sha256-1MhzEEmSZFsGC30Nsj2OYavdc/7jPEi+JELcBlh5FFE=");
}
