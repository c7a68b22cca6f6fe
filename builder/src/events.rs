//! What the builder tells the one who watches: a stream of events, never text on a terminal.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use zeval_model::StorePath;

/// One thing being done (a build, a fetch), unique within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActivityId(u32);

impl ActivityId {
    /// An id nobody else has.
    pub fn fresh() -> ActivityId {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        ActivityId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl ActivityId {
    /// Its number, for programs.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// How a derivation is realised, as far as a person watching cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityKind {
    /// `builtin:fetchurl`: bytes come over a network.
    Fetch,
    /// `builtin:unpack`: an archive becomes a tree, in this process.
    Unpack,
    /// A process in the sandbox.
    Build,
}

/// A derivation that will have to be realised.
#[derive(Clone, Debug)]
pub struct Planned {
    pub drv: StorePath,
    /// The derivation's name, without `.drv`.
    pub name: String,
    pub kind: ActivityKind,
}

/// How an activity ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done by us.
    Built,
    /// Somebody else had done it meanwhile, or a realisation of an equal derivation was known (early cut-off).
    AlreadyThere,
    Failed,
    Cancelled,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// What must be done is known. Comes once a request; content-addressed inputs may make some of it needless.
    Planned(Vec<Planned>),
    /// Now that its inputs are there, a derivation is another, in which their paths stand.
    Resolved {
        drv: StorePath,
        to: StorePath,
    },
    /// A derivation is no longer needed, or cannot be built because an input failed or this machine does not build it.
    Dropped {
        drv: StorePath,
    },
    Started {
        id: ActivityId,
        drv: StorePath,
        name: String,
        kind: ActivityKind,
    },
    /// Another process of this machine is building the same path; we wait for it.
    WaitingForLock {
        id: ActivityId,
        path: String,
    },
    /// The builder says which phase it has entered.
    Phase {
        id: ActivityId,
        phase: String,
    },
    /// One line of the builder's output, without its newline, made valid UTF-8.
    LogLine {
        id: ActivityId,
        line: String,
    },
    /// A download begins (again, at every address tried). `total` is in bytes, if the server says.
    FetchStarted {
        id: ActivityId,
        url: String,
        total: Option<u64>,
    },
    /// `bytes` is the sum so far, for this address.
    FetchProgress {
        id: ActivityId,
        bytes: u64,
    },
    /// This address gave the file, or did not.
    FetchFinished {
        id: ActivityId,
        url: String,
        error: Option<String>,
    },
    Finished {
        id: ActivityId,
        outcome: Outcome,
        elapsed: Duration,
    },
    /// Something the user should know that is no error.
    Warning {
        text: String,
    },
    /// What a failed or differing build left behind for a person to look at.
    Kept {
        id: ActivityId,
        path: PathBuf,
    },
}

/// Hears every event, on the thread where it happens: it must not block for long.
pub trait Observer: Send + Sync {
    fn event(&self, event: Event);
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event) {}
}
