//! The exact text of syntax errors: a refused text is read once more as Nix's generated lexer and parser would.

use std::sync::OnceLock;

use super::automaton::Automaton;
use super::error::{SyntaxError, SyntaxErrorKind};
use super::token::{Token, TokenKind};
use super::tokens::Tokens;

/// Longer lists of what was expected are left out, as Bison does.
const MOST_EXPECTED: usize = 4;

/// The error that Nix gives for `source`, which the parser could not go on with at `token`; `is_definitions` says that
/// definitions were asked for instead of an expression.
pub fn syntax_error(source: &[u8], token: Token, is_definitions: bool) -> SyntaxError {
    // The automaton refuses what the parser refuses; were it not so, the parser's token is still right.
    let (token, expected) = refusal(source, is_definitions).unwrap_or((token, Vec::new()));
    let expected = if expected.len() > MOST_EXPECTED { Vec::new() } else { expected };
    SyntaxError {
        warnings: Vec::new(),
        pos: if token.kind == TokenKind::End { token.end } else { token.start },
        kind: SyntaxErrorKind::Unexpected {
            token: token.kind.name(),
            expected: expected.into_iter().map(TokenKind::name).collect(),
        },
    }
}

/// The first token that Nix's parser refuses, and what it expects instead.
fn refusal(source: &[u8], is_definitions: bool) -> Option<(Token, Vec<TokenKind>)> {
    static AUTOMATON: OnceLock<Automaton> = OnceLock::new();
    let mut tokens = Vec::new();
    let mode = is_definitions.then_some(Token { kind: TokenKind::ReplBindings, start: 0, end: 0 });
    let stream = mode.into_iter().chain(Tokens::new(source)).inspect(|token| tokens.push(*token));
    let refusal = AUTOMATON.get_or_init(Automaton::nix).run(stream.map(|token| token.kind))?;
    Some((tokens[refusal.position], refusal.expected))
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use proptest::prelude::*;

    use super::*;
    use crate::syntax::{ParseOptions, parse};

    /// Fragments that texts are put together from, so that they are expressions now and then.
    const FRAGMENTS: [&str; 78] = [
        "if ",
        "then ",
        "else ",
        "assert ",
        "with ",
        "let ",
        "in ",
        "rec ",
        "inherit ",
        "or ",
        "...",
        "==",
        "!=",
        "<=",
        ">=",
        "&&",
        "||",
        "->",
        "//",
        "++",
        "${",
        "}",
        "{",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "''",
        ";",
        ":",
        "@",
        "?",
        ",",
        ".",
        "=",
        "+",
        "-",
        "*",
        "/",
        "<",
        ">",
        "!",
        "~",
        "$",
        "\\",
        "|",
        "&",
        "^",
        " ",
        "\n",
        "a",
        "b",
        "1",
        "1.5",
        "./a",
        "./a/",
        "a/",
        "~/x",
        "<x/y>",
        "a:b",
        "#c\n",
        "/*c*/",
        "'",
        "''\\",
        "''$",
        "'''",
        "%",
        "a.b",
        "x: ",
        "{ a }: ",
        "{ a = 1; }",
        "{ b, c ? 1 }@d: ",
        "let { } ",
        "inherit (x) y; ",
        "a = 1; ",
        "\"a${b}c\"",
        "__curPos",
    ];

    fn text() -> impl Strategy<Value = String> {
        let fragments = prop::sample::select(FRAGMENTS.as_slice());
        prop::collection::vec(fragments, 0..14).prop_map(|fragments| fragments.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The parser takes what the automaton takes, and refuses what it refuses.
        #[test]
        fn the_parser_and_the_automaton_agree(source in text()) {
            let arena = Bump::new();
            let options = ParseOptions { pipe_operators: true, ..ParseOptions::default() };
            let parsed = parse(source.as_bytes(), &arena, &options).map(|_| ());
            let refused = refusal(source.as_bytes(), false).is_some();
            match parsed {
                Ok(()) => prop_assert!(!refused),
                Err(SyntaxError { kind: SyntaxErrorKind::Unexpected { .. }, .. }) => prop_assert!(refused),
                // The lexer's errors and those of meaning come before or instead of a refusal.
                Err(_) => {}
            }
        }

        #[test]
        fn no_bytes_are_too_odd(source in prop::collection::vec(any::<u8>(), 0..60)) {
            drop(parse(&source, &Bump::new(), &ParseOptions::default()).map(|_| ()));
        }
    }
}
