//! Strings and paths put together: interpolation and `+`.

use super::{
    Evaluator,
    coerce::Coercion,
    error::{EvalError, Result},
};
use crate::{
    canonical_path, ir,
    position::PosId,
    value::{Context, Env, Str, Value, View},
};

const SEGMENT: &str = "while evaluating a path segment";

impl Evaluator {
    /// `a + b` of two strings.
    pub(super) fn join(&mut self, a: &Str, b: &Str) -> Value {
        let (left, right) = (a.bytes(), b.bytes());
        let bytes = self.heap.append(left, right);
        let context = Context::union(&mut self.heap, a.context, b.context);
        self.heap.string_of(bytes, context)
    }

    pub(super) fn interpolate(
        &mut self,
        parts: &'static ir::Interpolation,
        env: &'static Env,
    ) -> Result<Value> {
        let (bytes, context) = self.pieces(parts, env)?;
        let len = bytes.iter().map(|piece| piece.len()).sum();
        let bytes = self.heap.concat(len, bytes.into_iter());
        Ok(self.heap.string_of(bytes, context))
    }

    fn pieces(
        &mut self,
        parts: &'static ir::Interpolation,
        env: &'static Env,
    ) -> Result<(Vec<&'static [u8]>, Option<&'static Context>)> {
        let mut bytes = Vec::with_capacity(parts.parts.len());
        let mut context = None;
        for piece in parts.parts {
            let value = self.eval(&piece.expr, env)?;
            match value.as_string() {
                Some(string) => {
                    bytes.push(string.bytes());
                    context = Context::union(&mut self.heap, context, string.context);
                }
                None => {
                    let text =
                        self.coerce(value, Coercion::INTERPOLATED, &mut context, piece.pos, SEGMENT)?;
                    bytes.push(text);
                }
            }
        }
        Ok((bytes, context))
    }

    pub(super) fn interpolate_path(
        &mut self,
        parts: &'static ir::Interpolation,
        env: &'static Env,
    ) -> Result<Value> {
        let mut bytes: Vec<&[u8]> = Vec::with_capacity(parts.parts.len());
        let mut context = None;
        for piece in parts.parts {
            let value = self.eval(&piece.expr, env)?;
            bytes.push(self.coerce(value, Coercion::APPENDED, &mut context, piece.pos, SEGMENT)?);
        }
        self.path_from(&bytes.concat(), context, parts.pos)
    }

    fn path_from(&mut self, text: &[u8], context: Option<&'static Context>, pos: PosId) -> Result<Value> {
        if context.is_some() {
            let message = "a string that refers to a store path cannot be appended to a path";
            return Err(EvalError::eval(pos, message));
        }
        Ok(self.heap.path(&canonical_path(text)))
    }

    /// `a + b` where `a` is a string and `b` is something else.
    pub(super) fn add_strings(
        &mut self,
        left: Value,
        right: Value,
        op: &'static ir::Binary,
    ) -> Result<Value> {
        let mut context = None;
        let a = self.coerce(left, Coercion::INTERPOLATED, &mut context, op.left_pos, SEGMENT)?;
        let b = self.coerce(right, Coercion::INTERPOLATED, &mut context, op.right_pos, SEGMENT)?;
        let bytes = self.heap.concat(a.len() + b.len(), [a, b].into_iter());
        Ok(self.heap.string_of(bytes, context))
    }

    /// `a + b` where `a` is neither number nor string: to a path comes a path, of anything else a string. As in Nix, `a` is
    /// made text before `b` is evaluated.
    pub(super) fn append_to(
        &mut self,
        left: Value,
        op: &'static ir::Binary,
        env: &'static Env,
    ) -> Result<Value> {
        let mut context = None;
        let coercion = Coercion::APPENDED;
        let a = match left.view() {
            View::Path(path) => path,
            _ => self.coerce(left, coercion.canonical(false), &mut context, op.left_pos, SEGMENT)?,
        };
        let right = self.eval(&op.right, env)?;
        let b = self.coerce(right, coercion, &mut context, op.right_pos, SEGMENT)?;
        if let View::Path(_) = left.view() {
            return self.path_from(&[a, b].concat(), context, op.pos);
        }
        let bytes = self.heap.concat(a.len() + b.len(), [a, b].into_iter());
        Ok(self.heap.string_of(bytes, context))
    }
}
