//! Which arguments a function evaluates before it does anything else.
//!
//! Such an argument is evaluated at the call, which saves the thunk: since nothing else happens in between, no program can tell the
//! difference. If it fails, the function meets the error where it needs the argument.

use super::{Expr, Parameter};
use crate::position::PosId;

/// Marks the parameters of a function that its body needs first.
pub(super) fn mark(parameters: &mut [Parameter], body: &Expr) {
    // A pattern looks into its argument before the body does anything.
    if parameters.iter().any(|parameter| parameter.pattern.is_some()) {
        return;
    }
    let mut needs = Needs { found: Vec::new(), levels: 0 };
    needs.first(body);
    let mut last = None;
    for (slot, pos) in needs.found {
        // Arguments are evaluated in the order in which they are given.
        if last.is_some_and(|last| slot < last) {
            break;
        }
        last = Some(slot);
        let Some(parameter) = parameters.get_mut(slot as usize) else { break };
        parameter.needed_at.get_or_insert(pos);
    }
}

struct Needs {
    /// Slots of the function's environment with where they are needed, in that order.
    found: Vec<(u32, PosId)>,
    /// How many environments lie between the function's and the one of the code that is looked at.
    levels: u32,
}

impl Needs {
    /// Looks at what evaluating `expr` does first. Gives whether that is all that it does: a look at variables.
    fn first(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::Value(_) => true,
            Expr::Local(variable) => self.variable(0, variable.slot, variable.pos),
            Expr::Outer(variable) => self.variable(1, variable.slot, variable.pos),
            Expr::Distant { depth, slot, pos } => self.variable((*depth).into(), *slot, *pos),
            Expr::Equal(op) | Expr::NotEqual(op) | Expr::Concat(op) => self.both(&op.left, &op.right),
            Expr::Less(op) => self.both(&op.left, &op.right),
            Expr::Update(op) => self.both(&op.right, &op.left),
            // What the left operand is decides what is done with the right one.
            Expr::Add(op) | Expr::Subtract(op) | Expr::And(op) | Expr::Or(op) | Expr::Implies(op) => {
                self.begins(&op.left)
            }
            Expr::Not(not) => self.begins(&not.operand),
            Expr::If(branch) => self.begins(&branch.condition),
            Expr::Assert(assert) => self.begins(&assert.condition),
            Expr::Select(select) => self.begins(&select.subject),
            Expr::SelectPath(select) => self.begins(&select.subject),
            Expr::HasAttr(has) => self.begins(&has.subject),
            Expr::Call(call) => self.begins(&call.function),
            // Binding variables evaluates nothing.
            Expr::Let(bindings) => self.begins(&bindings.body),
            Expr::LetEnv(bindings) => {
                self.levels += 1;
                self.begins(&bindings.body)
            }
            _ => false,
        }
    }

    fn begins(&mut self, expr: &Expr) -> bool {
        self.first(expr);
        false
    }

    fn both(&mut self, first: &Expr, second: &Expr) -> bool {
        if self.first(first) {
            self.first(second);
        }
        false
    }

    fn variable(&mut self, depth: u32, slot: u32, pos: PosId) -> bool {
        let is_own = depth == self.levels;
        if is_own {
            self.found.push((slot, pos));
        }
        is_own
    }
}
