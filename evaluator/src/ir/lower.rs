//! Tree to code: finds what every name refers to, gives every variable a slot, and drops what evaluation does not need.
//!
//! A `let` that is certain to be evaluated at most once in an activation of a function (it stands in strict position of
//! its body) keeps its variables in the slots of that activation; only one below a delayed expression gets an environment
//! of its own.

pub use super::mark::Marks;
use bstr::{BStr, ByteSlice};
use rustc_hash::FxHashMap;

use super::{
    mark::{DebugName, Mark, ScopeTracker, What},
    *,
};
use crate::{
    builtins::Globals,
    canonical_path,
    position::Source,
    syntax::ast::{self, AttrName, AttrSet, AttrValue, BinaryOp, Name, Part},
    value::{Heap, View},
};

/// What lowering needs to know about the file.
pub struct Context<'c> {
    /// The text's place among all sources.
    pub source: &'c Source,
    /// What relative paths are relative to: absolute and canonical.
    pub base: &'c BStr,
    /// What `~` stands for, if anything.
    pub home: Option<&'c BStr>,
    /// The names that are always there.
    pub globals: &'c Globals,
    /// Further names, bound by the slots of the outermost environment: `scopedImport`, the repl.
    pub scope: &'c [Symbol],
    /// Whose marks the code is to have.
    pub marks: Marks,
}

/// A file that parses and still cannot be evaluated.
#[derive(Debug)]
pub enum LowerError {
    /// No scope binds the name.
    UndefinedVariable {
        /// The name.
        name: Symbol,
        /// Where it stands.
        pos: PosId,
        /// Names like it that are bound there.
        near: Vec<String>,
    },
    /// A variable of a scope too many scopes further out.
    TooDeep {
        /// Where it stands.
        pos: PosId,
    },
    /// `~/x` where no home folder is known.
    NoHome {
        /// Where it stands.
        pos: PosId,
    },
}

/// A file's code: to be evaluated in an environment of `size` slots, of which the first are the given scope's.
pub struct Code {
    /// The expression.
    pub root: &'static Expr,
    /// The slots that it needs.
    pub size: u32,
    /// Whether the same text always gives the same code.
    pub cacheable: bool,
    /// The constants that depend on more than the text, by the addresses of their values.
    pub origins: FxHashMap<usize, Origin>,
}

/// What a constant was made from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A path literal.
    Path(Vec<u8>),
    /// The literal that an interpolated path begins with.
    PathPrefix(Vec<u8>),
    /// A name that is always in scope.
    Global(Symbol),
}

impl Context<'_> {
    /// A path literal made absolute and canonical; `None` for `~/x` without a home folder.
    pub fn absolute(&self, text: &BStr) -> Option<Vec<u8>> {
        if let Some(rest) = text.strip_prefix(b"~") {
            return Some(canonical_path(&[self.home?, rest].concat()));
        }
        if text.starts_with(b"/") {
            return Some(canonical_path(text));
        }
        Some(canonical_path(&[self.base.as_bytes(), b"/", text].concat()))
    }

    /// The same for what an interpolated path begins with: a final slash, which separates it from what follows, stays.
    pub fn absolute_prefix(&self, text: &BStr) -> Option<Vec<u8>> {
        let mut prefix = self.absolute(text)?;
        if text.ends_with(b"/") && prefix != b"/" {
            prefix.push(b'/');
        }
        Some(prefix)
    }
}

/// Lowers a file.
pub fn lower(tree: &ast::Ast<'_>, context: &Context<'_>, heap: &mut Heap) -> Result<Code, LowerError> {
    let names: Vec<Symbol> = tree.names.iter().map(|name| Symbol::intern(name)).collect();
    let implied = tree.names.iter().zip(&names).enumerate().filter(|(_, (text, _))| text.starts_with(b"__"));
    let implied = implied.map(|(index, (_, &symbol))| (symbol, Name(index as u32))).collect();
    let mut lowerer = Lowerer {
        implied,
        cacheable: context.scope.is_empty(),
        origins: FxHashMap::default(),
        context,
        heap,
        innermost: vec![NONE; names.len()],
        bindings: Vec::new(),
        names,
        withs: Vec::new(),
        tracker: (context.marks == Marks::Debugger).then(ScopeTracker::default),
        frames: vec![Frame { next: 0, size: 0 }],
    };
    lowerer.claim(context.scope.len());
    let root = lowerer.expr(tree.root, Position::Strict)?;
    let start = lowerer.at(0);
    let root = lowerer.marked(root, What::File, start);
    let size = lowerer.frames[0].size;
    let Lowerer { heap, cacheable, origins, .. } = lowerer;
    Ok(Code { root: heap.object(root), size, cacheable, origins })
}

