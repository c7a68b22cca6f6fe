//! TOML 1.0 as toml11 reads it for Nix, with its errors.

mod lexical;
mod number;
mod parse;
mod recovery;
mod report;
mod tree;

use bstr::BString;

pub use parse::parse;

/// What to say of a timestamp unless the feature `parse-toml-timestamps` is on. Nix puts 'while parsing TOML: ' before.
pub const NO_TIMESTAMPS: &str = "Dates and times are not supported";

/// A value of a TOML text.
#[derive(Debug, Clone, PartialEq)]
pub enum Toml {
    Bool(bool),
    Int(i64),
    Float(f64),
    String(BString),
    /// A date, a time or both, in the form in which Nix shows it.
    Timestamp(String),
    Array(Vec<Toml>),
    /// In the order of the text; no key is there twice.
    Table(Vec<(BString, Toml)>),
}

/// What is wrong with a text, as toml11 reports it: one paragraph a fault. Nix puts 'while parsing TOML: ' before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TomlError(pub BString);

#[cfg(test)]
mod tests;
