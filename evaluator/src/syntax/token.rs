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
    /// `.`
    Dot,
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

impl TokenKind {
    /// All kinds in order, each with the name that Nix's errors call it by.
    pub const NAMES: [(TokenKind, &'static str); 59] = [
        (TokenKind::End, "end of file"),
        (TokenKind::Invalid, "invalid token"),
        (TokenKind::Identifier, "identifier"),
        (TokenKind::StringText, "string"),
        (TokenKind::IndentedText, "indented string"),
        (TokenKind::Int, "integer"),
        (TokenKind::Float, "floating-point literal"),
        (TokenKind::Path, "path"),
        (TokenKind::HomePath, "'~/…' path"),
        (TokenKind::SearchPath, "'<…>' path"),
        (TokenKind::PathEnd, "end of path"),
        (TokenKind::Uri, "URI"),
        (TokenKind::If, "'if'"),
        (TokenKind::Then, "'then'"),
        (TokenKind::Else, "'else'"),
        (TokenKind::Assert, "'assert'"),
        (TokenKind::With, "'with'"),
        (TokenKind::Let, "'let'"),
        (TokenKind::In, "'in'"),
        (TokenKind::Rec, "'rec'"),
        (TokenKind::Inherit, "'inherit'"),
        (TokenKind::Equal, "'=='"),
        (TokenKind::NotEqual, "'!='"),
        (TokenKind::LessEqual, "'<='"),
        (TokenKind::GreaterEqual, "'>='"),
        (TokenKind::Update, "'//'"),
        (TokenKind::Concat, "'++'"),
        (TokenKind::And, "'&&'"),
        (TokenKind::Or, "'||'"),
        (TokenKind::Implies, "'->'"),
        (TokenKind::OrKeyword, "'or'"),
        (TokenKind::PipeFrom, "'<|'"),
        (TokenKind::PipeInto, "'|>'"),
        (TokenKind::DollarBrace, "'${'"),
        (TokenKind::IndentedOpen, "start of an indented string"),
        (TokenKind::IndentedClose, "end of an indented string"),
        (TokenKind::Ellipsis, "'...'"),
        (TokenKind::ReplBindings, "start of REPL bindings"),
        (TokenKind::Less, "'<'"),
        (TokenKind::Greater, "'>'"),
        (TokenKind::Plus, "'+'"),
        (TokenKind::Minus, "'-'"),
        (TokenKind::Star, "'*'"),
        (TokenKind::Slash, "'/'"),
        (TokenKind::Question, "'?'"),
        (TokenKind::Colon, "':'"),
        (TokenKind::At, "'@'"),
        (TokenKind::Semicolon, "';'"),
        (TokenKind::Bang, "'!'"),
        (TokenKind::Dot, "'.'"),
        (TokenKind::Quote, "'\"'"),
        (TokenKind::LeftParen, "'('"),
        (TokenKind::RightParen, "')'"),
        (TokenKind::LeftBrace, "'{'"),
        (TokenKind::RightBrace, "'}'"),
        (TokenKind::LeftBracket, "'['"),
        (TokenKind::RightBracket, "']'"),
        (TokenKind::Assign, "'='"),
        (TokenKind::Comma, "','"),
    ];

    /// What Nix's errors call it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}
