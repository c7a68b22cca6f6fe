//! Errors in the wording and layout of Nix.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use unicode_width::UnicodeWidthChar;
use zeval_evaluator::{ErrorKind, EvalError, eval::error::Trace, position::PosId, print, text::raw};

/// How much is shown without `--show-trace`: a frame counts one, and one more if it has a place.
const SHOWN: usize = 3;

/// How many repeated frames are shown rather than counted.
const REPEATED: usize = 5;

/// The text of an error as Nix prints it to stderr; follows `showErrorInfo` of libutil/error.cc.
pub fn render(program: &str, error: &EvalError, show_trace: bool) -> String {
    let mut body = Frames::render(&error.traces, show_trace);
    if !error.traces.is_empty() {
        body.push_str("\nerror: ");
    }
    let _ = writeln!(body, "{}", bytewise(&error.message));
    place(&mut body, error.pos, "");
    // Nix knows no names like that of a variable.
    if error.kind != ErrorKind::UndefinedVariable {
        suggestions(&mut body, &error.suggestions);
    }
    let mut text = expand_tabs(&indented("error: ", body.trim_end()));
    if error.kind == ErrorKind::Usage {
        text.push_str(&format!("Try '{program} --help' for more information.\n"));
    }
    text
}

/// The message with the first byte of a character that a name may not have, where Nix, which knows bytes only, names that.
fn bytewise(message: &str) -> Cow<'_, str> {
    const BEFORE: &str = "contains illegal character '";
    let Some((before, rest)) = message.split_once(BEFORE) else { return message.into() };
    match rest.chars().next() {
        Some(character) if !character.is_ascii() => {
            let byte = &rest.as_bytes()[..1];
            format!("{before}{BEFORE}{}{}", raw::text(byte), &rest[character.len_utf8()..]).into()
        }
        _ => message.into(),
    }
}

/// An error that is no error of an expression.
pub fn message(text: &str) -> String {
    indented("error: ", text.trim_end())
}

struct Frames<'e> {
    out: String,
    seen: HashSet<(PosId, &'e str)>,
    skipped: Vec<&'e Trace>,
    count: usize,
}

impl<'e> Frames<'e> {
    fn render(traces: &'e [Trace], show_trace: bool) -> String {
        let mut frames = Frames { out: String::new(), seen: HashSet::new(), skipped: Vec::new(), count: 0 };
        let mut truncated = false;
        for trace in traces.iter().rev().filter(|trace| !trace.text.is_empty()) {
            truncated |= !show_trace && frames.count > SHOWN;
            if truncated && !trace.always {
                continue;
            }
            if !frames.seen.insert((trace.pos, &trace.text)) {
                frames.skipped.push(trace);
                continue;
            }
            frames.show_skipped();
            frames.count += 1;
            frames.show(trace);
        }
        frames.show_skipped();
        if truncated {
            let hint = "(stack trace truncated; use '--show-trace' to show the full, detailed trace)";
            let _ = writeln!(frames.out, "\n{hint}");
        }
        frames.out
    }

    fn show(&mut self, trace: &Trace) {
        let _ = writeln!(self.out, "\n… {}", trace.text);
        if place(&mut self.out, trace.pos, "  ") {
            self.count += 1;
        }
    }

    fn show_skipped(&mut self) {
        let skipped = std::mem::take(&mut self.skipped);
        if skipped.len() > REPEATED {
            let _ = writeln!(self.out, "\n({} duplicate frames omitted)", skipped.len());
            return;
        }
        for trace in skipped {
            self.show(trace);
        }
    }
}

/// A message behind a prefix, as Nix lays it out.
pub(super) fn aligned(prefix: &str, text: &str) -> String {
    if text.trim_end().is_empty() {
        return String::new();
    }
    expand_tabs(&indented(prefix, text.trim_end())).trim_end().to_owned()
}

/// The first line behind the prefix, the others below it; spaces at the end of lines are dropped.
fn indented(prefix: &str, text: &str) -> String {
    let rest = " ".repeat(prefix.len());
    let mut out = String::new();
    for (index, line) in text.split('\n').enumerate() {
        let start = if index == 0 { prefix } else { &rest };
        let _ = writeln!(out, "{}", format!("{start}{line}").trim_end_matches([' ', '\n', '\r', '\t']));
    }
    out
}

/// What a terminal that shows no colours gets: tabs become spaces up to the next multiple of eight columns, which Nix counts
/// from the start of the message, over line breaks.
pub fn expand_tabs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // Colours and other escape sequences are for terminals.
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => loop {
                out.push(' ');
                column += 1;
                if column % 8 == 0 {
                    break;
                }
            },
            '\r' | '\u{7}' => {}
            _ => {
                column += c.width().unwrap_or(0);
                out.push(c);
            }
        }
    }
    out
}

/// Skips what follows an escape character: `[`, parameters and a final letter, or a single character.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    if chars.next() == Some('[') {
        chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
    }
}

fn suggestions(out: &mut String, names: &[String]) {
    let list = match names {
        [] => return,
        [one] => one.clone(),
        [first @ .., last] => format!("one of {} or {last}", first.join(", ")),
    };
    let _ = writeln!(out, "Did you mean {list}?");
}

/// The lines of a text, which end with `\n`, `\r\n` or `\r`.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        lines.extend(line.strip_suffix(b"\r").unwrap_or(line).split(|&byte| byte == b'\r'));
    }
    lines
}

/// The place with the lines of code around it; tells whether there is one.
fn place(out: &mut String, pos: PosId, indent: &str) -> bool {
    let Some(place) = pos.place() else { return false };
    let _ = write!(out, "{indent}at {}:", print::position(pos));
    if place.source.text.is_empty() {
        out.push('\n');
        return true;
    }
    let lines = lines(&place.source.text);
    let mut code = |number: usize| {
        let Some(line) = number.checked_sub(1).and_then(|index| lines.get(index)) else { return };
        let _ = write!(out, "\n {number:>5}| {}", raw::text(line));
        if number == place.line {
            let _ = write!(out, "\n      |{}^", " ".repeat(place.column));
        }
    };
    code(place.line.wrapping_sub(1));
    code(place.line);
    code(place.line + 1);
    out.push('\n');
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_reach_the_next_multiple_of_eight_columns_of_the_whole_message() {
        assert_eq!(expand_tabs("ab\tc"), "ab      c");
        assert_eq!(expand_tabs("abc\n\td"), "abc\n     d");
        assert_eq!(expand_tabs("\u{1b}[31mred\u{1b}[0m\r\u{7}"), "red");
    }

    #[test]
    fn lines_end_without_spaces_and_stand_below_each_other() {
        assert_eq!(indented("error: ", "a  \n\nb"), "error: a\n\n       b\n");
    }
}
