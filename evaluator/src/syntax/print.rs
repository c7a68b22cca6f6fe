//! Prints expressions as `nix-instantiate --parse` does: fully parenthesised, operators that are functions spelled out.

use std::io::Write;

use bstr::{BStr, ByteSlice};
use bumpalo::Bump;

use super::ast::{Ast, Attr, AttrName, AttrSet, AttrValue, BinaryOp, Expr, Lambda, Name, Part, Pattern};
use super::parser::is_call;
use super::{ParseOptions, parse};

/// What paths in the text are relative to.
#[derive(Clone, Copy, Debug)]
pub struct PathBase<'a> {
    /// The absolute folder of the file, or the working folder.
    pub folder: &'a BStr,
    /// The home folder, for `~/a`.
    pub home: &'a BStr,
}

/// The file's expression.
pub fn expression(ast: &Ast<'_>, base: PathBase<'_>) -> Vec<u8> {
    let mut printer = Printer { names: &ast.names, base, out: Vec::new() };
    printer.expr(ast.root);
    printer.out
}

/// The expression that `source` is, as in an error about a failed assertion; the text itself if it cannot be parsed.
pub fn source(source: &[u8], base: PathBase<'_>) -> Vec<u8> {
    let options = ParseOptions { pipe_operators: true, ..ParseOptions::default() };
    match parse(source, &Bump::new(), &options) {
        Ok(ast) => expression(&ast, base),
        Err(_) => source.to_vec(),
    }
}

/// An attribute path of a file with these names. Paths in it are left as written.
pub(super) fn attr_path(path: &[AttrName<'_>], names: &[&BStr]) -> Vec<u8> {
    let base = PathBase { folder: b".".as_bstr(), home: b"~".as_bstr() };
    let mut printer = Printer { names, base, out: Vec::new() };
    printer.path(path);
    printer.out
}

/// The absolute path that a path literal means.
pub fn absolute_path(literal: &[u8], base: PathBase<'_>) -> Vec<u8> {
    if let Some(rest) = literal.strip_prefix(b"~") {
        return [base.home.as_bytes(), rest].concat();
    }
    let mut components = Vec::new();
    let folder: &[u8] = if literal.starts_with(b"/") { b"" } else { base.folder };
    for component in folder.split_str("/").chain(literal.split_str("/")) {
        match component {
            b"" | b"." => {}
            b".." => drop(components.pop()),
            name => components.push(name),
        }
    }
    let mut path = Vec::with_capacity(folder.len() + literal.len() + 1);
    for component in components {
        path.push(b'/');
        path.extend_from_slice(component);
    }
    if path.is_empty() || (literal.len() > 1 && literal.ends_with(b"/")) {
        path.push(b'/');
    }
    path
}

/// A string literal with its quotes and escapes.
pub fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'$' if text.get(index + 1) == Some(&b'{') => out.extend_from_slice(b"\\$"),
            other => out.push(*other),
        }
    }
    out.push(b'"');
}

/// A name as it stands in an attribute path or as a variable, quoted where it has to be.
pub fn identifier(name: &[u8], out: &mut Vec<u8>) {
    const KEYWORDS: [&[u8]; 9] =
        [b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit"];
    let is_plain = name.first().is_some_and(|first| super::bytes::is_identifier_start(*first))
        && name.iter().all(|byte| super::bytes::is_identifier(*byte))
        && !KEYWORDS.contains(&name);
    if is_plain { out.extend_from_slice(name) } else { string(name, out) }
}

struct Printer<'p> {
    names: &'p [&'p BStr],
    base: PathBase<'p>,
    out: Vec<u8>,
}

