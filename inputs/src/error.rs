//! What goes wrong with inputs.

use thiserror::Error;

/// The result of working with inputs.
pub type Result<T, E = InputError> = std::result::Result<T, E>;

/// The exit status for content that has another hash than was said.
pub const WRONG_HASH: i32 = 102;

/// What is behind an error, as far as it decides what can be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// Nothing of these.
    #[default]
    Other,
    /// Content has another hash than was said.
    WrongHash,
    /// A repository does not have the revision that is wanted.
    MissingRevision,
    /// A server does not answer, or does not give what is wanted.
    Unreachable,
    /// Inputs follow each other in a circle.
    Circle,
}

/// What went wrong, in Nix's words where Nix has some.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct InputError {
    /// What is wrong.
    pub message: String,
    /// What was being done, innermost first.
    pub traces: Vec<String>,
    /// What the user can do.
    pub advice: Vec<String>,
    /// What is behind it.
    pub cause: Cause,
    /// The exit status that the failure asks for.
    pub status: i32,
    /// Whether the text is no address at all, so that it may be something else.
    pub is_bad_url: bool,
}

impl InputError {
    /// An error.
    pub fn new(message: impl Into<String>) -> InputError {
        InputError {
            message: message.into(),
            traces: Vec::new(),
            advice: Vec::new(),
            cause: Cause::Other,
            status: 1,
            is_bad_url: false,
        }
    }

    /// A text that is no address.
    pub fn bad_url(message: impl Into<String>) -> InputError {
        InputError { is_bad_url: true, ..InputError::new(message) }
    }

    /// Content that has another hash than was said.
    pub fn wrong_hash(message: impl Into<String>) -> InputError {
        InputError { status: WRONG_HASH, cause: Cause::WrongHash, ..InputError::new(message) }
    }

    /// Says what is behind it.
    pub fn because(self, cause: Cause) -> InputError {
        InputError { cause, ..self }
    }

    /// Says what the user can do.
    pub fn advise(mut self, text: impl Into<String>) -> InputError {
        self.advice.push(text.into());
        self
    }

    /// Adds what was being done.
    pub fn trace(mut self, text: impl Into<String>) -> InputError {
        self.traces.push(text.into());
        self
    }
}
