//! Thunks: two words that hold what is to be computed, and then its value, overwritten in place.
//!
//! The first word is the state. Several threads can share thunks: whoever moves it from `CODE`, `APPLY` or `APPLIED` to `BUSY` computes, and
//! is the only one to change either word until it publishes: the value first, then the state that says so. A busy thunk tells
//! which thread is at it, and whether another waits.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{Attrs, Closure, Env, Slot, Value};
use crate::{eval::error::Kept, ir::Expr, parallel::Owner, position::PosId, symbol::Symbol};

const TAG_MASK: usize = 7;
const DONE: usize = 0;
const CODE: usize = 1;
const BUSY: usize = 2;
const APPLY: usize = 3;
const FAILED: usize = 4;
const APPLIED: usize = 5;
/// Of a busy thunk: somebody waits for it.
const AWAITED: usize = 8;
/// Of a busy thunk: where the number of the thread begins.
const OWNER_SHIFT: u32 = 4;

/// A delayed computation, or its result.
#[repr(C)]
pub struct Thunk {
    /// What to do, tagged in the low bits; null when the value is there.
    state: AtomicPtr<()>,
    /// The environment, the argument, or the value, as the state says.
    payload: Slot,
}

/// A function that is applied to each element of a list or to each member of a set: what the thunks of all these calls share.
pub struct Applied {
    /// As a rule no plain function, for which there is [`Thunk::apply`].
    function: Value,
    /// The set, a flat one, if the function gets names and values.
    members: Option<&'static Attrs>,
    /// Whether the function has been needed.
    is_needed: AtomicBool,
}

impl Applied {
    /// To be applied to values.
    pub fn to_each(function: Value) -> Applied {
        Applied { function, members: None, is_needed: AtomicBool::new(true) }
    }

    /// To be applied to the name and the value of each member of a flat set. `is_needed` tells whether Nix has evaluated the
    /// function.
    pub fn to_members(function: Value, members: &'static Attrs, is_needed: bool) -> Applied {
        Applied { function, members: Some(members), is_needed: AtomicBool::new(is_needed) }
    }

    /// The function, which is needed now.
    pub fn function(&self) -> Value {
        self.is_needed.store(true, Ordering::Relaxed);
        self.function
    }

    /// Where the function stands, once it has been needed: a function that Nix has not evaluated has no place in an error.
    pub fn own_position(&self) -> PosId {
        match self.is_needed.load(Ordering::Relaxed) {
            true => self.function.own_position(),
            false => PosId::NONE,
        }
    }

    /// What a thunk of [`Thunk::applied`] or [`Thunk::applied_to_member`] gives the function: the name of a member, if it is one,
    /// and the value.
    pub fn arguments(&self, word: Value) -> (Option<Symbol>, Value) {
        let Some(members) = self.members.and_then(Attrs::as_flat) else { return (None, word) };
        // `applied_to_member` keeps the member's slot as a word that is never looked at as a value.
        let slot: &'static Slot = word.object();
        let offset = std::ptr::from_ref(slot).addr() - members.slots.as_ptr().addr();
        let name = members.keys.symbols()[offset / size_of::<Slot>()];
        (Some(name), slot.get().shared())
    }
}

