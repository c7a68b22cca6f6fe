//! Errors as people read them: the place in their code, what was wrong there, and what may help.

use std::{collections::HashSet, fmt, path::PathBuf};

use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, Severity, SourceCode};
use serde_json::json;
use zeval_evaluator::{
    ErrorKind, EvalError,
    eval::error::Trace,
    position::{Origin, Place, PosId},
    print,
    text::raw,
};

/// An error that ends a command.
pub enum Failed {
    /// In an expression.
    Evaluation(Box<EvalError>),
    /// In a build, with the exit status that `nix-build` has for it.
    Build { text: String, status: u8 },
    /// In a program of the user's own, which has said what is wrong: its exit status.
    Program(u8),
    /// Anything else, in words.
    Other(String),
    /// The user interrupted.
    Cancelled,
}

impl From<Box<EvalError>> for Failed {
    fn from(error: Box<EvalError>) -> Failed {
        match error.kind {
            ErrorKind::Interrupted => Failed::Cancelled,
            _ => Failed::Evaluation(error),
        }
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

/// An error for programs: one line of JSON.
pub fn json(error: &EvalError) -> String {
    format!("{}\n", object(error))
}

/// A position for programs; null if there is none.
pub fn place(pos: PosId) -> serde_json::Value {
    pos.place().map_or(serde_json::Value::Null, |place| {
        let file = print::origin(&place.source.origin);
        json!({ "file": file, "line": place.line, "column": place.column })
    })
}

/// An error for programs.
pub fn object(error: &EvalError) -> serde_json::Value {
    let frame = |trace: &Trace| json!({ "text": raw::lossy(&trace.text), "at": place(trace.pos) });
    json!({
        "code": code(error.kind),
        "message": raw::lossy(&error.message),
        "at": place(error.pos),
        "suggestions": error.suggestions,
        "advice": error.advice,
        "frames": error.traces.iter().map(frame).collect::<Vec<_>>(),
        "status": error.status,
    })
}

#[derive(Debug)]
struct Report {
    message: String,
    code: Option<&'static str>,
    severity: Severity,
    source: Option<NamedSource<String>>,
    label: Option<LabeledSpan>,
    help: Option<String>,
    /// Where it happened, if that is not in the user's own code.
    cause: Option<Box<Report>>,
}

impl Report {
    fn new(error: &EvalError, show_trace: bool) -> Report {
        let own = OwnCode::new();
        let shown = own.first(error);
        let origin = origin(error);
        let at_error = shown.as_ref().is_none_or(|shown| shown.pos == origin);
        let text = match &shown {
            Some(shown) if !at_error => shown.text.clone(),
            _ => label(error.kind).to_owned(),
        };
        let place = shown.as_ref().and_then(|shown| shown.pos.place());
        let cause = (!at_error).then(|| cause(error, origin)).map(Box::new);
        let skipped = shown.filter(|_| !at_error).map(|shown| shown.pos);
        Report {
            help: help(error, show_trace, &own, skipped),
            cause,
            ..Report::at(place, message(error).to_owned(), Some(code(error.kind)), text)
        }
    }

    fn at(place: Option<Place>, message: String, code: Option<&'static str>, label: String) -> Report {
        let span = place.as_ref().map(token);
        Report {
            message,
            code,
            severity: Severity::Error,
            label: span.map(|(offset, length)| LabeledSpan::new(Some(label), offset, length)),
            source: place.map(|place| {
                let text = String::from_utf8_lossy(&place.source.text).into_owned();
                NamedSource::new(print::origin(&place.source.origin), text)
            }),
            help: None,
            cause: None,
        }
    }
}

/// The place of the error itself: its own, or that of the innermost frame that has one.
fn origin(error: &EvalError) -> PosId {
    let positions = std::iter::once(error.pos).chain(error.traces.iter().map(|trace| trace.pos));
    let located = |pos: &PosId| pos.place().is_some_and(|place| !is_internal(&place));
    positions.into_iter().find(located).unwrap_or(PosId::NONE)
}

/// Where the error happened, as a report of its own below that of the user's code.
fn cause(error: &EvalError, origin: PosId) -> Report {
    let message = "the error itself is here".into();
    let report = Report::at(origin.place(), message, None, label(error.kind).to_owned());
    Report { severity: Severity::Advice, ..report }
}

fn is_internal(place: &Place) -> bool {
    matches!(place.source.origin, Origin::Internal(_))
}

/// Tells the user's own code from libraries.
struct OwnCode {
    folder: Option<PathBuf>,
}

impl OwnCode {
    fn new() -> OwnCode {
        OwnCode { folder: std::env::current_dir().ok() }
    }

    /// What was typed and what is in the current folder.
    fn has(&self, place: &Place) -> bool {
        match &place.source.origin {
            Origin::File(path) => self.folder.as_ref().is_some_and(|folder| path.starts_with(folder)),
            Origin::String | Origin::Stdin => true,
            Origin::Internal(_) => false,
        }
    }

    /// The innermost place in the user's own code, with what was being done there; else the innermost one at all.
    fn first(&self, error: &EvalError) -> Option<Trace> {
        let own = Trace { pos: error.pos, text: String::new(), always: false };
        let all: Vec<&Trace> = std::iter::once(&own).chain(&error.traces).collect();
        let has = |wanted: &dyn Fn(&Place) -> bool| {
            all.iter().find(|trace| trace.pos.place().is_some_and(|place| wanted(&place))).map(|&t| t.clone())
        };
        has(&|place| self.has(place)).or_else(|| has(&|place| !is_internal(place)))
    }
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
        ErrorKind::Type
        | ErrorKind::Restricted
        | ErrorKind::Usage
        | ErrorKind::World
        | ErrorKind::Interrupted
        | ErrorKind::Eval => "here",
    }
}

/// All codes that errors in expressions have.
#[cfg(test)]
pub const CODES: [&str; 14] = [
    code(ErrorKind::Throw),
    code(ErrorKind::Assertion),
    code(ErrorKind::Abort),
    code(ErrorKind::Type),
    code(ErrorKind::UndefinedVariable),
    code(ErrorKind::MissingAttribute),
    code(ErrorKind::MissingArgument),
    code(ErrorKind::InfiniteRecursion),
    code(ErrorKind::StackOverflow),
    code(ErrorKind::Syntax),
    code(ErrorKind::Restricted),
    code(ErrorKind::Usage),
    code(ErrorKind::World),
    code(ErrorKind::Eval),
];

const fn code(kind: ErrorKind) -> &'static str {
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
        ErrorKind::Interrupted => "interrupted",
        ErrorKind::Eval => "eval",
    }
}

