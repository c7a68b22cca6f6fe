//! Archives made to hurt: none writes outside its folder, panics, or fills the disk.

use std::fs;
use std::io::Write;

use proptest::prelude::*;

use super::tar_builder::Tar;
use super::{Place, listing, whole};
use crate::unpack::Options;

fn refused(what: &str, archive: &[u8], word: &str) {
    let place = Place::new();
    let error = match place.unpack(archive, &whole()) {
        Ok(_) => panic!("{what} was unpacked: {:?}", listing(&place.path("out"))),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(word), "{what}: {error}");
    assert!(error.contains("archive"), "{what} does not name the archive: {error}");
    place.assert_untouched(what);
}

#[test]
fn names_that_lead_out() {
    let outside = |place: &Place| place.path("outside").into_os_string().into_encoded_bytes();
    let place = Place::new();
    let absolute = [&outside(&place)[..], b"/file"].concat();
    let tar = Tar::default;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("an absolute path", tar().file(&absolute, b"x").finish(), "an absolute path"),
        ("a path with ..", tar().file(b"../../outside/file", b"x").finish(), "`..`"),
        ("a path with .. within", tar().file(b"a/../../../outside/x", b"x").finish(), "`..`"),
        ("a folder with ..", tar().folder(b"../../outside/d").finish(), "`..`"),
        ("a link with ..", tar().symlink(b"../../outside/l", b"x").finish(), "`..`"),
        ("a pax path with ..", tar().pax(&[(b"path", b"../../outside/x")]).file(b"a", b"x").finish(), "`..`"),
        (
            "a GNU path with ..",
            tar().entry(b"L", b'L', b"", 0, b"../../outside/x\0").file(b"a", b"x").finish(),
            "`..`",
        ),
        (
            "a sparse name with ..",
            tar().pax(&[(b"GNU.sparse.name", b"../x")]).file(b"a", b"x").finish(),
            "`..`",
        ),
        ("a pax path with NUL", tar().pax(&[(b"path", b"a\0b")]).file(b"a", b"x").finish(), "NUL"),
        (
            "the folder itself as a file",
            tar().file(b"./", b"").file(b".", b"x").finish(),
            "replaces the folder",
        ),
        ("the folder itself as a link", tar().symlink(b".", b"/").finish(), "replaces the folder"),
        ("a path too deep", tar().pax(&[(b"path", &b"a/".repeat(1000))]).file(b"a", b"x").finish(), "deep"),
        ("a name too long", tar().pax(&[(b"path", &[b'a'; 300])]).file(b"a", b"x").finish(), "cannot write"),
        ("a path too long", tar().pax(&[(b"path", &[b'a'; 5000])]).file(b"a", b"x").finish(), "4095"),
    ];
    for (what, archive, word) in cases {
        refused(what, &archive, word);
    }
}

#[test]
fn writing_through_links() {
    let place = Place::new();
    let outside = place.path("outside").into_os_string().into_encoded_bytes();
    let outside_file = place.path("outside/file").into_os_string().into_encoded_bytes();
    let cases: Vec<(&str, Tar)> = vec![
        ("a file through a link", Tar::default().symlink(b"l", &outside).file(b"l/file", b"x")),
        ("a folder through a link", Tar::default().symlink(b"l", &outside).folder(b"l/d")),
        ("a link through a link", Tar::default().symlink(b"l", &outside).symlink(b"l/m", b"x")),
        ("a hard link through a link", Tar::default().symlink(b"l", &outside).hard_link(b"h", b"l/file")),
        (
            "through two links",
            Tar::default().symlink(b"a", b"b").symlink(b"b", &outside).file(b"a/file", b"x"),
        ),
        ("through a relative link", Tar::default().symlink(b"l", b"../../outside").file(b"l/file", b"x")),
        ("a hard link to an absolute path", Tar::default().hard_link(b"h", &outside_file).file(b"h", b"x")),
        ("a hard link with ..", Tar::default().hard_link(b"h", b"../../outside/file").file(b"h", b"x")),
        ("a hard link to nothing", Tar::default().hard_link(b"h", b"nothing")),
        ("a hard link to a folder", Tar::default().folder(b"d").hard_link(b"h", b"d")),
        ("a hard link to the folder itself", Tar::default().hard_link(b"h", b".")),
        ("a file below a file", Tar::default().file(b"a", b"").file(b"a/b", b"x")),
        ("an empty link", Tar::default().symlink(b"l", b"")),
    ];
    for (what, tar) in cases {
        let archive = tar.finish();
        fs::write(place.path("archive"), &archive).unwrap();
        fs::remove_dir_all(place.path("scratch")).unwrap();
        fs::create_dir(place.path("scratch")).unwrap();
        let error = place.unpack(&archive, &whole()).expect_err(what).to_string();
        assert!(error.contains("it holds `"), "{what}: {error}");
        place.assert_untouched(what);
    }
}

