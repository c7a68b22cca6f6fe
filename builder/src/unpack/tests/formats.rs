//! Honest archives of every kind.

use std::io::Write;
use std::process::{Command, Stdio};

use super::tar_builder::Tar;
use super::{Place, listing, whole};
use crate::unpack::Options;

fn sample() -> Vec<u8> {
    let long = [b"top/".as_slice(), &[b'n'; 200], b"/file"].concat();
    Tar::default()
        .folder(b"top/")
        .file(b"top/plain", b"hello")
        .entry(b"top/run", b'0', b"", 0o4755, b"#!")
        .symlink(b"top/link", b"/nowhere/at all")
        .hard_link(b"top/again", b"top/run")
        .file(b"top/caf\xe9", b"")
        .entry(b"././@LongLink", b'L', b"", 0, &[&long[..], b"\0"].concat())
        .file(&long[..100], b"long")
        .pax(&[(b"path", b"top/\xc3\xa9 pax=\n"), (b"mtime", b"1.5")])
        .file(b"ignored", b"pax")
        .finish()
}

fn sample_listing() -> Vec<String> {
    let long = "n".repeat(200);
    let mut lines = vec![
        "f caf\\xe9 ".to_owned(),
        "f plain hello".to_owned(),
        "f \\xc3\\xa9 pax=\\n pax".to_owned(),
        "l link -> /nowhere/at all".to_owned(),
        format!("d {long}"),
        format!("f {long}/file long"),
        "x again #!".to_owned(),
        "x run #!".to_owned(),
    ];
    lines.sort();
    lines
}

fn unpacked(archive: &[u8], options: &Options) -> Vec<String> {
    let place = Place::new();
    place.unpack(archive, options).unwrap();
    listing(&place.path("out"))
}

#[test]
fn tar_in_every_compression() {
    let tar = sample();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&tar).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&tar).unwrap();
    let lzma =
        liblzma::stream::Stream::new_lzma_encoder(&liblzma::stream::LzmaOptions::new_preset(1).unwrap())
            .unwrap();
    let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), lzma);
    lzma.write_all(&tar).unwrap();
    let cases = [
        ("tar", tar.clone()),
        ("gzip", gzip.finish().unwrap()),
        ("bzip2", bzip2.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("lzma", lzma.finish().unwrap()),
        ("zstd", zstd::encode_all(&tar[..], 1).unwrap()),
    ];
    for (name, archive) in cases {
        assert_eq!(unpacked(&archive, &Options::default()), sample_listing(), "{name}");
    }
}

#[test]
fn streams_one_after_the_other_and_blocks_at_once() {
    let tar = sample();
    let (first, second) = tar.split_at(700);
    let compress = |part: &[u8]| {
        let mut builder = liblzma::stream::MtStreamBuilder::new();
        let stream =
            builder.threads(2).preset(1).block_size(600).check(liblzma::stream::Check::Crc64).encoder();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.unwrap());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    let padded = [compress(first), vec![0; 8], compress(second)].concat();
    assert_eq!(unpacked(&padded, &Options::default()), sample_listing());
    let gzip = |part: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(unpacked(&[gzip(first), gzip(second)].concat(), &Options::default()), sample_listing());
    let zstd = |part: &[u8]| zstd::encode_all(part, 1).unwrap();
    assert_eq!(unpacked(&[zstd(first), zstd(second)].concat(), &Options::default()), sample_listing());
}

#[test]
fn a_single_top_folder_is_stripped_and_nothing_else() {
    let nested = || Tar::default().file(b"a/b/c/file", b"x").finish();
    let strip = |count| Options { strip_components: count, ..Options::default() };
    assert_eq!(unpacked(&nested(), &strip(0)), ["d a", "d a/b", "d a/b/c", "f a/b/c/file x"]);
    assert_eq!(unpacked(&nested(), &strip(1)), ["d b", "d b/c", "f b/c/file x"]);
    assert_eq!(unpacked(&nested(), &strip(9)), ["f file x"]);
    let two = Tar::default().file(b"a/x", b"").file(b"b", b"").finish();
    assert_eq!(unpacked(&two, &strip(1)), ["d a", "f a/x ", "f b "]);
    let only_file = Tar::default().file(b"a", b"x").finish();
    assert_eq!(unpacked(&only_file, &strip(1)), ["f a x"]);
    let link = Tar::default().symlink(b"a", b"/").finish();
    assert_eq!(unpacked(&link, &strip(1)), ["l a -> /"]);
    assert!(unpacked(&Tar::default().finish(), &strip(1)).is_empty());
}

#[test]
fn later_entries_replace_earlier_ones() {
    let tar = Tar::default()
        .file(b"a", b"first")
        .hard_link(b"b", b"a")
        .file(b"a", b"second")
        .symlink(b"l", b"a")
        .file(b"l", b"no link")
        .folder(b"d")
        .folder(b"d/")
        .file(b"e", b"")
        .folder(b"e")
        .finish();
    assert_eq!(unpacked(&tar, &whole()), ["d d", "d e", "f a second", "f b first", "f l no link"]);
}

