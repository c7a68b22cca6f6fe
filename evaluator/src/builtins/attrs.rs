//! Looking into attribute sets.

use super::{Builtin, Kind};
use crate::{
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Result},
    },
    position::{Origin, PosId},
    symbol::Symbol,
    value::{Attrs, Value},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("attrNames", 1, 1, attr_names),
    Builtin::new("attrValues", 1, 1, attr_values),
    Builtin::new("getAttr", 2, 3, get_attr).after(Kind::String),
    Builtin::new("hasAttr", 2, 3, has_attr).after(Kind::String),
    Builtin::new("unsafeGetAttrPos", 2, 3, attr_position).after(Kind::String),
    Builtin::new("catAttrs", 2, 3, cat_attrs).after(Kind::String),
];

/// An attribute that a builtin cannot do without.
pub(super) fn required(
    _: &mut Evaluator,
    attrs: &'static Attrs,
    name: Symbol,
    pos: PosId,
    context: &str,
) -> Result<Value> {
    attrs.get(name).ok_or_else(|| {
        let message = format!("attribute '{}' missing", crate::text::raw::text(name.text()));
        EvalError::new(ErrorKind::MissingAttribute, pos, message).trace(pos, context)
    })
}

fn attr_names(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the argument passed to builtins.attrNames";
    let attrs = evaluator.expect_attrs(args[0], pos, context)?;
    let names: Vec<Value> =
        attrs.flatten(&mut evaluator.heap).sorted().into_iter().map(|(name, _)| name.value()).collect();
    Ok(evaluator.heap.list(&names))
}

fn attr_values(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the argument passed to builtins.attrValues";
    let attrs = evaluator.expect_attrs(args[0], pos, context)?;
    let values: Vec<Value> = attrs
        .flatten(&mut evaluator.heap)
        .sorted()
        .into_iter()
        .map(|(_, slot)| slot.get().shared())
        .collect();
    Ok(evaluator.heap.list(&values))
}

fn get_attr(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.getAttr";
    let name = evaluator.expect_plain_string(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.getAttr";
    let attrs = evaluator.expect_attrs(args[1], pos, context)?;
    let context = "in the attribute set under consideration";
    match Symbol::find(name).and_then(|name| attrs.find(name)) {
        Some(slot) => evaluator.force_slot(slot),
        None => {
            let message = format!("attribute '{}' missing", crate::print::attr_name(Symbol::intern(name)));
            Err(EvalError::new(ErrorKind::MissingAttribute, pos, message).trace(pos, context))
        }
    }
}

fn has_attr(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.hasAttr";
    let name = evaluator.expect_plain_string(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.hasAttr";
    let attrs = evaluator.expect_attrs(args[1], pos, context)?;
    Ok(Value::bool(Symbol::find(name).is_some_and(|name| attrs.find(name).is_some())))
}

fn attr_position(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.unsafeGetAttrPos";
    let name = evaluator.expect_plain_string(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.unsafeGetAttrPos";
    let attrs = evaluator.expect_attrs(args[1], pos, context)?;
    let position = Symbol::find(name).and_then(|name| attrs.position(name)).unwrap_or(PosId::NONE);
    let is_known = position.place().is_some_and(|place| match place.source.origin {
        Origin::File(_) => true,
        Origin::Internal(name) => name == super::DERIVATION_FILE,
        _ => false,
    });
    Ok(if is_known { evaluator.position_value(position) } else { Value::NULL })
}

fn cat_attrs(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.catAttrs";
    let name = evaluator.expect_plain_string(args[0], pos, context)?;
    let name = Symbol::intern(name);
    let context = "while evaluating the second argument passed to builtins.catAttrs";
    let list = evaluator.expect_list(args[1], pos, context)?;
    let context = "while evaluating an element in the list passed as second argument to builtins.catAttrs";
    let mut values = Vec::new();
    for element in list.iter() {
        values.extend(evaluator.expect_attrs(element, pos, context)?.get(name));
    }
    Ok(evaluator.heap.list(&values))
}
