//! The layout of a text: RFC 166, as nixfmt 1.x has it, by the library `nixfmt_rs`.
//!
//! What it gives is not believed: it must be the same program to zeval's own parser, or the text is left alone.

mod program;

use zeval_evaluator::syntax::error::SyntaxError;

pub(crate) use program::of as program;

/// Which version of the library says what the layout is.
pub const VERSION: &str = nixfmt_rs::VERSION;

/// Why a text cannot be formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It is not in the language.
    #[error("{0}")]
    Syntax(SyntaxError),
    /// The formatter does not understand it.
    #[error("the formatter cannot read it, although it is correct: {0}")]
    NotUnderstood(String),
    /// The formatter would have changed what it means.
    #[error("the formatter would change its meaning: it is left as it was")]
    Changed,
}

/// Whether a text is in the language. Recurses as deeply as it nests.
pub fn check(text: &str) -> Result<(), SyntaxError> {
    program(text).map(|_| ())
}

/// The text in its standard layout. Recurses as deeply as the text nests: see [`crate::files::for_each`].
pub fn format(text: &str) -> Result<String, FormatError> {
    let before = program(text).map_err(FormatError::Syntax)?;
    let formatted =
        nixfmt_rs::format(text).map_err(|error| FormatError::NotUnderstood(explained(text, &error)))?;
    if formatted != text && program(&formatted).ok() != Some(before) {
        return Err(FormatError::Changed);
    }
    Ok(formatted)
}

fn explained(text: &str, error: &nixfmt_rs::ParseError) -> String {
    let whole = nixfmt_rs::format_error(text, None, error);
    whole.lines().next().unwrap_or_default().to_owned()
}
