//! The tokens of the language, as Nix's lexer divides the text.

use super::ast::Pos;

/// What a token is. The order is that of the symbols in Nix's own grammar: lists of expected tokens are printed in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TokenKind {
    /// The end of the text; also a NUL byte outside of strings.
    End,
    /// A byte that begins no token.
    Invalid,
    /// A name that is not a keyword.
    Identifier,
    /// Literal text of a string or of an interpolated path.
    StringText,
    /// Literal text of an indented string.
    IndentedText,
    /// `1`
    Int,
    /// `1.5`
    Float,
    /// `./a`
    Path,
    /// `~/a`
    HomePath,
    /// `<a>`
    SearchPath,
    /// Empty: where a path ends.
    PathEnd,
    /// `a:b`
    Uri,
    /// `if`
    If,
    /// `then`
    Then,
    /// `else`
    Else,
    /// `assert`
    Assert,
    /// `with`
    With,
    /// `let`
    Let,
    /// `in`
    In,
    /// `rec`
    Rec,
    /// `inherit`
    Inherit,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    LessEqual,
    /// `>=`
    GreaterEqual,
    /// `//`
    Update,
    /// `++`
    Concat,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `->`
    Implies,
    /// `or`
    OrKeyword,
    /// `<|`
    PipeFrom,
    /// `|>`
    PipeInto,
    /// `${`
    DollarBrace,
    /// `''`, with the rest of its line if that is blank.
    IndentedOpen,
    /// `''`
    IndentedClose,
    /// `...`
    Ellipsis,
    /// Stands before the text when definitions are parsed instead of an expression.
    ReplBindings,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Star,
    /// `/`
    Slash,
    /// `?`
    Question,
    /// `:`
    Colon,
    /// `@`
    At,
    /// `;`
    Semicolon,
    /// `!`
    Bang,
    /// `"`
    Quote,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `.`
    Dot,
    /// `=`
    Assign,
    /// `,`
    Comma,
}

/// A token: its kind and the bytes it covers.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it begins.
    pub start: Pos,
    /// Where it ends.
    pub end: Pos,
}
