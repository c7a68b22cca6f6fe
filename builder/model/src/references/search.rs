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
    /// One bit for each value of `filter_index`: most texts of digits are told apart without looking them up.
    filter: Vec<u64>,
}

const FILTER_BITS: u32 = 15;

impl<T> HashParts<T> {
    pub fn new(values: impl IntoIterator<Item = (HashPart, T)>) -> HashParts<T> {
        let values: FxHashMap<_, _> = values.into_iter().collect();
        let mut filter = vec![0; 1 << (FILTER_BITS - 6)];
        for hash in values.keys() {
            let index = filter_index(hash);
            filter[index / 64] |= 1 << (index % 64);
        }
        HashParts { values, filter }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn get(&self, text: &[u8; HASH_LENGTH]) -> Option<&T> {
        let index = filter_index(text);
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

/// A few bits of the first eight digits.
fn filter_index(text: &[u8; HASH_LENGTH]) -> usize {
    let first = text.first_chunk::<8>().map_or(0, |digits| u64::from_le_bytes(*digits));
    (first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}