impl Printer<'_> {
    fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn name(&mut self, name: Name) {
        identifier(self.names[name.0 as usize], &mut self.out);
    }

    fn path(&mut self, path: &[AttrName<'_>]) {
        for (index, step) in path.iter().enumerate() {
            if index > 0 {
                self.write(".");
            }
            match step {
                AttrName::Static { name, .. } => self.name(*name),
                AttrName::Dynamic { expr, .. } => self.dynamic_name(expr),
            }
        }
    }

    fn dynamic_name(&mut self, expr: &Expr<'_>) {
        self.write("\"${");
        self.expr(expr);
        self.write("}\"");
    }

    fn expr(&mut self, expr: &Expr<'_>) {
        match *expr {
            Expr::Int(value) => drop(write!(self.out, "{value}")),
            Expr::Float(value) => self.write(&float(value)),
            Expr::String(text) => string(text, &mut self.out),
            Expr::Interpolation { parts, .. } => self.parts(parts, false),
            Expr::Path { text, .. } => self.out.extend(absolute_path(text, self.base)),
            Expr::PathInterpolation { parts, .. } => self.parts(parts, true),
            Expr::Var { name, .. } => self.name(name),
            Expr::CurPos { .. } => self.write("__curPos"),
            Expr::Select { subject, path, default, .. } => {
                self.write("(");
                self.expr(subject);
                self.write(").");
                self.path(path);
                if let Some(default) = default {
                    self.write(" or (");
                    self.expr(default);
                    self.write(")");
                }
            }
            Expr::HasAttr { subject, path, .. } => {
                self.write("((");
                self.expr(subject);
                self.write(") ? ");
                self.path(path);
                self.write(")");
            }
            Expr::Attrs(set) => self.set(set),
            Expr::LegacyLet { attrs, .. } => {
                self.write("(");
                self.set(attrs);
                self.write(").body");
            }
            Expr::List { elements, .. } => {
                self.write("[ ");
                for element in elements {
                    self.write("(");
                    self.expr(element);
                    self.write(") ");
                }
                self.write("]");
            }
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::Let { attrs, body, .. } => {
                self.write("(let ");
                self.definitions(attrs);
                self.write("in ");
                self.expr(body);
                self.write(")");
            }
            Expr::With { scope, body, .. } => {
                self.write("(with ");
                self.expr(scope);
                self.write("; ");
                self.expr(body);
                self.write(")");
            }
            Expr::If { condition, then, otherwise, .. } => {
                self.write("(if ");
                self.expr(condition);
                self.write(" then ");
                self.expr(then);
                self.write(" else ");
                self.expr(otherwise);
                self.write(")");
            }
            Expr::Assert { condition, body, .. } => {
                self.write("assert ");
                self.expr(condition);
                self.write("; ");
                self.expr(body);
            }
            Expr::Not { operand, .. } => {
                self.write("(! ");
                self.expr(operand);
                self.write(")");
            }
            Expr::Binary { op, left, right, .. } => self.binary(expr, op, left, right),
            Expr::Call { .. } | Expr::SearchPath { .. } | Expr::Negate { .. } => self.call(expr),
        }
    }

    fn binary(&mut self, expr: &Expr<'_>, op: BinaryOp, left: &Expr<'_>, right: &Expr<'_>) {
        let sign = match op {
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::And => "&&",
            BinaryOp::Or => "||",
            BinaryOp::Implies => "->",
            BinaryOp::Update => "//",
            BinaryOp::Concat => "++",
            BinaryOp::Add => "+",
            BinaryOp::LessEqual | BinaryOp::GreaterEqual => {
                let (first, second) = if op == BinaryOp::LessEqual { (right, left) } else { (left, right) };
                self.write("(! (__lessThan ");
                self.expr(first);
                self.write(" ");
                self.expr(second);
                self.write("))");
                return;
            }
            _ => return self.call(expr),
        };
        self.write("(");
        self.expr(left);
        self.write(" ");
        self.write(sign);
        self.write(" ");
        self.expr(right);
        self.write(")");
    }

    fn call(&mut self, call: &Expr<'_>) {
        self.write("(");
        self.call_inside(call);
        self.write(")");
    }

    /// What stands in the parentheses of a call.
    fn call_inside(&mut self, call: &Expr<'_>) {
        match *call {
            Expr::Call { function, arguments, .. } => {
                if is_call(function) && !self.is_or(arguments) {
                    self.call_inside(function);
                } else {
                    self.expr(function);
                }
                for argument in arguments {
                    self.write(" ");
                    self.expr(argument);
                }
            }
            Expr::SearchPath { text, .. } => {
                self.write("__findFile __nixPath ");
                string(text, &mut self.out);
            }
            Expr::Negate { operand, .. } => {
                self.write("__sub 0 ");
                self.expr(operand);
            }
            Expr::Binary { op, left, right, .. } => {
                let (function, first, second) = match op {
                    BinaryOp::Less => ("__lessThan ", left, right),
                    BinaryOp::Greater => ("__lessThan ", right, left),
                    BinaryOp::Multiply => ("__mul ", left, right),
                    BinaryOp::Divide => ("__div ", left, right),
                    _ => ("__sub ", left, right),
                };
                self.write(function);
                self.expr(first);
                self.write(" ");
                self.expr(second);
            }
            _ => self.expr(call),
        }
    }

    /// Whether these are the arguments of `f or`: the one call that is not merged with a call that is its function.
    fn is_or(&self, arguments: &[&Expr<'_>]) -> bool {
        matches!(arguments, [Expr::Var { name, .. }, ..] if self.names[name.0 as usize] == "or")
    }

    fn parts(&mut self, parts: &[Part<'_>], is_path: bool) {
        self.write("(");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.write(" + ");
            }
            match part {
                Part::Text(text) if is_path && index == 0 => self.out.extend(absolute_path(text, self.base)),
                Part::Text(text) => string(text, &mut self.out),
                Part::Expr { expr, .. } => self.expr(expr),
            }
        }
        self.write(")");
    }

    fn set(&mut self, set: &AttrSet<'_>) {
        self.write(if set.recursive { "rec { " } else { "{ " });
        self.definitions(set);
        self.write("}");
    }

    fn definitions(&mut self, set: &AttrSet<'_>) {
        let mut sorted: Vec<&Attr<'_>> = set.attrs.iter().collect();
        sorted.sort_by_key(|attr| self.names[attr.name.0 as usize]);
        let inherited: Vec<_> =
            sorted.iter().filter(|attr| matches!(attr.value, AttrValue::Inherit(_))).collect();
        if !inherited.is_empty() {
            self.write("inherit");
            for attr in inherited {
                self.write(" ");
                self.name(attr.name);
            }
            self.write("; ");
        }
        self.inherited_from(set, &sorted);
        for attr in sorted {
            if let AttrValue::Plain(value) = attr.value {
                self.name(attr.name);
                self.write(" = ");
                self.expr(value);
                self.write("; ");
            }
        }
        for attr in set.dynamic {
            self.dynamic_name(attr.name);
            self.write(" = ");
            self.expr(attr.value);
            self.write("; ");
        }
    }

    fn inherited_from(&mut self, set: &AttrSet<'_>, sorted: &[&Attr<'_>]) {
        let source = |attr: &Attr<'_>| match attr.value {
            AttrValue::InheritFrom { from } => Some(from),
            _ => None,
        };
        let mut inherited: Vec<_> =
            sorted.iter().filter_map(|attr| Some((source(attr)?, attr.name))).collect();
        inherited.sort_by_key(|(from, _)| *from);
        for group in inherited.chunk_by(|a, b| a.0 == b.0) {
            self.write("inherit (");
            self.expr(set.inherit_from[group[0].0 as usize].expr);
            self.write(")");
            for (_, name) in group {
                self.write(" ");
                self.name(*name);
            }
            self.write("; ");
        }
    }

    fn lambda(&mut self, lambda: &Lambda<'_>) {
        self.write("(");
        if let Some(pattern) = &lambda.pattern {
            self.pattern(pattern);
            if lambda.argument.is_some() {
                self.write(" @ ");
            }
        }
        if let Some(argument) = lambda.argument {
            self.name(argument);
        }
        self.write(": ");
        self.expr(lambda.body);
        self.write(")");
    }

    fn pattern(&mut self, pattern: &Pattern<'_>) {
        self.write("{ ");
        let mut sorted: Vec<_> = pattern.formals.iter().collect();
        sorted.sort_by_key(|formal| self.names[formal.name.0 as usize]);
        for (index, formal) in sorted.iter().enumerate() {
            if index > 0 {
                self.write(", ");
            }
            self.name(formal.name);
            if let Some(default) = formal.default {
                self.write(" ? ");
                self.expr(default);
            }
        }
        if pattern.ellipsis {
            self.write(if sorted.is_empty() { "..." } else { ", ..." });
        }
        self.write(" }");
    }
}

/// As C's `%g`: six significant digits.
fn float(value: f64) -> String {
    let scientific = format!("{value:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        trim(&format!("{value:.*}", (5 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(digits), exponent.abs())
    }
}
