//! Errors as people read them: the place in their code, what was wrong there, and what may help.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode};
use zeval_evaluator::{
    ErrorKind, EvalError,
    position::{Origin, Place, PosId},
    print,
};

/// An error that ends a command.
pub enum Failed {
    /// In an expression.
    Evaluation(Box<EvalError>),
    /// In a build, with the exit status that `nix-build` has for it.
    Build { text: String, status: u8 },
    /// Anything else, in words.
    Other(String),
    /// The user interrupted.
    Cancelled,
}

impl From<Box<EvalError>> for Failed {
    fn from(error: Box<EvalError>) -> Failed {
        Failed::Evaluation(error)
    }
}

impl Failed {
    /// Anything that says in words what is wrong.
    pub fn other(error: impl fmt::Display) -> Failed {
        Failed::Other(error.to_string())
    }
}

/// The report of an evaluation's error.
pub fn report(error: &EvalError, show_trace: bool) -> String {
    let mut out = String::new();
    let report = Report::new(error, show_trace);
    let handler = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => GraphicalReportHandler::new(),
        false => GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor()),
    };
    if handler.render_report(&mut out, &report).is_err() {
        return format!("error: {}\n", message(error));
    }
    out
}

#[derive(Debug)]
struct Report {
    message: String,
    code: &'static str,
    source: Option<NamedSource<String>>,
    label: Option<LabeledSpan>,
    help: Option<String>,
}

impl Report {
    fn new(error: &EvalError, show_trace: bool) -> Report {
        let place = user_place(error);
        let label_text = label(error.kind);
        Report {
            message: message(error).to_owned(),
            code: code(error.kind),
            label: place
                .as_ref()
                .map(token)
                .map(|(offset, length)| LabeledSpan::new(Some(label_text.into()), offset, length)),
            source: place.map(|place| {
                let text = String::from_utf8_lossy(&place.source.text).into_owned();
                NamedSource::new(print::origin(&place.source.origin), text)
            }),
            help: help(error, show_trace),
        }
    }
}

/// The error's own place, or the innermost one in a file of the user's.
fn user_place(error: &EvalError) -> Option<Place> {
    let positions = std::iter::once(error.pos).chain(error.traces.iter().map(|trace| trace.pos));
    positions.filter_map(PosId::place).find(|place| !matches!(place.source.origin, Origin::Internal(_)))
}

/// What to underline, where it begins and its length in bytes: the word at the place, or the last byte of a text that
/// ends too early.
fn token(place: &Place) -> (usize, usize) {
    let text = &place.source.text;
    let offset = place.offset.min(text.len().saturating_sub(1));
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_'-".contains(byte);
    let word = text[offset..].iter().copied().take_while(is_of_word).count();
    (offset, word.max(1).min(text.len()))
}

fn label(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Throw => "thrown here",
        ErrorKind::Assertion => "this does not hold",
        ErrorKind::Abort => "aborted here",
        ErrorKind::UndefinedVariable => "not defined",
        ErrorKind::MissingAttribute => "no such attribute",
        ErrorKind::MissingArgument => "in this function",
        ErrorKind::InfiniteRecursion => "needs its own value",
        ErrorKind::StackOverflow => "calls nest too deeply here",
        ErrorKind::Syntax => "not expected here",
        ErrorKind::Type | ErrorKind::Restricted | ErrorKind::Usage | ErrorKind::World | ErrorKind::Eval => {
            "here"
        }
    }
}

fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Throw => "eval::throw",
        ErrorKind::Assertion => "eval::assertion",
        ErrorKind::Abort => "eval::abort",
        ErrorKind::Type => "eval::type",
        ErrorKind::UndefinedVariable => "eval::undefined_variable",
        ErrorKind::MissingAttribute => "eval::missing_attribute",
        ErrorKind::MissingArgument => "eval::arguments",
        ErrorKind::InfiniteRecursion => "eval::infinite_recursion",
        ErrorKind::StackOverflow => "eval::stack_overflow",
        ErrorKind::Syntax => "syntax",
        ErrorKind::Restricted => "eval::restricted",
        ErrorKind::Usage => "eval::word",
        ErrorKind::World => "world",
        ErrorKind::Eval => "eval",
    }
}

/// How many frames are told without `--show-trace`.
const FRAMES: usize = 4;

fn help(error: &EvalError, show_trace: bool) -> Option<String> {
    let mut lines = Vec::new();
    if !error.suggestions.is_empty() {
        lines.push(format!("did you mean {}?", error.suggestions.join(" or ")));
    }
    let told = if show_trace { error.traces.len() } else { FRAMES };
    for trace in error.traces.iter().take(told) {
        match trace.pos.is_some() {
            true => lines.push(format!("{} ({})", trace.text, print::position(trace.pos))),
            false => lines.push(trace.text.clone()),
        }
    }
    if error.traces.len() > told {
        lines.push(format!("... and {} more frames (--show-trace)", error.traces.len() - told));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.label
            .clone()
            .map(|label| Box::new(std::iter::once(label)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

/// The message without the colours and line breaks at its end that some of Nix's have.
fn message(error: &EvalError) -> &str {
    error.message.trim_end_matches("\u{1b}[0m").trim_end()
}
