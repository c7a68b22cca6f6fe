//! Receives the bytes that one address has, going on where an earlier transfer broke off.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::http::{self, Answer};
use super::partial::Partial;
use super::transfer::{Failure, Transfer};
use crate::events::Event;

/// How often an address is asked in a row to go on with a transfer that broke off.
const CONTINUATIONS: u32 = 20;
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Appends to `partial` what the file at `address` has beyond it.
pub(super) fn file(transfer: &Transfer<'_>, address: &str, partial: &mut Partial) -> Result<(), Failure> {
    match address.split_once(':').map(|(scheme, _)| scheme) {
        Some("http" | "https") => remote(transfer, address, partial),
        Some("file") => local(transfer, address, partial),
        Some(scheme) => Err(Failure::permanent(format!(
            "the scheme `{scheme}` is not known; known are http, https, file and mirror"
        ))),
        None => Err(Failure::permanent("it is no address: it has no scheme, such as https://")),
    }
}

fn local(transfer: &Transfer<'_>, address: &str, partial: &mut Partial) -> Result<(), Failure> {
    let path = file_path(address)?;
    let unreadable = |error: io::Error| Failure::permanent(format!("cannot read it: {error}"));
    let mut input = File::open(path).map_err(unreadable)?;
    let metadata = input.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Failure::permanent("it is no file"));
    }
    partial.clear().map_err(Failure::Write)?;
    append(transfer, address, Some(metadata.len()), &mut input, partial)
}

/// The path of `file:///PATH`, `file://localhost/PATH` or `file:/PATH`.
pub(super) fn file_path(address: &str) -> Result<PathBuf, Failure> {
    let rest = address.strip_prefix("file:").unwrap_or(address);
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.strip_prefix("localhost").unwrap_or(with_host),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err(Failure::permanent("it is no absolute path: it reads file:///PATH"));
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(percent_decode(path))))
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits =
            text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// As long as every answer brings some bytes, one that breaks off is followed by a request for the rest.
fn remote(transfer: &Transfer<'_>, address: &str, partial: &mut Partial) -> Result<(), Failure> {
    let mut validator = None;
    let mut continuations = 0;
    loop {
        let before = partial.length();
        match one_answer(transfer, address, partial, &mut validator) {
            Err(Failure::Interrupted(_)) if partial.length() > before && continuations < CONTINUATIONS => {
                continuations += 1;
                if transfer.expected.is_none() && validator.is_none() {
                    partial.clear().map_err(Failure::Write)?;
                }
            }
            ended => return ended,
        }
    }
}

fn one_answer(
    transfer: &Transfer<'_>,
    address: &str,
    partial: &mut Partial,
    validator: &mut Option<String>,
) -> Result<(), Failure> {
    // With a hash to check against, the rest may come from any version of the file.
    let condition = if transfer.expected.is_none() { validator.clone() } else { None };
    http::get(address, partial.length(), condition.as_deref(), transfer.cancellation, |answer| {
        let Answer { start, total, body, validator: given } = match answer {
            http::Outcome::Complete => return Ok(()),
            http::Outcome::Unusable => {
                partial.clear().map_err(Failure::Write)?;
                return Err(Failure::Interrupted("it has less than was fetched before".to_owned()));
            }
            http::Outcome::Answer(answer) => answer,
        };
        *validator = given;
        if start != partial.length() {
            partial.clear().map_err(Failure::Write)?;
        }
        append(transfer, address, total, body, partial)
    })
}

/// Appends what `input` gives and reports it; an error if that is not the `total` that was promised for the whole file.
fn append(
    transfer: &Transfer<'_>,
    address: &str,
    total: Option<u64>,
    input: &mut dyn Read,
    partial: &mut Partial,
) -> Result<(), Failure> {
    let id = transfer.id;
    transfer.observer.event(Event::FetchStarted { id, url: address.to_owned(), total });
    let progress =
        |partial: &Partial| transfer.observer.event(Event::FetchProgress { id, bytes: partial.length() });
    progress(partial);
    let mut reported = Instant::now();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        if transfer.cancellation.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let got = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(http::body_failure(error)),
        };
        partial.append(&buffer[..got]).map_err(Failure::Write)?;
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            progress(partial);
        }
    }
    progress(partial);
    match total {
        Some(total) if partial.length() < total => {
            Err(Failure::Interrupted(format!("it broke off after {} of {total} bytes", partial.length())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_file_addresses() {
        let cases: &[(&str, Option<&[u8]>)] = &[
            ("file:///a/b+c", Some(b"/a/b+c")),
            ("file://localhost/a", Some(b"/a")),
            ("file:/a", Some(b"/a")),
            ("file:///a%20b%ff%2", Some(b"/a b\xff%2")),
            ("file:///%\u{e9}", Some(b"/%\xc3\xa9")),
            ("file://host/a", None),
            ("file:a", None),
        ];
        for (address, expected) in cases {
            let path = file_path(address).ok().map(|path| path.into_os_string().into_vec());
            assert_eq!(path.as_deref(), *expected, "{address}");
        }
    }
}
