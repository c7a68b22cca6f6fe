//! What one address has, with what the server says about it: for sources that are not known by hash beforehand.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use ureq::ResponseExt;
use ureq::http::header::{ETAG, HeaderName};

use super::http;
use super::receive::file_path;
use super::transfer::Failure;
use crate::cancel::Cancellation;
use crate::events::{ActivityId, Event, Observer};

/// What is waited before an address is asked again that might serve later.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];
/// A body that is shown with an error is shorter.
const MAX_SHOWN: u64 = 1024;

/// A file to fetch from one address.
pub struct Download<'a> {
    /// An http, https or file address.
    pub address: &'a str,
    /// Further headers of the request, such as one with a token.
    pub headers: &'a [(String, String)],
    /// The entity tag of what is there already: the server may say that it has not changed.
    pub known: Option<&'a str>,
    pub observer: &'a dyn Observer,
    pub cancellation: &'a Cancellation,
}

/// What the server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The server says that what is known is still so, and sent nothing.
    pub unchanged: bool,
    /// The entity tag; empty if there is none.
    pub tag: String,
    /// An address that will always have just this.
    pub immutable: Option<String>,
    /// Where the file came from after all redirections.
    pub address: String,
}

/// A file that was not fetched.
#[derive(Debug, Error)]
pub enum DownloadError {
    #[error("unable to download '{address}': HTTP error {status}{}", shown_body(body))]
    Status { address: String, status: u16, body: String },
    #[error("unable to download '{address}': {reason}")]
    Failed { address: String, reason: String },
    #[error("cannot write what is downloaded: {0}")]
    Write(#[source] io::Error),
    #[error("interrupted")]
    Cancelled,
}

fn shown_body(body: &str) -> String {
    if body.is_empty() {
        String::new()
    } else {
        format!("\n\nresponse body:\n\n{}", body.trim_end_matches('\n'))
    }
}

impl Download<'_> {
    /// Fetches the file to `destination`, which is written over.
    pub fn run(&self, destination: &Path) -> Result<Served, DownloadError> {
        if self.address.starts_with("file:") {
            return self.copy(destination);
        }
        let mut pauses = PAUSES.iter();
        loop {
            let result = self.ask(destination);
            let may_yet_serve = match &result {
                Err(DownloadError::Status { status, .. }) => matches!(status, 408 | 425 | 429 | 500..600),
                Err(DownloadError::Failed { .. }) => true,
                _ => false,
            };
            match pauses.next() {
                Some(pause) if may_yet_serve && !self.cancellation.is_cancelled() => thread::sleep(*pause),
                _ => return result,
            }
        }
    }

    fn failed(&self, reason: impl ToString) -> DownloadError {
        DownloadError::Failed { address: self.address.to_owned(), reason: reason.to_string() }
    }

    fn of_failure(&self, failure: Failure) -> DownloadError {
        match failure {
            Failure::Permanent(reason) => self.failed(reason),
            Failure::Unreachable(reason) | Failure::Interrupted(reason) => self.failed(reason),
            Failure::Write(error) => DownloadError::Write(error),
            Failure::Cancelled => DownloadError::Cancelled,
        }
    }

    fn copy(&self, destination: &Path) -> Result<Served, DownloadError> {
        let address = self.address.split(['?', '#']).next().unwrap_or(self.address);
        let path = file_path(address).map_err(|failure| self.of_failure(failure))?;
        let unreadable = |_: io::Error| {
            // As curl puts it.
            self.failed(format!("Could not read a file:// file (37) Could not open file {}", path.display()))
        };
        let mut source = File::open(&path).map_err(unreadable)?;
        let mut target = File::create(destination).map_err(DownloadError::Write)?;
        io::copy(&mut source, &mut target).map_err(unreadable)?;
        Ok(Served { address: self.address.to_owned(), ..Served::default() })
    }

    fn ask(&self, destination: &Path) -> Result<Served, DownloadError> {
        let agent = http::agent(self.address).map_err(|failure| self.of_failure(failure))?;
        let mut result = None;
        let ended = http::interruptible(&agent, self.cancellation, || {
            let mut request = agent.get(http::escape(self.address));
            for (name, value) in self.headers {
                request = request.header(name, value);
            }
            if let Some(tag) = self.known.filter(|tag| !tag.is_empty()) {
                request = request.header("if-none-match", tag);
            }
            let mut response = request.call().map_err(http::request_failure)?;
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let header = |name: &HeaderName| http::text(&headers, name).map(str::to_owned);
            let served = Served {
                unchanged: status == 304,
                tag: header(&ETAG).unwrap_or_default(),
                immutable: header(&HeaderName::from_static("link")).and_then(|link| immutable_address(&link)),
                address: response.get_uri().to_string(),
            };
            let mut body = response.body_mut().as_reader();
            if !matches!(status, 200..300 | 304) {
                let mut text = Vec::new();
                // What cannot be read is not shown.
                let _ = (&mut body).take(MAX_SHOWN).read_to_end(&mut text);
                let shown = if text.len() < MAX_SHOWN as usize { text } else { Vec::new() };
                result = Some(Err(DownloadError::Status {
                    address: self.address.to_owned(),
                    status,
                    body: String::from_utf8_lossy(&shown).into_owned(),
                }));
                return Ok(());
            }
            if !served.unchanged {
                let total =
                    headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
                self.receive(&mut body, total, destination)?;
            }
            result = Some(Ok(served));
            Ok(())
        });
        ended.map_err(|failure| self.of_failure(failure))?;
        result.unwrap_or(Err(DownloadError::Cancelled))
    }

    fn receive(&self, body: &mut dyn Read, total: Option<u64>, destination: &Path) -> Result<(), Failure> {
        let id = ActivityId::fresh();
        let url = self.address.to_owned();
        self.observer.event(Event::FetchStarted { id, url: url.clone(), total });
        let mut target = File::create(destination).map_err(Failure::Write)?;
        let mut buffer = vec![0; 128 * 1024];
        let mut bytes = 0;
        loop {
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => {
                    target.write_all(&buffer[..got]).map_err(Failure::Write)?;
                    bytes += got as u64;
                    self.observer.event(Event::FetchProgress { id, bytes });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(http::body_failure(error)),
            }
        }
        self.observer.event(Event::FetchFinished { id, url, error: None });
        Ok(())
    }
}

/// The address in `<ADDRESS>; rel="immutable"`.
fn immutable_address(link: &str) -> Option<String> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.eq_ignore_ascii_case("; rel=\"immutable\"").then(|| address.to_owned())
}
