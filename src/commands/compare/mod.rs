//! Where two trees differ, in words: files that only one has, kinds and modes, lines of texts, sections of programs, members of
//! archives, bytes of the rest.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use similar::{ChangeTag, TextDiff};

mod parts;

/// More differences than this are only counted.
const SHOWN: usize = 20;

/// More lines of one text than this are not shown.
const SHOWN_LINES: usize = 10;

/// Larger files are not compared line by line or part by part.
const MAX_READ: u64 = 256 << 20;

/// The differences, a line or more each.
pub fn trees(before: &Path, after: &Path) -> io::Result<Vec<String>> {
    let mut comparison = Comparison::default();
    comparison.entries("", before, after)?;
    let more = comparison.count - comparison.found.len();
    if more > 0 {
        comparison.found.push(format!("and {more} more"));
    }
    Ok(comparison.found)
}

#[derive(Default)]
struct Comparison {
    found: Vec<String>,
    count: usize,
}

impl Comparison {
    fn add(&mut self, name: &str, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.found.len() < SHOWN {
            let name = if name.is_empty() { "the file" } else { name };
            self.found.push(format!("{name}: {}", text()));
        }
    }

    fn entries(&mut self, name: &str, before: &Path, after: &Path) -> io::Result<()> {
        let (old, new) = (fs::symlink_metadata(before)?, fs::symlink_metadata(after)?);
        if old.file_type() != new.file_type() {
            self.add(name, || format!("{} before, {} now", kind(&old), kind(&new)));
        } else if old.is_symlink() {
            let (old, new) = (fs::read_link(before)?, fs::read_link(after)?);
            if old != new {
                self.add(name, || format!("a link to {} before, to {} now", old.display(), new.display()));
            }
        } else if old.is_dir() {
            self.folders(name, before, after)?;
        } else {
            let is_executable = |found: &fs::Metadata| found.permissions().mode() & 0o100 != 0;
            if is_executable(&old) != is_executable(&new) {
                let (was, is) = if is_executable(&old) { ("", "not ") } else { ("not ", "") };
                self.add(name, || format!("{was}executable before, {is}executable now"));
            }
            self.files(name, before, after, old.len().max(new.len()))?;
        }
        Ok(())
    }

    fn folders(&mut self, name: &str, before: &Path, after: &Path) -> io::Result<()> {
        let (old, new) = (names(before)?, names(after)?);
        let mut all: Vec<&std::ffi::OsString> = old.iter().chain(&new).collect();
        all.sort();
        all.dedup();
        for entry in all {
            let shown = entry.to_string_lossy();
            let inner = if name.is_empty() { shown.into_owned() } else { format!("{name}/{shown}") };
            match (old.contains(entry), new.contains(entry)) {
                (true, true) => self.entries(&inner, &before.join(entry), &after.join(entry))?,
                (true, false) => self.add(&inner, || "only before".to_owned()),
                _ => self.add(&inner, || "only now".to_owned()),
            }
        }
        Ok(())
    }

    fn files(&mut self, name: &str, before: &Path, after: &Path, size: u64) -> io::Result<()> {
        if size > MAX_READ {
            if fs::metadata(before)?.len() != fs::metadata(after)?.len() || !same_contents(before, after)? {
                self.add(name, || "other contents".to_owned());
            }
            return Ok(());
        }
        let (old, new) = (fs::read(before)?, fs::read(after)?);
        if old != new {
            self.add(name, || contents(&old, &new));
        }
        Ok(())
    }
}

fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn kind(found: &fs::Metadata) -> &'static str {
    match () {
        () if found.is_symlink() => "a link",
        () if found.is_dir() => "a folder",
        () => "a file",
    }
}

fn same_contents(before: &Path, after: &Path) -> io::Result<bool> {
    let mut files = [fs::File::open(before)?, fs::File::open(after)?];
    let mut pieces = [vec![0; 1 << 20], vec![0; 1 << 20]];
    loop {
        let mut counts = [0; 2];
        for ((file, piece), count) in files.iter_mut().zip(&mut pieces).zip(&mut counts) {
            while *count < piece.len() {
                match file.read(&mut piece[*count..])? {
                    0 => break,
                    read => *count += read,
                }
            }
        }
        if pieces[0][..counts[0]] != pieces[1][..counts[1]] {
            return Ok(false);
        }
        if counts[0] == 0 {
            return Ok(true);
        }
    }
}

