//! Flakes and their references.

use bstr::ByteSlice;
use zeval_model::input::{Attr, Attrs};

use super::{Builtin, strings::experimental};
use crate::{
    eval::{
        Evaluator,
        error::{EvalError, Result},
        expect::show_type,
    },
    position::PosId,
    symbol::Symbol,
    value::{Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("getFlake", 1, 0, get_flake),
    Builtin::new("parseFlakeRef", 1, 0, parse_flake_ref),
    Builtin::new("flakeRefToString", 1, 0, flake_ref_to_string),
];

fn require(evaluator: &Evaluator, pos: PosId) -> Result<()> {
    match evaluator.session.settings.has_feature("flakes") {
        true => Ok(()),
        false => Err(experimental("flakes", pos)),
    }
}

fn get_flake(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    require(evaluator, pos)?;
    evaluator.main_only()?;
    let doing = "while evaluating the argument passed to builtins.getFlake";
    let reference = evaluator.expect_plain_string(args[0], pos, doing)?.to_str_lossy();
    let session = evaluator.session.clone();
    session.unrepeatable();
    let flake = session.inputs().lock_flake(evaluator, &reference, pos)?;
    evaluator.call_flake(&flake)
}

fn parse_flake_ref(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    require(evaluator, pos)?;
    let doing = "while evaluating the argument passed to builtins.parseFlakeRef";
    let reference = evaluator.expect_plain_string(args[0], pos, doing)?.to_str_lossy();
    let session = evaluator.session.clone();
    let attrs = session.inputs().parse_reference(&reference).map_err(|failure| failure.at(pos))?;
    let mut entries: Vec<(Symbol, Value)> = Vec::with_capacity(attrs.len());
    for (name, attr) in attrs {
        let value = match attr {
            Attr::String(text) => evaluator.heap.string(text.as_bytes()),
            Attr::Int(number) => evaluator.heap.int(number as i64),
            Attr::Bool(value) => Value::bool(value),
        };
        entries.push((Symbol::intern(name.as_bytes()), value));
    }
    Ok(evaluator.attrs_from(&mut entries))
}

fn flake_ref_to_string(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    require(evaluator, pos)?;
    let doing = "while evaluating the argument passed to builtins.flakeRefToString";
    let set = evaluator.expect_attrs(args[0], PosId::NONE, doing)?;
    let mut attrs = Attrs::new();
    for (name, slot) in set.flatten(&mut evaluator.heap).iter() {
        let at = set.position(name).unwrap_or_default();
        let name = name.text().to_str_lossy().into_owned();
        let value = evaluator.force_slot_at(slot, at)?;
        let attr = match value.view() {
            View::Int(number) => Attr::Int(u64::try_from(number).map_err(|_| {
                EvalError::eval(pos, format!("negative value given for flake ref attr {name}: {number}"))
            })?),
            View::Bool(value) => Attr::Bool(value),
            View::String(text) => Attr::String(text.bytes().to_str_lossy().into_owned()),
            _ => {
                let message = format!(
                    "flake reference attribute sets may only contain integers, Booleans, and strings, but attribute \
                     '{name}' is {}",
                    show_type(value)
                );
                return Err(EvalError::eval(PosId::NONE, message));
            }
        };
        attrs.insert(name, attr);
    }
    let session = evaluator.session.clone();
    let text = session.inputs().reference_text(&attrs).map_err(|failure| failure.at(pos))?;
    Ok(evaluator.heap.string(text.as_bytes()))
}
