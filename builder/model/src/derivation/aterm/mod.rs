//! The ATerm text of derivations: the content of `.drv` files and what their hashes are made of.

mod parse;
mod print;

pub(super) use print::{Aterm, InputHashes, Masked};
