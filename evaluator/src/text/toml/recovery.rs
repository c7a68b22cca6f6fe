//! What toml11 passes over after a fault, to tell of the next one.

use super::lexical::Cursor;

impl Cursor<'_> {
    /// Goes to the next line that begins with a header; after an empty line none is seen.
    pub fn skip_to_header(&mut self) {
        while !self.at_end() {
            if self.eat(b"\n") {
                let line = self.position;
                self.skip_blanks();
                if self.is_header() {
                    self.position = line;
                    return;
                }
            }
            self.position += 1;
        }
        self.position = self.text.len();
    }

    /// Goes to the next `=` in the line and over what looks like a value after it, or to the end of the line.
    pub fn skip_pair(&mut self) {
        self.skip_while(|byte| byte != b'=' && byte != b'\n');
        if self.peek() == Some(b'=') {
            self.skip_value();
        }
    }

    /// Goes over what looks like a value; the bracket that ends an array or a table is left.
    pub fn skip_value(&mut self) {
        match self.peek() {
            Some(b'"' | b'\'') => self.skip_string(),
            Some(b'[' | b'{') => self.skip_nested(),
            _ => self.skip_while(|byte| !b"\n,]}".contains(&byte)),
        }
    }

    fn skip_string(&mut self) {
        for quotes in [b"\"\"\"", b"'''"] {
            if self.eat(quotes) {
                while !self.at_end() && !self.eat(quotes) {
                    self.position += 1;
                }
                return;
            }
        }
        let quote = self.peek();
        while !self.at_end() {
            self.position += 1;
            if self.peek() == quote || self.peek() == Some(b'\n') {
                self.position += 1;
                return;
            }
        }
    }

    /// Goes over an array or an inline table that stands here and all that is nested in it, up to its closing bracket or to
    /// where toml11 believes that one is missing.
    fn skip_nested(&mut self) {
        let mut open = Vec::new();
        loop {
            let innermost = open.last().copied();
            match (self.peek(), innermost) {
                (None, _) => return,
                (Some(b'[' | b'{'), Some(_)) if self.is_header() => return,
                (Some(bracket @ (b'[' | b'{')), _) => {
                    open.push(bracket);
                    self.position += 1;
                }
                // It ends the arrays around it as well, up to a table, which goes on behind it.
                (Some(b']'), Some(b'[')) => while open.pop_if(|bracket| *bracket == b'[').is_some() {},
                (Some(b'}' | b'\n'), Some(b'{')) => {
                    while open.pop_if(|bracket| *bracket == b'{').is_some() {}
                }
                (Some(b'"' | b'\''), _) => self.skip_string(),
                (Some(b'#'), Some(b'{')) => {
                    self.skip_line();
                    open.pop();
                }
                (Some(b'#'), _) => self.skip_line(),
                // No definition can be in an array: its end is missing before this line.
                (Some(b'='), Some(b'[')) => {
                    let line = memchr::memrchr(b'\n', &self.text[..self.position]);
                    self.position = line.map_or(0, |end| end + 1);
                    return;
                }
                (Some(_), _) => self.position += 1,
            }
            if open.is_empty() {
                return;
            }
        }
    }

    /// Whether `[key]` or `[[key]]` stands here.
    fn is_header(&self) -> bool {
        let mut ahead = Cursor { text: self.text, position: self.position };
        if self.peek() != Some(b'[') {
            return false;
        }
        let closing: &[u8] = if ahead.eat(b"[[") { b"]]" } else { b"]" };
        ahead.eat(b"[");
        ahead.skip_blanks();
        let has_key = ahead.key().is_ok();
        ahead.skip_blanks();
        has_key && ahead.eat(closing)
    }
}
