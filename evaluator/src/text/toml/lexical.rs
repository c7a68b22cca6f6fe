//! Where the reader is in a TOML text; blanks, comments, keys and strings.

use bstr::{BString, ByteVec};

use super::report::{Region, Report};
use super::tree::Key;

/// A text, which ends with a line end, and a place in it.
pub struct Cursor<'a> {
    pub text: &'a [u8],
    pub position: usize,
}

const INVALID_KEY: &str =
    "toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.";
const KEY_HINT: &str = "Hint: non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.\n";

/// The four kinds of strings.
#[derive(Clone, Copy)]
struct Kind {
    quote: u8,
    lines: bool,
}

impl Kind {
    fn closing(self) -> &'static str {
        match (self.quote, self.lines) {
            (b'"', false) => "\"",
            (b'"', true) => "\"\"\"",
            (_, false) => "'",
            (_, true) => "'''",
        }
    }

    fn invalid(self, position: usize) -> Report {
        let (parser, note) = match (self.quote, self.lines) {
            (b'"', false) => ("parse_basic_string", "expected \""),
            (b'"', true) => ("parse_ml_basic_string", "expected \"\"\""),
            (_, false) => ("parse_literal_string", "expected '"),
            (_, true) => ("parse_ml_literal_string", "expected '''"),
        };
        Report::new(format!("toml::{parser}: invalid string format"), Region::at(position), note)
    }
}

