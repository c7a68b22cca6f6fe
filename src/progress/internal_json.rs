//! What Nix's `--log-format internal-json` says: an object a line, for programs such as nix-output-monitor.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};
use zeval_builder::events::{ActivityId, ActivityKind, Event, Observer, Outcome};
use zeval_model::StorePath;

/// Kinds of activities, as libutil's `logging.hh` numbers them.
mod activity {
    pub const FILE_TRANSFER: u32 = 101;
    pub const REALISE: u32 = 102;
    pub const BUILDS: u32 = 104;
    pub const BUILD: u32 = 105;
}

/// Kinds of results.
mod result {
    pub const LOG_LINE: u32 = 101;
    pub const SET_PHASE: u32 = 104;
    pub const PROGRESS: u32 = 105;
    pub const SET_EXPECTED: u32 = 106;
}

/// How important something is.
mod level {
    pub const ERROR: u32 = 0;
    pub const WARN: u32 = 1;
    pub const INFO: u32 = 3;
    pub const TALKATIVE: u32 = 4;
    pub const DEBUG: u32 = 6;
}

/// Prints to standard error.
pub struct InternalJson {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the activities that stand for all were announced.
    begun: bool,
    expected: usize,
    done: usize,
    failed: usize,
    running: usize,
    builds: HashMap<ActivityId, Build>,
    /// Downloads under way, with their sizes.
    fetches: HashMap<ActivityId, u64>,
}

/// One that runs.
struct Build {
    drv: StorePath,
    name: String,
}

/// As Nix does, numbers say which process they are of.
fn id(number: u64) -> u64 {
    (u64::from(std::process::id()) << 32) + number
}

/// Above all numbers of activities that we are told of.
const OF_OURS: u64 = 1 << 24;

fn build(of: ActivityId) -> u64 {
    id(OF_OURS + 2 * u64::from(of.number()) + 2)
}

fn transfer(of: ActivityId) -> u64 {
    build(of) + 1
}

fn realise() -> u64 {
    id(1)
}

fn builds() -> u64 {
    id(2)
}

fn say(object: &Value) {
    eprintln!("@nix {object}");
}

fn start(id: u64, parent: u64, kind: u32, level: u32, text: &str, fields: Value) {
    say(&json!({
        "action": "start", "id": id, "parent": parent, "type": kind, "level": level, "text": text, "fields": fields,
    }));
}

fn stop(id: u64) {
    say(&json!({ "action": "stop", "id": id }));
}

fn tell(id: u64, kind: u32, fields: Value) {
    say(&json!({ "action": "result", "id": id, "type": kind, "fields": fields }));
}

fn message(level: u32, text: &str) {
    say(&json!({ "action": "msg", "level": level, "msg": text }));
}

impl InternalJson {
    /// A view that has said nothing yet.
    pub fn new() -> InternalJson {
        InternalJson { state: Mutex::default() }
    }
}

impl State {
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            start(realise(), 0, activity::REALISE, level::DEBUG, "", json!([]));
            start(builds(), realise(), activity::BUILDS, level::DEBUG, "", json!([]));
        }
    }

    fn progress(&self) {
        let counts = json!([self.done, self.expected, self.running, self.failed]);
        tell(builds(), result::PROGRESS, counts);
    }

    fn end_transfer(&mut self, of: ActivityId) {
        if self.fetches.remove(&of).is_some() {
            stop(transfer(of));
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Planned(planned) => {
                self.begin();
                self.expected += planned.len();
                tell(realise(), result::SET_EXPECTED, json!([activity::BUILDS, self.expected]));
                self.progress();
            }
            Event::Started { id, drv, name, kind } => {
                self.begin();
                self.running += 1;
                let text = match kind {
                    ActivityKind::Fetch => format!("fetching '{drv}'"),
                    ActivityKind::Unpack => format!("unpacking '{drv}'"),
                    ActivityKind::Build => format!("building '{drv}'"),
                };
                let fields = json!([drv.to_string(), "", 1, 1]);
                start(build(id), builds(), activity::BUILD, level::INFO, &text, fields);
                self.builds.insert(id, Build { drv, name });
                self.progress();
            }
            Event::Phase { id, phase } => tell(build(id), result::SET_PHASE, json!([phase])),
            Event::LogLine { id, line } => tell(build(id), result::LOG_LINE, json!([line])),
            Event::WaitingForLock { id, path } => {
                let name = self.builds.get(&id).map(|build| build.name.as_str()).unwrap_or_default();
                message(level::INFO, &format!("{name}: waiting for lock on '{path}'"));
            }
            Event::FetchStarted { id, url, total } => {
                self.end_transfer(id);
                self.fetches.insert(id, total.unwrap_or(0));
                let text = format!("downloading '{url}'");
                start(
                    transfer(id),
                    build(id),
                    activity::FILE_TRANSFER,
                    level::TALKATIVE,
                    &text,
                    json!([url]),
                );
            }
            Event::FetchProgress { id, bytes } => {
                let total = self.fetches.get(&id).copied().unwrap_or(0);
                tell(transfer(id), result::PROGRESS, json!([bytes, total, 0, 0]));
            }
            Event::FetchFinished { id, url, error } => {
                self.end_transfer(id);
                if let Some(error) = error {
                    message(level::WARN, &format!("unable to download '{url}': {error}"));
                }
            }
            Event::Finished { id, outcome, .. } => {
                self.end_transfer(id);
                stop(build(id));
                self.running = self.running.saturating_sub(1);
                match outcome {
                    Outcome::Built | Outcome::AlreadyThere => self.done += 1,
                    Outcome::Failed => {
                        self.failed += 1;
                        if let Some(build) = self.builds.get(&id) {
                            // What watches for it knows Nix's words; why it failed is told at the end.
                            let text =
                                format!("error: Cannot build '{}'.\n       Reason: it failed.", build.drv);
                            message(level::ERROR, &text);
                        }
                    }
                    Outcome::Cancelled => {}
                }
                self.builds.remove(&id);
                self.progress();
            }
            Event::Resolved { drv, to } => {
                message(level::INFO, &format!("resolved derivation: '{drv}' -> '{to}'..."));
            }
            Event::Dropped { .. } => {
                self.expected = self.expected.saturating_sub(1);
                self.progress();
            }
            Event::Warning { text } => message(level::WARN, &format!("warning: {text}")),
            Event::Kept { path, .. } => {
                message(level::INFO, &format!("note: keeping build directory '{}'", path.display()));
            }
        }
    }
}

impl super::View for InternalJson {}

impl Observer for InternalJson {
    fn event(&self, event: Event) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).event(event);
    }
}

impl Drop for InternalJson {
    fn drop(&mut self) {
        if self.state.get_mut().unwrap_or_else(PoisonError::into_inner).begun {
            stop(builds());
            stop(realise());
        }
    }
}
