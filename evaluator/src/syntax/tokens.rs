//! All tokens of a text, those of strings and paths included, by a stack of modes as Nix's lexer has it.

use super::ast::Pos;
use super::lexer::Lexer;
use super::token::{Token, TokenKind};

/// What the lexer is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Code,
    String,
    Indented,
    Path,
}

/// Up to the end of the text or a NUL byte, and with it.
pub struct Tokens<'a> {
    lexer: Lexer<'a>,
    length: usize,
    modes: Vec<Mode>,
    /// The token before, which Nix takes the place of an empty token from.
    last: Token,
    before_last: Token,
    is_done: bool,
}

impl<'a> Tokens<'a> {
    /// From the beginning of `source`.
    pub fn new(source: &'a [u8]) -> Self {
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
