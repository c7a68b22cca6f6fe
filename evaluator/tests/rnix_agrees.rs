//! Our parser and rnix give the same tree: on the cases of `syntax/trees.txt`, and on every `.nix` file below the folder that
//! the environment variable CORPORA names, if it is set.
//!
//! Both trees are brought to one form: parentheses gone, arguments of one function together, literal text joined,
//! definitions merged by an implementation of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use bumpalo::Bump;
use rnix::ast::{self as rn, AstToken as _, AttrSet, HasEntry, InterpolPart, LiteralKind};
use zeval_evaluator::syntax::ast::{self, AttrName, AttrValue, Expr, Name, Part};
use zeval_evaluator::syntax::{ParseOptions, parse};

/// The common form.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Leaf(String),
    Node(&'static str, Vec<Tree>),
    Set(Set),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Set {
    recursive: bool,
    attrs: BTreeMap<String, Tree>,
    dynamic: Vec<(Tree, Tree)>,
}

fn leaf(text: impl Into<String>) -> Tree {
    Tree::Leaf(text.into())
}

fn text(text: &str) -> Tree {
    leaf(format!("{text:?}"))
}

/// `f a b` is one node, whoever wrote it in how many calls.
fn call(function: Tree, arguments: Vec<Tree>) -> Tree {
    match function {
        Tree::Node("call", mut all) => {
            all.extend(arguments);
            Tree::Node("call", all)
        }
        function => Tree::Node("call", std::iter::once(function).chain(arguments).collect()),
    }
}

enum Piece {
    Text(String),
    Expr(Tree),
}

/// Joins texts that stand side by side and leaves empty ones out.
fn string(pieces: Vec<Piece>) -> Tree {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(more)) => last.push_str(&more),
            (_, Piece::Text(empty)) if empty.is_empty() => {}
            (_, piece) => joined.push(piece),
        }
    }
    let tree = |piece| match piece {
        Piece::Text(literal) => text(&literal),
        Piece::Expr(expr) => Tree::Node("interpolated", vec![expr]),
    };
    match joined.as_slice() {
        [] => text(""),
        [Piece::Text(literal)] => text(literal),
        _ => Tree::Node("string", joined.into_iter().map(tree).collect()),
    }
}

/// Our tree in the common form.
struct Ours<'a> {
    names: &'a [&'a bstr::BStr],
}

