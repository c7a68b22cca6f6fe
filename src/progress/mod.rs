//! What a person sees of a build: a live view on a terminal, else a line an event.

mod bar;
mod internal_json;
mod live;
mod plain;
mod trace;

use std::{collections::HashMap, io::IsTerminal, sync::Arc};

use zeval_builder::{
    events::{Observer, Silent},
    store::Effort,
};

pub use bar::bar;
pub use trace::Traced;

use crate::cli::{Global, LogFormat};

/// An observer whose events a person sees.
pub trait View: Observer {
    /// What builds took earlier, by their names.
    fn remember(&self, _: HashMap<String, Effort>) {}

    /// What a command goes on to, where Nix has a line for that.
    fn stage(&self, _: &str) {}
}

impl View for Silent {}

/// The view that the user asked for, or that suits where the output goes.
pub fn view(global: &Global) -> Arc<dyn View> {
    if global.quiet {
        return Arc::new(Silent);
    }
    let format = global.log_format.unwrap_or(match std::io::stderr().is_terminal() {
        true => LogFormat::Live,
        false => LogFormat::Plain,
    });
    match format {
        LogFormat::Live => Arc::new(live::Live::new()),
        LogFormat::Plain => Arc::new(plain::Plain::new()),
        LogFormat::InternalJson => Arc::new(internal_json::InternalJson::new()),
    }
}

/// The view of a line an event.
pub fn plain() -> Arc<dyn View> {
    Arc::new(plain::Plain::new())
}

/// Seconds, with a decimal while they are few.
fn seconds(elapsed: std::time::Duration) -> String {
    match elapsed.as_secs() {
        0..=9 => format!("{:.1} s", elapsed.as_secs_f64()),
        short @ 10..=59 => format!("{short} s"),
        long => format!("{} min {} s", long / 60, long % 60),
    }
}
