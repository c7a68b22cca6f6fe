//! One process, and what it starts, shut in namespaces: it sees what its plan names and nothing else of the machine.
//!
//! Needs no root. [`launch`] starts the running binary anew with a hidden first argument, [`ENTRY`]; the binary's `main`
//! must then call [`sandbox_main`] before anything else.

mod cgroup;
mod child;
mod failure;
mod filter;
mod identity;
mod launch;
mod order;
mod own_program;
mod plan;
mod root;
mod scope;
mod staging;
mod subtree;
mod view;
mod watch;

pub use child::EXECUTING;
pub use identity::choose as choose_identity;
pub use launch::{Listener, Running, Stop, launch};
pub use plan::{Bind, End, Excess, Identity, Limits, Plan, Process, Report, Surroundings};

pub use view::{VIEW_ENTRY, View, view_main};

/// The hidden first argument.
pub const ENTRY: &str = "__sandbox";

/// What `main` calls when its first argument is [`ENTRY`]. Never returns.
pub fn sandbox_main() -> ! {
    child::main()
}
