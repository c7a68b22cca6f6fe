//! What goes wrong with inputs.

use thiserror::Error;

/// The result of working with inputs.
pub type Result<T, E = InputError> = std::result::Result<T, E>;

/// The exit status for content that has another hash than was said.
pub const WRONG_HASH: i32 = 102;

/// What went wrong, in Nix's words where Nix has some.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct InputError {
    /// What is wrong.
    pub message: String,
    /// What was being done, innermost first.
    pub traces: Vec<String>,
    /// The exit status that the failure asks for.
    pub status: i32,
    /// Whether the text is no address at all, so that it may be something else.
    pub is_bad_url: bool,
}

impl InputError {
    /// An error.
    pub fn new(message: impl Into<String>) -> InputError {
        InputError { message: message.into(), traces: Vec::new(), status: 1, is_bad_url: false }
    }

    /// A text that is no address.
    pub fn bad_url(message: impl Into<String>) -> InputError {
        InputError { is_bad_url: true, ..InputError::new(message) }
    }

    /// Content that has another hash than was said.
    pub fn wrong_hash(message: impl Into<String>) -> InputError {
        InputError { status: WRONG_HASH, ..InputError::new(message) }
    }

    /// Adds what was being done.
    pub fn trace(mut self, text: impl Into<String>) -> InputError {
        self.traces.push(text.into());
        self
    }
}
