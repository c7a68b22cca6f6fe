//! String contexts, seen and changed.

use std::collections::BTreeMap;

use zeval_model::store_path::StorePath;

use super::{Builtin, Kind};
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{EvalError, Result},
    },
    position::PosId,
    symbol::{Symbol, known},
    value::{
        Context, Value,
        context::{Built, ContextElement, Derived},
    },
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("hasContext", 1, 1, has_context),
    Builtin::new("getContext", 1, 1, get_context),
    Builtin::new("appendContext", 2, 3, append_context).after(Kind::String),
    Builtin::new("unsafeDiscardStringContext", 1, 1, discard),
    Builtin::new("unsafeDiscardOutputDependency", 1, 1, discard_output_dependency),
    Builtin::new("addDrvOutputDependencies", 1, 1, add_output_dependencies),
];

fn has_context(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.hasContext";
    let string = evaluator.expect_string(args[0], pos, doing)?;
    Ok(Value::bool(string.context.is_some()))
}

fn discard(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.unsafeDiscardStringContext";
    let text = evaluator.coerce(args[0], Coercion::INTERPOLATED, &mut None, pos, doing)?;
    Ok(evaluator.heap.string_of(text, None))
}

fn discard_output_dependency(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.unsafeDiscardOutputDependency";
    let mut context = None;
    let text = evaluator.coerce(args[0], Coercion::INTERPOLATED, &mut context, pos, doing)?;
    let elements: Vec<ContextElement> = context
        .iter()
        .flat_map(|context| context.iter())
        .map(|element| match element {
            ContextElement::DrvDeep(path) => ContextElement::Opaque(path.clone()),
            other => other.clone(),
        })
        .collect();
    let context = Context::of(&mut evaluator.heap, elements.into_iter());
    Ok(evaluator.heap.string_of(text, context))
}

fn add_output_dependencies(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.addDrvOutputDependencies";
    let mut context = None;
    let text = evaluator.coerce(args[0], Coercion::INTERPOLATED, &mut context, pos, doing)?;
    let elements: Vec<&ContextElement> = context.iter().flat_map(|context| context.iter()).collect();
    let shown = crate::text::raw::text(text);
    let path = match elements[..] {
        [ContextElement::Opaque(path)] if path.is_derivation() => path.clone(),
        [ContextElement::DrvDeep(path)] => path.clone(),
        [ContextElement::Opaque(path)] => {
            return Err(EvalError::eval(pos, format!("path '{path}' is not a derivation")));
        }
        [ContextElement::Built(Built { output, .. })] => {
            let message = format!(
                "`addDrvOutputDependencies` can only act on derivations, not on a derivation output such as '{output}'"
            );
            return Err(EvalError::eval(pos, message));
        }
        _ => {
            let message = format!(
                "context of string '{shown}' must have exactly one element, but has {}",
                elements.len()
            );
            return Err(EvalError::eval(pos, message));
        }
    };
    let context = Context::single(&mut evaluator.heap, ContextElement::DrvDeep(path));
    Ok(evaluator.heap.string_of(text, context))
}

#[derive(Default)]
struct Mentions {
    path: bool,
    all_outputs: bool,
    outputs: Vec<String>,
}

fn get_context(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.getContext";
    let string = evaluator.expect_string(args[0], pos, doing)?;
    let mut mentions: BTreeMap<StorePath, Mentions> = BTreeMap::new();
    for element in string.context.iter().flat_map(|context| context.iter()) {
        match element {
            ContextElement::Opaque(path) => mentions.entry(path.clone()).or_default().path = true,
            ContextElement::DrvDeep(path) => mentions.entry(path.clone()).or_default().all_outputs = true,
            ContextElement::Built(built) => {
                let Derived::Opaque(path) = &*built.derivation else { continue };
                mentions.entry(path.clone()).or_default().outputs.push(built.output.clone());
            }
        }
    }
    let mut entries = Vec::with_capacity(mentions.len());
    for (path, mention) in mentions {
        let mut info = Vec::new();
        if mention.path {
            info.push((known().path, Value::TRUE));
        }
        if mention.all_outputs {
            info.push((known().outputs_all, Value::TRUE));
        }
        if !mention.outputs.is_empty() {
            let mut outputs = mention.outputs;
            outputs.sort();
            let outputs: Vec<Value> =
                outputs.iter().map(|output| evaluator.heap.string(output.as_bytes())).collect();
            info.push((known().outputs, evaluator.heap.list(&outputs)));
        }
        let info = evaluator.attrs_from(&mut info);
        entries.push((Symbol::intern(path.to_string().as_bytes()), info));
    }
    Ok(evaluator.attrs_from(&mut entries))
}

fn append_context(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.appendContext";
    let string = evaluator.expect_string(args[0], pos, doing)?;
    let doing = "while evaluating the second argument passed to builtins.appendContext";
    let attrs = evaluator.expect_attrs(args[1], pos, doing)?;
    let mut elements: Vec<ContextElement> =
        string.context.iter().flat_map(|context| context.iter()).cloned().collect();
    for (name, slot) in attrs.flatten(&mut evaluator.heap).iter() {
        let shown = name.text().to_string();
        let key = crate::print::attr_name(name);
        let pos = attrs.position(name).unwrap_or(pos);
        let path = StorePath::from_absolute(&shown)
            .map_err(|_| EvalError::eval(pos, format!("context key '{key}' is not a store path")))?;
        let doing = "while evaluating the value of a string context";
        let info = evaluator.expect_attrs(slot.get(), pos, doing)?;
        append_mentions(evaluator, &mut elements, (&path, &key), info, pos)?;
    }
    let context = Context::of(&mut evaluator.heap, elements.into_iter());
    Ok(evaluator.heap.string_of(string.bytes(), context))
}

fn append_mentions(
    evaluator: &mut Evaluator,
    elements: &mut Vec<ContextElement>,
    (path, key): (&StorePath, &str),
    info: &'static crate::value::Attrs,
    pos: PosId,
) -> Result<()> {
    // What an attribute says of itself is about its own place.
    let place = |name| info.position(name).unwrap_or(pos);
    let at = place(known().path);
    if let Some(value) = info.get(known().path)
        && evaluator.expect_bool(value, at, "while evaluating the `path` attribute of a string context")?
    {
        elements.push(ContextElement::Opaque(path.clone()));
    }
    let at = place(known().outputs_all);
    if let Some(value) = info.get(known().outputs_all)
        && evaluator.expect_bool(
            value,
            at,
            "while evaluating the `allOutputs` attribute of a string context",
        )?
    {
        if !path.is_derivation() {
            let message =
                format!("tried to add all-outputs context of {key}, which is not a derivation, to a string");
            return Err(EvalError::eval(pos, message));
        }
        elements.push(ContextElement::DrvDeep(path.clone()));
    }
    let at = place(known().outputs);
    if let Some(value) = info.get(known().outputs) {
        let doing = "while evaluating the `outputs` attribute of a string context";
        let outputs = evaluator.expect_list(value, at, doing)?;
        if !outputs.is_empty() && !path.is_derivation() {
            let message = format!(
                "tried to add derivation output context of {key}, which is not a derivation, to a string"
            );
            return Err(EvalError::eval(pos, message));
        }
        for output in outputs.iter() {
            let doing = "while evaluating an output name within a string context";
            let output = evaluator.expect_plain_string(output, at, doing)?;
            elements.push(ContextElement::Built(Built {
                derivation: Box::new(Derived::Opaque(path.clone())),
                output: String::from_utf8_lossy(output).into_owned(),
            }));
        }
    }
    Ok(())
}
