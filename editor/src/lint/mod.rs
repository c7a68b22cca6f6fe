//! What is surely wrong in a text, or out of date, found without evaluating it.

mod bindings;
mod forms;
mod inputs;

use rnix::{TextRange, TextSize};
use zeval_evaluator::syntax::error::SyntaxError;

use crate::document::Document;

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Lint {
    /// Its code, as `zeval explain` takes it.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it looks for, in a sentence.
    pub text: &'static str,
    /// How bad it is.
    pub level: Level,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Fades in an editor; `zeval lint` tells it only if it is asked for.
    Hint,
    /// It works, but should not stay.
    Warning,
    /// It fails when it is evaluated.
    Error,
}

/// The lints, in the order of their codes.
pub const LINTS: [&Lint; 11] = [
    &UNDEFINED,
    &UNUSED_BINDING,
    &UNUSED_ARGUMENT,
    &SHADOWED,
    &WIDE_WITH,
    &LEGACY_LET,
    &URL_LITERAL,
    &DEPRECATED_BUILTIN,
    &NEEDLESS_REC,
    &MISSING_INPUT,
    &EMPTY_LET,
];

const UNDEFINED: Lint = Lint {
    code: "Z0901",
    name: "undefined-variable",
    text: "A variable that nothing defines: evaluating it fails.",
    level: Level::Error,
};
const UNUSED_BINDING: Lint = Lint {
    code: "Z0902",
    name: "unused-binding",
    text: "A variable of a `let` that nothing uses.",
    level: Level::Warning,
};
const UNUSED_ARGUMENT: Lint = Lint {
    code: "Z0903",
    name: "unused-argument",
    text: "An argument that the function does not use. Names that begin with `_` are meant to be unused.",
    level: Level::Hint,
};
const SHADOWED: Lint = Lint {
    code: "Z0904",
    name: "shadowed-variable",
    text: "A variable of a `let` that hides another one, or a builtin, of the same name.",
    level: Level::Warning,
};
const WIDE_WITH: Lint = Lint {
    code: "Z0905",
    name: "wide-with",
    text: "A `with` around a whole file or a large part of one: what a name stands for cannot be told from the text.",
    level: Level::Warning,
};
const LEGACY_LET: Lint = Lint {
    code: "Z0906",
    name: "legacy-let",
    text: "`let { ...; body = ...; }`, which `let ... in ...` replaced.",
    level: Level::Warning,
};
const URL_LITERAL: Lint =
    Lint { code: "Z0907", name: "url-literal", text: "A URL that is not in quotes.", level: Level::Warning };
const DEPRECATED_BUILTIN: Lint = Lint {
    code: "Z0908",
    name: "deprecated-builtin",
    text: "A builtin that is out of date.",
    level: Level::Warning,
};
const NEEDLESS_REC: Lint = Lint {
    code: "Z0909",
    name: "needless-rec",
    text: "A recursive set none of whose attributes refers to another.",
    level: Level::Warning,
};
const MISSING_INPUT: Lint = Lint {
    code: "Z0910",
    name: "missing-input",
    text: "An argument of a flake's `outputs` that `inputs` does not name, so that the registry decides what it is.",
    level: Level::Warning,
};

const EMPTY_LET: Lint =
    Lint { code: "Z0911", name: "empty-let", text: "A `let` that defines nothing.", level: Level::Warning };

/// Something found in a text.
#[derive(Debug)]
pub struct Finding {
    /// What kind it is.
    pub lint: &'static Lint,
    /// Where.
    pub range: TextRange,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Changes that mend it and leave the meaning as it is; none if a person must decide.
    pub fix: Vec<Edit>,
}

/// A part of the text to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub range: TextRange,
    /// By what.
    pub text: String,
}

impl Edit {
    fn replace(range: TextRange, text: impl Into<String>) -> Edit {
        Edit { range, text: text.into() }
    }

    fn remove(range: TextRange) -> Edit {
        Edit::replace(range, "")
    }

    fn insert(at: TextSize, text: impl Into<String>) -> Edit {
        Edit::replace(TextRange::empty(at), text)
    }
}

/// The lint of a code or name.
pub fn find(word: &str) -> Option<&'static Lint> {
    LINTS.into_iter().find(|lint| lint.code.eq_ignore_ascii_case(word) || lint.name == word)
}

/// What is found in a text that has no syntax errors, in the order of the text.
pub fn check(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    bindings::check(document, &mut findings);
    forms::check(document, &mut findings);
    inputs::check(document, &mut findings);
    findings.sort_by_key(|finding| (finding.range.start(), finding.lint.code));
    findings
}

/// The text with the mendable findings mended, as often as that shows new ones; and how many there were.
pub fn fix(text: &str, wanted: impl Fn(&Lint) -> bool) -> Result<(String, usize), SyntaxError> {
    /// A binding may be used only by one that is removed, and so on.
    const ROUNDS: usize = 20;
    let (mut text, mut count) = (text.to_owned(), 0);
    for _ in 0..ROUNDS {
        crate::format::program(&text)?;
        let document = Document::new(text.clone());
        let findings = check(&document);
        let fixes: Vec<&[Edit]> = findings
            .iter()
            .filter(|finding| wanted(finding.lint) && !finding.fix.is_empty())
            .map(|finding| &finding.fix[..])
            .collect();
        let (mended, done) = apply(&text, &fixes);
        // What does not parse any more was no mend.
        if done == 0 || crate::format::program(&mended).is_err() {
            break;
        }
        (text, count) = (mended, count + done);
    }
    Ok((text, count))
}

/// The text with those fixes that do not touch one another, and how many these are.
fn apply(text: &str, fixes: &[&[Edit]]) -> (String, usize) {
    let mut edits: Vec<&Edit> = Vec::new();
    let mut done = 0;
    for fix in fixes {
        let touches = |edit: &Edit| edits.iter().any(|other| other.range.intersect(edit.range).is_some());
        if !fix.iter().any(touches) {
            edits.extend(fix.iter());
            done += 1;
        }
    }
    edits.sort_by_key(|edit| edit.range.start());
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        out.push_str(&text[at..usize::from(edit.range.start())]);
        out.push_str(&edit.text);
        at = usize::from(edit.range.end());
    }
    out.push_str(&text[at..]);
    (out, done)
}
