//! Lists.

use super::{Builtin, Kind};
use crate::{
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Result},
    },
    position::PosId,
    symbol::known,
    value::Value,
};

/// A list longer than this fits no memory that Nix would find.
const MAX_LENGTH: usize = 1 << 31;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("map", 2, 2, map),
    Builtin::new("filter", 2, 2, filter),
    Builtin::new("elem", 2, 2, elem),
    Builtin::new("elemAt", 2, 3, elem_at),
    Builtin::new("head", 1, 1, head),
    Builtin::new("tail", 1, 1, tail),
    Builtin::new("length", 1, 1, length),
    Builtin::new("foldl'", 3, 5, foldl).after(Kind::Function),
    Builtin::new("any", 2, 3, |e, args, pos| any_all(e, args, pos, &ANY, true)).after(Kind::Function),
    Builtin::new("all", 2, 3, |e, args, pos| any_all(e, args, pos, &ALL, false)).after(Kind::Function),
    Builtin::new("genList", 2, 2, gen_list),
    Builtin::new("partition", 2, 3, partition).after(Kind::Function),
    Builtin::new("concatLists", 1, 1, concat_lists),
    Builtin::new("concatMap", 2, 3, concat_map).after(Kind::Function),
    Builtin::new("groupBy", 2, 3, group_by).after(Kind::Function),
];

fn map(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let list =
        evaluator.expect_list(args[1], pos, "while evaluating the second argument passed to builtins.map")?;
    if list.is_empty() {
        return evaluator.force(args[1]);
    }
    let context = "while evaluating the first argument passed to builtins.map";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let function = evaluator.delayed(function);
    let slots = evaluator.heap.slots(list.len(), |_, _| Value::NULL);
    for (slot, element) in slots.iter().zip(list.iter()) {
        slot.set(evaluator.delay_apply(function, element));
    }
    Ok(evaluator.heap.list_of(slots))
}

fn filter(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the second argument passed to builtins.filter";
    let list = evaluator.expect_list(args[1], pos, context)?;
    if list.is_empty() {
        return evaluator.force(args[1]);
    }
    let context = "while evaluating the first argument passed to builtins.filter";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let mut kept = Vec::with_capacity(list.len());
    let context = "while evaluating the return value of the filtering function passed to builtins.filter";
    let applied = evaluator.apply_to_each(function, list, PosId::NONE);
    for (index, element) in list.iter().enumerate() {
        let wanted = applied.get(evaluator, index)?;
        if evaluator.expect_bool(wanted, pos, context)? {
            kept.push(element);
        }
    }
    if kept.len() == list.len() {
        return evaluator.force(args[1]);
    }
    Ok(evaluator.heap.list(&kept))
}

fn elem(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the second argument passed to builtins.elem";
    let list = evaluator.expect_list(args[1], pos, context)?;
    let context = "while searching for the presence of the given element in the list";
    for element in list.iter() {
        if element == args[0] || evaluator.equal(args[0], element, pos, context)? {
            return Ok(Value::TRUE);
        }
    }
    Ok(Value::FALSE)
}

fn elem_at(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the second argument passed to 'builtins.elemAt'";
    let index = evaluator.expect_int(args[1], pos, context)?;
    let context = "while evaluating the first argument passed to 'builtins.elemAt'";
    let list = evaluator.expect_list(args[0], pos, context)?;
    match usize::try_from(index).ok().and_then(|index| list.slots().get(index)) {
        Some(slot) => evaluator.force_slot(slot),
        None => {
            let message =
                format!("'builtins.elemAt' called with index {index} on a list of size {}", list.len());
            Err(EvalError::eval(pos, message))
        }
    }
}

fn head(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to 'builtins.head'";
    let list = evaluator.expect_list(args[0], pos, context)?;
    match list.slots().first() {
        Some(slot) => evaluator.force_slot(slot),
        None => Err(EvalError::eval(pos, "'builtins.head' called on an empty list")),
    }
}

fn tail(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to 'builtins.tail'";
    let list = evaluator.expect_list(args[0], pos, context)?;
    match list.slots().split_first() {
        Some((_, rest)) => Ok(evaluator.heap.list_of(rest)),
        None => Err(EvalError::eval(pos, "'builtins.tail' called on an empty list")),
    }
}

fn length(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.length";
    let list = evaluator.expect_list(args[0], pos, context)?;
    Ok(evaluator.heap.int(list.len() as i64))
}

fn foldl(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.foldlStrict";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let context = "while evaluating the third argument passed to builtins.foldlStrict";
    let list = evaluator.expect_list(args[2], pos, context)?;
    let mut accumulated = args[1];
    for element in list.iter() {
        accumulated = evaluator.apply(function, &[accumulated, element], pos)?;
    }
    evaluator.force(accumulated)
}

