//! What can be told of a text without evaluating it.

pub mod names;
pub mod syntax;
pub mod things;
pub mod values;
