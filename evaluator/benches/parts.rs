//! How long the parts of an evaluation take: `cargo bench -p zeval-evaluator`.
//!
//! Each benchmark evaluates a small expression many times in one evaluator, as the lines of a repl, so that memory stays small; what
//! a line costs by itself is the first benchmark, `line`.

use bstr::ByteSlice;
use bumpalo::Bump;
use divan::{Bencher, black_box, counter::BytesCount};
use zeval_evaluator::{
    Evaluator, Session, Settings,
    load::Scope,
    print::forced::{self, Errors, Options},
    store::PathsOnly,
    syntax::{self, ParseOptions},
    with_large_stack,
};

fn main() {
    with_large_stack(divan::main).expect("a thread with a large stack");
}

/// How often the work of a benchmark is done within one expression.
const ROUNDS: usize = 1000;

/// A text in which most kinds of syntax occur, about as often as in a package.
fn package() -> String {
    let attribute = |n: usize| {
        format!(
            "  a{n} = {{ lib, stdenv ? null, ... }}@args: with lib; let b = args.c or [ ]; in rec {{\n    inherit b;\n    name = \
             \"x-${{toString {n}}}\";\n    script = ''\n      make PREFIX=$out ${{b}}\n    '';\n    d = if b == [ ] && {n} > 1 then ./x.patch else \
             lib.optional (d ? e.f) (b // {{ g = 1.5; }});\n  }}; # a comment\n"
        )
    };
    let attributes: String = (0..50).map(attribute).collect();
    format!("{{ pkgs }}: {{\n{attributes}}}\n")
}

fn evaluate(bencher: Bencher<'_, '_>, text: &str) {
    let settings = Settings { jobs: 1, ..Settings::default() };
    let mut evaluator = Evaluator::new(Session::new(settings, std::sync::Arc::new(PathsOnly::default())));
    let options = Options { depth: 1, lines: false, colours: false, errors: Errors::Fail };
    bencher.bench_local(move || {
        let text = black_box(text).as_bytes().to_vec();
        let shown = evaluator.evaluate_shown(text, b"/".as_bstr(), Scope::default(), forced::value, options);
        shown.unwrap_or_else(|error| panic!("{}", error.message))
    });
}

/// An expression that is evaluated for each of [`ROUNDS`] numbers `n`.
fn evaluate_each(bencher: Bencher<'_, '_>, bindings: &str, each: &str) {
    let text = format!(
        "let {bindings} in builtins.foldl' (sum: n: builtins.seq ({each}) sum) 0 (builtins.genList (n: n) {ROUNDS})"
    );
    evaluate(bencher, &text);
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let text = package();
    let mut arena = Bump::new();
    bencher.counter(BytesCount::of_str(&text)).bench_local(move || {
        let names = syntax::parse(black_box(text.as_bytes()), &arena, &ParseOptions::default()).is_ok();
        arena.reset();
        names
    });
}

#[divan::bench]
fn parse_and_lower(bencher: Bencher<'_, '_>) {
    // A function, never called.
    let text = package();
    evaluate(bencher.counter(BytesCount::of_str(&text)), &text);
}

#[divan::bench]
fn line(bencher: Bencher<'_, '_>) {
    evaluate(bencher, "1");
}

#[divan::bench]
fn call(bencher: Bencher<'_, '_>) {
    evaluate_each(bencher, "f = a: b: c: a + b + c;", "f n 1 2");
}

#[divan::bench]
fn call_with_pattern(bencher: Bencher<'_, '_>) {
    evaluate_each(bencher, "f = { a, b ? 2, ... }: a + b;", "f { a = n; c = 3; }");
}

#[divan::bench]
fn select(bencher: Bencher<'_, '_>) {
    evaluate_each(bencher, "s = { a.b.c = 1; x = 2; y = 3; };", "s.a.b.c + s.x + (s.z or 4)");
}

#[divan::bench]
fn merge_small(bencher: Bencher<'_, '_>) {
    evaluate_each(bencher, "s = { a = 1; b = 2; c = 3; };", "s // { b = n; d = n; }");
}

#[divan::bench]
fn merge_into_large(bencher: Bencher<'_, '_>) {
    let large = "s = builtins.listToAttrs (map (n: { name = \"n${toString n}\"; value = n; }) (builtins.genList (n: n) 1000));";
    evaluate_each(bencher, large, "(s // { n7 = n; }).n7");
}

#[divan::bench]
fn thunk(bencher: Bencher<'_, '_>) {
    evaluate_each(bencher, "force = set: set.a + set.a;", "force { a = n + 1; b = n + 2; }");
}

#[divan::bench]
fn string(bencher: Bencher<'_, '_>) {
    evaluate_each(bencher, "s = \"some text\";", "\"${s} and ${toString n}: ${s}\"");
}

#[divan::bench]
fn list(bencher: Bencher<'_, '_>) {
    evaluate_each(bencher, "l = [ 1 2 3 ];", "builtins.length (map (x: x) (l ++ [ n ]))");
}
