//! What expressions are, as far as the text tells: which sets have which attributes, through variables, imports of literal
//! paths, `//`, calls of known functions. A guess for people who look around, never for changing a text.

use std::{cell::Cell, rc::Rc};

use rnix::{SyntaxKind, SyntaxNode, TextRange, ast};
use rowan::ast::AstNode;

use super::{
    names::{DefinitionId, Kind, Target},
    syntax::{bare, path_literal, static_name},
};
use crate::workspace::{Source, Workspace};

/// How many expressions are looked into for one question.
const STEPS: u32 = 400;

/// Functions that give what the function they are given gives for it.
const FIXED_POINTS: [&str; 2] = ["fix", "makeExtensible"];

/// A part of what an expression is; the first part that has an attribute decides.
#[derive(Clone)]
pub enum Part {
    /// A set, or the bindings of a `let`.
    Bindings(Rc<Source>, SyntaxNode),
    /// What stands for `b.c = v` in `a.b.c = v`, with the number of steps before it.
    Rest(Rc<Source>, ast::AttrpathValue, usize),
    /// A function.
    Function(Rc<Source>, ast::Lambda),
    /// `builtins`
    Builtins,
}

/// An attribute of a set.
#[derive(Clone)]
pub struct Member {
    /// The file it is defined in.
    pub source: Rc<Source>,
    /// What it is called.
    pub name: String,
    /// Where the name stands.
    pub range: TextRange,
    /// What it is bound to.
    pub bound: Bound,
}

/// What an attribute is bound to.
#[derive(Clone)]
pub enum Bound {
    /// `a = e;`
    Value(ast::AttrpathValue),
    /// `a.b = e;`, with the number of steps up to it.
    Rest(ast::AttrpathValue, usize),
    /// `inherit a;`
    Inherit,
    /// `inherit (e) a;`
    InheritFrom(ast::Expr),
}

/// Looks into expressions.
pub struct Values<'w> {
    workspace: &'w Workspace,
    steps: Cell<u32>,
}

