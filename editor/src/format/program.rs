//! What of a text is the program: the tree without places, layout and comments, as bytes that are equal for equal programs.

use bumpalo::Bump;
use zeval_evaluator::syntax::{
    self, ParseOptions,
    ast::{Ast, AttrName, AttrSet, AttrValue, Expr, Lambda, Name, Part},
    error::SyntaxError,
};

/// The program that a text is.
pub fn of(text: &str) -> Result<Vec<u8>, SyntaxError> {
    let arena = Bump::new();
    let options = ParseOptions { pipe_operators: true, ..ParseOptions::default() };
    let ast = syntax::parse(text.as_bytes(), &arena, &options)?;
    let mut program = Program { ast: &ast, out: Vec::new() };
    program.expr(ast.root);
    Ok(program.out)
}

struct Program<'a> {
    ast: &'a Ast<'a>,
    out: Vec<u8>,
}

impl<'a> Program<'a> {
    /// A node: what it is and holds itself, then its children.
    fn expr(&mut self, expr: &'a Expr<'a>) {
        match expr {
            Expr::Int(number) => self.leaf(b'i', &number.to_le_bytes()),
            Expr::Float(number) => self.leaf(b'f', &number.to_bits().to_le_bytes()),
            Expr::String(text) => self.parts(b'"', &[Part::Text(text)]),
            Expr::Interpolation { parts, .. } => self.parts(b'"', parts),
            Expr::Path { text, .. } => self.leaf(b'/', text),
            Expr::PathInterpolation { parts, .. } => self.parts(b'/', parts),
            Expr::SearchPath { text, .. } => self.leaf(b'<', text),
            Expr::Var { name, .. } => self.named(b'v', *name),
            Expr::CurPos { .. } => self.out.push(b'_'),
            Expr::Select { path, default, .. } => {
                self.out.extend([b'.', u8::from(default.is_some())]);
                self.path(path);
            }
            Expr::HasAttr { path, .. } => {
                self.out.push(b'?');
                self.path(path);
            }
            Expr::Attrs(set) => self.set(b'{', set),
            Expr::LegacyLet { attrs, .. } => self.set(b'l', attrs),
            Expr::Let { attrs, .. } => self.set(b'L', attrs),
            Expr::List { elements, .. } => self.count(b'[', elements.len()),
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::Call { arguments, .. } => self.count(b'(', arguments.len()),
            Expr::With { .. } => self.out.push(b'w'),
            Expr::If { .. } => self.out.push(b'I'),
            Expr::Assert { .. } => self.out.push(b'a'),
            Expr::Not { .. } => self.out.push(b'!'),
            Expr::Negate { .. } => self.out.push(b'-'),
            Expr::Binary { op, .. } => self.out.extend([b'o', *op as u8]),
        }
        if !matches!(expr, Expr::Interpolation { .. } | Expr::PathInterpolation { .. }) {
            expr.for_each_child(|child| self.expr(child));
        }
    }

    fn count(&mut self, tag: u8, count: usize) {
        self.leaf(tag, &count.to_le_bytes());
    }

    fn leaf(&mut self, tag: u8, bytes: &[u8]) {
        self.out.push(tag);
        self.out.extend(bytes.len().to_le_bytes());
        self.out.extend(bytes);
    }

    fn named(&mut self, tag: u8, name: Name) {
        self.leaf(tag, self.ast.names[name.0 as usize]);
    }

    /// Pieces of text that follow each other are one: how Nix's lexer cuts a text says nothing about its value.
    fn parts(&mut self, tag: u8, parts: &[Part<'a>]) {
        let mut text = Vec::new();
        for part in parts {
            match part {
                Part::Text(piece) => text.extend_from_slice(piece),
                Part::Expr { expr, .. } => {
                    self.leaf(tag, &std::mem::take(&mut text));
                    self.out.push(b'$');
                    self.expr(expr);
                }
            }
        }
        self.leaf(tag, &text);
        self.out.push(b'.');
    }

    fn path(&mut self, path: &[AttrName<'_>]) {
        self.count(b'p', path.len());
        for step in path {
            match step {
                AttrName::Static { name, .. } => self.named(b'n', *name),
                AttrName::Dynamic { .. } => self.out.push(b'$'),
            }
        }
    }

    fn set(&mut self, tag: u8, set: &AttrSet<'a>) {
        self.out.extend([tag, u8::from(set.recursive)]);
        self.count(b'h', set.inherit_from.len());
        self.count(b'd', set.dynamic.len());
        self.count(b's', set.attrs.len());
        for attr in set.attrs {
            self.named(b'n', attr.name);
            match attr.value {
                AttrValue::Plain(_) => self.out.push(b'='),
                AttrValue::Inherit(_) => self.out.push(b'^'),
                AttrValue::InheritFrom { from } => self.leaf(b'^', &from.to_le_bytes()),
            }
        }
    }

    fn lambda(&mut self, lambda: &Lambda<'a>) {
        match lambda.argument {
            Some(name) => self.named(b':', name),
            None => self.out.push(b';'),
        }
        let Some(pattern) = lambda.pattern else { return self.out.push(b'0') };
        self.out.extend([b'{', u8::from(pattern.ellipsis)]);
        self.count(b'n', pattern.formals.len());
        for formal in pattern.formals {
            self.named(b'?', formal.name);
            self.out.push(u8::from(formal.default.is_some()));
        }
    }
}
