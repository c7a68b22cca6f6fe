//! Attribute sets: values beside a shared, sorted array of keys, or a small set laid over a larger one.
//!
//! Sets from the same literal, and `mapAttrs` of a set, share their keys. `a // b` with a small `b` does not copy `a`; the
//! layers grow geometrically, so that a fold of `n` updates costs `n log n` and a lookup passes few layers.
#![allow(unsafe_code)]

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering},
};

use super::{Heap, Slot, Value, merge::merge};
use crate::{position::PosId, symbol::Symbol};

/// The names of a set in ascending order of their symbols, with the positions of their definitions.
#[repr(C)]
pub struct Keys {
    len: u32,
    /// Where the set literal stands that these are the keys of; nowhere if they are of a computed set.
    place: PosId,
    /// The same names without positions, once somebody needed them.
    plain: AtomicPtr<Keys>,
    // Followed by `len` symbols and `len` positions.
}

// SAFETY: immutable but for an atomic.
unsafe impl Sync for Keys {}
// SAFETY: as above.
unsafe impl Send for Keys {}

impl Keys {
    pub(super) fn size(len: usize) -> usize {
        size_of::<Keys>() + len * (size_of::<Symbol>() + size_of::<PosId>())
    }

    /// Writes keys into fresh memory.
    ///
    /// # Safety
    /// `at` must point to at least `Keys::size(len)` fresh bytes, aligned to 8, that are never freed.
    pub(super) unsafe fn write(
        at: NonNull<u8>,
        len: usize,
        entries: impl Iterator<Item = (Symbol, PosId)>,
        place: PosId,
    ) -> &'static Keys {
        let header = at.cast::<Keys>();
        // SAFETY: the caller gives room for the header, `len` symbols and `len` positions; each has four bytes.
        unsafe {
            header.write(Keys { len: len as u32, place, plain: AtomicPtr::new(std::ptr::null_mut()) });
            let symbols = header.add(1).cast::<Symbol>();
            let positions = symbols.add(len).cast::<PosId>();
            let mut written = 0;
            for (index, (symbol, position)) in entries.take(len).enumerate() {
                symbols.add(index).write(symbol);
                positions.add(index).write(position);
                written += 1;
            }
            assert!(written == len, "an exact-size iterator lied");
            header.as_ref()
        }
    }

    /// Where the set literal stands that these are the keys of; nowhere if they are of a computed set.
    pub fn place(&self) -> PosId {
        self.place
    }

    /// How many there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The names.
    #[inline(always)]
    pub fn symbols(&self) -> &'static [Symbol] {
        // SAFETY: `write` put `len` symbols behind the header.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).add(1).cast::<Symbol>(), self.len()) }
    }

    /// The positions, in the order of the names.
    pub fn positions(&self) -> &'static [PosId] {
        // SAFETY: `write` put `len` positions behind the symbols.
        unsafe {
            std::slice::from_raw_parts(
                std::ptr::from_ref(self).add(1).cast::<Symbol>().add(self.len()).cast::<PosId>(),
                self.len(),
            )
        }
    }

    /// The names with their positions.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (Symbol, PosId)> + use<> {
        self.symbols().iter().copied().zip(self.positions().iter().copied())
    }

    /// The same names without positions: for sets that are computed from a set, attribute by attribute.
    pub fn plain(&self, heap: &mut Heap) -> &'static Keys {
        // SAFETY: null or keys that live as long as these.
        if let Some(plain) = unsafe { self.plain.load(Ordering::Acquire).as_ref() } {
            return plain;
        }
        let plain = heap.shared_keys(self.symbols().iter().map(|&symbol| (symbol, PosId::NONE)));
        self.plain.store(std::ptr::from_ref(plain).cast_mut(), Ordering::Release);
        plain
    }

    /// The index of a name, where it was found before if it is there again.
    #[inline(always)]
    fn find_near(&self, symbol: Symbol, hint: &Hint) -> Option<usize> {
        let near = hint.0.load(Ordering::Relaxed);
        if self.symbols().get(near as usize) == Some(&symbol) {
            return Some(near as usize);
        }
        let found = self.find(symbol)?;
        hint.remember(found);
        Some(found)
    }

    /// The index of a name.
    #[inline(always)]
    pub fn find(&self, symbol: Symbol) -> Option<usize> {
        let symbols = self.symbols();
        if symbols.len() <= 8 {
            return symbols.iter().position(|&candidate| candidate == symbol);
        }
        symbols.binary_search(&symbol).ok()
    }
}

/// Where an expression found an attribute last. As a rule the next set has it at the same place, which saves the search.
#[derive(Default)]
pub struct Hint(AtomicU32);

