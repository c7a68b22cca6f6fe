//! Tables, arrays and the text as a whole.

use bstr::{BString, ByteSlice};

use super::lexical::Cursor;
use super::number::unknown;
use super::report::{Region, Report};
use super::tree::{Entry, Key, Node, Origin, Table};
use super::{Toml, TomlError};

/// How deeply arrays and inline tables may nest: reading them takes native stack.
const DEPTH_LIMIT: usize = 512;

/// Reads a TOML text; gives its table. Errors say what is wrong in each line, not only in the first.
pub fn parse(text: &[u8]) -> Result<Toml, TomlError> {
    let mut text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).to_vec();
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    let cursor = Cursor { text: &text, position: 0 };
    let mut parser = Parser { cursor, faults: Vec::new(), depth: 0, too_deep: false };
    let table = parser.file();
    if !parser.faults.is_empty() {
        let mut message = BString::default();
        parser.faults.iter().for_each(|fault| fault.write(&mut message, &text, "fromTOML"));
        return Err(TomlError(message));
    }
    let value = table.finish();
    match find_nul(&value) {
        None => Ok(value),
        Some(string) => {
            let mut message = BString::from("error: input string '");
            message.extend_from_slice(&string.replace(b"\0", "␀"));
            message
                .extend_from_slice(b"' cannot be represented as Nix string because it contains null bytes");
            Err(TomlError(message))
        }
    }
}

