//! Text in and out, for the builtins: regular expressions, versions, numbers, JSON, TOML, XML and printed values.
//!
//! All of it works on byte strings and knows nothing of values, so each part is tested on its own.

pub mod escape;
pub mod json;
pub mod number;
pub mod raw;
pub mod regex;
pub mod toml;
pub mod version;
pub mod xml;
