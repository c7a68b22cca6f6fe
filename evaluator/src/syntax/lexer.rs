//! Divides text into tokens with the longest match, as Nix's lexer does, but only when asked for the next one.
//!
//! The text of strings and of interpolated paths has rules of its own. The parser knows where it is, so it asks for a token
//! of the right kind ([`Lexer::code`], [`Lexer::string_text`], ...) and no state is kept here but the offset.

use memchr::memmem;

use super::bytes::{is_identifier, is_identifier_start, is_path, is_uri, is_uri_scheme};
use super::token::{Token, TokenKind};

/// The text and how far it has been read.
pub struct Lexer<'a> {
    source: &'a [u8],
    offset: usize,
    /// The run of path bytes up to here leads to no path and no URL, wherever in it one starts. It saves the names of
    /// `a.b.c.d` from each looking ahead to the end.
    plain_until: usize,
}

/// A stretch of literal text inside of a string.
#[derive(Clone, Copy)]
pub struct Text {
    /// Where it ends.
    pub end: usize,
    /// It holds bytes that [`super::strings::unescape`] changes or refuses.
    pub escaped: bool,
}

impl<'a> Lexer<'a> {
    /// Begins at the first byte. The source is at most 4 GiB - 1, which the parser checks.
    pub fn new(source: &'a [u8]) -> Self {
        Lexer { source, offset: 0, plain_until: 0 }
    }

    /// Where the next token begins, blanks included.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Goes on at `offset`.
    pub fn set_offset(&mut self, offset: usize) {
        self.offset = offset;
    }

    /// The byte at `offset`; 0 past the end.
    fn at(&self, offset: usize) -> u8 {
        self.source.get(offset).copied().unwrap_or(0)
    }

    /// The next token outside of strings and paths. The text of a path ends before its first `${`.
    pub fn code(&mut self) -> Token {
        self.skip_blanks();
        let start = self.offset;
        let Some(&first) = self.source.get(start) else {
            return self.token(TokenKind::End, start, start);
        };
        if is_identifier_start(first) {
            return self.word(start);
        }
        let next = self.at(start + 1);
        let (kind, length) = match first {
            b'0'..=b'9' => return self.number(start),
            b'.' => return self.dot(start),
            b'+' | b'-' => return self.sign(start, first, next),
            b'/' => return self.slash(start, next),
            b'~' => return self.tilde(start, next),
            b'<' => return self.less(start, next),
            b'{' => (TokenKind::LeftBrace, 1),
            b'}' => (TokenKind::RightBrace, 1),
            b'(' => (TokenKind::LeftParen, 1),
            b')' => (TokenKind::RightParen, 1),
            b'[' => (TokenKind::LeftBracket, 1),
            b']' => (TokenKind::RightBracket, 1),
            b';' => (TokenKind::Semicolon, 1),
            b':' => (TokenKind::Colon, 1),
            b',' => (TokenKind::Comma, 1),
            b'@' => (TokenKind::At, 1),
            b'?' => (TokenKind::Question, 1),
            b'*' => (TokenKind::Star, 1),
            b'"' => (TokenKind::Quote, 1),
            b'=' if next == b'=' => (TokenKind::Equal, 2),
            b'=' => (TokenKind::Assign, 1),
            b'!' if next == b'=' => (TokenKind::NotEqual, 2),
            b'!' => (TokenKind::Bang, 1),
            b'>' if next == b'=' => (TokenKind::GreaterEqual, 2),
            b'>' => (TokenKind::Greater, 1),
            b'&' if next == b'&' => (TokenKind::And, 2),
            b'|' if next == b'|' => (TokenKind::Or, 2),
            b'|' if next == b'>' => (TokenKind::PipeInto, 2),
            b'$' if next == b'{' => (TokenKind::DollarBrace, 2),
            b'\'' if next == b'\'' => (TokenKind::IndentedOpen, 2 + self.blank_line(start + 2)),
            0 => (TokenKind::End, 1),
            _ => (TokenKind::Invalid, 1),
        };
        self.token(kind, start, start + length)
    }

    fn token(&mut self, kind: TokenKind, start: usize, end: usize) -> Token {
        self.offset = end;
        Token { kind, start: start as u32, end: end as u32 }
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.at(self.offset) {
                b' ' | b'\n' | b'\t' | b'\r' => self.offset += 1,
                b'#' => {
                    let rest = &self.source[self.offset..];
                    self.offset += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                b'/' if self.at(self.offset + 1) == b'*' => {
                    let body = self.offset + 2;
                    let Some(length) = memmem::find(&self.source[body..], b"*/") else { return };
                    self.offset = body + length + 2;
                }
                _ => return,
            }
        }
    }

