//! Values as text, as `nix-instantiate --eval` and Nix's errors print them; see [`crate::text::raw`] for what is not UTF-8.

pub mod forced;

use std::fmt::Write;

use bstr::ByteSlice;

use crate::{
    eval::Evaluator,
    position::{Origin, PosId},
    symbol::Symbol,
    value::{Value, View},
};

/// How much of a value is printed.
#[derive(Clone, Copy)]
struct Limits {
    depth: usize,
    attrs: usize,
    items: usize,
    string: usize,
}

const UNLIMITED: Limits =
    Limits { depth: usize::MAX, attrs: usize::MAX, items: usize::MAX, string: usize::MAX };
/// As Nix's `errorPrintOptions`.
const IN_ERRORS: Limits = Limits { depth: 10, attrs: 10, items: 10, string: 1024 };

/// A value as far as it is evaluated; thunks as `«thunk»` or, in [`for_eval`], `<CODE>`.
pub fn shallow(value: Value) -> String {
    Printer::new(UNLIMITED, Style::Values).print(value)
}

/// A value for an error message, by the word that it was had by ([`Value::shared`]): cut where it gets long.
pub fn for_error(_: &mut Evaluator, value: Value) -> String {
    Printer::new(IN_ERRORS, Style::Values).print(value)
}

/// A part of a message that Nix shows in another colour: its escape sequences keep blanks at the end of a line that would be dropped
/// else. It has them here where that shows; who prints a message drops them.
pub fn coloured(text: &str) -> String {
    let before = if text.starts_with(char::is_whitespace) { COLOUR } else { "" };
    let after = if text.ends_with(char::is_whitespace) { COLOUR } else { "" };
    format!("{before}{text}{after}")
}

/// The escape sequence for the usual colour.
const COLOUR: &str = "\u{1b}[0m";

/// A value as `nix-instantiate --eval` prints it: of a copy, so that a list in itself is seen once more.
pub fn for_eval(value: Value) -> String {
    Printer::new(UNLIMITED, Style::Instantiate).print(value.peek())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `nix-instantiate --eval`: `<CODE>`, `<LAMBDA>`
    Instantiate,
    /// Errors and `trace`: `«thunk»`, `«lambda f @ file:1:2»`
    Values,
}

struct Printer {
    limits: Limits,
    style: Style,
    out: String,
    seen: rustc_hash::FxHashSet<usize>,
    attrs: usize,
    items: usize,
}

impl Printer {
    fn new(limits: Limits, style: Style) -> Printer {
        Printer { limits, style, out: String::new(), seen: Default::default(), attrs: 0, items: 0 }
    }

    fn print(mut self, value: Value) -> String {
        self.value(value, 0);
        self.out
    }

    fn value(&mut self, value: Value, depth: usize) {
        let identity = value.identity();
        match value.peek().view() {
            View::Null => self.out.push_str("null"),
            View::Bool(value) => self.out.push_str(if value { "true" } else { "false" }),
            View::Int(value) => {
                let _ = write!(self.out, "{value}");
            }
            View::Float(value) => self.out.push_str(&float(value)),
            View::String(string) => string_to(&mut self.out, string.bytes(), self.limits.string),
            View::Path(path) => self.out.push_str(&crate::shown::path(path)),
            View::Thunk(thunk) => self.out.push_str(match self.style {
                _ if thunk.is_busy() => "«potential infinite recursion»",
                Style::Instantiate => "<CODE>",
                Style::Values => "«thunk»",
            }),
            View::List(list) if list.is_empty() => self.out.push_str("[ ]"),
            View::Attrs(attrs) if attrs.is_empty() => self.out.push_str("{ }"),
            View::List(_) | View::Attrs(_) if !self.seen.insert(identity) => {
                self.out.push_str("«repeated»");
            }
            View::List(list) => self.list(list, depth),
            View::Attrs(attrs) => self.attrs(attrs, depth),
            View::Closure(closure) => self.lambda(closure.lambda, 0),
            View::Builtin(id) => match self.style {
                Style::Instantiate => self.out.push_str("<PRIMOP>"),
                Style::Values => {
                    let _ = write!(self.out, "«primop {}»", id.builtin().name);
                }
            },
            View::Partial(partial) => match partial.function.view() {
                View::Closure(closure) => self.lambda(closure.lambda, partial.arguments.len()),
                View::Builtin(id) if self.style == Style::Values => {
                    let _ = write!(self.out, "«partially applied primop {}»", id.builtin().name);
                }
                _ => self.out.push_str("<PRIMOP-APP>"),
            },
        }
    }

    fn lambda(&mut self, function: &'static crate::ir::Lambda, given: usize) {
        match self.style {
            Style::Instantiate => self.out.push_str("<LAMBDA>"),
            Style::Values => self.out.push_str(&lambda(function, given)),
        }
    }

