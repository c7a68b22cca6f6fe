//! Operators, by precedence, with a stack of those that wait for their right operand.

use super::{Operand, Parse, Parser};
use crate::syntax::ast::{BinaryOp, Expr, NO_POS, Pos};
use crate::syntax::token::TokenKind;

/// How tightly operators bind, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Implies,
    Or,
    And,
    Equality,
    Comparison,
    Update,
    Not,
    Sum,
    Product,
    Concat,
    HasAttr,
    Negate,
}

#[derive(PartialEq, Eq)]
enum Associativity {
    Left,
    Right,
    None,
}

impl Precedence {
    fn associativity(self) -> Associativity {
        match self {
            Precedence::Equality | Precedence::Comparison | Precedence::HasAttr | Precedence::Negate => {
                Associativity::None
            }
            Precedence::Implies | Precedence::Update | Precedence::Concat => Associativity::Right,
            _ => Associativity::Left,
        }
    }
}

/// An operator that waits for its right operand.
#[derive(Clone, Copy)]
pub(super) struct Pending<'a> {
    precedence: Precedence,
    pos: Pos,
    kind: PendingKind<'a>,
}

#[derive(Clone, Copy)]
enum PendingKind<'a> {
    Not,
    Negate,
    Binary { op: BinaryOp, left: Operand<'a> },
}

fn binary(kind: TokenKind) -> Option<(BinaryOp, Precedence)> {
    Some(match kind {
        TokenKind::Implies => (BinaryOp::Implies, Precedence::Implies),
        TokenKind::Or => (BinaryOp::Or, Precedence::Or),
        TokenKind::And => (BinaryOp::And, Precedence::And),
        TokenKind::Equal => (BinaryOp::Equal, Precedence::Equality),
        TokenKind::NotEqual => (BinaryOp::NotEqual, Precedence::Equality),
        TokenKind::Less => (BinaryOp::Less, Precedence::Comparison),
        TokenKind::LessEqual => (BinaryOp::LessEqual, Precedence::Comparison),
        TokenKind::Greater => (BinaryOp::Greater, Precedence::Comparison),
        TokenKind::GreaterEqual => (BinaryOp::GreaterEqual, Precedence::Comparison),
        TokenKind::Update => (BinaryOp::Update, Precedence::Update),
        TokenKind::Plus => (BinaryOp::Add, Precedence::Sum),
        TokenKind::Minus => (BinaryOp::Subtract, Precedence::Sum),
        TokenKind::Star => (BinaryOp::Multiply, Precedence::Product),
        TokenKind::Slash => (BinaryOp::Divide, Precedence::Product),
        TokenKind::Concat => (BinaryOp::Concat, Precedence::Concat),
        _ => return None,
    })
}

impl<'a> Parser<'a, '_> {
    /// Operands and operators; `first` is an operand's beginning that was read already.
    pub(super) fn operators(&mut self, mut first: Option<Operand<'a>>) -> Parse<Operand<'a>> {
        let mark = self.pending.len();
        loop {
            if first.is_none() {
                self.prefix_operators();
            }
            let mut operand = self.application(first.take())?;
            while self.is(TokenKind::Question) {
                operand = self.reduce(mark, operand, Precedence::HasAttr)?;
                self.advance();
                let path = self.attr_path()?;
                let expr = Expr::HasAttr { pos: operand.expr.pos(), subject: operand.expr, path };
                operand.expr = self.alloc(expr);
            }
            let Some((op, precedence)) = binary(self.token.kind) else {
                return Ok(self.reduce_all(mark, operand));
            };
            let left = self.reduce(mark, operand, precedence)?;
            let kind = PendingKind::Binary { op, left };
            self.pending.push(Pending { precedence, pos: self.token.start, kind });
            self.advance();
        }
    }

    fn prefix_operators(&mut self) {
        loop {
            let (precedence, kind) = match self.token.kind {
                TokenKind::Bang => (Precedence::Not, PendingKind::Not),
                TokenKind::Minus => (Precedence::Negate, PendingKind::Negate),
                _ => return,
            };
            self.pending.push(Pending { precedence, pos: self.token.start, kind });
            self.advance();
        }
    }

    /// Applies the pending operators down to `mark` that bind tighter than the operator to come, which is the token.
    fn reduce(&mut self, mark: usize, mut operand: Operand<'a>, coming: Precedence) -> Parse<Operand<'a>> {
        while self.pending.len() > mark
            && let Some(top) = self.pending.last().copied()
        {
            if top.precedence < coming {
                break;
            }
            if top.precedence == coming {
                match coming.associativity() {
                    Associativity::Left => {}
                    Associativity::Right => break,
                    Associativity::None => return Err(self.unexpected()),
                }
            }
            self.pending.pop();
            operand = self.apply(top, operand);
        }
        Ok(operand)
    }

    fn reduce_all(&mut self, mark: usize, mut operand: Operand<'a>) -> Operand<'a> {
        while self.pending.len() > mark
            && let Some(top) = self.pending.pop()
        {
            operand = self.apply(top, operand);
        }
        operand
    }

    fn apply(&self, pending: Pending<'a>, right: Operand<'a>) -> Operand<'a> {
        let pos = pending.pos;
        let (expr, start) = match pending.kind {
            PendingKind::Not => (Expr::Not { pos: right.expr.pos(), operand: right.expr }, pos),
            PendingKind::Negate => (Expr::Negate { pos, operand: right.expr }, pos),
            PendingKind::Binary { op, left } => {
                // Nix keeps no position for these two.
                let is_equality = matches!(op, BinaryOp::Equal | BinaryOp::NotEqual);
                let expr = Expr::Binary {
                    pos: if is_equality { NO_POS } else { pos },
                    left_start: left.start,
                    right_start: right.start,
                    op,
                    left: left.expr,
                    right: right.expr,
                };
                (expr, left.start)
            }
        };
        Operand { expr: self.alloc(expr), start }
    }
}
