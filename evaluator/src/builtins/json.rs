//! Values as JSON, and values from JSON.

use super::Builtin;
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{EvalError, Failure, Result, Traced},
        expect::show_type,
    },
    parallel::Need,
    position::PosId,
    symbol::{Symbol, known},
    text::json::{self, JsonError, Visitor},
    value::{Context, Value, View},
};

pub(super) const BUILTINS: &[Builtin] =
    &[Builtin::new("toJSON", 1, 1, to_json), Builtin::new("fromJSON", 1, 1, from_json)];

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
    write_value(evaluator, value, Form { strict, copy: true }, context, out, pos)
}

/// How JSON is made.
#[derive(Clone, Copy)]
struct Form {
    /// Whether thunks are evaluated.
    strict: bool,
    /// Whether paths are copied to the store.
    copy: bool,
}

fn write_value(
    evaluator: &mut Evaluator,
    value: Value,
    form: Form,
    context: &mut Option<&'static Context>,
    out: &mut Vec<u8>,
    pos: PosId,
) -> Result<()> {
    evaluator.enter(pos)?;
    write_forced(evaluator, value, form, context, out, pos)?;
    evaluator.leave();
    Ok(())
}

fn write_forced(
    evaluator: &mut Evaluator,
    value: Value,
    form: Form,
    context: &mut Option<&'static Context>,
    out: &mut Vec<u8>,
    pos: PosId,
) -> Result<()> {
    let value = if form.strict { evaluator.force(value)? } else { value.peek() };
    match value.view() {
        View::Null => out.extend_from_slice(b"null"),
        View::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        View::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        View::Float(value) => out.extend_from_slice(crate::text::number::float_to_json(value).as_bytes()),
        View::String(string) => {
            *context = Context::union(&mut evaluator.heap, *context, string.context);
            json_string(out, string.bytes())?;
        }
        View::Path(path) if !form.copy => json_string(out, &evaluator.session.observed(path, PosId::NONE)?)?,
        View::Path(path) => {
            let text = evaluator.copy_to_store(path, context)?;
            json_string(out, text)?;
        }
        View::Attrs(attrs) => {
            if attrs.get(known().to_string).is_some() {
                // A path that comes of it is not copied, as one that stands for itself is.
                let text = evaluator.coerce(value, Coercion::APPENDED, context, pos, "")?;
                return json_string(out, text);
            }
            if let Some(out_path) = attrs.get(known().out_path) {
                let at = attrs.position(known().out_path).unwrap_or_default();
                return write_value(evaluator, out_path, form, context, out, at);
            }
            out.push(b'{');
            let members = attrs.flatten(&mut evaluator.heap).sorted();
            let offered = if form.strict { members.as_slice() } else { &[] };
            let _offer = evaluator.offer(Need::Value, offered.iter().map(|(_, slot)| *slot));
            for (index, (name, slot)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json_string(out, name.text())?;
                out.push(b':');
                let at = attrs.position(name).unwrap_or_default();
                write_value(evaluator, slot.get(), form, context, out, at)
                    .traced(at, || format!("while evaluating attribute '{}'", name.shown()))?;
            }
            out.push(b'}');
        }
        View::List(list) => {
            let offered = if form.strict { list.slots() } else { &[] };
            let _offer = evaluator.offer(Need::Value, offered.iter());
            out.push(b'[');
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(evaluator, element, form, context, out, pos)
                    .traced(pos, || format!("while evaluating list element at index {index}"))?;
            }
            out.push(b']');
        }
        View::Closure(_) | View::Builtin(_) | View::Partial(_) | View::Thunk(_) => {
            let at = value.next_parameter().map_or(pos, |parameter| parameter.pos);
            return Err(EvalError::wrong_type(at, format!("cannot convert {} to JSON", show_type(value))));
        }
    }
    Ok(())
}

/// Appends a JSON string literal.
pub(super) fn json_string(out: &mut Vec<u8>, text: &[u8]) -> Result<()> {
    json::write_string(out, text)
        .map_err(|error| EvalError::eval(PosId::NONE, format!("JSON serialization error: {error}")))
}

fn from_json(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.fromJSON";
    let text = evaluator.expect_plain_string(args[0], pos, doing)?;
    let mut reader = Reader { evaluator, open: Vec::new(), document: Value::NULL };
    json::parse(text, &mut reader).map_err(|error| refused(&error, pos))?;
    Ok(reader.document)
}

fn refused(error: &JsonError, pos: PosId) -> Failure {
    let failure = EvalError::eval(PosId::NONE, error.to_string());
    match error {
        JsonError::Syntax(_) => failure.trace(pos, "while decoding a JSON string"),
        JsonError::Value(_) => failure,
    }
}

/// Makes values from a JSON text, without recursion.
struct Reader<'a> {
    evaluator: &'a mut Evaluator,
    open: Vec<Container>,
    document: Value,
}

enum Container {
    Array(Vec<Value>),
    /// The members, and the name of the one that comes next.
    Object(Vec<(Symbol, Value)>, Option<Symbol>),
}

impl Reader<'_> {
    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.document = value,
            Some(Container::Array(elements)) => elements.push(value),
            Some(Container::Object(members, name)) => members.extend(name.take().map(|name| (name, value))),
        }
    }
}

impl Visitor for Reader<'_> {
    fn null(&mut self) {
        self.put(Value::NULL);
    }

    fn bool(&mut self, value: bool) {
        self.put(Value::bool(value));
    }

    fn int(&mut self, value: i64) {
        let value = self.evaluator.heap.int(value);
        self.put(value);
    }

    fn float(&mut self, value: f64) {
        let value = self.evaluator.heap.float(value);
        self.put(value);
    }

    fn string(&mut self, value: &[u8]) {
        let value = self.evaluator.heap.string(value);
        self.put(value);
    }

    fn begin_array(&mut self) {
        self.open.push(Container::Array(Vec::new()));
    }

    fn end_array(&mut self) {
        if let Some(Container::Array(elements)) = self.open.pop() {
            let list = self.evaluator.heap.list(&elements);
            self.put(list);
        }
    }

    fn begin_object(&mut self) {
        self.open.push(Container::Object(Vec::new(), None));
    }

    fn key(&mut self, name: &[u8]) {
        if let Some(Container::Object(_, next)) = self.open.last_mut() {
            *next = Some(Symbol::intern(name));
        }
    }

    fn end_object(&mut self) {
        if let Some(Container::Object(mut members, _)) = self.open.pop() {
            // Of members with the same name the last one counts: the sort is stable.
            members.reverse();
            members.sort_by_key(|member| member.0);
            members.dedup_by_key(|member| member.0);
            let set = self.evaluator.attrs_from(&mut members);
            self.put(set);
        }
    }
}

impl Evaluator {
    /// A value as JSON, for output. Errors tell where the value is written, if it is a set.
    pub fn to_json(&mut self, value: Value, strict: bool) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let place = value.own_position();
        write_json(self, value, strict, &mut None, &mut text, place)?;
        Ok(text)
    }

    /// A value as JSON, for output, evaluated as far as it goes; paths stay where they are.
    pub fn to_json_in_place(&mut self, value: Value) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        write_value(self, value, Form { strict: true, copy: false }, &mut None, &mut text, PosId::NONE)?;
        Ok(text)
    }

    /// The text of a value that counts as a string, for output; `doing` is as in "while generating the output".
    pub fn to_raw(&mut self, value: Value, doing: &str) -> Result<Vec<u8>> {
        Ok(self.coerce(value, Coercion::INTERPOLATED, &mut None, PosId::NONE, doing)?.to_vec())
    }
}
