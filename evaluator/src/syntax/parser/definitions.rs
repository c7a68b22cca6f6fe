//! The definitions of a set or a `let`, and attribute paths.

use bstr::{BString, ByteSlice};

use super::literals::StringLike;
use super::{Parse, Parser};
use crate::syntax::MAX_DEPTH;
use crate::syntax::ast::{AttrName, AttrValue, Expr, InheritSource, Pos};
use crate::syntax::bindings::{Bindings, Duplicate};
use crate::syntax::error::{SyntaxError, SyntaxErrorKind};
use crate::syntax::print;
use crate::syntax::token::{Token, TokenKind};

impl<'a> Parser<'a, '_> {
    /// Definitions up to something else; `first` is a name that was read already and begins the first one.
    pub(super) fn definitions(&mut self, mut first: Option<Token>) -> Parse<Box<Bindings<'a>>> {
        let mut bindings = self.bindings.open();
        loop {
            match self.token.kind {
                _ if first.is_some() => self.definition(first.take(), &mut bindings)?,
                TokenKind::Identifier | TokenKind::OrKeyword | TokenKind::Quote | TokenKind::DollarBrace => {
                    self.definition(None, &mut bindings)?;
                }
                TokenKind::Inherit => self.inherit(&mut bindings)?,
                _ => return Ok(bindings),
            }
        }
    }

    /// Ends a set that began at `start`.
    pub(super) fn close_set(
        &mut self,
        bindings: Box<Bindings<'a>>,
        start: Pos,
        recursive: bool,
    ) -> Parse<&'a Expr<'a>> {
        self.expect(TokenKind::RightBrace)?;
        let set = self.bindings.close(bindings, start, recursive);
        Ok(self.alloc(Expr::Attrs(set)))
    }

    /// `a.b.c = e;`
    fn definition(&mut self, first: Option<Token>, bindings: &mut Bindings<'a>) -> Parse<()> {
        let pos = first.map_or(self.token.start, |token| token.start);
        let mark = self.path.len();
        self.push_path(first)?;
        self.expect(TokenKind::Assign)?;
        let value = self.function()?.expr;
        if !self.ends_definition() {
            return Err(self.unexpected());
        }
        let defined = self.bindings.define(bindings, &self.path[mark..], pos, value);
        defined.map_err(|duplicate| self.duplicate(&duplicate))?;
        self.path.truncate(mark);
        self.advance();
        Ok(())
    }

    /// A semicolon; the last definition that a repl takes may go without.
    fn ends_definition(&self) -> bool {
        self.is(TokenKind::Semicolon) || self.is_definitions && self.is(TokenKind::End)
    }

    /// `inherit a b;` and `inherit (e) a b;`
    fn inherit(&mut self, bindings: &mut Bindings<'a>) -> Parse<()> {
        self.advance();
        let mut source = None;
        if self.eat(TokenKind::LeftParen) {
            let pos = self.token.start;
            source = Some(InheritSource { pos, expr: self.function()?.expr });
            self.expect(TokenKind::RightParen)?;
        }
        let mark = self.path.len();
        while begins_attr(self.token.kind) {
            let attr = self.attr()?;
            if let AttrName::Dynamic { pos, .. } = attr {
                return Err(self.error(pos, SyntaxErrorKind::DynamicInInherit));
            }
            self.path.push(attr);
        }
        if !self.ends_definition() {
            return Err(self.unexpected());
        }
        let from = source.map(|source| bindings.inherit_from(source));
        for index in mark..self.path.len() {
            let AttrName::Static { pos, name } = self.path[index] else { continue };
            let value = match from {
                Some(from) => AttrValue::InheritFrom { from },
                None => AttrValue::Inherit(self.alloc(Expr::Var { pos, name })),
            };
            if let Err(first) = bindings.inherit(name, pos, value) {
                let path = vec![self.path[index]];
                return Err(self.duplicate(&Duplicate { path, pos, first }));
            }
        }
        self.path.truncate(mark);
        self.advance();
        Ok(())
    }

    #[cold]
    fn duplicate(&self, duplicate: &Duplicate<'a>) -> Box<SyntaxError> {
        let path = print::attr_path(&duplicate.path, self.names.texts());
        let path = BString::from(path);
        self.error(duplicate.pos, SyntaxErrorKind::DuplicateAttribute { path, first: duplicate.first })
    }

    /// `a.b.c`
    pub(super) fn attr_path(&mut self) -> Parse<&'a [AttrName<'a>]> {
        let mark = self.path.len();
        self.push_path(None)?;
        let path = self.arena.alloc_slice_copy(&self.path[mark..]);
        self.path.truncate(mark);
        Ok(path)
    }

    fn push_path(&mut self, first: Option<Token>) -> Parse<()> {
        let mark = self.path.len();
        let attr = match first {
            Some(token) => AttrName::Static { pos: token.start, name: self.names.intern(self.slice(token)) },
            None => self.attr()?,
        };
        self.path.push(attr);
        while self.eat(TokenKind::Dot) {
            if self.path.len() - mark >= MAX_DEPTH as usize {
                return Err(self.error(self.token.start, SyntaxErrorKind::TooDeep));
            }
            let attr = self.attr()?;
            self.path.push(attr);
        }
        Ok(())
    }

    fn attr(&mut self) -> Parse<AttrName<'a>> {
        let pos = self.token.start;
        match self.token.kind {
            TokenKind::Identifier | TokenKind::OrKeyword => {
                let name = self.name();
                self.advance();
                Ok(AttrName::Static { pos, name })
            }
            TokenKind::Quote => Ok(match self.string()? {
                StringLike::Text(text) => AttrName::Static { pos, name: self.names.intern(text.as_bytes()) },
                StringLike::Expr(expr) => AttrName::Dynamic { pos, expr },
            }),
            TokenKind::DollarBrace => {
                self.advance();
                let expr = self.function()?.expr;
                self.expect(TokenKind::RightBrace)?;
                Ok(match expr {
                    Expr::String(text) => AttrName::Static { pos, name: self.names.intern(text.as_bytes()) },
                    expr => AttrName::Dynamic { pos, expr },
                })
            }
            _ => Err(self.unexpected()),
        }
    }
}

fn begins_attr(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Identifier | TokenKind::OrKeyword | TokenKind::Quote | TokenKind::DollarBrace)
}
