//! What runs at the moment, redrawn in place, with what is done and left below.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::{Duration, Instant},
};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use zeval_builder::{
    events::{ActivityId, ActivityKind, Event, Observer, Outcome},
    printable::printable,
    store::Effort,
};

const REDRAW: Duration = Duration::from_millis(120);

/// Builds that took less are over before their time is read.
const WORTH_TELLING: Duration = Duration::from_secs(3);

/// Draws on standard error.
pub struct Live {
    screen: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What builds took earlier, by their names.
    remembered: HashMap<String, Effort>,
    /// What those that are planned and not over took earlier, together.
    left: Duration,
    running: HashMap<ActivityId, Activity>,
    /// Those of them that are fetches of no derivation.
    sources: HashSet<ActivityId>,
    /// The last line, while there is something to do.
    summary: Option<ProgressBar>,
    planned: usize,
    done: usize,
    failed: usize,
}

struct Activity {
    started: Instant,
    bar: ProgressBar,
    kind: ActivityKind,
    name: String,
    phase: String,
}

impl Live {
    /// An empty screen.
    pub fn new() -> Live {
        Live { screen: MultiProgress::new(), state: Mutex::default() }
    }

    fn summary(&self, state: &mut State) -> ProgressBar {
        let new = || {
            let summary = self.screen.add(ProgressBar::new_spinner());
            summary.set_style(style("[{elapsed}] {wide_msg}"));
            summary.enable_steady_tick(REDRAW);
            summary
        };
        state.summary.get_or_insert_with(new).clone()
    }

    fn start(&self, state: &mut State, id: ActivityId, name: String, kind: ActivityKind) {
        let summary = self.summary(state);
        let bar = self.screen.insert_before(&summary, ProgressBar::new_spinner());
        let of = Some(state.remembered(&name))
            .filter(|time| *time >= WORTH_TELLING)
            .map(|time| format!(" of ~{}", super::seconds(time)));
        let of = of.unwrap_or_default();
        bar.set_style(style(&format!("{{spinner}} {{prefix:.bold}} {{elapsed:>4}}{of} {{wide_msg}}")));
        bar.set_prefix(short_enough(&name));
        bar.enable_steady_tick(REDRAW);
        state.running.insert(id, Activity { started: Instant::now(), bar, kind, name, phase: String::new() });
    }

    fn finish(&self, state: &mut State, id: ActivityId, outcome: &Outcome, elapsed: Duration) {
        let Some(activity) = state.running.remove(&id) else { return };
        activity.bar.finish_and_clear();
        state.left = state.left.saturating_sub(state.remembered(&activity.name));
        let elapsed = super::seconds(elapsed);
        match outcome {
            Outcome::Built => {
                state.done += 1;
                let verb = match activity.kind {
                    ActivityKind::Fetch => "fetched",
                    ActivityKind::Unpack => "unpacked",
                    ActivityKind::Build => "built",
                };
                let _ = self.screen.println(format!("✓ {verb} {} in {elapsed}", activity.name));
            }
            Outcome::AlreadyThere => state.done += 1,
            Outcome::Failed => {
                state.failed += 1;
                let _ = self.screen.println(format!("✗ {} failed after {elapsed}", activity.name));
            }
            Outcome::Cancelled => {}
        }
    }

    fn summarise(&self, state: &mut State) {
        let running = state.running.len();
        let waiting = state.planned.saturating_sub(state.done + state.failed + running);
        let mut text = format!("{running} running, {waiting} waiting, {} done", state.done);
        if state.failed > 0 {
            text.push_str(&format!(", {} failed", state.failed));
        }
        let left = state.estimate();
        if left >= WORTH_TELLING {
            text.push_str(&format!(", ~{} left", super::seconds(left)));
        }
        if running > 0 || waiting > 0 {
            self.summary(state).set_message(text);
        } else if let Some(summary) = state.summary.take() {
            summary.finish_and_clear();
        }
    }
}

impl State {
    /// What a build took earlier; nothing if it was never seen.
    fn remembered(&self, name: &str) -> Duration {
        self.remembered.get(name).map_or(Duration::ZERO, |effort| Duration::from_millis(effort.milliseconds))
    }

