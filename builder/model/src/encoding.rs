//! The text encodings of hashes: base16, Nix's own base32 and base64.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

/// The 32 digits of Nix's base32: no `e`, `o`, `t`, `u`.
pub const NIX32_ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The value of each byte as a base32 digit, `0xff` for bytes that are none.
pub const NIX32_DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut value = 0;
    while value < 32 {
        digits[NIX32_ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// The number of base16 digits for `size` bytes.
pub const fn base16_length(size: usize) -> usize {
    size * 2
}

/// The number of base32 digits for `size` bytes, `size` being at least 1.
pub const fn nix32_length(size: usize) -> usize {
    (size * 8 - 1) / 5 + 1
}

/// The number of base64 characters for `size` bytes, padding included.
pub const fn base64_length(size: usize) -> usize {
    size.div_ceil(3) * 4
}

/// Lower-case hexadecimal digits.
pub fn encode_base16(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Nix's base32: the digits of the little-endian number, most significant digit first.
pub fn encode_nix32(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let digit = |n: usize| {
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let high = bytes.get(byte + 1).map_or(0, |&next| u16::from(next) << 8);
        let value = (high | u16::from(bytes[byte])) >> shift;
        char::from(NIX32_ALPHABET[usize::from(value & 0x1f)])
    };
    (0..nix32_length(bytes.len())).rev().map(digit).collect()
}

/// Base64 with padding.
pub fn encode_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads hexadecimal digits of either case; `None` for anything else.
pub fn decode_base16(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// Reads Nix's base32; `None` for a character outside the alphabet.
///
/// The result is one byte too long if bits beyond the whole bytes are set, as in Nix, which then refuses it for its length.
pub fn decode_nix32(text: &str) -> Option<Vec<u8>> {
    let size = text.len() * 5 / 8;
    let mut bytes = vec![0u8; size + 1];
    for (n, character) in text.bytes().rev().enumerate() {
        let digit = NIX32_DIGITS[usize::from(character)];
        if digit == 0xff {
            return None;
        }
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let value = u16::from(digit) << shift;
        bytes[byte] |= (value & 0xff) as u8;
        if value > 0xff {
            // `byte + 1 <= size`: the carry of the last digit reaches at most the spare byte.
            bytes[byte + 1] |= (value >> 8) as u8;
        }
    }
    if bytes[size] == 0 {
        bytes.truncate(size);
    }
    Some(bytes)
}

/// Reads base64 as Nix does: it ends at the first `=`, line feeds are skipped, padding and trailing bits are not checked.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut pending, mut bits) = (0u32, 0);
    for character in text.bytes().take_while(|&c| c != b'=').filter(|&c| c != b'\n') {
        pending = pending << 6 | base64_digit(character)?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((pending >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn base64_digit(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_survives_every_encoding() {
        for length in 0..70 {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37 + 200) as u8).collect();
            assert_eq!(decode_base16(&encode_base16(&bytes)).unwrap(), bytes);
            assert_eq!(decode_nix32(&encode_nix32(&bytes)).unwrap(), bytes);
            assert_eq!(decode_base64(&encode_base64(&bytes)).unwrap(), bytes);
        }
    }

    #[test]
    fn bits_beyond_the_bytes_lengthen_the_result() {
        assert_eq!(decode_nix32(&"z".repeat(26)).unwrap().len(), 17);
    }
}
