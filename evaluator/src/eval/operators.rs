//! Arithmetic, comparison and concatenation.

use super::{
    Evaluator,
    delay::variable_slot,
    error::{ErrorKind, EvalError, Failure, Result, Traced},
    expect::show_type,
};
use crate::{
    ir::{self, Expr},
    position::PosId,
    value::{Env, Slot, Value, View},
};

/// An operator on two numbers.
pub struct Arithmetic {
    /// Its name, as in `builtins.NAME`.
    pub name: &'static str,
    /// What it does, as in Nix's message of an overflow.
    verb: &'static str,
    symbol: &'static str,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
}

/// `+`
pub const ADD: Arithmetic =
    Arithmetic { name: "add", verb: "adding", symbol: "+", ints: i64::checked_add, floats: |a, b| a + b };
/// `-`
pub const SUBTRACT: Arithmetic = Arithmetic {
    name: "sub",
    verb: "subtracting",
    symbol: "-",
    ints: i64::checked_sub,
    floats: |a, b| a - b,
};
/// `*`
pub const MULTIPLY: Arithmetic = Arithmetic {
    name: "mul",
    verb: "multiplying",
    symbol: "*",
    ints: i64::checked_mul,
    floats: |a, b| a * b,
};
/// `/`
pub const DIVIDE: Arithmetic =
    Arithmetic { name: "div", verb: "dividing", symbol: "/", ints: i64::checked_div, floats: |a, b| a / b };

impl Evaluator {
    /// A value that need not be evaluated in a general way.
    #[inline(always)]
    fn operand(&mut self, expr: &'static Expr, env: &'static Env) -> Result<Value> {
        self.eval(expr, env)
    }

