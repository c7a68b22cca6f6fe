//! Tree to code: finds what every name refers to, gives every variable a slot, and drops what evaluation does not need.
//!
//! A `let` that is certain to be evaluated at most once in an activation of a function (it stands in strict position of
//! its body) keeps its variables in the slots of that activation; only one below a delayed expression gets an environment
//! of its own.

mod functions;
mod names;
mod operators;
mod sets;

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
    /// All names in the text, in the order in which they first occur there: what is told or evaluated in the order of symbols
    /// depends on it, even where the code does without the names.
    pub names: Vec<Symbol>,
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
        absolute(text, self.base, self.home)
    }

    /// The same for what an interpolated path begins with.
    pub fn absolute_prefix(&self, text: &BStr) -> Option<Vec<u8>> {
        absolute_prefix(text, self.base, self.home)
    }
}

/// A path literal made absolute and canonical; `None` for `~/x` without a home folder.
pub(super) fn absolute(text: &BStr, base: &BStr, home: Option<&BStr>) -> Option<Vec<u8>> {
    if let Some(rest) = text.strip_prefix(b"~") {
        return Some(canonical_path(&[home?, rest].concat()));
    }
    if text.starts_with(b"/") {
        return Some(canonical_path(text));
    }
    Some(canonical_path(&[base.as_bytes(), b"/", text].concat()))
}

/// The same for what an interpolated path begins with: a final slash, which separates it from what follows, stays.
pub(super) fn absolute_prefix(text: &BStr, base: &BStr, home: Option<&BStr>) -> Option<Vec<u8>> {
    let mut prefix = absolute(text, base, home)?;
    if text.ends_with(b"/") && prefix != b"/" {
        prefix.push(b'/');
    }
    Some(prefix)
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
    let Lowerer { heap, cacheable, origins, names, .. } = lowerer;
    Ok(Code { root: heap.object(root), size, names, cacheable, origins })
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
                Expr::Select(self.heap.object(Select {
                    subject,
                    name,
                    pos,
                    name_pos: pos,
                    hint: Hint::default(),
                }))
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
                let first = self.next_slot();
                let condition = self.expr(condition, position)?;
                let bound = if position == Strict { (first, self.next_slot()) } else { (0, 0) };
                let body = self.expr(body, position)?;
                let pos = self.at(pos);
                let text: &'static [u8] = condition_text.to_vec().leak();
                Expr::Assert(self.heap.object(Assert { condition, body, pos, text, bound }))
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
}

/// The names that an argument binds.
fn parameter_names<'a>(lambda: &ast::Lambda<'a>) -> impl Iterator<Item = Name> + use<'a> {
    let formals = lambda.pattern.map_or(&[][..], |pattern| pattern.formals);
    lambda.argument.into_iter().chain(formals.iter().map(|formal| formal.name))
}
