//! Walking the outputs of a flake.

use zeval_evaluator::{
    EvalError, Evaluator, Failure, Symbol, Value, View,
    eval::error::Traced,
    position::PosId,
    value::{Attrs, Slot},
};

use crate::flakes::select::string;

pub type Result<T> = std::result::Result<T, Failure>;

/// A value in a flake, and the names that lead to it.
#[derive(Clone)]
pub struct Output {
    pub path: Vec<String>,
    pub value: Value,
    /// Where it is defined.
    pub pos: PosId,
}

impl Output {
    /// The outputs themselves.
    pub fn root(value: Value) -> Output {
        Output { path: Vec::new(), value, pos: PosId::NONE }
    }

    /// The names, apart by points.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// The members, in the order of their names; an error if it is no set.
    pub fn members(&self, evaluator: &mut Evaluator) -> Result<Vec<Output>> {
        let attrs = self.attrs(evaluator)?;
        let sorted = attrs.flatten(&mut evaluator.heap).sorted();
        Ok(sorted.into_iter().map(|(name, slot)| self.with(attrs, name, slot)).collect())
    }

    /// The members, in the order in which their names were first met: as Nix goes through them where it is not for people.
    pub fn members_as_met(&self, evaluator: &mut Evaluator) -> Result<Vec<Output>> {
        let attrs = self.attrs(evaluator)?;
        let members = attrs.flatten(&mut evaluator.heap);
        Ok(members.iter().map(|(name, slot)| self.with(attrs, name, slot)).collect())
    }

    fn attrs(&self, evaluator: &mut Evaluator) -> Result<&'static Attrs> {
        let value = evaluator.force_at(self.value, self.pos)?;
        let View::Attrs(attrs) = value.view() else {
            let message = format!("'{}' is not an attribute set", self.name());
            return Err(EvalError::wrong_type(PosId::NONE, message));
        };
        Ok(attrs)
    }

    fn with(&self, attrs: &'static Attrs, name: Symbol, slot: &'static Slot) -> Output {
        let mut path = self.path.clone();
        path.push(name.text().to_string());
        Output { path, value: slot.get(), pos: attrs.position(name).unwrap_or_default() }
    }

    /// A member, if it is there.
    pub fn member(&self, evaluator: &mut Evaluator, name: &str) -> Result<Option<Output>> {
        let value = evaluator.force_at(self.value, self.pos)?;
        let View::Attrs(attrs) = value.view() else { return Ok(None) };
        let symbol = Symbol::intern(name.as_bytes());
        let Some(value) = attrs.get(symbol) else { return Ok(None) };
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Ok(Some(Output { path, value, pos: attrs.position(symbol).unwrap_or_default() }))
    }

    /// Whether it is a derivation.
    pub fn is_derivation(&self, evaluator: &mut Evaluator) -> Result<bool> {
        let value = evaluator.force_at(self.value, self.pos)?;
        match value.view() {
            View::Attrs(attrs) => evaluator.is_derivation(attrs),
            _ => Ok(false),
        }
    }

    /// The text of a member that is a string.
    pub fn text(&self, evaluator: &mut Evaluator, name: &str) -> Result<Option<String>> {
        let Some(member) = self.member(evaluator, name)? else { return Ok(None) };
        string(evaluator, member.value)
            .traced(member.pos, || format!("while evaluating the attribute '{}'", member.name()))
            .map(Some)
    }

    /// `meta.description`
    pub fn description(&self, evaluator: &mut Evaluator) -> Result<Option<String>> {
        match self.member(evaluator, "meta")? {
            Some(meta) => meta.text(evaluator, "description"),
            None => Ok(None),
        }
    }
}

/// Whether an evaluation failed because it would have built something.
pub fn needs_build(failure: &Failure) -> bool {
    failure.message.contains("'allow-import-from-derivation' is disabled")
}
