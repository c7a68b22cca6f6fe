//! Thunks: two words that hold what is to be computed, and then its value, overwritten in place.
//!
//! The first word is the state. Every change of it is atomic, so that several threads can share thunks: whoever moves it to
//! `busy` computes, and publishes the value before the state says so.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Closure, Env, Slot, Value};
use crate::{eval::error::EvalError, ir::Expr};

const TAG_MASK: usize = 7;
const DONE: usize = 0;
const CODE: usize = 1;
const BUSY: usize = 2;
const APPLY: usize = 3;
const FAILED: usize = 4;

/// A delayed computation, or its result.
#[repr(C)]
pub struct Thunk {
    /// What to do, tagged in the low bits; null when the value is there.
    state: AtomicPtr<()>,
    /// The environment, the argument, or the value, as the state says.
    payload: Slot,
}

/// What a thunk stands for at the moment.
pub enum ThunkState {
    /// Evaluated.
    Done(Value),
    /// An expression in an environment.
    Code(&'static Expr, &'static Env),
    /// A function applied to a value.
    Apply(&'static Closure, Value),
    /// An argument that was evaluated early and failed: the error, to be raised by whoever forces it.
    Failed(&'static EvalError),
    /// Being evaluated: by this thread (then it needs itself) or by another.
    Busy,
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

    /// A failure to be raised later.
    pub fn failed(error: &'static EvalError) -> Thunk {
        Thunk::new(error, FAILED, Value::NULL)
    }

    /// The value if the thunk has been evaluated.
    #[inline(always)]
    pub fn value(&self) -> Option<Value> {
        self.state.load(Ordering::Acquire).is_null().then(|| self.payload.get())
    }

    /// Whether it is being evaluated.
    pub fn is_busy(&self) -> bool {
        self.state.load(Ordering::Acquire).addr() == BUSY
    }

    /// What the thunk stands for.
    pub fn state(&self) -> ThunkState {
        let state = self.state.load(Ordering::Acquire);
        let object = state.map_addr(|address| address & !TAG_MASK);
        // SAFETY: the tag says which kind of object `new` was given; objects are `'static`. The payload of `CODE` is an
        // environment, put there by `code`.
        unsafe {
            match state.addr() & TAG_MASK {
                DONE => ThunkState::Done(self.payload.get()),
                CODE => ThunkState::Code(&*object.cast::<Expr>(), self.payload.get().object::<Env>()),
                APPLY => ThunkState::Apply(&*object.cast::<Closure>(), self.payload.get()),
                FAILED => ThunkState::Failed(&*object.cast::<EvalError>()),
                _ => ThunkState::Busy,
            }
        }
    }

    /// Marks the thunk as being evaluated; gives what to restore on failure.
    #[inline(always)]
    pub fn claim(&self) -> Claimed {
        let claimed = Claimed { state: self.state.load(Ordering::Relaxed), payload: self.payload.get() };
        self.state.store(std::ptr::without_provenance_mut(BUSY), Ordering::Relaxed);
        claimed
    }

    /// Publishes the value.
    #[inline(always)]
    pub fn finish(&self, value: Value) {
        debug_assert!(!value.is_thunk());
        self.payload.set(value);
        self.state.store(std::ptr::null_mut(), Ordering::Release);
    }

    /// Keeps the error, for all who force the thunk from now on.
    pub fn fail(&self, error: &'static EvalError) {
        let failed = Thunk::failed(error);
        self.payload.set(failed.payload.get());
        self.state.store(failed.state.into_inner(), Ordering::Release);
    }

    /// Makes the thunk as it was before [`Thunk::claim`], so that forcing it again fails in the same way.
    pub fn restore(&self, claimed: Claimed) {
        self.payload.set(claimed.payload);
        self.state.store(claimed.state, Ordering::Release);
    }
}
