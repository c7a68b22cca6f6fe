//! One HTTP request: over TLS or a proxy if need be, with timeouts, and ended at once on the wish to stop.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED};
use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Timeout};

use super::error::Reason;
use super::resolve::{self, LookupError};
use super::transfer::Failure;
use super::{proxy, roots};
use crate::cancel::Cancellation;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the answer to begin, and between two pieces of it.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// As many as the client keeps of one host.
const MAX_ADDRESSES: usize = 16;
const USER_AGENT: &str = concat!("zeval/", env!("CARGO_PKG_VERSION"));

/// What a server says to the request for a file from a certain byte on.
pub(super) enum Outcome<'a> {
    Answer(Answer<'a>),
    /// It has just the bytes that are there already.
    Complete,
    /// It has fewer.
    Unusable,
}

/// A file, or the rest of one.
pub(super) struct Answer<'a> {
    /// Where in the file the body begins.
    pub start: u64,
    /// The size of the whole file, if the server says.
    pub total: Option<u64>,
    /// What to send with a later request so that it is for the same version of the file.
    pub validator: Option<String>,
    pub body: &'a mut dyn Read,
}

/// Asks for the file at `address` from byte `start` on, and lets `consume` have the answer. With `validator`, the rest is wanted
/// only of the same version of the file.
pub(super) fn get(
    address: &str,
    start: u64,
    validator: Option<&str>,
    cancellation: &Cancellation,
    consume: impl FnOnce(Outcome<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let agent = agent(address)?;
    interruptible(&agent, cancellation, || {
        let mut request = agent.get(escape(address)).header("accept-encoding", "identity");
        if start > 0 {
            request = request.header("range", format!("bytes={start}-"));
            if let Some(validator) = validator {
                request = request.header("if-range", validator);
            }
        }
        let mut response = request.call().map_err(request_failure)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let outcome = judge(status, &headers, start)?;
        match outcome {
            Judged::Complete => consume(Outcome::Complete),
            Judged::Unusable => consume(Outcome::Unusable),
            Judged::From { start, total } => {
                let validator = validator_of(&headers);
                let body: &mut Body = response.body_mut();
                consume(Outcome::Answer(Answer { start, total, validator, body: &mut body.as_reader() }))
            }
        }
    })
}

enum Judged {
    From { start: u64, total: Option<u64> },
    Complete,
    Unusable,
}

fn judge(status: StatusCode, headers: &HeaderMap, wanted: u64) -> Result<Judged, Failure> {
    let length = || text(headers, &CONTENT_LENGTH).and_then(|value| value.trim().parse::<u64>().ok());
    let described = || described(status);
    match status.as_u16() {
        206 => match text(headers, &CONTENT_RANGE).and_then(parse_content_range) {
            Some((start, total)) if start == wanted => Ok(Judged::From { start, total }),
            _ => Ok(Judged::Unusable),
        },
        200..300 => Ok(Judged::From { start: 0, total: length() }),
        416 => {
            let size = text(headers, &CONTENT_RANGE).and_then(|value| value.trim().strip_prefix("bytes */"));
            let complete = size.and_then(|size| size.parse::<u64>().ok()) == Some(wanted);
            Ok(if complete { Judged::Complete } else { Judged::Unusable })
        }
        // Some servers of files forbid what they do not have.
        403 | 404 | 410 => Err(Failure::Permanent(Reason::Absent(described()))),
        408 | 425 | 429 | 500..600 => Err(Failure::Interrupted(described())),
        _ => Err(Failure::permanent(described())),
    }
}

/// What the answer to a file that was sent means.
pub(super) fn judge_upload(status: StatusCode) -> Result<(), Failure> {
    match status.as_u16() {
        200..300 => Ok(()),
        408 | 425 | 429 | 500 | 502..505 => Err(Failure::Interrupted(described(status))),
        _ => Err(Failure::permanent(described(status))),
    }
}

fn described(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("the server says {} {reason}", status.as_u16()),
        None => format!("the server says {}", status.as_u16()),
    }
}

/// The first byte and the whole size of `bytes FIRST-LAST/SIZE`; the size may be `*`.
fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, size.trim().parse().ok()))
}

