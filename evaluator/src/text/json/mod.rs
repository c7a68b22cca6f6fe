//! JSON as nlohmann's library reads and writes it for Nix, down to the wording of its errors.

mod lexer;
mod parse;
mod write;

use bstr::BString;

pub use parse::{Visitor, parse};
pub use write::{InvalidUtf8, write_string};

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or has a number beyond all floats: the library's message. Nix adds a frame 'while decoding a
    /// JSON string'.
    #[error("{0}")]
    Syntax(BString),
    /// It is JSON, but has a value that Nix does not. No frame.
    #[error("{0}")]
    Value(BString),
}

#[cfg(test)]
mod tests;