    /// How many bytes of blanks and one line feed follow; 0 if anything else does.
    fn blank_line(&self, start: usize) -> usize {
        let rest = &self.source[start..];
        let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
        if rest.get(blanks) == Some(&b'\n') { blanks + 1 } else { 0 }
    }

    fn run(&self, start: usize, class: fn(u8) -> bool) -> usize {
        self.source[start..].iter().position(|byte| !class(*byte)).map_or(self.source.len(), |n| start + n)
    }

    fn word(&mut self, start: usize) -> Token {
        let end = self.run(start + 1, is_identifier);
        if matches!(self.at(end), b'/' | b':' | b'.' | b'+')
            && let Some(token) = self.path_or_uri(start)
        {
            return token;
        }
        let kind = keyword(&self.source[start..end]).unwrap_or(TokenKind::Identifier);
        self.token(kind, start, end)
    }

    /// The path or URL that begins with the run of path bytes (possibly none) at `start`.
    fn path_or_uri(&mut self, start: usize) -> Option<Token> {
        if start < self.plain_until {
            return None;
        }
        let run = self.run(start, is_path);
        match self.at(run) {
            b'/' => {
                if let Some(end) = self.path_end(run) {
                    return Some(self.token(TokenKind::Path, start, end));
                }
                self.plain_until = run;
            }
            b':' if is_uri(self.at(run + 1)) => {
                let scheme = &self.source[start..run];
                if scheme.first().is_some_and(u8::is_ascii_alphabetic)
                    && scheme.iter().all(|byte| is_uri_scheme(*byte))
                {
                    let end = self.run(run + 1, is_uri);
                    return Some(self.token(TokenKind::Uri, start, end));
                }
            }
            _ => self.plain_until = run,
        }
        None
    }

    /// Where the path ends whose first slash is at `slash`, if one does.
    fn path_end(&self, slash: usize) -> Option<usize> {
        if self.at(slash + 1) == b'$' && self.at(slash + 2) == b'{' {
            return Some(slash + 1);
        }
        let end = self.path_components(slash);
        (end > slash).then(|| if self.at(end) == b'/' { end + 1 } else { end })
    }

    /// The end of `/a/b` from `start` on.
    fn path_components(&self, start: usize) -> usize {
        let mut end = start;
        while self.at(end) == b'/' {
            let component = self.run(end + 1, is_path);
            if component == end + 1 {
                break;
            }
            end = component;
        }
        end
    }

    fn number(&mut self, start: usize) -> Token {
        if let Some(token) = self.path_or_uri(start) {
            return token;
        }
        let digits = self.run(start, |byte| byte.is_ascii_digit());
        if self.at(digits) == b'.' {
            let fraction = self.run(digits + 1, |byte| byte.is_ascii_digit());
            let is_float = match self.at(start) {
                b'0' => digits == start + 1 && fraction > digits + 1,
                _ => true,
            };
            if is_float {
                let end = self.exponent(fraction);
                return self.token(TokenKind::Float, start, end);
            }
        }
        self.token(TokenKind::Int, start, digits)
    }

    fn exponent(&self, start: usize) -> usize {
        if !matches!(self.at(start), b'e' | b'E') {
            return start;
        }
        let digits = start + 1 + usize::from(matches!(self.at(start + 1), b'+' | b'-'));
        let end = self.run(digits.min(self.source.len()), |byte| byte.is_ascii_digit());
        if end > digits { end } else { start }
    }

    fn dot(&mut self, start: usize) -> Token {
        if let Some(token) = self.path_or_uri(start) {
            return token;
        }
        if self.at(start + 1) == b'.' && self.at(start + 2) == b'.' {
            return self.token(TokenKind::Ellipsis, start, start + 3);
        }
        let fraction = self.run(start + 1, |byte| byte.is_ascii_digit());
        if fraction > start + 1 {
            let end = self.exponent(fraction);
            return self.token(TokenKind::Float, start, end);
        }
        self.token(TokenKind::Dot, start, start + 1)
    }

    fn sign(&mut self, start: usize, first: u8, next: u8) -> Token {
        if (is_path(next) || next == b'/')
            && let Some(token) = self.path_or_uri(start)
        {
            return token;
        }
        let (kind, length) = match (first, next) {
            (b'+', b'+') => (TokenKind::Concat, 2),
            (b'+', _) => (TokenKind::Plus, 1),
            (_, b'>') => (TokenKind::Implies, 2),
            _ => (TokenKind::Minus, 1),
        };
        self.token(kind, start, start + length)
    }