#[test]
fn links_in_the_way_are_replaced_and_not_followed() {
    let place = Place::new();
    let outside = place.path("outside/file").into_os_string().into_encoded_bytes();
    let folder = place.path("outside").into_os_string().into_encoded_bytes();
    let tar = Tar::default()
        .symlink(b"l", &outside)
        .file(b"l", b"mine")
        .symlink(b"d", &folder)
        .folder(b"d")
        .file(b"d/file", b"mine")
        .symlink(b"k", &outside)
        .hard_link(b"h", b"k")
        .file(b"h", b"mine");
    place.unpack(&tar.finish(), &whole()).unwrap();
    place.assert_untouched("replacing");
    assert_eq!(fs::read(place.path("out/l")).unwrap(), b"mine");
    assert_eq!(fs::read(place.path("out/d/file")).unwrap(), b"mine");
    assert!(fs::symlink_metadata(place.path("out/k")).unwrap().is_symlink());
}

#[test]
fn special_files() {
    for (kind, word) in
        [(b'3', "character device"), (b'4', "block device"), (b'6', "named pipe"), (b'M', "volume")]
    {
        refused(word, &Tar::default().entry(b"dev", kind, b"", 0o666, b"").finish(), word);
    }
    refused("an unknown kind", &Tar::default().entry(b"x", b'z', b"", 0o666, b"").finish(), "unknown kind");
}

#[test]
fn damage() {
    let tar = || Tar::default().file(b"a", &[b'x'; 3000]).file(b"b", b"y");
    let whole_archive = tar().finish();
    for cut in [513, 1024, 3000, 512 * 7 + 100] {
        refused("a cut archive", &whole_archive[..cut], "cut short");
    }
    let mut flipped = whole_archive.clone();
    flipped[512 * 7 + 3] ^= 1;
    refused("a wrong sum", &flipped, "sum");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&whole_archive).unwrap();
    let gzip = gzip.finish().unwrap();
    refused("a cut gzip", &gzip[..gzip.len() - 6], "cut short");
    let mut wrong_sum = gzip.clone();
    let at = gzip.len() - 7;
    wrong_sum[at] ^= 1;
    refused("a gzip with a wrong sum", &wrong_sum, "damaged");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&whole_archive).unwrap();
    let xz = xz.finish().unwrap();
    refused("a cut xz", &xz[..xz.len() - 20], "damaged");
    let mut trailing = xz;
    trailing.extend_from_slice(b"rubbish!");
    refused("an xz with rubbish behind it", &trailing, "damaged");
    let zstd = zstd::encode_all(&whole_archive[..], 1).unwrap();
    refused("a cut zstd", &zstd[..zstd.len() - 2], "damaged");
    for other in [&b"<html>not found</html>"[..], b"", b"x", &[0xff; 600]] {
        refused("no archive", other, "known kind");
    }
}

#[test]
fn sizes_that_lie() {
    let huge =
        |change: fn(&mut [u8; 512])| Tar::default().header(b"a", b'0', b"", 0o644, 0, change).unfinished();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("8 GiB of nothing", huge(|block| block[124..136].copy_from_slice(b"77777777777\0"))),
        ("2^95 bytes", huge(|block| block[124..136].fill(0xff))),
        (
            "2^63 bytes",
            huge(|block| block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0])),
        ),
        ("no number", huge(|block| block[124..136].copy_from_slice(b"12x\0\0\0\0\0\0\0\0\0"))),
        (
            "a pax size beyond all",
            Tar::default().pax(&[(b"size", b"18446744073709551615")]).file(b"a", b"").finish(),
        ),
        (
            "a long name of 8 GiB",
            Tar::default().header(b"L", b'L', b"", 0, 0o77777777777, |_| {}).unfinished(),
        ),
        (
            "a hole of an exabyte",
            Tar::default()
                .pax(&[(b"GNU.sparse.size", b"1152921504606846976"), (b"GNU.sparse.map", b"0,1")])
                .file(b"a", b"x")
                .finish(),
        ),
        (
            "pieces that overlap",
            Tar::default()
                .pax(&[(b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"0,2,1,2")])
                .file(b"a", b"abcd")
                .finish(),
        ),
        (
            "pieces beyond the end",
            Tar::default()
                .pax(&[(b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"18446744073709551615,2")])
                .file(b"a", b"ab")
                .finish(),
        ),
        (
            "an endless map",
            Tar::default().pax(&[(b"GNU.sparse.major", b"1")]).file(b"a", b"999999999999\n1\n").finish(),
        ),
    ];
    for (what, archive) in cases {
        let place = Place::new();
        let error = place.unpack(&archive, &whole()).expect_err(what).to_string();
        assert!(error.contains("damaged") || error.contains("limit"), "{what}: {error}");
        place.assert_untouched(what);
    }
}

