//! Memory for values: bump allocation into large chunks, one allocator a thread.
//!
//! **Invariant of the whole module `value`:** an object, once made, is never moved or freed while a [`Value`] that refers
//! to it can be used. Chunks are therefore leaked: an evaluation is a process, or ends with it; what lives longer gives back
//! regions (see [`Evaluator::transient`]). What is allocated is fully initialised before its value leaves the function that
//! makes it.
//!
//! [`Evaluator::transient`]: crate::eval::Evaluator::transient
#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::{
    Attrs, Boxed, Closure, Context, Env, Hint, Keys, List, Partial, Slot, Str, Tag, Thunk, Value,
    attrs::AttrsHeader, growing::Growing, merge::Merges, pages, region::Guard, shapes::Shapes,
};
use crate::{ir::Lambda, position::PosId, symbol::Symbol};

/// Address space is reserved in chunks, and entered in steps: pages are only backed once touched.
const CHUNK: usize = 256 << 20;
const STEP: usize = 2 << 20;
const ALIGN: usize = 8;

/// From this size on an evaluation has pages backed ahead of it by another thread.
const MEDIUM: usize = 4 << 20;
/// How far ahead.
const AHEAD: usize = 6 << 20;
/// From this size on an evaluation is a large one, and gets huge pages.
const LARGE: usize = 16 << 20;

/// A place in the heap. See [`Heap::mark_after`].
#[derive(Clone, Copy)]
pub(crate) struct Mark(usize);

/// What was allocated since [`Heap::open_region`].
pub(crate) struct Region {
    guard: Guard,
    /// Where the heap was.
    next: *mut u8,
    end: *mut u8,
    limit: *mut u8,
    asked: *mut u8,
    allocated: usize,
    chunks: usize,
}

/// Where one thread allocates.
pub struct Heap {
    /// Where all that was reserved is.
    chunks: Vec<NonNull<u8>>,
    next: *mut u8,
    /// The end of the step that is being filled.
    end: *mut u8,
    /// The end of the chunk.
    limit: *mut u8,
    /// Up to where another thread was asked to back the chunk.
    asked: *mut u8,
    allocated: usize,
    /// What the other heaps of the evaluation had taken when this one was made: it counts for what large evaluations get.
    before: usize,
    sets: u64,
    /// The list that was put together last, to which more may be appended in place.
    pub(super) growing: Growing,
    pub(super) merges: Merges,
    pub(super) shapes: Shapes,
}

// SAFETY: the chunk between `next` and `end` belongs to this allocator alone.
unsafe impl Send for Heap {}

impl Default for Heap {
    fn default() -> Self {
        Heap::new()
    }
}

impl Heap {
    /// An empty allocator.
    pub const fn new() -> Heap {
        // Not null: an object of no bytes may be asked for before there is a chunk.
        let nowhere = std::ptr::without_provenance_mut(ALIGN);
        let chunks = Vec::new();
        Heap {
            chunks,
            next: nowhere,
            end: nowhere,
            limit: nowhere,
            asked: nowhere,
            allocated: 0,
            before: 0,
            sets: 0,
            growing: Growing::new(),
            merges: Merges::new(),
            shapes: Shapes::new(),
        }
    }

    /// An empty allocator for another thread of an evaluation that has a heap of this size.
    pub(crate) fn beside(size: usize) -> Heap {
        Heap { before: size, ..Heap::new() }
    }

    /// Bytes taken from the system so far.
    pub fn allocated(&self) -> usize {
        self.allocated
    }

    /// Attribute sets made so far.
    pub fn sets(&self) -> u64 {
        self.sets
    }

    /// `size` bytes, aligned to 8, not initialised.
    #[inline(always)]
    pub(super) fn bump(&mut self, size: usize) -> NonNull<u8> {
        let size = size.next_multiple_of(ALIGN);
        if size <= self.end.addr() - self.next.addr() {
            let at = self.next;
            // SAFETY: `size` bytes are left between `next` and `end`, in one chunk.
            self.next = unsafe { at.add(size) };
            // SAFETY: a chunk never starts at null.
            return unsafe { NonNull::new_unchecked(at) };
        }
        self.bump_slow(size)
    }

    #[cold]
    #[inline(never)]
    fn bump_slow(&mut self, size: usize) -> NonNull<u8> {
        if size > self.limit.addr() - self.next.addr() {
            // An object that would waste much of a chunk gets one of its own.
            if size > CHUNK / 4 {
                self.allocated += size;
                return self.reserve(size);
            }
            self.enter_chunk();
        }
        self.enter_step(size);
        self.bump(size)
    }

    fn reserve(&mut self, size: usize) -> NonNull<u8> {
        let at = pages::reserve(size.next_multiple_of(pages::PAGE));
        self.chunks.push(at);
        at
    }

