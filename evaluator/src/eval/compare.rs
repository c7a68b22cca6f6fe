//! Equality and order of values.

use super::{
    Evaluator,
    error::{ErrorKind, EvalError, Failure, Result, Traced},
    expect::show_type,
};
use crate::{
    ir,
    position::PosId,
    symbol::known,
    value::{Attrs, Env, Value, View},
};

impl Evaluator {
    pub(super) fn equal_operands(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<bool> {
        let left = self.eval(&op.left, env)?;
        let right = self.eval(&op.right, env)?;
        self.equal(left, right, op.pos, "while testing two values for equality")
    }

    /// `a == b`, as Nix's `eqValues`: functions are never equal, derivations are when their `outPath` is.
    pub fn equal(&mut self, left: Value, right: Value, pos: PosId, context: &str) -> Result<bool> {
        let left = self.force_at(left, pos)?;
        let right = self.force_at(right, pos)?;
        if left == right {
            // The same object. Functions, and what is not a number, are equal only as the same element of something, which
            // callers look at first.
            return Ok(match left.view() {
                View::Builtin(_) | View::Closure(_) | View::Partial(_) => false,
                View::Float(number) => !number.is_nan(),
                _ => true,
            });
        }
        self.enter(pos)?;
        let is_equal = self.equal_values(left, right, pos, context)?;
        self.leave();
        Ok(is_equal)
    }

    fn equal_values(&mut self, left: Value, right: Value, pos: PosId, context: &str) -> Result<bool> {
        match (left.view(), right.view()) {
            (View::Int(a), View::Int(b)) => Ok(a == b),
            (View::Int(a), View::Float(b)) => Ok(a as f64 == b),
            (View::Float(a), View::Int(b)) => Ok(a == b as f64),
            (View::Float(a), View::Float(b)) => Ok(a == b),
            (View::String(a), View::String(b)) => Ok(a.bytes() == b.bytes()),
            (View::Path(a), View::Path(b)) => Ok(a == b || self.observed_pair(a, b, pos)?.is_eq()),
            (View::List(a), View::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    // As in Nix, the same word is equal to itself, were it a function or a failing thunk.
                    if a != b && !self.equal(a, b, pos, context)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (View::Attrs(a), View::Attrs(b)) => self.equal_attrs(a, b, pos, context),
            _ => Ok(false),
        }
    }

    fn equal_attrs(
        &mut self,
        a: &'static Attrs,
        b: &'static Attrs,
        pos: PosId,
        context: &str,
    ) -> Result<bool> {
        if self.is_derivation(a)? && self.is_derivation(b)? {
            let out_path = known().out_path;
            if let (Some(a), Some(b)) = (a.get(out_path), b.get(out_path)) {
                return self.equal(a, b, pos, context);
            }
        }
        let (a, b) = (a.flatten(&mut self.heap), b.flatten(&mut self.heap));
        if a.keys.symbols() != b.keys.symbols() {
            return Ok(false);
        }
        for ((_, a), (_, b)) in a.iter().zip(b.iter()) {
            let (a, b) = (a.get(), b.get());
            if a != b && !self.equal(a, b, pos, context)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a set has `type = "derivation"`.
    pub fn is_derivation(&mut self, attrs: &'static Attrs) -> Result<bool> {
        let Some(slot) = attrs.find(known().type_) else { return Ok(false) };
        let value = self.force_slot(slot)?;
        Ok(value.as_string().is_some_and(|string| string.bytes() == b"derivation"))
    }

    /// `a < b`
    pub fn less_than(&mut self, left: Value, right: Value, pos: PosId, context: &str) -> Result<bool> {
        let a = self.force(left).traced(pos, || context)?;
        let b = self.force(right).traced(pos, || context)?;
        match (a.view(), b.view()) {
            (View::Int(a), View::Int(b)) => Ok(a < b),
            (View::Int(a), View::Float(b)) => Ok((a as f64) < b),
            (View::Float(a), View::Int(b)) => Ok(a < b as f64),
            (View::Float(a), View::Float(b)) => Ok(a < b),
            (View::String(a), View::String(b)) => Ok(a.bytes() < b.bytes()),
            (View::Path(a), View::Path(b)) => Ok(self.observed_pair(a, b, pos)?.is_lt()),
            (View::List(a), View::List(b)) => {
                for (a, b) in a.iter().zip(b.iter()) {
                    // Nix has a frame for each level on the way out, of errors in elements as well.
                    if !self.equal(a, b, pos, context).traced(pos, || context)? {
                        let inner = "while comparing two list elements";
                        return self.less_than(a, b, pos, inner).traced(pos, || context);
                    }
                }
                Ok(a.len() < b.len())
            }
            _ => Err(self.incomparable(left, right).trace(pos, context)),
        }
    }

    #[cold]
    fn incomparable(&mut self, left: Value, right: Value) -> Failure {
        let (a, b) = (crate::print::for_error(self, left), crate::print::for_error(self, right));
        let is_function = |value: Value| {
            matches!(value.peek().view(), View::Closure(_) | View::Builtin(_) | View::Partial(_))
        };
        let message = if show_type(left) == show_type(right) || is_function(left) && is_function(right) {
            format!(
                "cannot compare {} with {}; values of that type are incomparable (values are {a} and {b})",
                show_type(left),
                show_type(right)
            )
        } else {
            format!("cannot compare {} with {}; values are {a} and {b}", show_type(left), show_type(right))
        };
        EvalError::new(ErrorKind::Type, PosId::NONE, message)
    }

    /// The order of two paths.
    pub(super) fn observed_pair(&self, a: &[u8], b: &[u8], pos: PosId) -> Result<std::cmp::Ordering> {
        let session = &self.session;
        match (session.in_place(a), session.in_place(b)) {
            (Some((source, _)), Some((other, _))) if std::sync::Arc::ptr_eq(&source, &other) => Ok(a.cmp(b)),
            _ => Ok(session.observed(a, pos)?.cmp(&session.observed(b, pos)?)),
        }
    }
}
