//! Which texts are names of flakes, branches and revisions.

/// Whether a text may name a flake: letters, digits, `_` and `-`, beginning with a letter.
pub fn is_flake_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Whether a text is a SHA-1 in base 16.
pub fn is_revision(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text has only characters that an abbreviated reference may have in a branch.
pub fn is_reference(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'@')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_./@+-".contains(&byte))
}

/// Whether git takes a text as the name of a branch, a tag or a reference.
pub fn is_legal_ref(text: &str) -> bool {
    let forbidden = |byte: u8| byte <= b' ' || byte == 0x7f || b"~^:?*[\\".contains(&byte);
    let is_component = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    text != "@"
        && !text.is_empty()
        && !text.bytes().any(forbidden)
        && !text.contains("..")
        && !text.contains("@{")
        && !text.ends_with('.')
        && (!text.starts_with('-') || text.contains('/'))
        && text.split('/').all(is_component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_references() {
        for legal in ["main", "HEAD", "refs/heads/x", "v1.0", "a/b", "a@b", "é", "lock"] {
            assert!(is_legal_ref(legal), "{legal}");
        }
        for illegal in
            ["", "@", "a b", "a..b", "a~", ".a", "a/.b", "a.lock", "a.", "a/", "/a", "a//b", "-a", "a@{1"]
        {
            assert!(!is_legal_ref(illegal), "{illegal}");
        }
    }
}
