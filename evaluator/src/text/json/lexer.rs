//! The tokens of JSON, with nlohmann's notion of where it is in the text.

use bstr::{BString, ByteVec};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token {
    True,
    False,
    Null,
    /// Its contents are in [`Lexer::string`].
    String,
    Unsigned(u64),
    Signed(i64),
    /// May be infinite.
    Float(f64),
    BeginArray,
    EndArray,
    BeginObject,
    EndObject,
    Colon,
    Comma,
    End,
}

impl Token {
    /// How errors call it.
    pub fn name(self) -> &'static str {
        match self {
            Token::True => "true literal",
            Token::False => "false literal",
            Token::Null => "null literal",
            Token::String => "string literal",
            Token::Unsigned(_) | Token::Signed(_) | Token::Float(_) => "number literal",
            Token::BeginArray => "'['",
            Token::EndArray => "']'",
            Token::BeginObject => "'{'",
            Token::EndObject => "'}'",
            Token::Colon => "':'",
            Token::Comma => "','",
            Token::End => "end of input",
        }
    }
}

/// What is wrong with a token.
pub type Problem = &'static str;

pub struct Lexer<'a> {
    text: &'a [u8],
    /// How many bytes have been read; one more than there are once the end has been seen.
    position: usize,
    /// Where the last string or number began: errors show all that was read from there on.
    token_start: usize,
    /// The contents of the last string.
    pub string: Vec<u8>,
    /// The last number ended at a line end, which was read and put back: the library then thinks that it is in column 0.
    put_back_line_end: bool,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, position: 0, token_start: 0, string: Vec::new(), put_back_line_end: false }
    }

    pub fn next(&mut self) -> Result<Token, Problem> {
        self.put_back_line_end = false;
        if self.position == 0 && self.text.first() == Some(&0xef) {
            self.skip_byte_order_mark()?;
        }
        let byte = loop {
            match self.get() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => {}
                other => break other,
            }
        };
        match byte {
            Some(b'[') => Ok(Token::BeginArray),
            Some(b']') => Ok(Token::EndArray),
            Some(b'{') => Ok(Token::BeginObject),
            Some(b'}') => Ok(Token::EndObject),
            Some(b':') => Ok(Token::Colon),
            Some(b',') => Ok(Token::Comma),
            Some(b't') => self.literal(b"rue", Token::True),
            Some(b'f') => self.literal(b"alse", Token::False),
            Some(b'n') => self.literal(b"ull", Token::Null),
            Some(b'"') => self.scan_string(),
            Some(b'-' | b'0'..=b'9') => self.scan_number(),
            None | Some(0) => Ok(Token::End),
            Some(_) => Err("invalid literal"),
        }
    }

    fn get(&mut self) -> Option<u8> {
        let byte = self.text.get(self.position).copied();
        self.position = (self.position + 1).min(self.text.len() + 1);
        byte
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), Problem> {
        for expected in [0xef, 0xbb, 0xbf] {
            if self.get() != Some(expected) {
                return Err("invalid BOM; must be 0xEF 0xBB 0xBF if given");
            }
        }
        Ok(())
    }

    fn literal(&mut self, rest: &[u8], token: Token) -> Result<Token, Problem> {
        match rest.iter().all(|&byte| self.get() == Some(byte)) {
            true => Ok(token),
            false => Err("invalid literal"),
        }
    }

    fn scan_string(&mut self) -> Result<Token, Problem> {
        self.token_start = self.position - 1;
        self.string.clear();
        loop {
            let rest = &self.text[self.position.min(self.text.len())..];
            let plain = rest
                .iter()
                .position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..))
                .unwrap_or(rest.len());
            self.string.extend(&rest[..plain]);
            self.position += plain;
            match self.get() {
                None => return Err("invalid string: missing closing quote"),
                Some(b'"') => return Ok(Token::String),
                Some(b'\\') => self.escape()?,
                Some(control @ 0..0x20) => return Err(CONTROL[usize::from(control)]),
                Some(lead) => self.multibyte(lead)?,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Problem> {
        let byte = match self.get() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let character = self.unicode_escape()?;
                self.string.push_char(character);
                return Ok(());
            }
            _ => return Err("invalid string: forbidden character after backslash"),
        };
        self.string.push(byte);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<char, Problem> {
        const LONE: Problem = "invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF";
        const UNPAIRED: Problem =
            "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF";
        let first = self.four_digits()?;
        let code = match first {
            0xd800..=0xdbff => {
                if self.get() != Some(b'\\') || self.get() != Some(b'u') {
                    return Err(UNPAIRED);
                }
                match self.four_digits()? {
                    second @ 0xdc00..=0xdfff => 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => return Err(UNPAIRED),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or(LONE)
    }

    fn four_digits(&mut self) -> Result<u32, Problem> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.get().and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or("invalid string: '\\u' must be followed by 4 hex digits")?;
        }
        Ok(code)
    }

    fn multibyte(&mut self, lead: u8) -> Result<(), Problem> {
        const REST: (u8, u8) = (0x80, 0xbf);
        let ranges: &[(u8, u8)] = match lead {
            0xc2..=0xdf => &[REST],
            0xe0 => &[(0xa0, 0xbf), REST],
            0xed => &[(0x80, 0x9f), REST],
            0xe1..=0xef => &[REST, REST],
            0xf0 => &[(0x90, 0xbf), REST, REST],
            0xf1..=0xf3 => &[REST, REST, REST],
            0xf4 => &[(0x80, 0x8f), REST, REST],
            _ => &[],
        };
        let start = self.position - 1;
        let well_formed =
            ranges.iter().all(|&(low, high)| matches!(self.get(), Some(b) if b >= low && b <= high));
        if !well_formed || ranges.is_empty() && lead >= 0x80 {
            return Err("invalid string: ill-formed UTF-8 byte");
        }
        self.string.extend(&self.text[start..self.position]);
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn scan_number(&mut self) -> Result<Token, Problem> {
        let start = self.position - 1;
        self.token_start = start;
        let negative = self.text[start] == b'-';
        let mut first = self.text[start];
        if negative {
            first = self.digit("invalid number; expected digit after '-'")?;
        }
        if first != b'0' {
            self.skip_digits();
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.position += 1;
            self.digit("invalid number; expected digit after '.'")?;
            self.skip_digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.position += 1;
            let mut problem = "invalid number; expected '+', '-', or digit after exponent";
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
                problem = "invalid number; expected digit after exponent sign";
            }
            self.digit(problem)?;
            self.skip_digits();
        }
        self.put_back_line_end = self.peek() == Some(b'\n');
        // Digits, signs, a point and an `e` are ASCII.
        let text = std::str::from_utf8(&self.text[start..self.position]).unwrap_or_default();
        Ok(number(text, whole, negative))
    }

    fn digit(&mut self, problem: Problem) -> Result<u8, Problem> {
        self.get().filter(u8::is_ascii_digit).ok_or(problem)
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
    }

    /// Whether nothing but the end has been read.
    pub fn is_empty(&self) -> bool {
        self.position <= 1
    }

    /// The line, from 1 on, and how many bytes of it have been read.
    pub fn line_and_column(&self) -> (usize, usize) {
        let read = &self.text[..self.position.min(self.text.len())];
        let line = 1 + memchr::memchr_iter(b'\n', read).count();
        let line_start = memchr::memrchr(b'\n', read).map_or(0, |at| at + 1);
        (line, if self.put_back_line_end { 0 } else { self.position - line_start })
    }

    /// What was read since the last string or number began, that one included.
    pub fn last_read(&self) -> BString {
        let mut shown = BString::default();
        for &byte in &self.text[self.token_start..self.position.min(self.text.len())] {
            match byte {
                0..0x20 => shown.push_str(format!("<U+{byte:04X}>")),
                _ => shown.push_byte(byte),
            }
        }
        shown
    }
}

