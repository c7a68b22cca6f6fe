//! Finds base32 texts of the length of a hash part, looking at few bytes.

use rustc_hash::FxHashMap;

use crate::encoding::NIX32_DIGITS;
use crate::store_path::HASH_LENGTH;

/// The digits of a store path's hash.
pub type HashPart = [u8; HASH_LENGTH];

const NO_DIGIT: u8 = 0xff;

/// A set of hash parts, each with a value.
#[derive(Clone, Debug, Default)]
pub struct HashParts<T> {
    values: FxHashMap<HashPart, T>,
    /// One bit for each value of `filter_index`, a power of two of them: most texts of digits are told apart without
    /// looking them up.
    filter: Vec<u64>,
}

/// With so many bits for each hash part, the filter lets one text in as many pass.
const FILTER_BITS_PER_PART: usize = 32;

impl<T> HashParts<T> {
    pub fn new(values: impl IntoIterator<Item = (HashPart, T)>) -> HashParts<T> {
        let values: FxHashMap<_, _> = values.into_iter().collect();
        let mut filter = vec![0; (values.len() * FILTER_BITS_PER_PART).next_power_of_two().div_ceil(64)];
        for hash in values.keys() {
            let index = filter_index(hash, &filter);
            filter[index / 64] |= 1 << (index % 64);
        }
        HashParts { values, filter }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn get(&self, text: &[u8; HASH_LENGTH]) -> Option<&T> {
        let index = filter_index(text, &self.filter);
        match self.filter.get(index / 64)? >> (index % 64) & 1 {
            0 => None,
            _ => self.values.get(text),
        }
    }

    /// Calls `visit` with the place of each of these hash parts in `data`, in order. Places do not overlap.
    pub fn find<'a>(&'a self, data: &[u8], mut visit: impl FnMut(usize, &'a T)) {
        if self.is_empty() {
            return;
        }
        let mut start = 0;
        // The bytes from `start` to here are known to be digits.
        let mut known = 0;
        while let Some(window) = data[start..].first_chunk::<HASH_LENGTH>() {
            let end = start + HASH_LENGTH;
            // From the end backwards: one byte that is no digit rules out every window that it lies in.
            let unknown = &data[known.max(start)..end];
            if let Some(other) = unknown.iter().rposition(|&byte| NIX32_DIGITS[usize::from(byte)] == NO_DIGIT)
            {
                start = known.max(start) + other + 1;
            } else if let Some(value) = self.get(window) {
                visit(start, value);
                start = end;
            } else {
                start += 1;
            }
            known = end;
        }
    }
}

/// A few bits of the first eight digits: the bit of `filter` that they have.
fn filter_index(text: &[u8; HASH_LENGTH], filter: &[u64]) -> usize {
    let first = text.first_chunk::<8>().map_or(0, |digits| u64::from_le_bytes(*digits));
    let mixed = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed as usize & (filter.len() * 64 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARTS: [&HashPart; 3] = [
        b"45bl2kd63ilpq0far1vsp81impl9r2sv",
        b"000bl2kd63ilpq0far1vsp81impl9r2s",
        b"00000000000000000000000000000000",
    ];

    /// Every place of every part, found the slow way, without overlaps.
    fn find_slowly(data: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut start = 0;
        while start + HASH_LENGTH <= data.len() {
            let window = &data[start..start + HASH_LENGTH];
            match PARTS.iter().position(|part| *part == window) {
                Some(part) => {
                    found.push((start, part));
                    start += HASH_LENGTH;
                }
                None => start += 1,
            }
        }
        found
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(PARTS[0].to_vec()),
            Just(PARTS[1].to_vec()),
            Just(b"45bl2kd63ilpq0far1vsp81impl9r2s".to_vec()),
            "[0-9a-z]{0,40}".prop_map(String::into_bytes),
            "0{0,70}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..5),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn finds_what_a_slow_search_finds(data in pieces()) {
            let parts = HashParts::new(PARTS.into_iter().copied().zip(0..));
            let mut found = Vec::new();
            parts.find(&data, |place, &part| found.push((place, part)));
            prop_assert_eq!(found, find_slowly(&data));
        }
    }
}