impl<'w> Values<'w> {
    /// For one question.
    pub fn new(workspace: &'w Workspace) -> Values<'w> {
        Values { workspace, steps: Cell::new(STEPS) }
    }

    /// What an expression is; nothing if the text does not tell.
    pub fn of(&self, source: &Rc<Source>, expr: &ast::Expr) -> Vec<Part> {
        let Some(steps) = self.steps.get().checked_sub(1) else { return Vec::new() };
        self.steps.set(steps);
        self.parts(source, expr).unwrap_or_default()
    }

    fn parts(&self, source: &Rc<Source>, expr: &ast::Expr) -> Option<Vec<Part>> {
        let parts = match expr {
            ast::Expr::AttrSet(set) => vec![Part::Bindings(Rc::clone(source), set.syntax().clone())],
            ast::Expr::LegacyLet(set) => {
                let set = vec![Part::Bindings(Rc::clone(source), set.syntax().clone())];
                self.value(&self.member(&set, "body")?)
            }
            ast::Expr::Paren(paren) => self.of(source, &paren.expr()?),
            ast::Expr::LetIn(bindings) => self.of(source, &bindings.body()?),
            ast::Expr::With(with) => self.of(source, &with.body()?),
            ast::Expr::Assert(assert) => self.of(source, &assert.body()?),
            ast::Expr::IfElse(either) => {
                let mut parts = self.of(source, &either.body()?);
                parts.extend(self.of(source, &either.else_body()?));
                parts
            }
            ast::Expr::Lambda(lambda) => vec![Part::Function(Rc::clone(source), lambda.clone())],
            ast::Expr::Ident(ident) => self.variable(source, ident.syntax().text_range()),
            ast::Expr::Select(select) => {
                let mut parts = self.of(source, &select.expr()?);
                for step in select.attrpath()?.attrs() {
                    parts = self.value(&self.member(&parts, &static_name(&step)?)?);
                }
                parts
            }
            ast::Expr::BinOp(update) if update.operator() == Some(ast::BinOpKind::Update) => {
                let mut parts = self.of(source, &update.rhs()?);
                parts.extend(self.of(source, &update.lhs()?));
                parts
            }
            ast::Expr::Apply(call) => self.call(source, call)?,
            _ => Vec::new(),
        };
        Some(parts)
    }

    /// What a call gives. A function that is given a path most often imports it, as `import` and `callPackage` do.
    fn call(&self, source: &Rc<Source>, call: &ast::Apply) -> Option<Vec<Part>> {
        let function = call.lambda()?;
        let argument = bare(call.argument()?)?;
        if let Some(path) = path_literal(&argument) {
            let file = self.workspace.source(&self.workspace.resolve(&source.path, &path)?)?;
            let root = file.document.root.children().find_map(ast::Expr::cast)?;
            return Some(self.of(&file, &root));
        }
        if is_fixed_point(&function)
            && let ast::Expr::Lambda(lambda) = &argument
        {
            return Some(self.of(source, &lambda.body()?));
        }
        let function = self.of(source, &function).into_iter().find_map(|part| match part {
            Part::Function(source, lambda) => Some((source, lambda.body()?)),
            _ => None,
        })?;
        Some(self.of(&function.0, &function.1))
    }

    /// What the variable that is used at a place is.
    fn variable(&self, source: &Rc<Source>, range: TextRange) -> Vec<Part> {
        let Some(reference) = source.document.names.reference_at(range.start()) else { return Vec::new() };
        match reference.target {
            Target::Definition(id) => self.definition(source, id),
            Target::Builtin if source.document.slice(range) == "builtins" => vec![Part::Builtins],
            Target::With => self.of_with(source, range).map(|member| self.value(&member)).unwrap_or_default(),
            Target::Builtin | Target::Undefined => Vec::new(),
        }
    }

    /// The attribute of a `with` that the variable used at a place is.
    pub fn of_with(&self, source: &Rc<Source>, range: TextRange) -> Option<Member> {
        let name = source.document.slice(range);
        self.withs(source, range).into_iter().find_map(|set| self.member(&set, name))
    }

    /// The sets of the `with`s around a place, from the inside out.
    pub fn withs(&self, source: &Rc<Source>, range: TextRange) -> Vec<Vec<Part>> {
        let names = &source.document.names;
        let scopes = names.around(names.scope_at(range.start())).filter_map(|scope| scope.with);
        let sets = scopes.filter_map(|range| {
            let expr = expr_with(&source.document.root, range)?;
            Some(self.of(source, &expr))
        });
        sets.collect()
    }

    /// What a variable is.
    pub fn definition(&self, source: &Rc<Source>, id: DefinitionId) -> Vec<Part> {
        let definition = &source.document.names.definitions[id];
        let Some(node) = node_at(&source.document.root, definition.range) else { return Vec::new() };
        let parts = match definition.kind {
            Kind::Let | Kind::Attribute => {
                let bindings = node.ancestors().find(is_bindings);
                bindings.and_then(|bindings| {
                    let set = [Part::Bindings(Rc::clone(source), bindings)];
                    Some(self.value(&self.member(&set, &definition.name)?))
                })
            }
            Kind::Formal => {
                let default =
                    node.ancestors().find_map(ast::PatEntry::cast).and_then(|entry| entry.default());
                default.map(|default| self.of(source, &default))
            }
            Kind::Argument => {
                let lambda = node.ancestors().find_map(ast::Lambda::cast);
                lambda.and_then(|lambda| self.own_fixed_point(source, &lambda))
            }
            Kind::Whole => None,
        };
        parts.unwrap_or_default()
    }

    /// What `self` is in `fix (self: ...)`.
    fn own_fixed_point(&self, source: &Rc<Source>, lambda: &ast::Lambda) -> Option<Vec<Part>> {
        let around =
            lambda.syntax().ancestors().skip(1).find(|node| node.kind() != SyntaxKind::NODE_PAREN)?;
        let call = ast::Apply::cast(around)?;
        is_fixed_point(&call.lambda()?).then_some(())?;
        Some(self.of(source, &lambda.body()?))
    }

    /// The attribute of that name.
    pub fn member(&self, set: &[Part], name: &str) -> Option<Member> {
        set.iter().find_map(|part| members_of(part).into_iter().find(|member| member.name == name))
    }

    /// All attributes, the first of each name.
    pub fn members(&self, set: &[Part]) -> Vec<Member> {
        let mut members: Vec<Member> = set.iter().flat_map(members_of).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members.dedup_by(|b, a| a.name == b.name);
        members
    }

    /// What an attribute is.
    pub fn value(&self, member: &Member) -> Vec<Part> {
        match &member.bound {
            Bound::Value(entry) => match entry.value() {
                Some(value) => self.of(&member.source, &value),
                None => Vec::new(),
            },
            Bound::Rest(entry, steps) => {
                let mut parts = vec![Part::Rest(Rc::clone(&member.source), entry.clone(), *steps)];
                // `a.b = 1; a.c = 2;` is one set.
                let siblings = entry.syntax().parent().into_iter().flat_map(|set| set.children());
                for sibling in siblings.filter_map(ast::AttrpathValue::cast).filter(|other| other != entry) {
                    if begins_alike(&sibling, entry, *steps) {
                        parts.push(Part::Rest(Rc::clone(&member.source), sibling, *steps));
                    }
                }
                parts
            }
            Bound::Inherit => self.variable(&member.source, member.range),
            Bound::InheritFrom(from) => {
                let set = self.of(&member.source, from);
                self.member(&set, &member.name).map(|member| self.value(&member)).unwrap_or_default()
            }
        }
    }

    /// Where an attribute is really defined: behind `inherit`.
    pub fn origin(&self, member: Member) -> Member {
        if let Bound::InheritFrom(from) = &member.bound {
            let set = self.of(&member.source, from);
            if let Some(origin) = self.member(&set, &member.name)
                && self.steps.get() > 0
            {
                return self.origin(origin);
            }
        }
        member
    }
}

/// The node with exactly this range, the outermost.
pub fn node_at(root: &SyntaxNode, range: TextRange) -> Option<SyntaxNode> {
    let inner = match root.covering_element(range) {
        rnix::NodeOrToken::Node(node) => node,
        rnix::NodeOrToken::Token(token) => token.parent()?,
    };
    inner.ancestors().take_while(|node| node.text_range() == range).last()
}

fn expr_with(root: &SyntaxNode, range: TextRange) -> Option<ast::Expr> {
    ast::Expr::cast(node_at(root, range)?)
}

/// Whether a node holds bindings.
pub fn is_bindings(node: &SyntaxNode) -> bool {
    matches!(node.kind(), SyntaxKind::NODE_LET_IN | SyntaxKind::NODE_ATTR_SET | SyntaxKind::NODE_LEGACY_LET)
}

fn is_fixed_point(function: &ast::Expr) -> bool {
    let text = function.syntax().text().to_string();
    let last = text.rsplit('.').next().unwrap_or_default();
    FIXED_POINTS.contains(&last)
}

fn begins_alike(a: &ast::AttrpathValue, b: &ast::AttrpathValue, steps: usize) -> bool {
    let names = |entry: &ast::AttrpathValue| -> Vec<Option<String>> {
        entry.attrpath().map(|path| path.attrs().map(|step| static_name(&step)).collect()).unwrap_or_default()
    };
    let (a, b) = (names(a), names(b));
    a.len() > steps && b.len() > steps && a[..steps] == b[..steps]
}

fn members_of(part: &Part) -> Vec<Member> {
    match part {
        Part::Bindings(source, node) => {
            entries(node).flat_map(|entry| members_of_entry(source, entry)).collect()
        }
        Part::Rest(source, entry, steps) => member_of_path(source, entry, *steps).into_iter().collect(),
        Part::Function(..) | Part::Builtins => Vec::new(),
    }
}

fn entries(node: &SyntaxNode) -> impl Iterator<Item = ast::Entry> {
    node.children().filter_map(ast::Entry::cast)
}

fn members_of_entry(source: &Rc<Source>, entry: ast::Entry) -> Vec<Member> {
    match entry {
        ast::Entry::AttrpathValue(entry) => member_of_path(source, &entry, 0).into_iter().collect(),
        ast::Entry::Inherit(inherit) => {
            let from = inherit.from().and_then(|from| from.expr());
            let member = |attr: ast::Attr| {
                Some(Member {
                    source: Rc::clone(source),
                    name: static_name(&attr)?,
                    range: attr.syntax().text_range(),
                    bound: from.clone().map_or(Bound::Inherit, Bound::InheritFrom),
                })
            };
            inherit.attrs().filter_map(member).collect()
        }
    }
}

/// The attribute that `entry` defines after some steps of its path.
fn member_of_path(source: &Rc<Source>, entry: &ast::AttrpathValue, steps: usize) -> Option<Member> {
    let path: Vec<ast::Attr> = entry.attrpath()?.attrs().collect();
    let step = path.get(steps)?;
    Some(Member {
        source: Rc::clone(source),
        name: static_name(step)?,
        range: step.syntax().text_range(),
        bound: match path.len() == steps + 1 {
            true => Bound::Value(entry.clone()),
            false => Bound::Rest(entry.clone(), steps + 1),
        },
    })
}
