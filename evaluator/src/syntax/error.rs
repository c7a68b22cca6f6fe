//! Why a text is not an expression of the language.

use std::fmt;

use bstr::BString;

use super::ast::Pos;

/// A text that cannot be parsed. [`fmt::Display`] gives Nix's message, but for the place of an earlier definition, which the
/// caller alone can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where; [`super::ast::NO_POS`] where Nix gives no place.
    pub pos: Pos,
    /// What is wrong.
    pub kind: SyntaxErrorKind,
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

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SyntaxErrorKind::Unexpected { token, expected } => {
                write!(f, "syntax error, unexpected {token}")?;
                for (index, symbol) in expected.iter().enumerate() {
                    write!(f, "{}{symbol}", if index == 0 { ", expecting " } else { " or " })?;
                }
                Ok(())
            }
            SyntaxErrorKind::DuplicateAttribute { path, .. } => {
                write!(f, "attribute '{path}' already defined")
            }
            SyntaxErrorKind::DuplicateFormal { name } => {
                write!(f, "duplicate formal function argument '{name}'")
            }
            SyntaxErrorKind::DynamicInLet => f.write_str("dynamic attributes not allowed in let"),
            SyntaxErrorKind::DynamicInInherit => f.write_str("dynamic attributes not allowed in inherit"),
            SyntaxErrorKind::InvalidInteger(text) => write!(f, "invalid integer '{text}'"),
            SyntaxErrorKind::InvalidFloat(text) => write!(f, "invalid float '{text}'"),
            SyntaxErrorKind::TrailingSlash => f.write_str("path has a trailing slash"),
            SyntaxErrorKind::PipeOperatorsDisabled => f.write_str(
                "experimental Nix feature 'pipe-operators' is disabled; \
                 add '--extra-experimental-features pipe-operators' to enable it",
            ),
            SyntaxErrorKind::NulByte(text) => write!(
                f,
                "input string '{}' cannot be represented as Nix string because it contains null bytes",
                text.to_string().replace('\0', "␀")
            ),
            SyntaxErrorKind::HomePathInPureMode(path) => {
                write!(f, "the path '{path}' can not be resolved in pure mode")
            }
            SyntaxErrorKind::TooDeep => f.write_str("stack overflow (possible infinite recursion)"),
            SyntaxErrorKind::TooLong => f.write_str("the file is too long: 4 GiB or more"),
        }
    }
}

impl std::error::Error for SyntaxError {}
