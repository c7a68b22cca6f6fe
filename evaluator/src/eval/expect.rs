//! Values of an expected type, or the error that Nix gives for another.

use super::{
    Evaluator,
    error::{ErrorKind, EvalError, Failure, Result, Traced},
};
use crate::{
    position::PosId,
    print,
    value::{Attrs, List, Str, Value, View},
};

/// What a value is, in the words of Nix's errors.
pub fn show_type(value: Value) -> String {
    match value.peek().view() {
        View::Thunk(_) => "a thunk".into(),
        View::Null => "null".into(),
        View::Bool(_) => "a Boolean".into(),
        View::Int(_) => "an integer".into(),
        View::Float(_) => "a float".into(),
        View::String(string) if string.context.is_some() => "a string with context".into(),
        View::String(_) => "a string".into(),
        View::Path(_) => "a path".into(),
        View::Attrs(_) => "a set".into(),
        View::List(_) => "a list".into(),
        View::Closure(_) => "a function".into(),
        View::Builtin(id) => format!("the built-in function '{}'", id.builtin().name),
        View::Partial(partial) => match partial.function.view() {
            View::Builtin(id) => {
                format!("the partially applied built-in function '{}'", id.builtin().name)
            }
            _ => "a function".into(),
        },
    }
}

impl Evaluator {
    /// The error for a value of the wrong type, given by the word that it was had by, which shows of a list: `wanted` is as in
    /// "a set". It has no place: for sets, lists and
    /// coercions the frame that the caller adds has one.
    #[cold]
    pub fn wrong_type(&mut self, value: Value, wanted: &str) -> Failure {
        let found = print::coloured(&print::for_error(self, value));
        let message = format!("expected {wanted} but found {}: {found}", show_type(value));
        EvalError::new(ErrorKind::Type, PosId::NONE, message)
    }

    /// A boolean.
    pub fn expect_bool(&mut self, value: Value, pos: PosId, context: &str) -> Result<bool> {
        match self.force_at(value, pos).traced(pos, || context)?.view() {
            View::Bool(value) => Ok(value),
            _ => Err(self.wrong_type(value, "a Boolean").at(pos).trace(pos, context)),
        }
    }

    /// An integer.
    pub fn expect_int(&mut self, value: Value, pos: PosId, context: &str) -> Result<i64> {
        match self.force_at(value, pos).traced(pos, || context)?.view() {
            View::Int(value) => Ok(value),
            _ => Err(self.wrong_type(value, "an integer").at(pos).trace(pos, context)),
        }
    }

    /// A number, as a float.
    pub fn expect_float(&mut self, value: Value, pos: PosId, context: &str) -> Result<f64> {
        match self.force_at(value, pos).traced(pos, || context)?.view() {
            View::Int(value) => Ok(value as f64),
            View::Float(value) => Ok(value),
            _ => Err(self.wrong_type(value, "a float").at(pos).trace(pos, context)),
        }
    }

    /// A set.
    #[inline(always)]
    pub fn expect_attrs(&mut self, value: Value, pos: PosId, context: &str) -> Result<&'static Attrs> {
        match self.force_at(value, pos)?.as_attrs() {
            Some(attrs) => Ok(attrs),
            None => Err(self.wrong_type(value, "a set").trace(pos, context)),
        }
    }

    /// A list.
    #[inline(always)]
    pub fn expect_list(&mut self, value: Value, pos: PosId, context: &str) -> Result<&'static List> {
        match self.force_at(value, pos)?.as_list() {
            Some(list) => Ok(list),
            None => Err(self.wrong_type(value, "a list").trace(pos, context)),
        }
    }

    /// A string, with whatever context.
    pub fn expect_string(&mut self, value: Value, pos: PosId, context: &str) -> Result<&'static Str> {
        match self.force_at(value, pos).traced(pos, || context)?.as_string() {
            Some(string) => Ok(string),
            None => Err(self.wrong_type(value, "a string").at(pos).trace(pos, context)),
        }
    }

    /// A string that must not refer to a store path.
    pub fn expect_plain_string(&mut self, value: Value, pos: PosId, context: &str) -> Result<&'static [u8]> {
        let string = self.expect_string(value, pos, context)?;
        let Some(first) = string.context.and_then(|context| context.iter().min()) else {
            return Ok(string.bytes());
        };
        let message = format!(
            "the string '{}' is not allowed to refer to a store path (such as '{}')",
            crate::text::raw::text(string.bytes()),
            crate::value::context::shown(first)
        );
        Err(EvalError::eval(PosId::NONE, message).trace(pos, context))
    }

    /// Something that can be called.
    pub fn expect_function(&mut self, value: Value, pos: PosId, context: &str) -> Result<Value> {
        let forced = self.force_at(value, pos).traced(pos, || context)?;
        match forced.view() {
            View::Closure(_) | View::Builtin(_) | View::Partial(_) => Ok(forced),
            View::Attrs(attrs) if attrs.find(crate::symbol::known().functor).is_some() => Ok(forced),
            _ => Err(self.wrong_type(value, "a function").at(pos).trace(pos, context)),
        }
    }
}
