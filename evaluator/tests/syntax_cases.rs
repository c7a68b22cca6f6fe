//! Trees and errors of `syntax/*.txt` against Nix 2.34, which the expectations were taken from.
//!
//! A case is a text, a line `---` and what is expected; a line `===` stands between cases. Trees are those of
//! `nix-instantiate --parse` for a file in `/base` with the home folder `/home`. Errors are `LINE:COLUMN message`, followed
//! by ` at LINE:COLUMN` where the message names an earlier definition.

use bstr::ByteSlice;
use bumpalo::Bump;
use zeval_evaluator::syntax::error::{SyntaxError, SyntaxErrorKind};
use zeval_evaluator::syntax::print::{self, PathBase};
use zeval_evaluator::syntax::{ParseOptions, parse, parse_definitions};

fn base() -> PathBase<'static> {
    PathBase { folder: b"/base".as_bstr(), home: b"/home".as_bstr() }
}

fn tree(source: &[u8]) -> String {
    let arena = Bump::new();
    match parse(source, &arena, &ParseOptions::default()) {
        Ok(ast) => print::expression(&ast, base()).to_str_lossy().into_owned(),
        Err(error) => located(source, &error),
    }
}

fn located(source: &[u8], error: &SyntaxError) -> String {
    let earlier = match error.kind {
        SyntaxErrorKind::DuplicateAttribute { first, .. } => format!(" at {}", line_column(source, first)),
        _ => String::new(),
    };
    format!("{} {error}{earlier}", line_column(source, error.pos))
}

fn line_column(source: &[u8], pos: u32) -> String {
    let before = &source[..pos as usize];
    let line_start = before.rfind_byte(b'\n').map_or(0, |at| at + 1);
    format!("{}:{}", before.find_iter(b"\n").count() + 1, before.len() - line_start + 1)
}

