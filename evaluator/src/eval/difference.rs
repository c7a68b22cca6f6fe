//! What two values that are not equal differ in, for assertions.

use super::{
    Evaluator,
    error::{ErrorKind, EvalError, Failure, Result, Traced},
    expect::show_type,
};
use crate::{
    ir,
    position::PosId,
    print,
    symbol::known,
    value::{Attrs, Env, List, Value, View},
};

impl Evaluator {
    /// Fails with the first difference of the operands of a `==` that does not hold; as Nix's `assertEqValues`.
    pub(super) fn explain_difference(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<()> {
        let left = self.eval(&op.left, env)?;
        let right = self.eval(&op.right, env)?;
        match (left.view(), right.view()) {
            // The same function in two places is not the same function.
            (View::Closure(_) | View::Builtin(_) | View::Partial(_), _) if left == right => {
                self.differing(left, right, op.pos)
            }
            _ => self.difference(left, right, op.pos),
        }
    }

    fn difference(&mut self, left: Value, right: Value, pos: PosId) -> Result<()> {
        if left == right {
            return Ok(());
        }
        let left = self.force_at(left, pos)?;
        let right = self.force_at(right, pos)?;
        self.differing(left, right, pos)
    }

    fn differing(&mut self, left: Value, right: Value, pos: PosId) -> Result<()> {
        self.check_stack(pos)?;
        match (left.view(), right.view()) {
            (View::Int(_) | View::Float(_), View::Int(_) | View::Float(_)) => {
                if self.equal(left, right, pos, "")? {
                    return Ok(());
                }
                let (a, b) = self.shown(left, right);
                let (a_type, b_type) = (show_type(left), show_type(right));
                Err(differ(format!("{a_type} with value '{a}' is not equal to {b_type} with value '{b}'")))
            }
            (View::Bool(a), View::Bool(b)) if a == b => Ok(()),
            (View::Bool(_), View::Bool(_)) => Err(self.not_equal("boolean", left, right)),
            (View::String(a), View::String(b)) if a.bytes() == b.bytes() => Ok(()),
            (View::String(_), View::String(_)) => Err(self.not_equal("string", left, right)),
            (View::Path(a), View::Path(b)) if a == b || self.observed_pair(a, b, pos)?.is_eq() => Ok(()),
            (View::Path(_), View::Path(_)) => Err(self.not_equal("path", left, right)),
            (View::Null, View::Null) => Ok(()),
            (View::List(a), View::List(b)) => self.lists_differ((left, a), (right, b), pos),
            (View::Attrs(a), View::Attrs(b)) => self.sets_differ((left, a), (right, b), pos),
            (
                View::Closure(_) | View::Builtin(_) | View::Partial(_),
                View::Closure(_) | View::Builtin(_) | View::Partial(_),
            ) => Err(differ(
                "distinct functions and immediate comparisons of identical functions compare as unequal"
                    .into(),
            )),
            _ => {
                let (a, b) = self.shown(left, right);
                let (a_type, b_type) = (show_type(left), show_type(right));
                Err(differ(format!("{a_type} of value '{a}' is not equal to {b_type} of value '{b}'")))
            }
        }
    }

    fn shown(&mut self, left: Value, right: Value) -> (String, String) {
        (print::for_error(self, left), print::for_error(self, right))
    }

    fn not_equal(&mut self, kind: &str, left: Value, right: Value) -> Failure {
        let (a, b) = self.shown(left, right);
        differ(format!("{kind} '{a}' is not equal to {kind} '{b}'"))
    }

    fn lists_differ(
        &mut self,
        (left, a): (Value, &'static List),
        (right, b): (Value, &'static List),
        pos: PosId,
    ) -> Result<()> {
        if a.len() != b.len() {
            let (a_text, b_text) = self.shown(left, right);
            return Err(differ(format!(
                "list of size '{}' is not equal to list of size '{}', left hand side is '{a_text}', right hand side is \
                 '{b_text}'",
                a.len(),
                b.len()
            )));
        }
        for (index, (a, b)) in a.iter().zip(b.iter()).enumerate() {
            self.difference(a, b, pos).traced(pos, || format!("while comparing list element {index}"))?;
        }
        Ok(())
    }

    fn sets_differ(
        &mut self,
        (left, a): (Value, &'static Attrs),
        (right, b): (Value, &'static Attrs),
        pos: PosId,
    ) -> Result<()> {
        if self.is_derivation(a)?
            && self.is_derivation(b)?
            && let (Some(a), Some(b)) = (a.get(known().out_path), b.get(known().out_path))
        {
            let doing = || "while comparing a derivation by its 'outPath' attribute";
            return self.difference(a, b, pos).traced(pos, doing);
        }
        let (a, b) = (a.flatten(&mut self.heap), b.flatten(&mut self.heap));
        if a.keys.symbols().len() != b.keys.symbols().len() {
            let (a, b) = self.shown(left, right);
            return Err(differ(format!(
                "attribute names of attribute set '{a}' differs from attribute set '{b}'"
            )));
        }
        let positions = a.keys.positions().iter().zip(b.keys.positions());
        for (((a_name, a_slot), (b_name, b_slot)), (a_pos, b_pos)) in a.iter().zip(b.iter()).zip(positions) {
            if a_name != b_name {
                let (a_text, b_text) = self.shown(left, right);
                return Err(differ(match b.keys.find(a_name) {
                    None => format!(
                        "attribute name '{}' is contained in '{a_text}', but not in '{b_text}'",
                        a_name.shown()
                    ),
                    Some(_) => format!(
                        "attribute name '{}' is missing in '{a_text}', but is contained in '{b_text}'",
                        b_name.shown()
                    ),
                }));
            }
            self.difference(a_slot.get(), b_slot.get(), pos).map_err(|mut error| {
                for (side, at) in [("right", b_pos), ("left", a_pos)] {
                    if at.is_some() {
                        error = error.trace(*at, format!("where {side} hand side is"));
                    }
                }
                error.trace(pos, format!("while comparing attribute '{}'", a_name.shown()))
            })?;
        }
        Ok(())
    }
}

#[cold]
fn differ(message: String) -> Failure {
    EvalError::new(ErrorKind::Assertion, PosId::NONE, message)
}
