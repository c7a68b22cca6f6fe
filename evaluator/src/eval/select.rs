//! Attribute sets: making them, looking into them, and `with`.

use super::{
    Evaluator,
    error::{ErrorKind, EvalError, Failure, Result},
    needs_position,
};
use crate::{
    ir::{self, Expr, StepName},
    position::PosId,
    symbol::Symbol,
    value::{Attrs, Env, Slot, Value},
};

/// Longer chains of `//` are taken in parts.
const MAX_UPDATES: usize = 8;

impl Evaluator {
    pub(super) fn select(&mut self, select: &'static ir::Select, env: &'static Env) -> Result<Value> {
        let subject = self.eval(&select.subject, env)?;
        let Some(attrs) = subject.as_attrs() else {
            let context = "while selecting an attribute";
            return Err(self.wrong_type(subject, "a set").trace(select.pos, context));
        };
        let Some(slot) = attrs.find_near(select.name, &select.hint) else {
            return Err(self.missing_attribute(attrs, select.name, select.pos));
        };
        let value = slot.get();
        if !value.is_thunk() {
            return Ok(value);
        }
        match self.force_attribute(slot, attrs, select.name, select.pos) {
            Ok(value) => Ok(value),
            Err(error) => Err(while_evaluating(error, attrs, &[select.name], select.name)),
        }
    }

    /// The value of an attribute that is not evaluated yet: needed at its own position, if it has one.
    fn force_attribute(
        &mut self,
        slot: &'static Slot,
        attrs: &'static Attrs,
        name: Symbol,
        pos: PosId,
    ) -> Result<Value> {
        let pos = match needs_position(slot.get()) {
            true => attrs.position(name).filter(|own| own.is_some()).unwrap_or(pos),
            false => pos,
        };
        self.force_slot_at(slot, pos)
    }

    #[cold]
    fn missing_attribute(&mut self, attrs: &'static Attrs, name: Symbol, pos: PosId) -> Failure {
        let flat = attrs.flatten(&mut self.heap);
        let names = flat.keys.symbols().iter().map(|symbol| symbol.text());
        let message = format!("attribute '{}' missing", crate::print::attr_name(name));
        EvalError::new(ErrorKind::MissingAttribute, pos, message)
            .suggest(crate::suggest::closest(name.text(), names))
    }

