//! The variables of a session.

use std::collections::HashMap;

use zeval_evaluator::{Symbol, Value, load};

/// The variables that lines and loaded files bound.
#[derive(Default)]
pub struct Scope {
    bindings: Vec<(Symbol, Value)>,
    index: HashMap<Symbol, usize>,
}

impl Scope {
    /// Binds a name, instead of what it was bound to.
    pub fn bind(&mut self, name: Symbol, value: Value) {
        match self.index.get(&name) {
            Some(&index) => self.bindings[index].1 = value,
            None => {
                self.index.insert(name, self.bindings.len());
                self.bindings.push((name, value));
            }
        }
    }

    /// Forgets every variable.
    pub fn clear(&mut self) {
        self.bindings.clear();
        self.index.clear();
    }

    /// The names that are bound.
    pub fn names(&self) -> impl Iterator<Item = Symbol> {
        self.bindings.iter().map(|(name, _)| *name)
    }

    /// The scope around an expression.
    pub fn as_load_scope(&self) -> load::Scope<'_> {
        load::Scope { bindings: &self.bindings }
    }
}
