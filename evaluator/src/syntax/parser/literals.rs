//! Numbers, strings and paths: what lies between their tokens is read here, byte by byte.

use bstr::{BStr, BString, ByteSlice};

use super::{Parse, Parser};
use crate::syntax::ast::{Expr, LiteralKind, Part, Pos};
use crate::syntax::error::SyntaxErrorKind;
use crate::syntax::lexer::Text;
use crate::syntax::strings::{IndentedPart, NulByte, strip_indentation, unescape};
use crate::syntax::token::TokenKind;

/// A string: literal, or an expression that makes one.
pub(super) enum StringLike<'a> {
    Text(&'a BStr),
    Expr(&'a Expr<'a>),
}

impl<'a> Parser<'a, '_> {
    /// The value of the integer that the token is. It does not go past it.
    pub(super) fn int(&self) -> Parse<i64> {
        let text = self.slice(self.token);
        let value = text
            .iter()
            .try_fold(0_i64, |value, digit| value.checked_mul(10)?.checked_add(i64::from(digit - b'0')));
        value
            .ok_or_else(|| self.error(self.token.start, SyntaxErrorKind::InvalidInteger(BString::from(text))))
    }

    /// The value of the float that the token is. It does not go past it.
    pub(super) fn float(&self) -> Parse<f64> {
        let text = self.slice(self.token);
        let value = str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN);
        // As C's strtod, which reports a range error for these, also for a result that is not normal.
        let is_zero = !text
            .iter()
            .take_while(|byte| !matches!(byte, b'e' | b'E'))
            .any(|byte| matches!(byte, b'1'..=b'9'));
        if value.is_normal() || is_zero {
            return Ok(value);
        }
        Err(self.error(self.token.start, SyntaxErrorKind::InvalidFloat(BString::from(text))))
    }

    /// A `"` string, from its opening quote on.
    pub(super) fn string(&mut self) -> Parse<StringLike<'a>> {
        let start = self.lexer.offset();
        let text = self.lexer.string_text();
        if self.lexer.rest_starts_with(b"\"") {
            let text = self.literal(start, text)?;
            self.lexer.set_offset(self.lexer.offset() + 1);
            self.advance();
            return Ok(StringLike::Text(text));
        }
        let mark = self.parts.len();
        self.text_part(start, text)?;
        while self.lexer.rest_starts_with(b"${") {
            self.interpolation_part()?;
            let start = self.lexer.offset();
            let text = self.lexer.string_text();
            self.text_part(start, text)?;
        }
        if !self.lexer.rest_starts_with(b"\"") {
            return Err(self.unfinished());
        }
        self.lexer.set_offset(self.lexer.offset() + 1);
        self.advance();
        let parts = self.take_parts(mark);
        Ok(StringLike::Expr(self.alloc(Expr::Interpolation { pos: start as Pos, parts })))
    }

    fn literal(&self, start: usize, text: Text) -> Parse<&'a BStr> {
        let bytes = &self.source[start..text.end];
        if !text.escaped {
            return Ok(self.text(bytes));
        }
        unescape(bytes, self.arena)
            .map_err(|NulByte(text)| self.error(start as Pos, SyntaxErrorKind::NulByte(text.to_owned())))
    }

    fn text_part(&mut self, start: usize, text: Text) -> Parse<()> {
        if text.end > start {
            let text = self.literal(start, text)?;
            self.parts.push(Part::Text(text));
        }
        Ok(())
    }

    /// `${e}`, from its dollar on. Leaves the lexer after the brace.
    fn interpolation_part(&mut self) -> Parse<()> {
        let (pos, expr) = self.interpolation()?;
        self.parts.push(Part::Expr { pos, expr });
        Ok(())
    }

    fn interpolation(&mut self) -> Parse<(Pos, &'a Expr<'a>)> {
        let pos = self.lexer.offset();
        self.lexer.set_offset(pos + 2);
        self.advance();
        let expr = self.function()?.expr;
        if !self.is(TokenKind::RightBrace) {
            return Err(self.unexpected());
        }
        Ok((pos as Pos, expr))
    }

    fn take_parts(&mut self, mark: usize) -> &'a [Part<'a>] {
        let parts = self.arena.alloc_slice_copy(&self.parts[mark..]);
        self.parts.truncate(mark);
        parts
    }

    /// A `''` string, from its opening quotes on.
    pub(super) fn indented_string(&mut self) -> Parse<&'a Expr<'a>> {
        let pos = self.token.start;
        let mark = self.indented.len();
        loop {
            let start = self.lexer.offset();
            let text = self.lexer.indented_text();
            if text.end > start {
                let bytes = &self.source[start..text.end];
                if text.escaped {
                    let kind = SyntaxErrorKind::NulByte(BString::from(bytes));
                    return Err(self.error(start as Pos, kind));
                }
                self.indented.push(IndentedPart::Text(bytes));
            } else if self.lexer.rest_starts_with(b"${") {
                let (pos, expr) = self.interpolation()?;
                self.indented.push(IndentedPart::Expr { pos, expr });
            } else if !self.indented_escape()? {
                break;
            }
        }
        if !self.lexer.rest_starts_with(b"''") {
            return Err(self.unfinished());
        }
        self.lexer.set_offset(self.lexer.offset() + 2);
        self.advance();
        Ok(self.strip(pos, mark))
    }

    /// An escape at the lexer's offset, if there is one.
    fn indented_escape(&mut self) -> Parse<bool> {
        let start = self.lexer.offset();
        let Some(length) = self.lexer.indented_escape() else { return Ok(false) };
        let text: &'a [u8] = match self.source[start..start + length] {
            [_, _, b'$'] | [b'$'] => b"$",
            [_, _, b'\''] => b"''",
            [_] => b"'",
            _ => self.literal(start + 2, Text { end: start + length, escaped: true })?,
        };
        self.indented.push(IndentedPart::Escape(text));
        self.lexer.set_offset(start + length);
        Ok(true)
    }

    fn strip(&mut self, pos: Pos, mark: usize) -> &'a Expr<'a> {
        let parts_mark = self.parts.len();
        strip_indentation(&self.indented[mark..], self.arena, &mut self.parts);
        self.indented.truncate(mark);
        match self.parts[parts_mark..] {
            [] => self.alloc(Expr::String(b"".as_bstr())),
            [Part::Text(text)] => {
                self.parts.truncate(parts_mark);
                self.alloc(Expr::String(text))
            }
            // `''${"a"}''` is the literal itself.
            [Part::Expr { expr: literal @ Expr::String(_), .. }] => {
                self.parts.truncate(parts_mark);
                literal
            }
            _ => {
                let parts = self.take_parts(parts_mark);
                self.alloc(Expr::Interpolation { pos, parts })
            }
        }
    }

    /// A path; the token is its beginning.
    pub(super) fn path(&mut self) -> Parse<&'a Expr<'a>> {
        let pos = self.token.start;
        let text = self.text(self.slice(self.token));
        if self.is(TokenKind::HomePath) && self.options.pure {
            return Err(
                self.error(super::super::ast::NO_POS, SyntaxErrorKind::HomePathInPureMode(text.to_owned()))
            );
        }
        match text.first() {
            Some(b'/') => self.note_literal(LiteralKind::AbsolutePath, pos, text),
            Some(b'~') => self.note_literal(LiteralKind::HomePath, pos, text),
            Some(b'.') => {}
            _ => self.note_literal(LiteralKind::ShortPath, pos, text),
        }
        if !text.ends_with(b"/") && !self.lexer.rest_starts_with(b"${") {
            self.advance();
            return Ok(self.alloc(Expr::Path { pos, text }));
        }
        let mark = self.parts.len();
        self.parts.push(Part::Text(text));
        let mut last_start = pos;
        let mut after_slash = text.ends_with(b"/");
        let mut has_expr = false;
        loop {
            if self.lexer.rest_starts_with(b"${") {
                self.interpolation_part()?;
                has_expr = true;
                after_slash = false;
                continue;
            }
            let start = self.lexer.offset();
            let end = self.lexer.path_text();
            if start == end {
                break;
            }
            // Before the first interpolation there is room for one such text (`./a//b${c}`).
            let allowed = has_expr || self.parts.len() == mark + 1;
            let text = &self.source[start..end];
            last_start = start as Pos;
            self.parts.push(Part::Text(self.text(text)));
            after_slash = text.ends_with(b"/");
            if !allowed || (!has_expr && !self.lexer.rest_starts_with(b"${") && !after_slash) {
                return Err(self.unfinished());
            }
        }
        if after_slash {
            // At the end of the text Nix has no further token to point at.
            let at_end = self.lexer.offset() == self.source.len();
            let pos = if at_end { last_start } else { self.lexer.offset() as Pos };
            return Err(self.error(pos, SyntaxErrorKind::TrailingSlash));
        }
        self.advance();
        let parts = self.take_parts(mark);
        Ok(self.alloc(Expr::PathInterpolation { pos, parts }))
    }

    /// The error where a string or path breaks off: what comes is no token of code.
    #[cold]
    fn unfinished(&mut self) -> Box<crate::syntax::error::SyntaxError> {
        self.token.kind = TokenKind::End;
        self.unexpected()
    }
}
