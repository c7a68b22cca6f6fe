//! Strings and attribute names the way printed values show them.

/// Appends a string literal: quoted, with `"`, `\`, line ends, tabs and `${` escaped.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// As [`write_string`], but only the first `limit` bytes, and then how many are missing. For errors.
pub fn write_string_limited(out: &mut Vec<u8>, text: &[u8], limit: usize) {
    if text.len() <= limit {
        return write_string(out, text);
    }
    // A `$` at the cut is escaped on account of the byte behind it.
    out.push(b'"');
    write_escaped(out, &text[..limit]);
    if text[..limit].ends_with(b"$") && text[limit] == b'{' {
        out.pop();
        out.extend(b"\\$");
    }
    out.push(b'"');
    let missing = text.len() - limit;
    let unit = if missing == 1 { "byte" } else { "bytes" };
    out.extend(format!(" «{missing} {unit} elided»").as_bytes());
}

fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut plain_from = 0;
    for (at, &byte) in text.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            b'$' if text.get(at + 1) == Some(&b'{') => b"\\$",
            _ => continue,
        };
        out.extend(&text[plain_from..at]);
        out.extend(escaped);
        plain_from = at + 1;
    }
    out.extend(&text[plain_from..]);
}

/// Appends an attribute name: bare if it is an identifier, else as a string.
pub fn write_attribute_name(out: &mut Vec<u8>, name: &[u8]) {
    if is_identifier(name) {
        out.extend(name);
    } else {
        write_string(out, name);
    }
}

/// Whether the name can stand in source text without quotes. `or` can.
pub fn is_identifier(name: &[u8]) -> bool {
    let Some((first, others)) = name.split_first() else { return false };
    let starts = first.is_ascii_alphabetic() || *first == b'_';
    let goes_on = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\'');
    starts && others.iter().all(goes_on) && !is_keyword(name)
}

fn is_keyword(name: &[u8]) -> bool {
    const KEYWORDS: [&[u8]; 9] =
        [b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit"];
    KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice;

    use super::*;

    #[test]
    fn prints_strings_as_nix_does() {
        let cases: [(&str, &str); 6] = [
            ("a\nb\r\t${x} $x $${x} \\ \" é", r#""a\nb\r\t\${x} $x $\${x} \\ \" é""#),
            ("", r#""""#),
            ("$", r#""$""#),
            ("${", r#""\${""#),
            ("$$", r#""$$""#),
            ("\u{1}\u{7f}", "\"\u{1}\u{7f}\""),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            write_string(&mut out, text.as_bytes());
            assert_eq!(out.as_bstr(), expected);
        }
    }

    #[test]
    fn quotes_names_as_nix_does() {
        let bare = ["a'", "a-b", "_x", "or", "true", "null", "__curPos", "a1"];
        let quoted = ["", "-a", "1a", "a.b", "if", "inherit", "rec", "é", "'a", "a b"];
        assert!(bare.iter().all(|name| is_identifier(name.as_bytes())));
        assert!(!quoted.iter().any(|name| is_identifier(name.as_bytes())));
    }

    #[test]
    fn says_how_much_it_left_out() {
        let mut out = Vec::new();
        write_string_limited(&mut out, b"abc${", 4);
        assert_eq!(out.as_bstr(), "\"abc\\$\" «1 byte elided»");
    }
}
