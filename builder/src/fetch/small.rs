//! Small files over HTTP, such as those that describe what a binary cache has.

use std::io::Read;
use std::thread;
use std::time::Duration;

use super::error::Reason;
use super::http::{self, Outcome};
use super::transfer::Failure;
use crate::cancel::Cancellation;

/// More than any description of a store path has.
const MAX_SIZE: u64 = 32 << 20;
/// What is waited before a server is asked again that may answer later.
pub(super) const PAUSES: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];

/// The file at an http or https address; nothing if the server has none there. An error says in words why there is no
/// answer.
pub fn read_small(address: &str, cancellation: &Cancellation) -> Result<Option<Vec<u8>>, String> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let reason = match ask(address, cancellation) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(Failure::Permanent(Reason::Absent(_))) => return Ok(None),
            Err(Failure::Interrupted(reason)) => reason,
            Err(failure) => return Err(in_words(failure)),
        };
        match pauses.next() {
            Some(pause) if !cancellation.is_cancelled() => thread::sleep(pause),
            _ => return Err(reason),
        }
    }
}

/// Why there was no answer.
pub(super) fn in_words(failure: Failure) -> String {
    match failure {
        Failure::Permanent(reason) => reason.to_string(),
        Failure::Unreachable(reason) | Failure::Interrupted(reason) => reason,
        Failure::Write(error) => error.to_string(),
        Failure::Cancelled => "cancelled".to_owned(),
    }
}

fn ask(address: &str, cancellation: &Cancellation) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    http::get(address, 0, None, cancellation, |outcome| match outcome {
        Outcome::Answer(answer) => {
            answer.body.take(MAX_SIZE).read_to_end(&mut bytes).map_err(http::body_failure)?;
            Ok(())
        }
        Outcome::Complete | Outcome::Unusable => {
            Err(Failure::permanent("the server's answer makes no sense"))
        }
    })?;
    Ok(bytes)
}
