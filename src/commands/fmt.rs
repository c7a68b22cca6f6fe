//! `zeval fmt`: texts in the standard layout.

use std::fmt::Write as _;

use serde_json::json;
use similar::TextDiff;
use zeval_editor::{
    files,
    format::{FormatError, format},
};

use super::{
    Context, Result,
    texts::{self, TROUBLE, Text},
};
use crate::{cli::Fmt, diagnostic::Failed};

/// The exit status with `--check` if a file is not formatted.
const UNFORMATTED: u8 = 1;

/// What happened to a text.
enum Outcome {
    /// It is in the standard layout.
    Formatted,
    /// It is not, or was not.
    Changed { before: String, after: String },
    /// It cannot be read, formatted or written.
    Failed(Trouble),
}

/// What is wrong with a text.
enum Trouble {
    Syntax { before: String, error: zeval_evaluator::syntax::error::SyntaxError },
    Other(String),
}

/// Runs the command.
pub fn run(context: &Context, arguments: &Fmt) -> Result<()> {
    let texts = texts::of(&arguments.paths)?;
    let is_written = !arguments.check && !arguments.diff;
    let outcomes = files::for_each(&texts, |text| {
        let outcome = outcome(text);
        match (&outcome, &text.file) {
            (Outcome::Changed { after, .. }, Some(file)) if is_written => match texts::replace(file, after) {
                Ok(()) => outcome,
                Err(error) => {
                    Outcome::Failed(Trouble::Other(format!("cannot write '{}': {error}", text.name)))
                }
            },
            _ => outcome,
        }
    })
    .map_err(|error| Failed::other(format!("cannot start threads: {error}")))?;
    tell(context, arguments, &texts, outcomes)
}

fn outcome(text: &Text) -> Outcome {
    let before = match text.read() {
        Ok(before) => before,
        Err(error) => return Outcome::Failed(Trouble::Other(error)),
    };
    match format(&before) {
        Ok(after) if after == before && text.file.is_some() => Outcome::Formatted,
        Ok(after) => Outcome::Changed { before, after },
        Err(FormatError::Syntax(error)) => Outcome::Failed(Trouble::Syntax { before, error }),
        Err(error) => Outcome::Failed(Trouble::Other(format!("{}: {error}", text.name))),
    }
}

/// Prints what happened, and ends with the status that says it.
fn tell(context: &Context, arguments: &Fmt, texts: &[Text], outcomes: Vec<Outcome>) -> Result<()> {
    let (mut changed, mut failed) = (Vec::new(), false);
    let mut out = String::new();
    for (text, outcome) in texts.iter().zip(outcomes) {
        match outcome {
            Outcome::Formatted => {}
            Outcome::Changed { before, after } => {
                let is_changed = before != after;
                if text.file.is_none() && !arguments.check && !arguments.diff && !arguments.json {
                    out.push_str(&after);
                } else if is_changed && arguments.diff {
                    let diff = TextDiff::from_lines(&before, &after);
                    let _ = write!(out, "{}", diff.unified_diff().header(&text.name, &text.name));
                }
                if is_changed {
                    changed.push(text.name.as_str());
                }
            }
            Outcome::Failed(trouble) => {
                failed = true;
                match trouble {
                    Trouble::Other(message) => eprintln!("error: {message}"),
                    Trouble::Syntax { before, error } => {
                        eprint!("{}", context.shown(&text.syntax_error(before, &error), false));
                    }
                }
            }
        }
    }
    if arguments.json {
        let _ = writeln!(out, "{}", json!(changed));
    } else if arguments.check && !arguments.diff {
        changed.iter().for_each(|name| _ = writeln!(out, "{name}"));
    }
    super::print(&out);
    let is_stdin = texts.iter().all(|text| text.file.is_none());
    if !is_stdin && !context.global.quiet && !arguments.json {
        let verb = if arguments.check || arguments.diff { "would change" } else { "changed" };
        eprintln!("{verb}: {} of {}", changed.len(), files_of(texts.len()));
    }
    match () {
        () if failed => Err(Failed::Program(TROUBLE)),
        () if arguments.check && !changed.is_empty() => Err(Failed::Program(UNFORMATTED)),
        () => Ok(()),
    }
}

fn files_of(count: usize) -> String {
    format!("{count} file{}", if count == 1 { "" } else { "s" })
}
