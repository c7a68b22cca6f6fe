//! A line an event, for logs and pipes.

use std::{
    collections::HashMap,
    io::IsTerminal,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use zeval_builder::{
    events::{ActivityId, ActivityKind, Event, Observer, Outcome, Planned},
    printable::printable,
};

/// Prints to standard error.
pub struct Plain {
    start: Instant,
    /// Whether it was told before what there is to do.
    has_plan: AtomicBool,
    names: Mutex<HashMap<ActivityId, String>>,
    /// Whether what builds print may be coloured.
    has_colours: bool,
}

impl Plain {
    /// A view whose clock starts now.
    pub fn new() -> Plain {
        Plain {
            start: Instant::now(),
            has_plan: AtomicBool::new(false),
            names: Mutex::default(),
            has_colours: std::io::stderr().is_terminal(),
        }
    }

    fn line(&self, text: &str) {
        eprintln!("[{:7.1}] {text}", self.start.elapsed().as_secs_f64());
    }

    fn name(&self, id: ActivityId) -> String {
        let names = self.names.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        names.get(&id).cloned().unwrap_or_default()
    }
}

/// How much there is to do of which kind.
fn counts(planned: &[Planned]) -> String {
    let kinds =
        [(ActivityKind::Fetch, "fetch"), (ActivityKind::Unpack, "unpack"), (ActivityKind::Build, "build")];
    let counts = kinds.map(|(kind, verb)| {
        let count = planned.iter().filter(|planned| planned.kind == kind).count();
        (count > 0).then(|| format!("{count} to {verb}"))
    });
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl super::View for Plain {}

impl Observer for Plain {
    fn event(&self, event: Event) {
        match event {
            Event::Planned(planned) if !planned.is_empty() => {
                let more = if self.has_plan.swap(true, Ordering::Relaxed) { "more " } else { "" };
                self.line(&format!("{more}to do: {}", counts(&planned)));
            }
            Event::Started { id, name, kind, .. } => {
                let verb = match kind {
                    ActivityKind::Fetch => "fetching",
                    ActivityKind::Unpack => "unpacking",
                    ActivityKind::Build => "building",
                };
                self.line(&format!("{verb} {name}"));
                self.names.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(id, name);
            }
            Event::WaitingForLock { id, path } => {
                self.line(&format!("{}: waiting for another process that makes {path}", self.name(id)));
            }
            Event::Phase { id, phase } => {
                self.line(&format!("{}: {}", self.name(id), printable(&phase, false)));
            }
            Event::LogLine { id, line } => {
                self.line(&format!("{}> {}", self.name(id), printable(&line, self.has_colours)));
            }
            Event::FetchFinished { id, url, error: Some(error) } => {
                self.line(&format!("{}: {url} failed: {error}", self.name(id)));
            }
            Event::Finished { id, outcome, elapsed } => {
                let how = match outcome {
                    Outcome::Built => "done",
                    Outcome::AlreadyThere => "there already",
                    Outcome::Failed => "FAILED",
                    Outcome::Cancelled => "cancelled",
                };
                self.line(&format!("{}: {how} after {}", self.name(id), super::seconds(elapsed)));
            }
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            Event::Kept { path, .. } => self.line(&format!("kept for you to look at: {}", path.display())),
            _ => {}
        }
    }
}
