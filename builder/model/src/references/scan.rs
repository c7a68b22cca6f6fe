//! Finds which of some store paths a stream of bytes refers to.

use std::collections::BTreeSet;
use std::io;

use super::search::{HashPart, HashParts};
use crate::store_path::{HASH_LENGTH, StorePath};

/// Looks for the hash parts of store paths in bytes that come in pieces.
pub struct ReferenceScanner {
    candidates: Vec<StorePath>,
    /// The place of each hash part in `found`.
    parts: HashParts<usize>,
    found: Vec<bool>,
    missing: usize,
    /// The end of what was seen, shorter than a hash part: one may start there.
    tail: Vec<u8>,
}

impl ReferenceScanner {
    /// A scanner that knows these paths; others are not found.
    pub fn new(candidates: impl IntoIterator<Item = StorePath>) -> ReferenceScanner {
        let candidates: Vec<_> = candidates.into_iter().collect();
        let hashes: BTreeSet<HashPart> = candidates.iter().filter_map(hash_part).collect();
        let count = hashes.len();
        ReferenceScanner {
            candidates,
            parts: HashParts::new(hashes.into_iter().zip(0..)),
            found: vec![false; count],
            missing: count,
            tail: Vec::new(),
        }
    }

    pub fn update(&mut self, data: &[u8]) {
        if self.missing == 0 {
            return;
        }
        const OVERLAP: usize = HASH_LENGTH - 1;
        let mut seam = std::mem::take(&mut self.tail);
        seam.extend_from_slice(&data[..data.len().min(OVERLAP)]);
        self.search(&seam);
        self.search(data);
        self.tail = match data.len() >= OVERLAP {
            true => data[data.len() - OVERLAP..].to_vec(),
            false => seam.split_off(seam.len().saturating_sub(OVERLAP)),
        };
    }

    fn search(&mut self, data: &[u8]) {
        let (found, missing) = (&mut self.found, &mut self.missing);
        self.parts.find(data, |_, &index| {
            if !std::mem::replace(&mut found[index], true) {
                *missing -= 1;
            }
        });
    }

    /// The paths whose hash parts were seen.
    pub fn finish(self) -> BTreeSet<StorePath> {
        let mut seen = BTreeSet::new();
        for path in self.candidates {
            let Some(hash) = hash_part(&path) else { continue };
            self.parts.find(&hash, |_, &index| {
                if self.found[index] {
                    seen.insert(path.clone());
                }
            });
        }
        seen
    }
}

impl io::Write for ReferenceScanner {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hash_part(path: &StorePath) -> Option<HashPart> {
    path.hash_part().as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(hash: &str) -> StorePath {
        StorePath::from_base_name(&format!("{hash}-x")).unwrap()
    }

    #[test]
    fn finds_in_any_chunking_and_surroundings() {
        let a = path("45bl2kd63ilpq0far1vsp81impl9r2sv");
        let b = path("k0bq3s4hdvxal217l04jr24n8jm5l29g");
        let c = path("a1pi4w7ivqip3jg1x7n9cj14z9673hxd");
        // `b` follows digits that run into it.
        let data = format!("..{}000{}e{}", a.hash_part(), b.hash_part(), &c.hash_part()[..31]);
        for size in 1..data.len() {
            let mut scanner = ReferenceScanner::new([a.clone(), b.clone(), c.clone()]);
            data.as_bytes().chunks(size).for_each(|chunk| scanner.update(chunk));
            assert_eq!(scanner.finish(), BTreeSet::from([a.clone(), b.clone()]), "{size}");
        }
    }

    #[test]
    fn paths_of_one_hash_are_found_together() {
        let short = path("45bl2kd63ilpq0far1vsp81impl9r2sv");
        let long = StorePath::from_base_name("45bl2kd63ilpq0far1vsp81impl9r2sv-other").unwrap();
        let mut scanner = ReferenceScanner::new([short.clone(), long.clone()]);
        scanner.update(b"/nix/store/45bl2kd63ilpq0far1vsp81impl9r2sv");
        assert_eq!(scanner.finish(), BTreeSet::from([short, long]));
    }
}
