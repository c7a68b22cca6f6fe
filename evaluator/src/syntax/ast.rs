//! The tree that the parser makes: Nix's own abstract syntax, with attribute definitions already merged.
//!
//! The tree lives in one bump arena and borrows the source text. Names are numbers into a table of the file, so that the
//! lowering pass compares integers. What Nix's parser desugars in a way that a program can see (`-x` calls `__sub`, `<x>`
//! calls `__findFile`) stays visible here; the lowering pass, which knows the scopes, decides.

use bstr::BStr;

use super::CursedOr;

/// Byte offset into the source text. A file is at most 4 GiB.
pub type Pos = u32;

/// Stands for "no position", as Nix's `noPos`.
pub const NO_POS: Pos = u32::MAX;

/// An index into [`Ast::names`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Name(pub u32);

/// A parsed file.
pub struct Ast<'a> {
    /// The expression of the file.
    pub root: &'a Expr<'a>,
    /// The text of every identifier and static attribute name, each once.
    pub names: Vec<&'a BStr>,
    /// What Nix warns of while parsing, in the order of the source.
    pub warnings: Vec<CursedOr>,
    /// Literals that may be warned of, if the parser was asked for them.
    pub literals: Vec<Literal<'a>>,
}

/// A literal that some style forbids.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'a> {
    /// What it is.
    pub kind: LiteralKind,
    /// Where it begins.
    pub pos: Pos,
    /// Its text, up to the first interpolation.
    pub text: &'a BStr,
}

/// What a literal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LiteralKind {
    /// `http://example.org`
    Url,
    /// `/a`
    AbsolutePath,
    /// `~/a`
    HomePath,
    /// `a/b`
    ShortPath,
}

/// An expression. `pos` fields are what Nix's `getPos()` gives for the same expression, since traces print them.
#[derive(Clone, Copy, Debug)]
pub enum Expr<'a> {
    /// `1`
    Int(i64),
    /// `1.5`
    Float(f64),
    /// A string without interpolation, escapes resolved and indentation stripped; also a URL literal.
    String(&'a BStr),
    /// `"a${b}"`, indented or not; always a string.
    Interpolation { pos: Pos, parts: &'a [Part<'a>] },
    /// `./a`, `/a`, `~/a`: as written, before it is made absolute. `pos` is where it begins (Nix has none).
    Path { pos: Pos, text: &'a BStr },
    /// `./a/${b}/c`. The first part is a literal, as in [`Expr::Path`].
    PathInterpolation { pos: Pos, parts: &'a [Part<'a>] },
    /// `<nixpkgs/lib>`: the text between the brackets. Means `__findFile __nixPath "nixpkgs/lib"`, both looked up in scope.
    SearchPath { pos: Pos, text: &'a BStr },
    /// `x`
    Var { pos: Pos, name: Name },
    /// `__curPos`
    CurPos { pos: Pos },
    /// `a.b.c or d`. `default_pos` etc. are those of the default expression itself.
    Select { pos: Pos, subject: &'a Expr<'a>, path: &'a [AttrName<'a>], default: Option<&'a Expr<'a>> },
    /// `a ? b.c`
    HasAttr { pos: Pos, subject: &'a Expr<'a>, path: &'a [AttrName<'a>] },
    /// `{ ... }` and `rec { ... }`
    Attrs(&'a AttrSet<'a>),
    /// `let { ...; body = ...; }`: the attribute `body` of the recursive set.
    LegacyLet { pos: Pos, attrs: &'a AttrSet<'a> },
    /// `[ a b ]`
    List { pos: Pos, elements: &'a [&'a Expr<'a>] },
    /// `x: e`, `{ a, b ? c, ... }@x: e`
    Lambda(&'a Lambda<'a>),
    /// `f a b`: all arguments that are applied in one go (as Nix merges them). Pipes are calls with one argument.
    Call { pos: Pos, function: &'a Expr<'a>, arguments: &'a [&'a Expr<'a>] },
    /// `let ... in e`; the attributes are recursive and never dynamic. `pos` is [`NO_POS`], as Nix has it.
    Let { pos: Pos, attrs: &'a AttrSet<'a>, body: &'a Expr<'a> },
    /// `with a; e`
    With { pos: Pos, scope: &'a Expr<'a>, body: &'a Expr<'a> },
    /// `if a then b else c`
    If { pos: Pos, condition: &'a Expr<'a>, then: &'a Expr<'a>, otherwise: &'a Expr<'a> },
    /// `assert a; e`
    Assert { pos: Pos, condition: &'a Expr<'a>, body: &'a Expr<'a>, condition_text: &'a BStr },
    /// `!a`
    Not { pos: Pos, operand: &'a Expr<'a> },
    /// `-a`: means `__sub 0 a`.
    Negate { pos: Pos, operand: &'a Expr<'a> },
    /// `a + b`. `left_start` and `right_start` are where the operands' texts begin (parentheses included): Nix reports
    /// operands of `+` there, not at the operands' own positions.
    Binary {
        pos: Pos,
        left_start: Pos,
        right_start: Pos,
        op: BinaryOp,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
    },
}

/// The operators between two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`: means `__lessThan a b`.
    Less,
    /// `<=`: means `! (__lessThan b a)`.
    LessEqual,
    /// `>`: means `__lessThan b a`.
    Greater,
    /// `>=`: means `! (__lessThan a b)`.
    GreaterEqual,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `->`
    Implies,
    /// `//`
    Update,
    /// `++`
    Concat,
    /// `+`
    Add,
    /// `-`: means `__sub a b`.
    Subtract,
    /// `*`: means `__mul a b`.
    Multiply,
    /// `/`: means `__div a b`.
    Divide,
}

impl BinaryOp {
    /// Whether Nix takes it for the call of a builtin.
    pub fn is_function(self) -> bool {
        use BinaryOp::*;
        matches!(self, Less | LessEqual | Greater | GreaterEqual | Subtract | Multiply | Divide)
    }
}

/// A piece of an interpolated string or path.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Literal text.
    Text(&'a BStr),
    /// `${e}`, with the position that Nix records for the piece.
    Expr { pos: Pos, expr: &'a Expr<'a> },
}

/// One step of an attribute path.
#[derive(Clone, Copy, Debug)]
pub enum AttrName<'a> {
    /// `a` or `"a"` (also `${"a"}`, which Nix makes static).
    Static { pos: Pos, name: Name },
    /// `${e}` or `"a${e}"`; the expression gives the name.
    Dynamic { pos: Pos, expr: &'a Expr<'a> },
}