/// Whether an expression is evaluated at most once in the activation that the current frame stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Strict,
    Delayed,
}
use Position::{Delayed, Strict};

/// The slots of the environment that code under construction will run in.
struct Frame {
    next: u32,
    size: u32,
}

#[derive(Clone, Copy)]
struct Binding {
    frame: u32,
    slot: u32,
}

/// Says that a name is not bound.
const NONE: u32 = u32::MAX;

/// Where an operator and the texts of its operands begin.
#[derive(Clone, Copy)]
struct Operands {
    pos: PosId,
    left: PosId,
    right: PosId,
}

struct Lowerer<'c> {
    context: &'c Context<'c>,
    heap: &'c mut Heap,
    /// The file's names that begin with two underscores: those that operators imply are among them, if bound at all.
    implied: Vec<(Symbol, Name)>,
    /// The symbol of each name of the file.
    names: Vec<Symbol>,
    /// For each name of the file, the index of its innermost binding, or [`NONE`].
    innermost: Vec<u32>,
    /// All bindings in force, innermost last, each with the index of the one of the same name that it hides.
    bindings: Vec<(Binding, u32)>,
    /// The `with`s around, innermost last.
    withs: Vec<(Binding, PosId)>,
    /// What the debugger will want to know, if there is one.
    tracker: Option<ScopeTracker>,
    frames: Vec<Frame>,
    cacheable: bool,
    origins: FxHashMap<usize, Origin>,
}

type Result<T, E = LowerError> = std::result::Result<T, E>;

