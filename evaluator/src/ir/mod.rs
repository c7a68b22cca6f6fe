//! The code that is evaluated: a compact tree with variables resolved to slots and names interned.
//!
//! A node is two words. Composite nodes point to a struct that holds its children inline, so that evaluating a node
//! touches one further cache line. Code lives as long as the process.

pub mod archive;
pub mod lower;
pub mod mark;
mod needs;

use crate::{
    position::PosId,
    symbol::Symbol,
    value::{Heap, Hint, Keys, Value},
};

/// An expression. Evaluated in an environment whose shape `lower` knows.
#[derive(Clone, Copy)]
pub enum Expr {
    /// A constant: number, string, path, builtin, empty list.
    Value(Value),
    /// A variable of the current environment.
    Local(Variable),
    /// A variable of the environment around it.
    Outer(Variable),
    /// A variable further out.
    Distant {
        /// How many environments out.
        depth: u16,
        /// The slot there.
        slot: u32,
        /// Where the variable stands.
        pos: PosId,
    },
    /// A variable that no scope binds, but a `with` may.
    With(&'static WithVariable),
    /// `a.b`
    Select(&'static Select),
    /// `a.b.c or d`, or with dynamic names
    SelectPath(&'static SelectPath),
    /// `a ? b.c`
    HasAttr(&'static HasAttr),
    /// `{ }` whose values do not see each other
    Attrs(&'static AttrsExpr),
    /// `rec { }`: the values are bound in the environment already
    RecAttrs(&'static RecAttrs),
    /// `[ ]`
    List(&'static ListExpr),
    /// A function.
    Lambda(&'static Lambda),
    /// `f a b`
    Call(&'static Call),
    /// What `map` and its like delay: a call whose position is that of whoever needs the value.
    Apply(&'static Call),
    /// `let`, in slots of the current environment
    Let(&'static Let),
    /// `let`, in a new environment
    LetEnv(&'static Let),
    /// `if`
    If(&'static If),
    /// `assert`
    Assert(&'static Assert),
    /// `!a`
    Not(&'static Unary),
    /// `a && b`
    And(&'static Binary),
    /// `a || b`
    Or(&'static Binary),
    /// `a -> b`
    Implies(&'static Binary),
    /// `a == b`
    Equal(&'static Binary),
    /// `a != b`
    NotEqual(&'static Binary),
    /// `a // b`
    Update(&'static Binary),
    /// `a ++ b`
    Concat(&'static Binary),
    /// `a + b`
    Add(&'static Binary),
    /// `a - b`, where `__sub` is the builtin
    Subtract(&'static Binary),
    /// `a * b`
    Multiply(&'static Binary),
    /// `a / b`
    Divide(&'static Binary),
    /// `a < b`
    Less(&'static Comparison),
    /// `"a${b}"`
    Interpolation(&'static Interpolation),
    /// `./a/${b}`
    PathInterpolation(&'static Interpolation),
    /// `__curPos`
    Position(PosId),
    /// An expression that the debugger or the profiler knows of; only there if one was asked for.
    Marked(&'static mark::Mark),
    /// An expression of an archive that nobody has needed yet. Only where evaluation is delayed, and never what
    /// needs no thunk.
    Unread(&'static archive::Unread),
}

/// A variable in a slot of a known environment.
#[derive(Clone, Copy)]
pub struct Variable {
    /// The slot.
    pub slot: u32,
    /// Where the variable stands.
    pub pos: PosId,
}

const _: () = assert!(size_of::<Expr>() == 16, "a node is two words");

/// A variable that a `with` may bind.
pub struct WithVariable {
    /// Its name.
    pub name: Symbol,
    /// Where it stands.
    pub pos: PosId,
    /// The scopes, innermost first: how many environments out, and the slot.
    pub scopes: &'static [WithScope],
    /// Where the last of them that was looked into had it.
    pub hint: Hint,
}

/// Where the set of a `with` is kept.
#[derive(Clone, Copy)]
pub struct WithScope {
    /// How many environments out.
    pub depth: u32,
    /// The slot there.
    pub slot: u32,
    /// Where the `with` stands.
    pub pos: PosId,
}

/// `a.b`
pub struct Select {
    /// `a`
    pub subject: Expr,
    /// `b`
    pub name: Symbol,
    /// The position of the whole.
    pub pos: PosId,
    /// Where `b` stands.
    pub name_pos: PosId,
    /// Where `a` had it last.
    pub hint: Hint,
}

/// One step of an attribute path.
pub struct PathStep {
    /// The name.
    pub name: StepName,
    /// Where it stands.
    pub pos: PosId,
    /// Where the set had it last.
    pub hint: Hint,
}

/// The name of a step.
#[derive(Clone, Copy)]
pub enum StepName {
    /// Known.
    Static(Symbol),
    /// To be evaluated.
    Dynamic(Expr),
}

/// `a.b.c or d`
pub struct SelectPath {
    /// `a`
    pub subject: Expr,
    /// `b.c`
    pub path: &'static [PathStep],
    /// `d`
    pub default: Option<Expr>,
    /// The position of the whole.
    pub pos: PosId,
}

/// `a ? b.c`
pub struct HasAttr {
    /// `a`
    pub subject: Expr,
    /// `b.c`
    pub path: &'static [PathStep],
    /// The position of the whole.
    pub pos: PosId,
}

/// `${name} = value;`
pub struct DynamicAttr {
    /// The name.
    pub name: Expr,
    /// The value.
    pub value: Expr,
    /// Where it stands.
    pub pos: PosId,
}

/// `{ a = x; ${b} = y; }`
pub struct AttrsExpr {
    /// The static names.
    pub keys: &'static Keys,
    /// Their values, in the order of the keys.
    pub values: &'static [Expr],
    /// The dynamic ones.
    pub dynamic: &'static [DynamicAttr],
    /// Where the set begins.
    pub pos: PosId,
}

/// The set of a `rec { }` whose values are slots of the current environment.
pub struct RecAttrs {
    /// The static names.
    pub keys: &'static Keys,
    /// The slot of each, in the order of the keys.
    pub slots: &'static [u32],
    /// The dynamic ones.
    pub dynamic: &'static [DynamicAttr],
    /// The index of `__overrides` in the keys.
    pub overrides: Option<u32>,
    /// Where the set begins.
    pub pos: PosId,
}

/// `[ a b ]`
pub struct ListExpr {
    /// `a b`; never empty
    pub elements: &'static [Expr],
}

/// A function of one or more arguments: `a: b: { c }: e` is one function of three, whose arguments share an environment.
///
/// Only the last may be a pattern, since matching has to happen when that argument is given.
pub struct Lambda {
    /// The arguments; never empty.
    pub parameters: &'static [Parameter],
    /// The slots that an activation needs.
    pub size: u32,
    /// The body.
    pub body: Expr,
    /// The name that the function is bound to.
    pub name: Option<Symbol>,
}

/// An argument. The argument with index `i` is kept in slot `i`.
pub struct Parameter {
    /// As Nix's `ExprLambda::pos`.
    pub pos: PosId,
    /// `x:` or `@x`
    pub name: Option<Symbol>,
    /// `{ a, b ? c }`
    pub pattern: Option<Pattern>,
    /// Where the body needs the argument, if it does so before anything else (see `needs`).
    pub needed_at: Option<PosId>,
}

impl Lambda {
    /// A function whose code has been lowered.
    pub(crate) fn new(
        mut parameters: Vec<Parameter>,
        size: u32,
        body: Expr,
        name: Option<Symbol>,
        heap: &mut Heap,
    ) -> &'static Lambda {
        needs::mark(&mut parameters, &body);
        Lambda::marked(parameters, size, body, name, heap)
    }

    /// The same where it is known already which arguments the body needs first.
    fn marked(
        parameters: Vec<Parameter>,
        size: u32,
        body: Expr,
        name: Option<Symbol>,
        heap: &mut Heap,
    ) -> &'static Lambda {
        let parameters = heap.slice_from(parameters);
        heap.object(Lambda { parameters, size, body, name })
    }
}

/// `{ a, b ? c, ... }`
pub struct Pattern {
    /// In the order of the source; kept in the slots from `base` on.
    pub formals: &'static [Formal],
    /// The slot of the first formal.
    pub base: u32,
    /// Whether more attributes may be given.
    pub ellipsis: bool,
}

/// An attribute of a pattern.
pub struct Formal {
    /// Its name.
    pub name: Symbol,
    /// Where it stands.
    pub pos: PosId,
    /// `? e`
    pub default: Option<Expr>,
    /// Where the argument had it last.
    pub hint: Hint,
}

/// `f a b`
pub struct Call {
    /// `f`
    pub function: Expr,
    /// `a b`; never empty
    pub arguments: &'static [Expr],
    /// Where the call stands.
    pub pos: PosId,
}

/// `let a = x; in e`, `with`, and sources of `inherit (x)`.
pub struct Let {
    /// The slot of the first binding.
    pub base: u32,
    /// The values of the bindings, all delayed, in the order of their slots.
    pub bindings: &'static [Expr],
    /// The slots of the new environment, for [`Expr::LetEnv`].
    pub size: u32,
    /// `e`
    pub body: Expr,
}

/// `if a then b else c`
pub struct If {
    /// `a`
    pub condition: Expr,
    /// `b`
    pub then: Expr,
    /// `c`
    pub otherwise: Expr,
    /// Where it stands.
    pub pos: PosId,
}

/// `assert a; e`
pub struct Assert {
    /// `a`
    pub condition: Expr,
    /// `e`
    pub body: Expr,
    /// Where it stands.
    pub pos: PosId,
    /// The condition as Nix prints it.
    pub text: &'static [u8],
    /// The first slot that the condition binds in its frame, and the first that it does not: an operand of a failed `==` is
    /// evaluated once more, and must find no variable bound that is not yet.
    pub bound: (u32, u32),
}

/// `! a`
pub struct Unary {
    /// `a`
    pub operand: Expr,
    /// Where the operator stands.
    pub pos: PosId,
}

/// `a + b`
pub struct Binary {
    /// `a`
    pub left: Expr,
    /// `b`
    pub right: Expr,
    /// Where the operator stands.
    pub pos: PosId,
    /// Where `a` is said to be in errors.
    pub left_pos: PosId,
    /// Where `b` is.
    pub right_pos: PosId,
}

/// `a < b`, and the others, which Nix makes of it.
pub struct Comparison {
    /// The left operand of `<`.
    pub left: Expr,
    /// The right one.
    pub right: Expr,
    /// Where the operator stands.
    pub pos: PosId,
    /// `a <= b` is `!(b < a)`, as in Nix.
    pub negate: bool,
}

/// A string or path in pieces.
pub struct Interpolation {
    /// The pieces.
    pub parts: &'static [Piece],
    /// Where the whole stands.
    pub pos: PosId,
}

/// A piece.
pub struct Piece {
    /// Text is a constant string.
    pub expr: Expr,
    /// Where it stands.
    pub pos: PosId,
}