/// An attribute set or the bindings of a `let`, after `a.b = x; a.c = y;` were merged and duplicates refused.
#[derive(Clone, Copy, Debug)]
pub struct AttrSet<'a> {
    /// Where the set begins, as Nix's `ExprAttrs::pos`.
    pub pos: Pos,
    /// `rec { }`, or the bindings of a `let`.
    pub recursive: bool,
    /// Static attributes, each name once, in the order of their first definition.
    pub attrs: &'a [Attr<'a>],
    /// The sources of `inherit (e) ...;`, in order; [`AttrValue::InheritFrom`] counts into it.
    pub inherit_from: &'a [InheritSource<'a>],
    /// `${e} = v;`
    pub dynamic: &'a [DynamicAttr<'a>],
}

/// The source of an `inherit (e) a b;`.
#[derive(Clone, Copy, Debug)]
pub struct InheritSource<'a> {
    /// Where `e` begins, with its parentheses if it has more than one pair.
    pub pos: Pos,
    /// `e`
    pub expr: &'a Expr<'a>,
}

/// A static attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    /// Its name.
    pub name: Name,
    /// Where the name stands.
    pub pos: Pos,
    /// What it is bound to.
    pub value: AttrValue<'a>,
}

/// What a static attribute is bound to.
#[derive(Clone, Copy, Debug)]
pub enum AttrValue<'a> {
    /// `a = e;`: evaluated in the set's own scope if the set is recursive.
    Plain(&'a Expr<'a>),
    /// `inherit a;`: the variable of that name in the scope around the set.
    Inherit(&'a Expr<'a>),
    /// `inherit (e) a;`: `from` counts into [`AttrSet::inherit_from`].
    InheritFrom {
        /// Which source.
        from: u32,
    },
}

/// A dynamic attribute.
#[derive(Clone, Copy, Debug)]
pub struct DynamicAttr<'a> {
    /// Where the name stands.
    pub pos: Pos,
    /// Gives the name; `null` leaves the attribute out.
    pub name: &'a Expr<'a>,
    /// What it is bound to.
    pub value: &'a Expr<'a>,
}

/// A function of one argument.
#[derive(Clone, Copy, Debug)]
pub struct Lambda<'a> {
    /// As Nix's `ExprLambda::pos`.
    pub pos: Pos,
    /// `x:` or the `@x` of a pattern.
    pub argument: Option<Name>,
    /// The pattern, if there is one.
    pub pattern: Option<Pattern<'a>>,
    /// The body.
    pub body: &'a Expr<'a>,
}

