//! Values as text for a person: evaluated on the way, over several lines, in colours.

use std::fmt::Write;

use rustc_hash::FxHashSet;

use super::{attr_name, float, lambda, string_to};
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{ErrorKind, Failure, Result, Traced},
    },
    position::PosId,
    symbol::known,
    value::{Attrs, List, Slot, Value, View},
};

/// What becomes of an error in a value that is being printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Errors {
    /// It is printed in place of the value.
    Print,
    /// As [`Errors::Print`], but for the outermost value.
    FailOutermost,
    /// Nothing is printed.
    Fail,
}

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many levels of lists and sets are opened.
    pub depth: usize,
    /// Whether sets and lists with more than one member take a line for each.
    pub lines: bool,
    /// Whether to colour, with the escape sequences of terminals.
    pub colours: bool,
    /// What becomes of errors.
    pub errors: Errors,
}

/// A value evaluated as far as it is printed; derivations are shown by their path.
pub fn value(evaluator: &mut Evaluator, value: Value, options: Options) -> Result<String> {
    let mut printer =
        Printer { evaluator, options, out: String::new(), indent: 0, seen: FxHashSet::default() };
    let value = printer.evaluator.force(value);
    match value {
        // What a list is seen by is its place, and the outermost value is a copy, as in Nix.
        Ok(value) => match value.view() {
            View::List(list) if !list.is_empty() => printer.list(list, 0)?,
            _ => printer.value(value, 0)?,
        },
        Err(error) => printer.error(error, 0)?,
    }
    Ok(printer.out)
}

/// The kinds of text that have a colour of their own.
#[derive(Clone, Copy)]
enum Paint {
    Plain,
    Literal,
    String,
    Path,
    Function,
    Error,
    Note,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Paint::Plain => "",
            Paint::Literal => "36;1",
            Paint::String | Paint::Note => "35;1",
            Paint::Path => "32;1",
            Paint::Function => "34;1",
            Paint::Error => "31;1",
        }
    }
}

struct Printer<'e> {
    evaluator: &'e mut Evaluator,
    options: Options,
    out: String,
    indent: usize,
    seen: FxHashSet<usize>,
}

