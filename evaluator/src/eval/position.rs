//! Positions as values, for `__curPos` and `unsafeGetAttrPos`.

use std::os::unix::ffi::OsStrExt;

use super::Evaluator;
use crate::{
    ir::Expr,
    position::{Origin, PosId},
    value::{Thunk, Value},
};

impl Evaluator {
    /// The position of a definition as `{ file, line, column }`, or `null`: a text has none.
    pub(crate) fn position_value(&mut self, pos: PosId) -> Value {
        let Some(place) = pos.place() else { return Value::NULL };
        let known = crate::symbol::known();
        let file = match &place.source.origin {
            Origin::File(path) => {
                let path = path.as_os_str().as_bytes();
                match self.session.in_place(path) {
                    Some(_) => self.delayed_in_place(crate::builtins::Fact::Text, path),
                    None => self.heap.string(path),
                }
            }
            Origin::String | Origin::Stdin => return Value::NULL,
            Origin::Internal(name) => {
                self.heap.string(name.strip_prefix("«nix-internal»").unwrap_or(name).as_bytes())
            }
        };
        let line = self.not_yet_evaluated(place.line as i64);
        let column = self.not_yet_evaluated(place.column as i64);
        self.attrs_from(&mut [(known.file, file), (known.line, line), (known.column, column)])
    }

    /// A number that errors show as unevaluated until it is needed.
    fn not_yet_evaluated(&mut self, number: i64) -> Value {
        let code = Expr::Value(self.heap.int(number));
        let (code, env) = (self.heap.object(code), self.heap.env(None, 0));
        self.heap.thunk(Thunk::code(code, env))
    }
}