impl Ours<'_> {
    fn name(&self, name: Name) -> String {
        self.names[name.0 as usize].to_string()
    }

    fn step(&self, step: &AttrName<'_>) -> Tree {
        match step {
            AttrName::Static { name, .. } => text(&self.name(*name)),
            AttrName::Dynamic { expr, .. } => self.expr(expr),
        }
    }

    fn path(&self, path: &[AttrName<'_>]) -> Tree {
        Tree::Node("path", path.iter().map(|step| self.step(step)).collect())
    }

    fn set(&self, set: &ast::AttrSet<'_>) -> Set {
        let value = |value: &AttrValue<'_>| match value {
            AttrValue::Plain(expr) => self.expr(expr),
            AttrValue::Inherit(expr) => Tree::Node("inherit", vec![self.expr(expr)]),
            AttrValue::InheritFrom { from } => {
                Tree::Node("from", vec![self.expr(set.inherit_from[*from as usize].expr)])
            }
        };
        Set {
            recursive: set.recursive,
            attrs: set.attrs.iter().map(|attr| (self.name(attr.name), value(&attr.value))).collect(),
            dynamic: set.dynamic.iter().map(|attr| (self.expr(attr.name), self.expr(attr.value))).collect(),
        }
    }

    fn parts(&self, parts: &[Part<'_>]) -> Tree {
        let piece = |part: &Part<'_>| match part {
            Part::Text(literal) => Piece::Text(literal.to_string()),
            Part::Expr { expr, .. } => Piece::Expr(self.expr(expr)),
        };
        string(parts.iter().map(piece).collect())
    }

    fn exprs(&self, exprs: &[&Expr<'_>]) -> Vec<Tree> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&self, expr: &Expr<'_>) -> Tree {
        match *expr {
            Expr::Int(value) => leaf(value.to_string()),
            Expr::Float(value) => leaf(format!("{value:?}")),
            Expr::String(literal) => text(&literal.to_string()),
            Expr::Interpolation { parts, .. } => self.parts(parts),
            Expr::Path { text, .. } => Tree::Node("file", vec![self::text(&text.to_string())]),
            Expr::PathInterpolation { parts, .. } => Tree::Node("file", vec![self.parts(parts)]),
            Expr::SearchPath { text, .. } => leaf(format!("<{text}>")),
            Expr::Var { name, .. } => leaf(self.name(name)),
            Expr::CurPos { .. } => leaf("__curPos"),
            Expr::Select { subject, path, default, .. } => {
                let mut parts = vec![self.expr(subject), self.path(path)];
                parts.extend(default.map(|default| self.expr(default)));
                Tree::Node("select", parts)
            }
            Expr::HasAttr { subject, path, .. } => {
                Tree::Node("has", vec![self.expr(subject), self.path(path)])
            }
            Expr::Attrs(set) => Tree::Set(self.set(set)),
            Expr::LegacyLet { attrs, .. } => Tree::Node("legacy let", vec![Tree::Set(self.set(attrs))]),
            Expr::List { elements, .. } => Tree::Node("list", self.exprs(elements)),
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::Call { function, arguments, .. } => call(self.expr(function), self.exprs(arguments)),
            Expr::Let { attrs, body, .. } => {
                Tree::Node("let", vec![Tree::Set(self.set(attrs)), self.expr(body)])
            }
            Expr::With { scope, body, .. } => Tree::Node("with", self.exprs(&[scope, body])),
            Expr::If { condition, then, otherwise, .. } => {
                Tree::Node("if", self.exprs(&[condition, then, otherwise]))
            }
            Expr::Assert { condition, body, .. } => Tree::Node("assert", self.exprs(&[condition, body])),
            Expr::Not { operand, .. } => Tree::Node("!", vec![self.expr(operand)]),
            Expr::Negate { operand, .. } => Tree::Node("-", vec![self.expr(operand)]),
            Expr::Binary { op, left, right, .. } => {
                let mut parts = vec![leaf(format!("{op:?}"))];
                parts.extend(self.exprs(&[left, right]));
                Tree::Node("binary", parts)
            }
        }
    }

    fn lambda(&self, lambda: &ast::Lambda<'_>) -> Tree {
        let mut parts = vec![leaf(lambda.argument.map_or(String::new(), |name| self.name(name)))];
        if let Some(pattern) = lambda.pattern {
            let formal = |formal: &ast::Formal<'_>| {
                let mut parts = vec![leaf(self.name(formal.name))];
                parts.extend(formal.default.map(|default| self.expr(default)));
                Tree::Node("formal", parts)
            };
            parts.push(Tree::Node("pattern", pattern.formals.iter().map(formal).collect()));
            parts.push(leaf(pattern.ellipsis.to_string()));
        }
        parts.push(self.expr(lambda.body));
        Tree::Node("lambda", parts)
    }
}

/// rnix's tree in the common form. Nothing where rnix has an error node.
mod theirs {
    use super::*;

    fn exprs<const N: usize>(exprs: [Option<rn::Expr>; N]) -> Option<Vec<Tree>> {
        exprs.into_iter().map(|each| expr(each?)).collect()
    }