#[test]
fn sparse_files_in_all_formats() {
    let expected = [&b"ab"[..], &[0; 1000], b"cd", &[0; 4]].concat();
    let line = vec![format!("f s {}", expected.escape_ascii())];
    let old = Tar::default().header(b"s", b'S', b"", 0o644, 4, |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        for (at, number) in [(386, 0), (398, 2), (410, 1002), (422, 2), (434, 1008), (446, 0), (483, 1008)] {
            block[at..at + 12].copy_from_slice(format!("{number:011o}\0").as_bytes());
        }
    });
    assert_eq!(unpacked(&old.data(b"abcd").finish(), &whole()), line);
    let version_0 = [
        (&b"GNU.sparse.size"[..], &b"1008"[..]),
        (b"GNU.sparse.offset", b"0"),
        (b"GNU.sparse.numbytes", b"2"),
        (b"GNU.sparse.offset", b"1002"),
        (b"GNU.sparse.numbytes", b"2"),
    ];
    assert_eq!(unpacked(&Tar::default().pax(&version_0).file(b"s", b"abcd").finish(), &whole()), line);
    let version_0_1 = [
        (&b"GNU.sparse.size"[..], &b"1008"[..]),
        (b"GNU.sparse.name", b"s"),
        (b"GNU.sparse.map", b"0,2,1002,2"),
    ];
    assert_eq!(unpacked(&Tar::default().pax(&version_0_1).file(b"x", b"abcd").finish(), &whole()), line);
    let version_1 = [
        (&b"GNU.sparse.major"[..], &b"1"[..]),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", b"s"),
        (b"GNU.sparse.realsize", b"1008"),
    ];
    let mut data = b"2\n0\n2\n1002\n2\n".to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"abcd");
    assert_eq!(unpacked(&Tar::default().pax(&version_1).file(b"x", &data).finish(), &whole()), line);
}

/// A Debian package whose data has that name, and is so.
pub fn deb(name: &str, data: &[u8]) -> Vec<u8> {
    let member = |name: &str, content: &[u8]| {
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, content.len());
        let mut member = [header.as_bytes(), content].concat();
        member.resize(member.len().next_multiple_of(2), b'\n');
        member
    };
    let members = [member("debian-binary", b"2.0"), member("control.tar", b"?"), member(name, data)];
    [b"!<arch>\n".as_slice(), &members.concat()].concat()
}

#[test]
fn deb_packages_are_their_data() {
    let data =
        zstd::encode_all(&Tar::default().folder(b"./usr").file(b"./usr/a", b"x").finish()[..], 1).unwrap();
    // The top folder stays, as that is part of the package's paths.
    assert_eq!(unpacked(&deb("data.tar.zst", &data), &Options::default()), ["d usr", "f usr/a x"]);
    let place = Place::new();
    let error = place.unpack(&deb("other", &data), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("no Debian package"), "{error}");
}

/// An archive with links of both kinds.
pub fn cpio() -> Vec<u8> {
    let mut archive = Vec::new();
    let mut add = |name: &str, inode: u32, mode: u32, links: u32, content: &[u8]| {
        let fields =
            [inode, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        let header: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        archive.extend_from_slice(format!("070701{header}{name}\0").as_bytes());
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    };
    add(".", 1, 0o040_755, 2, b"");
    add("d", 2, 0o040_755, 2, b"");
    add("d/run", 3, 0o100_755, 1, b"#!x");
    add("l", 4, 0o120_777, 1, b"d/run");
    add("one", 5, 0o100_644, 2, b"");
    add("two", 5, 0o100_644, 2, b"shared");
    add("empty1", 6, 0o100_644, 2, b"");
    add("empty2", 6, 0o100_644, 2, b"");
    add("TRAILER!!!", 0, 0, 1, b"");
    archive
}

#[test]
fn cpio_with_links() {
    let expected =
        ["d d", "f empty1 ", "f empty2 ", "f one shared", "f two shared", "l l -> d/run", "x d/run #!x"];
    assert_eq!(unpacked(&cpio(), &whole()), expected);
}

/// A zip archive as Python's library makes it, with a deflated, a stored and an executable file, a folder and a link.
pub fn zip() -> Option<Vec<u8>> {
    let script = "
import sys, zipfile, io
out = io.BytesIO()
with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
    z.writestr('top/deflated', 'x' * 1000)
    z.writestr(zipfile.ZipInfo('top/stored'), 'y')
    for name, mode, text in [('top/run', 0o100755, '#!'), ('top/link', 0o120777, '../..')]:
        info = zipfile.ZipInfo(name); info.create_system = 3; info.external_attr = mode << 16
        z.writestr(info, text)
    z.writestr(zipfile.ZipInfo('top/folder/'), '')
    with z.open('top/large', 'w', force_zip64=True) as f: f.write(b'z')
sys.stdout.buffer.write(out.getvalue())
";
    let output = Command::new("python3").arg("-c").arg(script).stderr(Stdio::inherit()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

#[test]
fn zip_with_modes() {
    // Without Python there is nothing to compare with.
    let Some(archive) = zip() else { return };
    let deflated = format!("f deflated {}", "x".repeat(1000));
    let expected = ["d folder", &deflated, "f large z", "f stored y", "l link -> ../..", "x run #!"];
    assert_eq!(unpacked(&archive, &Options::default()), expected);
    let place = Place::new();
    let mut broken = archive;
    let at = broken.iter().position(|byte| *byte == b'y').unwrap();
    broken[at] = b'z';
    let error = place.unpack(&broken, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
}
