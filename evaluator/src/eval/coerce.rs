//! Values as strings and as paths.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::{
    Evaluator,
    error::{ErrorKind, EvalError, Failure, Result, Traced},
    expect::show_type,
};
use crate::{
    parallel::Need,
    position::PosId,
    symbol::known,
    text::number,
    value::{Attrs, Context, List, Value, View},
};

/// Which values count as strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coercion {
    /// Numbers, booleans, `null` and lists too, as `toString` does.
    pub more: bool,
    /// Paths are copied to the store, and become their store path.
    pub copy_to_store: bool,
    /// Paths are made canonical first.
    pub canonical: bool,
}

impl Coercion {
    /// In `"${x}"`.
    pub const INTERPOLATED: Coercion = Coercion { more: false, copy_to_store: true, canonical: true };
    /// Behind a path, or `toString`-like without copying.
    pub const APPENDED: Coercion = Coercion { more: false, copy_to_store: false, canonical: true };
    /// `toString`
    pub const TO_STRING: Coercion = Coercion { more: true, copy_to_store: false, canonical: true };
    /// A derivation's variable.
    pub const ENVIRONMENT: Coercion = Coercion { more: true, copy_to_store: true, canonical: true };

    pub(super) fn canonical(self, canonical: bool) -> Coercion {
        Coercion { canonical, ..self }
    }
}

impl Evaluator {
    /// The text of a value; what it refers to is added to `context`.
    pub fn coerce(
        &mut self,
        value: Value,
        coercion: Coercion,
        context: &mut Option<&'static Context>,
        pos: PosId,
        doing: &str,
    ) -> Result<&'static [u8]> {
        if let View::String(string) = value.peek().view() {
            *context = Context::union(&mut self.heap, *context, string.context);
            return Ok(string.bytes());
        }
        self.enter(pos)?;
        let forced = self.force_at(value, pos)?;
        if forced.is_list() && !coercion.more {
            return Err(self.not_a_string(value, pos, doing));
        }
        let text = self.coerce_forced(forced, coercion, context, pos, doing)?;
        self.leave();
        Ok(text)
    }

    fn coerce_forced(
        &mut self,
        value: Value,
        coercion: Coercion,
        context: &mut Option<&'static Context>,
        pos: PosId,
        doing: &str,
    ) -> Result<&'static [u8]> {
        match value.view() {
            View::String(string) => {
                *context = Context::union(&mut self.heap, *context, string.context);
                Ok(string.bytes())
            }
            View::Path(path) if coercion.copy_to_store => {
                self.check_stack(pos)?;
                self.copy_to_store(path, context)
            }
            View::Path(path) => self.path_text(path, pos),
            View::Attrs(attrs) => self.coerce_attrs(value, attrs, coercion, context, pos, doing),
            View::Bool(true) if coercion.more => Ok(b"1"),
            View::Bool(false) | View::Null if coercion.more => Ok(b""),
            View::Int(number) if coercion.more => Ok(self.heap.bytes(number.to_string().as_bytes())),
            View::Float(number) if coercion.more => {
                Ok(self.heap.bytes(number::float_to_string(number).as_bytes()))
            }
            View::List(list) if coercion.more => self.coerce_list(list, coercion, context, pos, doing),
            _ => Err(self.not_a_string(value, pos, doing)),
        }
    }

    /// The text of a path.
    fn path_text(&mut self, path: &'static [u8], pos: PosId) -> Result<&'static [u8]> {
        match self.session.observed(path, pos)? {
            Cow::Borrowed(_) => Ok(path),
            Cow::Owned(text) => Ok(self.heap.bytes(&text)),
        }
    }

    #[cold]
    fn not_a_string(&mut self, value: Value, pos: PosId, doing: &str) -> Failure {
        let shown = crate::print::for_error(self, value);
        let message = format!("cannot coerce {} to a string: {shown}", show_type(value));
        EvalError::new(ErrorKind::Type, PosId::NONE, message).trace(pos, doing)
    }

    fn coerce_attrs(
        &mut self,
        value: Value,
        attrs: &'static Attrs,
        coercion: Coercion,
        context: &mut Option<&'static Context>,
        pos: PosId,
        doing: &str,
    ) -> Result<&'static [u8]> {
        if let Some(to_string) = attrs.get(known().to_string) {
            let text = self.apply(to_string, &[value], pos)?;
            let doing = "while evaluating the result of the `__toString` attribute";
            return self.coerce(text, coercion, context, pos, doing);
        }
        match attrs.get(known().out_path) {
            Some(out_path) => self.coerce(out_path, coercion, context, pos, doing),
            None => Err(self.not_a_string(value, pos, doing)),
        }
    }

    fn coerce_list(
        &mut self,
        list: &'static List,
        coercion: Coercion,
        context: &mut Option<&'static Context>,
        pos: PosId,
        doing: &str,
    ) -> Result<&'static [u8]> {
        let _offer = self.offer(Need::Text, list.slots().iter());
        let mut text = Vec::new();
        for (index, element) in list.iter().enumerate() {
            let part =
                self.coerce(element, coercion, context, pos, "while evaluating one element of the list");
            text.extend_from_slice(part.traced(pos, || doing)?);
            let is_empty_list = element.peek().as_list().is_some_and(|list| list.is_empty());
            if index + 1 < list.len() && !is_empty_list {
                text.push(b' ');
            }
        }
        Ok(self.heap.bytes(&text))
    }

    /// The store path of a file or folder, copied there.
    pub fn copy_to_store(
        &mut self,
        path: &[u8],
        context: &mut Option<&'static Context>,
    ) -> Result<&'static [u8]> {
        let outer = self.profile_part(|| format!("copy {}", path.as_bstr()));
        let store_path = self.session.copy_to_store(path, PosId::NONE);
        self.profile_end(outer);
        let store_path = store_path?;
        let element = crate::value::context::ContextElement::Opaque(store_path.clone());
        let single = Context::single(&mut self.heap, element);
        *context = Context::union(&mut self.heap, *context, single);
        Ok(self.heap.bytes(store_path.to_string().as_bytes()))
    }

    /// A path that a builtin is to look at: the text of a string or path, which must be absolute.
    pub fn coerce_to_path(
        &mut self,
        value: Value,
        context: &mut Option<&'static Context>,
        pos: PosId,
        doing: &str,
    ) -> Result<&'static [u8]> {
        let forced = self.force_at(value, pos).traced(pos, || doing)?;
        if let View::Path(path) = forced.view() {
            return Ok(path);
        }
        if let View::Attrs(attrs) = forced.view()
            && let Some(to_string) = attrs.get(known().to_string)
        {
            let path = self.apply(to_string, &[forced], pos)?;
            return self.coerce_to_path(path, context, pos, doing);
        }
        let text = self.coerce(value, Coercion::APPENDED, context, pos, doing)?;
        if text.first() != Some(&b'/') {
            let shown = crate::text::raw::text(text);
            let message = format!("string '{shown}' doesn't represent an absolute path");
            return Err(EvalError::eval(PosId::NONE, message).trace(pos, doing));
        }
        Ok(self.heap.bytes(&crate::canonical_path(text)))
    }
}