/// What a thunk stands for at the moment.
pub enum ThunkState {
    /// Evaluated.
    Done(Value),
    /// An expression in an environment.
    Code(&'static Expr, &'static Env),
    /// A function applied to a value.
    Apply(&'static Closure, Value),
    /// A function applied to what [`Applied::arguments`] gives of the word.
    Applied(&'static Applied),
    /// An argument that was evaluated early and failed: the error, to be raised by whoever forces it.
    Failed(&'static Kept),
    /// Being evaluated: by this thread (then it needs itself) or by another.
    Busy(Owner),
}

/// What [`Thunk::claim`] found: the work, now the caller's, or that there is none to do.
pub enum Claim {
    /// An expression in an environment.
    Code(&'static Expr, &'static Env, Claimed),
    /// A function applied to a value.
    Apply(&'static Closure, Value, Claimed),
    /// See [`ThunkState::Applied`]; with the word.
    Applied(&'static Applied, Value, Claimed),
    /// Evaluated.
    Done(Value),
    /// See [`ThunkState::Failed`].
    Failed(&'static Kept),
    /// See [`ThunkState::Busy`].
    Busy(Owner),
}

/// A state as it was, to go back to when the evaluation fails.
pub struct Claimed {
    state: *mut (),
    payload: Value,
}

impl Thunk {
    fn new<T>(object: &'static T, tag: usize, payload: Value) -> Thunk {
        const { assert!(align_of::<T>() > TAG_MASK) }
        let state = std::ptr::from_ref(object).cast_mut().cast::<()>().map_addr(|address| address | tag);
        Thunk { state: AtomicPtr::new(state), payload: Slot::new(payload) }
    }

    /// An expression in an environment.
    #[inline(always)]
    pub fn code(expr: &'static Expr, env: &'static Env) -> Thunk {
        // The environment is kept as a word that is never looked at as a value.
        Thunk::new(expr, CODE, Value::pointer(env, super::Tag::Thunk))
    }

    /// A function applied to a value.
    pub fn apply(function: &'static Closure, argument: Value) -> Thunk {
        Thunk::new(function, APPLY, argument)
    }

    /// The same for a function of any kind.
    pub fn applied(function: &'static Applied, argument: Value) -> Thunk {
        debug_assert!(function.members.is_none());
        Thunk::new(function, APPLIED, argument)
    }

    /// A function applied to name and value of a member, given by its index.
    pub fn applied_to_member(function: &'static Applied, index: usize) -> Thunk {
        let members = function.members.expect("a function that is applied to members");
        Thunk::new(function, APPLIED, Value::pointer(&members.flat_slots()[index], super::Tag::Thunk))
    }

    /// A failure to be raised later.
    pub fn failed(error: &'static Kept) -> Thunk {
        Thunk::new(error, FAILED, Value::NULL)
    }

    /// An evaluated one, which makes a list one of its own: see [`Value::shared`].
    pub fn of_list(list: Value) -> Thunk {
        Thunk { state: AtomicPtr::new(std::ptr::null_mut()), payload: Slot::new(list) }
    }

    /// The value if the thunk has been evaluated.
    #[inline(always)]
    pub fn value(&self) -> Option<Value> {
        self.state.load(Ordering::Acquire).is_null().then(|| self.payload.get())
    }

    /// The word for it.
    pub(crate) fn as_value(&'static self) -> Value {
        Value::pointer(self, super::Tag::Thunk)
    }

    /// Whether the main thread is evaluating it.
    pub fn is_busy(&self) -> bool {
        matches!(self.state(), ThunkState::Busy(crate::parallel::MAIN))
    }

    /// Whether it cannot be evaluated now: it is being evaluated, or its failure is remembered.
    pub fn is_stuck(&self) -> bool {
        matches!(self.state(), ThunkState::Busy(_) | ThunkState::Failed(_))
    }

    /// What the thunk stands for.
    pub fn state(&self) -> ThunkState {
        loop {
            let state = self.state.load(Ordering::Acquire);
            let payload = self.payload.get();
            // Another thread may have claimed and finished it in between: then the words do not belong together.
            if self.state.load(Ordering::Acquire) != state {
                continue;
            }
            let object = state.map_addr(|address| address & !TAG_MASK);
            // SAFETY: the tag says which kind of object `new` was given; objects are `'static`. The payload of `CODE` is an
            // environment, put there by `code`, and both words are of one moment.
            return unsafe {
                match state.addr() & TAG_MASK {
                    DONE => ThunkState::Done(payload),
                    CODE => ThunkState::Code(&*object.cast::<Expr>(), payload.object::<Env>()),
                    APPLY => ThunkState::Apply(&*object.cast::<Closure>(), payload),
                    APPLIED => ThunkState::Applied(&*object.cast::<Applied>()),
                    FAILED => ThunkState::Failed(&*object.cast::<Kept>()),
                    _ => ThunkState::Busy(state.addr() >> OWNER_SHIFT),
                }
            };
        }
    }

    /// Marks the thunk as being evaluated by `owner` if there is something to evaluate. Where no other thread shares it, that
    /// needs no atomic exchange.
    #[inline(always)]
    pub fn claim(&self, owner: Owner, is_shared: bool) -> Claim {
        let busy = std::ptr::without_provenance_mut(BUSY | owner << OWNER_SHIFT);
        loop {
            let state = self.state.load(Ordering::Acquire);
            let payload = self.payload.get();
            let object = state.map_addr(|address| address & !TAG_MASK);
            let tag = state.addr() & TAG_MASK;
            if matches!(tag, CODE | APPLY | APPLIED) {
                if !is_shared {
                    self.state.store(busy, Ordering::Relaxed);
                } else if self
                    .state
                    .compare_exchange(state, busy, Ordering::AcqRel, Ordering::Relaxed)
                    .is_err()
                {
                    continue;
                }
            }
            let claimed = Claimed { state, payload };
            // SAFETY: as in `state`; the payload changes only while the thunk is busy, and it was not when it was claimed.
            return unsafe {
                match tag {
                    CODE => Claim::Code(&*object.cast::<Expr>(), payload.object::<Env>(), claimed),
                    APPLY => Claim::Apply(&*object.cast::<Closure>(), payload, claimed),
                    APPLIED => Claim::Applied(&*object.cast::<Applied>(), payload, claimed),
                    DONE => Claim::Done(self.payload.get()),
                    FAILED => Claim::Failed(&*object.cast::<Kept>()),
                    _ => Claim::Busy(state.addr() >> OWNER_SHIFT),
                }
            };
        }
    }

    /// Publishes the value. Gives whether a thread waits for it, as all that end an evaluation do.
    #[inline(always)]
    #[must_use]
    pub fn finish(&self, value: Value, is_shared: bool) -> bool {
        debug_assert!(!value.is_thunk());
        self.payload.set(value);
        self.end(std::ptr::null_mut(), is_shared)
    }

    /// Keeps the error, for all who force the thunk from now on.
    #[must_use]
    pub fn fail(&self, error: &'static Kept, is_shared: bool) -> bool {
        let failed = Thunk::failed(error);
        self.payload.set(failed.payload.get());
        self.end(failed.state.into_inner(), is_shared)
    }

    /// Makes the thunk as it was before [`Thunk::claim`], so that forcing it again fails in the same way.
    #[must_use]
    pub fn restore(&self, claimed: Claimed, is_shared: bool) -> bool {
        self.payload.set(claimed.payload);
        self.end(claimed.state, is_shared)
    }

    /// A plain store, since an atomic exchange here would cost more than all else that threads share. A thread that begins to wait
    /// at this very moment may not be seen; so those that wait look again by the clock.
    #[inline(always)]
    fn end(&self, state: *mut (), is_shared: bool) -> bool {
        let is_awaited = is_shared && self.state.load(Ordering::Relaxed).addr() & AWAITED != 0;
        self.state.store(state, Ordering::Release);
        is_awaited
    }

    /// The thread that evaluates it, which as a rule will tell when it ends; `None` if nobody does.
    pub fn await_owner(&self) -> Option<Owner> {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if state.addr() & TAG_MASK != BUSY {
                return None;
            }
            let awaited = state.map_addr(|address| address | AWAITED);
            match self.state.compare_exchange(state, awaited, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(state.addr() >> OWNER_SHIFT),
                Err(now) => state = now,
            }
        }
    }
}
