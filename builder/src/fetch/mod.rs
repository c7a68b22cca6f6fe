//! Fetches a file from the first of several addresses that has what is wanted.

mod apt;
mod builtin;
mod dns;
pub mod download;
mod error;
mod http;
pub mod mirrors;
mod partial;
mod proxy;
mod put;
mod receive;
mod resolve;
mod roots;
mod small;
mod transfer;

#[cfg(test)]
mod tests;

pub use builtin::{Error, run};
pub use error::{Attempt, FetchError, Reason, WrongHash};
pub use mirrors::Mirrors;
pub use put::{Upload, put};
pub use small::read_small;
pub use transfer::{Fetched, Transfer};
