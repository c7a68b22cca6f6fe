//! Values as JSON and XML, and values from JSON and TOML.

use bstr::ByteSlice;

use super::Builtin;
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{EvalError, Result, Traced},
        expect::show_type,
    },
    position::PosId,
    symbol::{Symbol, known},
    value::{Context, Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("toJSON", 1, 1, to_json),
    Builtin::new("fromJSON", 1, 1, from_json),
    Builtin::new("fromTOML", 1, 1, from_toml),
];

fn to_json(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let mut context = None;
    let mut text = Vec::new();
    write_json(evaluator, args[0], true, &mut context, &mut text, pos)?;
    Ok(evaluator.heap.string_with(&text, context))
}

/// Appends a value's JSON. With `strict`, thunks are evaluated. Paths are copied to the store.
pub(crate) fn write_json(
    evaluator: &mut Evaluator,
    value: Value,
    strict: bool,
    context: &mut Option<&'static Context>,
    out: &mut Vec<u8>,
    pos: PosId,
) -> Result<()> {
    evaluator.check_stack(pos)?;
    let value = if strict { evaluator.force(value)? } else { value };
    match value.view() {
        View::Null => out.extend_from_slice(b"null"),
        View::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        View::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        View::Float(value) => out.extend_from_slice(crate::text::number::float_to_json(value).as_bytes()),
        View::String(string) => {
            *context = Context::union(&mut evaluator.heap, *context, string.context);
            json_string(out, string.bytes());
        }
        View::Path(path) => {
            let text = evaluator.copy_to_store(path, context, pos)?;
            json_string(out, text);
        }
        View::Attrs(attrs) => {
            if attrs.get(known().to_string).is_some() {
                let text = evaluator.coerce(value, Coercion::INTERPOLATED, context, pos, "")?;
                json_string(out, text);
                return Ok(());
            }
            if let Some(out_path) = attrs.get(known().out_path) {
                return write_json(evaluator, out_path, strict, context, out, pos);
            }
            out.push(b'{');
            for (index, (name, slot)) in attrs.flatten(&mut evaluator.heap).sorted().into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json_string(out, name.text());
                out.push(b':');
                let at = attrs.position(name).unwrap_or_default();
                write_json(evaluator, slot.get(), strict, context, out, at)
                    .traced(at, || format!("while evaluating attribute '{}'", name.text()))?;
            }
            out.push(b'}');
        }
        View::List(list) => {
            out.push(b'[');
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(evaluator, element, strict, context, out, pos)
                    .traced(pos, || format!("while evaluating list element at index {index}"))?;
            }
            out.push(b']');
        }
        View::Closure(_) | View::Builtin(_) | View::Partial(_) | View::Thunk(_) => {
            return Err(EvalError::wrong_type(pos, format!("cannot convert {} to JSON", show_type(value))));
        }
    }
    Ok(())
}

/// Appends a JSON string literal.
pub(super) fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            control if control < ' ' => {
                out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes())
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn from_json(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.fromJSON";
    let text = evaluator.expect_plain_string(args[0], pos, doing)?;
    let parsed: serde_json::Value = serde_json::from_slice(text).map_err(|error| {
        EvalError::eval(pos, error.to_string()).trace(pos, "while decoding a JSON string")
    })?;
    Ok(from_json_value(evaluator, &parsed))
}

fn from_json_value(evaluator: &mut Evaluator, value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::NULL,
        serde_json::Value::Bool(value) => Value::bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => evaluator.heap.int(int),
            None => evaluator.heap.float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => evaluator.heap.string(text.as_bytes()),
        serde_json::Value::Array(elements) => {
            let elements: Vec<Value> =
                elements.iter().map(|element| from_json_value(evaluator, element)).collect();
            evaluator.heap.list(&elements)
        }
        serde_json::Value::Object(members) => {
            let mut members: Vec<(Symbol, Value)> = members
                .iter()
                .map(|(name, value)| (Symbol::intern(name.as_bytes()), from_json_value(evaluator, value)))
                .collect();
            evaluator.attrs_from(&mut members)
        }
    }
}

fn from_toml(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.fromTOML";
    let text = evaluator.expect_plain_string(args[0], pos, doing)?;
    let text = text.to_str().map_err(|error| EvalError::eval(pos, error.to_string()))?;
    let table: toml::Table =
        toml::from_str(text).map_err(|error| EvalError::eval(pos, format!("while parsing TOML: {error}")))?;
    from_toml_value(evaluator, &toml::Value::Table(table), pos)
}

fn from_toml_value(evaluator: &mut Evaluator, value: &toml::Value, pos: PosId) -> Result<Value> {
    Ok(match value {
        toml::Value::String(text) => evaluator.heap.string(text.as_bytes()),
        toml::Value::Integer(value) => evaluator.heap.int(*value),
        toml::Value::Float(value) => evaluator.heap.float(*value),
        toml::Value::Boolean(value) => Value::bool(*value),
        toml::Value::Datetime(_) => {
            return Err(EvalError::eval(pos, "while parsing TOML: Dates and times are not supported"));
        }
        toml::Value::Array(elements) => {
            let elements: Vec<Value> = elements
                .iter()
                .map(|element| from_toml_value(evaluator, element, pos))
                .collect::<Result<_>>()?;
            evaluator.heap.list(&elements)
        }
        toml::Value::Table(members) => {
            let mut members: Vec<(Symbol, Value)> = members
                .iter()
                .map(|(name, value)| {
                    Ok((Symbol::intern(name.as_bytes()), from_toml_value(evaluator, value, pos)?))
                })
                .collect::<Result<_>>()?;
            evaluator.attrs_from(&mut members)
        }
    })
}

impl Evaluator {
    /// A value as JSON, for output.
    pub fn to_json(&mut self, value: Value, strict: bool) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        write_json(self, value, strict, &mut None, &mut text, PosId::NONE)?;
        Ok(text)
    }

    /// The text of a value that counts as a string, for output.
    pub fn to_raw(&mut self, value: Value) -> Result<Vec<u8>> {
        let doing = "while generating the eval command output";
        Ok(self.coerce(value, Coercion::INTERPOLATED, &mut None, PosId::NONE, doing)?.to_vec())
    }
}
