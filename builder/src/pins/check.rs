//! Asks every address of pins whether it still has what the pin says.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use zeval_model::Hash;

use super::{Context, Pin};
use crate::events::ActivityId;
use crate::fetch::{FetchError, Fetched, Transfer};

/// What one address of a pin has.
#[derive(Debug)]
pub struct AddressCheck<'a> {
    pub pin: &'a Pin,
    /// As the pin has it. A `mirror://` address is good if one of the machine's mirrors is.
    pub address: &'a str,
    pub result: Result<Fetched, FetchError>,
}

/// Fetches from every address of every pin, several at once, and keeps nothing. In the order of the pins and their addresses.
pub fn check<'a>(pins: &'a [Pin], context: &Context<'_>) -> Vec<AddressCheck<'a>> {
    let questions: Vec<(&Pin, &String)> =
        pins.iter().flat_map(|pin| pin.addresses().map(move |address| (pin, address))).collect();
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(questions.len()));
    thread::scope(|scope| {
        for _ in 0..context.jobs.clamp(1, questions.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((pin, address)) = questions.get(index) else { break };
                    let folder = context.scratch.join(format!("check-{index}"));
                    let result = fetch(&pin.file, &[address.as_str()], Some(pin.hash), &folder, context);
                    // What is left is in the caller's folder.
                    let _ = fs::remove_dir_all(&folder);
                    let answer = AddressCheck { pin, address, result };
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Fetches to a file in `folder`, which does not exist yet.
pub(super) fn fetch(
    name: &str,
    addresses: &[&str],
    expected: Option<Hash>,
    folder: &Path,
    context: &Context<'_>,
) -> Result<Fetched, FetchError> {
    fs::create_dir(folder).map_err(|error| FetchError::Write { name: name.to_owned(), error })?;
    let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
    let transfer = Transfer {
        name,
        addresses: &addresses,
        expected,
        mirrors: context.mirrors,
        partial: &folder.join("partial"),
        scratch: folder,
        id: ActivityId::fresh(),
        observer: context.observer,
        cancellation: context.cancellation,
    };
    transfer.run(&folder.join("file"))
}