    /// How long it may still take, by what builds took earlier: all that is left shared among those that run, but no less
    /// than the longest of them still needs.
    fn estimate(&self) -> Duration {
        let rest = |activity: &Activity| {
            let elapsed = activity.started.elapsed();
            (self.remembered(&activity.name).saturating_sub(elapsed), elapsed)
        };
        let running: Vec<(Duration, Duration)> = self.running.values().map(rest).collect();
        let known = running.iter().zip(self.running.values());
        let spent: Duration =
            known.map(|((_, elapsed), activity)| (*elapsed).min(self.remembered(&activity.name))).sum();
        let longest = running.iter().map(|(rest, _)| *rest).max().unwrap_or_default();
        let side_by_side = u32::try_from(running.len().max(1)).unwrap_or(u32::MAX);
        (self.left.saturating_sub(spent) / side_by_side).max(longest)
    }
}

/// A name that leaves half of the terminal's line to what happens: a line that does not fit would be drawn again and again.
fn short_enough(name: &str) -> String {
    let room = usize::from(Term::stderr().size().1) / 2;
    if name.width() <= room {
        return name.to_owned();
    }
    let mut short = String::new();
    for letter in name.chars() {
        if short.width() + letter.width().unwrap_or(0) >= room {
            break;
        }
        short.push(letter);
    }
    format!("{short}…")
}

/// The end of an address, which tells most.
fn short_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl super::View for Live {
    fn remember(&self, efforts: HashMap<String, Effort>) {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remembered = efforts;
    }
}

impl Observer for Live {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match event {
            Event::Planned(planned) => {
                state.planned += planned.len();
                let known: Duration = planned.iter().map(|planned| state.remembered(&planned.name)).sum();
                state.left += known;
            }
            Event::Dropped { .. } => state.planned = state.planned.saturating_sub(1),
            Event::Started { id, name, kind, .. } => self.start(&mut state, id, name, kind),
            Event::Finished { id, outcome, elapsed } => self.finish(&mut state, id, &outcome, elapsed),
            Event::WaitingForLock { id, path } => {
                if let Some(activity) = state.running.get(&id) {
                    activity.bar.set_message(format!("waits for another process that makes {path}"));
                }
                return;
            }
            Event::Phase { id, phase } => {
                let phase = printable(&phase, false);
                if let Some(activity) = state.running.get_mut(&id) {
                    activity.bar.set_message(phase.clone());
                    activity.phase = phase;
                }
                return;
            }
            Event::LogLine { id, line } => {
                if let Some(activity) = state.running.get(&id) {
                    let separator = if activity.phase.is_empty() { "" } else { ": " };
                    let line = printable(&line, false);
                    activity.bar.set_message(format!("{}{separator}{line}", activity.phase));
                }
                return;
            }
            Event::FetchStarted { id, url, total } => {
                if !state.running.contains_key(&id) {
                    self.start(&mut state, id, short_name(&url), ActivityKind::Fetch);
                    state.sources.insert(id);
                }
                if let Some(activity) = state.running.get(&id) {
                    match total {
                        Some(total) => {
                            activity.bar.set_style(style(
                                "{spinner} {prefix:.bold} {elapsed:>4} {bytes}/{total_bytes} {bytes_per_sec} {wide_msg}",
                            ));
                            activity.bar.set_length(total);
                        }
                        None => activity.bar.set_style(style(
                            "{spinner} {prefix:.bold} {elapsed:>4} {bytes} {bytes_per_sec} {wide_msg}",
                        )),
                    }
                    activity.bar.set_message(printable(&url, false));
                }
                return;
            }
            Event::FetchProgress { id, bytes } => {
                if let Some(activity) = state.running.get(&id) {
                    activity.bar.set_position(bytes);
                }
                return;
            }
            Event::FetchFinished { id, url, error } => {
                if let Some(error) = error {
                    let _ = self.screen.println(format!("  {url} failed: {error}"));
                }
                if !state.sources.remove(&id) {
                    return;
                }
                if let Some(activity) = state.running.remove(&id) {
                    activity.bar.finish_and_clear();
                }
            }
            Event::Resolved { .. } => return,
            Event::Warning { text } => {
                let _ = self.screen.println(format!("warning: {text}"));
                return;
            }
            Event::Kept { path, .. } => {
                let _ = self.screen.println(format!("kept for you to look at: {}", path.display()));
                return;
            }
        }
        self.summarise(&mut state);
    }
}
