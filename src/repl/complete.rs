//! Completion: of commands, paths, variables, and the attributes of what stands before a point.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use zeval_evaluator::{eval::INTERRUPT, print::attr_name};

use super::{Repl, commands};

/// How long the value before a point may take.
const PATIENCE: Duration = Duration::from_millis(1500);

const KEYWORDS: [&str; 10] =
    ["assert", "else", "if", "in", "inherit", "let", "rec", "then", "with", "builtins"];

/// What may stand instead of the end of a line, and where that end begins.
pub fn candidates(repl: &mut Repl<'_>, line: &str) -> (usize, Vec<String>) {
    if let Some(command) = line.strip_prefix(':')
        && !command.contains(char::is_whitespace)
    {
        let names = commands::NAMES.iter().map(|name| format!(":{name}"));
        return (0, names.filter(|name| name.starts_with(line)).collect());
    }
    let takes_path = [":l ", ":load ", ":lf ", ":e "].iter().any(|command| line.starts_with(command));
    let start = word_start(line);
    let word = &line[start..];
    let mut found = if word.contains('/') || takes_path {
        paths(word)
    } else {
        match word.rfind('.') {
            Some(point) => attributes(repl, &word[..point], &word[point + 1..]),
            None => variables(repl, word),
        }
    };
    found.sort_unstable();
    found.dedup();
    (start, found)
}

/// Where the last word begins: names, points, slashes, and strings as attribute names.
fn word_start(line: &str) -> usize {
    let mut start = line.len();
    let mut quoted = false;
    for (at, character) in line.char_indices().rev() {
        let is_part = character.is_alphanumeric() || "_'-./~<>".contains(character);
        match character {
            '"' => quoted = !quoted,
            _ if quoted || is_part => {}
            _ => break,
        }
        start = at;
    }
    start
}

fn paths(word: &str) -> Vec<String> {
    let (folder, prefix) = word.rfind('/').map_or(("", word), |slash| word.split_at(slash + 1));
    let place = match folder.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        None if folder.is_empty() => ".".into(),
        None => folder.into(),
    };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let hidden = name.starts_with('.') && !prefix.starts_with('.');
        let slash = if entry.path().is_dir() { "/" } else { "" };
        (name.starts_with(prefix) && !hidden).then(|| format!("{folder}{name}{slash}"))
    });
    names.collect()
}

fn variables(repl: &Repl<'_>, prefix: &str) -> Vec<String> {
    let globals = repl.evaluator.session.globals.names();
    let names = repl.scope.names().chain(globals).map(attr_name);
    let keywords = KEYWORDS.iter().map(|keyword| (*keyword).to_owned());
    names.chain(keywords).filter(|name| name.starts_with(prefix)).collect()
}

/// The attributes of the value of `subject`, as far as that can be had without an error and in little time.
fn attributes(repl: &mut Repl<'_>, subject: &str, prefix: &str) -> Vec<String> {
    repl.get_ready();
    let limit = repl.evaluator.interrupter();
    let done = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&done);
    std::thread::spawn(move || {
        std::thread::sleep(PATIENCE);
        if !watched.load(Ordering::Relaxed) {
            limit.store(INTERRUPT, Ordering::Relaxed);
        }
    });
    let value = repl.evaluate(subject);
    done.store(true, Ordering::Relaxed);
    repl.evaluator.clear_interruption();
    let Some(set) = value.ok().and_then(|value| value.as_attrs()) else { return Vec::new() };
    let names = set.flatten(&mut repl.evaluator.heap).sorted().into_iter().map(|(name, _)| attr_name(name));
    names.filter(|name| name.starts_with(prefix)).map(|name| format!("{subject}.{name}")).collect()
}
