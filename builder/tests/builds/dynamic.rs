//! Derivations that are made by builds.

use std::collections::{BTreeMap, BTreeSet};

use zeval_model::derivation::{DownstreamPlaceholder, placeholder};
use zeval_model::{Algorithm, ContentMethod, Derivation, InputOutputs, Output, StorePath};

use crate::workshop::*;

pub const CASES: &[(&str, fn())] = &[
    ("an_output_that_is_a_derivation_is_built", an_output_that_is_a_derivation_is_built),
    ("a_derivation_that_makes_one_that_makes_one", a_derivation_that_makes_one_that_makes_one),
    ("an_output_that_is_no_derivation_is_an_error", an_output_that_is_no_derivation_is_an_error),
];

/// A derivation whose output is this text, called as a derivation is. Placeholders in the text are written in two pieces,
/// as a whole one would mean the output of this derivation.
fn maker(text: &str) -> Derivation {
    let output = Output::Floating { method: ContentMethod::Text, algorithm: Algorithm::Sha256 };
    let mark = placeholder("out");
    let (start, end) = mark.split_at(10);
    let text = text.replace(&mark, &format!("{start}\0{end}"));
    let commands: Vec<String> = text
        .split('\0')
        .enumerate()
        .map(|(index, piece)| format!("{} $out {piece}", if index == 0 { "write" } else { "append" }))
        .collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    derivation("inner.drv", output, &commands)
}

/// The text of a derivation that runs these commands.
fn text(name: &str, commands: &[&str]) -> String {
    let drv = with_variable(floating(name, Algorithm::Sha256, commands), "out", &placeholder("out"));
    String::from_utf8(drv.to_aterm()).unwrap()
}

/// A derivation that copies what the derivation made by `maker`, as often made as `depth` says, makes.
fn user(maker: &StorePath, depth: usize) -> Derivation {
    let mut placeholder = DownstreamPlaceholder::unknown_output(maker, "out").unwrap();
    let mut wanted = InputOutputs::of("out");
    for level in 0..depth {
        placeholder = DownstreamPlaceholder::unknown_derivation(placeholder, "out");
        let inner = if level == 0 { InputOutputs::of("out") } else { wanted };
        wanted =
            InputOutputs { outputs: BTreeSet::new(), dynamic: BTreeMap::from([("out".to_owned(), inner)]) };
    }
    let mut top = floating("top", Algorithm::Blake3, &["copy $inner $out"]);
    top.input_derivations.insert(maker.clone(), wanted);
    with_variable(top, "inner", &placeholder.render())
}

fn an_output_that_is_a_derivation_is_built() {
    let shop = Workshop::new();
    let maker = shop.add(maker(&text("inner", &["write $out made"])));
    let top = shop.add(user(&maker, 1));
    assert_eq!(shop.read(&top), "made");
    // Once more, when all is there.
    assert_eq!(shop.read(&top), "made");
    let other = shop.add(with_variable(user(&maker, 1), "different", "yes"));
    assert_eq!(shop.read(&other), "made");
}

fn a_derivation_that_makes_one_that_makes_one() {
    let shop = Workshop::new();
    let innermost = text("innermost", &["write $out deep"]);
    let mut middle = maker(&innermost);
    middle.env.insert("out".into(), placeholder("out").into());
    let middle = String::from_utf8(middle.to_aterm()).unwrap();
    let outer = shop.add(Derivation { name: "inner.drv.drv".into(), ..maker(&middle) });
    assert_eq!(shop.read(&shop.add(user(&outer, 2))), "deep");
}

fn an_output_that_is_no_derivation_is_an_error() {
    let shop = Workshop::new();
    let maker = shop.add(maker("nonsense"));
    let error = shop.build(&shop.add(user(&maker, 1))).unwrap_err().to_string();
    assert!(error.contains("error parsing derivation"), "{error}");
}