#[test]
fn limits() {
    let archive = Tar::default().file(b"a", &[0; 600]).file(b"b", &[0; 600]).finish();
    let limited = |max_bytes, max_entries| {
        let options = Options { max_bytes, max_entries, ..whole() };
        Place::new().unpack(&archive, &options).map_err(|error| error.to_string())
    };
    assert!(limited(1200, 2).is_ok());
    assert!(limited(1199, 2).unwrap_err().contains("more than 1199 bytes"));
    assert!(limited(1200, 1).unwrap_err().contains("more than 1 entries"));
}

#[test]
fn zip_and_cpio_do_not_lead_out_either() {
    let entry = |name: &str, mode: u32, content: &[u8]| {
        let fields = [1, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        let header: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        let mut bytes = format!("070701{header}{name}\0").into_bytes();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    refused("a cpio file with ..", &entry("../../outside/x", 0o100_644, b"x"), "`..`");
    refused("a cpio device", &entry("d", 0o020_644, b""), "device");
    let through = [entry("l", 0o120_777, b"../../outside"), entry("l/file", 0o100_644, b"x")].concat();
    refused("a cpio file through a link", &through, "symbolic link");
    let central = |name: &[u8]| {
        let crc = {
            let mut crc = flate2::Crc::new();
            crc.update(b"x");
            crc.sum()
        };
        let mut local = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
        let mut directory = b"PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\0\0".to_vec();
        for part in [&mut local, &mut directory] {
            part.extend_from_slice(&crc.to_le_bytes());
            part.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
            part.extend_from_slice(&(name.len() as u16).to_le_bytes());
            part.extend_from_slice(&[0, 0]);
        }
        directory.extend_from_slice(&[0; 14]);
        local.extend_from_slice(name);
        local.push(b'x');
        directory.extend_from_slice(name);
        let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
        end.extend_from_slice(&(directory.len() as u32).to_le_bytes());
        end.extend_from_slice(&(local.len() as u32).to_le_bytes());
        end.extend_from_slice(&[0, 0]);
        [local, directory, end].concat()
    };
    let place = Place::new();
    place.unpack(&central(b"fine"), &whole()).unwrap();
    assert_eq!(listing(&place.path("out")), ["f fine x"]);
    refused("a zip file with ..", &central(b"../../outside/x"), "`..`");
    refused("a zip file with an absolute path", &central(b"/x"), "absolute");
}

/// A zip archive of one stored file, with the sizes that the directory is to tell, and what the end says of the directory.
fn zip(
    content: &[u8],
    compressed: u32,
    size: u32,
    extra: &[u8],
    end: impl Fn(u32, u32) -> Vec<u8>,
) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&content[..content.len().min(size as usize)]);
    let mut local = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
    let mut directory = b"PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\0\0".to_vec();
    for part in [&mut local, &mut directory] {
        part.extend_from_slice(&crc.sum().to_le_bytes());
        part.extend_from_slice(&compressed.to_le_bytes());
        part.extend_from_slice(&size.to_le_bytes());
        part.extend_from_slice(&1_u16.to_le_bytes());
    }
    local.extend_from_slice(&[0, 0]);
    local.extend_from_slice(&[b"a", content].concat());
    directory.extend_from_slice(&(extra.len() as u16).to_le_bytes());
    directory.extend_from_slice(&[0; 14]);
    directory.extend_from_slice(&[b"a", extra].concat());
    let end = end(directory.len() as u32, local.len() as u32);
    [local, directory, end].concat()
}