/// While set, hints are not written: they stand in code, and what is written to while a region is open cannot be given back with it.
static HINTS_STAY: AtomicBool = AtomicBool::new(false);

impl Hint {
    fn remember(&self, index: usize) {
        if !HINTS_STAY.load(Ordering::Relaxed) {
            self.0.store(index as u32, Ordering::Relaxed);
        }
    }

    /// Whether hints are left as they are from now on.
    pub(super) fn keep_all(stay: bool) {
        HINTS_STAY.store(stay, Ordering::Relaxed);
    }
}

/// The first word of a set: its keys, or null for a layered one.
#[repr(C)]
pub(super) struct AttrsHeader {
    keys: *const Keys,
}

impl AttrsHeader {
    pub(super) fn flat(keys: &'static Keys) -> AttrsHeader {
        AttrsHeader { keys }
    }
}

/// An attribute set.
#[repr(C)]
pub struct Attrs {
    header: AttrsHeader,
    // Followed by the slots, or by the rest of `Layered`.
}

#[repr(C)]
struct Layered {
    header: AttrsHeader,
    /// The same set as one flat one, once somebody needed it.
    flat: AtomicPtr<Attrs>,
    base: &'static Attrs,
    /// Flat; hides attributes of `base`.
    top: &'static Attrs,
    /// An upper bound of the number of attributes, for choosing layers.
    weight: usize,
}

// SAFETY: immutable but for atomics.
unsafe impl Sync for Layered {}
// SAFETY: immutable but for slots, which are atomic.
unsafe impl Sync for Attrs {}
// SAFETY: as above.
unsafe impl Send for Attrs {}

/// Sets up to this size are copied rather than layered over.
const SMALL: usize = 16;

impl Attrs {
    /// The keys, if the set is flat.
    #[inline(always)]
    fn keys_if_flat(&self) -> Option<&'static Keys> {
        // SAFETY: null or keys that live as long as the set.
        unsafe { self.header.keys.as_ref() }
    }

    fn layered(&self) -> &'static Layered {
        debug_assert!(self.header.keys.is_null());
        // SAFETY: a set with null keys is the head of a `Layered` (made by `layer` only).
        unsafe { &*std::ptr::from_ref(self).cast::<Layered>() }
    }

    /// The values of a flat set, in the order of its keys.
    #[inline(always)]
    pub fn flat_slots(&self) -> &'static [Slot] {
        let len = self.keys_if_flat().map_or(0, Keys::len);
        // SAFETY: `Heap::attrs_unset` put as many slots as keys behind the header of a flat set.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).add(1).cast::<Slot>(), len) }
    }

    /// The place of an attribute's value.
    #[inline(always)]
    pub fn find(&self, symbol: Symbol) -> Option<&'static Slot> {
        match self.keys_if_flat() {
            Some(keys) => keys.find(symbol).map(|index| &self.flat_slots()[index]),
            None => self.find_layered(symbol),
        }
    }

    /// The same where the expression that looks for it remembers where it found it last.
    #[inline(always)]
    pub fn find_near(&self, symbol: Symbol, hint: &Hint) -> Option<&'static Slot> {
        match self.keys_if_flat() {
            Some(keys) => keys.find_near(symbol, hint).map(|index| &self.flat_slots()[index]),
            None => self.find_layered_near(symbol, hint),
        }
    }

    #[inline(never)]
    fn find_layered(&self, symbol: Symbol) -> Option<&'static Slot> {
        self.find_in_layers(symbol, |flat| flat.find(symbol))
    }

    /// The hint is for the largest layer.
    #[inline(never)]
    fn find_layered_near(&self, symbol: Symbol, hint: &Hint) -> Option<&'static Slot> {
        self.find_in_layers(symbol, |flat| flat.find_near(symbol, hint))
    }

    #[inline(always)]
    fn find_in_layers(
        &self,
        symbol: Symbol,
        find_in_last: impl Fn(&'static Attrs) -> Option<&'static Slot>,
    ) -> Option<&'static Slot> {
        let mut layered = self.layered();
        loop {
            if let Some(flat) = layered.memo() {
                return find_in_last(flat);
            }
            if let Some(slot) = layered.top.find(symbol) {
                return Some(slot);
            }
            match layered.base.keys_if_flat() {
                Some(_) => return find_in_last(layered.base),
                None => layered = layered.base.layered(),
            }
        }
    }

    /// The value of an attribute, evaluated or not.
    #[inline(always)]
    pub fn get(&self, symbol: Symbol) -> Option<Value> {
        self.find(symbol).map(Slot::get)
    }

    /// Where the set literal stands that this is the value of; nowhere for a computed set.
    pub fn place(&self) -> PosId {
        self.keys_if_flat().map_or(PosId::NONE, |keys| keys.place)
    }

    /// Whether the set is in one piece.
    pub fn is_flat(&self) -> bool {
        self.keys_if_flat().is_some()
    }

    /// Where an attribute is defined.
    pub fn position(&self, symbol: Symbol) -> Option<PosId> {
        match self.keys_if_flat() {
            Some(keys) => keys.find(symbol).map(|index| keys.positions()[index]),
            None => {
                let layered = self.layered();
                layered.top.position(symbol).or_else(|| layered.base.position(symbol))
            }
        }
    }

    /// Whether there is no attribute.
    pub fn is_empty(&self) -> bool {
        self.weight() == 0
    }

    /// At least the number of attributes.
    fn weight(&self) -> usize {
        match self.keys_if_flat() {
            Some(keys) => keys.len(),
            None => self.layered().weight,
        }
    }

    /// The keys and values of a flat set.
    pub(super) fn as_flat(&self) -> Option<Flat> {
        self.keys_if_flat().map(|keys| Flat { keys, slots: self.flat_slots() })
    }

    /// The same attributes as one flat set.
    pub fn flatten(&'static self, heap: &mut Heap) -> Flat {
        match self.keys_if_flat() {
            Some(keys) => Flat { keys, slots: self.flat_slots() },
            None => self.layered().flatten(heap),
        }
    }

    /// `self // right`
    pub fn update(&'static self, right: &'static Attrs, heap: &mut Heap) -> &'static Attrs {
        if right.is_empty() {
            return self;
        }
        if self.is_empty() {
            return right;
        }
        let mut base = self;
        let mut top = right.flat_set(heap);
        // Keeps the sizes of the layers geometric: what lies on top of `base` and is not much larger than the new layer joins it.
        while base.header.keys.is_null() {
            let layered = base.layered();
            if layered.memo().is_some() || layered.top.weight() > 2 * top.weight() {
                break;
            }
            top = merge(layered.top, top, heap);
            base = layered.base;
        }
        if base.weight() <= SMALL || base.weight() < 4 * top.weight() {
            let base = base.flat_set(heap);
            return merge(base, top, heap);
        }
        layer(base, top, heap)
    }

    /// The same set in one piece.
    pub(crate) fn flat_set(&'static self, heap: &mut Heap) -> &'static Attrs {
        match self.keys_if_flat() {
            Some(_) => self,
            None => self.layered().flat_set(heap),
        }
    }
}

