//! Places and files as the protocol has them.

use std::{
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use lsp_types::{Position, Range, Uri};
use rnix::{TextRange, TextSize};

use crate::document::{Document, LineColumn};

const SCHEME: &str = "file://";

/// The path of a file, behind all symbolic links; what is no file (a text that was never saved) keeps its address as its
/// name.
pub fn path_of(uri: &Uri) -> PathBuf {
    let path = written_path(uri);
    path.canonicalize().unwrap_or(path)
}

fn written_path(uri: &Uri) -> PathBuf {
    let text = uri.as_str();
    let Some(path) = text.strip_prefix(SCHEME) else { return PathBuf::from(text) };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[3..] } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// The address of a file.
pub fn uri_of(path: &Path) -> Option<Uri> {
    if !path.is_absolute() {
        return Uri::from_str(path.to_str()?).ok();
    }
    let mut text = String::from(SCHEME);
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                text.push(byte.into())
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Uri::from_str(&text).ok()
}

/// A place of the protocol in a text.
pub fn offset_of(document: &Document, position: Position) -> TextSize {
    document.offset(LineColumn { line: position.line, column: position.character })
}

/// A range of the protocol in a text.
pub fn to_range(document: &Document, range: Range) -> TextRange {
    let (start, end) = (offset_of(document, range.start), offset_of(document, range.end));
    TextRange::new(start, end.max(start))
}

/// An offset as the protocol has it.
pub fn position_of(document: &Document, offset: TextSize) -> Position {
    let place = document.place(offset);
    Position::new(place.line, place.column)
}

/// A range as the protocol has it.
pub fn range_of(document: &Document, range: TextRange) -> Range {
    Range::new(position_of(document, range.start()), position_of(document, range.end()))
}

/// Replaces a part of a text, as an editor tells that it did.
pub fn splice(text: &mut String, range: Range, new: &str) {
    let (start, end) = (byte_of(text, range.start), byte_of(text, range.end));
    text.replace_range(start..end.max(start), new);
}

/// The byte of a place in a text that is not read yet.
fn byte_of(text: &str, position: Position) -> usize {
    let mut start = 0;
    for _ in 0..position.line {
        match memchr::memchr(b'\n', &text.as_bytes()[start..]) {
            Some(length) => start += length + 1,
            None => return text.len(),
        }
    }
    let mut units = 0;
    for (at, letter) in text[start..].char_indices() {
        if units >= position.character || letter == '\n' {
            return start + at;
        }
        units += letter.len_utf16() as u32;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths() {
        let path = Path::new("/a b/ü%20/c.nix");
        let uri = uri_of(path).expect("a URI");
        assert_eq!(uri.as_str(), "file:///a%20b/%C3%BC%2520/c.nix");
        assert_eq!(path_of(&uri), path);
    }

    #[test]
    fn places_count_utf16_units() {
        let mut text = "a\n\"😀\" b\n".to_owned();
        splice(&mut text, Range::new(Position::new(1, 5), Position::new(1, 6)), "cd");
        assert_eq!(text, "a\n\"😀\" cd\n");
        let document = Document::new(text);
        let offset = offset_of(&document, Position::new(1, 5));
        assert_eq!(document.slice(TextRange::at(offset, TextSize::new(2))), "cd");
        assert_eq!(position_of(&document, offset), Position::new(1, 5));
        assert_eq!(offset_of(&document, Position::new(9, 0)), TextSize::of(document.text.as_str()));
    }
}
