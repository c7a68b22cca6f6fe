//! Marks for the debugger and the profiler: expressions that they know of, and what is in scope there. Only lowered on request.

use super::{Expr, WithScope};
use crate::{position::PosId, symbol::Symbol};

/// An expression that the debugger or the profiler knows of.
pub struct Mark {
    /// What it is.
    pub what: What,
    /// Where it stands.
    pub pos: PosId,
    /// The expression.
    pub body: Expr,
    /// The names bound around it, innermost first; none for the profiler.
    pub scope: Option<&'static DebugScope>,
    /// How many environments are around its own.
    pub frame: u32,
    /// The sets of the `with`s around it, innermost first.
    pub withs: &'static [WithScope],
}

/// Whose marks code is to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Marks {
    /// None.
    #[default]
    None,
    /// Every expression that can fail, with its scope.
    Debugger,
    /// Files, bodies of functions, and calls of builtins.
    Profiler,
    /// Calls, and operators that are calls to Nix.
    Calls,
}

/// What a marked expression is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A whole file or text.
    File,
    /// The body of a function.
    Function(Option<Symbol>),
    /// A call.
    Call,
    /// A call of a builtin.
    Builtin(&'static str),
    /// Any other expression.
    Expression,
}

/// Names that were bound together.
pub struct DebugScope {
    /// The scope around.
    pub outer: Option<&'static DebugScope>,
    /// The names.
    pub names: Vec<DebugName>,
}

/// A bound name.
#[derive(Clone, Copy)]
pub struct DebugName {
    /// The name.
    pub name: Symbol,
    /// Which environment its value is in, counted from the outermost one.
    pub frame: u32,
    /// The slot there.
    pub slot: u32,
}

/// The scopes in force while a file is lowered.
#[derive(Default)]
pub(super) struct ScopeTracker {
    bound: Vec<DebugName>,
    /// For each scope the number of names that it and those around it bind.
    scopes: Vec<(usize, &'static DebugScope)>,
}

impl ScopeTracker {
    /// A name is bound.
    pub fn bind(&mut self, name: DebugName) {
        self.bound.push(name);
    }

    /// All names but the first `count` are not bound any more.
    pub fn unbind_to(&mut self, count: usize) {
        self.bound.truncate(count);
        while self.scopes.last().is_some_and(|(names, _)| *names > count) {
            self.scopes.pop();
        }
    }

    /// The scope here.
    pub fn current(&mut self) -> Option<&'static DebugScope> {
        let (known, outer) = self.scopes.last().map_or((0, None), |(names, scope)| (*names, Some(*scope)));
        if known < self.bound.len() {
            // Code lives as long as the process.
            let scope = DebugScope { outer, names: self.bound[known..].to_vec() };
            self.scopes.push((self.bound.len(), Box::leak(Box::new(scope))));
        }
        self.scopes.last().map(|(_, scope)| *scope)
    }
}
