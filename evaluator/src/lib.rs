//! The Nix language: text to values to derivations.

pub mod syntax;
pub mod text;
