//! Text to tree: the lexer, the parser and the abstract syntax.

pub mod ast;
