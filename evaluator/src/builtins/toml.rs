//! Values from TOML.

use super::Builtin;
use crate::{
    eval::{
        Evaluator,
        error::{EvalError, Failure, Result},
    },
    position::PosId,
    symbol::{Symbol, known},
    text::toml::{self, NO_TIMESTAMPS, Toml},
    value::Value,
};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new("fromTOML", 1, 1, from_toml)];

fn from_toml(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.fromTOML";
    let text = evaluator.expect_plain_string(args[0], pos, doing)?;
    let table = toml::parse(text).map_err(|error| refused(&error.to_string(), pos))?;
    value_of(evaluator, table, pos)
}

fn refused(reason: &str, pos: PosId) -> Failure {
    EvalError::eval(pos, format!("while parsing TOML: {}", crate::print::coloured(reason)))
}

fn value_of(evaluator: &mut Evaluator, toml: Toml, pos: PosId) -> Result<Value> {
    Ok(match toml {
        Toml::Bool(value) => Value::bool(value),
        Toml::Int(value) => evaluator.heap.int(value),
        Toml::Float(value) => evaluator.heap.float(value),
        Toml::String(text) => evaluator.heap.string(&text),
        Toml::Timestamp(text) => timestamp(evaluator, &text, pos)?,
        Toml::Array(elements) => {
            let elements: Vec<Value> = elements
                .into_iter()
                .map(|element| value_of(evaluator, element, pos))
                .collect::<Result<_>>()?;
            evaluator.heap.list(&elements)
        }
        Toml::Table(members) => {
            let mut members: Vec<(Symbol, Value)> = members
                .into_iter()
                .map(|(name, value)| Ok((Symbol::intern(&name), value_of(evaluator, value, pos)?)))
                .collect::<Result<_>>()?;
            evaluator.attrs_from(&mut members)
        }
    })
}

fn timestamp(evaluator: &mut Evaluator, text: &str, pos: PosId) -> Result<Value> {
    if !evaluator.session.settings.has_feature("parse-toml-timestamps") {
        return Err(refused(NO_TIMESTAMPS, pos));
    }
    let kind = evaluator.heap.string(b"timestamp");
    let value = evaluator.heap.string(text.as_bytes());
    Ok(evaluator.attrs_from(&mut [(Symbol::intern(b"_type"), kind), (known().value, value)]))
}