impl Printer<'_> {
    fn text(&mut self, paint: Paint, text: &str) {
        match self.options.colours {
            true if !paint.code().is_empty() => {
                let _ = write!(self.out, "\x1b[{}m{text}\x1b[0m", paint.code());
            }
            _ => self.out.push_str(text),
        }
    }

    fn member(&mut self, value: Value) -> Result<Value> {
        self.evaluator.force(value).map(|_| value.shared())
    }

    fn value(&mut self, value: Value, depth: usize) -> Result<()> {
        let forced = self.evaluator.force(value);
        self.result(forced, depth)
    }

    fn result(&mut self, value: Result<Value>, depth: usize) -> Result<()> {
        match value {
            Ok(value) => self.forced(value, depth),
            Err(error) => self.error(error, depth),
        }
    }

    /// Prints what is evaluated; a list may still be behind its thunk, as [`Value::shared`] leaves it.
    fn forced(&mut self, value: Value, depth: usize) -> Result<()> {
        let identity = value.identity();
        let value = value.peek();
        match value.view() {
            View::Null => self.text(Paint::Literal, "null"),
            View::Bool(value) => self.text(Paint::Literal, if value { "true" } else { "false" }),
            View::Int(value) => self.text(Paint::Literal, &value.to_string()),
            View::Float(value) => self.text(Paint::Literal, &float(value)),
            View::String(string) => {
                let mut literal = String::new();
                string_to(&mut literal, string.bytes(), usize::MAX);
                self.text(Paint::String, &literal);
            }
            View::Path(path) => self.text(Paint::Path, &crate::shown::path(path)),
            View::Thunk(_) => self.text(Paint::Note, "«thunk»"),
            View::Attrs(attrs) => return self.attrs(value, attrs, depth),
            View::List(list) => {
                if !list.is_empty() && !self.seen.insert(identity) {
                    self.text(Paint::Note, "«repeated»");
                    return Ok(());
                }
                return self.list(list, depth);
            }
            View::Closure(closure) => self.text(Paint::Function, &lambda(closure.lambda, 0)),
            View::Builtin(id) => self.text(Paint::Function, &format!("«primop {}»", id.builtin().name)),
            View::Partial(partial) => {
                let shown = match partial.function.view() {
                    View::Closure(closure) => lambda(closure.lambda, partial.arguments.len()),
                    View::Builtin(id) => format!("«partially applied primop {}»", id.builtin().name),
                    _ => "«partially applied function»".into(),
                };
                self.text(Paint::Function, &shown);
            }
        }
        Ok(())
    }

    fn error(&mut self, error: Failure, depth: usize) -> Result<()> {
        let fails = match self.options.errors {
            Errors::Print => false,
            Errors::FailOutermost => depth == 0,
            Errors::Fail => true,
        };
        if fails || error.kind == ErrorKind::Interrupted {
            return Err(error);
        }
        self.text(Paint::Error, &format!("«error: {}»", error.message));
        Ok(())
    }

    fn attrs(&mut self, value: Value, attrs: &'static Attrs, depth: usize) -> Result<()> {
        match self.evaluator.is_derivation(attrs) {
            Ok(true) => return self.derivation(attrs, depth),
            Ok(false) => {}
            Err(error) => return self.error(error, depth),
        }
        let members = attrs.flatten(&mut self.evaluator.heap).sorted();
        if !members.is_empty() && !self.seen.insert(value.address()) {
            self.text(Paint::Note, "«repeated»");
            return Ok(());
        }
        if depth >= self.options.depth {
            self.text(Paint::Plain, "{ ... }");
            return Ok(());
        }
        let first = members.first().map(|(_, slot)| *slot);
        let (in_lines, mut only) = self.layout(first, members.len());
        self.indent += 2;
        self.out.push('{');
        for (name, slot) in members {
            self.space(in_lines);
            self.out.push_str(&attr_name(name));
            self.out.push_str(" = ");
            let pos = attrs.position(name).unwrap_or(PosId::NONE);
            let value = only.take().unwrap_or_else(|| self.member(slot.get()));
            self.result(value, depth + 1)
                .traced(pos, || format!("while evaluating the attribute '{}'", attr_name(name)))?;
            self.out.push(';');
        }
        self.indent -= 2;
        self.space(in_lines);
        self.out.push('}');
        Ok(())
    }

    fn derivation(&mut self, attrs: &'static Attrs, depth: usize) -> Result<()> {
        let Some(path) = attrs.get(known().drv_path) else {
            self.text(Paint::Path, "«derivation»");
            return Ok(());
        };
        let doing = "while evaluating the 'drvPath' attribute of a derivation";
        match self.evaluator.coerce(path, Coercion::APPENDED, &mut None, PosId::NONE, doing) {
            Ok(path) => self.text(Paint::Path, &format!("«derivation {}»", crate::text::raw::Shown(path))),
            Err(error) => self.error(error, depth)?,
        }
        Ok(())
    }

    fn list(&mut self, list: &'static List, depth: usize) -> Result<()> {
        if depth >= self.options.depth {
            self.text(Paint::Plain, "[ ... ]");
            return Ok(());
        }
        let (in_lines, mut only) = self.layout(list.slots().first(), list.len());
        self.indent += 2;
        self.out.push('[');
        for (index, element) in list.iter().enumerate() {
            self.space(in_lines);
            let value = only.take().unwrap_or_else(|| self.member(element));
            self.result(value, depth + 1)
                .traced(PosId::NONE, || format!("while evaluating list element at index {index}"))?;
        }
        self.indent -= 2;
        self.space(in_lines);
        self.out.push(']');
        Ok(())
    }

    /// Whether members get a line each: several do, and an only one that is a list or a set. Gives the value of an only one.
    fn layout(&mut self, first: Option<&'static Slot>, count: usize) -> (bool, Option<Result<Value>>) {
        match (first, count) {
            (Some(only), 1) => {
                let value = self.member(only.get());
                let is_nested = value
                    .as_ref()
                    .is_ok_and(|value| matches!(value.peek().view(), View::Attrs(_) | View::List(_)));
                (is_nested, Some(value))
            }
            _ => (count > 1, None),
        }
    }

    fn space(&mut self, in_lines: bool) {
        match in_lines && self.options.lines {
            true => {
                self.out.push('\n');
                self.out.extend(std::iter::repeat_n(' ', self.indent));
            }
            false => self.out.push(' '),
        }
    }
}