/// A strong entity tag, or else the date of the file.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, &ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(headers, &LAST_MODIFIED)).map(str::to_owned)
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn agent(address: &str) -> Result<Agent, Failure> {
    let secure = address.starts_with("https:");
    let scheme = if secure { "https" } else { "http" };
    // A redirection from http to https needs certificates too, so lack of them is only an error where they are sure to be needed.
    let certificates = match roots::roots() {
        Ok(certificates) => certificates,
        Err(reason) if secure => return Err(Failure::permanent(reason)),
        Err(_) => RootCerts::new_with_certs(&[]),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls =
        TlsConfig::builder().root_certs(certificates).unversioned_rustls_crypto_provider(provider).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy::of_environment(scheme).map_err(Failure::permanent)?)
        .user_agent(USER_AGENT)
        .http_status_as_error(false)
        .timeout_resolve(Some(RESOLVE_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(SILENCE_TIMEOUT))
        .timeout_per_read(Some(SILENCE_TIMEOUT))
        .timeout_per_write(Some(SILENCE_TIMEOUT))
        .build();
    Ok(match cfg!(target_feature = "crt-static") {
        true => Agent::with_parts(config, DefaultConnector::new(), OwnResolver),
        false => config.new_agent(),
    })
}

/// Looks hosts up as a static binary must.
#[derive(Debug)]
struct OwnResolver;

impl Resolver for OwnResolver {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default_port);
        let found = resolve::lookup(host).map_err(|error| match error {
            LookupError::NoSuchHost => ureq::Error::HostNotFound,
            LookupError::Failed(error) => {
                ureq::Error::Io(io::Error::new(io::ErrorKind::HostUnreachable, error))
            }
        })?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            addresses.push(SocketAddr::new(address, port));
        }
        Ok(addresses)
    }
}

/// Runs `work`, which uses `agent`, and cuts its connections if the wish to stop comes meanwhile.
pub(super) fn interruptible(
    agent: &Agent,
    cancellation: &Cancellation,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let result = thread::scope(|scope| {
        let (done, watch) = channel::<()>();
        let watcher = thread::Builder::new().name("fetch watcher".to_owned());
        let agent = agent.clone();
        let watched = watcher.spawn_scoped(scope, move || {
            while let Err(RecvTimeoutError::Timeout) = watch.recv_timeout(Duration::from_millis(100)) {
                if cancellation.is_cancelled() {
                    agent.shutdown();
                    return;
                }
            }
        });
        watched.map_err(|error| Failure::Interrupted(error.to_string()))?;
        let result = work();
        drop(done);
        result
    });
    if cancellation.is_cancelled() && result.is_err() { Err(Failure::Cancelled) } else { result }
}

/// Escapes what may not stand in an address, such as spaces and letters beyond ASCII.
pub(super) fn escape(address: &str) -> String {
    let mut escaped = String::with_capacity(address.len());
    for byte in address.bytes() {
        match byte {
            b'!' | b'#'..=b';' | b'=' | b'?'..=b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => {
                escaped.push(byte.into())
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// What a failure before the body means.
pub(super) fn request_failure(error: ureq::Error) -> Failure {
    use io::ErrorKind::{InvalidData, InvalidInput};
    match error {
        ureq::Error::HostNotFound => Failure::Unreachable("its host has no address".to_owned()),
        ureq::Error::ConnectionFailed => Failure::Unreachable("no connection to its host".to_owned()),
        ureq::Error::Timeout(timeout @ (Timeout::Resolve | Timeout::Connect)) => {
            Failure::Unreachable(silence(timeout))
        }
        ureq::Error::Timeout(timeout) => Failure::Interrupted(silence(timeout)),
        ureq::Error::ConnectProxyFailed(reason) => Failure::permanent(format!("the proxy refuses: {reason}")),
        ureq::Error::Io(error) if matches!(error.kind(), InvalidData | InvalidInput) => {
            Failure::permanent(error.to_string())
        }
        ureq::Error::Io(error) => io_failure(&error),
        other => Failure::permanent(other.to_string()),
    }
}

fn io_failure(error: &io::Error) -> Failure {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof => {
            Failure::Interrupted(error.to_string())
        }
        _ => Failure::Unreachable(error.to_string()),
    }
}

/// What a failure within the body means.
pub(super) fn body_failure(error: io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    Failure::Interrupted(match inner {
        Some(ureq::Error::Timeout(timeout)) => silence(*timeout),
        _ => format!("it broke off: {error}"),
    })
}

fn silence(timeout: Timeout) -> String {
    let seconds = match timeout {
        Timeout::Resolve => RESOLVE_TIMEOUT,
        Timeout::Connect => CONNECT_TIMEOUT,
        _ => SILENCE_TIMEOUT,
    }
    .as_secs();
    match timeout {
        Timeout::Resolve => format!("looking its host up took more than {seconds} s"),
        Timeout::Connect => format!("no connection to its host within {seconds} s"),
        _ => format!("its host said nothing for {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5, None)));
        for malformed in ["", "bytes", "bytes */10", "bytes 5/10", "items 5-9/10", "bytes x-9/10"] {
            assert_eq!(parse_content_range(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn addresses_are_escaped_once() {
        let plain = "https://user@example.org:80/a+b~c/%20?q=1&r=[2]#x";
        assert_eq!(escape(plain), plain);
        assert_eq!(escape("http://example.org/a b\u{e9}\"{}"), "http://example.org/a%20b%C3%A9%22%7B%7D");
    }
}
