//! References between store paths: finding their hash parts in any bytes, and replacing them.

mod rewrite;
mod scan;
mod search;

pub use rewrite::{Rewriter, Rewrites, RewritingSink, RewritingSource};
pub use scan::ReferenceScanner;
