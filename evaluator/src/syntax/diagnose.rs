//! The exact text of syntax errors.

use super::error::{SyntaxError, SyntaxErrorKind};
use super::token::Token;

/// The error that Nix gives for `source`, which the parser could not go on with at `token`.
pub fn syntax_error(_source: &[u8], token: Token) -> SyntaxError {
    SyntaxError {
        pos: token.start,
        kind: SyntaxErrorKind::Unexpected { token: "invalid token", expected: Vec::new() },
    }
}
