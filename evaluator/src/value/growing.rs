//! Lists put together: what is appended again and again to the same list is not copied each time.
//!
//! `acc ++ [ x ]` in a fold makes a new list of each step. The slots of the last such list are followed by room for more, so that
//! the next step writes what it appends behind them and shares the rest. A slot is written once: whoever appends to a shorter list
//! that shares the slots finds that they do not end with it, and copies.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::{Heap, Slot};

/// The list that was put together last.
pub(super) struct Growing {
    start: NonNull<Slot>,
    /// How many slots are used.
    len: usize,
    /// How many there are.
    room: usize,
}

impl Growing {
    /// No list.
    pub(super) const fn new() -> Growing {
        Growing { start: NonNull::dangling(), len: 0, room: 0 }
    }

    /// How many elements of the growing list lie before those of `list`, if both end at the same slot.
    fn skipped(&self, list: &[Slot]) -> Option<usize> {
        let end = self.start.addr().get() + self.len * size_of::<Slot>();
        let is_last = self.len > 0 && list.as_ptr_range().end.addr() == end;
        is_last.then(|| self.len.checked_sub(list.len())).flatten()
    }
}

impl Heap {
    /// The slots of several lists, one after the other.
    pub fn concat_slots(&mut self, parts: &[&'static [Slot]]) -> &'static [Slot] {
        let total = parts.iter().map(|part| part.len()).sum::<usize>();
        let Some((first, rest)) = parts.split_first() else { return &[] };
        let skipped = self.growing.skipped(first);
        if let Some(skipped) = skipped
            && skipped + total <= self.growing.room
        {
            self.fill(rest);
            // SAFETY: `start` points to `room` slots, of which `fill` has initialised all up to `skipped + total`.
            return unsafe { std::slice::from_raw_parts(self.growing.start.as_ptr().add(skipped), total) };
        }
        // A list that has grown once is likely to grow again.
        let room = if skipped.is_some() { (2 * total).max(8) } else { total };
        let start = self.bump(room * size_of::<Slot>()).cast();
        self.growing = Growing { start, len: 0, room };
        self.fill(parts);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), total) }
    }

    /// Appends to the growing list, which has room.
    fn fill(&mut self, parts: &[&'static [Slot]]) {
        let Growing { start, len, room } = &mut self.growing;
        for slot in parts.iter().copied().flatten() {
            assert!(*len < *room, "a list exceeds its room");
            // SAFETY: `start` points to `room` slots of this heap's memory. Those from `len` on belong to no list yet.
            unsafe { start.add(*len).write(Slot::new(slot.get())) };
            *len += 1;
        }
    }
}
