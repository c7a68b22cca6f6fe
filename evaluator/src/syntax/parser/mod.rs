//! Recursive descent over the tokens, one token ahead. Operators are parsed with explicit stacks, so that long chains of
//! them do not nest; what does nest is counted and limited.
//!
//! Errors of the lexer and of meaning come in the order in which Nix's bottom-up parser raises them: a definition is checked
//! when its `;` is read, a pattern after the function's body.

mod definitions;
mod function;
mod literals;
mod operand;
mod operators;

use bstr::{BStr, ByteSlice};
use bumpalo::Bump;

use super::ast::{Ast, AttrName, Expr, Formal, Literal, Name, Part, Pos};
use super::bindings::BindingsPool;
use super::diagnose;
use super::error::{SyntaxError, SyntaxErrorKind};
use super::lexer::Lexer;
use super::names::Names;
use super::strings::IndentedPart;
use super::token::{Token, TokenKind};
use super::{CursedOr, MAX_DEPTH, ParseOptions};
pub(super) use operand::is_call;
use operators::Pending;

/// An error is rare and large; a box keeps the results of all parsing functions small.
type Parse<T> = Result<T, Box<SyntaxError>>;

/// An expression and where its text begins, parentheses included.
#[derive(Clone, Copy)]
struct Operand<'a> {
    expr: &'a Expr<'a>,
    start: Pos,
}

pub(super) struct Parser<'a, 'o> {
    source: &'a [u8],
    arena: &'a Bump,
    options: &'o ParseOptions,
    lexer: Lexer<'a>,
    /// The token to be looked at next. The lexer stands at its end.
    token: Token,
    names: Names<'a>,
    or: Name,
    depth: u32,
    /// Definitions were asked for instead of an expression.
    is_definitions: bool,
    bindings: BindingsPool<'a>,
    warnings: Vec<CursedOr>,
    literals: Vec<Literal<'a>>,
    /// Set by `f or` until it is known whether it stands where its meaning will change.
    cursed_or: Option<CursedOr>,
    // Stacks for lists under construction. Each function leaves them as it found them.
    exprs: Vec<&'a Expr<'a>>,
    path: Vec<AttrName<'a>>,
    parts: Vec<Part<'a>>,
    indented: Vec<IndentedPart<'a>>,
    formals: Vec<Formal<'a>>,
    pending: Vec<Pending<'a>>,
}

impl<'a, 'o> Parser<'a, 'o> {
    pub(super) fn new(source: &'a [u8], arena: &'a Bump, options: &'o ParseOptions) -> Self {
        let mut names = Names::with_capacity(source.len() / 64);
        let or = names.intern(b"or");
        Parser {
            source,
            arena,
            options,
            lexer: Lexer::new(source),
            token: Token { kind: TokenKind::End, start: 0, end: 0 },
            names,
            or,
            depth: 0,
            is_definitions: false,
            bindings: BindingsPool::new(arena),
            warnings: Vec::new(),
            literals: Vec::new(),
            cursed_or: None,
            exprs: Vec::new(),
            path: Vec::new(),
            parts: Vec::new(),
            indented: Vec::new(),
            formals: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Parses the whole text as one expression.
    pub(super) fn file(mut self) -> Parse<Ast<'a>> {
        self.advance();
        let root = self.function().map_err(|error| self.with_warnings(error))?.expr;
        self.finish(root)
    }

    /// An error and what was to be warned of before.
    #[cold]
    fn with_warnings(&mut self, mut error: Box<SyntaxError>) -> Box<SyntaxError> {
        error.warnings = std::mem::take(&mut self.warnings);
        error
    }

    /// Parses the whole text as definitions (`a = 1; inherit b;`), as a repl takes them: the last needs no semicolon.
    pub(super) fn definitions_only(mut self) -> Parse<Ast<'a>> {
        self.is_definitions = true;
        self.advance();
        if self.is(TokenKind::End) {
            return Err(self.unexpected());
        }
        let set = self.definitions(None)?;
        let root = self.arena.alloc(Expr::Attrs(self.bindings.close(set, super::ast::NO_POS, false)));
        self.finish(root)
    }

    fn finish(mut self, root: &'a Expr<'a>) -> Parse<Ast<'a>> {
        if self.token.kind != TokenKind::End {
            let error = self.unexpected();
            return Err(self.with_warnings(error));
        }
        Ok(Ast { root, names: self.names.into_texts(), warnings: self.warnings, literals: self.literals })
    }

    fn advance(&mut self) {
        self.token = self.lexer.code();
    }

    fn is(&self, kind: TokenKind) -> bool {
        self.token.kind == kind
    }

    /// Goes past the token if it is of this kind.
    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.is(kind);
        if found {
            self.advance();
        }
        found
    }

    /// Goes past a token that must be of this kind.
    fn expect(&mut self, kind: TokenKind) -> Parse<()> {
        if self.eat(kind) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn slice(&self, token: Token) -> &'a [u8] {
        &self.source[token.start as usize..token.end as usize]
    }

    /// The name that the token spells. It does not go past it.
    fn name(&mut self) -> Name {
        let text = self.slice(self.token);
        self.names.intern(text)
    }

    fn alloc(&self, expr: Expr<'a>) -> &'a Expr<'a> {
        self.arena.alloc(expr)
    }

    fn text(&self, bytes: &'a [u8]) -> &'a BStr {
        bytes.as_bstr()
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(self.token.start, SyntaxErrorKind::TooDeep));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    #[cold]
    fn error(&self, pos: Pos, kind: SyntaxErrorKind) -> Box<SyntaxError> {
        Box::new(SyntaxError { pos, kind, warnings: Vec::new() })
    }

    /// The error for a token that cannot stand where it does. What is wrong with the token itself goes first.
    #[cold]
    fn unexpected(&mut self) -> Box<SyntaxError> {
        if let Err(error) = self.check_token() {
            return error;
        }
        let error = diagnose::syntax_error(self.source, self.token, self.is_definitions);
        debug_assert!(
            self.is(TokenKind::End) || error.pos == self.token.start,
            "{error:?}, {:?}",
            self.token
        );
        Box::new(error)
    }

    /// Raises what Nix's lexer would have raised for the token.
    #[cold]
    fn check_token(&mut self) -> Parse<()> {
        match self.token.kind {
            TokenKind::Int => self.int().map(drop),
            TokenKind::Float => self.float().map(drop),
            TokenKind::PipeFrom | TokenKind::PipeInto if !self.options.pipe_operators => {
                Err(self.error(self.token.start, SyntaxErrorKind::PipeOperatorsDisabled))
            }
            _ => Ok(()),
        }
    }
}
