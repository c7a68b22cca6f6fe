//! The wish to stop, shared between threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised once, seen by every clone and child; whoever waits looks at it at least ten times a second.
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    flag: Arc<AtomicBool>,
    /// Those of the larger piece of work that this is part of.
    parents: Vec<Arc<AtomicBool>>,
}

impl Cancellation {
    pub fn new() -> Cancellation {
        Cancellation::default()
    }

    /// One for a part of the work: raised with this one, and also alone.
    pub fn child(&self) -> Cancellation {
        let mut parents = self.parents.clone();
        parents.push(Arc::clone(&self.flag));
        Cancellation { flag: Arc::default(), parents }
    }

    /// The flag itself, for a signal handler to set.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    pub fn cancel(&self) {
        self.flag.store(true, Ordering::SeqCst);
    }

    pub fn is_cancelled(&self) -> bool {
        let is_raised = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        is_raised(&self.flag) || self.parents.iter().any(|parent| is_raised(parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_stops_with_its_parent_and_alone() {
        let parent = Cancellation::new();
        let (one, other) = (parent.child(), parent.child());
        one.cancel();
        assert!(one.is_cancelled() && !other.is_cancelled() && !parent.is_cancelled());
        parent.cancel();
        assert!(other.child().is_cancelled());
    }
}
