//! Values: one tagged machine word each, pointing into memory that is never freed while a value can be seen.
//!
//! The low three bits of the word say what it is; small integers, `null`, booleans and builtins need no memory at all.
//! Attribute sets, lists and environments hold such words, so an element costs 8 bytes, where Nix spends 8 for a pointer
//! and 16 for the value. See `heap` for the one invariant that all accessors lean on.
#![allow(unsafe_code)]

pub mod attrs;
pub mod context;
mod growing;
pub mod heap;
mod merge;
mod pages;
mod region;
mod shapes;
pub mod thunk;

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicPtr, Ordering},
};

use bstr::BStr;

pub use attrs::{Attrs, Hint, Keys};
pub use context::Context;
pub use heap::Heap;
pub use thunk::{Claim, Thunk, ThunkState};

use crate::{
    builtins::BuiltinId,
    ir::{Lambda, Parameter},
};

/// A value, evaluated or not: `Copy`, 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Value(NonNull<()>);

// SAFETY: what a value points to is immutable or changed only by atomic operations (slots and thunks), and lives as long
// as the process or until `Heap::collect`, whose caller promises that no value is left.
unsafe impl Send for Value {}
// SAFETY: as above.
unsafe impl Sync for Value {}

const TAG_BITS: u32 = 3;
const TAG_MASK: usize = (1 << TAG_BITS) - 1;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Tag {
    Thunk = 0,
    Int = 1,
    Attrs = 2,
    List = 3,
    String = 4,
    Closure = 5,
    Boxed = 6,
    Immediate = 7,
}

const NULL: usize = 0;
const FALSE: usize = 1;
const TRUE: usize = 2;
const UNSET: usize = 3;
const FIRST_BUILTIN: usize = 16;

/// The rarer kinds of value, behind a pointer.
pub enum Boxed {
    /// An integer that does not fit 61 bits.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A path: absolute and normalised.
    Path(&'static BStr),
    /// A function of several arguments that has some of them.
    Partial(Partial),
}

/// A function of several arguments that has some of them.
pub struct Partial {
    /// A [`Closure`] or a builtin.
    pub function: Value,
    /// The arguments so far: fewer than the function takes.
    pub arguments: &'static [Slot],
}

/// A function with the environment that it closes over.
#[repr(C)]
pub struct Closure {
    /// Its code.
    pub lambda: &'static Lambda,
    /// The environment around it.
    pub env: &'static Env,
}

/// A string: bytes with a context. Slices share the bytes.
#[repr(C)]
pub struct Str {
    bytes: *const u8,
    len: usize,
    /// The store paths that the string mentions; `None` is the empty context.
    pub context: Option<&'static Context>,
}

// SAFETY: the bytes are immutable.
unsafe impl Sync for Str {}
// SAFETY: as above.
unsafe impl Send for Str {}

impl Str {
    /// The bytes.
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: `Heap::string*` made `bytes` and `len` from one live allocation of immutable bytes.
        unsafe { std::slice::from_raw_parts(self.bytes, self.len) }
    }
}

/// A list.
#[repr(C)]
pub struct List {
    elements: *const Slot,
    len: usize,
}

impl List {
    /// The elements.
    pub fn slots(&self) -> &'static [Slot] {
        // SAFETY: `Heap::list*` made both from one live allocation of initialised slots.
        unsafe { std::slice::from_raw_parts(self.elements, self.len) }
    }

    /// The elements as they are, evaluated or not.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value> + DoubleEndedIterator + use<> {
        self.slots().iter().map(Slot::get)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A place that holds a value and may be overwritten by the same value in a more evaluated form.
#[repr(transparent)]
pub struct Slot(AtomicPtr<()>);

impl Slot {
    /// A slot holding `value`.
    pub fn new(value: Value) -> Slot {
        Slot(AtomicPtr::new(value.0.as_ptr()))
    }

    /// The value.
    ///
    /// Acquire: what the word points to may have been made by another thread.
    #[inline(always)]
    pub fn get(&self) -> Value {
        // SAFETY: slots are only ever written from a `Value`, which is not null.
        Value(unsafe { NonNull::new_unchecked(self.0.load(Ordering::Acquire)) })
    }

    /// Replaces the value.
    #[inline(always)]
    pub fn set(&self, value: Value) {
        self.0.store(value.0.as_ptr(), Ordering::Release);
    }
}

/// A reference that is set later, at most to things that are equal.
pub(crate) struct Later<T: 'static>(AtomicPtr<T>);