/// How two contents that are not the same differ.
fn contents(old: &[u8], new: &[u8]) -> String {
    if let (Some(old), Some(new)) = (text(old), text(new)) {
        return lines(old, new);
    }
    if let (Some(old), Some(new)) = (decompressed(old), decompressed(new)) {
        return match old == new {
            true => "the same contents, compressed otherwise: another level, or a time stamp".to_owned(),
            false => format!("compressed; inside: {}", contents(&old, &new)),
        };
    }
    let (parts_of_old, parts_of_new) = (parts::of(old), parts::of(new));
    if let (Some((what, old)), Some((_, new))) = (&parts_of_old, &parts_of_new) {
        return differing_parts(what, old, new);
    }
    bytes(old, new)
}

/// What is in a compressed file; nothing if it is none, is damaged or holds more than is compared.
fn decompressed(bytes: &[u8]) -> Option<Vec<u8>> {
    const STARTS: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    if !STARTS.iter().any(|start| bytes.starts_with(start)) {
        return None;
    }
    let mut contents = Vec::new();
    let stream = zeval_builder::unpack::decompressed(bytes).ok()?;
    stream.take(MAX_READ + 1).read_to_end(&mut contents).ok()?;
    (contents.len() as u64 <= MAX_READ).then_some(contents)
}

fn text(bytes: &[u8]) -> Option<&str> {
    (!bytes.contains(&0)).then(|| std::str::from_utf8(bytes).ok()).flatten()
}

fn lines(old: &str, new: &str) -> String {
    const LARGE: usize = 1 << 20;
    if old.len().max(new.len()) > LARGE {
        return bytes(old.as_bytes(), new.as_bytes());
    }
    if let Some(order) = other_order(old, new) {
        return order;
    }
    let difference = TextDiff::from_lines(old, new);
    let changes: Vec<String> = difference
        .iter_all_changes()
        .filter(|change| change.tag() != ChangeTag::Equal)
        .map(|change| {
            let (sign, index) = match change.tag() {
                ChangeTag::Delete => ('-', change.old_index()),
                _ => ('+', change.new_index()),
            };
            let number = index.map_or(0, |index| index + 1);
            format!("\n    {sign}{number}: {}", change.to_string().trim_end())
        })
        .collect();
    let shown = changes[..changes.len().min(SHOWN_LINES)].concat();
    let more = changes.len().saturating_sub(SHOWN_LINES);
    let more = if more > 0 { format!("\n    and {more} lines more") } else { String::new() };
    format!("other lines{shown}{more}")
}

/// Says so if two texts have the same lines, or one-line texts the same words, in another order.
fn other_order(old: &str, new: &str) -> Option<String> {
    fn pieces(text: &str, what: &str) -> Vec<String> {
        let pieces: Vec<&str> =
            if what == "lines" { text.lines().collect() } else { text.split(' ').collect() };
        pieces.into_iter().map(str::to_owned).collect()
    }
    let what = if old.lines().count() > 1 { "lines" } else { "words" };
    let (old, new) = (pieces(old, what), pieces(new, what));
    let first = old.iter().zip(&new).position(|(old, new)| old != new)?;
    let sorted = |pieces: &[String]| {
        let mut pieces = pieces.to_vec();
        pieces.sort();
        pieces
    };
    let number = first + 1;
    (sorted(&old) == sorted(&new)).then(|| {
        format!(
            "the same {what} in another order; number {number}: '{}' before, '{}' now",
            old[first].trim(),
            new[first].trim()
        )
    })
}