/// An integer if it is one that fits, else a float.
fn number(text: &str, whole: bool, negative: bool) -> Token {
    let integer = match (whole, negative) {
        (false, _) => None,
        (true, true) => text.parse().ok().map(Token::Signed),
        (true, false) => text.parse().ok().map(Token::Unsigned),
    };
    // Rust's parser takes every JSON number.
    integer.unwrap_or_else(|| Token::Float(text.parse().unwrap_or(f64::NAN)))
}

macro_rules! control {
    ($($code:literal $name:literal $($short:literal)?;)*) => {
        [$(concat!(
            "invalid string: control character U+", $code, " (", $name, ") must be escaped to \\u", $code
            $(, " or ", $short)?
        )),*]
    };
}

const CONTROL: [Problem; 32] = control! {
    "0000" "NUL"; "0001" "SOH"; "0002" "STX"; "0003" "ETX"; "0004" "EOT"; "0005" "ENQ"; "0006" "ACK"; "0007" "BEL";
    "0008" "BS" "\\b"; "0009" "HT" "\\t"; "000A" "LF" "\\n"; "000B" "VT"; "000C" "FF" "\\f"; "000D" "CR" "\\r";
    "000E" "SO"; "000F" "SI"; "0010" "DLE"; "0011" "DC1"; "0012" "DC2"; "0013" "DC3"; "0014" "DC4"; "0015" "NAK";
    "0016" "SYN"; "0017" "ETB"; "0018" "CAN"; "0019" "EM"; "001A" "SUB"; "001B" "ESC"; "001C" "FS"; "001D" "GS";
    "001E" "RS"; "001F" "US";
};
