//! What a person or a program sees of tests.

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{Mutex, MutexGuard},
};

use serde_json::{Value as Json, json};
use similar::{ChangeTag, TextDiff};
use zeval_evaluator::position::PosId;

use super::judge::Outcome;
use crate::{
    cli::Test,
    commands::{Context, Result},
    diagnostic::{self, Failed},
};

/// A test that was run.
pub struct Tested {
    /// Its name; empty for the file itself.
    pub name: String,
    /// Where it stands.
    pub pos: PosId,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

/// Tells of tests as they are run.
pub struct Report<'c> {
    context: &'c Context,
    json: bool,
    verbose: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: usize,
    failed: usize,
    objects: Vec<Json>,
}

impl<'c> Report<'c> {
    pub fn new(context: &'c Context, arguments: &Test) -> Report<'c> {
        Report { context, json: arguments.json, verbose: arguments.verbose, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Counts a test and tells of it.
    pub fn add(&self, file: &str, tested: Tested) {
        let passed = matches!(tested.outcome, Outcome::Passed);
        let mut state = self.state();
        match passed {
            true => state.passed += 1,
            false => state.failed += 1,
        }
        if self.json {
            state.objects.push(object(file, &tested));
            return;
        }
        if !passed || self.verbose {
            // Nobody reads on: that is no error of ours.
            let _ = std::io::stdout().write_all(self.text(file, &tested).as_bytes());
        }
    }

    fn text(&self, file: &str, tested: &Tested) -> String {
        let mark = if matches!(tested.outcome, Outcome::Passed) { "ok  " } else { "FAIL" };
        let place = match tested.pos.place() {
            Some(_) => zeval_evaluator::print::position(tested.pos),
            None => file.to_owned(),
        };
        let name = if tested.name.is_empty() { String::new() } else { format!("{} ", tested.name) };
        let mut out = format!("{mark} {name}({place})\n");
        let details = match &tested.outcome {
            Outcome::Passed => String::new(),
            Outcome::Differs { expected, got } => difference(expected, got),
            Outcome::Error(error) => self.context.shown(error, self.context.global.show_trace),
            Outcome::NoError { got } => format!("an error was expected, but the value is\n{got}"),
            Outcome::OtherError { wrong, error } => {
                format!("{wrong}\n{}", self.context.shown(error, self.context.global.show_trace))
            }
            Outcome::Malformed(reason) => reason.clone(),
        };
        for line in details.trim_end().lines() {
            let _ = writeln!(out, "{}", format!("     {line}").trim_end());
        }
        out
    }

    /// Sums up; it is an error if a test failed, or if there was none.
    pub fn finish(&self) -> Result<()> {
        let State { passed, failed, objects } = &*self.state();
        if self.json {
            println!("{}", Json::from(objects.clone()));
        } else if !self.context.global.quiet {
            println!("{passed} passed, {failed} failed");
        }
        match (passed, failed) {
            (0, 0) => Err(Failed::other("no test was run: none has such a name, or there is none")),
            (_, 0) => Ok(()),
            (_, 1) => Err(Failed::other("1 test failed")),
            (_, failed) => Err(Failed::other(format!("{failed} tests failed"))),
        }
    }
}

/// The lines of two printed values: what was expected and is not there behind `-`, what is there instead behind `+`.
fn difference(expected: &str, got: &str) -> String {
    if expected == got {
        return format!("  {got}\n(both print alike, but are not equal: functions never are)");
    }
    let mut out = String::from("- expected\n+ got\n");
    let diff = TextDiff::from_lines(expected, got);
    for (index, group) in diff.grouped_ops(3).iter().enumerate() {
        if index > 0 {
            out.push_str("  ...\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let _ = writeln!(out, "{sign} {}", change.value().trim_end_matches('\n'));
        }
    }
    out
}

fn object(file: &str, tested: &Tested) -> Json {
    let (status, details) = match &tested.outcome {
        Outcome::Passed => ("passed", json!({})),
        Outcome::Differs { expected, got } => ("failed", json!({ "expected": expected, "got": got })),
        Outcome::Error(error) => ("error", json!({ "error": diagnostic::object(error) })),
        Outcome::NoError { got } => ("failed", json!({ "message": "an error was expected", "got": got })),
        Outcome::OtherError { wrong, error } => {
            ("failed", json!({ "message": wrong, "error": diagnostic::object(error) }))
        }
        Outcome::Malformed(reason) => ("error", json!({ "message": reason })),
    };
    let mut object = json!({
        "name": tested.name,
        "file": file,
        "at": diagnostic::place(tested.pos),
        "status": status,
        "seconds": tested.seconds,
    });
    if let (Some(object), Json::Object(details)) = (object.as_object_mut(), details) {
        object.extend(details);
    }
    object
}
