//! A file that chrome://tracing and Perfetto show: what ran when, beside what, in which phase.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};
use zeval_builder::{
    events::{ActivityId, ActivityKind, Event, Observer, Outcome},
    store::Effort,
};

use super::View;

/// Another view, of which a trace is written besides.
pub struct Traced {
    shown: Arc<dyn View>,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: Vec<Value>,
    running: HashMap<ActivityId, Running>,
    /// Lanes that are in use. What runs at the same time is in different ones.
    lanes: BTreeSet<u64>,
}

struct Running {
    name: String,
    drv: String,
    kind: ActivityKind,
    lane: u64,
    since: u64,
    phase: Option<(String, u64)>,
}

impl Traced {
    /// The clock of the trace starts now.
    pub fn new(shown: Arc<dyn View>) -> Traced {
        Traced { shown, start: Instant::now(), state: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Writes what was seen so far.
    pub fn write(&self, file: &Path) -> Result<(), String> {
        let now = self.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let running: Vec<ActivityId> = state.running.keys().copied().collect();
        for id in running {
            state.finish(id, now, "unfinished");
        }
        let trace = json!({ "displayTimeUnit": "ms", "traceEvents": state.events });
        write_whole(file, &trace.to_string())
            .map_err(|error| format!("cannot write the trace '{}': {error}", file.display()))
    }
}

/// Never leaves half of a file.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    fs::write(&temporary, text)?;
    fs::rename(&temporary, file)
}

fn span(name: &str, category: &str, lane: u64, since: u64, until: u64, more: Value) -> Value {
    json!({
        "name": name, "cat": category, "ph": "X", "pid": 1, "tid": lane, "ts": since,
        "dur": until.saturating_sub(since), "args": more,
    })
}

impl State {
    fn begin(&mut self, id: ActivityId, name: &str, drv: String, kind: ActivityKind, now: u64) {
        let lane = (1..).find(|lane| !self.lanes.contains(lane)).unwrap_or(0);
        self.lanes.insert(lane);
        let name = name.to_owned();
        self.running.insert(id, Running { name, drv, kind, lane, since: now, phase: None });
    }

    fn phase(&mut self, id: ActivityId, next: Option<String>, now: u64) {
        let Some(running) = self.running.get_mut(&id) else { return };
        let ended = std::mem::replace(&mut running.phase, next.map(|name| (name, now)));
        if let Some((phase, since)) = ended {
            self.events.push(span(&phase, "phase", running.lane, since, now, json!({})));
        }
    }

    fn finish(&mut self, id: ActivityId, now: u64, outcome: &str) {
        self.phase(id, None, now);
        let Some(running) = self.running.remove(&id) else { return };
        self.lanes.remove(&running.lane);
        let kind = match running.kind {
            ActivityKind::Fetch => "fetch",
            ActivityKind::Unpack => "unpack",
            ActivityKind::Build => "build",
        };
        let more = json!({ "derivation": running.drv, "outcome": outcome });
        self.events.push(span(&running.name, kind, running.lane, running.since, now, more));
    }
}

impl View for Traced {
    fn remember(&self, efforts: HashMap<String, Effort>) {
        self.shown.remember(efforts);
    }

    fn stage(&self, text: &str) {
        self.shown.stage(text);
    }
}

impl Observer for Traced {
    fn event(&self, event: Event) {
        let now = self.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            Event::Started { id, drv, name, kind } => state.begin(*id, name, drv.to_string(), *kind, now),
            Event::Phase { id, phase } => state.phase(*id, Some(phase.clone()), now),
            Event::Finished { id, outcome, .. } => {
                let outcome = match outcome {
                    Outcome::Built => "built",
                    Outcome::AlreadyThere => "there already",
                    Outcome::Failed => "failed",
                    Outcome::Cancelled => "cancelled",
                };
                state.finish(*id, now, outcome);
            }
            _ => {}
        }
        drop(state);
        self.shown.event(event);
    }
}