impl<'a> Cursor<'a> {
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    pub fn at_end(&self) -> bool {
        self.position >= self.text.len()
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.position..]
    }

    pub fn eat(&mut self, wanted: &[u8]) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.position += wanted.len();
        }
        found
    }

    pub fn skip_while(&mut self, condition: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&condition) {
            self.position += 1;
        }
    }

    pub fn skip_blanks(&mut self) {
        self.skip_while(|byte| byte == b' ' || byte == b'\t');
    }

    pub fn eat_line_end(&mut self) -> bool {
        self.eat(b"\n") || self.eat(b"\r\n")
    }

    pub fn skip_line(&mut self) {
        self.skip_while(|byte| byte != b'\n');
        self.eat(b"\n");
    }

    /// A comment up to, but not including, the end of its line.
    pub fn skip_comment(&mut self) -> Result<(), Report> {
        if self.peek() != Some(b'#') {
            return Ok(());
        }
        loop {
            match self.peek() {
                None | Some(b'\n') => return Ok(()),
                Some(b'\r') if self.rest().starts_with(b"\r\n") => return Ok(()),
                Some(0..=8 | 10..=31 | 127) => {
                    let title = "toml::parse_comment_line: newline (LF / CRLF) or EOF is expected";
                    let report = Report::new(title, Region::at(self.position), "but got this");
                    return Err(
                        report.hint("Hint: most of the control characters are not allowed in comments")
                    );
                }
                Some(_) => self.position += 1,
            }
        }
    }

    /// Blanks, comments and line ends.
    pub fn skip_space(&mut self) -> Result<(), Report> {
        loop {
            self.skip_blanks();
            self.skip_comment()?;
            if !self.eat_line_end() {
                return Ok(());
            }
        }
    }

    /// One or more simple keys with dots between them.
    pub fn key(&mut self) -> Result<Key, Report> {
        let start = self.position;
        let mut parts = vec![self.simple_key()?];
        loop {
            let end = self.position;
            self.skip_blanks();
            if !self.eat(b".") {
                self.position = end;
                return Ok(Key { parts, region: Region { start, end } });
            }
            self.skip_blanks();
            match self.simple_key() {
                Ok(part) => parts.push(part),
                Err(report) => {
                    // toml11 goes back to where the key went wrong.
                    self.position = end;
                    return Err(Report { marks: vec![(Region::at(end + 1), report.marks[0].1)], ..report });
                }
            }
        }
    }

    fn simple_key(&mut self) -> Result<BString, Report> {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                self.position += 1;
                self.string_body(Kind { quote, lines: false })
            }
            _ => {
                let start = self.position;
                self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
                if self.position == start {
                    let note = "expected alpha [a-zA-Z], digit [0-9], -, or _";
                    return Err(Report::new(INVALID_KEY, Region::at(start), note).hint(KEY_HINT));
                }
                Ok(self.text[start..self.position].into())
            }
        }
    }

    /// A string of any kind; the cursor is at its first quote.
    pub fn string(&mut self) -> Result<BString, Report> {
        let quote = self.text[self.position];
        let lines = self.rest().starts_with(&[quote; 3]);
        self.position += if lines { 3 } else { 1 };
        if lines {
            self.eat_line_end();
        }
        self.string_body(Kind { quote, lines })
    }

    fn string_body(&mut self, kind: Kind) -> Result<BString, Report> {
        let mut contents = BString::default();
        loop {
            match self.peek() {
                Some(byte) if byte == kind.quote => {
                    if self.close_string(kind, &mut contents) {
                        return Ok(contents);
                    }
                }
                Some(b'\\') if kind.quote == b'"' => self.escape(kind, &mut contents)?,
                Some(byte @ (b'\t' | b' '..=b'~')) => {
                    contents.push(byte);
                    self.position += 1;
                }
                Some(b'\n' | b'\r') if kind.lines => {
                    let start = self.position;
                    if !self.eat_line_end() {
                        return Err(kind.invalid(self.position));
                    }
                    contents.extend_from_slice(&self.text[start..self.position]);
                }
                Some(0x80..) => {
                    let length = multibyte_length(self.rest()).ok_or_else(|| kind.invalid(self.position))?;
                    contents.extend_from_slice(&self.rest()[..length]);
                    self.position += length;
                }
                _ => return Err(kind.invalid(self.position)),
            }
        }
    }

    /// At a quote: whether it closes the string. In strings of several lines, one or two quotes stand for themselves,
    /// before the closing ones too.
    fn close_string(&mut self, kind: Kind, contents: &mut BString) -> bool {
        if !kind.lines {
            self.position += 1;
            return true;
        }
        let closing = kind.closing().as_bytes();
        if self.rest().starts_with(closing) {
            let count = self.rest().iter().take(5).take_while(|&&byte| byte == kind.quote).count();
            contents.extend(std::iter::repeat_n(kind.quote, count - 3));
            self.position += count;
            return true;
        }
        contents.push(kind.quote);
        self.position += 1;
        false
    }

    fn escape(&mut self, kind: Kind, contents: &mut BString) -> Result<(), Report> {
        let start = self.position;
        self.position += 1;
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\')) => byte,
            Some(b'b') => 8,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'f') => 12,
            Some(b'r') => b'\r',
            Some(letter @ (b'u' | b'U')) => {
                self.position += 1;
                let length = if letter == b'u' { 4 } else { 8 };
                contents.push_char(self.code_point(length).map_err(|problem| problem.at(start, kind))?);
                return Ok(());
            }
            Some(b' ' | b'\t' | b'\r' | b'\n') if kind.lines => {
                self.skip_blanks();
                if !self.eat_line_end() {
                    return Err(kind.invalid(start));
                }
                self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
                return Ok(());
            }
            _ => return Err(kind.invalid(start)),
        };
        self.position += 1;
        contents.push(plain);
        Ok(())
    }

    fn code_point(&mut self, length: usize) -> Result<char, CodeProblem> {
        let digits = self.rest().get(..length).unwrap_or_default();
        let text =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = text.and_then(|text| u32::from_str_radix(text, 16).ok()).ok_or(CodeProblem::NoDigits)?;
        let character = char::from_u32(code).ok_or(CodeProblem::NoCharacter(code, length))?;
        self.position += length;
        Ok(character)
    }
}

enum CodeProblem {
    NoDigits,
    /// The code and the number of its digits.
    NoCharacter(u32, usize),
}

impl CodeProblem {
    fn at(self, start: usize, kind: Kind) -> Report {
        match self {
            CodeProblem::NoDigits => kind.invalid(start),
            CodeProblem::NoCharacter(code, digits) => {
                let what = if code > 0x10_ffff {
                    "input codepoint is too large to encode in utf-8"
                } else {
                    "[0xD800, 0xDFFF] is not a valid UTF-8"
                };
                let title = format!("toml::parse_utf8_codepoint: {what}");
                Report::new(title, Region { start: start + 1, end: start + 2 + digits }, "here")
            }
        }
    }
}

/// The length of the well-formed UTF-8 sequence at the start.
fn multibyte_length(text: &[u8]) -> Option<usize> {
    let head = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
    };
    valid.chars().next().map(char::len_utf8)
}
