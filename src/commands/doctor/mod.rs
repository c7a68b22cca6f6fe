//! `zeval doctor`: what this machine lacks, and how to mend it.

mod checks;

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Context, Result};
use crate::{cli::Doctor, diagnostic::Failed};

/// The exit status if something is lacking without which nothing builds.
const LACKING: u8 = 1;

/// How a part of the machine is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it must be.
    Good,
    /// It works, but less well than it could.
    Warning,
    /// Builds, or evaluations, fail.
    Bad,
}

/// What was found of a part of the machine.
struct Check {
    name: &'static str,
    state: State,
    /// What was seen.
    found: String,
    /// How to mend it.
    remedy: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, found: impl Into<String>) -> Check {
        Check { name, state, found: found.into(), remedy: None }
    }

    fn with_remedy(mut self, remedy: impl Into<String>) -> Check {
        if self.state != State::Good {
            self.remedy = Some(remedy.into());
        }
        self
    }
}

/// Runs the command.
pub fn run(context: &Context, arguments: &Doctor) -> Result<()> {
    let folder = context.global.store.clone().or_else(crate::store::default_folder);
    let checks = checks::all(folder.as_deref());
    let text = match arguments.json {
        true => format!("{}\n", checks.iter().map(object).collect::<Json>()),
        false => checks.iter().map(line).collect(),
    };
    super::print(&text);
    match checks.iter().any(|check| check.state == State::Bad) {
        true => Err(Failed::Program(LACKING)),
        false => Ok(()),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Warning => "warning",
        State::Bad => "bad",
    }
}

fn object(check: &Check) -> Json {
    json!({ "name": check.name, "state": word(check.state), "found": check.found, "remedy": check.remedy })
}

fn line(check: &Check) -> String {
    let mut text = format!("{:8}{}: {}\n", word(check.state), check.name, check.found);
    for line in check.remedy.iter().flat_map(|remedy| remedy.lines()) {
        let _ = writeln!(text, "        {line}");
    }
    text
}