fn bytes(old: &[u8], new: &[u8]) -> String {
    let first = old.iter().zip(new).position(|(old, new)| old != new).unwrap_or(old.len().min(new.len()));
    let differing = old.iter().zip(new).filter(|(old, new)| old != new).count();
    let excerpt = |bytes: &[u8]| {
        let piece = &bytes[first.min(bytes.len())..(first + 16).min(bytes.len())];
        piece.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    if old.len() == new.len() {
        let (old, new) = (excerpt(old), excerpt(new));
        return format!("{differing} other bytes, the first at {first}: {old} before, {new} now");
    }
    format!("{} bytes before, {} now; the first that differs is at {first}", old.len(), new.len())
}

fn differing_parts(what: &str, old: &parts::Parts<'_>, new: &parts::Parts<'_>) -> String {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let mut found = String::new();
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => {
                let how = contents(old, new).replace('\n', "\n    ");
                found.push_str(&format!("\n    {name}: {how}"));
            }
            (Some(_), None) => found.push_str(&format!("\n    {name}: only before")),
            _ => found.push_str(&format!("\n    {name}: only now")),
        }
    }
    if found.is_empty() {
        format!("{what}: the same contents in another order or place")
    } else {
        format!("{what}{found}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(old: &[(&str, &[u8])], new: &[(&str, &[u8])]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (side, files) in [("old", old), ("new", new)] {
            fs::create_dir(folder.path().join(side)).unwrap();
            for (name, contents) in files {
                fs::write(folder.path().join(side).join(name), contents).unwrap();
            }
        }
        trees(&folder.path().join("old"), &folder.path().join("new")).unwrap().join("\n")
    }

    #[test]
    fn files_lines_and_bytes() {
        let found = compared(
            &[("a", b"one\ntwo\n"), ("b", b"\0\x01\x02"), ("c", b"same"), ("d", b"")],
            &[("a", b"one\n2\n"), ("b", b"\0\x01\x03"), ("c", b"same"), ("e", b"")],
        );
        assert_eq!(
            found,
            "a: other lines\n    -2: two\n    +2: 2\nb: 1 other bytes, the first at 2: 02 before, 03 now\n\
             d: only before\ne: only now"
        );
    }

    #[test]
    fn members_of_an_archive() {
        let archive = |time: &str| {
            format!("!<arch>\n{:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\nabc\0", "x.o/", 0, 0, 644, 4)
                .into_bytes()
        };
        let found = compared(&[("a", &archive("1"))], &[("a", &archive("2"))]);
        assert!(found.contains("an archive") && found.contains("x.o (header)"), "{found}");
    }

    /// A `tar` archive of one file, of which all else than its time stamp is the same.
    fn tar(time: &str, contents: &[u8]) -> Vec<u8> {
        let mut archive = vec![0; 1024];
        archive[..4].copy_from_slice(b"file");
        archive[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        archive[136..136 + time.len()].copy_from_slice(time.as_bytes());
        archive[257..262].copy_from_slice(b"ustar");
        archive[512..512 + contents.len()].copy_from_slice(contents);
        archive.resize(2048, 0);
        archive
    }

    #[test]
    fn files_of_an_archive_that_is_compressed() {
        let zstd = |level: i32, contents: &[u8]| zstd::encode_all(contents, level).unwrap();
        let found = compared(&[("a", &zstd(1, &tar("7", b"x")))], &[("a", &zstd(1, &tar("12", b"x")))]);
        let expected = "a: compressed; inside: an archive\n    file (header): other lines\n        \
                        -5: time: 7\n        +5: time: 12";
        assert_eq!(found.replace("    ", " "), expected.replace("    ", " "));
        let text = b"one two three four five ".repeat(1000);
        let found = compared(&[("a", &zstd(1, &text))], &[("a", &zstd(19, &text))]);
        assert!(found.contains("the same contents, compressed otherwise"), "{found}");
    }

    #[test]
    fn the_same_in_another_order() {
        let found = compared(&[("a", b"x\ny\nz\n"), ("b", b"x y")], &[("a", b"x\nz\ny\n"), ("b", b"y x")]);
        assert_eq!(
            found,
            "a: the same lines in another order; number 2: 'y' before, 'z' now\n\
             b: the same words in another order; number 1: 'x' before, 'y' now"
        );
    }

    #[test]
    fn nothing_that_is_not_there_is_read() {
        let program = |end: u8| [b"\x7fELF\x02\x01".as_slice(), &[255; 60], &[end]].concat();
        let found = compared(&[("a", &program(1))], &[("a", &program(2))]);
        assert!(found.starts_with("a: 1 other bytes"), "{found}");
    }
}
