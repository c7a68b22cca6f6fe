//! Errors in the wording and layout of Nix.

use std::fmt::Write;

use zeval_evaluator::{EvalError, position::PosId, print};

/// The text of an error as Nix prints it to stderr.
pub fn render(error: &EvalError, show_trace: bool) -> String {
    let mut out = String::from("error:");
    let mut blocks = Vec::new();
    if show_trace || error.traces.len() <= 3 {
        for trace in error.traces.iter().rev() {
            blocks.push((format!("… {}", trace.text), trace.pos));
        }
    } else {
        for trace in error.traces.iter().rev().take(2) {
            blocks.push((format!("… {}", trace.text), trace.pos));
        }
        blocks.push((
            "(stack trace truncated; use '--show-trace' to show the full, detailed trace)".into(),
            PosId::NONE,
        ));
    }
    if blocks.is_empty() && !error.pos.is_some() {
        let _ = writeln!(out, " {}", error.message.replace('\n', "\n       "));
        return out;
    }
    for (text, pos) in blocks {
        let _ = writeln!(out, "\n       {}", text.replace('\n', "\n       "));
        place(&mut out, pos);
    }
    let _ = writeln!(out, "\n       error: {}", error.message.replace('\n', "\n       "));
    place(&mut out, error.pos);
    out
}

fn place(out: &mut String, pos: PosId) {
    let Some(place) = pos.place() else { return };
    let _ = writeln!(out, "       at {}:", print::position(pos));
    let lines: Vec<String> = place
        .source
        .text
        .split(|&byte| byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let number = place.line;
    if number > 1 {
        let _ = writeln!(out, "       {:>5}| {}", number - 1, lines[number - 2]);
    }
    if let Some(line) = lines.get(number - 1) {
        let _ = writeln!(out, "       {number:>5}| {line}");
        let _ = writeln!(out, "            | {}^", " ".repeat(place.column - 1));
    }
    if let Some(line) = lines.get(number) {
        let _ = writeln!(out, "       {:>5}| {line}", number + 1);
    }
}
