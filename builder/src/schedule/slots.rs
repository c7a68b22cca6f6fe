//! How many builds run at a time where several requests are worked on at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Places for builds, shared by requests: see [`crate::build::BuildOptions::slots`].
#[derive(Debug)]
pub struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A place that a build has, free again when dropped.
pub struct Slot<'s>(&'s Slots);

impl Slots {
    /// So many places, at least one.
    pub fn new(count: usize) -> Slots {
        Slots { free: Mutex::new(count.max(1)), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a free place. Whoever has one never waits for another, so it does become free.
    pub fn take(&self) -> Slot<'_> {
        let mut free = self.lock();
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}
