//! `builtins.genericClosure`.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::{Builtin, attrs::required};
use crate::{
    eval::{
        Evaluator,
        error::{Failure, Result, Traced},
    },
    position::PosId,
    print,
    symbol::known,
    value::Value,
};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new("genericClosure", 1, 1, generic_closure)];

fn generic_closure(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.genericClosure";
    let attrs = evaluator.expect_attrs(args[0], pos, context)?;
    let context = "in the attrset passed as argument to builtins.genericClosure";
    let start = required(evaluator, attrs, known().start_set, pos, context)?;
    let context = "while evaluating the 'startSet' attribute passed as argument to builtins.genericClosure";
    let start = evaluator.expect_list(start, pos, context)?;
    if start.is_empty() {
        return Ok(Value::empty_list());
    }
    let context = "in the attrset passed as argument to builtins.genericClosure";
    let operator = required(evaluator, attrs, known().operator, pos, context)?;
    let context = "while evaluating the 'operator' attribute passed as argument to builtins.genericClosure";
    let operator = evaluator.expect_function(operator, pos, context)?;
    let mut pending: VecDeque<Value> = start.iter().collect();
    let mut seen = KeySet::default();
    let mut found = Vec::new();
    while let Some(item) = pending.pop_front() {
        let key = key_of(evaluator, item)
            .map_err(|error| about_element(evaluator, error, "in genericClosure element", item))?;
        let key = evaluator.force(key)?;
        if !seen.insert(evaluator, key, item)? {
            continue;
        }
        found.push(item);
        if let Err(error) = add_successors(evaluator, operator, item, &mut pending) {
            return Err(about_element(
                evaluator,
                error,
                "while calling operator on genericClosure element",
                item,
            ));
        }
    }
    Ok(evaluator.heap.list(&found))
}

fn key_of(evaluator: &mut Evaluator, item: Value) -> Result<Value> {
    let attrs = evaluator.expect_attrs(item, PosId::NONE, "")?;
    required(evaluator, attrs, known().key, PosId::NONE, "")
}

fn add_successors(
    evaluator: &mut Evaluator,
    operator: Value,
    item: Value,
    pending: &mut VecDeque<Value>,
) -> Result<()> {
    let new = evaluator.apply(operator, &[item], PosId::NONE)?;
    let context = "while evaluating the return value of the `operator` passed to builtins.genericClosure";
    for element in evaluator.expect_list(new, PosId::NONE, context)?.slots() {
        evaluator.force_slot(element)?;
        pending.push_back(element.get());
    }
    Ok(())
}

#[cold]
fn about_element(evaluator: &mut Evaluator, error: Failure, doing: &str, element: Value) -> Failure {
    let shown = print::for_error(evaluator, element);
    error.trace(PosId::NONE, format!("{doing} {shown}"))
}

/// The keys seen, each with its element, in the order of `lessThan`, which decides which keys are comparable. As long as
/// all are strings, a hash table does.
#[derive(Default)]
struct KeySet {
    sorted: Vec<(Value, Value)>,
    strings: FxHashMap<&'static [u8], Value>,
}

impl KeySet {
    /// Whether the key is new.
    fn insert(&mut self, evaluator: &mut Evaluator, key: Value, element: Value) -> Result<bool> {
        if let Some(string) = key.as_string()
            && self.sorted.is_empty()
        {
            return Ok(self.strings.insert(string.bytes(), element).is_none());
        }
        if let Some((string, other)) = self.strings.iter().next() {
            let (string, other) = (evaluator.heap.string(string), *other);
            self.compare(evaluator, (key, element), (string, other), false)?;
        }
        let (mut low, mut high) = (0, self.sorted.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.compare(evaluator, (key, element), self.sorted[middle], true)? {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let known = match self.sorted.get(low) {
            Some(&other) => !self.compare(evaluator, (key, element), other, false)?,
            None => false,
        };
        if !known {
            self.sorted.insert(low, (key, element));
        }
        Ok(!known)
    }

    /// Whether the new key is less than the other, or, if `other_first`, the other less than the new one.
    fn compare(
        &self,
        evaluator: &mut Evaluator,
        (key, element): (Value, Value),
        (other, other_element): (Value, Value),
        other_first: bool,
    ) -> Result<bool> {
        let is_comparable = evaluator.less_than(key, other, PosId::NONE, "");
        let less = match (is_comparable, other_first) {
            (Ok(_), true) => evaluator.less_than(other, key, PosId::NONE, ""),
            (result, _) => result,
        };
        less.map_err(|error| {
            let error = about_element(evaluator, error, "with element", other_element);
            about_element(evaluator, error, "while comparing element", element)
        })
        .traced(PosId::NONE, || "")
    }
}
