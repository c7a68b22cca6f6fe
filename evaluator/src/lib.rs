//! The Nix language: text to values to derivations.
//!
//! The pipeline, in the order of the modules: `syntax` (text to tree), `ir` (tree to code), `eval` (code to values),
//! `builtins`, `print`. `session` holds what the threads of an evaluation share; `store` is all that the evaluator knows
//! of the world outside the file system.

mod blocks;
pub mod builtins;
pub mod code_cache;
pub mod debug;
pub mod doc;
pub mod embedded;
pub mod eval;
pub mod flake;
pub mod in_place;
pub mod inputs;
pub mod ir;
pub mod lint;
pub mod load;
mod parallel;
pub mod position;
pub mod print;
pub mod profile;
pub mod reads;
pub mod search_path;
pub mod session;
pub mod shown;
pub mod store;
pub mod suggest;
pub mod symbol;
pub mod syntax;
pub mod text;
pub mod value;

pub use eval::{
    Evaluator,
    error::{ErrorKind, EvalError, Failure, Result},
    with_large_stack,
};
pub use session::{Session, Settings};
pub use symbol::Symbol;
pub use value::{Value, View};

/// An absolute path without `.`, `..`, doubled or trailing slashes; what climbs above the root stays there.
pub fn canonical_path(path: &[u8]) -> Vec<u8> {
    let mut canonical: Vec<u8> = Vec::with_capacity(path.len());
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let parent = canonical.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                canonical.truncate(parent);
            }
            _ => {
                canonical.push(b'/');
                canonical.extend_from_slice(component);
            }
        }
    }
    if canonical.is_empty() {
        canonical.push(b'/');
    }
    canonical
}