    pub fn expr(tree: rn::Expr) -> Option<Tree> {
        Some(match tree {
            rn::Expr::Error(_) => return None,
            rn::Expr::Root(root) => expr(root.expr()?)?,
            rn::Expr::Paren(paren) => expr(paren.expr()?)?,
            rn::Expr::Apply(apply) => call(expr(apply.lambda()?)?, vec![expr(apply.argument()?)?]),
            rn::Expr::Assert(node) => Tree::Node("assert", exprs([node.condition(), node.body()])?),
            rn::Expr::IfElse(node) => {
                Tree::Node("if", exprs([node.condition(), node.body(), node.else_body()])?)
            }
            rn::Expr::With(node) => Tree::Node("with", exprs([node.namespace(), node.body()])?),
            rn::Expr::Select(node) => {
                let mut parts = vec![expr(node.expr()?)?, path(&node.attrpath()?)?];
                if let Some(default) = node.default_expr() {
                    parts.push(expr(default)?);
                }
                Tree::Node("select", parts)
            }
            rn::Expr::HasAttr(node) => Tree::Node("has", vec![expr(node.expr()?)?, path(&node.attrpath()?)?]),
            rn::Expr::Str(node) => str(&node)?,
            rn::Expr::PathAbs(node) => file(node.parts())?,
            rn::Expr::PathRel(node) => file(node.parts())?,
            rn::Expr::PathHome(node) => file(node.parts())?,
            rn::Expr::PathSearch(node) => leaf(node.content()?.syntax().text()),
            rn::Expr::Literal(node) => match node.kind() {
                LiteralKind::Float(float) => {
                    leaf(format!("{:?}", float.syntax().text().parse::<f64>().ok()?))
                }
                LiteralKind::Integer(int) => leaf(int.syntax().text().parse::<i64>().ok()?.to_string()),
                LiteralKind::Uri(uri) => text(uri.syntax().text()),
            },
            rn::Expr::Lambda(node) => lambda(&node)?,
            rn::Expr::LegacyLet(node) => Tree::Node("legacy let", vec![Tree::Set(set(&node, true)?)]),
            rn::Expr::LetIn(node) => {
                Tree::Node("let", vec![Tree::Set(set(&node, true)?), expr(node.body()?)?])
            }
            rn::Expr::AttrSet(node) => Tree::Set(attr_set(&node)?),
            rn::Expr::List(node) => Tree::Node("list", node.items().map(expr).collect::<Option<_>>()?),
            rn::Expr::BinOp(node) => binary(&node)?,
            rn::Expr::UnaryOp(node) => {
                let sign = match node.operator()? {
                    rn::UnaryOpKind::Invert => "!",
                    rn::UnaryOpKind::Negate => "-",
                };
                Tree::Node(sign, vec![expr(node.expr()?)?])
            }
            rn::Expr::Ident(node) => leaf(node.to_string()),
            rn::Expr::CurPos(_) => leaf("__curPos"),
        })
    }

    fn binary(node: &rn::BinOp) -> Option<Tree> {
        let name = match node.operator()? {
            rn::BinOpKind::Concat => "Concat",
            rn::BinOpKind::Update => "Update",
            rn::BinOpKind::Add => "Add",
            rn::BinOpKind::Sub => "Subtract",
            rn::BinOpKind::Mul => "Multiply",
            rn::BinOpKind::Div => "Divide",
            rn::BinOpKind::And => "And",
            rn::BinOpKind::Equal => "Equal",
            rn::BinOpKind::Implication => "Implies",
            rn::BinOpKind::Less => "Less",
            rn::BinOpKind::LessOrEq => "LessEqual",
            rn::BinOpKind::More => "Greater",
            rn::BinOpKind::MoreOrEq => "GreaterEqual",
            rn::BinOpKind::NotEqual => "NotEqual",
            rn::BinOpKind::Or => "Or",
            rn::BinOpKind::PipeRight | rn::BinOpKind::PipeLeft => return None,
        };
        let mut parts = vec![leaf(name)];
        parts.extend(exprs([node.lhs(), node.rhs()])?);
        Some(Tree::Node("binary", parts))
    }

    fn str(node: &rn::Str) -> Option<Tree> {
        let piece = |part| {
            Some(match part {
                InterpolPart::Literal(literal) => Piece::Text(literal),
                InterpolPart::Interpolation(node) => Piece::Expr(expr(node.expr()?)?),
            })
        };
        let pieces: Vec<Piece> = node.normalized_parts().into_iter().map(piece).collect::<Option<_>>()?;
        // To Nix `''${"a"}''` is the literal itself, but `"${"a"}"` is not.
        match pieces.as_slice() {
            [Piece::Expr(literal @ Tree::Leaf(quoted))]
                if quoted.starts_with('"') && node.to_string().starts_with("''") =>
            {
                Some(literal.clone())
            }
            _ => Some(string(pieces)),
        }
    }

