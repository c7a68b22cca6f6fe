//! Whether a test holds.

use regex_automata::meta::Regex;
use zeval_evaluator::{
    ErrorKind, EvalError, Evaluator, Failure, Symbol, Value, View,
    position::PosId,
    print::forced::{self, Errors},
};

use super::find::Test;

/// What became of a test.
pub enum Outcome {
    /// It holds.
    Passed,
    /// The values are not equal; both are printed, a line a member.
    Differs { expected: String, got: String },
    /// There was an error where a value was expected.
    Error(Failure),
    /// A value where an error was expected.
    NoError { got: String },
    /// Another error than the expected one: what is wrong with it.
    OtherError { wrong: String, error: Failure },
    /// The test says nothing that could hold.
    Malformed(String),
}

type Result<T> = std::result::Result<T, Failure>;

/// Evaluates a test. Fails only if the user interrupts.
pub fn judge(evaluator: &mut Evaluator, test: Test) -> Result<Outcome> {
    let outcome = match test {
        Test::Equal { expr, expected } => compare(evaluator, expr, expected),
        Test::Fails { expr, error } => fails(evaluator, expr, error),
        Test::Failed { expected, result } => differing(evaluator, result, expected),
        Test::NoneFailed => Ok(Outcome::Passed),
        Test::Malformed(reason) => Ok(Outcome::Malformed(reason)),
        Test::Unknown(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind == ErrorKind::Interrupted => Err(error),
        Err(error) => Ok(Outcome::Error(error)),
        Ok(outcome) => Ok(outcome),
    }
}

fn compare(evaluator: &mut Evaluator, expr: Value, expected: Value) -> Result<Outcome> {
    let got = evaluator.force(expr)?;
    let expected = evaluator.force(expected)?;
    match evaluator.equal(got, expected, PosId::NONE, "while comparing `expr` with `expected`")? {
        true => Ok(Outcome::Passed),
        false => differing(evaluator, got, expected),
    }
}

fn differing(evaluator: &mut Evaluator, got: Value, expected: Value) -> Result<Outcome> {
    Ok(Outcome::Differs { expected: shown(evaluator, expected)?, got: shown(evaluator, got)? })
}

fn shown(evaluator: &mut Evaluator, value: Value) -> Result<String> {
    let options = forced::Options { depth: 40, lines: true, colours: false, errors: Errors::Print };
    forced::value(evaluator, value, options)
}

/// What `expectedError` says.
struct Wanted {
    kind: Option<String>,
    message: Option<String>,
}

fn fails(evaluator: &mut Evaluator, expr: Value, wanted: Value) -> Result<Outcome> {
    let wanted = match wanted_error(evaluator, wanted)? {
        Ok(wanted) => wanted,
        Err(reason) => return Ok(Outcome::Malformed(reason)),
    };
    let pattern = match wanted.message.as_deref().map(Regex::new).transpose() {
        Ok(pattern) => pattern,
        Err(error) => {
            return Ok(Outcome::Malformed(format!("`expectedError.msg` is no regular expression: {error}")));
        }
    };
    let error = match evaluator.force_deep(expr) {
        Ok(value) => return Ok(Outcome::NoError { got: shown(evaluator, value)? }),
        Err(error) if error.kind == ErrorKind::Interrupted => return Err(error),
        Err(error) => error,
    };
    let kinds = kinds(&error);
    if let Some(kind) = wanted.kind.filter(|kind| !kinds.contains(&kind.as_str())) {
        let wrong = format!("an error of type {kind} was expected, but this is of type {}", kinds[0]);
        return Ok(Outcome::OtherError { wrong, error });
    }
    let message = plain(&error.message);
    match pattern.filter(|pattern| !pattern.is_match(&message)) {
        Some(_) => {
            let pattern = wanted.message.unwrap_or_default();
            let wrong = format!("the message was expected to match '{pattern}', but it is: {message}");
            Ok(Outcome::OtherError { wrong, error })
        }
        None => Ok(Outcome::Passed),
    }
}

fn wanted_error(evaluator: &mut Evaluator, wanted: Value) -> Result<std::result::Result<Wanted, String>> {
    let View::Attrs(attrs) = evaluator.force(wanted)?.view() else {
        return Ok(Err("`expectedError` must be a set: { type, msg }".to_owned()));
    };
    let mut text = |name: &str| -> Result<Option<String>> {
        let Some(value) = attrs.get(Symbol::intern(name.as_bytes())) else { return Ok(None) };
        let doing = format!("while reading `expectedError.{name}`");
        let text = evaluator.expect_plain_string(value, PosId::NONE, &doing)?;
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    };
    let wanted = Wanted { kind: text("type")?, message: text("msg")? };
    if wanted.kind.is_none() && wanted.message.is_none() {
        return Ok(Err("`expectedError` has neither `type` nor `msg`".to_owned()));
    }
    if let Some(kind) = wanted.kind.as_deref().filter(|kind| !KINDS.contains(kind)) {
        return Ok(Err(format!("`expectedError.type` is '{kind}', but must be one of {}", KINDS.join(", "))));
    }
    Ok(Ok(wanted))
}

/// What `expectedError.type` may be: the classes of Nix's errors.
const KINDS: [&str; 12] = [
    "Abort",
    "AssertionError",
    "Error",
    "EvalError",
    "InfiniteRecursionError",
    "MissingArgumentError",
    "ParseError",
    "RestrictedPathError",
    "StackOverflowError",
    "ThrownError",
    "TypeError",
    "UndefinedVarError",
];

/// The names that the type of an error goes by: Nix's class, and what nix-unit has instead where that is less exact.
fn kinds(error: &EvalError) -> &'static [&'static str] {
    match error.kind {
        ErrorKind::Throw => &["ThrownError"],
        ErrorKind::Assertion => &["AssertionError"],
        ErrorKind::Abort => &["Abort"],
        ErrorKind::Type => &["TypeError"],
        ErrorKind::UndefinedVariable => &["UndefinedVarError"],
        ErrorKind::MissingArgument => &["MissingArgumentError", "TypeError"],
        ErrorKind::Syntax => &["ParseError"],
        ErrorKind::Restricted => &["RestrictedPathError"],
        ErrorKind::InfiniteRecursion => &["InfiniteRecursionError", "EvalError"],
        ErrorKind::StackOverflow => &["StackOverflowError", "EvalError"],
        ErrorKind::MissingAttribute | ErrorKind::Eval => &["EvalError"],
        ErrorKind::World | ErrorKind::Usage | ErrorKind::Interrupted => &["Error", "EvalError"],
    }
}

/// A message without the colours that some of Nix's have.
fn plain(message: &str) -> String {
    let mut parts = message.split('\u{1b}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn colours_are_left_out() {
        assert_eq!(plain("a \u{1b}[31;1mb\u{1b}[0m c"), "a b c");
    }
}
