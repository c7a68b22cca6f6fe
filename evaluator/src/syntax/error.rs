//! Why a text is not an expression of the language.

use std::fmt;

use bstr::{BString, ByteSlice};

use super::ast::Pos;

/// A text that cannot be parsed. [`SyntaxError::message`] gives Nix's message, but for the place of an earlier definition
/// (`at FILE:LINE:COLUMN`), which the caller alone can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where; [`super::ast::NO_POS`] where Nix gives no place.
    pub pos: Pos,
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// What Nix warns of before it gets there.
    pub warnings: Vec<super::CursedOr>,
}

/// What is wrong with the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    /// A token that cannot stand there.
    Unexpected {
        /// How Nix calls the token.
        token: &'static str,
        /// What could stand there: at most four; none if there were more.
        expected: Vec<&'static str>,
    },
    /// An attribute is defined twice.
    DuplicateAttribute {
        /// The path as Nix prints it.
        path: BString,
        /// Where the first definition stands.
        first: Pos,
    },
    /// A name occurs twice in a pattern, or both in it and as its `@` name.
    DuplicateFormal {
        /// The name.
        name: BString,
    },
    /// `let ${x} = ...`
    DynamicInLet,
    /// `inherit ${x};`
    DynamicInInherit,
    /// An integer that needs more than 64 bits.
    InvalidInteger(BString),
    /// A float out of range.
    InvalidFloat(BString),
    /// `./a/`
    TrailingSlash,
    /// `|>` or `<|` while [`super::ParseOptions::pipe_operators`] is off.
    PipeOperatorsDisabled,
    /// A NUL byte in a string. Carries the string.
    NulByte(BString),
    /// `~/a` where the home folder must not be read. Carries the path.
    HomePathInPureMode(BString),
    /// Nested more deeply than [`super::MAX_DEPTH`].
    TooDeep,
    /// A text of 4 GiB or more.
    TooLong,
}

impl SyntaxError {
    /// Nix's message. Names and strings in it need not be UTF-8.
    pub fn message(&self) -> BString {
        match &self.kind {
            SyntaxErrorKind::Unexpected { token, expected } => unexpected(token, expected).into(),
            SyntaxErrorKind::DuplicateAttribute { path, .. } => {
                quoted("attribute '", path, "' already defined")
            }
            SyntaxErrorKind::DuplicateFormal { name } => {
                quoted("duplicate formal function argument '", name, "'")
            }
            SyntaxErrorKind::DynamicInLet => "dynamic attributes not allowed in let".into(),
            SyntaxErrorKind::DynamicInInherit => "dynamic attributes not allowed in inherit".into(),
            SyntaxErrorKind::InvalidInteger(text) => quoted("invalid integer '", text, "'"),
            SyntaxErrorKind::InvalidFloat(text) => quoted("invalid float '", text, "'"),
            SyntaxErrorKind::TrailingSlash => "path has a trailing slash".into(),
            SyntaxErrorKind::PipeOperatorsDisabled => {
                "experimental Nix feature 'pipe-operators' is disabled; \
                 add '--extra-experimental-features pipe-operators' to enable it"
                    .into()
            }
            SyntaxErrorKind::NulByte(text) => quoted(
                "input string '",
                &text.replace("\0", "␀"),
                "' cannot be represented as Nix string because it contains null bytes",
            ),
            SyntaxErrorKind::HomePathInPureMode(path) => {
                quoted("the path '", path, "' can not be resolved in pure mode")
            }
            SyntaxErrorKind::TooDeep => "stack overflow (possible infinite recursion)".into(),
            SyntaxErrorKind::TooLong => "the file is too long: 4 GiB or more".into(),
        }
    }
}

fn quoted(before: &str, text: &[u8], after: &str) -> BString {
    [before.as_bytes(), text, after.as_bytes()].concat().into()
}

fn unexpected(token: &str, expected: &[&str]) -> String {
    let mut message = format!("syntax error, unexpected {token}");
    for (index, symbol) in expected.iter().enumerate() {
        message.push_str(if index == 0 { ", expecting " } else { " or " });
        message.push_str(symbol);
    }
    message
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl std::error::Error for SyntaxError {}