fn zip_end(size: u32, offset: u32) -> Vec<u8> {
    [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &size.to_le_bytes(), &offset.to_le_bytes(), &[0, 0]].concat()
}

#[test]
fn zip_sizes_that_lie() {
    let place = Place::new();
    place.unpack(&zip(b"xyz", 3, 3, b"", zip_end), &whole()).unwrap();
    assert_eq!(listing(&place.path("out")), ["f a xyz"]);

    refused(
        "a zip file with more than is told",
        &zip(b"xyz", 3, 2, b"", zip_end),
        "larger than its directory says",
    );
    refused("a zip file with less than is told", &zip(b"xyz", 3, 4, b"", zip_end), "ends within");
    refused("a zip file beyond the end", &zip(b"xyz", 4_000_000_000, 4_000_000_000, b"", zip_end), "damaged");
    // zip64: sizes and the directory's place in 64 bits.
    let huge = [&[1, 0, 16, 0][..], &[0xff; 16]].concat();
    let options = Options { max_bytes: 1 << 40, ..whole() };
    let place = Place::new();
    let error = place.unpack(&zip(b"xyz", u32::MAX, u32::MAX, &huge, zip_end), &options).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
    refused("a zip64 file without its sizes", &zip(b"xyz", u32::MAX, u32::MAX, b"", zip_end), "cut short");
    let far = |size: u32, offset: u32| {
        let record_at = u64::from(offset) + u64::from(size);
        let mut record = [&b"PK\x06\x06"[..], &[0; 36]].concat();
        record.extend_from_slice(&[&u64::MAX.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat());
        let locator = [&b"PK\x06\x07\0\0\0\0"[..], &record_at.to_le_bytes(), &[1, 0, 0, 0]].concat();
        [record, locator, zip_end(u32::MAX, u32::MAX)].concat()
    };
    refused("a zip64 directory beyond all", &zip(b"xyz", 3, 3, b"", far), "outside");
}

#[test]
fn what_is_kept_in_memory_is_limited() {
    let fields = |name: &str| {
        let fields = [1, 0o100_644, 0, 0, 2, 0, 0, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        let header: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        let mut bytes = format!("070701{header}{name}\0").into_bytes();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let names: Vec<u8> = (0..100).flat_map(|number| fields(&format!("name-{number}"))).collect();
    let options = Options { max_entries: 50, ..whole() };
    let error = Place::new().unpack(&names, &options).unwrap_err().to_string();
    assert!(error.contains("more than 50 entries"), "{error}");

    // What is said of all files is no map of each.
    let sparse =
        Tar::default().entry(b"g", b'g', b"", 0, b"26 GNU.sparse.numbytes=12\n").file(b"a", b"x").finish();
    let place = Place::new();
    place.unpack(&sparse, &whole()).unwrap();
    assert_eq!(listing(&place.path("out")), ["f a x"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, it ends without a panic and nothing is written elsewhere.
    #[test]
    fn random_bytes(kind in 0..8usize, bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let magics: [&[u8]; 8] = [
            b"", b"PK\x03\x04", b"!<arch>\n", b"070701", &[0x1f, 0x8b, 8], b"BZh9", b"\xfd7zXZ\0", &[0x28, 0xb5, 0x2f, 0xfd],
        ];
        let place = Place::new();
        let _ = place.unpack(&[magics[kind], &bytes].concat(), &whole());
        place.assert_untouched("random bytes");
    }

    /// An archive with some bytes changed, and the sums of its headers made right again.
    #[test]
    fn changed_bytes(changes in prop::collection::vec((0..4096usize, any::<u8>()), 1..12)) {
        let mut archive = Tar::default()
            .pax(&[(b"path", b"a/b"), (b"GNU.sparse.map", b"0,2"), (b"GNU.sparse.size", b"4")])
            .file(b"a", b"xy")
            .symlink(b"l", b"../../outside")
            .hard_link(b"h", b"a/b")
            .entry(b"L", b'L', b"", 0, b"long\0")
            .file(b"c", b"z")
            .finish();
        for (at, byte) in changes {
            if let Some(target) = archive.get_mut(at) {
                *target = byte;
            }
        }
        for block in archive.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
            block[148..156].copy_from_slice(b"        ");
            let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let place = Place::new();
        let options = Options { max_bytes: 1 << 20, ..whole() };
        let _ = place.unpack(&archive, &options);
        place.assert_untouched("a changed archive");
    }
}
