//! Text to tree: the lexer, the parser and the abstract syntax.

pub mod ast;
mod automaton;
mod bindings;
mod bytes;
mod diagnose;
pub mod doc;
pub mod error;
mod grammar;
mod lexer;
mod names;
mod parser;
pub mod print;
mod strings;
mod token;
mod tokens;

use bumpalo::Bump;

use ast::{Ast, Pos};
use error::{SyntaxError, SyntaxErrorKind};
use parser::Parser;

/// How deeply expressions may nest. A level takes up to a few kilobytes of stack, here and in the passes that follow.
pub const MAX_DEPTH: u32 = 100_000;

/// What of the language is on.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// `|>` and `<|`, Nix's experimental feature `pipe-operators`.
    pub pipe_operators: bool,
    /// Refuse paths into the home folder (`~/a`), as pure evaluation does.
    pub pure: bool,
    /// Collect URL and path literals, for lints.
    pub literals: bool,
}

/// A place where `or` is used as a name in a way that Nix warns of: as an argument or an element that is not in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursedOr {
    /// Where the expression begins that ends in `or`.
    pub start: Pos,
    /// Where it ends.
    pub end: Pos,
}

/// Parses a file. Names, strings and the tree borrow from `source` and `arena`.
///
/// It recurses up to [`MAX_DEPTH`] levels deep: call it on a thread with a large stack.
pub fn parse<'a>(source: &'a [u8], arena: &'a Bump, options: &ParseOptions) -> Result<Ast<'a>, SyntaxError> {
    check_length(source)?;
    Parser::new(source, arena, options).file().map_err(|error| *error)
}

/// Parses definitions without braces (`a = 1; inherit b;`), as the repl takes them, to a set.
pub fn parse_definitions<'a>(
    source: &'a [u8],
    arena: &'a Bump,
    options: &ParseOptions,
) -> Result<Ast<'a>, SyntaxError> {
    check_length(source)?;
    Parser::new(source, arena, options).definitions_only().map_err(|error| *error)
}

fn check_length(source: &[u8]) -> Result<(), SyntaxError> {
    if source.len() < Pos::MAX as usize {
        return Ok(());
    }
    Err(SyntaxError { pos: 0, kind: SyntaxErrorKind::TooLong, warnings: Vec::new() })
}