impl<T: Sync> Later<T> {
    /// Not set.
    pub(crate) const fn new() -> Later<T> {
        Later(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// The reference, if it is set.
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null or what `set` was given.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the reference.
    pub(crate) fn set(&self, value: &'static T) {
        self.0.store(std::ptr::from_ref(value).cast_mut(), Ordering::Release);
    }
}

/// The variables of one activation, and the environment around it.
#[repr(C)]
pub struct Env {
    up: *const Env,
    /// Only to check what `ir::lower` promises.
    #[cfg(debug_assertions)]
    len: usize,
}

// SAFETY: slots are atomic, the rest is immutable.
unsafe impl Sync for Env {}
// SAFETY: as above.
unsafe impl Send for Env {}

impl Env {
    /// One variable. The lowering pass gives only indices below the environment's size.
    #[inline(always)]
    pub fn slot(&self, index: u32) -> &'static Slot {
        #[cfg(debug_assertions)]
        assert!((index as usize) < self.len);
        // SAFETY: `ir::lower` sizes every environment for the highest slot that its code names (checked in debug builds).
        unsafe { &*std::ptr::from_ref(self).add(1).cast::<Slot>().add(index as usize) }
    }

    /// The environment `depth` levels out.
    #[inline(always)]
    pub fn ancestor(&self, depth: u32) -> &'static Env {
        let mut env: *const Env = self;
        for _ in 0..depth {
            // SAFETY: `ir::lower` counts only environments that exist; `up` of each is a live environment.
            env = unsafe { (*env).up };
        }
        // SAFETY: as above.
        unsafe { &*env }
    }
}

