//! Byte strings as text and back, without loss: messages and printed values are text inside, and the bytes they were made of outside.
//!
//! A byte that is not part of UTF-8 becomes a character of its own at the very end of what Unicode keeps for private use. A
//! character from there that was in the string itself is taken for such bytes, so that nothing is ambiguous.

use std::{borrow::Cow, fmt};

/// The character of byte 0; those of 0x80 to 0xff are used.
const FIRST: u32 = 0x10ff00;
/// What the reserved characters, U+10FF80 to U+10FFFF, begin with.
const LEADING: u8 = 0xf4;

/// The text of a byte string.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if memchr::memchr(LEADING, bytes).is_none() => Cow::Borrowed(text),
        _ => Cow::Owned(reserved(bytes)),
    }
}

#[cold]
fn reserved(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    let escape = |out: &mut String, bytes: &[u8]| {
        out.extend(bytes.iter().filter_map(|&byte| char::from_u32(FIRST + u32::from(byte))));
    };
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match byte_of(character) {
                Some(_) => escape(&mut out, character.encode_utf8(&mut [0; 4]).as_bytes()),
                None => out.push(character),
            }
        }
        escape(&mut out, chunk.invalid());
    }
    out
}

/// The bytes of a text that [`text`] made, or that has nothing of it.
pub fn bytes(text: &str) -> Cow<'_, [u8]> {
    if memchr::memchr(LEADING, text.as_bytes()).is_none() {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => out.push(byte),
            None => out.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

/// A text as those must have it who take nothing but UTF-8: with U+FFFD for what is none.
pub fn lossy(text: &str) -> Cow<'_, str> {
    match bytes(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn byte_of(character: char) -> Option<u8> {
    u8::try_from(u32::from(character).checked_sub(FIRST)?).ok().filter(|byte| *byte >= 0x80)
}

/// A byte string in a message.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_comes_back() {
        for case in [
            &b"plain"[..],
            b"\xff",
            b"a\x80\xc3\xa9\xc3",
            "é\u{10ff80}\u{10ffff}\u{10ff7f}".as_bytes(),
            b"\xf4\x8f",
        ] {
            assert_eq!(&*bytes(&text(case)), case);
        }
    }

    #[test]
    fn texts_without_strange_bytes_stay_as_they_are() {
        assert!(matches!(text("é«»".as_bytes()), Cow::Borrowed("é«»")));
        assert_eq!(text(b"\xff").chars().count(), 1);
        assert_eq!(lossy(&text(b"a\xff")), "a\u{fffd}");
    }
}
