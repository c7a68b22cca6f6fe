//! The table of a file's names: equal text, equal number.

use std::hash::Hasher;

use bstr::{BStr, ByteSlice};
use rustc_hash::FxHasher;

use super::ast::Name;

/// Numbers names in the order in which they are first seen.
pub struct Names<'a> {
    texts: Vec<&'a BStr>,
    hashes: Vec<u32>,
    /// Open addressing with linear probing: a name's number plus one, zero where free. The length is a power of two.
    slots: Vec<u32>,
}

impl<'a> Names<'a> {
    /// An empty table with room for about `expected` names.
    pub fn with_capacity(expected: usize) -> Self {
        let slots = (expected * 2).next_power_of_two().max(64);
        Names {
            texts: Vec::with_capacity(slots / 2),
            hashes: Vec::with_capacity(slots / 2),
            slots: vec![0; slots],
        }
    }

    /// The number of `text`.
    pub fn intern(&mut self, text: &'a [u8]) -> Name {
        let hash = hash(text);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                0 => break,
                found => {
                    let index = found as usize - 1;
                    if self.hashes[index] == hash && self.texts[index] == text {
                        return Name(found - 1);
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
        self.insert(text, hash, slot)
    }

    fn insert(&mut self, text: &'a [u8], hash: u32, slot: usize) -> Name {
        let name = self.texts.len() as u32;
        self.texts.push(text.as_bstr());
        self.hashes.push(hash);
        self.slots[slot] = name + 1;
        if self.texts.len() * 2 > self.slots.len() {
            self.grow();
        }
        Name(name)
    }

    #[cold]
    fn grow(&mut self) {
        let length = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(length, 0);
        for (index, hash) in self.hashes.iter().enumerate() {
            let mut slot = *hash as usize & (length - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (length - 1);
            }
            self.slots[slot] = index as u32 + 1;
        }
    }

    /// The text of a name of this table.
    pub fn text(&self, name: Name) -> &'a BStr {
        self.texts[name.0 as usize]
    }

    /// The texts in the order of their numbers.
    pub fn texts(&self) -> &[&'a BStr] {
        &self.texts
    }

    /// The same, without the table.
    pub fn into_texts(self) -> Vec<&'a BStr> {
        self.texts
    }
}

fn hash(text: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    hasher.finish() as u32
}
