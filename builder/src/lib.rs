//! Derivations to store paths: the store, the sandbox, fetching and the schedule.

pub mod builtin;
pub mod cancel;
pub mod events;
pub mod fetch;
pub mod sandbox;
pub mod store;
pub mod unpack;
