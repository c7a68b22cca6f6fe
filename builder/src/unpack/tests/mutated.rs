//! Honest archives of every format, cut up: whatever comes of it, nothing is written elsewhere, and nothing panics.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::tar_builder::Tar;
use super::{Place, formats, whole};
use crate::unpack::Options;

/// One thing done to an archive; places and lengths are taken modulo what there is.
#[derive(Clone, Debug)]
enum Cut {
    Set(usize, u8),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    /// Copies a piece to another place.
    Repeat(usize, usize, usize),
    /// Writes a number where numbers are: sizes and counts that do not fit.
    Number(usize, u32),
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let extremes =
        prop::sample::select(vec![0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fff0, 0x10000]);
    let cut = prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Cut::Set(at, byte)),
        2 => (any::<usize>(), 0..600usize).prop_map(|(at, count)| Cut::Remove(at, count)),
        1 => (any::<usize>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, bytes)| Cut::Insert(at, bytes)),
        2 => (any::<usize>(), 0..600usize, any::<usize>()).prop_map(|(from, count, to)| Cut::Repeat(from, count, to)),
        2 => (any::<usize>(), extremes).prop_map(|(at, number)| Cut::Number(at, number)),
    ];
    prop::collection::vec(cut, 1..6)
}

fn apply(archive: &mut Vec<u8>, cut: &Cut) {
    if archive.is_empty() {
        return;
    }
    let length = archive.len();
    match cut {
        Cut::Set(at, byte) => archive[at % length] = *byte,
        Cut::Remove(at, count) => {
            let at = at % length;
            archive.drain(at..(at + count).min(length));
        }
        Cut::Insert(at, bytes) => {
            let at = at % length;
            archive.splice(at..at, bytes.iter().copied());
        }
        Cut::Repeat(from, count, to) => {
            let (from, to) = (from % length, to % length);
            let piece = archive[from..(from + count).min(length)].to_vec();
            archive.splice(to..to, piece);
        }
        Cut::Number(at, number) => {
            for (byte, value) in archive[at % length..].iter_mut().zip(number.to_le_bytes()) {
                *byte = value;
            }
        }
    }
}

fn try_all(format: &str, mut archive: Vec<u8>, cuts: &[Cut]) {
    cuts.iter().for_each(|cut| apply(&mut archive, cut));
    let place = Place::new();
    let options = Options { max_bytes: 1 << 20, max_entries: 1000, ..whole() };
    let _ = place.unpack(&archive, &options);
    place.assert_untouched(format);
}

fn tar() -> Vec<u8> {
    Tar::default()
        .folder(b"top/")
        .file(b"top/plain", b"hello")
        .symlink(b"top/link", b"../../outside")
        .hard_link(b"top/again", b"top/plain")
        .pax(&[(b"path", b"top/named")])
        .file(b"ignored", b"pax")
        .finish()
}

/// Made by another program, once; nothing where there is none.
fn zip() -> Vec<u8> {
    static ZIP: OnceLock<Vec<u8>> = OnceLock::new();
    ZIP.get_or_init(|| formats::zip().unwrap_or_default()).clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn archives_cut_up(cuts in cuts()) {
        try_all("tar", tar(), &cuts);
        try_all("cpio", formats::cpio(), &cuts);
        try_all("deb", formats::deb("data.tar", &tar()), &cuts);
        try_all("zip", zip(), &cuts);
        try_all("gzip", compressed(&tar()), &cuts);
    }
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}