/// A string that Nix cannot hold.
fn find_nul(value: &Toml) -> Option<&BString> {
    match value {
        Toml::String(string) => Some(string).filter(|string| string.contains(&0)),
        Toml::Array(items) => items.iter().find_map(find_nul),
        Toml::Table(entries) => entries.iter().find_map(|(name, value)| {
            Some(name).filter(|name| name.contains(&0)).or_else(|| find_nul(value))
        }),
        _ => None,
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    faults: Vec<Report>,
    depth: usize,
    /// The limit was hit: one fault says it, and nothing more is read.
    too_deep: bool,
}

impl Parser<'_> {
    fn file(&mut self) -> Table {
        let mut root = Table::new(Origin::Header);
        self.definitions(&mut root);
        while !self.cursor.at_end() {
            let (key, many) = match self.header() {
                Ok(header) => header,
                Err(fault) => {
                    self.faults.push(fault);
                    self.cursor.skip_to_header();
                    continue;
                }
            };
            match if many { root.open_next_table(&key) } else { root.open_table(&key) } {
                Ok(table) => self.definitions(table),
                Err(fault) => {
                    self.faults.push(fault);
                    self.definitions(&mut Table::new(Origin::Header));
                }
            }
        }
        root
    }

    /// `[key]` or `[[key]]`, to the end of its line; whether it is the second.
    fn header(&mut self) -> Result<(Key, bool), Report> {
        let start = self.cursor.position;
        let many = self.cursor.eat(b"[[");
        if !many {
            self.cursor.eat(b"[");
        }
        let (closing, title, note) = match many {
            true => ("]]", "toml::parse_file: invalid array-table key", "expected ]]"),
            false => ("]", "toml::parse_file: invalid table key", "expected ]"),
        };
        self.cursor.skip_blanks();
        let inside = self.cursor.position;
        let key = self.cursor.key();
        if key.is_err() && self.cursor.position == inside {
            let note = "expected basic key([a-zA-Z0-9_-]) or quoted key(\" or ')";
            return Err(Report::new(title, Region::at(inside), note));
        }
        self.cursor.skip_blanks();
        if key.is_err() || !self.cursor.eat(closing.as_bytes()) {
            return Err(Report::new(title, Region::at(self.cursor.position), note));
        }
        let end = self.cursor.position;
        self.cursor.skip_blanks();
        self.cursor.skip_comment()?;
        if !self.cursor.eat_line_end() && !self.cursor.at_end() {
            let title = "toml::parse_file: newline (or EOF) expected";
            let place = Region::at(self.cursor.position);
            return Err(Report::new(title, place, "expected 0x0a(LINE FEED) or\n"));
        }
        key.map(|key| (Key { region: Region { start, end }, ..key }, many))
    }

    /// The definitions up to the next header. Faults are noted; after one in a definition the next one is read, after one
    /// between definitions the next table. After a table with faults, toml11 finds only a header that is good.
    fn definitions(&mut self, table: &mut Table) {
        let faults_before = self.faults.len();
        loop {
            let before_space = self.cursor.position;
            if let Err(fault) = self.cursor.skip_space() {
                self.faults.push(fault);
                self.cursor.skip_line();
                continue;
            }
            if self.cursor.at_end() {
                return;
            }
            if self.cursor.peek() == Some(b'[') {
                if self.faults.len() > faults_before {
                    self.cursor.position = before_space;
                    self.cursor.skip_to_header();
                }
                return;
            }
            match self.pair() {
                Ok((key, value)) => self.faults.extend(table.insert(&key, value).err()),
                Err(fault) => {
                    self.faults.push(fault);
                    self.cursor.skip_pair();
                }
            }
            let before_space = self.cursor.position;
            if let Err(fault) = self.end_of_definition() {
                self.faults.push(fault);
                return self.cursor.skip_to_header();
            }
            // Only the line end and what follows it may be looked at again.
            if self.faults.len() > faults_before {
                self.cursor.position = before_space;
            }
        }
    }

    fn end_of_definition(&mut self) -> Result<(), Report> {
        self.cursor.skip_blanks();
        self.cursor.skip_comment()?;
        // A header may follow without a line end, though TOML does not allow it.
        if self.cursor.eat_line_end() || self.cursor.at_end() || self.cursor.peek() == Some(b'[') {
            return Ok(());
        }
        let title = "toml::parse_table: newline (LF / CRLF) or EOF is expected";
        Err(Report::new(title, Region::at(self.cursor.position), "here"))
    }

    /// `key = value`; a fault before the value leaves the cursor where it was.
    fn pair(&mut self) -> Result<(Key, Entry), Report> {
        let start = self.cursor.position;
        let key = self.key_and_separator().inspect_err(|_| self.cursor.position = start)?;
        let value = self.value()?;
        Ok((key, value))
    }

    fn key_and_separator(&mut self) -> Result<Key, Report> {
        let key = self.cursor.key()?;
        self.cursor.skip_blanks();
        if !self.cursor.eat(b"=") {
            let title = "toml::parse_key_value_pair: invalid key value separator `=`";
            return Err(Report::new(title, Region::at(self.cursor.position), "expected ="));
        }
        self.cursor.skip_blanks();
        Ok(key)
    }

    /// A fault in what is no array or table leaves the cursor where it was, but for a date that there is not.
    fn value(&mut self) -> Result<Entry, Report> {
        let start = self.cursor.position;
        let node = match self.cursor.peek() {
            Some(b'[') => self.nested(Parser::array),
            Some(b'{') => self.nested(Parser::inline_table),
            _ => self.scalar().map(Node::Scalar).inspect_err(|fault| {
                if !is_impossible_date(fault) {
                    self.cursor.position = start;
                }
            }),
        };
        Ok(Entry { node: node?, region: Region { start, end: self.cursor.position } })
    }

    fn scalar(&mut self) -> Result<Toml, Report> {
        match self.cursor.peek() {
            Some(b'"' | b'\'') => self.cursor.string().map(Toml::String),
            Some(b't' | b'f') => self.boolean(),
            Some(letter @ (b'T' | b'F' | b'I' | b'N' | b'i' | b'n')) => self.word(letter),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'_') => self.cursor.number(),
            _ => Err(unknown(self.cursor.position)),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Node, Report>) -> Result<Node, Report> {
        if self.depth == DEPTH_LIMIT {
            let title = format!("more than {DEPTH_LIMIT} arrays and tables inside each other");
            let place = Region::at(self.cursor.position);
            self.too_deep = true;
            self.cursor.position = self.cursor.text.len();
            return Err(Report::new(title, place, "here"));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn boolean(&mut self) -> Result<Toml, Report> {
        if self.cursor.eat(b"true") {
            return Ok(Toml::Bool(true));
        }
        if self.cursor.eat(b"false") {
            return Ok(Toml::Bool(false));
        }
        let title = "toml::parse_boolean: invalid boolean: boolean must be `true` or `false`, in lowercase. \
                     string must be surrounded by `\"`";
        Err(Report::new(title, Region::at(self.cursor.position), "expected true or false"))
    }

    /// `inf` or `nan`, or what somebody may have meant by a word that begins like one.
    fn word(&mut self, letter: u8) -> Result<Toml, Report> {
        if self.cursor.rest().starts_with(b"inf") || self.cursor.rest().starts_with(b"nan") {
            return self.cursor.number();
        }
        const NUMBER: &str = "expected from `1` to `9` or digit [0-9] or inf or nan";
        let (meant, note) = match letter {
            b'T' => ("true", "expected true or false"),
            b'F' => ("false", "expected true or false"),
            b'I' | b'i' => ("inf", NUMBER),
            _ => ("nan", NUMBER),
        };
        let title = format!(
            "toml::parse_value: `{meant}` must be in lowercase. A string must be surrounded by quotes."
        );
        Err(Report::new(title, Region::at(self.cursor.position), note))
    }

    /// After a fault in an item, toml11 notes it, goes to the end of what looks like the item, and tries again from there.
    fn array(&mut self) -> Result<Node, Report> {
        self.cursor.eat(b"[");
        let faults_before = self.faults.len();
        let mut items = Vec::new();
        let mut may_have_item = true;
        self.cursor.skip_space()?;
        while !self.cursor.at_end() && self.cursor.peek() != Some(b']') {
            if !may_have_item {
                let title = "toml::parse_array: expected value-separator `,` or closing `]`";
                return Err(Report::new(title, Region::at(self.cursor.position), "here"));
            }
            match self.value() {
                Ok(item) => {
                    items.push(item);
                    self.cursor.skip_space()?;
                    may_have_item = self.cursor.eat(b",");
                    self.cursor.skip_space()?;
                }
                Err(fault) if self.too_deep => return Err(fault),
                Err(fault) => {
                    self.faults.push(fault);
                    let start = self.cursor.position;
                    self.cursor.skip_value();
                    if self.cursor.position == start {
                        break;
                    }
                }
            }
        }
        if !self.cursor.eat(b"]") {
            let title = "toml::parse_array: missing closing bracket `]`";
            return Err(Report::new(title, Region::at(self.cursor.position), "expected `]`, reached EOF"));
        }
        match self.faults.last() {
            // It is told once more.
            Some(last) if self.faults.len() > faults_before => Err(last.clone()),
            _ => Ok(Node::Array(items)),
        }
    }

    fn inline_table(&mut self) -> Result<Node, Report> {
        self.cursor.eat(b"{");
        let faults_before = self.faults.len();
        let mut table = Table::new(Origin::Inline);
        self.cursor.skip_blanks();
        let (mut is_first, mut after_comma) = (true, false);
        while !self.cursor.at_end() {
            let place = Region::at(self.cursor.position);
            if self.cursor.peek() == Some(b'}') {
                if after_comma {
                    let title = "toml::parse_inline_table: trailing comma is not allowed in TOML-v1.0.0)";
                    return Err(Report::new(title, place, "here"));
                }
                break;
            }
            if !after_comma && !is_first {
                let title = "toml::parse_inline_table: expected value-separator `,` or closing `}`";
                return Err(Report::new(title, place, "here"));
            }
            is_first = false;
            let (key, value) = match self.pair() {
                Ok(pair) => pair,
                Err(fault) if self.too_deep => return Err(fault),
                Err(fault) => {
                    self.faults.push(fault);
                    self.cursor.skip_while(|byte| byte != b'}' && byte != b'\n');
                    break;
                }
            };
            if let Err(fault) = table.insert(&key, value) {
                self.faults.push(fault);
                self.cursor.skip_while(|byte| !b",\n}".contains(&byte));
                after_comma = self.cursor.peek() == Some(b',');
                continue;
            }
            self.cursor.skip_blanks();
            after_comma = self.cursor.eat(b",");
            self.cursor.skip_blanks();
        }
        if !self.cursor.eat(b"}") {
            let title = "toml::parse_inline_table: missing closing bracket `}`";
            return Err(Report::new(
                title,
                Region::at(self.cursor.position),
                "expected `}`, reached line end",
            ));
        }
        if self.faults.len() > faults_before
            && let Some(last) = self.faults.pop()
        {
            return Err(last);
        }
        mark_closed(&mut table);
        Ok(Node::Table(table))
    }
}

/// Whether a date or time was read to its end and is none.
fn is_impossible_date(fault: &Report) -> bool {
    ["toml::parse_local_", "toml::parse_offset_"].iter().any(|title| fault.title.starts_with(title))
}

/// Nothing can be added to an inline table, nor to the tables that its dotted keys made.
fn mark_closed(table: &mut Table) {
    table.origin = Origin::Inline;
    for (_, entry) in &mut table.entries {
        if let Node::Table(inner) = &mut entry.node
            && inner.origin == Origin::Dotted
        {
            mark_closed(inner);
        }
    }
}
