//! One file from one of several addresses: which address is asked when, and what its answer is worth.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use zeval_model::Hash;

use super::error::{Attempt, FetchError, Reason, WrongHash};
use super::mirrors::Mirrors;
use super::partial::Partial;
use super::receive;
use crate::cancel::Cancellation;
use crate::events::{ActivityId, Event, Observer};

/// What is waited before the addresses are asked again that might serve later.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(6)];
/// How often an address is asked of which nothing can be had: with no network, the error should come soon.
const ASKED_UNREACHABLE: usize = 2;

/// A file to fetch.
pub struct Transfer<'a> {
    /// For messages.
    pub name: &'a str,
    /// http, https, file and mirror addresses, in the order in which to try them.
    pub addresses: &'a [String],
    /// What the bytes of the file must hash to; an address that has others is passed over.
    pub expected: Option<Hash>,
    pub mirrors: &'a Mirrors,
    /// A folder that lasts, where a transfer with a known hash can be gone on with after a crash.
    pub partial: &'a Path,
    /// An existing folder that is the caller's to remove.
    pub scratch: &'a Path,
    pub id: ActivityId,
    pub observer: &'a dyn Observer,
    pub cancellation: &'a Cancellation,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The address that served, with its mirror resolved.
    pub address: String,
    /// By the expected hash's algorithm, or SHA-256.
    pub hash: Hash,
    /// In bytes.
    pub size: u64,
}

/// Why one address did not serve once.
#[derive(Debug)]
pub(super) enum Failure {
    /// It never will.
    Permanent(Reason),
    /// Nothing could be had from it; perhaps it is down for a moment.
    Unreachable(String),
    /// It broke off or was too busy.
    Interrupted(String),
    /// The file cannot be written.
    Write(io::Error),
    Cancelled,
}

impl Failure {
    pub(super) fn permanent(reason: impl Into<String>) -> Failure {
        Failure::Permanent(Reason::Failed(reason.into()))
    }
}

/// What is done with a file that has the expected hash. Whoever does it can pass the address over.
pub(super) type Accept<'a> = dyn FnMut(Partial) -> Result<(), Failure> + 'a;

/// An address, and what came of it so far.
struct Candidate {
    address: String,
    asked: usize,
    reason: Option<Reason>,
    /// Whether it may yet serve.
    open: bool,
}

impl Transfer<'_> {
    /// Fetches the file to `destination`, which must not exist. Blocks.
    pub fn run(&self, destination: &Path) -> Result<Fetched, FetchError> {
        self.run_with(&mut |partial| partial.finish(destination).map_err(Failure::Write))
    }

    /// Fetches the file and gives it to `accept`.
    pub(super) fn run_with(&self, accept: &mut Accept<'_>) -> Result<Fetched, FetchError> {
        let mut candidates = self.candidates();
        let mut partial = None;
        for pause in std::iter::once(Duration::ZERO).chain(PAUSES) {
            self.wait(pause)?;
            for candidate in candidates.iter_mut().filter(|candidate| candidate.open) {
                candidate.asked += 1;
                match self.ask(&candidate.address, &mut partial, accept) {
                    Ok(fetched) => return Ok(fetched),
                    Err(failure) => self.note(candidate, failure)?,
                }
            }
            if !candidates.iter().any(|candidate| candidate.open) {
                break;
            }
        }
        if let Some(partial) = partial.filter(|partial| partial.length() == 0) {
            partial.discard();
        }
        let attempts = candidates
            .into_iter()
            .filter_map(|candidate| Some(Attempt { address: candidate.address, reason: candidate.reason? }));
        Err(FetchError::NoAddressServes { name: self.name.to_owned(), attempts: attempts.collect() })
    }

    /// The addresses with mirrors resolved, none twice.
    fn candidates(&self) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for address in self.addresses {
            let (resolved, reason) = match self.mirrors.resolve(address) {
                Ok(resolved) => (resolved, None),
                Err(error) => (vec![address.clone()], Some(Reason::Failed(error.to_string()))),
            };
            for address in resolved {
                if !candidates.iter().any(|candidate| candidate.address == address) {
                    let open = reason.is_none();
                    candidates.push(Candidate { address, asked: 0, reason: reason.clone(), open });
                }
            }
        }
        candidates
    }

    /// Remembers what came of asking an address; an error if no address can help.
    fn note(&self, candidate: &mut Candidate, failure: Failure) -> Result<(), FetchError> {
        let name = || self.name.to_owned();
        let (reason, open) = match failure {
            Failure::Write(error) => return Err(FetchError::Write { name: name(), error }),
            Failure::Cancelled => return Err(FetchError::Cancelled { name: name() }),
            Failure::Permanent(reason) => (reason, false),
            Failure::Unreachable(reason) => (Reason::Failed(reason), candidate.asked < ASKED_UNREACHABLE),
            Failure::Interrupted(reason) => (Reason::Failed(reason), true),
        };
        self.observer.event(Event::FetchFinished {
            id: self.id,
            url: candidate.address.clone(),
            error: Some(reason.to_string()),
        });
        candidate.open = open;
        candidate.reason = Some(reason);
        Ok(())
    }

    fn wait(&self, pause: Duration) -> Result<(), FetchError> {
        let start = Instant::now();
        while start.elapsed() < pause && !self.cancellation.is_cancelled() {
            thread::sleep(Duration::from_millis(50).min(pause));
        }
        match self.cancellation.is_cancelled() {
            true => Err(FetchError::Cancelled { name: self.name.to_owned() }),
            false => Ok(()),
        }
    }

    /// Fetches from one address, checks the hash, and hands the file on.
    fn ask(
        &self,
        address: &str,
        kept: &mut Option<Partial>,
        accept: &mut Accept<'_>,
    ) -> Result<Fetched, Failure> {
        let mut partial = match kept.take() {
            Some(partial) => partial,
            None => Partial::open(self.partial, self.scratch, self.expected).map_err(Failure::Write)?,
        };
        let filled = self.fill(address, &mut partial);
        if let Err(failure) = filled {
            *kept = Some(partial);
            return Err(failure);
        }
        let (hash, size) = (partial.hash(), partial.length());
        accept(partial)?;
        self.observer.event(Event::FetchFinished { id: self.id, url: address.to_owned(), error: None });
        Ok(Fetched { address: address.to_owned(), hash, size })
    }

    /// Fetches from one address until the file has the expected hash.
    fn fill(&self, address: &str, partial: &mut Partial) -> Result<(), Failure> {
        let Some(expected) = self.expected else {
            // What another address gave need not be the beginning of what this one has.
            partial.clear().map_err(Failure::Write)?;
            return receive::file(self, address, partial);
        };
        let resumed = partial.length() > 0;
        // A process may have died between the last byte and the rename.
        if resumed && partial.hash() == expected {
            return Ok(());
        }
        receive::file(self, address, partial)?;
        if partial.hash() != expected && resumed {
            // The beginning came from elsewhere, and may be what is wrong.
            partial.clear().map_err(Failure::Write)?;
            receive::file(self, address, partial)?;
        }
        let got = partial.hash();
        if got == expected {
            return Ok(());
        }
        partial.clear().map_err(Failure::Write)?;
        Err(Failure::Permanent(Reason::WrongHash(Box::new(WrongHash { expected, got }))))
    }
}
