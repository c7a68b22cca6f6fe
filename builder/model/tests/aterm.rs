//! ATerm: every derivation survives printing and parsing, and damaged text is refused.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bstr::BString;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use zeval_model::{Algorithm, ContentMethod, Derivation, Hash, InputOutputs, Output, StorePath};

const SIMPLE: &str = r#"Derive([("out","","","")],[],[],"x","/bin/sh",[],[("out","")])"#;

fn bytes() -> impl Strategy<Value = BString> {
    prop_oneof![
        vec(any::<u8>(), 0..20).prop_map(BString::from),
        "[a\\n\\r\\t\\\\\"\\[\\](),é]{0,20}".prop_map(BString::from),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-zA-Z0-9+._?=-]{0,10}"
}

fn path() -> impl Strategy<Value = StorePath> {
    ("[0-9a-df-np-sv-z]{32}", name())
        .prop_map(|(hash, name)| StorePath::from_base_name(&format!("{hash}-{name}.drv")).unwrap())
}

fn output() -> impl Strategy<Value = Output> {
    let method = prop_oneof![
        Just(ContentMethod::Flat),
        Just(ContentMethod::Nar),
        Just(ContentMethod::Text),
        Just(ContentMethod::Git)
    ];
    let algorithm = proptest::sample::select(Algorithm::ALL.to_vec());
    prop_oneof![
        path().prop_map(Output::InputAddressed),
        Just(Output::Deferred),
        (method.clone(), algorithm.clone())
            .prop_map(|(method, algorithm)| Output::Floating { method, algorithm }),
        (method, algorithm).prop_map(|(method, algorithm)| Output::Impure { method, algorithm }),
    ]
}

fn wanted() -> impl Strategy<Value = InputOutputs> {
    let leaf = btree_set(name(), 0..3).prop_map(|outputs| InputOutputs { outputs, dynamic: BTreeMap::new() });
    leaf.prop_recursive(3, 8, 3, |inner| {
        (btree_set(name(), 0..3), btree_map(name(), inner, 0..3))
            .prop_map(|(outputs, dynamic)| InputOutputs { outputs, dynamic })
    })
}

prop_compose! {
    fn derivation()(
        name in name(),
        outputs in btree_map(name(), output(), 1..4),
        input_derivations in btree_map(path(), wanted(), 0..4),
        input_sources in btree_set(path(), 0..4),
        platform in "[a-z0-9_-]{1,12}",
        builder in bytes(),
        args in vec(bytes(), 0..4),
        env in btree_map(bytes(), bytes(), 0..6),
    ) -> Derivation {
        let platform = platform.into();
        Derivation { name, outputs, input_derivations, input_sources, platform, builder, args, env }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn derivations_survive(derivation in derivation()) {
        let text = derivation.to_aterm();
        prop_assert_eq!(Derivation::parse_aterm(&text, &derivation.name).unwrap(), derivation);
    }

    #[test]
    fn damage_does_not_panic(derivation in derivation(), position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = derivation.to_aterm();
        let position = position.index(text.len());
        text[position] = byte;
        if let Ok(parsed) = Derivation::parse_aterm(&text, &derivation.name) {
            // What is accepted means one thing only.
            let printed = parsed.to_aterm();
            prop_assert_eq!(Derivation::parse_aterm(&printed, &derivation.name).unwrap(), parsed);
        }
        prop_assert!(Derivation::parse_aterm(&text[..text.len() - 1], &derivation.name).is_err());
    }
}

#[test]
fn fixed_outputs_survive() {
    let hash = Hash::of(Algorithm::Sha256, b"x");
    for method in [ContentMethod::Flat, ContentMethod::Nar, ContentMethod::Text, ContentMethod::Git] {
        let output = Output::fixed(method, hash, "name", "out").unwrap();
        let outputs = BTreeMap::from([("out".to_owned(), output)]);
        let derivation = Derivation { name: "name".into(), outputs, ..Derivation::default() };
        assert_eq!(Derivation::parse_aterm(&derivation.to_aterm(), "name").unwrap(), derivation);
    }
}

#[test]
fn refuses_other_texts() {
    assert!(Derivation::parse_aterm(SIMPLE.as_bytes(), "x").is_ok());
    for (text, message) in [
        ("", "derivation does not start with 'Derive' or 'DrvWithVersion'"),
        ("Derive([", "expected string '('"),
        (r#"DrvWithVersion("other",[])"#, "Unknown derivation ATerm format version 'other'"),
        (r#"Derive([("out","","","")],[("x",["out"])],[],"x","b",[],[])"#, "bad path 'x' in derivation"),
        (&SIMPLE.replace("Derive([", "Derive ["), "derivation does not start with"),
        (&SIMPLE.replace(r#""","","""#, r#""/nix/store/x","r:sha256","""#), "should not specify output path"),
        (&SIMPLE.replace(r#""","","""#, r#""","r:sha3","""#), "unknown hash algorithm 'sha3'"),
        (&SIMPLE.replace(r#""","","""#, r#""","sha256","00""#), "hash '00' has wrong length"),
        (&format!("{SIMPLE} "), "there is text after the end"),
        (&SIMPLE[..SIMPLE.len() - 4], "unterminated string"),
    ] {
        let error = Derivation::parse_aterm(text.as_bytes(), "x").unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn nesting_is_limited() {
    let deep = |depth: usize| {
        let open = r#"([],[("o","#.repeat(depth);
        let close = ")])".repeat(depth);
        let path = "/nix/store/00000000000000000000000000000000-x.drv";
        format!(
            r#"DrvWithVersion("xp-dyn-drv",[("out","","","")],[("{path}",{open}[]{close})],[],"x","b",[],[])"#
        )
    };
    assert!(Derivation::parse_aterm(deep(60).as_bytes(), "x").is_ok());
    assert!(Derivation::parse_aterm(deep(1_000_000).as_bytes(), "x").is_err());
}
