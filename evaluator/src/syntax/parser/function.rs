//! What reaches as far right as it can: functions, `let`, `with`, `assert`, `if`, pipes.

use bstr::BString;

use super::{Operand, Parse, Parser};
use crate::symbol::Symbol;
use crate::syntax::ast::{Expr, Formal, Lambda, NO_POS, Name, Pattern, Pos};
use crate::syntax::bindings::Bindings;
use crate::syntax::error::SyntaxErrorKind;
use crate::syntax::token::{Token, TokenKind};

/// What a `{` turned out to begin.
enum Brace<'a> {
    Pattern(Pattern<'a>),
    /// A set whose first name was read already, or the end of it.
    Set(Box<Bindings<'a>>),
}

impl<'a> Parser<'a, '_> {
    /// An expression in full.
    pub(super) fn function(&mut self) -> Parse<Operand<'a>> {
        self.nested(|parser| {
            let start = parser.token.start;
            let expr = match parser.token.kind {
                TokenKind::Identifier => return parser.name_or_function(),
                TokenKind::LeftBrace => return parser.brace_or_function(),
                TokenKind::Let => return parser.let_in(),
                TokenKind::With => parser.with(start)?,
                TokenKind::Assert => parser.assert(start)?,
                TokenKind::If => parser.if_then_else(start)?,
                _ => return parser.pipes(None),
            };
            Ok(Operand { expr, start })
        })
    }

    fn name_or_function(&mut self) -> Parse<Operand<'a>> {
        let token = self.token;
        self.advance();
        match self.token.kind {
            TokenKind::Colon => self.lambda(token.start, Some(token), None),
            TokenKind::At => {
                self.advance();
                if !self.eat(TokenKind::LeftBrace) {
                    return Err(self.unexpected());
                }
                let pattern = self.pattern(None)?;
                self.lambda(token.start, Some(token), Some(pattern))
            }
            _ => {
                let first = self.variable(token);
                self.pipes(Some(Operand { expr: first, start: token.start }))
            }
        }
    }

    fn brace_or_function(&mut self) -> Parse<Operand<'a>> {
        let start = self.token.start;
        self.advance();
        match self.brace(start)? {
            Brace::Set(bindings) => {
                let expr = self.close_set(bindings, start, false)?;
                self.pipes(Some(Operand { expr, start }))
            }
            Brace::Pattern(pattern) => {
                let mut argument = None;
                if self.eat(TokenKind::At) {
                    if !self.is(TokenKind::Identifier) {
                        return Err(self.unexpected());
                    }
                    argument = Some(self.token);
                    self.advance();
                }
                self.lambda(start, argument, Some(pattern))
            }
        }
    }

    /// What follows a `{` where a function may stand. The `}` of a set is left.
    fn brace(&mut self, start: Pos) -> Parse<Brace<'a>> {
        match self.token.kind {
            TokenKind::Ellipsis => self.pattern(None).map(Brace::Pattern),
            TokenKind::RightBrace => {
                // `{}` is a pattern if `:` or `@` follows. The set's own brace is looked at again if not.
                let brace = self.token;
                self.advance();
                if self.is(TokenKind::Colon) || self.is(TokenKind::At) {
                    return Ok(Brace::Pattern(Pattern { formals: &[], ellipsis: false }));
                }
                self.token = brace;
                self.lexer.set_offset(brace.end as usize);
                Ok(Brace::Set(self.bindings.open()))
            }
            TokenKind::Identifier => {
                let name = self.token;
                self.advance();
                match self.token.kind {
                    TokenKind::Comma | TokenKind::Question | TokenKind::RightBrace => {
                        self.pattern(Some(name)).map(Brace::Pattern)
                    }
                    _ => self.definitions(Some(name)).map(Brace::Set),
                }
            }
            _ => self.definitions(None).map(Brace::Set),
        }
        .inspect(|_| debug_assert!(start < self.token.end))
    }

    /// The rest of a pattern, up to and with its `}`; `first` is a name that was read already.
    fn pattern(&mut self, mut first: Option<Token>) -> Parse<Pattern<'a>> {
        let mark = self.formals.len();
        let mut ellipsis = false;
        loop {
            let token = match first.take() {
                Some(token) => token,
                None if self.is(TokenKind::Identifier) => {
                    let token = self.token;
                    self.advance();
                    token
                }
                None if self.is(TokenKind::Ellipsis) => {
                    self.advance();
                    ellipsis = true;
                    break;
                }
                // `{ }` and `{ a, }`
                None => break,
            };
            let default = if self.eat(TokenKind::Question) { Some(self.function()?.expr) } else { None };
            // Nix's parser makes the symbol when it has read the whole of it, and the order of symbols shows.
            let name = self.names.intern(self.slice(token));
            self.formals.push(Formal { pos: token.start, name, default });
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightBrace)?;
        let formals = self.arena.alloc_slice_copy(&self.formals[mark..]);
        self.formals.truncate(mark);
        Ok(Pattern { formals, ellipsis })
    }

    /// `: body`. The argument's name becomes a symbol after those of the body, as in Nix.
    fn lambda(
        &mut self,
        pos: Pos,
        argument: Option<Token>,
        pattern: Option<Pattern<'a>>,
    ) -> Parse<Operand<'a>> {
        self.expect(TokenKind::Colon)?;
        let body = self.function()?.expr;
        let argument = argument.map(|token| self.names.intern(self.slice(token)));
        if let Some(pattern) = &pattern {
            self.check_formals(pattern, pos, argument)?;
        }
        let lambda = self.arena.alloc(Lambda { pos, argument, pattern, body });
        Ok(Operand { expr: self.alloc(Expr::Lambda(lambda)), start: pos })
    }

    /// Refuses a name that occurs twice: the one that was first seen in the file, at its second place in the pattern.
    fn check_formals(&self, pattern: &Pattern<'a>, pos: Pos, argument: Option<Name>) -> Parse<()> {
        let duplicate = |name: Name, pos: Pos| {
            let name = BString::from(self.names.text(name).to_vec());
            self.error(pos, SyntaxErrorKind::DuplicateFormal { name })
        };
        // Symbols that there are already come first.
        let order =
            |name: Name| (Symbol::find(self.names.text(name)).map_or(u32::MAX, |known| known.0), name);
        let formals = pattern.formals;
        let mut sorted: Vec<(Name, Pos)>;
        let twice = if formals.len() <= 8 {
            let is_repeated = |(at, formal): &(usize, &Formal<'_>)| {
                formals[..*at].iter().any(|earlier| earlier.name == formal.name)
            };
            let repeated = formals.iter().enumerate().filter(is_repeated);
            repeated
                .map(|(_, formal)| (formal.name, formal.pos))
                .min_by_key(|(name, pos)| (order(*name), *pos))
        } else {
            sorted = formals.iter().map(|formal| (formal.name, formal.pos)).collect();
            sorted.sort_unstable_by_key(|(name, pos)| (order(*name), *pos));
            sorted.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1])
        };
        if let Some((name, pos)) = twice {
            return Err(duplicate(name, pos));
        }
        match argument {
            Some(name) if formals.iter().any(|formal| formal.name == name) => Err(duplicate(name, pos)),
            _ => Ok(()),
        }
    }

    fn let_in(&mut self) -> Parse<Operand<'a>> {
        let start = self.token.start;
        self.advance();
        if self.is(TokenKind::LeftBrace) {
            let expr = self.legacy_let(start)?;
            return self.pipes(Some(Operand { expr, start }));
        }
        let bindings = self.definitions(None)?;
        self.expect(TokenKind::In)?;
        let body = self.function()?.expr;
        if bindings.has_dynamic() {
            return Err(self.error(start, SyntaxErrorKind::DynamicInLet));
        }
        let attrs = self.bindings.close(bindings, NO_POS, true);
        Ok(Operand { expr: self.alloc(Expr::Let { pos: NO_POS, attrs, body }), start })
    }

    fn with(&mut self, pos: Pos) -> Parse<&'a Expr<'a>> {
        self.advance();
        let scope = self.function()?.expr;
        self.expect(TokenKind::Semicolon)?;
        let body = self.function()?.expr;
        Ok(self.alloc(Expr::With { pos, scope, body }))
    }

    fn assert(&mut self, pos: Pos) -> Parse<&'a Expr<'a>> {
        self.advance();
        let text_start = self.token.start as usize;
        let condition = self.function()?.expr;
        let text_end = self.token.start as usize;
        self.expect(TokenKind::Semicolon)?;
        let body = self.function()?.expr;
        let condition_text = self.text(self.source[text_start..text_end].trim_ascii_end());
        Ok(self.alloc(Expr::Assert { pos, condition, body, condition_text }))
    }

    fn if_then_else(&mut self, pos: Pos) -> Parse<&'a Expr<'a>> {
        self.advance();
        let condition = self.function()?.expr;
        self.expect(TokenKind::Then)?;
        let then = self.function()?.expr;
        self.expect(TokenKind::Else)?;
        let otherwise = self.function()?.expr;
        Ok(self.alloc(Expr::If { pos, condition, then, otherwise }))
    }

    /// `a |> f |> g`, `g <| f <| a`, or neither. The two kinds do not mix.
    fn pipes(&mut self, first: Option<Operand<'a>>) -> Parse<Operand<'a>> {
        let first = self.operators(first)?;
        match self.token.kind {
            TokenKind::PipeInto => self.pipe_into(first),
            TokenKind::PipeFrom => self.pipe_from(first),
            _ => Ok(first),
        }
    }

    fn pipe_into(&mut self, first: Operand<'a>) -> Parse<Operand<'a>> {
        let mut value = first.expr;
        while self.is(TokenKind::PipeInto) {
            self.check_token()?;
            let pos = self.token.start;
            self.advance();
            let function = self.operators(None)?.expr;
            value = self.call(pos, function, &[value]);
        }
        Ok(Operand { expr: value, start: first.start })
    }

    fn pipe_from(&mut self, first: Operand<'a>) -> Parse<Operand<'a>> {
        let mut functions = Vec::new();
        let mut value = first.expr;
        while self.is(TokenKind::PipeFrom) {
            self.check_token()?;
            functions.push((value, self.token.start));
            self.advance();
            value = self.operators(None)?.expr;
        }
        while let Some((function, pos)) = functions.pop() {
            value = self.call(pos, function, &[value]);
        }
        Ok(Operand { expr: value, start: first.start })
    }
}
