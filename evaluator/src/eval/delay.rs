//! Words for what may not be needed: the value where it is there already, else a thunk.

use super::Evaluator;
use crate::{
    ir::Expr,
    value::{Env, Slot, Thunk, Value},
};

impl Evaluator {
    /// A word for code whose value may not be needed. Only constants and variables are no thunks: an error that shows a set or
    /// list tells what of it was not evaluated, so what could be had early, such as a member of a set that is there, is not.
    #[inline(always)]
    pub fn delay(&mut self, expr: &'static Expr, env: &'static Env) -> Value {
        match expr {
            Expr::Value(value) => *value,
            Expr::Local(variable) => self.delay_variable(expr, env, env.slot(variable.slot)),
            Expr::Outer(variable) => self.delay_variable(expr, env, env.ancestor(1).slot(variable.slot)),
            Expr::Distant { depth, slot, .. } => {
                self.delay_variable(expr, env, env.ancestor((*depth).into()).slot(*slot))
            }
            _ => self.heap.thunk(Thunk::code(expr, env)),
        }
    }

    /// The word by which an operand was had that turned out to be `value`: a list tells the variable that it was had by, see
    /// [`Value::shared`].
    #[inline(always)]
    pub(super) fn word(&self, value: Value, expr: &'static Expr, env: &'static Env) -> Value {
        match variable_slot(expr, env) {
            Some(slot) if value.is_list() => slot.get(),
            _ => value,
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

/// The slot that a variable stands for, unless a `with` or the global scope binds it.
#[inline(always)]
pub(super) fn variable_slot(expr: &'static Expr, env: &'static Env) -> Option<&'static Slot> {
    match expr {
        Expr::Local(variable) => Some(env.slot(variable.slot)),
        Expr::Outer(variable) => Some(env.ancestor(1).slot(variable.slot)),
        Expr::Distant { depth, slot, .. } => Some(env.ancestor((*depth).into()).slot(*slot)),
        _ => None,
    }
}