/// `{ a, b ? c, ... }`
#[derive(Clone, Copy, Debug)]
pub struct Pattern<'a> {
    /// In the order of the source; each name once.
    pub formals: &'a [Formal<'a>],
    /// Whether `...` was given.
    pub ellipsis: bool,
}

/// One attribute of a pattern.
#[derive(Clone, Copy, Debug)]
pub struct Formal<'a> {
    /// Where its name stands.
    pub pos: Pos,
    /// Its name.
    pub name: Name,
    /// `? e`
    pub default: Option<&'a Expr<'a>>,
}

impl Expr<'_> {
    /// What Nix's `getPos()` gives for this expression: [`NO_POS`] for literals, paths, `let` and the empty list, the
    /// first element's position for other lists.
    pub fn pos(&self) -> Pos {
        match self {
            Expr::Int(_) | Expr::Float(_) | Expr::String(_) | Expr::Path { .. } => NO_POS,
            Expr::Attrs(set) => set.pos,
            Expr::Lambda(lambda) => lambda.pos,
            Expr::Interpolation { pos, .. }
            | Expr::PathInterpolation { pos, .. }
            | Expr::SearchPath { pos, .. }
            | Expr::Var { pos, .. }
            | Expr::CurPos { pos }
            | Expr::Select { pos, .. }
            | Expr::HasAttr { pos, .. }
            | Expr::LegacyLet { pos, .. }
            | Expr::List { pos, .. }
            | Expr::Call { pos, .. }
            | Expr::Let { pos, .. }
            | Expr::With { pos, .. }
            | Expr::If { pos, .. }
            | Expr::Assert { pos, .. }
            | Expr::Not { pos, .. }
            | Expr::Negate { pos, .. }
            | Expr::Binary { pos, .. } => *pos,
        }
    }
    /// Calls `visit` with each expression that this one is directly made of, in the order of the source but for merged
    /// definitions.
    pub fn for_each_child<'a>(&'a self, mut visit: impl FnMut(&'a Expr<'a>)) {
        match self {
            Expr::Int(_)
            | Expr::Float(_)
            | Expr::String(_)
            | Expr::Path { .. }
            | Expr::SearchPath { .. }
            | Expr::Var { .. }
            | Expr::CurPos { .. } => {}
            Expr::Interpolation { parts, .. } | Expr::PathInterpolation { parts, .. } => {
                for part in *parts {
                    if let Part::Expr { expr, .. } = part {
                        visit(expr);
                    }
                }
            }
            Expr::Select { subject, path, default, .. } => {
                visit(subject);
                for_each_dynamic(path, &mut visit);
                default.iter().for_each(|default| visit(default));
            }
            Expr::HasAttr { subject, path, .. } => {
                visit(subject);
                for_each_dynamic(path, &mut visit);
            }
            Expr::Attrs(set) => set.for_each_child(visit),
            Expr::LegacyLet { attrs, .. } => attrs.for_each_child(visit),
            Expr::List { elements, .. } => elements.iter().for_each(|element| visit(element)),
            Expr::Lambda(lambda) => {
                let formals = lambda.pattern.map_or(&[][..], |pattern| pattern.formals);
                formals.iter().filter_map(|formal| formal.default).for_each(&mut visit);
                visit(lambda.body);
            }
            Expr::Call { function, arguments, .. } => {
                visit(function);
                arguments.iter().for_each(|argument| visit(argument));
            }
            Expr::Let { attrs, body, .. } => {
                attrs.for_each_child(&mut visit);
                visit(body);
            }
            Expr::With { scope: first, body: second, .. }
            | Expr::Assert { condition: first, body: second, .. }
            | Expr::Binary { left: first, right: second, .. } => {
                visit(first);
                visit(second);
            }
            Expr::If { condition, then, otherwise, .. } => {
                visit(condition);
                visit(then);
                visit(otherwise);
            }
            Expr::Not { operand, .. } | Expr::Negate { operand, .. } => visit(operand),
        }
    }
}

fn for_each_dynamic<'a>(path: &'a [AttrName<'a>], visit: &mut impl FnMut(&'a Expr<'a>)) {
    for step in path {
        if let AttrName::Dynamic { expr, .. } = step {
            visit(expr);
        }
    }
}

impl<'a> AttrSet<'a> {
    /// Calls `visit` with the values and the names that are expressions.
    pub fn for_each_child(&self, mut visit: impl FnMut(&'a Expr<'a>)) {
        self.inherit_from.iter().for_each(|source| visit(source.expr));
        for attr in self.attrs {
            if let AttrValue::Plain(value) | AttrValue::Inherit(value) = attr.value {
                visit(value);
            }
        }
        for attr in self.dynamic {
            visit(attr.name);
            visit(attr.value);
        }
    }
}
