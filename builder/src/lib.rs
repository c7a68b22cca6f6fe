//! Derivations to store paths: the store, the sandbox, fetching and the schedule.

pub mod build;
pub mod builtin;
pub mod cache;
pub mod cancel;
pub mod events;
pub mod fetch;
mod parallel;
pub mod pins;
pub mod printable;
pub mod sandbox;
pub mod schedule;
pub mod store;
pub mod unpack;
pub mod user_environment;
