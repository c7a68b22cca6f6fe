//! The parts of a program (ELF sections) or archive (members of `ar` and `tar`), by name.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Parts by their names.
pub type Parts<'a> = BTreeMap<String, Cow<'a, [u8]>>;

/// What a file is called that has parts, and the parts; nothing for a file that has none, or is damaged.
pub fn of(bytes: &[u8]) -> Option<(&'static str, Parts<'_>)> {
    if let Some(parts) = sections(bytes) {
        return Some(("a program or library", parts));
    }
    Some(("an archive", members(bytes).or_else(|| files_of_tar(bytes))?))
}

/// The sections of a little-endian 64-bit ELF file.
fn sections(bytes: &[u8]) -> Option<Parts<'_>> {
    const HEADER: usize = 64;
    const NO_BITS: u64 = 8;
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let number = |at: usize, width: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(width)?)?;
        Some(field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    };
    let table = usize::try_from(number(0x28, 8)?).ok()?;
    let (count, names) = (number(0x3c, 2)? as usize, number(0x3e, 2)? as usize);
    let header = |index: usize| table.checked_add(index * HEADER);
    let piece = |index: usize| -> Option<&[u8]> {
        let at = header(index)?;
        let start = usize::try_from(number(at.checked_add(0x18)?, 8)?).ok()?;
        let length = usize::try_from(number(at.checked_add(0x20)?, 8)?).ok()?;
        if number(at.checked_add(4)?, 4)? == NO_BITS {
            Some(&[])
        } else {
            bytes.get(start..start.checked_add(length)?)
        }
    };
    let names = piece(names)?;
    let mut parts = Parts::new();
    insert(&mut parts, "the header".to_owned(), bytes.get(..HEADER)?);
    for index in 1..count {
        let start = number(header(index)?, 4)? as usize;
        let name = names.get(start..)?.split(|&byte| byte == 0).next()?;
        insert(&mut parts, String::from_utf8_lossy(name).into_owned(), piece(index)?);
    }
    Some(parts)
}

/// The members of an `ar` archive, and their headers.
fn members(bytes: &[u8]) -> Option<Parts<'_>> {
    const HEADER: usize = 60;
    let mut rest = bytes.strip_prefix(b"!<arch>\n")?;
    let mut parts = Parts::new();
    while !rest.is_empty() {
        let (header, after) = rest.split_at_checked(HEADER)?;
        let size: usize = std::str::from_utf8(&header[48..58]).ok()?.trim().parse().ok()?;
        let contents = after.get(..size)?;
        let name = String::from_utf8_lossy(&header[..16]).trim().trim_end_matches('/').to_owned();
        insert(&mut parts, format!("{name} (header)"), header);
        insert(&mut parts, name, contents);
        rest = after.get(size.checked_next_multiple_of(2)?..).unwrap_or_default();
    }
    Some(parts)
}

/// The files of a `tar` archive and what their headers say, a line a field.
fn files_of_tar(bytes: &[u8]) -> Option<Parts<'_>> {
    const BLOCK: usize = 512;
    const SIZE: std::ops::Range<usize> = 124..136;
    const FIELDS: [(&str, std::ops::Range<usize>); 10] = [
        ("mode", 100..108),
        ("user", 108..116),
        ("group", 116..124),
        ("size", SIZE),
        ("time", 136..148),
        ("kind", 156..157),
        ("link to", 157..257),
        ("name of the user", 265..297),
        ("name of the group", 297..329),
        ("device", 329..345),
    ];
    if bytes.get(257..262)? != b"ustar" {
        return None;
    }
    let text = |field: &[u8]| {
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).trim().to_owned()
    };
    let mut parts = Parts::new();
    let mut rest = bytes;
    while let Some((header, after)) = rest.split_at_checked(BLOCK)
        && header[0] != 0
    {
        let size = usize::from_str_radix(&text(&header[SIZE]), 8).ok()?;
        let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let fields = FIELDS.map(|(what, at)| format!("{what}: {}\n", text(&header[at]))).concat();
        insert(&mut parts, format!("{name} (header)"), fields.into_bytes());
        insert(&mut parts, name, after.get(..size)?);
        rest = after.get(size.checked_next_multiple_of(BLOCK)?..).unwrap_or_default();
    }
    Some(parts)
}

/// Of several parts of one name each gets a number.
fn insert<'a>(parts: &mut Parts<'a>, name: String, part: impl Into<Cow<'a, [u8]>>) {
    let mut unique = name.clone();
    let mut number = 1;
    while parts.contains_key(&unique) {
        number += 1;
        unique = format!("{name} #{number}");
    }
    parts.insert(unique, part.into());
}
