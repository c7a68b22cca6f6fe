//! Code as bytes and back: what the cache of compiled files holds.
//!
//! Names are numbers into a table of the archive and positions are offsets into the source, so an archive means the same in
//! every process; what depends on the process (the order of keys, absolute paths, the values of global names) is
//! made anew on reading. Of a large file most is never evaluated, so an expression whose evaluation is delayed is read when that comes
//! to it. The reader trusts the bytes: [`crate::load`] only hands over what carries a right checksum.

mod read;
mod write;

pub use read::{Extent, Unread, read};
pub use write::write;

/// Changes whenever the meaning of an archive does.
pub const VERSION: &str = "zeval code 6";

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    Null,
    True,
    False,
    Int,
    Float,
    String,
    EmptyList,
    Path,
    PathPrefix,
    Global,
    Local,
    Outer,
    Distant,
    With,
    Select,
    SelectPath,
    HasAttr,
    Attrs,
    RecAttrs,
    List,
    Lambda,
    Call,
    Let,
    LetEnv,
    If,
    Assert,
    Not,
    And,
    Or,
    Implies,
    Equal,
    NotEqual,
    Update,
    Concat,
    Add,
    Subtract,
    Multiply,
    Divide,
    Less,
    Interpolation,
    PathInterpolation,
    Position,
    /// An expression, preceded by its length, that need not be read before it is evaluated.
    Unread,
}

const TAGS: [Tag; 43] = {
    use Tag::*;
    [
        Null,
        True,
        False,
        Int,
        Float,
        String,
        EmptyList,
        Path,
        PathPrefix,
        Global,
        Local,
        Outer,
        Distant,
        With,
        Select,
        SelectPath,
        HasAttr,
        Attrs,
        RecAttrs,
        List,
        Lambda,
        Call,
        Let,
        LetEnv,
        If,
        Assert,
        Not,
        And,
        Or,
        Implies,
        Equal,
        NotEqual,
        Update,
        Concat,
        Add,
        Subtract,
        Multiply,
        Divide,
        Less,
        Interpolation,
        PathInterpolation,
        Position,
        Unread,
    ]
};