    pub(super) fn select_path(
        &mut self,
        select: &'static ir::SelectPath,
        env: &'static Env,
    ) -> Result<Value> {
        let mut value = self.eval(&select.subject, env)?;
        let mut owner: Option<(&'static Attrs, Symbol)> = None;
        for step in select.path {
            let result = self.select_step(select, step, value, env);
            match result {
                Ok(Some((attrs, name, found))) => {
                    owner = Some((attrs, name));
                    value = found;
                }
                Ok(None) => match &select.default {
                    Some(default) => {
                        return match self.eval(default, env) {
                            Ok(value) => Ok(value),
                            Err(error) => Err(self.in_path(error, owner, select.path, env)),
                        };
                    }
                    None => unreachable!("a missing attribute is an error without a default"),
                },
                Err(error) => return Err(self.in_path(error, owner, select.path, env)),
            }
        }
        let own = owner.and_then(|(attrs, name)| attrs.position(name)).filter(|own| own.is_some());
        match self.force_at(value, own.unwrap_or(select.pos)) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.in_path(error, owner, select.path, env)),
        }
    }

    /// The attribute of one step, not evaluated; `None` if it is missing and there is a default.
    fn select_step(
        &mut self,
        select: &'static ir::SelectPath,
        step: &'static ir::PathStep,
        value: Value,
        env: &'static Env,
    ) -> Result<Option<(&'static Attrs, Symbol, Value)>> {
        let name = self.step_name(step, env)?;
        let value = self.force_at(value, select.pos)?;
        let attrs = match value.as_attrs() {
            Some(attrs) => attrs,
            None if select.default.is_some() => return Ok(None),
            None => {
                let context = "while selecting an attribute";
                return Err(self.wrong_type(value, "a set").trace(select.pos, context));
            }
        };
        match attrs.find_near(name, &step.hint) {
            Some(slot) => Ok(Some((attrs, name, slot.get()))),
            None if select.default.is_some() => Ok(None),
            None => Err(self.missing_attribute(attrs, name, select.pos)),
        }
    }

    fn in_path(
        &mut self,
        error: Failure,
        owner: Option<(&'static Attrs, Symbol)>,
        path: &'static [ir::PathStep],
        env: &'static Env,
    ) -> Failure {
        let Some((attrs, name)) = owner else { return error };
        let names: Vec<Symbol> = path.iter().map_while(|step| self.step_name(step, env).ok()).collect();
        while_evaluating(error, attrs, &names, name)
    }

    fn step_name(&mut self, step: &'static ir::PathStep, env: &'static Env) -> Result<Symbol> {
        match &step.name {
            StepName::Static(name) => Ok(*name),
            StepName::Dynamic(expr) => {
                let value = self.eval(expr, env)?;
                let context = "while evaluating an attribute name";
                let text = self.expect_plain_string(value, step.pos, context)?;
                Ok(Symbol::intern(text))
            }
        }
    }

    pub(super) fn has_attr(&mut self, has: &'static ir::HasAttr, env: &'static Env) -> Result<Value> {
        let mut value = self.eval(&has.subject, env)?;
        for step in has.path {
            value = self.force_at(value, has.pos)?;
            let name = self.step_name(step, env)?;
            match value.as_attrs().and_then(|attrs| attrs.find_near(name, &step.hint)) {
                Some(slot) => value = slot.get(),
                None => return Ok(Value::FALSE),
            }
        }
        Ok(Value::TRUE)
    }

    pub(super) fn attrs(&mut self, expr: &'static ir::AttrsExpr, env: &'static Env) -> Result<Value> {
        let attrs = self.heap.attrs_unset(expr.keys);
        for (slot, value) in attrs.flat_slots().iter().zip(expr.values) {
            slot.set(self.delay(value, env));
        }
        self.with_dynamic(attrs, expr.dynamic, env)
    }

    pub(super) fn rec_attrs(&mut self, expr: &'static ir::RecAttrs, env: &'static Env) -> Result<Value> {
        let attrs = match expr.overrides {
            Some(index) => self.overridden(expr, index, env)?,
            None => {
                let attrs = self.heap.attrs_unset(expr.keys);
                for (index, slot) in attrs.flat_slots().iter().enumerate() {
                    slot.set(env.slot(expr.slots[index]).get());
                }
                attrs
            }
        };
        self.with_dynamic(attrs, expr.dynamic, env)
    }

    /// `rec { __overrides = { a = 1; }; a = 0; }`: the override is seen by the other attributes as well.
    fn overridden(
        &mut self,
        expr: &'static ir::RecAttrs,
        index: u32,
        env: &'static Env,
    ) -> Result<&'static Attrs> {
        let overrides = env.slot(expr.slots[index as usize]).get();
        let context = "while evaluating the `__overrides` attribute";
        let overrides = self.expect_attrs(overrides, PosId::NONE, context)?;
        let flat = overrides.flatten(&mut self.heap);
        for (name, slot) in flat.iter() {
            if let Some(place) = expr.keys.find(name) {
                env.slot(expr.slots[place]).set(slot.get());
            }
        }
        let own = self.heap.attrs_unset(expr.keys);
        for (place, slot) in own.flat_slots().iter().enumerate() {
            slot.set(env.slot(expr.slots[place]).get());
        }
        Ok(own.update(overrides, &mut self.heap))
    }

    fn with_dynamic(
        &mut self,
        attrs: &'static Attrs,
        dynamic: &'static [ir::DynamicAttr],
        env: &'static Env,
    ) -> Result<Value> {
        if dynamic.is_empty() {
            return Ok(self.heap.attrs_value(attrs));
        }
        let mut added: Vec<(Symbol, PosId, Value)> = Vec::with_capacity(dynamic.len());
        for attr in dynamic {
            let name = self.eval(&attr.name, env)?;
            if name == Value::NULL {
                continue;
            }
            let context = "while evaluating the name of a dynamic attribute";
            let name = Symbol::intern(self.expect_plain_string(name, attr.pos, context)?);
            let earlier = added.iter().find(|(other, ..)| *other == name).map(|(_, pos, _)| *pos);
            if let Some(first) = attrs.position(name).or(earlier) {
                return Err(duplicate_dynamic(name, first, attr.pos));
            }
            let value = self.delay(&attr.value, env);
            added.push((name, attr.pos, value));
        }
        added.sort_unstable_by_key(|entry| entry.0);
        let keys = self.heap.shared_keys(added.iter().map(|(name, pos, _)| (*name, *pos)));
        let top = self.heap.attrs_unset(keys);
        for (slot, (.., value)) in top.flat_slots().iter().zip(&added) {
            slot.set(*value);
        }
        let all = attrs.update(top, &mut self.heap);
        Ok(self.heap.attrs_value(all))
    }

    pub(super) fn with_variable(
        &mut self,
        variable: &'static ir::WithVariable,
        env: &'static Env,
    ) -> Result<Value> {
        for scope in variable.scopes {
            let slot = env.ancestor(scope.depth).slot(scope.slot);
            let value = self.force_slot_at(slot, scope.pos)?;
            let Some(attrs) = value.as_attrs() else {
                let context = "while evaluating the first subexpression of a with expression";
                return Err(self.wrong_type(slot.get(), "a set").trace(scope.pos, context));
            };
            if let Some(found) = attrs.find_near(variable.name, &variable.hint) {
                return self.force_slot_at(found, variable.pos);
            }
        }
        let message = format!("undefined variable '{}'", variable.name.text());
        Err(EvalError::new(ErrorKind::UndefinedVariable, variable.pos, message))
    }

    /// `a // (b // (c // d))` in one go, so that the sets in between can make room for the last one.
    pub(super) fn update(&mut self, op: &'static ir::Binary, env: &'static Env) -> Result<Value> {
        let mut chain = [op; MAX_UPDATES];
        let mut length = 1;
        while length < MAX_UPDATES
            && let Expr::Update(inner) = &chain[length - 1].right
        {
            chain[length] = inner;
            length += 1;
        }
        let chain = &chain[..length];
        // As in Nix, the right operand comes first.
        let last = chain[length - 1];
        let right = self.update_operand(&last.right, env, last.right_pos, "right")?;
        let mut lefts = [right; MAX_UPDATES];
        for (left, op) in lefts[..length].iter_mut().zip(chain).rev() {
            *left = self.update_operand(&op.left, env, op.left_pos, "left")?;
        }
        self.stats.updates += length as u64;
        let updated = self.heap.update_all(&lefts[..length], right);
        Ok(self.heap.attrs_value(updated))
    }

    fn update_operand(
        &mut self,
        expr: &'static Expr,
        env: &'static Env,
        pos: PosId,
        side: &str,
    ) -> Result<&'static Attrs> {
        let value = match self.eval(expr, env) {
            Ok(value) => value,
            Err(error) => return Err(in_update(error, expr, pos, side)),
        };
        match value.as_attrs() {
            Some(attrs) => Ok(attrs),
            None => Err(in_update(self.wrong_type(value, "a set"), expr, pos, side)),
        }
    }
}

#[cold]
fn while_evaluating(error: Failure, owner: &'static Attrs, path: &[Symbol], name: Symbol) -> Failure {
    let Some(pos) = owner.position(name).filter(|pos| pos.is_some()) else { return error };
    if pos.place().is_some_and(|place| {
        place.source.origin == crate::position::Origin::Internal(crate::builtins::DERIVATION_FILE)
    }) {
        return error;
    }
    let path: Vec<String> = path.iter().map(|&name| crate::print::attr_name(name)).collect();
    error.trace(pos, format!("while evaluating the attribute '{}'", path.join(".")))
}

/// Nix takes a chain of updates in one go, and then only its operands have a frame.
#[cold]
fn in_update(error: Failure, operand: &Expr, pos: PosId, side: &str) -> Failure {
    match operand {
        Expr::Update(_) => error,
        _ => error.trace(pos, format!("in the {side} operand of the update (//) operator")),
    }
}

#[cold]
fn duplicate_dynamic(name: Symbol, first: PosId, pos: PosId) -> Failure {
    let message = format!(
        "dynamic attribute '{}' already defined at {}",
        crate::print::attr_name(name),
        crate::print::position(first)
    );
    EvalError::eval(pos, message)
}