    fn file(parts: Vec<InterpolPart<rn::PathContent>>) -> Option<Tree> {
        let piece = |part: InterpolPart<rn::PathContent>| {
            Some(match part {
                InterpolPart::Literal(literal) => Piece::Text(literal.syntax().text().to_owned()),
                InterpolPart::Interpolation(node) => Piece::Expr(expr(node.expr()?)?),
            })
        };
        Some(Tree::Node("file", vec![string(parts.into_iter().map(piece).collect::<Option<_>>()?)]))
    }

    /// A name, or the expression that gives it. A literal string is a name, however it is written.
    fn attr(attr: rn::Attr) -> Option<Result<String, Tree>> {
        let tree = match attr {
            rn::Attr::Ident(ident) => return Some(Ok(ident.to_string())),
            rn::Attr::Str(node) => str(&node)?,
            rn::Attr::Dynamic(node) => expr(node.expr()?)?,
        };
        Some(match &tree {
            Tree::Leaf(quoted) if quoted.starts_with('"') => Ok(unquote(quoted)),
            _ => Err(tree),
        })
    }

    /// Undoes [`text`].
    fn unquote(quoted: &str) -> String {
        let tokens = quoted[1..quoted.len() - 1].to_owned();
        let mut out = String::new();
        let mut chars = tokens.chars();
        while let Some(char) = chars.next() {
            match (char, char == '\\') {
                (_, false) => out.push(char),
                _ => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('u') => {
                        let code: String = chars.by_ref().skip(1).take_while(|char| *char != '}').collect();
                        out.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                    }
                    Some(other) => out.push(other),
                    None => {}
                },
            }
        }
        out
    }

    fn steps(path: &rn::Attrpath) -> Option<Vec<Result<String, Tree>>> {
        path.attrs().map(attr).collect()
    }

    fn path(path: &rn::Attrpath) -> Option<Tree> {
        let tree = |step: Result<String, Tree>| match step {
            Ok(name) => text(&name),
            Err(tree) => tree,
        };
        Some(Tree::Node("path", steps(path)?.into_iter().map(tree).collect()))
    }

    fn attr_set(node: &AttrSet) -> Option<Set> {
        set(node, node.rec_token().is_some())
    }

    fn set(node: &impl HasEntry, recursive: bool) -> Option<Set> {
        let mut set = Set { recursive, ..Set::default() };
        for entry in node.entries() {
            match entry {
                rn::Entry::Inherit(inherit) => {
                    let source = match inherit.from() {
                        Some(from) => Some(expr(from.expr()?)?),
                        None => None,
                    };
                    for each in inherit.attrs() {
                        let name = attr(each)?.ok()?;
                        let value = match &source {
                            Some(source) => Tree::Node("from", vec![source.clone()]),
                            None => Tree::Node("inherit", vec![leaf(name.clone())]),
                        };
                        set.attrs.insert(name, value);
                    }
                }
                rn::Entry::AttrpathValue(node) => {
                    define(&mut set, &steps(&node.attrpath()?)?, expr(node.value()?)?)?;
                }
            }
        }
        Some(set)
    }

    /// Adds `path = value`, merging sets.
    fn define(set: &mut Set, path: &[Result<String, Tree>], value: Tree) -> Option<()> {
        let (first, rest) = path.split_first()?;
        let value = if rest.is_empty() {
            value
        } else {
            let mut nested = Set::default();
            define(&mut nested, rest, value)?;
            Tree::Set(nested)
        };
        match first {
            Err(name) => set.dynamic.push((name.clone(), value)),
            Ok(name) => insert(set, name, value)?,
        }
        Some(())
    }

    fn insert(set: &mut Set, name: &str, value: Tree) -> Option<()> {
        match (set.attrs.get_mut(name), value) {
            (None, value) => drop(set.attrs.insert(name.to_owned(), value)),
            (Some(Tree::Set(into)), Tree::Set(from)) => {
                for (name, value) in from.attrs {
                    insert(into, &name, value)?;
                }
                into.dynamic.extend(from.dynamic);
            }
            _ => return None,
        }
        Some(())
    }

    fn lambda(node: &rn::Lambda) -> Option<Tree> {
        let ident = |ident: Option<rn::Ident>| Some(leaf(ident?.to_string()));
        let mut parts = Vec::new();
        match node.param()? {
            rn::Param::IdentParam(param) => parts.push(ident(param.ident())?),
            rn::Param::Pattern(pattern) => {
                parts.push(match pattern.pat_bind() {
                    Some(bind) => ident(bind.ident())?,
                    None => leaf(""),
                });
                let formal = |entry: rn::PatEntry| {
                    let mut parts = vec![ident(entry.ident())?];
                    if let Some(default) = entry.default() {
                        parts.push(expr(default)?);
                    }
                    Some(Tree::Node("formal", parts))
                };
                let formals = pattern.pat_entries().map(formal).collect::<Option<_>>()?;
                parts.push(Tree::Node("pattern", formals));
                parts.push(leaf(pattern.ellipsis_token().is_some().to_string()));
            }
        }
        parts.push(expr(node.body()?)?);
        Some(Tree::Node("lambda", parts))
    }
}

