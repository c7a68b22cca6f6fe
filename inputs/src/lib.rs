//! Inputs: sources that come from elsewhere, how they are written, locked and fetched.
//!
//! From the small to the large: `url` (addresses), `input` and `scheme` (what an input is, by its type), `reference`
//! (flake references), `registry` (short names), `fetch` (inputs to trees in the store), `lock` (lock files and how they
//! come to be).

pub mod error;
pub mod fetch;
pub mod input;
pub mod lock;
pub mod reference;
pub mod registry;
pub mod scheme;
pub mod settings;
pub mod url;

pub use error::{InputError, Result};
pub use fetch::{Fetcher, Tree};
pub use input::Input;
pub use reference::FlakeRef;
pub use settings::Settings;
pub use zeval_model::input::{Attr, Attrs};