    fn list(&mut self, list: &'static crate::value::List, depth: usize) {
        if depth >= self.limits.depth {
            self.out.push_str("[ ... ]");
            return;
        }
        self.out.push_str("[ ");
        for (index, element) in list.iter().enumerate() {
            if self.items >= self.limits.items {
                self.elided(list.len() - index, "item");
                break;
            }
            self.value(element, depth + 1);
            self.items += 1;
            self.out.push(' ');
        }
        self.out.push(']');
    }

    fn attrs(&mut self, attrs: &'static crate::value::Attrs, depth: usize) {
        if depth >= self.limits.depth {
            self.out.push_str("{ ... }");
            return;
        }
        let mut sorted = SCRATCH.with_borrow_mut(|heap| attrs.flatten(heap)).sorted();
        if self.limits.attrs < usize::MAX {
            // Where not all may be shown, what a set is comes first.
            sorted.sort_by_key(|(name, _)| !matches!(name.text().as_bytes(), b"type" | b"_type"));
        }
        self.out.push_str("{ ");
        for (index, (name, slot)) in sorted.iter().enumerate() {
            if self.attrs >= self.limits.attrs {
                self.elided(sorted.len() - index, "attribute");
                break;
            }
            self.out.push_str(&attr_name(*name));
            self.out.push_str(" = ");
            self.value(slot.get(), depth + 1);
            self.attrs += 1;
            self.out.push_str("; ");
        }
        self.out.push('}');
    }

    fn elided(&mut self, count: usize, unit: &str) {
        let plural = if count == 1 { "" } else { "s" };
        let _ = write!(self.out, "«{count} {unit}{plural} elided» ");
    }
}

thread_local! {
    /// Where layered sets are flattened to be printed.
    static SCRATCH: std::cell::RefCell<crate::value::Heap> = const { std::cell::RefCell::new(crate::value::Heap::new()) };
}

/// A function that has so many arguments already, by its name and place.
fn lambda(lambda: &'static crate::ir::Lambda, given: usize) -> String {
    let name = lambda.name.map_or_else(String::new, |name| format!(" {}", name.shown()));
    let pos = lambda.parameters[given.min(lambda.parameters.len() - 1)].pos;
    format!("«lambda{name} @ {}»", position(pos))
}

/// A string literal.
fn string_to(out: &mut String, bytes: &[u8], limit: usize) {
    let mut literal = Vec::with_capacity(bytes.len().min(limit) + 2);
    crate::text::escape::write_string_limited(&mut literal, bytes, limit);
    out.push_str(&crate::text::raw::text(&literal));
}

/// A number as Nix prints it: six significant digits.
pub fn float(value: f64) -> String {
    crate::text::number::print_float(value)
}

/// An attribute name, quoted unless it is an identifier.
pub fn attr_name(name: Symbol) -> String {
    let text = name.text();
    if is_identifier(text) {
        return text.to_string();
    }
    let mut quoted = String::new();
    string_to(&mut quoted, text, usize::MAX);
    quoted
}

const KEYWORDS: [&[u8]; 9] = [b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit"];

/// Whether a name can be written without quotes.
fn is_identifier(name: &[u8]) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_more = |byte: u8| byte.is_ascii_alphanumeric() || b"_'-".contains(&byte);
    match name.split_first() {
        Some((&first, rest)) => {
            is_start(first) && rest.iter().all(|&byte| is_more(byte)) && !KEYWORDS.contains(&name)
        }
        None => false,
    }
}

/// A position as `FILE:LINE:COLUMN`.
pub fn position(pos: PosId) -> String {
    let Some(place) = pos.place() else { return "undefined position".into() };
    format!("{}:{}:{}", origin(&place.source.origin), place.line, place.column)
}

/// A position with the lines of code around it: "at FILE:LINE:COLUMN:" indented so far, line numbers so wide.
pub fn excerpt(pos: PosId, indent: usize, width: usize) -> String {
    let Some(place) = pos.place() else { return String::new() };
    let mut out = format!("{:indent$}at {}:\n", "", position(pos));
    if place.source.text.is_empty() {
        return out;
    }
    let lines: Vec<&[u8]> = place.source.text.split(|&byte| byte == b'\n').collect();
    for number in [place.line.wrapping_sub(1), place.line, place.line + 1] {
        let Some(line) = number.checked_sub(1).and_then(|index| lines.get(index)) else { continue };
        let line = crate::text::raw::text(line);
        let separator = if line.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{number:>width$}|{separator}{line}");
        if number == place.line {
            let _ = writeln!(out, "{:>width$} {}^", "|", " ".repeat(place.column - 1), width = width + 1);
        }
    }
    out
}

/// The name of a source.
pub fn origin(origin: &Origin) -> String {
    match origin {
        Origin::File(path) => crate::shown::path(path.as_os_str().as_encoded_bytes()).into_owned(),
        Origin::String => "«string»".into(),
        Origin::Stdin => "«stdin»".into(),
        Origin::Internal(name) => (*name).to_owned(),
    }
}