    /// Begins a region: what is allocated from now on may be given back together. Nothing if the system does not let one find
    /// out whether that may be.
    pub(crate) fn open_region(&mut self) -> Option<Region> {
        // The rest of the page belongs to the region, which is not protected.
        self.next = self.next.map_addr(|address| address.next_multiple_of(pages::PAGE).min(self.end.addr()));
        let current = self.limit.addr().checked_sub(CHUNK);
        let mut older = pages::reserved();
        // Of the chunk that is being filled, what is filled.
        let current = older.iter_mut().find(|range| Some(range.at) == current);
        current.into_iter().for_each(|range| range.size = self.next.addr() - range.at);
        older.retain(|range| range.size > 0);
        let guard = Guard::new(older)?;
        Hint::keep_all(true);
        let Heap { next, end, limit, asked, allocated, .. } = *self;
        Some(Region { guard, next, end, limit, asked, allocated, chunks: self.chunks.len() })
    }

    /// Ends a region; its memory is used again if `is_garbage` and no older object was written to.
    ///
    /// # Safety
    /// If `is_garbage`, no value that was made in the region is used any more but through older objects.
    pub(crate) unsafe fn close_region(&mut self, region: Region, is_garbage: bool) {
        let Region { guard, next, end, limit, asked, allocated, chunks } = region;
        Hint::keep_all(false);
        if guard.end_untouched() && is_garbage {
            (self.next, self.end, self.limit, self.asked, self.allocated) =
                (next, end, limit, asked, allocated);
            (self.growing, self.merges, self.shapes) = (Growing::new(), Merges::new(), Shapes::new());
            for chunk in self.chunks.drain(chunks..) {
                // SAFETY: it was reserved in the region, and nothing uses what was made there.
                unsafe { pages::release(chunk) };
            }
        }
    }

    fn enter_chunk(&mut self) {
        let chunk = self.reserve(CHUNK).as_ptr();
        // SAFETY: the end of what was reserved.
        let limit = unsafe { chunk.add(CHUNK) };
        (self.next, self.end, self.limit, self.asked) = (chunk, chunk, limit, chunk);
        if self.before + self.allocated >= LARGE {
            self.prefer_huge_from(0);
        }
    }

    /// Huge pages for the chunk from an offset (a multiple of theirs) on.
    fn prefer_huge_from(&self, offset: usize) {
        // SAFETY: within the chunk, which ends at `limit`.
        let at = unsafe { self.limit.sub(CHUNK).add(offset) };
        pages::prefer_huge(NonNull::new(at).expect("chunks do not start at null"), CHUNK - offset);
    }

    /// Makes room for `size` bytes, which are left in the chunk, in whole steps.
    fn enter_step(&mut self, size: usize) {
        let left = self.end.addr() - self.next.addr();
        let steps = (size - left).next_multiple_of(STEP).min(self.limit.addr() - self.end.addr());
        // SAFETY: not past `limit`.
        self.end = unsafe { self.end.add(steps) };
        let before = self.before + self.allocated;
        self.allocated += steps;
        if before < LARGE && before + steps >= LARGE {
            self.prefer_huge_from(
                (self.end.addr() - (self.limit.addr() - CHUNK)).next_multiple_of(pages::HUGE_PAGE),
            );
        }
        if before + steps > MEDIUM {
            self.ask_ahead();
        }
    }

    fn ask_ahead(&mut self) {
        let from = self.asked.addr().max(self.end.addr());
        let ahead = self.allocated.min(AHEAD);
        let until = (self.end.addr() + ahead).min(self.limit.addr());
        if from < until {
            let at = self.asked.with_addr(from);
            pages::back_ahead(NonNull::new(at).expect("chunks do not start at null"), until - from);
            self.asked = self.asked.with_addr(until);
        }
    }

