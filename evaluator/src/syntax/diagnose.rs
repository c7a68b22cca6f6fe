//! The exact text of syntax errors: a refused text is read once more as Nix's generated lexer and parser would.

use std::sync::OnceLock;

use super::ast::Pos;
use super::automaton::Automaton;
use super::error::{SyntaxError, SyntaxErrorKind};
use super::lexer::Lexer;
use super::token::{Token, TokenKind};

/// Longer lists of what was expected are left out, as Bison does.
const MOST_EXPECTED: usize = 4;

/// The error that Nix gives for `source`, which the parser could not go on with at `token`; `is_definitions` says that
/// definitions were asked for instead of an expression.
pub fn syntax_error(source: &[u8], token: Token, is_definitions: bool) -> SyntaxError {
    // The automaton refuses what the parser refuses; were it not so, the parser's token is still right.
    let (token, expected) = refusal(source, is_definitions).unwrap_or((token, Vec::new()));
    let expected = if expected.len() > MOST_EXPECTED { Vec::new() } else { expected };
    SyntaxError {
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

/// What the lexer is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Code,
    String,
    Indented,
    Path,
}

/// The tokens of a text with those of strings and paths, by a stack of modes as Nix's lexer has it.
struct Tokens<'a> {
    lexer: Lexer<'a>,
    length: usize,
    modes: Vec<Mode>,
    /// The token before, which Nix takes the place of an empty token from.
    last: Token,
    before_last: Token,
    is_done: bool,
}

impl<'a> Tokens<'a> {
    fn new(source: &'a [u8]) -> Self {
        let none = Token { kind: TokenKind::End, start: 0, end: 0 };
        Tokens {
            lexer: Lexer::new(source),
            length: source.len(),
            modes: vec![Mode::Code],
            last: none,
            before_last: none,
            is_done: false,
        }
    }

    fn code(&mut self) -> Token {
        let token = self.lexer.code();
        match token.kind {
            TokenKind::LeftBrace | TokenKind::DollarBrace => self.modes.push(Mode::Code),
            // The outermost mode stays.
            TokenKind::RightBrace if self.modes.len() > 1 => drop(self.modes.pop()),
            TokenKind::Quote => self.modes.push(Mode::String),
            TokenKind::IndentedOpen => self.modes.push(Mode::Indented),
            TokenKind::Path | TokenKind::HomePath => self.modes.push(Mode::Path),
            _ => {}
        }
        token
    }

    fn string(&mut self) -> Token {
        let start = self.lexer.offset();
        if self.lexer.string_text().end > start {
            return self.since(start, TokenKind::StringText);
        }
        self.interpolation().unwrap_or_else(|| {
            if self.lexer.rest_starts_with(b"\"") {
                self.modes.pop();
                return self.take(1, TokenKind::Quote);
            }
            self.end()
        })
    }

    fn indented(&mut self) -> Token {
        let start = self.lexer.offset();
        if self.lexer.indented_text().end > start {
            return self.since(start, TokenKind::IndentedText);
        }
        if let Some(token) = self.interpolation() {
            return token;
        }
        if let Some(length) = self.lexer.indented_escape() {
            return self.take(length, TokenKind::IndentedText);
        }
        if self.lexer.rest_starts_with(b"''") {
            self.modes.pop();
            return self.take(2, TokenKind::IndentedClose);
        }
        self.end()
    }

    fn path(&mut self) -> Token {
        if let Some(token) = self.interpolation() {
            return token;
        }
        let start = self.lexer.offset();
        if self.lexer.path_text() > start {
            return self.since(start, TokenKind::StringText);
        }
        self.modes.pop();
        let is_at_end = start == self.length;
        let place = if is_at_end { self.before_last } else { self.last };
        Token { kind: TokenKind::PathEnd, ..place }
    }

    fn interpolation(&mut self) -> Option<Token> {
        if !self.lexer.rest_starts_with(b"${") {
            return None;
        }
        self.modes.push(Mode::Code);
        Some(self.take(2, TokenKind::DollarBrace))
    }

    fn end(&self) -> Token {
        Token { kind: TokenKind::End, start: self.length as Pos, end: self.length as Pos }
    }

    fn since(&self, start: usize, kind: TokenKind) -> Token {
        Token { kind, start: start as Pos, end: self.lexer.offset() as Pos }
    }

    fn take(&mut self, length: usize, kind: TokenKind) -> Token {
        let start = self.lexer.offset();
        self.lexer.set_offset(start + length);
        self.since(start, kind)
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.is_done {
            return None;
        }
        let mut token = match self.modes.last()? {
            Mode::Code => self.code(),
            Mode::String => self.string(),
            Mode::Indented => self.indented(),
            Mode::Path => self.path(),
        };
        let after_path = self.last.kind == TokenKind::PathEnd && self.before_last.end as usize == self.length;
        if token.kind == TokenKind::End {
            self.is_done = true;
            if after_path {
                // A path that ends with the text leaves Nix's lexer where the path's last piece began.
                token.end = self.before_last.start;
            }
        }
        self.before_last = self.last;
        self.last = token;
        Some(token)
    }
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
