//! One text: its tree, its names, and its places as editors count them.

use rnix::{Root, SyntaxNode, TextRange, TextSize};
use rowan::ast::AstNode;

use crate::analysis::names::Names;

/// A text that was read. It is not changed: an edit makes another one.
pub struct Document {
    /// The text.
    pub text: String,
    /// Its tree, with comments and what could not be understood.
    pub root: SyntaxNode,
    /// What its names stand for.
    pub names: Names,
    lines: Vec<TextSize>,
}

/// A place as the language server protocol has it: a line and UTF-16 units in it, both from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// The line.
    pub line: u32,
    /// UTF-16 units before it in the line.
    pub column: u32,
}

impl Document {
    /// Reads a text. Recurses as deeply as the text nests: see [`crate::files::for_each`].
    pub fn new(text: String) -> Document {
        let root = Root::parse(&text).tree().syntax().clone();
        let names = Names::of(&root);
        let mut lines = vec![TextSize::new(0)];
        lines.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| TextSize::new(at as u32 + 1)));
        Document { text, root, names, lines }
    }

    /// The text of a range.
    pub fn slice(&self, range: TextRange) -> &str {
        self.text.get(usize::from(range.start())..usize::from(range.end())).unwrap_or_default()
    }

    /// The place of an offset.
    pub fn place(&self, offset: TextSize) -> LineColumn {
        let line = self.lines.partition_point(|start| *start <= offset) - 1;
        let before = self.slice(TextRange::new(self.lines[line], offset.max(self.lines[line])));
        LineColumn { line: line as u32, column: before.encode_utf16().count() as u32 }
    }

    /// The offset of a place; one behind the end of a line is that end, one behind the last line the end of the text.
    pub fn offset(&self, place: LineColumn) -> TextSize {
        let end = TextSize::of(self.text.as_str());
        let Some(&start) = self.lines.get(place.line as usize) else { return end };
        let next = self.lines.get(place.line as usize + 1).copied().unwrap_or(end);
        let line = self.slice(TextRange::new(start, next)).trim_end_matches(['\n', '\r']);
        let mut units = 0;
        let mut offset = start;
        for letter in line.chars() {
            if units >= place.column {
                break;
            }
            units += letter.len_utf16() as u32;
            offset += TextSize::of(letter);
        }
        offset
    }
}