/// What a value is, with its contents.
pub enum View {
    /// Not evaluated yet.
    Thunk(&'static Thunk),
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A string.
    String(&'static Str),
    /// A path.
    Path(&'static BStr),
    /// An attribute set.
    Attrs(&'static Attrs),
    /// A list.
    List(&'static List),
    /// A function.
    Closure(&'static Closure),
    /// A builtin function.
    Builtin(BuiltinId),
    /// A function that has some of its arguments.
    Partial(&'static Partial),
}

impl Value {
    /// `null`
    pub const NULL: Value = Value::immediate(NULL);
    /// `true`
    pub const TRUE: Value = Value::immediate(TRUE);
    /// `false`
    pub const FALSE: Value = Value::immediate(FALSE);
    /// Marks a variable whose binding is being set up; never seen outside of the evaluator.
    pub(crate) const UNSET: Value = Value::immediate(UNSET);

    const fn immediate(payload: usize) -> Value {
        let address = payload << TAG_BITS | Tag::Immediate as usize;
        // The tag makes the address different from null.
        Value(NonNull::new(std::ptr::without_provenance_mut(address)).expect("tagged"))
    }

    /// Where a function or a set literal stands, if that is what the value is and where is known: Nix's `determinePos`.
    pub(crate) fn own_position(self) -> crate::position::PosId {
        match self.peek().view() {
            View::Closure(closure) => closure.lambda.parameters[0].pos,
            View::Partial(partial) => match partial.function.view() {
                View::Closure(closure) => closure.lambda.parameters[partial.arguments.len()].pos,
                _ => crate::position::PosId::NONE,
            },
            View::Attrs(attrs) => attrs.place(),
            _ => crate::position::PosId::NONE,
        }
    }

    /// A boolean.
    #[inline(always)]
    pub const fn bool(value: bool) -> Value {
        if value { Value::TRUE } else { Value::FALSE }
    }

    /// A builtin function.
    pub const fn builtin(id: BuiltinId) -> Value {
        Value::immediate(FIRST_BUILTIN + id.0 as usize)
    }

    /// An integer if it fits 61 bits.
    #[inline(always)]
    pub(crate) fn small_int(value: i64) -> Option<Value> {
        let shifted = value << TAG_BITS;
        if shifted >> TAG_BITS != value {
            return None;
        }
        let address = shifted as usize | Tag::Int as usize;
        // SAFETY: the tag makes the address different from null.
        Some(Value(unsafe { NonNull::new_unchecked(std::ptr::without_provenance_mut(address)) }))
    }

    #[inline(always)]
    fn pointer<T>(pointer: &'static T, tag: Tag) -> Value {
        Value::tagged(NonNull::from(pointer).cast(), tag)
    }

    #[inline(always)]
    fn tagged(pointer: NonNull<()>, tag: Tag) -> Value {
        Value(pointer.map_addr(|address| address | tag as usize))
    }

    #[inline(always)]
    pub(crate) fn tag(self) -> Tag {
        // SAFETY: `Tag` has all eight values of three bits.
        unsafe { std::mem::transmute::<usize, Tag>(self.0.addr().get() & TAG_MASK) }
    }

    /// The object behind the word. Only called after the tag was looked at.
    #[inline(always)]
    fn object<T>(self) -> &'static T {
        let pointer = self.0.as_ptr().map_addr(|address| address & !TAG_MASK).cast::<T>();
        // SAFETY: each tag is only ever put on pointers to its own kind of object (constructors in this module and `heap`),
        // and objects live as long as values can be seen (see `heap`).
        unsafe { &*pointer }
    }

    /// A string in leaked memory, without context: for interned names and constants.
    pub fn leaked_string(bytes: &'static [u8]) -> Value {
        let string: &'static Str =
            Box::leak(Box::new(Str { bytes: bytes.as_ptr(), len: bytes.len(), context: None }));
        Value::pointer(string, Tag::String)
    }

    /// A path in leaked memory: for constants.
    pub fn leaked_path(path: &'static BStr) -> Value {
        Value::pointer(Box::leak(Box::new(Boxed::Path(path))), Tag::Boxed)
    }

    /// A number in leaked memory: for constants.
    pub fn leaked_int(value: i64) -> Value {
        Value::small_int(value)
            .unwrap_or_else(|| Value::pointer(Box::leak(Box::new(Boxed::Int(value))), Tag::Boxed))
    }

    /// A number in leaked memory: for constants.
    pub fn leaked_float(value: f64) -> Value {
        Value::pointer(Box::leak(Box::new(Boxed::Float(value))), Tag::Boxed)
    }

    /// The empty list.
    pub fn empty_list() -> Value {
        static EMPTY: EmptyList = EmptyList(List { elements: NonNull::dangling().as_ptr(), len: 0 });
        Value::pointer(&EMPTY.0, Tag::List)
    }

    /// Whether it is a thunk, evaluated or not.
    #[inline(always)]
    pub fn is_thunk(self) -> bool {
        self.tag() == Tag::Thunk
    }

    #[inline(always)]
    pub(crate) fn is_unset(self) -> bool {
        self == Value::UNSET
    }

    /// The thunk behind a word for which [`Value::is_thunk`] holds.
    #[inline(always)]
    pub(crate) fn thunk(self) -> &'static Thunk {
        debug_assert!(self.is_thunk());
        self.object()
    }

    /// The value itself, or that of the thunk if it has been evaluated.
    #[inline(always)]
    pub fn peek(self) -> Value {
        if self.is_thunk() { self.thunk().value().unwrap_or(self) } else { self }
    }

    /// What to keep in another place that stands for the same: the value itself, where that can be had. A list stays behind its
    /// thunk, which tells it from the same list reached in another way: printing shows that.
    #[inline(always)]
    pub fn shared(self) -> Value {
        let value = self.peek();
        if value.is_list() { self } else { value }
    }

    /// What tells places apart that are shown in full from those that are another look at one that was.
    pub(crate) fn identity(self) -> usize {
        if self.is_thunk() && self.peek().is_list() { self.address() } else { self.peek().address() }
    }

    /// Whether it is a list (and no thunk).
    #[inline(always)]
    pub fn is_list(self) -> bool {
        self.tag() == Tag::List
    }

    /// The attribute set, if it is one (and no thunk).
    #[inline(always)]
    pub fn as_attrs(self) -> Option<&'static Attrs> {
        (self.tag() == Tag::Attrs).then(|| self.object())
    }

    /// The list, if it is one.
    #[inline(always)]
    pub fn as_list(self) -> Option<&'static List> {
        (self.tag() == Tag::List).then(|| self.object())
    }

    /// The string, if it is one.
    #[inline(always)]
    pub fn as_string(self) -> Option<&'static Str> {
        (self.tag() == Tag::String).then(|| self.object())
    }

    /// The function, if it is a plain one.
    #[inline(always)]
    pub fn as_closure(self) -> Option<&'static Closure> {
        (self.tag() == Tag::Closure).then(|| self.object())
    }

    /// The integer, if it is a small one.
    #[inline(always)]
    pub(crate) fn as_small_int(self) -> Option<i64> {
        (self.tag() == Tag::Int).then(|| self.0.addr().get() as i64 >> TAG_BITS)
    }

    /// What the value is.
    #[inline(always)]
    pub fn view(self) -> View {
        match self.tag() {
            Tag::Thunk => View::Thunk(self.object()),
            Tag::Int => View::Int(self.0.addr().get() as i64 >> TAG_BITS),
            Tag::Attrs => View::Attrs(self.object()),
            Tag::List => View::List(self.object()),
            Tag::String => View::String(self.object()),
            Tag::Closure => View::Closure(self.object()),
            Tag::Boxed => match self.object::<Boxed>() {
                Boxed::Int(value) => View::Int(*value),
                Boxed::Float(value) => View::Float(*value),
                Boxed::Path(path) => View::Path(path),
                Boxed::Partial(partial) => View::Partial(partial),
            },
            Tag::Immediate => match self.0.addr().get() >> TAG_BITS {
                NULL | UNSET => View::Null,
                FALSE => View::Bool(false),
                TRUE => View::Bool(true),
                builtin => View::Builtin(BuiltinId((builtin - FIRST_BUILTIN) as u16)),
            },
        }
    }

    /// The parameter that the next argument of a function is for; `None` for builtins and what is no function.
    pub fn next_parameter(self) -> Option<&'static Parameter> {
        match self.view() {
            View::Closure(closure) => closure.lambda.parameters.first(),
            View::Partial(partial) => {
                partial.function.as_closure()?.lambda.parameters.get(partial.arguments.len())
            }
            _ => None,
        }
    }

    /// The word, for telling whether two values are the same object.
    pub fn address(self) -> usize {
        self.0.addr().get()
    }
}

struct EmptyList(List);
// SAFETY: it has no elements.
unsafe impl Sync for EmptyList {}
