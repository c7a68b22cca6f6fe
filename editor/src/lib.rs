//! What helps people write the language: its formatter, its lints and its language server.

pub mod analysis;
pub mod document;
pub mod files;
pub mod format;
pub mod lint;
pub mod server;
pub mod workspace;
