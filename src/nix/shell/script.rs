//! Scripts that name `nix-shell` as their interpreter, and say in further lines with which arguments.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::Path};

use bstr::ByteSlice;

use super::super::outcome::{Outcome, fail};

/// The arguments that a file says in its lines `#! NAME ARGUMENT...`, if it is a script at all.
pub fn arguments(file: &Path, name: &str) -> Outcome<Option<Vec<OsString>>> {
    let Ok(text) = fs::read(file) else { return Ok(None) };
    let mut lines = text.lines();
    if !lines.next().is_some_and(|first| first.starts_with(b"#!")) {
        return Ok(None);
    }
    let mut arguments = Vec::new();
    for line in lines {
        let Some(rest) = line.strip_prefix(b"#!") else { continue };
        let Some(rest) = rest.trim_start().strip_prefix(name.as_bytes()) else { continue };
        if rest.first().is_some_and(|byte| byte.is_ascii_whitespace()) {
            arguments.extend(words(rest.trim())?);
        }
    }
    Ok(Some(arguments))
}

/// Splits a line into words, as shells do: quotes keep spaces, a backslash keeps what follows it.
fn words(line: &[u8]) -> Outcome<Vec<OsString>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', None | Some(b'"')) => word.get_or_insert_default().extend(bytes.next()),
            (byte, Some(open)) if byte == open => quote = None,
            (byte, Some(_)) => word.get_or_insert_default().push(byte),
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (byte, None) if byte.is_ascii_whitespace() => words.extend(word.take()),
            (byte, None) => word.get_or_insert_default().push(byte),
        }
    }
    if quote.is_some() {
        return fail("unterminated quote in shebang line");
    }
    words.extend(word);
    Ok(words.into_iter().map(OsString::from_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        let words = words(line.as_bytes()).unwrap_or_default();
        words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn words_are_split_as_shells_split_them() {
        assert_eq!(split("-i bash  -p a"), ["-i", "bash", "-p", "a"]);
        assert_eq!(split(r#"-p "a.b ( x: x )" 'c "d"' """#), ["-p", "a.b ( x: x )", "c \"d\"", ""]);
        assert_eq!(split(r#"a\ b "c\"d" 'e\f'"#), ["a b", "c\"d", r"e\f"]);
        assert!(words(b"a 'b").is_err());
    }
}
