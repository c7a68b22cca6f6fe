//! Strings in JSON.

/// A string is not UTF-8, so JSON cannot hold it. Its text is nlohmann's; Nix puts 'JSON serialization error: ' before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUtf8 {
    #[error("[json.exception.type_error.316] invalid UTF-8 byte at index {index}: 0x{byte:02X}")]
    At { index: usize, byte: u8 },
    #[error("[json.exception.type_error.316] incomplete UTF-8 string; last byte: 0x{last:02X}")]
    Incomplete { last: u8 },
}

/// Appends a quoted string. Only quotes, backslashes and control characters below U+0020 are escaped.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), InvalidUtf8> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(describe(text, error));
    }
    out.push(b'"');
    let mut plain_from = 0;
    for (at, &byte) in text.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            8 => b"\\b",
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            12 => b"\\f",
            b'\r' => b"\\r",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend(&text[plain_from..at]);
        match escaped {
            [] => out.extend(format!("\\u{byte:04x}").as_bytes()),
            _ => out.extend(escaped),
        }
        plain_from = at + 1;
    }
    out.extend(&text[plain_from..]);
    out.push(b'"');
    Ok(())
}

/// nlohmann's library blames the byte that cannot follow, where Rust's blames the sequence before it.
fn describe(text: &[u8], error: std::str::Utf8Error) -> InvalidUtf8 {
    let start = error.valid_up_to();
    let is_lead = matches!(text.get(start), Some(0xc2..=0xf4));
    let index = match error.error_len() {
        Some(length) => start + if is_lead { length } else { 0 },
        None => return InvalidUtf8::Incomplete { last: text.last().copied().unwrap_or(0) },
    };
    InvalidUtf8::At { index, byte: text.get(index).copied().unwrap_or(0) }
}
