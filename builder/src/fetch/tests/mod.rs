//! Fetching from servers on this machine that are slow, broken or lie.

mod builtin;
mod server;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use zeval_model::{Algorithm, Hash};

use self::server::{Server, send, status};
use super::{FetchError, Fetched, Mirrors, Reason, Transfer};
use crate::cancel::Cancellation;
use crate::events::{ActivityId, Event, Observer};

const CONTENT: &[u8] = &[b'x'; 100_000];

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Where a test fetches to.
struct Place {
    root: tempfile::TempDir,
    mirrors: Mirrors,
    events: Recorder,
    cancellation: Cancellation,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("scratch")).unwrap();
        Place {
            root,
            mirrors: Mirrors::default(),
            events: Recorder::default(),
            cancellation: Cancellation::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn fetch(&self, addresses: &[String], expected: Option<Hash>) -> Result<Fetched, FetchError> {
        let transfer = Transfer {
            name: "thing",
            addresses,
            expected,
            mirrors: &self.mirrors,
            partial: &self.path("partial"),
            scratch: &self.path("scratch"),
            id: ActivityId::fresh(),
            observer: &self.events,
            cancellation: &self.cancellation,
        };
        transfer.run(&self.path("out"))
    }

    fn out(&self) -> Vec<u8> {
        fs::read(self.path("out")).unwrap()
    }

    /// What an earlier fetch of `CONTENT` that was killed has left.
    fn leave(&self, bytes: &[u8]) {
        fs::create_dir_all(self.path("partial")).unwrap();
        let name = format!("sha256-{}.part", Hash::of(Algorithm::Sha256, CONTENT).to_base16());
        fs::write(self.path("partial").join(name), bytes).unwrap();
    }

    fn left(&self) -> usize {
        fs::read_dir(self.path("partial")).map_or(0, |entries| entries.count())
    }
}

fn right() -> Option<Hash> {
    Some(Hash::of(Algorithm::Sha256, CONTENT))
}

