//! Attribute sets made from others.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Builtin, Kind};
use crate::{
    eval::{Evaluator, error::Result},
    position::PosId,
    symbol::{Symbol, known},
    value::{Keys, Thunk, Value, thunk::Applied},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("removeAttrs", 2, 3, remove_attrs).after(Kind::Attrs),
    Builtin::new("listToAttrs", 1, 1, list_to_attrs),
    Builtin::new("intersectAttrs", 2, 3, intersect_attrs).after(Kind::Attrs),
    Builtin::new("mapAttrs", 2, 2, map_attrs),
    Builtin::new("zipAttrsWith", 2, 3, zip_attrs_with).after(Kind::Function),
];

/// A set from entries in the order of their symbols.
fn set(evaluator: &mut Evaluator, entries: &[(Symbol, PosId, Value)]) -> Value {
    let keys = evaluator.heap.shared_keys(entries.iter().map(|(name, pos, _)| (*name, *pos)));
    evaluator.heap.attrs(keys, |_, index| entries[index].2)
}

fn remove_attrs(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.removeAttrs";
    let attrs = evaluator.expect_attrs(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.removeAttrs";
    let list = evaluator.expect_list(args[1], pos, context)?;
    let mut removed = Vec::with_capacity(list.len());
    let context = "while evaluating the values of the second argument passed to builtins.removeAttrs";
    for element in list.iter() {
        removed.extend(Symbol::find(evaluator.expect_plain_string(element, pos, context)?));
    }
    removed.sort_unstable();
    let flat = attrs.flatten(&mut evaluator.heap);
    let positions = flat.keys.positions();
    let kept: Vec<(Symbol, PosId, Value)> = flat
        .iter()
        .zip(positions)
        .filter(|((name, _), _)| removed.binary_search(name).is_err())
        .map(|((name, slot), pos)| (name, *pos, slot.get().shared()))
        .collect();
    Ok(set(evaluator, &kept))
}

fn list_to_attrs(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the argument passed to builtins.listToAttrs";
    let list = evaluator.expect_list(args[0], pos, context)?;
    let mut seen = FxHashSet::default();
    let mut entries = Vec::with_capacity(list.len());
    for element in list.iter() {
        let context = "while evaluating an element of the list passed to builtins.listToAttrs";
        let attrs = evaluator.expect_attrs(element, pos, context)?;
        let context = "in a {name=...; value=...;} pair";
        let name = super::attrs::required(evaluator, attrs, known().name, pos, context)?;
        let name_pos = attrs.position(known().name).unwrap_or_default();
        let context =
            "while evaluating the `name` attribute of an element of the list passed to builtins.listToAttrs";
        let name = Symbol::intern(evaluator.expect_plain_string(name, name_pos, context)?);
        if seen.insert(name) {
            let context = "in a {name=...; value=...;} pair";
            let value = super::attrs::required(evaluator, attrs, known().value, pos, context)?;
            entries.push((name, attrs.position(known().value).unwrap_or_default(), value.shared()));
        }
    }
    entries.sort_unstable_by_key(|entry| entry.0);
    Ok(set(evaluator, &entries))
}

fn intersect_attrs(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.intersectAttrs";
    let left = evaluator.expect_attrs(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.intersectAttrs";
    let right = evaluator.expect_attrs(args[1], pos, context)?;
    // The smaller set is walked, the larger one looked into; the values are those of the right one.
    let left_flat = left.flatten(&mut evaluator.heap);
    let entries: Vec<(Symbol, PosId, Value)> =
        if right.is_flat() && right.flat_slots().len() < left_flat.len() {
            let flat = right.flatten(&mut evaluator.heap);
            flat.iter()
                .zip(flat.keys.positions())
                .filter(|((name, _), _)| left.find(*name).is_some())
                .map(|((name, slot), pos)| (name, *pos, slot.get().shared()))
                .collect()
        } else {
            left_flat
                .iter()
                .filter_map(|(name, _)| {
                    let slot = right.find(name)?;
                    Some((name, right.position(name).unwrap_or_default(), slot.get().shared()))
                })
                .collect()
        };
    Ok(set(evaluator, &entries))
}

fn map_attrs(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the second argument passed to builtins.mapAttrs";
    let attrs = evaluator.expect_attrs(args[1], pos, context)?;
    let members = attrs.flat_set(&mut evaluator.heap);
    let keys = members.flatten(&mut evaluator.heap).keys.plain(&mut evaluator.heap);
    // A literal, which Nix evaluates when it is called.
    let is_needed = args[0].peek().as_closure().is_none();
    let applied = Applied::to_members(args[0], members, is_needed);
    Ok(mapped(evaluator, applied, keys))
}

/// The set of a function applied to the name and the value of each member, under these keys.
fn mapped(evaluator: &mut Evaluator, applied: Applied, keys: &'static Keys) -> Value {
    let applied = evaluator.heap.object(applied);
    evaluator.heap.attrs(keys, |heap, index| heap.thunk(Thunk::applied_to_member(applied, index)))
}

fn zip_attrs_with(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let context = "while evaluating the first argument passed to builtins.zipAttrsWith";
    let function = evaluator.expect_function(args[0], pos, context)?;
    let context = "while evaluating the second argument passed to builtins.zipAttrsWith";
    let list = evaluator.expect_list(args[1], pos, context)?;
    let mut found: FxHashMap<Symbol, Vec<Value>> = FxHashMap::default();
    let context = "while evaluating a value of the list passed as second argument to builtins.zipAttrsWith";
    for element in list.iter() {
        let attrs = evaluator.expect_attrs(element, PosId::NONE, context)?;
        for (name, slot) in attrs.flatten(&mut evaluator.heap).iter() {
            found.entry(name).or_default().push(slot.get().shared());
        }
    }
    let mut lists: Vec<(Symbol, Value)> =
        found.into_iter().map(|(name, values)| (name, evaluator.heap.list(&values))).collect();
    lists.sort_unstable_by_key(|entry| entry.0);
    let keys = evaluator.heap.shared_keys(lists.iter().map(|entry| (entry.0, PosId::NONE)));
    let members = evaluator.heap.attrs_unset(keys);
    members.flat_slots().iter().zip(&lists).for_each(|(slot, list)| slot.set(list.1));
    Ok(mapped(evaluator, Applied::to_members(function, members, true), keys))
}
