//! Regions: what one evaluation allocated, given back when it turns out that nothing older refers to it.
//!
//! While a region is open, all older memory of the heap is write-protected. Older objects change when they come to refer to
//! newer ones (a thunk gets its value, a set its flat form), so the first such write ends in the handler of this module,
//! which lifts the protection and notes that the region has to stay. No check burdens the evaluation itself.
//!
//! **Invariant:** one region is open at a time, of the heap of a thread that evaluates alone.
#![allow(unsafe_code)]

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};

use nix::{
    libc,
    sys::{
        mman::{ProtFlags, mprotect},
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    },
};

use super::pages::Range;

/// Sets what may be done with memory of the heap.
fn protect(range: &Range, flags: ProtFlags) -> bool {
    let Some(at) = NonNull::new(std::ptr::with_exposed_provenance_mut(range.at)) else { return false };
    // SAFETY: without PROT_WRITE, whoever writes to it gets it back in the handler.
    unsafe { mprotect(at, range.size, flags) }.is_ok()
}

/// What the handler works with.
struct Guarded {
    ranges: Vec<Range>,
    previous: SigAction,
}

/// The guarded memory, while a region is open.
static GUARDED: AtomicPtr<Guarded> = AtomicPtr::new(std::ptr::null_mut());
/// Whether some of it was written to.
static TOUCHED: AtomicBool = AtomicBool::new(false);

/// Write-protected memory.
pub struct Guard(Box<Guarded>);

impl Guard {
    /// Protects memory. Nothing if the system does not allow that, or a region is open already.
    pub fn new(ranges: Vec<Range>) -> Option<Guard> {
        let action = SigAction::new(
            SigHandler::SigAction(on_fault),
            SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_NODEFER,
            SigSet::empty(),
        );
        if !GUARDED.load(Ordering::Acquire).is_null() {
            return None;
        }
        // SAFETY: the handler calls nothing but atomics, mprotect and sigaction.
        let previous = unsafe { sigaction(Signal::SIGSEGV, &action) }.ok()?;
        let mut guarded = Box::new(Guarded { ranges, previous });
        TOUCHED.store(false, Ordering::Release);
        GUARDED.store(&raw mut *guarded, Ordering::Release);
        let is_protected = guarded.ranges.iter().all(|range| protect(range, ProtFlags::PROT_READ));
        let guard = Guard(guarded);
        is_protected.then_some(guard)
    }

    /// Lifts the protection. Whether nothing was written meanwhile.
    pub fn end_untouched(self) -> bool {
        drop(self);
        !TOUCHED.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.ranges.iter().for_each(|range| {
            protect(range, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        });
        GUARDED.store(std::ptr::null_mut(), Ordering::Release);
        // SAFETY: what was there before.
        let _ = unsafe { sigaction(Signal::SIGSEGV, &self.0.previous) };
    }
}

/// Lets a write into guarded memory go on; any other fault is that of whoever handled faults before.
extern "C" fn on_fault(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: `Guard` keeps what the pointer refers to until after the protection is lifted. The kernel gives a valid `info`,
    // which has an address for this signal.
    let (guarded, address) = unsafe { (GUARDED.load(Ordering::Acquire).as_ref(), (*info).si_addr().addr()) };
    let Some(guarded) = guarded else { return };
    if guarded.ranges.iter().any(|range| range.contains(address)) {
        TOUCHED.store(true, Ordering::Release);
        for range in &guarded.ranges {
            protect(range, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        }
        return;
    }
    // SAFETY: what was there before; the instruction faults again, and comes to it.
    let _ = unsafe { sigaction(Signal::SIGSEGV, &guarded.previous) };
}