fn reasons(error: FetchError) -> Vec<(String, String)> {
    match error {
        FetchError::NoAddressServes { attempts, .. } => {
            attempts.into_iter().map(|attempt| (attempt.address, attempt.reason.to_string())).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_with_its_progress() {
    let (server, place) = (Server::of(CONTENT), Place::new());
    let url = server.url("/a+b.tar");
    let fetched = place.fetch(std::slice::from_ref(&url), right()).unwrap();
    assert_eq!(fetched, Fetched { address: url.clone(), hash: right().unwrap(), size: 100_000 });
    assert_eq!(place.out(), CONTENT);
    assert_eq!(place.left(), 0);
    assert_eq!(server.requests()[0].path, "/a+b.tar");
    let events = place.events.0.lock().unwrap();
    assert!(matches!(&events[0], Event::FetchStarted { total: Some(100_000), .. }), "{events:?}");
    let last = &events[events.len() - 2..];
    assert!(matches!(last[0], Event::FetchProgress { bytes: 100_000, .. }), "{last:?}");
    assert!(matches!(&last[1], Event::FetchFinished { error: None, .. }), "{last:?}");
}

#[test]
fn redirections_are_followed() {
    let target = Server::of(CONTENT);
    let location = target.url("/there");
    let server = Server::new(move |_, stream| {
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
    });
    let place = Place::new();
    place.fetch(&[server.url("/here")], right()).unwrap();
    assert_eq!(target.requests()[0].path, "/there");
}

#[test]
fn the_next_address_serves_what_others_lack_or_lie_about() {
    let missing = Server::new(|_, stream| status(stream, "404 Not Found"));
    let lying = Server::of(b"something else");
    let good = Server::of(CONTENT);
    let mut place = Place::new();
    place.mirrors.add("local", &missing.url("/m"));
    place.mirrors.add("local", &good.url("/g"));
    let addresses = [lying.url("/a"), "mirror://local/b".to_owned(), "http://127.0.0.1:1/unused".to_owned()];
    let fetched = place.fetch(&addresses, right()).unwrap();
    assert_eq!(fetched.address, good.url("/g/b"));
    assert_eq!(place.out(), CONTENT);
    let failed = |event: &&Event| matches!(event, Event::FetchFinished { error: Some(_), .. });
    assert_eq!(place.events.0.lock().unwrap().iter().filter(failed).count(), 2);
}

#[test]
fn a_failure_names_every_address_and_its_reason() {
    let missing = Server::new(|_, stream| status(stream, "404 Not Found"));
    let lying = Server::of(b"something else");
    let place = Place::new();
    let addresses = [
        "mirror://nowhere/x".to_owned(),
        missing.url("/a"),
        lying.url("/b"),
        "http://127.0.0.1:1/c".to_owned(),
        "http://unknown.invalid/d".to_owned(),
        "ftp://example.org/e".to_owned(),
        format!("file://{}/f", place.path("").display()),
        "nonsense".to_owned(),
        "http://".to_owned(),
    ];
    let error = place.fetch(&addresses, right()).unwrap_err();
    let text = error.to_string();
    let got = Hash::of(Algorithm::Sha256, b"something else").to_sri();
    for address in &addresses {
        assert!(text.contains(address), "{text}\nlacks {address}");
    }
    for line in [
        format!("expected: {}", right().unwrap().to_sri()),
        format!("got:      {got}"),
        format!("hash = \"{got}\";"),
    ] {
        assert!(text.contains(&line), "{text}\nlacks {line}");
    }
    let words = [
        "ZEVAL_MIRRORS",
        "404 Not Found",
        "other contents",
        "refused",
        "",
        "`ftp`",
        "No such file",
        "no scheme",
        "",
    ];
    for ((address, reason), word) in reasons(error).into_iter().zip(words) {
        assert!(reason.contains(word), "{address}: {reason}");
    }
    assert_eq!(place.left(), 0, "nothing of use is left");
    assert!(!place.path("out").exists());
}

#[test]
fn without_a_hash_the_first_that_serves_counts() {
    let server = Server::of(CONTENT);
    let place = Place::new();
    let fetched = place.fetch(&[server.url("/a")], None).unwrap();
    assert_eq!(Some(fetched.hash), right());
}

#[test]
fn other_algorithms_and_files() {
    let place = Place::new();
    fs::write(place.path("a b"), CONTENT).unwrap();
    let expected = Hash::of(Algorithm::Blake3, CONTENT);
    let address = format!("file://{}", place.path("a%20b").display());
    assert_eq!(place.fetch(&[address], Some(expected)).unwrap().hash, expected);
    assert_eq!(place.out(), CONTENT);
    let folder = format!("file://{}", place.root.path().display());
    let reasons = reasons(place.fetch(&[folder], right()).unwrap_err());
    assert!(reasons[0].1.contains("no file"), "{reasons:?}");
}

#[test]
fn a_killed_fetch_goes_on_where_it_ended() {
    let (server, place) = (Server::of(CONTENT), Place::new());
    place.leave(&CONTENT[..40_000]);
    place.fetch(&[server.url("/a")], right()).unwrap();
    assert_eq!(place.out(), CONTENT);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].header("range"), Some("bytes=40000-"));
}

#[test]
fn a_fetch_killed_before_the_rename_asks_nobody() {
    let place = Place::new();
    place.leave(CONTENT);
    place.fetch(&["http://127.0.0.1:1/a".to_owned()], right()).unwrap();
    assert_eq!(place.out(), CONTENT);
}

#[test]
fn a_bad_beginning_is_thrown_away() {
    for left in [vec![b'y'; 40_000], vec![b'y'; 100_000], vec![b'x'; 100_001]] {
        let (server, place) = (Server::of(CONTENT), Place::new());
        place.leave(&left);
        place.fetch(&[server.url("/a")], right()).unwrap_or_else(|error| panic!("{}: {error}", left.len()));
        assert_eq!(place.out(), CONTENT);
    }
}

#[test]
fn servers_without_ranges_are_asked_for_all() {
    let server = Server::new(|_, stream| send(stream, 0, CONTENT, CONTENT.len()));
    let place = Place::new();
    place.leave(&CONTENT[..40_000]);
    place.fetch(&[server.url("/a")], right()).unwrap();
    assert_eq!(place.out(), CONTENT);
}

#[test]
fn a_transfer_that_breaks_off_is_gone_on_with() {
    // Each answer gives 30,000 bytes at most.
    let server = Server::new(|request, stream| {
        send(stream, request.start(), CONTENT, CONTENT.len().min(request.start() + 30_000));
    });
    let place = Place::new();
    place.fetch(&[server.url("/a")], right()).unwrap();
    assert_eq!(place.out(), CONTENT);
    let starts: Vec<usize> = server.requests().iter().map(server::Request::start).collect();
    assert_eq!(starts, [0, 30_000, 60_000, 90_000]);
}

#[test]
fn a_busy_server_is_asked_again_and_the_others_first() {
    let busy = Server::new(|request, stream| match request.number {
        0 | 1 => status(stream, "503 Service Unavailable"),
        _ => send(stream, 0, CONTENT, CONTENT.len()),
    });
    let missing = Server::new(|_, stream| status(stream, "404 Not Found"));
    let place = Place::new();
    place.fetch(&[busy.url("/a"), missing.url("/b")], right()).unwrap();
    assert_eq!((busy.requests().len(), missing.requests().len()), (3, 1));
}

#[test]
fn half_a_file_is_kept_for_another_time() {
    let server = Server::new(|request, stream| match request.number {
        0 => send(stream, 0, CONTENT, 50_000),
        _ => status(stream, "404 Not Found"),
    });
    let place = Place::new();
    place.fetch(&[server.url("/a")], right()).unwrap_err();
    assert_eq!(place.left(), 1);
    let good = Server::of(CONTENT);
    place.fetch(&[good.url("/a")], right()).unwrap();
    assert_eq!(good.requests()[0].start(), 50_000);
}

#[test]
fn the_wish_to_stop_ends_a_silent_transfer_at_once() {
    let server = Server::new(|_, stream| {
        send(stream, 0, CONTENT, 1000);
        thread::sleep(Duration::from_secs(20));
    });
    let place = Place::new();
    let cancellation = place.cancellation.clone();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            cancellation.cancel();
        });
        let error = place.fetch(&[server.url("/a")], right()).unwrap_err();
        assert!(matches!(error, FetchError::Cancelled { .. }), "{error}");
    });
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn many_at_once_and_two_of_the_same() {
    let server = Server::of(CONTENT);
    let place = Place::new();
    thread::scope(|scope| {
        for number in 0..16 {
            let (server, place) = (&server, &place);
            scope.spawn(move || {
                let scratch = place.path(&format!("scratch{number}"));
                fs::create_dir(&scratch).unwrap();
                let destination = place.path(&format!("out{number}"));
                let transfer = Transfer {
                    name: "thing",
                    addresses: &[server.url("/a")],
                    expected: right(),
                    mirrors: &place.mirrors,
                    partial: &place.path("partial"),
                    scratch: &scratch,
                    id: ActivityId::fresh(),
                    observer: &place.events,
                    cancellation: &place.cancellation,
                };
                transfer.run(&destination).unwrap();
                assert_eq!(fs::read(destination).unwrap(), CONTENT);
            });
        }
    });
}

#[test]
fn what_cannot_be_written_is_no_fault_of_the_addresses() {
    let server = Server::of(CONTENT);
    let place = Place::new();
    fs::write(place.path("partial"), "in the way").unwrap();
    let error = place.fetch(&[server.url("/a")], right()).unwrap_err();
    assert!(matches!(error, FetchError::Write { .. }), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_wrong_hash_is_told_by_both() {
    let server = Server::of(b"something else");
    let place = Place::new();
    let Err(FetchError::NoAddressServes { attempts, .. }) = place.fetch(&[server.url("/a")], right()) else {
        panic!("fetched")
    };
    let Reason::WrongHash(wrong) = &attempts[0].reason else { panic!("{attempts:?}") };
    assert_eq!(Some(wrong.expected), right());
    assert_eq!(wrong.got, Hash::of(Algorithm::Sha256, b"something else"));
}
