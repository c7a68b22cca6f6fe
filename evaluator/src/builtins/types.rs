//! What a value is, and what a function takes.

use super::Builtin;
use crate::{
    eval::{Evaluator, error::Result},
    position::PosId,
    symbol::Symbol,
    value::{Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("isNull", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::Null))),
    Builtin::new("isBool", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::Bool(_)))),
    Builtin::new("isInt", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::Int(_)))),
    Builtin::new("isFloat", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::Float(_)))),
    Builtin::new("isString", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::String(_)))),
    Builtin::new("isPath", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::Path(_)))),
    Builtin::new("isList", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::List(_)))),
    Builtin::new("isAttrs", 1, 1, |e, args, _| is(e, args, |view| matches!(view, View::Attrs(_)))),
    Builtin::new("isFunction", 1, 1, |e, args, _| is(e, args, is_function)),
    Builtin::new("typeOf", 1, 1, type_of),
    Builtin::new("functionArgs", 1, 1, function_args),
];

fn is(evaluator: &mut Evaluator, args: &[Value], test: fn(View) -> bool) -> Result<Value> {
    let value = evaluator.force(args[0])?;
    Ok(Value::bool(test(value.view())))
}

fn is_function(view: View) -> bool {
    matches!(view, View::Closure(_) | View::Builtin(_) | View::Partial(_))
}

fn type_of(evaluator: &mut Evaluator, args: &[Value], _: PosId) -> Result<Value> {
    let name = match evaluator.force(args[0])?.view() {
        View::Null => "null",
        View::Bool(_) => "bool",
        View::Int(_) => "int",
        View::Float(_) => "float",
        View::String(_) => "string",
        View::Path(_) => "path",
        View::Attrs(_) => "set",
        View::List(_) => "list",
        View::Closure(_) | View::Builtin(_) | View::Partial(_) => "lambda",
        View::Thunk(_) => unreachable!("forced"),
    };
    Ok(Symbol::intern(name.as_bytes()).value())
}

fn function_args(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let value = evaluator.force(args[0])?;
    let parameter = match value.view() {
        View::Closure(closure) => Some(&closure.lambda.parameters[0]),
        View::Partial(partial) => match partial.function.view() {
            View::Closure(closure) => Some(&closure.lambda.parameters[partial.arguments.len()]),
            _ => None,
        },
        View::Builtin(_) => None,
        _ => {
            let message = "'functionArgs' requires a function";
            return Err(crate::EvalError::wrong_type(pos, message));
        }
    };
    let Some(pattern) = parameter.and_then(|parameter| parameter.pattern.as_ref()) else {
        return Ok(evaluator.attrs_from(&mut []));
    };
    let mut formals: Vec<_> = pattern.formals.iter().collect();
    formals.sort_unstable_by_key(|formal| formal.name);
    let keys = evaluator.heap.shared_keys(formals.iter().map(|formal| (formal.name, formal.pos)));
    Ok(evaluator.heap.attrs(keys, |_, index| Value::bool(formals[index].default.is_some())))
}