fn check(cases: &str) {
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases.trim_end_matches('\n').split("\n===\n") {
        let (source, expected) = case.split_once("\n---\n").expect("a case has a text and an expectation");
        count += 1;
        let found = tree(source.as_bytes());
        if found != expected {
            failures.push(format!("{source}\n  expected: {expected}\n  found:    {found}"));
        }
    }
    assert!(failures.is_empty(), "{} of {count} differ:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn trees_are_those_of_nix() {
    check(include_str!("syntax/trees.txt"));
}

#[test]
fn errors_are_those_of_nix() {
    check(include_str!("syntax/errors.txt"));
}

/// What a text file of cases cannot hold well: bytes that are no text.
#[test]
fn odd_bytes() {
    let cases: &[(&[u8], &str)] = &[
        (b"\"a\rb\r\nc\\\r\n\"", r#""a\nb\nc\r\n""#),
        (b"''a\r\n  b''", r#""a\r\n  b""#),
        (b"''a''\\\rb''", r#"("a" + "\r" + "b")"#),
        (b"1 # comment\r + 2", "(1 + 2)"),
        (b"1 \0 anything", "1"),
        (b"(1 \0", "1:5 syntax error, unexpected end of file, expecting ')'"),
        (
            b"\"a\0b\"",
            "1:2 input string 'a␀b' cannot be represented as Nix string because it contains null bytes",
        ),
        (b"\"\x80\"", "\"\u{fffd}\""),
        (b"a \x80", "1:3 syntax error, unexpected invalid token, expecting end of file"),
        (b"1 \x0c", "1:3 syntax error, unexpected invalid token, expecting end of file"),
        (b"(./a", "1:2 syntax error, unexpected end of file, expecting ')'"),
        (b"(./a/", "1:2 path has a trailing slash"),
        (b"(./a/ ", "1:6 path has a trailing slash"),
        (b"(./${\"x\"}", "1:9 syntax error, unexpected end of file, expecting ')'"),
        (b"", "1:1 syntax error, unexpected end of file"),
    ];
    for (source, expected) in cases {
        assert_eq!(tree(source), *expected, "{}", source.as_bstr());
    }
}

#[test]
fn pipes_are_calls_when_they_are_on() {
    let arena = Bump::new();
    let options = ParseOptions { pipe_operators: true, ..ParseOptions::default() };
    let print = |source: &'static str| match parse(source.as_bytes(), &arena, &options) {
        Ok(ast) => print::expression(&ast, base()).to_str_lossy().into_owned(),
        Err(error) => located(source.as_bytes(), &error),
    };
    assert_eq!(print("a |> f |> g b"), "(g b (f a))");
    assert_eq!(print("f <| g <| a + b"), "(f (g (a + b)))");
    assert_eq!(print("x: x |> f"), "(x: (f x))");
    assert_eq!(print("a |> f <| b"), "1:8 syntax error, unexpected '<|', expecting end of file");
    assert_eq!(print("a <| x: x"), "1:7 syntax error, unexpected ':', expecting end of file");
}

#[test]
fn the_home_folder_is_refused_in_pure_mode() {
    let options = ParseOptions { pure: true, ..ParseOptions::default() };
    let error = parse(b"[ ~/a ]", &Bump::new(), &options).map(|_| ()).expect_err("an impure path");
    assert_eq!(error.to_string(), "the path '~/a' can not be resolved in pure mode");
}

#[test]
fn definitions_without_braces() {
    let arena = Bump::new();
    let parsed = parse_definitions(b"a = 1; inherit (b) c;", &arena, &ParseOptions::default());
    let ast = parsed.expect("definitions");
    assert_eq!(print::expression(&ast, base()).as_bstr(), "{ inherit (b) c; a = 1; }");
    let error = |source: &[u8]| {
        let result = parse_definitions(source, &Bump::new(), &ParseOptions::default()).map(|_| ());
        result.expect_err("no definitions").to_string()
    };
    assert!(parse_definitions(b"a = 1; b = { c = 2; }", &arena, &ParseOptions::default()).is_ok());
    assert!(error(b"b = { c = 2").starts_with("syntax error, unexpected end of file"));
    assert_eq!(error(b"1"), "syntax error, unexpected integer, expecting 'inherit'");
}

#[test]
fn or_as_a_name_is_warned_of_outside_of_parentheses() {
    let warnings = |source: &[u8]| {
        let arena = Bump::new();
        let ast = parse(source, &arena, &ParseOptions::default()).expect("an expression");
        ast.warnings.iter().map(|or| (or.start, or.end)).collect::<Vec<_>>()
    };
    assert_eq!(warnings(b"[ a or 1 ]"), [(2, 6)]);
    assert_eq!(warnings(b"f a or"), [(2, 6)]);
    assert_eq!(warnings(b"a.b or c or"), [(7, 11)]);
    assert_eq!(warnings(b"f or [ (g or) ]"), []);
}

/// Nested or chained as deeply as nobody writes: a tree, or an error, but never an overflow of the stack.
#[test]
fn deep_texts() {
    let nest = |open: &str, middle: &str, close: &str, depth: usize| {
        format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
    };
    let parses = |source: String| {
        parse(source.as_bytes(), &Bump::new(), &ParseOptions::default())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let nestings = [
        ("(", "1", ")"),
        ("[", "", "]"),
        ("{a=", "1", ";}"),
        ("{${", "a", "}=1;}"),
        ("{a?", "1", "}: 1"),
        ("x: ", "1", ""),
        ("\"${", "1", "}\""),
        ("''${", "1", "}''"),
        ("/${", "1", "}"),
        ("a.b or ", "1", ""),
        ("if a then b else ", "1", ""),
        ("let a = ", "1", "; in a"),
        ("let {a = ", "1", ";}"),
    ];
    let chains = ["!", "- ", "1 + ", "1 ++ ", "1 // ", "1 -> ", "1 * ", "1 && ", "f "];
    let check = move || {
        for (open, middle, close) in nestings {
            assert_eq!(parses(nest(open, middle, close, 40_000)), Ok(()), "{open}");
            let refused = Err("stack overflow (possible infinite recursion)".to_owned());
            assert_eq!(parses(nest(open, middle, close, 110_000)), refused, "{open}");
        }
        for chain in chains {
            assert_eq!(parses(format!("{}1", chain.repeat(200_000))), Ok(()), "{chain}");
        }
        assert_eq!(parses(format!("a{}", ".a".repeat(90_000))), Ok(()));
        assert_eq!(parses(format!("a{}", " ? a".repeat(200_000))), Ok(()));
        assert_eq!(parses(nest("(", "f", " 1)", 40_000)), Ok(()));
    };
    let thread = std::thread::Builder::new().stack_size(2 << 30).spawn(check);
    thread.expect("a thread").join().expect("no failure");
}
