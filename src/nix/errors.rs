//! Errors in the wording and layout of Nix.

use std::fmt::Write;

use zeval_evaluator::{EvalError, position::PosId, print};

/// How many frames are shown without `--show-trace`.
const FRAMES: usize = 2;

/// The text of an error as Nix prints it to stderr.
pub fn render(error: &EvalError, show_trace: bool) -> String {
    let mut out = String::from("error:");
    let mut shown = 0;
    let mut truncated = false;
    let mut last = PosId::NONE;
    for trace in error.traces.iter().rev() {
        truncated |= !show_trace && shown >= FRAMES;
        if truncated && !trace.always {
            continue;
        }
        shown += 1;
        let _ = writeln!(out, "\n       … {}", indented(&trace.text));
        // A frame at the place of the frame before it is not located again.
        if trace.pos.is_some() && trace.pos != last {
            place(&mut out, trace.pos, 9);
            last = trace.pos;
        }
    }
    if truncated {
        let hint = "(stack trace truncated; use '--show-trace' to show the full, detailed trace)";
        let _ = writeln!(out, "\n       {hint}");
    }
    match shown {
        0 => out.push(' '),
        _ => out.push_str("\n       error: "),
    }
    let _ = writeln!(out, "{}", indented(&error.message));
    place(&mut out, error.pos, 7);
    suggestions(&mut out, &error.suggestions);
    out
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n       ")
}

fn suggestions(out: &mut String, names: &[String]) {
    let list = match names {
        [] => return,
        [one] => one.clone(),
        [first @ .., last] => format!("one of {} or {last}", first.join(", ")),
    };
    let _ = writeln!(out, "       Did you mean {list}?");
}

fn place(out: &mut String, pos: PosId, indent: usize) {
    let Some(place) = pos.place() else { return };
    let _ = writeln!(out, "{:indent$}at {}:", "", print::position(pos));
    let lines: Vec<&[u8]> = place.source.text.split(|&byte| byte == b'\n').collect();
    let mut code = |number: usize| {
        let Some(line) = number.checked_sub(1).and_then(|index| lines.get(index)) else { return };
        let line = String::from_utf8_lossy(line);
        let separator = if line.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{number:>13}|{separator}{line}");
        if number == place.line {
            let _ = writeln!(out, "{:>14} {}^", "|", " ".repeat(place.column - 1));
        }
    };
    code(place.line.wrapping_sub(1));
    code(place.line);
    code(place.line + 1);
}
