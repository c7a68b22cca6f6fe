//! Application, selection and what stands at the bottom of the grammar.

use super::literals::StringLike;
use super::{Operand, Parse, Parser};
use bstr::BStr;

use crate::syntax::CursedOr;
use crate::syntax::ast::{BinaryOp, Expr, Literal, LiteralKind, NO_POS, Pos};
use crate::syntax::token::{Token, TokenKind};

/// Arguments are merged into one call up to this number, so that `((f a) b) c ...` does not take time by the square.
const MAX_MERGED_ARGUMENTS: usize = 255;

/// Whether an operand begins with such a token.
fn begins_operand(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Identifier
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Quote
            | TokenKind::IndentedOpen
            | TokenKind::Path
            | TokenKind::HomePath
            | TokenKind::SearchPath
            | TokenKind::Uri
            | TokenKind::LeftParen
            | TokenKind::Let
            | TokenKind::Rec
            | TokenKind::LeftBrace
            | TokenKind::LeftBracket
    )
}

impl<'a> Parser<'a, '_> {
    /// `f a b`
    pub(super) fn application(&mut self, first: Option<Operand<'a>>) -> Parse<Operand<'a>> {
        let function = self.select(first)?;
        self.cursed_or = None;
        if !begins_operand(self.token.kind) {
            return Ok(function);
        }
        let mark = self.exprs.len();
        while begins_operand(self.token.kind) {
            self.element()?;
        }
        let stack = std::mem::take(&mut self.exprs);
        let expr = self.call(function.start, function.expr, &stack[mark..]);
        self.exprs = stack;
        self.exprs.truncate(mark);
        Ok(Operand { expr, start: function.start })
    }

    /// Pushes an argument or a list's element.
    fn element(&mut self) -> Parse<()> {
        let element = self.select(None)?.expr;
        self.warn_of_cursed_or();
        self.exprs.push(element);
        Ok(())
    }

    fn warn_of_cursed_or(&mut self) {
        self.warnings.extend(self.cursed_or.take());
    }

    /// A call at `pos`, or more arguments for a call that `function` already is: Nix adds them to it even if it is in
    /// parentheses.
    pub(super) fn call(&self, pos: Pos, function: &'a Expr<'a>, arguments: &[&'a Expr<'a>]) -> &'a Expr<'a> {
        let call = match *function {
            Expr::Call { pos, function, arguments: earlier }
                if earlier.len() + arguments.len() <= MAX_MERGED_ARGUMENTS =>
            {
                let all = earlier.iter().chain(arguments).copied();
                let arguments = self
                    .arena
                    .alloc_slice_fill_iter(ExactChain { iter: all, length: earlier.len() + arguments.len() });
                Expr::Call { pos, function, arguments }
            }
            _ => {
                let pos = if is_call(function) { function.pos() } else { pos };
                Expr::Call { pos, function, arguments: self.arena.alloc_slice_copy(arguments) }
            }
        };
        self.alloc(call)
    }

    /// `a.b.c or d`
    fn select(&mut self, first: Option<Operand<'a>>) -> Parse<Operand<'a>> {
        let start = first.map_or(self.token.start, |operand| operand.start);
        let subject = match first {
            Some(operand) => operand.expr,
            None => self.operand()?,
        };
        self.cursed_or = None;
        let expr = match self.token.kind {
            TokenKind::Dot => {
                self.advance();
                let path = self.attr_path()?;
                let default = if self.eat(TokenKind::OrKeyword) { Some(self.default()?) } else { None };
                self.alloc(Expr::Select { pos: start, subject, path, default })
            }
            // Kept for old expressions that have a function of that name: `map or [ ]`.
            TokenKind::OrKeyword => {
                let end = self.token.end;
                self.advance();
                let or = self.alloc(Expr::Var { pos: start, name: self.or });
                self.cursed_or = Some(CursedOr { start, end });
                let arguments = self.arena.alloc_slice_copy(&[or]);
                self.alloc(Expr::Call { pos: start, function: subject, arguments })
            }
            _ => subject,
        };
        Ok(Operand { expr, start })
    }

    fn default(&mut self) -> Parse<&'a Expr<'a>> {
        let default = self.nested(|parser| parser.select(None))?;
        self.warn_of_cursed_or();
        Ok(default.expr)
    }

    fn operand(&mut self) -> Parse<&'a Expr<'a>> {
        let token = self.token;
        match token.kind {
            TokenKind::Identifier => {
                self.advance();
                Ok(self.variable(token))
            }
            TokenKind::Quote => Ok(match self.string()? {
                StringLike::Text(text) => self.alloc(Expr::String(text)),
                StringLike::Expr(expr) => expr,
            }),
            TokenKind::LeftParen => {
                self.advance();
                let inner = self.function()?.expr;
                self.expect(TokenKind::RightParen)?;
                Ok(inner)
            }
            TokenKind::LeftBrace => self.set(token.start, false),
            TokenKind::LeftBracket => self.nested(Self::list),
            TokenKind::Path | TokenKind::HomePath => self.path(),
            TokenKind::Int => {
                let value = self.int()?;
                self.advance();
                Ok(self.alloc(Expr::Int(value)))
            }
            TokenKind::IndentedOpen => self.indented_string(),
            TokenKind::Rec => {
                self.advance();
                self.set(token.start, true)
            }
            TokenKind::Let => {
                self.advance();
                self.legacy_let(token.start)
            }
            TokenKind::Float => {
                let value = self.float()?;
                self.advance();
                Ok(self.alloc(Expr::Float(value)))
            }
            TokenKind::SearchPath => {
                self.advance();
                let text = self.text(&self.source[token.start as usize + 1..token.end as usize - 1]);
                Ok(self.alloc(Expr::SearchPath { pos: token.start, text }))
            }
            TokenKind::Uri => {
                self.advance();
                let text = self.text(self.slice(token));
                self.note_literal(LiteralKind::Url, token.start, text);
                Ok(self.alloc(Expr::String(text)))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Remembers a literal if they were asked for.
    pub(super) fn note_literal(&mut self, kind: LiteralKind, pos: Pos, text: &'a BStr) {
        if self.options.literals {
            self.literals.push(Literal { kind, pos, text });
        }
    }

    /// The variable that the token names.
    pub(super) fn variable(&mut self, token: Token) -> &'a Expr<'a> {
        let text = self.slice(token);
        let pos = token.start;
        let expr = match text {
            b"__curPos" => Expr::CurPos { pos },
            _ => Expr::Var { pos, name: self.names.intern(text) },
        };
        self.alloc(expr)
    }

    fn list(&mut self) -> Parse<&'a Expr<'a>> {
        self.advance();
        let mark = self.exprs.len();
        while begins_operand(self.token.kind) {
            self.element()?;
        }
        self.expect(TokenKind::RightBracket)?;
        let elements = self.arena.alloc_slice_copy(&self.exprs[mark..]);
        self.exprs.truncate(mark);
        let pos = elements.first().map_or(NO_POS, |first| first.pos());
        Ok(self.alloc(Expr::List { pos, elements }))
    }

    /// `{ ... }`, from its brace on.
    fn set(&mut self, start: Pos, recursive: bool) -> Parse<&'a Expr<'a>> {
        self.expect(TokenKind::LeftBrace)?;
        let bindings = self.definitions(None)?;
        self.close_set(bindings, start, recursive)
    }

    /// `let { ... }`, from its brace on.
    pub(super) fn legacy_let(&mut self, start: Pos) -> Parse<&'a Expr<'a>> {
        self.expect(TokenKind::LeftBrace)?;
        let bindings = self.definitions(None)?;
        self.expect(TokenKind::RightBrace)?;
        let attrs = self.bindings.close(bindings, start, true);
        Ok(self.alloc(Expr::LegacyLet { pos: NO_POS, attrs }))
    }
}

/// What is a call to Nix's parser, so that further arguments are added to it.
pub(in crate::syntax) fn is_call(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Call { .. } | Expr::SearchPath { .. } | Expr::Negate { .. } => true,
        Expr::Binary { op, .. } => matches!(
            op,
            BinaryOp::Less | BinaryOp::Greater | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide
        ),
        _ => false,
    }
}

/// A chained iterator that knows its length.
struct ExactChain<I> {
    iter: I,
    length: usize,
}

impl<I: Iterator> Iterator for ExactChain<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.length = self.length.saturating_sub(1);
        self.iter.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.length, Some(self.length))
    }
}

impl<I: Iterator> ExactSizeIterator for ExactChain<I> {}
