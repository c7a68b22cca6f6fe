//! Versions and names of derivations: `compareVersions`, `splitVersion` and `parseDrvName`.

use std::cmp::Ordering;

/// The parts of a version: runs of digits and runs of anything else, with `.` and `-` between them dropped.
pub fn components(version: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = version;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|&b| !is_separator(b))?;
        rest = &rest[start..];
        let digits = rest[0].is_ascii_digit();
        let ends = |&b: &u8| if digits { !b.is_ascii_digit() } else { b.is_ascii_digit() || is_separator(b) };
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        let (component, after) = rest.split_at(length);
        rest = after;
        Some(component)
    })
}

fn is_separator(byte: u8) -> bool {
    byte == b'.' || byte == b'-'
}

/// Compares versions part by part; a missing part is an empty one.
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (components(left), components(right));
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return Ordering::Equal;
        }
        let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
        if component_less(a, b) {
            return Ordering::Less;
        }
        if component_less(b, a) {
            return Ordering::Greater;
        }
    }
}

/// Numbers by value, `pre` before everything, an empty part before a number, any other text before a number.
fn component_less(left: &[u8], right: &[u8]) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left < right,
        (_, Some(_)) if left.is_empty() => true,
        _ if left == b"pre" && right != b"pre" => true,
        _ if right == b"pre" => false,
        // 2.3a comes before 2.3.1.
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => left < right,
    }
}

/// A part as a number, if it is one that fits C++'s `int`; Nix takes others for text.
fn number(component: &[u8]) -> Option<i32> {
    if component.is_empty() {
        return None;
    }
    component.iter().try_fold(0i32, |value, &b| {
        let digit = b.is_ascii_digit().then(|| i32::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Splits `NAME-VERSION` at the first dash that is followed by something other than a letter. Without one, the version
/// is empty.
pub fn parse_derivation_name(text: &[u8]) -> (&[u8], &[u8]) {
    let dash = text.windows(2).position(|pair| pair[0] == b'-' && !pair[1].is_ascii_alphabetic());
    match dash {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: [&str; 21] = [
        "1.0",
        "2.3",
        "2.3.1",
        "2.3a",
        "2.3pre1",
        "2.3pre",
        "",
        "1",
        ".",
        "a",
        "1.0-2",
        "01",
        "2147483647",
        "2147483648",
        "99999999999999999999",
        "1.0pre",
        "pre",
        "1..2",
        "1-",
        "é",
        "1é2",
    ];

    /// What Nix 2.34 answers: a row for each left version.
    #[rustfmt::skip]
    const ORDER: [[i8; 21]; 21] = [
        [0, -1, -1, -1, -1, -1, 1, 1, 1, 1, -1, 1, -1, 1, 1, 1, 1, -1, 1, 1, 1],
        [1, 0, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, -1, 0, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1],
        [1, -1, -1, -1, 0, 1, 1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1],
        [1, -1, -1, -1, -1, 0, 1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1],
        [-1, -1, -1, -1, -1, -1, 0, -1, 0, -1, -1, -1, -1, -1, -1, -1, 1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1, 1, 0, 1, 1, -1, 0, -1, 1, 1, -1, 1, -1, 0, 1, -1],
        [-1, -1, -1, -1, -1, -1, 0, -1, 0, -1, -1, -1, -1, -1, -1, -1, 1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1, 1, -1, 1, 0, -1, -1, -1, 1, 1, -1, 1, -1, -1, -1, -1],
        [1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 0, 1, -1, 1, 1, 1, 1, -1, 1, 1, 1],
        [-1, -1, -1, -1, -1, -1, 1, 0, 1, 1, -1, 0, -1, 1, 1, -1, 1, -1, 0, 1, -1],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1],
        [-1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1, -1, -1, 0, -1, -1, 1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1, -1, -1, 1, 0, -1, 1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1, 1, 1, 1, 1, -1, 1, -1, 1, 1, 0, 1, -1, 1, 1, 1],
        [-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, -1],
        [1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 0, 1, 1, 1],
        [-1, -1, -1, -1, -1, -1, 1, 0, 1, 1, -1, 0, -1, 1, 1, -1, 1, -1, 0, 1, -1],
        [-1, -1, -1, -1, -1, -1, 1, -1, 1, 1, -1, -1, -1, 1, 1, -1, 1, -1, -1, 0, -1],
        [-1, -1, -1, -1, -1, -1, 1, 1, 1, 1, -1, 1, -1, 1, 1, -1, 1, -1, 1, 1, 0],
    ];

    #[test]
    fn compares_as_nix_does() {
        for (left, row) in VERSIONS.iter().zip(ORDER) {
            for (right, expected) in VERSIONS.iter().zip(row) {
                let actual = compare(left.as_bytes(), right.as_bytes()) as i8;
                assert_eq!(actual, expected, "{left:?} and {right:?}");
            }
        }
    }

    #[test]
    fn splits_as_nix_does() {
        let cases: &[(&str, &[&str])] = &[
            ("2.3.1", &["2", "3", "1"]),
            ("2.3pre1", &["2", "3", "pre", "1"]),
            ("", &[]),
            (".", &[]),
            ("1..2", &["1", "2"]),
            ("1-", &["1"]),
            ("1é2", &["1", "é", "2"]),
            ("01", &["01"]),
        ];
        for (version, expected) in cases {
            let actual: Vec<&[u8]> = components(version.as_bytes()).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(actual, expected, "{version:?}");
        }
    }

    #[test]
    fn parses_names_as_nix_does() {
        let cases = [
            ("foo-1.2", "foo", "1.2"),
            ("foo", "foo", ""),
            ("foo-bar-1", "foo-bar", "1"),
            ("-1", "", "1"),
            ("a-", "a-", ""),
            ("a-b-", "a-b-", ""),
            ("foo--1", "foo", "-1"),
            ("foo-é1", "foo", "é1"),
            ("a-_1", "a", "_1"),
            ("", "", ""),
            ("-", "-", ""),
            ("nix-0.12pre12876", "nix", "0.12pre12876"),
            ("3-3", "3", "3"),
            ("a-.1", "a", ".1"),
        ];
        for (text, name, version) in cases {
            assert_eq!(
                parse_derivation_name(text.as_bytes()),
                (name.as_bytes(), version.as_bytes()),
                "{text:?}"
            );
        }
    }
}