impl Layered {
    fn memo(&self) -> Option<&'static Attrs> {
        // SAFETY: null or a set that lives as long as this one.
        unsafe { self.flat.load(Ordering::Acquire).as_ref() }
    }

    fn flat_set(&self, heap: &mut Heap) -> &'static Attrs {
        if let Some(flat) = self.memo() {
            return flat;
        }
        let base = self.base.flat_set(heap);
        let flat = merge(base, self.top, heap);
        // Another thread may have stored an equal set meanwhile; either will do.
        self.flat.store(std::ptr::from_ref(flat).cast_mut(), Ordering::Release);
        flat
    }

    fn flatten(&self, heap: &mut Heap) -> Flat {
        let flat = self.flat_set(heap);
        flat.flatten(heap)
    }
}

fn layer(base: &'static Attrs, top: &'static Attrs, heap: &mut Heap) -> &'static Attrs {
    let layered = heap.object(Layered {
        header: AttrsHeader { keys: std::ptr::null() },
        flat: AtomicPtr::new(std::ptr::null_mut()),
        base,
        top,
        weight: base.weight() + top.weight(),
    });
    // SAFETY: `Layered` begins with the header that `Attrs` consists of.
    unsafe { &*std::ptr::from_ref(layered).cast::<Attrs>() }
}

/// The keys and values of a flat set.
#[derive(Clone, Copy)]
pub struct Flat {
    /// The keys.
    pub keys: &'static Keys,
    /// The values, in the keys' order.
    pub slots: &'static [Slot],
}

impl Flat {
    /// The number of attributes.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Name and value, in the order of the symbols.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Symbol, &'static Slot)> + use<> {
        self.keys.symbols().iter().copied().zip(self.slots)
    }

    /// Name and value, in the order of the names' bytes: the order that users see.
    pub fn sorted(&self) -> Vec<(Symbol, &'static Slot)> {
        let mut all: Vec<(u64, Symbol, &'static Slot)> =
            self.iter().map(|(name, slot)| (name.order(), name, slot)).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.text().cmp(b.1.text())));
        all.into_iter().map(|(_, name, slot)| (name, slot)).collect()
    }
}
