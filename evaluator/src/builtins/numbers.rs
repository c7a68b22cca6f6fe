//! Arithmetic, bits, rounding and order.

use super::{Builtin, Kind};
use crate::{
    eval::{
        Evaluator,
        error::{EvalError, Result},
        operators::{ADD, DIVIDE, MULTIPLY, SUBTRACT},
    },
    position::PosId,
    value::{Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("add", 2, 3, |e, args, pos| e.arithmetic(&ADD, args[0], args[1], pos)),
    Builtin::new("sub", 2, 3, |e, args, pos| e.arithmetic(&SUBTRACT, args[0], args[1], pos)),
    Builtin::new("mul", 2, 3, |e, args, pos| e.arithmetic(&MULTIPLY, args[0], args[1], pos)),
    Builtin::new("div", 2, 3, |e, args, pos| e.arithmetic(&DIVIDE, args[0], args[1], pos)),
    Builtin::new("lessThan", 2, 3, |e, args, pos| Ok(Value::bool(e.less_than(args[0], args[1], pos, "")?))),
    Builtin::new("bitAnd", 2, 3, |e, args, pos| bits(e, args, pos, "bitAnd", |a, b| a & b)).after(Kind::Int),
    Builtin::new("bitOr", 2, 3, |e, args, pos| bits(e, args, pos, "bitOr", |a, b| a | b)).after(Kind::Int),
    Builtin::new("bitXor", 2, 3, |e, args, pos| bits(e, args, pos, "bitXor", |a, b| a ^ b)).after(Kind::Int),
    Builtin::new("ceil", 1, 1, |e, args, pos| round(e, args, pos, "ceil", f64::ceil)),
    Builtin::new("floor", 1, 1, |e, args, pos| round(e, args, pos, "floor", f64::floor)),
];

fn bits(
    evaluator: &mut Evaluator,
    args: &[Value],
    pos: PosId,
    name: &str,
    combine: fn(i64, i64) -> i64,
) -> Result<Value> {
    if let (Some(a), Some(b)) = (args[0].peek().as_small_int(), args[1].peek().as_small_int()) {
        return Ok(evaluator.heap.int(combine(a, b)));
    }
    let first = format!("while evaluating the first argument passed to builtins.{name}");
    let second = format!("while evaluating the second argument passed to builtins.{name}");
    let a = evaluator.expect_int(args[0], pos, &first)?;
    let b = evaluator.expect_int(args[1], pos, &second)?;
    Ok(evaluator.heap.int(combine(a, b)))
}

fn round(
    evaluator: &mut Evaluator,
    args: &[Value],
    pos: PosId,
    name: &str,
    round: fn(f64) -> f64,
) -> Result<Value> {
    let context = format!("while evaluating the first argument passed to builtins.{name}");
    let number = evaluator.expect_float(args[0], pos, &context)?;
    let value = evaluator.force(args[0])?;
    let rounded = round(number);
    let fits = (-(2f64.powi(63))..2f64.powi(63)).contains(&rounded);
    let bug = "Due to a bug (see https://github.com/NixOS/nix/issues/12899)";
    let future = "\n\tFuture Nix versions might implement the correct behavior.";
    let message = match (value.view(), fits) {
        (View::Int(int), true) if int == rounded as i64 => return Ok(value),
        (View::Int(int), true) => format!(
            "{bug} a loss of precision occurred in previous Nix versions because the NixInt argument {int} was rounded to \
             {}.{future}",
            rounded as i64
        ),
        (View::Int(int), false) => format!(
            "{bug} the NixInt argument {int} caused undefined behavior in previous Nix versions.{future}"
        ),
        (_, true) => return Ok(evaluator.heap.int(rounded as i64)),
        (_, false) => {
            format!("NixFloat argument {} is not in the range of NixInt", crate::print::float(number))
        }
    };
    Err(EvalError::eval(pos, message))
}
