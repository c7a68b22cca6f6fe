//! A table that only grows, read without a lock: entries stand in blocks of doubling size that never move.

use std::sync::OnceLock;

const BLOCKS: usize = 26;
const FIRST_BLOCK_BITS: u32 = 7;

/// Entries by their number, each set once.
pub(crate) struct Blocks<T> {
    blocks: [OnceLock<Box<[OnceLock<T>]>>; BLOCKS],
}

impl<T> Blocks<T> {
    /// No entry.
    pub(crate) const fn new() -> Blocks<T> {
        Blocks { blocks: [const { OnceLock::new() }; BLOCKS] }
    }

    /// The entry of a number, if it is set.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let (block, offset) = locate(number);
        self.blocks[block].get()?[offset].get()
    }

    /// Sets an entry, if it is not set.
    pub(crate) fn set(&self, number: u32, entry: T) {
        let (block, offset) = locate(number);
        let entries = self.blocks[block].get_or_init(|| {
            (0..1usize << (block as u32 + FIRST_BLOCK_BITS)).map(|_| OnceLock::new()).collect()
        });
        let _ = entries[offset].set(entry);
    }
}

/// Block and offset of an entry.
fn locate(number: u32) -> (usize, usize) {
    let shifted = number as usize + (1 << FIRST_BLOCK_BITS);
    let block = shifted.ilog2() - FIRST_BLOCK_BITS;
    (block as usize, shifted - (1 << (block + FIRST_BLOCK_BITS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let table = Blocks::new();
        (0..1000).for_each(|number| table.set(number, number));
        assert!((0..1000).all(|number| table.get(number) == Some(&number)));
        assert_eq!(table.get(1000), None);
    }
}
