//! Why a file was not fetched, address by address.

use std::fmt;
use std::io;

use thiserror::Error;
use zeval_model::Hash;

/// A failure to fetch one file.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error("{}", describe(name, attempts))]
    NoAddressServes { name: String, attempts: Vec<Attempt> },
    /// The file cannot be written: no other address would help.
    #[error("cannot write what is fetched for `{name}`: {error}")]
    Write { name: String, error: io::Error },
    #[error("fetching `{name}` was interrupted")]
    Cancelled { name: String },
}

/// One address, as it was really asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub address: String,
    pub reason: Reason,
}

/// Why an address did not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Failed(String),
    /// The server answers, and has no such file.
    Absent(String),
    WrongHash(Box<WrongHash>),
}

/// What the contents must hash to, and what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongHash {
    pub expected: Hash,
    pub got: Hash,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Failed(reason) | Reason::Absent(reason) => f.write_str(reason),
            Reason::WrongHash(wrong) => {
                write!(
                    f,
                    "it has other contents: expected {}, got {}",
                    wrong.expected.to_sri(),
                    wrong.got.to_sri()
                )
            }
        }
    }
}

fn describe(name: &str, attempts: &[Attempt]) -> String {
    let mut text = match attempts {
        [] => return format!("cannot fetch `{name}`: it has no address"),
        [_] => format!("cannot fetch `{name}` from its only address:"),
        _ => format!("cannot fetch `{name}` from any of its {} addresses:", attempts.len()),
    };
    for Attempt { address, reason } in attempts {
        text.push_str(&format!("\n  {address}\n    "));
        match reason {
            Reason::Failed(reason) | Reason::Absent(reason) => text.push_str(reason),
            Reason::WrongHash(wrong) => text.push_str(&format!(
                "it has other contents:\n      expected: {}\n      got:      {}",
                wrong.expected.to_sri(),
                wrong.got.to_sri()
            )),
        }
    }
    if let Some(got) = agreed_hash(attempts) {
        text.push_str(&format!("\nIf what it has now is right, write\n  hash = \"{}\";", got.to_sri()));
    }
    text
}

/// The hash of what the addresses have that answered with a file, if that is the same at all of them.
fn agreed_hash(attempts: &[Attempt]) -> Option<Hash> {
    let mut hashes = attempts.iter().filter_map(|attempt| match &attempt.reason {
        Reason::WrongHash(wrong) => Some(wrong.got),
        Reason::Failed(_) | Reason::Absent(_) => None,
    });
    let first = hashes.next()?;
    hashes.all(|hash| hash == first).then_some(first)
}
