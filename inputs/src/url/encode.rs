//! Percent-encoding.

use crate::error::{InputError, Result};

/// Whether a byte never needs encoding.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Encodes all but unreserved characters and those of `kept`.
pub fn percent_encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match is_unreserved(byte) || kept.as_bytes().contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Whether every `%` begins an encoded byte.
pub(super) fn is_well_encoded(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return false,
        }
    }
    true
}

/// Decodes `%XX`.
pub fn percent_decode(text: &str) -> Result<String> {
    if !is_well_encoded(text) {
        let why = if text.len() - text.rfind('%').unwrap_or(0) < 3 { "incomplete" } else { "bad pct hexdig" };
        return Err(InputError::bad_url(format!("invalid URI parameter '{text}': {why}")));
    }
    Ok(decode(text))
}

/// Decodes what [`is_well_encoded`] accepts.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = if bytes[at] == b'%' { text.get(at + 1..at + 3) } else { None };
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