    pub(super) fn add(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<Value> {
        let left = self.operand(&op.left, env)?;
        if let Some(a) = left.as_small_int() {
            let right = self.operand(&op.right, env)?;
            // Two 61-bit numbers cannot overflow 64 bits.
            if let Some(b) = right.as_small_int() {
                return Ok(self.heap.int(a + b));
            }
            return self.add_values(left, right, op);
        }
        if let Some(a) = left.as_string() {
            let right = self.operand(&op.right, env)?;
            if let Some(b) = right.as_string() {
                return Ok(self.join(a, b));
            }
            return self.add_strings(left, right, op);
        }
        if let View::Float(_) | View::Int(_) = left.view() {
            let right = self.operand(&op.right, env)?;
            return self.add_values(left, right, op);
        }
        self.append_to(left, op, env)
    }

    pub(super) fn subtract(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<Value> {
        let left = match self.operand(&op.left, env) {
            Ok(value) => self.word(value, &op.left, env),
            Err(error) => self.fail_later(as_argument(error, &op.left, env)),
        };
        let right = match left.as_small_int() {
            Some(a) if !self.is_deep() => match self.operand(&op.right, env) {
                Ok(right) => match right.as_small_int() {
                    Some(b) => return Ok(self.heap.int(a - b)),
                    None => self.word(right, &op.right, env),
                },
                Err(error) => self.fail_later(as_argument(error, &op.right, env)),
            },
            _ => self.delay(&op.right, env),
        };
        self.arithmetic_operator(&SUBTRACT, left, right, op.pos)
    }

    pub(super) fn multiply(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<Value> {
        let left = self.delay(&op.left, env);
        let right = self.delay(&op.right, env);
        self.arithmetic_operator(&MULTIPLY, left, right, op.pos)
    }

    pub(super) fn divide(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<Value> {
        let left = self.delay(&op.left, env);
        let right = self.delay(&op.right, env);
        self.arithmetic_operator(&DIVIDE, left, right, op.pos)
    }

    /// An operator that Nix makes a call of a builtin, so its errors read like those of a call.
    fn arithmetic_operator(
        &mut self,
        arithmetic: &Arithmetic,
        left: Value,
        right: Value,
        pos: PosId,
    ) -> Result<Value> {
        self.enter(pos)?;
        let result = self.arithmetic(arithmetic, left, right, PosId::NONE);
        self.leave();
        result.traced(pos, || format!("while calling the '{}' builtin", arithmetic.name))
    }

    /// `builtins.add` and the others.
    pub fn arithmetic(
        &mut self,
        arithmetic: &Arithmetic,
        left: Value,
        right: Value,
        pos: PosId,
    ) -> Result<Value> {
        let (a, b) = (self.force(left)?, self.force(right)?);
        if let (Some(a), Some(b)) = (a.as_small_int(), b.as_small_int())
            && let Some(value) = (arithmetic.ints)(a, b)
        {
            return Ok(self.heap.int(value));
        }
        self.arithmetic_of_any(arithmetic, left, right, pos)
    }

    fn arithmetic_of_any(
        &mut self,
        arithmetic: &Arithmetic,
        left: Value,
        right: Value,
        pos: PosId,
    ) -> Result<Value> {
        let name = arithmetic.name;
        let first = match name {
            "sub" | "add" => format!("while evaluating the first argument of the {}", noun(name)),
            "mul" => "while evaluating the first argument of the multiplication".to_owned(),
            _ => "while evaluating the first operand of the division".into(),
        };
        let second = first.replace("first", "second");
        if name == "div" && self.expect_float(right, pos, &second)? == 0.0 {
            return Err(EvalError::eval(PosId::NONE, "division by zero"));
        }
        if matches!(left.peek().view(), View::Float(_)) || matches!(right.peek().view(), View::Float(_)) {
            let a = self.expect_float(left, pos, &first.replace("argument of the mul", "of the mul"))?;
            let b = self.expect_float(right, pos, &second)?;
            return Ok(self.heap.float((arithmetic.floats)(a, b)));
        }
        let a = self.expect_int(left, pos, &first)?;
        let b = self.expect_int(right, pos, &second)?;
        self.integers(arithmetic, a, b, pos)
    }

    fn integers(&mut self, arithmetic: &Arithmetic, a: i64, b: i64, pos: PosId) -> Result<Value> {
        match (arithmetic.ints)(a, b) {
            Some(value) => Ok(self.heap.int(value)),
            None => {
                let Arithmetic { verb, symbol, .. } = arithmetic;
                Err(EvalError::eval(pos, format!("integer overflow in {verb} {a} {symbol} {b}")))
            }
        }
    }

    /// `a + b` where `a` is a number and no shortcut applies.
    fn add_values(&mut self, left: Value, right: Value, op: &'static ir::Binary) -> Result<Value> {
        match (left.view(), right.view()) {
            (View::Int(a), View::Int(b)) => self.integers(&ADD, a, b, op.right_pos),
            (View::Int(a), View::Float(b)) => Ok(self.heap.float(a as f64 + b)),
            (View::Float(a), View::Int(b)) => Ok(self.heap.float(a + b as f64)),
            (View::Float(a), View::Float(b)) => Ok(self.heap.float(a + b)),
            (View::Int(_), _) => {
                let message = format!("cannot add {} to an integer", show_type(right));
                Err(EvalError::wrong_type(op.right_pos, message))
            }
            (View::Float(_), _) => {
                let message = format!("cannot add {} to a float", show_type(right));
                Err(EvalError::wrong_type(op.right_pos, message))
            }
            _ => unreachable!("the left operand is a number"),
        }
    }

    pub(super) fn less(&mut self, op: &'static ir::Comparison, env: &'static Env) -> Result<Value> {
        let (left, right) = match self.both_operands(op, env) {
            Ok(operands) => operands,
            Err(error) => return Err(self.in_less_than(error, op)),
        };
        if let (Some(a), Some(b)) = (left.as_small_int(), right.as_small_int()) {
            return Ok(Value::bool((a < b) != op.negate));
        }
        let (left, right) = (self.word(left, &op.left, env), self.word(right, &op.right, env));
        match self.less_than(left, right, PosId::NONE, "") {
            Ok(less) => Ok(Value::bool(less != op.negate)),
            Err(error) => Err(self.in_less_than(error, op)),
        }
    }

    #[inline(always)]
    fn both_operands(&mut self, op: &'static ir::Comparison, env: &'static Env) -> Result<(Value, Value)> {
        let left = self.eval(&op.left, env).map_err(|error| as_argument(error, &op.left, env))?;
        let right = self.eval(&op.right, env).map_err(|error| as_argument(error, &op.right, env))?;
        Ok((left, right))
    }

    #[cold]
    fn in_less_than(&mut self, error: Failure, op: &'static ir::Comparison) -> Failure {
        let error = error.trace(op.pos, "while calling the 'lessThan' builtin");
        match op.negate {
            true => error.trace(op.pos, "in the argument of the not operator"),
            false => error,
        }
    }

    pub(super) fn concat_lists(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<Value> {
        let context = "while evaluating one of the elements to concatenate";
        let left = self.eval(&op.left, env)?;
        let right = self.eval(&op.right, env)?;
        let a = self.expect_list(left, op.pos, context)?;
        let b = self.expect_list(right, op.pos, context)?;
        if b.is_empty() {
            return Ok(left);
        }
        if a.is_empty() {
            return Ok(right);
        }
        Ok(self.concat_slots(&[a.slots(), b.slots()]))
    }

    /// One list of several.
    pub fn concat_slots(&mut self, parts: &[&'static [Slot]]) -> Value {
        let slots = self.heap.concat_slots(parts);
        self.heap.list_of(slots)
    }
}

/// The failure of an operand that Nix hands to a builtin, which does not know where a variable that needs itself stands.
#[cold]
fn as_argument(mut error: Failure, operand: &'static Expr, env: &'static Env) -> Failure {
    let place = match operand {
        Expr::Local(variable) | Expr::Outer(variable) => variable.pos,
        Expr::Distant { pos, .. } => *pos,
        _ => return error,
    };
    let is_stuck = || {
        variable_slot(operand, env).is_some_and(|slot| slot.get().is_thunk() && slot.get().thunk().is_stuck())
    };
    if error.kind == ErrorKind::InfiniteRecursion && error.pos == place && is_stuck() {
        error.pos = PosId::NONE;
    }
    error
}

fn noun(name: &str) -> &'static str {
    match name {
        "add" => "addition",
        _ => "subtraction",
    }
}
