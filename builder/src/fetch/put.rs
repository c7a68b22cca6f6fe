//! Sending a file to a server by `PUT`.

use std::fs::File;
use std::path::Path;
use std::thread;

use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::http::{self, judge_upload};
use super::small::{PAUSES, in_words};
use super::transfer::Failure;
use crate::cancel::Cancellation;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Upload<'a> {
    Bytes(&'a [u8]),
    File(&'a Path),
}

/// Sends a file to an http or https address, again if the server cannot take it yet. An error says in words why it was not
/// taken.
pub fn put(
    address: &str,
    upload: &Upload<'_>,
    content_type: &str,
    cancellation: &Cancellation,
) -> Result<(), String> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let failure = match send(address, upload, content_type, cancellation) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match (&failure, pauses.next()) {
            (Failure::Interrupted(_), Some(pause)) if !cancellation.is_cancelled() => thread::sleep(pause),
            _ => return Err(in_words(failure)),
        }
    }
}

fn send(
    address: &str,
    upload: &Upload<'_>,
    content_type: &str,
    cancellation: &Cancellation,
) -> Result<(), Failure> {
    let agent = http::agent(address)?;
    http::interruptible(&agent, cancellation, || {
        let request = agent.put(http::escape(address)).header(CONTENT_TYPE, content_type);
        let response = match upload {
            Upload::Bytes(bytes) => request.send(*bytes),
            Upload::File(path) => {
                let file = File::open(path).map_err(Failure::Write)?;
                let size = file.metadata().map_err(Failure::Write)?.len();
                request.header(CONTENT_LENGTH, size).send(file)
            }
        };
        judge_upload(response.map_err(http::request_failure)?.status())
    })
}
