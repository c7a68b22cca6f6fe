//! `zeval lint`: what is surely wrong in texts, or out of date.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use zeval_editor::{
    document::Document,
    files, format,
    lint::{self, Finding, LINTS, Level},
};
use zeval_evaluator::syntax::error::SyntaxError;

use super::{
    Context, Result,
    texts::{self, TROUBLE, Text},
};
use crate::{cli::Lint, diagnostic::Failed};

/// The exit status if something was found.
const FOUND: u8 = 1;

/// What was found in a text.
enum Outcome {
    Checked { findings: Vec<Told>, fixed: usize, text: String },
    Syntax { text: String, error: SyntaxError },
    Failed(String),
}

/// A finding as it is told.
struct Told {
    lint: &'static lint::Lint,
    line: u32,
    column: u32,
    message: String,
    help: Option<String>,
    is_fixable: bool,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &Lint) -> Result<()> {
    if arguments.list {
        super::print(&list(arguments.json));
        return Ok(());
    }
    let (only, ignore) = (lints(&arguments.only)?, lints(&arguments.ignore)?);
    let is_wanted = |lint: &lint::Lint| match only.is_empty() {
        true => lint.level > Level::Hint && !ignore.contains(&lint.name),
        false => only.contains(&lint.name) && !ignore.contains(&lint.name),
    };
    let texts = texts::of(&arguments.paths)?;
    let outcomes = files::for_each(&texts, |text| check(text, arguments.fix, is_wanted))
        .map_err(|error| Failed::other(format!("cannot start threads: {error}")))?;
    tell(context, arguments, &texts, outcomes)
}

/// The names of the lints that words mean.
fn lints(words: &[String]) -> Result<Vec<&'static str>> {
    let name = |word: &String| {
        let lint = lint::find(word);
        lint.map(|lint| lint.name)
            .ok_or_else(|| Failed::other(format!("there is no lint '{word}': zeval lint --list names them")))
    };
    words.iter().map(name).collect()
}

fn list(as_json: bool) -> String {
    if as_json {
        let object = |lint: &&lint::Lint| json!({ "code": lint.code, "name": lint.name, "text": lint.text, "level": level(lint.level) });
        return format!("{}\n", LINTS.iter().map(object).collect::<Json>());
    }
    let mut out = String::new();
    for lint in LINTS {
        let _ = writeln!(out, "{} {} ({})\n    {}", lint.code, lint.name, level(lint.level), lint.text);
    }
    out
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Hint => "hint",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

fn check(text: &Text, fix: bool, is_wanted: impl Fn(&lint::Lint) -> bool + Copy) -> Outcome {
    let mut source = match text.read() {
        Ok(source) => source,
        Err(error) => return Outcome::Failed(error),
    };
    let mut fixed = 0;
    if fix {
        match lint::fix(&source, is_wanted) {
            Ok((mended, count)) => (source, fixed) = (mended, count),
            Err(error) => return Outcome::Syntax { text: source, error },
        }
        if let Some(file) = text.file.as_ref().filter(|_| fixed > 0)
            && let Err(error) = texts::replace(file, &source)
        {
            return Outcome::Failed(format!("cannot write '{}': {error}", text.name));
        }
    } else if let Err(error) = format::check(&source) {
        return Outcome::Syntax { text: source, error };
    }
    let document = Document::new(source);
    let findings = lint::check(&document).into_iter().filter(|finding| is_wanted(finding.lint));
    let findings = findings.map(|finding| told(&document, finding)).collect();
    Outcome::Checked { findings, fixed, text: document.text }
}

fn told(document: &Document, finding: Finding) -> Told {
    let place = document.place(finding.range.start());
    Told {
        lint: finding.lint,
        line: place.line + 1,
        column: place.column + 1,
        message: finding.message,
        help: finding.help,
        is_fixable: !finding.fix.is_empty(),
    }
}

/// Prints what was found, and ends with the status that says it.
fn tell(context: &Context, arguments: &Lint, texts: &[Text], outcomes: Vec<Outcome>) -> Result<()> {
    let (mut out, mut objects) = (String::new(), Vec::new());
    let (mut found, mut fixable, mut fixed, mut failed) = (0, 0, 0, false);
    let is_stdin_fixed = |text: &Text| text.file.is_none() && arguments.fix && !arguments.json;
    for (text, outcome) in texts.iter().zip(outcomes) {
        match outcome {
            Outcome::Checked { findings, fixed: here, text: source } => {
                fixed += here;
                found += findings.len();
                fixable += findings.iter().filter(|finding| finding.is_fixable).count();
                let mut lines = String::new();
                for finding in findings {
                    let _ = write!(lines, "{}", line(&text.name, &finding));
                    objects.push(object(&text.name, &finding));
                }
                // What is mended on standard input is the result; the findings go beside it.
                match is_stdin_fixed(text) {
                    true => {
                        out.push_str(&source);
                        eprint!("{lines}");
                    }
                    false => out.push_str(&lines),
                }
            }
            Outcome::Syntax { text: source, error } => {
                failed = true;
                eprint!("{}", context.shown(&text.syntax_error(source, &error), false));
            }
            Outcome::Failed(message) => {
                failed = true;
                eprintln!("error: {message}");
            }
        }
    }
    super::print(&if arguments.json { format!("{}\n", Json::from(objects)) } else { out });
    if !context.global.quiet && !arguments.json {
        eprintln!("{}", summary(found, fixable, fixed));
    }
    match () {
        () if failed => Err(Failed::Program(TROUBLE)),
        () if found > 0 => Err(Failed::Program(FOUND)),
        () => Ok(()),
    }
}

fn summary(found: usize, fixable: usize, fixed: usize) -> String {
    let mut text = match found {
        0 => "nothing found".to_owned(),
        found => format!("found: {found}"),
    };
    if fixed > 0 {
        let _ = write!(text, "; mended: {fixed}");
    }
    if fixable > 0 {
        let _ = write!(text, "; zeval lint --fix mends {fixable}");
    }
    text
}

fn line(name: &str, finding: &Told) -> String {
    let Told { lint, line, column, message, help, .. } = finding;
    let mut text =
        format!("{name}:{line}:{column}: {}: {message} [{} {}]\n", level(lint.level), lint.code, lint.name);
    if let Some(help) = help {
        let _ = writeln!(text, "    help: {help}");
    }
    text
}

fn object(name: &str, finding: &Told) -> Json {
    json!({
        "file": name,
        "line": finding.line,
        "column": finding.column,
        "code": finding.lint.code,
        "lint": finding.lint.name,
        "level": level(finding.lint.level),
        "message": finding.message,
        "help": finding.help,
        "fixable": finding.is_fixable,
    })
}
