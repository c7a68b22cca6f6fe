//! Words for what may not be needed: the value where it is there already, else a thunk.

use super::Evaluator;
use crate::{
    ir::{self, Expr},
    value::{Env, Slot, Thunk, Value},
};

impl Evaluator {
    /// A word for code whose value may not be needed: the value itself where that costs nothing and cannot fail,
    /// else a thunk.
    #[inline(always)]
    pub fn delay(&mut self, expr: &'static Expr, env: &'static Env) -> Value {
        match expr {
            Expr::Value(value) => *value,
            Expr::Local(variable) => self.delay_variable(expr, env, env.slot(variable.slot)),
            Expr::Outer(variable) => self.delay_variable(expr, env, env.ancestor(1).slot(variable.slot)),
            Expr::Distant { depth, slot, .. } => {
                self.delay_variable(expr, env, env.ancestor((*depth).into()).slot(*slot))
            }
            Expr::Lambda(lambda) => self.heap.closure(lambda, env),
            Expr::SelectPath(select) => match peek_path(select, env) {
                Some(value) => value,
                None => self.heap.thunk(Thunk::code(expr, env)),
            },
            // Where no call may begin, the operators of numbers, which Nix calls, are left to fail when they are needed.
            _ => match if self.is_deep() { None } else { peek(expr, env) } {
                Some(value) => value,
                None => self.heap.thunk(Thunk::code(expr, env)),
            },
        }
    }

    /// The same for a member of a set or list, which errors may show: a function there is not evaluated either.
    #[inline(always)]
    pub(super) fn delay_member(&mut self, expr: &'static Expr, env: &'static Env) -> Value {
        match expr {
            Expr::Lambda(_) | Expr::SelectPath(_) => self.heap.thunk(Thunk::code(expr, env)),
            _ => self.delay(expr, env),
        }
    }

    #[inline(always)]
    fn delay_variable(&mut self, expr: &'static Expr, env: &'static Env, slot: &'static Slot) -> Value {
        let value = slot.get();
        if value.is_unset() {
            return self.heap.thunk(Thunk::code(expr, env));
        }
        value.shared()
    }
}

/// A value that is there already, or can be had without evaluating anything, allocating or failing.
#[inline]
fn peek(expr: &'static Expr, env: &'static Env) -> Option<Value> {
    match expr {
        Expr::Select(select) => {
            let value = peek_select(select, env)?;
            // One that fails tells of the attribute. A list is another one for [`Value::shared`].
            (!value.is_thunk() && !value.is_list()).then_some(value)
        }
        Expr::Subtract(op) => peek_ints(op, env, i64::checked_sub),
        Expr::Add(op) => peek_ints(op, env, i64::checked_add),
        Expr::Multiply(op) => peek_ints(op, env, i64::checked_mul),
        _ => None,
    }
}

#[inline(always)]
fn peek_select(select: &'static ir::Select, env: &'static Env) -> Option<Value> {
    let subject = peek_operand(&select.subject, env)?;
    Some(subject.as_attrs()?.find_near(select.name, &select.hint)?.get().peek())
}

/// What a path of names leads to, if all of it is evaluated: a failure would tell of the path.
fn peek_path(select: &'static ir::SelectPath, env: &'static Env) -> Option<Value> {
    let mut value = peek_operand(&select.subject, env)?;
    for step in select.path {
        let ir::StepName::Static(name) = step.name else { return None };
        let found = match value.as_attrs() {
            Some(attrs) => attrs.find_near(name, &step.hint),
            None if value.is_thunk() => return None,
            None => None,
        };
        value = match (found, &select.default) {
            (Some(slot), _) => slot.get().peek(),
            (None, Some(Expr::Value(default))) => return Some(*default),
            _ => return None,
        };
    }
    (!value.is_thunk() && !value.is_list()).then_some(value)
}

#[inline(always)]
fn peek_operand(expr: &'static Expr, env: &'static Env) -> Option<Value> {
    match expr {
        Expr::Value(value) => Some(value.peek()),
        Expr::Local(variable) => Some(env.slot(variable.slot).get().peek()),
        Expr::Outer(variable) => Some(env.ancestor(1).slot(variable.slot).get().peek()),
        Expr::Distant { depth, slot, .. } => Some(env.ancestor((*depth).into()).slot(*slot).get().peek()),
        Expr::Select(select) => peek_select(select, env),
        _ => None,
    }
}

#[inline(always)]
fn peek_ints(
    op: &'static ir::Binary,
    env: &'static Env,
    compute: fn(i64, i64) -> Option<i64>,
) -> Option<Value> {
    // What is written out is left to be computed, so that it is shown as Nix shows it.
    if let (Expr::Value(_), Expr::Value(_)) = (&op.left, &op.right) {
        return None;
    }
    let left = peek_operand(&op.left, env)?.as_small_int()?;
    let right = peek_operand(&op.right, env)?.as_small_int()?;
    Value::small_int(compute(left, right)?)
}