    #[inline(always)]
    fn put<T>(&mut self, value: T) -> &'static T {
        const { assert!(align_of::<T>() <= ALIGN && !std::mem::needs_drop::<T>()) }
        let at = self.bump(size_of::<T>()).cast::<T>();
        // SAFETY: `at` is fresh memory of the right size and alignment, leaked.
        unsafe {
            at.write(value);
            at.as_ref()
        }
    }

    /// Copies bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &'static [u8] {
        let at = self.bump(bytes.len());
        // SAFETY: fresh memory of that size.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), at.as_ptr(), bytes.len());
            std::slice::from_raw_parts(at.as_ptr(), bytes.len())
        }
    }

    /// `len` bytes made of `parts` one after the other, whose lengths add up to `len`.
    pub fn concat<'p>(&mut self, len: usize, parts: impl Iterator<Item = &'p [u8]>) -> &'static [u8] {
        let at = self.bump(len);
        let mut filled = 0;
        for part in parts {
            assert!(part.len() <= len - filled, "parts exceed their length");
            // SAFETY: checked to lie within the fresh `len` bytes.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), at.as_ptr().add(filled), part.len()) };
            filled += part.len();
        }
        // SAFETY: the first `filled` bytes are initialised.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), filled) }
    }

    /// `left` followed by `right`.
    pub fn append(&mut self, left: &'static [u8], right: &[u8]) -> &'static [u8] {
        self.concat(left.len() + right.len(), [left, right].into_iter())
    }

    /// `len` slots, each made by `make` from its index.
    #[inline(always)]
    pub fn slots(&mut self, len: usize, mut make: impl FnMut(&mut Heap, usize) -> Value) -> &'static [Slot] {
        let at = self.bump(len * size_of::<Slot>()).cast::<Slot>();
        for index in 0..len {
            // SAFETY: within the fresh memory. It is initialised first, since `make` may allocate but cannot see it.
            unsafe { at.add(index).write(Slot::new(Value::NULL)) };
        }
        for index in 0..len {
            let value = make(self, index);
            // SAFETY: as above.
            unsafe { at.add(index).as_ref() }.set(value);
        }
        // SAFETY: all `len` slots are initialised.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), len) }
    }

    /// A list over slots that were allocated before, or a part of them.
    pub fn list_of(&mut self, slots: &'static [Slot]) -> Value {
        if slots.is_empty() {
            return Value::empty_list();
        }
        let list = self.put(List { elements: slots.as_ptr(), len: slots.len() });
        Value::pointer(list, Tag::List)
    }

    /// A list of values.
    pub fn list(&mut self, values: &[Value]) -> Value {
        let slots = self.slots(values.len(), |_, index| values[index]);
        self.list_of(slots)
    }

    /// An integer.
    #[inline(always)]
    pub fn int(&mut self, value: i64) -> Value {
        match Value::small_int(value) {
            Some(value) => value,
            None => self.boxed(Boxed::Int(value)),
        }
    }

    /// A floating-point number.
    pub fn float(&mut self, value: f64) -> Value {
        self.boxed(Boxed::Float(value))
    }

    /// A path, which must be absolute and normalised.
    pub fn path(&mut self, path: &[u8]) -> Value {
        let path = self.bytes(path);
        self.boxed(Boxed::Path(path.into()))
    }

    /// A function that has some of its arguments.
    pub fn partial(&mut self, function: Value, arguments: &'static [Slot]) -> Value {
        self.boxed(Boxed::Partial(Partial { function, arguments }))
    }

    fn boxed(&mut self, boxed: Boxed) -> Value {
        Value::pointer(self.put(boxed), Tag::Boxed)
    }

    /// A string without context.
    pub fn string(&mut self, bytes: &[u8]) -> Value {
        let bytes = self.bytes(bytes);
        self.string_of(bytes, None)
    }

    /// A string with a context.
    pub fn string_with(&mut self, bytes: &[u8], context: Option<&'static Context>) -> Value {
        let bytes = self.bytes(bytes);
        self.string_of(bytes, context)
    }

    /// A string over bytes that were allocated before, or a part of them.
    pub fn string_of(&mut self, bytes: &'static [u8], context: Option<&'static Context>) -> Value {
        let string = self.put(Str { bytes: bytes.as_ptr(), len: bytes.len(), context });
        Value::pointer(string, Tag::String)
    }

    /// A context, from sorted distinct element numbers.
    pub(crate) fn context(&mut self, elements: &[context_id::Id]) -> Option<&'static Context> {
        if elements.is_empty() {
            return None;
        }
        let at = self.bump(std::mem::size_of_val(elements)).cast::<context_id::Id>();
        // SAFETY: fresh memory of that size, aligned to 8.
        let elements = unsafe {
            std::ptr::copy_nonoverlapping(elements.as_ptr(), at.as_ptr(), elements.len());
            std::slice::from_raw_parts(at.as_ptr(), elements.len())
        };
        Some(self.put(Context::new(elements)))
    }

    /// A function.
    #[inline(always)]
    pub fn closure(&mut self, lambda: &'static Lambda, env: &'static Env) -> Value {
        Value::pointer(self.put(Closure { lambda, env }), Tag::Closure)
    }

    /// An environment of `len` unset variables.
    #[inline(always)]
    pub fn env(&mut self, up: Option<&'static Env>, len: usize) -> &'static Env {
        let at = self.bump(size_of::<Env>() + len * size_of::<Slot>()).cast::<Env>();
        // SAFETY: fresh memory for the header and `len` slots behind it; all are written.
        unsafe {
            at.write(Env {
                up: up.map_or(std::ptr::null(), std::ptr::from_ref),
                #[cfg(debug_assertions)]
                len,
            });
            let slots = at.add(1).cast::<Slot>();
            for index in 0..len {
                slots.add(index).write(Slot::new(Value::UNSET));
            }
            at.as_ref()
        }
    }

    /// Where the heap would go on if the environment, of `len` variables, were its last object: for [`Heap::take_back`].
    #[inline(always)]
    pub(crate) fn mark_after(&self, env: &'static Env, len: usize) -> Mark {
        let env = std::ptr::from_ref(env).addr();
        Mark(env + size_of::<Env>() + len * size_of::<Slot>())
    }

    /// After a call: uses the memory of its environment again if nothing at all was allocated since. Whatever keeps an
    /// environment (a function, a thunk, an environment within) is itself an object of this heap, so nothing keeps this one.
    #[inline(always)]
    pub(crate) fn take_back(&mut self, env: &'static Env, mark: Mark) {
        if self.next.addr() == mark.0 {
            self.next = self.next.with_addr(std::ptr::from_ref(env).addr());
        }
    }

    /// Uses the memory of an object again, of `size` bytes, if it was made last.
    ///
    /// # Safety
    /// Nobody refers to it.
    pub(super) unsafe fn unmake<T>(&mut self, object: &'static T, size: usize) {
        let at = std::ptr::from_ref(object).addr();
        if at + size.next_multiple_of(ALIGN) == self.next.addr() {
            self.next = self.next.with_addr(at);
        }
    }

    /// A thunk.
    #[inline(always)]
    pub(crate) fn thunk(&mut self, thunk: Thunk) -> Value {
        let thunk = self.put(thunk);
        Value::pointer(thunk, Tag::Thunk)
    }

    /// A set of keys from symbols in ascending order, each once, with their positions; `place` is that of the set literal, if it is one.
    pub fn keys(
        &mut self,
        entries: impl ExactSizeIterator<Item = (Symbol, PosId)>,
        place: PosId,
    ) -> &'static Keys {
        let len = entries.len();
        let at = self.bump(Keys::size(len));
        // SAFETY: fresh memory of the size that `Keys` asks for.
        unsafe { Keys::write(at, len, entries, place) }
    }

    /// An attribute set over `keys`, its values in the keys' order.
    #[inline(always)]
    pub fn attrs(&mut self, keys: &'static Keys, mut make: impl FnMut(&mut Heap, usize) -> Value) -> Value {
        let attrs = self.attrs_unset(keys);
        for (index, slot) in attrs.flat_slots().iter().enumerate() {
            slot.set(make(self, index));
        }
        Value::pointer(attrs, Tag::Attrs)
    }

    /// An attribute set whose values (all `null` so far) the caller sets through [`Attrs::flat_slots`] before it shows it.
    #[inline(always)]
    pub(crate) fn attrs_unset(&mut self, keys: &'static Keys) -> &'static Attrs {
        let len = keys.len();
        self.sets += 1;
        let at = self.bump(size_of::<AttrsHeader>() + len * size_of::<Slot>());
        // SAFETY: fresh memory for the header and the slots behind it; all are written.
        unsafe {
            let header = at.cast::<AttrsHeader>();
            header.write(AttrsHeader::flat(keys));
            let slots = header.add(1).cast::<Slot>();
            for index in 0..len {
                slots.add(index).write(Slot::new(Value::NULL));
            }
            at.cast::<Attrs>().as_ref()
        }
    }

    /// The value of an attribute set.
    #[inline(always)]
    pub(crate) fn attrs_value(&self, attrs: &'static Attrs) -> Value {
        Value::pointer(attrs, Tag::Attrs)
    }

    /// Puts any plain object.
    pub(crate) fn object<T: Sync>(&mut self, value: T) -> &'static T {
        self.put(value)
    }

    /// Copies a slice of plain objects.
    pub(crate) fn slice<T: Copy + Sync>(&mut self, values: &[T]) -> &'static [T] {
        const { assert!(align_of::<T>() <= ALIGN) }
        let at = self.bump(std::mem::size_of_val(values)).cast::<T>();
        // SAFETY: fresh memory of the right size and alignment; `T` is `Copy`.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), at.as_ptr(), values.len());
            std::slice::from_raw_parts(at.as_ptr(), values.len())
        }
    }

    /// Moves plain objects into a slice.
    pub(crate) fn slice_from<T: Sync>(&mut self, values: Vec<T>) -> &'static [T] {
        const { assert!(align_of::<T>() <= ALIGN && !std::mem::needs_drop::<T>()) }
        let at = self.bump(std::mem::size_of_val(values.as_slice())).cast::<T>();
        let len = values.len();
        for (index, value) in values.into_iter().enumerate() {
            // SAFETY: fresh memory for `len` objects.
            unsafe { at.add(index).write(value) };
        }
        // SAFETY: all are written.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), len) }
    }
}

pub(crate) mod context_id {
    //! The number of an interned context element.

    /// See [`crate::value::context`].
    pub type Id = u32;
}