/// How many frames are told without `--show-trace`.
const FRAMES: usize = 4;

/// What may help: names that were perhaps meant, what can be done, and the way to the error, from the innermost frame on.
fn help(error: &EvalError, show_trace: bool, own: &OwnCode, skipped: Option<PosId>) -> Option<String> {
    let mut lines = Vec::new();
    if !error.suggestions.is_empty() {
        lines.push(format!("did you mean {}?", error.suggestions.join(" or ")));
    }
    lines.extend(error.advice.iter().cloned());
    lines.extend(crate::advice::of(error));
    let mut folded = Folded::default();
    let mut told = HashSet::new();
    for trace in &error.traces {
        let place = trace.pos.place();
        let is_foreign = place.as_ref().is_some_and(|place| !own.has(place));
        if Some(trace.pos) == skipped && !show_trace {
            continue;
        }
        let is_extra = is_foreign && !trace.always || told.len() >= FRAMES;
        if is_extra && !show_trace || !told.insert((trace.pos, &trace.text)) {
            folded.add(place.as_ref());
            continue;
        }
        lines.extend(folded.take());
        lines.push(match trace.pos.is_some() {
            true => format!("{} ({})", trace.text, print::position(trace.pos)),
            false => trace.text.clone(),
        });
    }
    lines.extend(folded.take());
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Frames that are not told one by one.
#[derive(Default)]
struct Folded {
    frames: usize,
    files: Vec<String>,
}

impl Folded {
    fn add(&mut self, place: Option<&Place>) {
        self.frames += 1;
        let Some(file) = place.map(|place| print::origin(&place.source.origin)) else { return };
        if !self.files.contains(&file) {
            self.files.push(file);
        }
    }

    /// The line for the frames so far, which are then forgotten.
    fn take(&mut self) -> Option<String> {
        let Folded { frames, files } = std::mem::take(self);
        let plural = if frames == 1 { "" } else { "s" };
        let place = match &files[..] {
            [] => String::new(),
            [only] => format!(" in {only}"),
            [first, .., last] => format!(" in {} files, {first} to {last}", files.len()),
        };
        (frames > 0).then(|| format!("({frames} more frame{plural}{place}: --show-trace)"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.map(|code| Box::new(code) as Box<dyn fmt::Display + 'a>)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let cause = self.cause.as_deref()? as &dyn Diagnostic;
        Some(Box::new(std::iter::once(cause)))
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