    fn slash(&mut self, start: usize, next: u8) -> Token {
        if next == b'/' {
            return self.token(TokenKind::Update, start, start + 2);
        }
        match self.path_end(start) {
            Some(end) => self.token(TokenKind::Path, start, end),
            None => self.token(TokenKind::Slash, start, start + 1),
        }
    }

    fn tilde(&mut self, start: usize, next: u8) -> Token {
        match self.path_end(start + 1) {
            Some(end) if next == b'/' => self.token(TokenKind::HomePath, start, end),
            _ => self.token(TokenKind::Invalid, start, start + 1),
        }
    }

    fn less(&mut self, start: usize, next: u8) -> Token {
        let (kind, end) = match next {
            b'=' => (TokenKind::LessEqual, start + 2),
            b'|' => (TokenKind::PipeFrom, start + 2),
            _ => {
                let run = self.run(start + 1, is_path);
                let end = self.path_components(run);
                if run > start + 1 && self.at(end) == b'>' {
                    (TokenKind::SearchPath, end + 1)
                } else {
                    (TokenKind::Less, start + 1)
                }
            }
        };
        self.token(kind, start, end)
    }

    /// The literal text at the offset, inside of `"`: up to the closing quote, `${` or an escape that the end of the text
    /// cuts off.
    pub fn string_text(&mut self) -> Text {
        let mut end = self.offset;
        let mut escaped = false;
        while let Some(&byte) = self.source.get(end) {
            let length = match byte {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    2
                }
                b'$' => match self.source.get(end + 1) {
                    Some(b'{') | None => break,
                    Some(b'"') => 1,
                    Some(b'\\') => {
                        escaped = true;
                        3
                    }
                    Some(other) => {
                        escaped |= matches!(other, b'\r' | 0);
                        2
                    }
                },
                b'\r' | 0 => {
                    escaped = true;
                    1
                }
                _ => 1,
            };
            if end + length > self.source.len() {
                break;
            }
            end += length;
        }
        self.offset = end;
        Text { end, escaped }
    }

    /// The literal text at the offset, inside of `''`: up to the next escape, `${` or closing quotes. It may be empty.
    pub fn indented_text(&mut self) -> Text {
        let mut end = self.offset;
        let mut escaped = false;
        while let Some(&byte) = self.source.get(end) {
            let length = match byte {
                b'\'' => match self.source.get(end + 1) {
                    Some(b'\'' | b'$') | None => break,
                    Some(other) => {
                        escaped |= *other == 0;
                        2
                    }
                },
                b'$' => match self.source.get(end + 1) {
                    Some(b'{' | b'\'') | None => break,
                    Some(other) => {
                        escaped |= *other == 0;
                        2
                    }
                },
                0 => {
                    escaped = true;
                    1
                }
                _ => 1,
            };
            end += length;
        }
        self.offset = end;
        Text { end, escaped }
    }

    /// How long the escape is that stands at the offset, inside of `''`: `''$`, `'''`, `''\x`, or a `$` or `'` alone.
    pub fn indented_escape(&self) -> Option<usize> {
        match self.source[self.offset..] {
            [b'\'', b'\'', b'$' | b'\'', ..] => Some(3),
            [b'\'', b'\'', b'\\', _, ..] => Some(4),
            [b'\'', b'\'', ..] => None,
            [b'\'' | b'$', ..] => Some(1),
            _ => None,
        }
    }

    /// The bytes of a path that go on at the offset after an interpolation or a trailing slash. They may be none.
    pub fn path_text(&mut self) -> usize {
        let start = self.offset;
        let components = self.path_components(self.run(start, is_path));
        self.offset = if self.at(components) == b'/' { components + 1 } else { components };
        self.offset
    }

    /// What the rest of the text begins with.
    pub fn rest_starts_with(&self, prefix: &[u8]) -> bool {
        self.source[self.offset..].starts_with(prefix)
    }
}

fn keyword(word: &[u8]) -> Option<TokenKind> {
    Some(match word {
        b"if" => TokenKind::If,
        b"in" => TokenKind::In,
        b"or" => TokenKind::OrKeyword,
        b"let" => TokenKind::Let,
        b"rec" => TokenKind::Rec,
        b"then" => TokenKind::Then,
        b"else" => TokenKind::Else,
        b"with" => TokenKind::With,
        b"assert" => TokenKind::Assert,
        b"inherit" => TokenKind::Inherit,
        _ => return None,
    })
}
