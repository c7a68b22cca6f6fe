//! `zeval lsp`: the language server.

use super::Result;
use crate::diagnostic::Failed;

/// Serves an editor on standard input and output.
pub fn run() -> Result<()> {
    let served = zeval_evaluator::with_large_stack(|| zeval_editor::server::serve(env!("CARGO_PKG_VERSION")));
    served
        .map_err(|error| Failed::other(format!("cannot start a thread: {error}")))?
        .map_err(|error| Failed::other(format!("the language server ended: {error}")))
}
