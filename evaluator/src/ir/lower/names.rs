//! What every name refers to: the bindings in scope, and the slots they have.

use super::*;

impl Lowerer<'_> {
    pub(super) fn bind(&mut self, name: Name, slot: u32) {
        let binding = Binding { frame: self.frame(), slot };
        let symbol = self.symbol(name);
        if let Some(tracker) = &mut self.tracker {
            tracker.bind(DebugName { name: symbol, frame: binding.frame, slot });
        }
        let hidden = std::mem::replace(&mut self.innermost[name.0 as usize], self.bindings.len() as u32);
        self.bindings.push((binding, hidden));
    }

    /// Ends all bindings but the first `count`, which were made before the others; `names` are theirs.
    pub(super) fn unbind_to(&mut self, count: usize, names: impl Iterator<Item = Name>) {
        for name in names {
            let innermost = &mut self.innermost[name.0 as usize];
            while *innermost != NONE && *innermost as usize >= count {
                *innermost = self.bindings[*innermost as usize].1;
            }
        }
        self.bindings.truncate(count);
        if let Some(tracker) = &mut self.tracker {
            tracker.unbind_to(count);
        }
    }

    pub(super) fn variable(&self, binding: Binding, pos: PosId) -> Result<Expr> {
        let slot = binding.slot;
        Ok(match self.frame() - binding.frame {
            0 => Expr::Local(Variable { slot, pos }),
            1 => Expr::Outer(Variable { slot, pos }),
            depth => {
                let depth = u16::try_from(depth).map_err(|_| LowerError::TooDeep { pos })?;
                Expr::Distant { depth, slot, pos }
            }
        })
    }

    pub(super) fn lookup_lexical(&self, symbol: Symbol, name: Option<Name>) -> Option<Binding> {
        let bound = name.map_or(NONE, |name| self.innermost[name.0 as usize]);
        if let Some((binding, _)) = self.bindings.get(bound as usize) {
            return Some(*binding);
        }
        let slot = self.context.scope.iter().rposition(|&scoped| scoped == symbol);
        slot.map(|slot| Binding { frame: 0, slot: slot as u32 })
    }

    /// The names in scope that are nearly the same.
    #[cold]
    pub(super) fn near(&self, symbol: Symbol) -> Vec<String> {
        let bound = self.names.iter().zip(&self.innermost).filter(|(_, innermost)| **innermost != NONE);
        let lexical = bound.map(|(name, _)| *name).chain(self.context.scope.iter().copied());
        let mut all: Vec<Symbol> = lexical.chain(self.context.globals.names()).collect();
        all.sort_unstable();
        all.dedup();
        crate::suggest::closest(symbol.text(), all.iter().map(|name| name.text()))
    }

    pub(super) fn name_variable(&mut self, name: Name, pos: PosId) -> Result<Expr> {
        self.resolve(self.symbol(name), Some(name), pos)
    }

    /// A name that the parser did not see, such as `__sub`.
    pub(super) fn implied_variable(&mut self, symbol: Symbol, pos: PosId) -> Result<Expr> {
        let name = self.implied_name(symbol);
        self.resolve(symbol, name, pos)
    }

    pub(super) fn implied_name(&self, symbol: Symbol) -> Option<Name> {
        self.implied.iter().find(|(known, _)| *known == symbol).map(|(_, name)| *name)
    }

    pub(super) fn resolve(&mut self, symbol: Symbol, name: Option<Name>, pos: PosId) -> Result<Expr> {
        if let Some(binding) = self.lookup_lexical(symbol, name) {
            return self.variable(binding, pos);
        }
        if let Some(value) = self.context.globals.get(symbol) {
            match value.view() {
                View::Null | View::Bool(_) => {}
                // Cannot be told from a literal.
                View::Int(_) => self.cacheable = false,
                View::List(list) if list.is_empty() => self.cacheable = false,
                _ => {
                    self.origins.insert(value.address(), Origin::Global(symbol));
                }
            }
            return Ok(Expr::Value(value));
        }
        if self.withs.is_empty() {
            return Err(LowerError::UndefinedVariable { name: symbol, pos, near: self.near(symbol) });
        }
        let frame = self.frame();
        let scopes: Vec<WithScope> = self
            .withs
            .iter()
            .rev()
            .map(|&(binding, pos)| WithScope { depth: frame - binding.frame, slot: binding.slot, pos })
            .collect();
        let scopes = self.heap.slice(&scopes);
        Ok(Expr::With(self.heap.object(WithVariable { name: symbol, pos, scopes, hint: Hint::default() })))
    }

    /// Whether the operator that Nix calls by this name still means the builtin.
    pub(super) fn is_shadowed(&self, symbol: Symbol) -> bool {
        self.lookup_lexical(symbol, self.implied_name(symbol)).is_some()
    }
}
