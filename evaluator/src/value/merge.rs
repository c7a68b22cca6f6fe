//! Two attribute sets made one.
//!
//! The same shapes are merged again and again (`{ ... } // attrs`, an overridden package, an option of a module), so the keys of the
//! merges made last are remembered: the result shares them.
use super::{Attrs, Heap, Keys, attrs::Flat};

/// How many merges are remembered: a power of two.
const REMEMBERED: usize = 1 << 11;

/// The keys of merges made last, found by the keys of both sets.
pub(super) struct Merges {
    table: Vec<Option<Merged>>,
    /// Where each entry of the merge under way comes from.
    order: Vec<Origin>,
}

#[derive(Clone, Copy)]
struct Merged {
    below: &'static Keys,
    above: &'static Keys,
    keys: &'static Keys,
}

/// An index into the set below, or with [`ABOVE`] into that above.
type Origin = u32;
const ABOVE: Origin = 1 << 31;

impl Merges {
    /// None remembered.
    pub(super) const fn new() -> Merges {
        Merges { table: Vec::new(), order: Vec::new() }
    }

    fn place(below: &'static Keys, above: &'static Keys) -> usize {
        let mix = |keys: &'static Keys| (std::ptr::from_ref(keys).addr() >> 3) as u64;
        let hash = (mix(below).wrapping_mul(0x9E37_79B9_7F4A_7C15)) ^ mix(above);
        (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize & (REMEMBERED - 1)
    }

    fn find(&self, below: &'static Keys, above: &'static Keys) -> Option<&'static Keys> {
        let merged = (*self.table.get(Merges::place(below, above))?)?;
        (std::ptr::eq(merged.below, below) && std::ptr::eq(merged.above, above)).then_some(merged.keys)
    }

    fn remember(&mut self, below: &'static Keys, above: &'static Keys, keys: &'static Keys) {
        if self.table.is_empty() {
            self.table = vec![None; REMEMBERED];
        }
        self.table[Merges::place(below, above)] = Some(Merged { below, above, keys });
    }
}

impl Heap {
    /// `lefts[0] // (lefts[1] // (... // right))`
    pub(crate) fn update_all(&mut self, lefts: &[&'static Attrs], right: &'static Attrs) -> &'static Attrs {
        lefts.iter().rev().fold(right, |updated, left| left.update(updated, self))
    }
}

/// Both flat sets as one; `top` wins.
pub(super) fn merge(base: &'static Attrs, top: &'static Attrs, heap: &mut Heap) -> &'static Attrs {
    let (below, above) = (base.flatten(heap), top.flatten(heap));
    if std::ptr::eq(base, top) {
        // What comes of it is another set than both, which printing shows; elsewhere that is not worth a copy.
        return merge_into(above.keys, &below, &above, heap);
    }
    if std::ptr::eq(below.keys, above.keys) {
        return top;
    }
    if let Some(keys) = heap.merges.find(below.keys, above.keys) {
        let hides_all = std::ptr::eq(keys, above.keys);
        return if hides_all { top } else { merge_into(keys, &below, &above, heap) };
    }
    let mut order = std::mem::take(&mut heap.merges.order);
    order.clear();
    interleave(&below, &above, &mut order);
    let keys = merged_keys(&below, &above, &order, heap);
    heap.merges.remember(below.keys, above.keys, keys);
    if std::ptr::eq(keys, above.keys) {
        heap.merges.order = order;
        return top;
    }
    let merged = heap.attrs_unset(keys);
    for (slot, &origin) in merged.flat_slots().iter().zip(&order) {
        let (flat, index) = find_origin(&below, &above, origin);
        slot.set(flat.slots[index].get());
    }
    heap.merges.order = order;
    merged
}

/// Merges two sets of which is known what keys they have together.
fn merge_into(keys: &'static Keys, below: &Flat, above: &Flat, heap: &mut Heap) -> &'static Attrs {
    let merged = heap.attrs_unset(keys);
    let (a, b) = (below.keys.symbols(), above.keys.symbols());
    let (mut i, mut j) = (0, 0);
    for (slot, symbol) in merged.flat_slots().iter().zip(keys.symbols()) {
        let is_below = a.get(i) == Some(symbol);
        let is_above = b.get(j) == Some(symbol);
        let value = if is_above { above.slots[j].get() } else { below.slots[i].get() };
        slot.set(value);
        i += usize::from(is_below);
        j += usize::from(is_above);
    }
    merged
}

/// The entries of both in the order of their symbols.
fn interleave(below: &Flat, above: &Flat, order: &mut Vec<Origin>) {
    let (a, b) = (below.keys.symbols(), above.keys.symbols());
    order.reserve(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => {
                order.push(i as u32);
                i += 1;
            }
            std::cmp::Ordering::Greater => {
                order.push(j as u32 | ABOVE);
                j += 1;
            }
            std::cmp::Ordering::Equal => {
                order.push(j as u32 | ABOVE);
                i += 1;
                j += 1;
            }
        }
    }
    order.extend(i as u32..a.len() as u32);
    order.extend((j as u32..b.len() as u32).map(|index| index | ABOVE));
}

fn find_origin<'f>(below: &'f Flat, above: &'f Flat, origin: Origin) -> (&'f Flat, usize) {
    match origin & ABOVE {
        0 => (below, origin as usize),
        _ => (above, (origin & !ABOVE) as usize),
    }
}

/// The keys of the merged set: those of one of both, if they are the same with the same positions.
fn merged_keys(below: &Flat, above: &Flat, order: &[Origin], heap: &mut Heap) -> &'static Keys {
    if order.len() == above.len() {
        return above.keys;
    }
    let position = |&origin: &Origin| {
        let (flat, index) = find_origin(below, above, origin);
        flat.keys.positions()[index]
    };
    if order.len() == below.len() && order.iter().map(position).eq(below.keys.positions().iter().copied()) {
        return below.keys;
    }
    heap.shared_keys(order.iter().map(|origin| {
        let (flat, index) = find_origin(below, above, *origin);
        (flat.keys.symbols()[index], position(origin))
    }))
}
