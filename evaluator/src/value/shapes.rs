//! Keys that were made before: sets of the same names from the same places share their keys, whatever made them.
//!
//! A function that is called again and again makes sets of the same shape, whose merges then have the same keys on both sides, too.
//! Only the shapes made last are remembered, so that looking stays cheap.
#![allow(unsafe_code)]

use super::{Heap, Keys};
use crate::{position::PosId, symbol::Symbol};

/// How many shapes are remembered: a power of two.
const REMEMBERED: usize = 1 << 12;

/// The keys made last, found by their hash.
pub(super) struct Shapes {
    table: Vec<Option<(u32, &'static Keys)>>,
}

impl Shapes {
    /// None remembered.
    pub(super) const fn new() -> Shapes {
        Shapes { table: Vec::new() }
    }

    /// The same keys if they are remembered; otherwise these are from now on.
    fn find_or_remember(&mut self, keys: &'static Keys) -> &'static Keys {
        if self.table.is_empty() {
            self.table = vec![None; REMEMBERED];
        }
        let hash = hash(keys);
        let place = &mut self.table[hash as usize & (REMEMBERED - 1)];
        match place {
            Some((known, other)) if *known == hash && is_same(other, keys) => other,
            _ => {
                *place = Some((hash, keys));
                keys
            }
        }
    }
}

impl Heap {
    /// The keys of these entries (see [`Heap::keys`]), which may be those of another set.
    pub fn shared_keys(&mut self, entries: impl ExactSizeIterator<Item = (Symbol, PosId)>) -> &'static Keys {
        let keys = self.keys(entries, PosId::NONE);
        let shared = self.shapes.find_or_remember(keys);
        if !std::ptr::eq(shared, keys) {
            // SAFETY: nobody else has seen the keys just made.
            unsafe { self.unmake(keys, Keys::size(keys.len())) };
        }
        shared
    }
}

fn hash(keys: &Keys) -> u32 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let entries = keys.symbols().iter().zip(keys.positions());
    let hash = entries.fold(0, |hash, (symbol, pos)| mix(hash, u64::from(symbol.0) << 32 | u64::from(pos.0)));
    (hash >> 32) as u32
}

fn is_same(a: &Keys, b: &Keys) -> bool {
    a.symbols() == b.symbols() && a.positions() == b.positions()
}