/// What `any` and `all` say that they evaluate: the function, the list, what the function gives.
struct Doing {
    function: &'static str,
    list: &'static str,
    result: &'static str,
}

const ANY: Doing = Doing {
    function: "while evaluating the first argument passed to builtins.any",
    list: "while evaluating the second argument passed to builtins.any",
    result: "while evaluating the return value of the function passed to builtins.any",
};
const ALL: Doing = Doing {
    function: "while evaluating the first argument passed to builtins.all",
    list: "while evaluating the second argument passed to builtins.all",
    result: "while evaluating the return value of the function passed to builtins.all",
};

fn any_all(
    evaluator: &mut Evaluator,
    args: &[Value],
    pos: PosId,
    doing: &Doing,
    stop_at: bool,
) -> Result<Value> {
    let function = evaluator.expect_function(args[0], pos, doing.function)?;
    let list = evaluator.expect_list(args[1], pos, doing.list)?;
    for element in list.iter() {
        let value = evaluator.apply(function, &[element], pos)?;
        if evaluator.expect_bool(value, pos, doing.result)? == stop_at {
            return Ok(Value::bool(stop_at));
        }
    }
    Ok(Value::bool(!stop_at))
}

fn gen_list(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the second argument passed to builtins.genList";
    let length = evaluator.expect_int(args[1], pos, context)?;
    let Ok(length) = usize::try_from(length) else {
        return Err(EvalError::eval(pos, format!("cannot create list of size {length}")));
    };
    let context = "while evaluating the first argument passed to builtins.genList";
    let function = evaluator.expect_function(args[0], pos, context)?;
    if length > MAX_LENGTH {
        return Err(EvalError::new(ErrorKind::World, PosId::NONE, "out of memory"));
    }
    let function = evaluator.delayed(function);
    let slots = evaluator.heap.slots(length, |_, _| Value::NULL);
    for (index, slot) in slots.iter().enumerate() {
        let index = evaluator.heap.int(index as i64);
        slot.set(evaluator.delay_apply(function, index));
    }
    Ok(evaluator.heap.list_of(slots))
}

fn partition(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.partition";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.partition";
    let list = evaluator.expect_list(args[1], pos, context)?;
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    let context = "while evaluating the return value of the partition function passed to builtins.partition";
    for element in list.iter() {
        evaluator.force(element)?;
        let value = evaluator.apply(function, &[element], pos)?;
        if evaluator.expect_bool(value, pos, context)? {
            right.push(element);
        } else {
            wrong.push(element);
        }
    }
    let (right, wrong) = (evaluator.heap.list(&right), evaluator.heap.list(&wrong));
    Ok(evaluator.attrs_from(&mut [(known().right, right), (known().wrong, wrong)]))
}

fn concat_lists(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.concatLists";
    let lists = evaluator.expect_list(args[0], pos, context)?;
    let context = "while evaluating a value of the list passed to builtins.concatLists";
    let mut parts = Vec::with_capacity(lists.len());
    for list in lists.iter() {
        parts.push(evaluator.expect_list(list, pos, context)?.slots());
    }
    Ok(evaluator.concat_slots(&parts))
}

fn concat_map(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.concatMap";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.concatMap";
    let list = evaluator.expect_list(args[1], pos, context)?;
    let mut parts = Vec::with_capacity(list.len());
    let context = "while evaluating the return value of the function passed to builtins.concatMap";
    let applied = evaluator.apply_to_each(function, list, pos);
    for index in 0..list.len() {
        let value = applied.get(evaluator, index)?;
        // As Nix's `determinePos`: where the value itself is written, if it tells.
        let own = value.own_position();
        let place =
            if own.is_some() || value.peek().as_attrs().is_some() { own } else { function.own_position() };
        parts.push(evaluator.expect_list(value, place, context)?.slots());
    }
    Ok(evaluator.concat_slots(&parts))
}

fn group_by(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.groupBy";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.groupBy";
    let list = evaluator.expect_list(args[1], pos, context)?;
    let mut groups: rustc_hash::FxHashMap<crate::Symbol, Vec<Value>> = Default::default();
    let context = "while evaluating the return value of the grouping function passed to builtins.groupBy";
    let applied = evaluator.apply_to_each(function, list, pos);
    for (index, element) in list.iter().enumerate() {
        let name = applied.get(evaluator, index)?;
        let name = evaluator.expect_plain_string(name, pos, context)?;
        groups.entry(crate::Symbol::intern(name)).or_default().push(element);
    }
    let mut groups: Vec<(crate::Symbol, Value)> =
        groups.into_iter().map(|(name, members)| (name, evaluator.heap.list(&members))).collect();
    Ok(evaluator.attrs_from(&mut groups))
}
