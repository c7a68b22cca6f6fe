//! Texts of an evaluation on the way out: with the bytes that they were made of, UTF-8 or not.

use std::io::Write;

use zeval_evaluator::text::raw;

/// Writes to standard output. That nobody reads on is no error of ours.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(&raw::bytes(text));
}

/// Writes to standard error.
pub fn tell(text: &str) {
    let _ = std::io::stderr().write_all(&raw::bytes(text));
}