impl Lowerer<'_> {
    fn at(&self, pos: ast::Pos) -> PosId {
        self.context.source.at(pos)
    }

    /// Where Nix says that an expression is: nowhere for literals and the like.
    fn place(&self, expr: &ast::Expr<'_>) -> PosId {
        self.at(expr.pos())
    }

    fn symbol(&self, name: Name) -> Symbol {
        self.names[name.0 as usize]
    }

    fn frame(&self) -> u32 {
        self.frames.len() as u32 - 1
    }

    /// Reserves slots of the current frame.
    fn claim(&mut self, count: usize) -> u32 {
        let frame = self.frames.last_mut().expect("the outermost frame is never popped");
        let base = frame.next;
        frame.next += count as u32;
        frame.size = frame.size.max(frame.next);
        base
    }

    fn bind(&mut self, name: Name, slot: u32) {
        let binding = Binding { frame: self.frame(), slot };
        let symbol = self.symbol(name);
        if let Some(tracker) = &mut self.tracker {
            tracker.bind(DebugName { name: symbol, frame: binding.frame, slot });
        }
        let hidden = std::mem::replace(&mut self.innermost[name.0 as usize], self.bindings.len() as u32);
        self.bindings.push((binding, hidden));
    }

    /// Ends all bindings but the first `count`, which were made before the others; `names` are theirs.
    fn unbind_to(&mut self, count: usize, names: impl Iterator<Item = Name>) {
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

    /// What is bound from now on is a level of its own to the debugger.
    fn new_level(&mut self) {
        if let Some(tracker) = &mut self.tracker {
            tracker.current();
        }
    }

    /// An expression as the debugger stops at it.
    fn marked(&mut self, body: Expr, what: What, pos: PosId) -> Expr {
        let frame = self.frame();
        let is_wanted = match self.context.marks {
            Marks::None => false,
            Marks::Calls => what == What::Call,
            Marks::Debugger | Marks::Profiler => true,
        };
        if !is_wanted {
            return body;
        }
        let scope = self.tracker.as_mut().and_then(ScopeTracker::current);
        let withs: Vec<WithScope> = self
            .withs
            .iter()
            .rev()
            .map(|(binding, pos)| WithScope { depth: frame - binding.frame, slot: binding.slot, pos: *pos })
            .collect();
        let withs = self.heap.slice(&withs);
        Expr::Marked(Box::leak(Box::new(Mark { what, pos, body, scope, frame, withs })))
    }

    fn variable(&self, binding: Binding, pos: PosId) -> Result<Expr> {
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

    fn lookup_lexical(&self, symbol: Symbol, name: Option<Name>) -> Option<Binding> {
        let bound = name.map_or(NONE, |name| self.innermost[name.0 as usize]);
        if let Some((binding, _)) = self.bindings.get(bound as usize) {
            return Some(*binding);
        }
        let slot = self.context.scope.iter().rposition(|&scoped| scoped == symbol);
        slot.map(|slot| Binding { frame: 0, slot: slot as u32 })
    }

    /// The names in scope that are nearly the same.
    #[cold]
    fn near(&self, symbol: Symbol) -> Vec<String> {
        let bound = self.names.iter().zip(&self.innermost).filter(|(_, innermost)| **innermost != NONE);
        let lexical = bound.map(|(name, _)| *name).chain(self.context.scope.iter().copied());
        let mut all: Vec<Symbol> = lexical.chain(self.context.globals.names()).collect();
        all.sort_unstable();
        all.dedup();
        crate::suggest::closest(symbol.text(), all.iter().map(|name| name.text()))
    }

    fn name_variable(&mut self, name: Name, pos: PosId) -> Result<Expr> {
        self.resolve(self.symbol(name), Some(name), pos)
    }

    /// A name that the parser did not see, such as `__sub`.
    fn implied_variable(&mut self, symbol: Symbol, pos: PosId) -> Result<Expr> {
        let name = self.implied_name(symbol);
        self.resolve(symbol, name, pos)
    }

    fn implied_name(&self, symbol: Symbol) -> Option<Name> {
        self.implied.iter().find(|(known, _)| *known == symbol).map(|(_, name)| *name)
    }

    fn resolve(&mut self, symbol: Symbol, name: Option<Name>, pos: PosId) -> Result<Expr> {
        if let Some(binding) = self.lookup_lexical(symbol, name) {
            return self.variable(binding, pos);
        }
        if let Some(value) = self.context.globals.get(symbol) {
            match value.view() {
                View::Null | View::Bool(_) => {}
                // Cannot be told from a literal.
                View::Int(_) => self.cacheable = false,
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
        Ok(Expr::With(self.heap.object(WithVariable { name: symbol, pos, scopes })))
    }

    /// Whether the operator that Nix calls by this name still means the builtin.
    fn is_shadowed(&self, symbol: Symbol) -> bool {
        self.lookup_lexical(symbol, self.implied_name(symbol)).is_some()
    }

    fn expr(&mut self, expr: &ast::Expr<'_>, position: Position) -> Result<Expr> {
        use ast::Expr as E;
        let lowered = self.unmarked(expr, position)?;
        let what = match expr {
            _ if self.context.marks == Marks::None => return Ok(lowered),
            E::Call { .. } if self.context.marks == Marks::Profiler => match self.called_builtin(lowered) {
                Some(name) => What::Builtin(name),
                None => return Ok(lowered),
            },
            _ if self.context.marks == Marks::Profiler => return Ok(lowered),
            _ if self.context.marks == Marks::Calls => match expr {
                E::Call { .. } | E::SearchPath { .. } | E::Negate { .. } => What::Call,
                E::Binary { op, .. } if op.is_function() => What::Call,
                _ => return Ok(lowered),
            },
            E::Call { .. } => What::Call,
            E::Select { .. }
            | E::HasAttr { .. }
            | E::Interpolation { .. }
            | E::If { .. }
            | E::Assert { .. }
            | E::Not { .. }
            | E::Negate { .. }
            | E::Binary { .. } => What::Expression,
            _ => return Ok(lowered),
        };
        let pos = self.place(expr);
        Ok(self.marked(lowered, what, pos))
    }

    /// The builtin that a call is sure to call.
    fn called_builtin(&self, call: Expr) -> Option<&'static str> {
        let Expr::Call(call) = call else { return None };
        let function = match call.function {
            Expr::Value(value) => value,
            Expr::Select(Select { subject: Expr::Value(subject), name, .. }) => {
                subject.as_attrs()?.get(*name)?
            }
            _ => return None,
        };
        match function.peek().view() {
            View::Builtin(id) => Some(id.builtin().name),
            _ => None,
        }
    }

    fn unmarked(&mut self, expr: &ast::Expr<'_>, position: Position) -> Result<Expr> {
        use ast::Expr as E;
        Ok(match *expr {
            E::Int(value) => Expr::Value(Value::leaked_int(value)),
            E::Float(value) => Expr::Value(self.heap.float(value)),
            E::String(text) => Expr::Value(self.heap.string(text)),
            E::Interpolation { pos, parts } => Expr::Interpolation(self.interpolation(pos, parts, position)?),
            E::Path { pos, text } => Expr::Value(self.path(text, pos)?),
            E::PathInterpolation { pos, parts } => self.path_interpolation(pos, parts, position)?,
            E::SearchPath { pos, text } => self.search_path(text, self.at(pos))?,
            E::Var { pos, name } => self.name_variable(name, self.at(pos))?,
            E::CurPos { pos } => Expr::Position(self.at(pos)),
            E::Select { pos, subject, path, default } => {
                self.select(pos, subject, path, default, position)?
            }
            E::HasAttr { pos, subject, path } => {
                let subject = self.expr(subject, position)?;
                let path = self.attr_path(path, position)?;
                let pos = self.at(pos);
                Expr::HasAttr(self.heap.object(HasAttr { subject, path, pos }))
            }
            E::Attrs(set) if set.recursive => self.rec_attrs(set, position)?,
            E::Attrs(set) => self.attrs(set, position)?,
            E::LegacyLet { pos, attrs } => {
                let subject = self.rec_attrs(attrs, position)?;
                let pos = self.at(pos);
                let name = crate::symbol::known().body;
                Expr::Select(self.heap.object(Select { subject, name, pos, name_pos: pos }))
            }
            E::List { elements: [], .. } => Expr::Value(Value::empty_list()),
            E::List { elements, .. } => {
                let elements = self.delayed_all(elements)?;
                Expr::List(self.heap.object(ListExpr { elements }))
            }
            E::Lambda(lambda) => self.lambda(lambda, None)?,
            E::Call { pos, function, arguments } => {
                let function = self.expr(function, position)?;
                let arguments = self.delayed_all(arguments)?;
                let pos = self.at(pos);
                Expr::Call(self.heap.object(Call { function, arguments, pos }))
            }
            E::Let { attrs, body, .. } => self.let_in(attrs, body, position)?,
            E::With { pos, scope, body } => self.with(self.at(pos), scope, body, position)?,
            E::If { pos, condition, then, otherwise } => {
                self.if_then_else(pos, condition, then, otherwise, position)?
            }
            E::Assert { pos, condition, body, condition_text } => {
                let condition = self.expr(condition, position)?;
                let body = self.expr(body, position)?;
                let pos = self.at(pos);
                let text: &'static str = condition_text.to_string().leak();
                Expr::Assert(self.heap.object(Assert { condition, body, pos, text }))
            }
            E::Not { operand, .. } => {
                let pos = self.place(operand);
                let operand = self.expr(operand, position)?;
                Expr::Not(self.heap.object(Unary { operand, pos }))
            }
            E::Negate { pos, operand } => self.negate(self.at(pos), operand, position)?,
            E::Binary { pos, left_start, right_start, op, left, right } => {
                let at =
                    Operands { pos: self.at(pos), left: self.at(left_start), right: self.at(right_start) };
                self.binary(at, op, left, right, position)?
            }
        })
    }

    fn delayed_all(&mut self, exprs: &[&ast::Expr<'_>]) -> Result<&'static [Expr]> {
        let lowered: Vec<Expr> = exprs.iter().map(|expr| self.expr(expr, Delayed)).collect::<Result<_>>()?;
        Ok(self.heap.slice(&lowered))
    }

    /// The value of a binding; functions learn the name.
    fn bound(&mut self, name: Symbol, expr: &ast::Expr<'_>) -> Result<Expr> {
        match expr {
            ast::Expr::Lambda(lambda) => self.lambda(lambda, Some(name)),
            _ => self.expr(expr, Delayed),
        }
    }

    fn interpolation(
        &mut self,
        pos: ast::Pos,
        parts: &[Part<'_>],
        position: Position,
    ) -> Result<&'static Interpolation> {
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            pieces.push(match part {
                Part::Text(text) => Piece { expr: Expr::Value(self.heap.string(text)), pos: self.at(pos) },
                Part::Expr { pos, expr } => Piece { expr: self.expr(expr, position)?, pos: self.at(*pos) },
            });
        }
        let parts = self.heap.slice_from(pieces);
        let pos = self.at(pos);
        Ok(self.heap.object(Interpolation { parts, pos }))
    }

    fn path(&mut self, text: &BStr, pos: ast::Pos) -> Result<Value> {
        let absolute = self.context.absolute(text).ok_or(LowerError::NoHome { pos: self.at(pos) })?;
        self.cacheable &= !text.starts_with(b"~");
        let value = self.heap.path(&absolute);
        self.origins.insert(value.address(), Origin::Path(text.to_vec()));
        Ok(value)
    }

    fn path_interpolation(&mut self, pos: ast::Pos, parts: &[Part<'_>], position: Position) -> Result<Expr> {
        let mut interpolation = self.interpolation(pos, parts, position)?;
        if let Some(Part::Text(text)) = parts.first() {
            let prefix =
                self.context.absolute_prefix(text).ok_or(LowerError::NoHome { pos: self.at(pos) })?;
            self.cacheable &= !text.starts_with(b"~");
            let value = self.heap.string(&prefix);
            self.origins.insert(value.address(), Origin::PathPrefix(text.to_vec()));
            let expr = Expr::Value(value);
            let mut pieces = vec![Piece { expr, pos: self.at(pos) }];
            pieces.extend(interpolation.parts[1..].iter().map(|piece| Piece { ..*piece }));
            let parts = self.heap.slice_from(pieces);
            interpolation = self.heap.object(Interpolation { parts, pos: self.at(pos) });
        }
        Ok(Expr::PathInterpolation(interpolation))
    }

    fn search_path(&mut self, text: &BStr, pos: PosId) -> Result<Expr> {
        let known = crate::symbol::known();
        let function = self.implied_variable(known.find_file, pos)?;
        let list = self.implied_variable(known.nix_path, pos)?;
        let text = Expr::Value(self.heap.string(text));
        let arguments = self.heap.slice(&[list, text]);
        Ok(Expr::Call(self.heap.object(Call { function, arguments, pos })))
    }

    fn attr_path(&mut self, path: &[AttrName<'_>], position: Position) -> Result<&'static [PathStep]> {
        let mut steps = Vec::with_capacity(path.len());
        for step in path {
            steps.push(match step {
                AttrName::Static { pos, name } => {
                    PathStep { name: StepName::Static(self.symbol(*name)), pos: self.at(*pos) }
                }
                AttrName::Dynamic { expr, .. } => {
                    let pos = self.place(expr);
                    PathStep { name: StepName::Dynamic(self.expr(expr, position)?), pos }
                }
            });
        }
        Ok(self.heap.slice(&steps))
    }

    fn select(
        &mut self,
        pos: ast::Pos,
        subject: &ast::Expr<'_>,
        path: &[AttrName<'_>],
        default: Option<&ast::Expr<'_>>,
        position: Position,
    ) -> Result<Expr> {
        let subject = self.expr(subject, position)?;
        let path = self.attr_path(path, position)?;
        let pos = self.at(pos);
        let default = default.map(|default| self.expr(default, position)).transpose()?;
        if let ([PathStep { name: StepName::Static(name), pos: name_pos }], None) = (path, default) {
            let select = Select { subject, name: *name, pos, name_pos: *name_pos };
            return Ok(Expr::Select(self.heap.object(select)));
        }
        Ok(Expr::SelectPath(self.heap.object(SelectPath { subject, path, default, pos })))
    }

    fn dynamic_attrs(
        &mut self,
        attrs: &[ast::DynamicAttr<'_>],
        position: Position,
    ) -> Result<&'static [DynamicAttr]> {
        let mut dynamic = Vec::with_capacity(attrs.len());
        for attr in attrs {
            let name = self.expr(attr.name, position)?;
            let value = self.expr(attr.value, Delayed)?;
            dynamic.push(DynamicAttr { name, value, pos: self.at(attr.pos) });
        }
        Ok(self.heap.slice_from(dynamic))
    }

    /// The indices of a set's attributes in the order of their symbols, and its keys.
    fn keys(&mut self, set: &AttrSet<'_>) -> (Vec<usize>, &'static Keys) {
        let mut order: Vec<usize> = (0..set.attrs.len()).collect();
        order.sort_unstable_by_key(|&index| self.symbol(set.attrs[index].name));
        let entries: Vec<(Symbol, PosId)> = order
            .iter()
            .map(|&index| (self.symbol(set.attrs[index].name), self.at(set.attrs[index].pos)))
            .collect();
        let keys = self.heap.keys(entries.into_iter());
        (order, keys)
    }

    /// `{ }`. The sources of `inherit (e)` are shared: unless they are variables, they get slots like those of a `let`.
    fn attrs(&mut self, set: &AttrSet<'_>, position: Position) -> Result<Expr> {
        let needs_slots = set.inherit_from.iter().any(|from| !matches!(from, ast::Expr::Var { .. }));
        if !needs_slots {
            return self.plain_attrs(
                set,
                &|lowerer, from| lowerer.expr(set.inherit_from[from], Delayed),
                position,
            );
        }
        self.open(position, |lowerer, position| {
            let bindings = lowerer.delayed_all(set.inherit_from)?;
            let base = lowerer.claim(bindings.len());
            let body =
                lowerer.plain_attrs(set, &|_, from| Ok(source_variable(base + from as u32)), position)?;
            Ok((base, bindings, body))
        })
    }

    /// Slots for bindings: in the current frame in strict position, else in a new one.
    fn open(
        &mut self,
        position: Position,
        build: impl FnOnce(&mut Self, Position) -> Result<(u32, &'static [Expr], Expr)>,
    ) -> Result<Expr> {
        if position == Strict {
            let (base, bindings, body) = build(self, Strict)?;
            return Ok(Expr::Let(self.heap.object(Let { base, bindings, size: 0, body })));
        }
        self.frames.push(Frame { next: 0, size: 0 });
        let built = build(self, Strict);
        let size = self.frames.pop().map_or(0, |frame| frame.size);
        let (base, bindings, body) = built?;
        Ok(Expr::LetEnv(self.heap.object(Let { base, bindings, size, body })))
    }

    fn plain_attrs(
        &mut self,
        set: &AttrSet<'_>,
        source: &dyn Fn(&mut Self, usize) -> Result<Expr>,
        position: Position,
    ) -> Result<Expr> {
        let (order, keys) = self.keys(set);
        let mut values = vec![Expr::Value(Value::NULL); order.len()];
        for (place, &index) in order.iter().enumerate() {
            let attr = &set.attrs[index];
            let name = self.symbol(attr.name);
            values[place] = match attr.value {
                AttrValue::Plain(expr) => self.bound(name, expr)?,
                AttrValue::Inherit(expr) => self.expr(expr, Delayed)?,
                AttrValue::InheritFrom { from } => {
                    let subject = source(self, from as usize)?;
                    self.inherited(subject, name, attr.pos)
                }
            };
        }
        let dynamic = self.dynamic_attrs(set.dynamic, position)?;
        let values = self.heap.slice(&values);
        let pos = self.at(set.pos);
        Ok(Expr::Attrs(self.heap.object(AttrsExpr { keys, values, dynamic, pos })))
    }

    fn inherited(&mut self, subject: Expr, name: Symbol, pos: ast::Pos) -> Expr {
        let pos = self.at(pos);
        Expr::Select(self.heap.object(Select { subject, name, pos, name_pos: pos }))
    }

    /// The bindings of a recursive scope: `order` gives the attributes by slot; sources of `inherit (e)` follow.
    fn recursive_bindings(&mut self, set: &AttrSet<'_>, order: &[usize]) -> Result<(u32, &'static [Expr])> {
        let base = self.claim(order.len() + set.inherit_from.len());
        let mut values = vec![Expr::Value(Value::NULL); order.len()];
        // `inherit x` means the `x` around the scope: resolved before the scope's names are bound.
        for (place, &index) in order.iter().enumerate() {
            if let AttrValue::Inherit(expr) = set.attrs[index].value {
                values[place] = self.expr(expr, Delayed)?;
            }
        }
        self.new_level();
        for (place, &index) in order.iter().enumerate() {
            self.bind(set.attrs[index].name, base + place as u32);
        }
        let first_source = base + order.len() as u32;
        for (place, &index) in order.iter().enumerate() {
            let attr = &set.attrs[index];
            let name = self.symbol(attr.name);
            match attr.value {
                AttrValue::Plain(expr) => values[place] = self.bound(name, expr)?,
                AttrValue::InheritFrom { from } => {
                    values[place] = self.inherited(source_variable(first_source + from), name, attr.pos);
                }
                AttrValue::Inherit(_) => {}
            }
        }
        // The sources come after the attributes, in the order of their slots.
        for from in set.inherit_from {
            values.push(self.expr(from, Delayed)?);
        }
        Ok((base, self.heap.slice(&values)))
    }

    fn rec_attrs(&mut self, set: &AttrSet<'_>, position: Position) -> Result<Expr> {
        self.open(position, |lowerer, position| {
            let (order, keys) = lowerer.keys(set);
            let outer = lowerer.bindings.len();
            let (base, bindings) = lowerer.recursive_bindings(set, &order)?;
            let dynamic = lowerer.dynamic_attrs(set.dynamic, position)?;
            lowerer.unbind_to(outer, set.attrs.iter().map(|attr| attr.name));
            let overrides = keys.find(crate::symbol::known().overrides).map(|index| index as u32);
            let pos = lowerer.at(set.pos);
            let slots: Vec<u32> = (base..).take(order.len()).collect();
            let slots = lowerer.heap.slice(&slots);
            let body = lowerer.heap.object(RecAttrs { keys, slots, dynamic, overrides, pos });
            Ok((base, bindings, Expr::RecAttrs(body)))
        })
    }

    fn let_in(&mut self, set: &AttrSet<'_>, body: &ast::Expr<'_>, position: Position) -> Result<Expr> {
        self.open(position, |lowerer, position| {
            let order: Vec<usize> = (0..set.attrs.len()).collect();
            let outer = lowerer.bindings.len();
            let (base, bindings) = lowerer.recursive_bindings(set, &order)?;
            let body = lowerer.expr(body, position)?;
            lowerer.unbind_to(outer, set.attrs.iter().map(|attr| attr.name));
            Ok((base, bindings, body))
        })
    }

    fn with(
        &mut self,
        pos: PosId,
        scope: &ast::Expr<'_>,
        body: &ast::Expr<'_>,
        position: Position,
    ) -> Result<Expr> {
        self.open(position, |lowerer, position| {
            let bindings = lowerer.delayed_all(&[scope])?;
            let base = lowerer.claim(1);
            lowerer.withs.push((Binding { frame: lowerer.frame(), slot: base }, pos));
            let body = lowerer.expr(body, position);
            lowerer.withs.pop();
            Ok((base, bindings, body?))
        })
    }

    fn if_then_else(
        &mut self,
        pos: ast::Pos,
        condition: &ast::Expr<'_>,
        then: &ast::Expr<'_>,
        otherwise: &ast::Expr<'_>,
        position: Position,
    ) -> Result<Expr> {
        let condition = self.expr(condition, position)?;
        let start = self.next_slot();
        let then = self.expr(then, position)?;
        let after_then = self.next_slot();
        // Only one branch is taken, so both may use the same slots.
        self.set_next_slot(start);
        let otherwise = self.expr(otherwise, position)?;
        let after = after_then.max(self.next_slot());
        self.set_next_slot(after);
        let pos = self.at(pos);
        Ok(Expr::If(self.heap.object(If { condition, then, otherwise, pos })))
    }

    fn next_slot(&self) -> u32 {
        self.frames.last().map_or(0, |frame| frame.next)
    }

    fn set_next_slot(&mut self, next: u32) {
        if let Some(frame) = self.frames.last_mut() {
            frame.next = next;
        }
    }

    fn lambda(&mut self, lambda: &ast::Lambda<'_>, name: Option<Symbol>) -> Result<Expr> {
        let mut chain = vec![lambda];
        while let (None, ast::Expr::Lambda(inner)) =
            (&chain[chain.len() - 1].pattern, chain[chain.len() - 1].body)
        {
            chain.push(inner);
        }
        let outer = self.bindings.len();
        self.frames.push(Frame { next: 0, size: 0 });
        let built = self.parameters_and_body(&chain, name);
        let size = self.frames.pop().map_or(0, |frame| frame.size);
        self.unbind_to(outer, chain.iter().flat_map(|lambda| parameter_names(lambda)));
        let (parameters, body) = built?;
        let parameters = self.heap.slice_from(parameters);
        Ok(Expr::Lambda(self.heap.object(Lambda { parameters, size, body, name })))
    }

    fn parameters_and_body(
        &mut self,
        chain: &[&ast::Lambda<'_>],
        name: Option<Symbol>,
    ) -> Result<(Vec<Parameter>, Expr)> {
        self.new_level();
        self.claim(chain.len());
        let mut base = 0;
        for (slot, lambda) in chain.iter().enumerate() {
            if let Some(name) = lambda.argument {
                self.bind(name, slot as u32);
            }
            if let Some(pattern) = &lambda.pattern {
                base = self.claim(pattern.formals.len());
                for (index, formal) in pattern.formals.iter().enumerate() {
                    self.bind(formal.name, base + index as u32);
                }
            }
        }
        let mut parameters = Vec::with_capacity(chain.len());
        for lambda in chain {
            let pattern = lambda.pattern.as_ref().map(|pattern| self.pattern(pattern, base)).transpose()?;
            let name = lambda.argument.map(|name| self.symbol(name));
            parameters.push(Parameter { pos: self.at(lambda.pos), name, pattern });
        }
        let body = match chain[chain.len() - 1].body {
            ast::Expr::Lambda(inner) => self.lambda(inner, name)?,
            body => self.expr(body, Strict)?,
        };
        let pos = self.at(chain[chain.len() - 1].pos);
        Ok((parameters, self.marked(body, What::Function(name), pos)))
    }

    fn pattern(&mut self, pattern: &ast::Pattern<'_>, base: u32) -> Result<Pattern> {
        let mut formals = Vec::with_capacity(pattern.formals.len());
        for formal in pattern.formals {
            let default = formal.default.map(|default| self.expr(default, Delayed)).transpose()?;
            formals.push(Formal { name: self.symbol(formal.name), pos: self.at(formal.pos), default });
        }
        Ok(Pattern { formals: self.heap.slice_from(formals), base, ellipsis: pattern.ellipsis })
    }

    fn negate(&mut self, pos: PosId, operand: &ast::Expr<'_>, position: Position) -> Result<Expr> {
        let known = crate::symbol::known();
        let zero = Expr::Value(Value::leaked_int(0));
        if self.is_shadowed(known.sub) {
            let operand = self.expr(operand, Delayed)?;
            return self.call_operator(known.sub, [zero, operand], pos);
        }
        let right = self.expr(operand, position)?;
        Ok(Expr::Subtract(self.heap.object(Binary { left: zero, right, pos, left_pos: pos, right_pos: pos })))
    }

    fn call_operator(&mut self, operator: Symbol, operands: [Expr; 2], pos: PosId) -> Result<Expr> {
        let function = self.implied_variable(operator, pos)?;
        let arguments = self.heap.slice(&operands);
        Ok(Expr::Call(self.heap.object(Call { function, arguments, pos })))
    }

    fn binary(
        &mut self,
        at: Operands,
        op: BinaryOp,
        left: &ast::Expr<'_>,
        right: &ast::Expr<'_>,
        position: Position,
    ) -> Result<Expr> {
        use BinaryOp as O;
        let pos = at.pos;
        let known = crate::symbol::known();
        match op {
            O::Less => return self.comparison(pos, left, right, false, position),
            O::Greater => return self.comparison(pos, right, left, false, position),
            O::LessEqual => return self.comparison(pos, right, left, true, position),
            O::GreaterEqual => return self.comparison(pos, left, right, true, position),
            _ => {}
        }
        let builtin = match op {
            O::Subtract => Some(known.sub),
            O::Multiply => Some(known.mul),
            O::Divide => Some(known.div),
            _ => None,
        };
        if let Some(operator) = builtin.filter(|&operator| self.is_shadowed(operator)) {
            let operands = [self.expr(left, Delayed)?, self.expr(right, Delayed)?];
            return self.call_operator(operator, operands, pos);
        }
        let (left_pos, right_pos) = match op {
            O::Add => (at.left, at.right),
            _ => (self.place(left), self.place(right)),
        };
        let left = self.expr(left, position)?;
        let right = self.expr(right, position)?;
        let binary = self.heap.object(Binary { left, right, pos, left_pos, right_pos });
        Ok(match op {
            O::Equal => Expr::Equal(binary),
            O::NotEqual => Expr::NotEqual(binary),
            O::And => Expr::And(binary),
            O::Or => Expr::Or(binary),
            O::Implies => Expr::Implies(binary),
            O::Update => Expr::Update(binary),
            O::Concat => Expr::Concat(binary),
            O::Add => Expr::Add(binary),
            O::Subtract => Expr::Subtract(binary),
            O::Multiply => Expr::Multiply(binary),
            O::Divide => Expr::Divide(binary),
            O::Less | O::Greater | O::LessEqual | O::GreaterEqual => unreachable!("returned above"),
        })
    }

    fn comparison(
        &mut self,
        pos: PosId,
        left: &ast::Expr<'_>,
        right: &ast::Expr<'_>,
        negate: bool,
        position: Position,
    ) -> Result<Expr> {
        let operator = crate::symbol::known().less_than;
        if self.is_shadowed(operator) {
            let operands = [self.expr(left, Delayed)?, self.expr(right, Delayed)?];
            let operand = self.call_operator(operator, operands, pos)?;
            return Ok(match negate {
                true => Expr::Not(self.heap.object(Unary { operand, pos })),
                false => operand,
            });
        }
        let left = self.expr(left, position)?;
        let right = self.expr(right, position)?;
        Ok(Expr::Less(self.heap.object(Comparison { left, right, pos, negate })))
    }
}

/// The source of an `inherit (e)`, which has no place of its own.
fn source_variable(slot: u32) -> Expr {
    Expr::Local(Variable { slot, pos: PosId::NONE })
}

/// The names that an argument binds.
fn parameter_names<'a>(lambda: &ast::Lambda<'a>) -> impl Iterator<Item = Name> + use<'a> {
    let formals = lambda.pattern.map_or(&[][..], |pattern| pattern.formals);
    lambda.argument.into_iter().chain(formals.iter().map(|formal| formal.name))
}
