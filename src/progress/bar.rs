//! A bar for commands that go through many things.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Global;

/// A bar on standard error, shown where somebody may be looking; `verb` says what is being done to what.
pub fn bar(global: &Global, verb: &str, total: usize) -> ProgressBar {
    let is_shown = !global.quiet && std::io::stderr().is_terminal();
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(verb.to_owned());
    bar
}
