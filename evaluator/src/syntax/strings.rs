//! From the literal text of strings to their bytes: escapes, line ends and the indentation of `''` strings.

use bstr::{BStr, ByteSlice};
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use memchr::{memchr, memrchr};

use super::ast::{Expr, Part, Pos};

/// A string would hold a NUL byte. Carries the text with its escapes resolved.
pub struct NulByte<'a>(pub &'a BStr);

/// Resolves `\n`, `\r`, `\t` and `\x` for any other byte, and makes bare CR and CR LF a line feed.
///
/// A NUL byte that is not escaped is an error.
pub fn unescape<'a>(text: &[u8], arena: &'a Bump) -> Result<&'a BStr, NulByte<'a>> {
    let mut out = ArenaVec::with_capacity_in(text.len(), arena);
    let mut has_nul = false;
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'\\' => {
                if let [escaped, after @ ..] = rest {
                    rest = after;
                    out.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        other => *other,
                    });
                }
            }
            b'\r' => {
                out.push(b'\n');
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            other => {
                has_nul |= *other == 0;
                out.push(*other);
            }
        }
    }
    let out = out.into_bump_slice().as_bstr();
    if has_nul { Err(NulByte(out)) } else { Ok(out) }
}

/// A piece of an indented string before its indentation is stripped.
#[derive(Clone, Copy)]
pub enum IndentedPart<'a> {
    /// Text as written: its blanks count as indentation.
    Text(&'a [u8]),
    /// What an escape stands for: it ends the blanks at the start of a line.
    Escape(&'a [u8]),
    /// `${expr}`
    Expr { pos: Pos, expr: &'a Expr<'a> },
}

/// Takes the smallest indentation of all lines off each of them, and a last line of blanks away. Adds to `out` what remains,
/// without empty texts.
pub fn strip_indentation<'a>(parts: &[IndentedPart<'a>], arena: &'a Bump, out: &mut Vec<Part<'a>>) {
    let indentation = smallest_indentation(parts);
    let mut line = LineState { at_start: true, dropped: 0 };
    for (index, part) in parts.iter().enumerate() {
        match *part {
            IndentedPart::Expr { pos, expr } => {
                line = LineState { at_start: false, dropped: 0 };
                out.push(Part::Expr { pos, expr });
            }
            IndentedPart::Text(text) | IndentedPart::Escape(text) => {
                let mut stripped = strip_text(text, indentation, &mut line, arena);
                if index + 1 == parts.len() {
                    stripped = without_blank_last_line(stripped);
                }
                if !stripped.is_empty() {
                    out.push(Part::Text(stripped.as_bstr()));
                }
            }
        }
    }
}

/// The least number of blanks before something else on a line. Lines of blanks only do not count, except a last one that
/// something follows.
fn smallest_indentation(parts: &[IndentedPart<'_>]) -> usize {
    let mut smallest = 1_000_000;
    let mut at_start = true;
    let mut current = 0;
    for part in parts {
        let IndentedPart::Text(mut text) = *part else {
            if at_start {
                at_start = false;
                smallest = smallest.min(current);
            }
            continue;
        };
        loop {
            if at_start {
                let blanks = blanks(text);
                current += blanks;
                match text.get(blanks) {
                    None => break,
                    Some(b'\n') => {
                        current = 0;
                        text = &text[blanks + 1..];
                        continue;
                    }
                    Some(_) => {
                        at_start = false;
                        smallest = smallest.min(current);
                    }
                }
            }
            let Some(line_feed) = memchr(b'\n', text) else { break };
            at_start = true;
            current = 0;
            text = &text[line_feed + 1..];
        }
    }
    smallest
}

struct LineState {
    at_start: bool,
    dropped: usize,
}

fn strip_text<'a>(text: &'a [u8], indentation: usize, line: &mut LineState, arena: &'a Bump) -> &'a [u8] {
    if indentation == 0 || (!line.at_start && memchr(b'\n', text).is_none()) {
        return text;
    }
    let mut out = ArenaVec::with_capacity_in(text.len(), arena);
    let mut rest = text;
    loop {
        if line.at_start {
            let blanks = blanks(rest);
            let drop = indentation.saturating_sub(line.dropped).min(blanks);
            line.dropped += blanks;
            out.extend_from_slice(&rest[drop..blanks]);
            rest = &rest[blanks..];
            let Some(first) = rest.first() else { break };
            line.dropped = 0;
            if *first == b'\n' {
                out.push(b'\n');
                rest = &rest[1..];
                continue;
            }
            line.at_start = false;
        }
        match memchr(b'\n', rest) {
            Some(line_feed) => {
                out.extend_from_slice(&rest[..=line_feed]);
                rest = &rest[line_feed + 1..];
                line.at_start = true;
            }
            None => {
                out.extend_from_slice(rest);
                break;
            }
        }
    }
    out.into_bump_slice()
}

fn blanks(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte != b' ').unwrap_or(text.len())
}

fn without_blank_last_line(text: &[u8]) -> &[u8] {
    match memrchr(b'\n', text) {
        Some(at) if blanks(&text[at + 1..]) == text.len() - at - 1 => &text[..=at],
        _ => text,
    }
}