/// Texts of `syntax/trees.txt` on which rnix differs from Nix, and we do not.
const RNIX_DIFFERS_FROM_NIX: [&str; 4] = [
    // Select from a legacy let.
    "let { a = 1; body = a; }.x",
    "let { body = 1; }.a",
    // `!` as the operand of `-`.
    "-!a + b",
    // The line feed of `''\\n` is no end of line to be unindented after.
    "''\n  a''\\n  b\n ''${c}\n''",
];

/// Compares both trees of a text. An error says how they differ.
fn compare(source: &str) -> Result<(), String> {
    let arena = Bump::new();
    let parsed = parse(source.as_bytes(), &arena, &ParseOptions::default());
    let reference = rnix::Root::parse(source);
    let ours = match &parsed {
        Ok(ast) => Some(Ours { names: &ast.names }.expr(ast.root)),
        Err(_) => None,
    };
    let is_clean = reference.errors().is_empty();
    let theirs = is_clean.then(|| theirs::expr(reference.tree().expr()?)).flatten();
    match (ours, theirs) {
        (ours, theirs) if ours == theirs => Ok(()),
        (Some(_), None) => Err("only we parse it".to_owned()),
        (None, Some(_)) => Err("only rnix parses it".to_owned()),
        (ours, theirs) => Err(format!("ours:   {ours:?}\ntheirs: {theirs:?}")),
    }
}

fn on_a_large_stack(check: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(check);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn on_the_cases() {
    let cases = include_str!("syntax/trees.txt");
    on_a_large_stack(move || {
        for case in cases.split("\n===\n") {
            let (source, _) = case.split_once("\n---\n").expect("a case has a text and an expectation");
            let is_known = RNIX_DIFFERS_FROM_NIX.contains(&source);
            match compare(source) {
                Ok(()) => assert!(!is_known, "rnix now agrees with Nix on {source}"),
                Err(difference) => assert!(is_known, "{source}\n{difference}"),
            }
        }
    });
}

fn nix_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            nix_files(&path, files);
        } else if path.is_file() && path.extension().is_some_and(|extension| extension == "nix") {
            files.push(path);
        }
    }
}

#[test]
fn on_the_corpora() {
    let Some(folder) = std::env::var_os("CORPORA") else {
        eprintln!("skipped: CORPORA names no folder of Nix files");
        return;
    };
    on_a_large_stack(move || {
        let mut files = Vec::new();
        nix_files(Path::new(&folder), &mut files);
        let mut differences = Vec::new();
        let mut not_utf8 = 0;
        for file in &files {
            let source = fs::read(file).expect("a readable file");
            match source.to_str() {
                Ok(source) => {
                    if let Err(difference) = compare(source) {
                        differences.push(format!("{}: {difference:.2000}", file.display()));
                    }
                }
                Err(_) => not_utf8 += 1,
            }
        }
        eprintln!("{} files, {not_utf8} of them not UTF-8 and not compared", files.len());
        assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    });
}
