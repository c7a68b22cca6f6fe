//! Sets of bytes, and the names POSIX has for classes and characters.

/// A set of byte values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    pub const EMPTY: ByteSet = ByteSet([0; 4]);

    pub fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    #[inline]
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    pub fn insert_where(&mut self, condition: impl Fn(u8) -> bool) {
        (0..=u8::MAX).filter(|&b| condition(b)).for_each(|b| self.insert(b));
    }

    pub fn union(&mut self, other: &ByteSet) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    #[must_use]
    pub fn complement(&self) -> ByteSet {
        ByteSet(self.0.map(|word| !word))
    }

    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The smallest member.
    pub fn first(&self) -> Option<u8> {
        (0..=u8::MAX).find(|&b| self.contains(b))
    }
}

impl std::fmt::Debug for ByteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members: Vec<u8> = (0..=u8::MAX).filter(|&b| self.contains(b)).collect();
        write!(f, "[{}]", members.escape_ascii())
    }
}

/// The members of `[:name:]`, in the C locale. Names are taken in either case; `d`, `s` and `w` are libstdc++'s.
pub fn named_class(name: &[u8]) -> Option<ByteSet> {
    let member: fn(u8) -> bool = match name.to_ascii_lowercase().as_slice() {
        b"alnum" => |b| b.is_ascii_alphanumeric(),
        b"alpha" => |b| b.is_ascii_alphabetic(),
        b"blank" => |b| b == b' ' || b == b'\t',
        b"cntrl" => |b| b.is_ascii_control(),
        b"d" | b"digit" => |b| b.is_ascii_digit(),
        b"graph" => |b| b.is_ascii_graphic(),
        b"lower" => |b| b.is_ascii_lowercase(),
        b"print" => |b| b.is_ascii_graphic() || b == b' ',
        b"punct" => |b| b.is_ascii_punctuation(),
        b"s" | b"space" => |b| b == b' ' || (b'\t'..=b'\r').contains(&b),
        b"upper" => |b| b.is_ascii_uppercase(),
        b"w" => |b| b.is_ascii_alphanumeric() || b == b'_',
        b"xdigit" => |b| b.is_ascii_hexdigit(),
        _ => return None,
    };
    let mut set = ByteSet::EMPTY;
    set.insert_where(member);
    Some(set)
}

/// The character that `[.name.]` stands for: POSIX's names of the portable character set.
pub fn collating_element(name: &[u8]) -> Option<u8> {
    if let [letter] = name
        && letter.is_ascii_alphabetic()
    {
        return Some(*letter);
    }
    let index = COLLATING_NAMES.iter().position(|&(_, n)| n.as_bytes() == name)?;
    Some(COLLATING_NAMES[index].0)
}

#[rustfmt::skip]
const COLLATING_NAMES: &[(u8, &str)] = &[
    (0, "NUL"), (1, "SOH"), (2, "STX"), (3, "ETX"), (4, "EOT"), (5, "ENQ"), (6, "ACK"), (7, "alert"),
    (8, "backspace"), (9, "tab"), (10, "newline"), (11, "vertical-tab"), (12, "form-feed"),
    (13, "carriage-return"), (14, "SO"), (15, "SI"), (16, "DLE"), (17, "DC1"), (18, "DC2"), (19, "DC3"),
    (20, "DC4"), (21, "NAK"), (22, "SYN"), (23, "ETB"), (24, "CAN"), (25, "EM"), (26, "SUB"), (27, "ESC"),
    (28, "IS4"), (29, "IS3"), (30, "IS2"), (31, "IS1"), (b' ', "space"), (b'!', "exclamation-mark"),
    (b'"', "quotation-mark"), (b'#', "number-sign"), (b'$', "dollar-sign"), (b'%', "percent-sign"),
    (b'&', "ampersand"), (b'\'', "apostrophe"), (b'(', "left-parenthesis"), (b')', "right-parenthesis"),
    (b'*', "asterisk"), (b'+', "plus-sign"), (b',', "comma"), (b'-', "hyphen"), (b'.', "period"),
    (b'/', "slash"), (b'0', "zero"), (b'1', "one"), (b'2', "two"), (b'3', "three"), (b'4', "four"),
    (b'5', "five"), (b'6', "six"), (b'7', "seven"), (b'8', "eight"), (b'9', "nine"), (b':', "colon"),
    (b';', "semicolon"), (b'<', "less-than-sign"), (b'=', "equals-sign"), (b'>', "greater-than-sign"),
    (b'?', "question-mark"), (b'@', "commercial-at"), (b'[', "left-square-bracket"), (b'\\', "backslash"),
    (b']', "right-square-bracket"), (b'^', "circumflex"), (b'_', "underscore"), (b'`', "grave-accent"),
    (b'{', "left-curly-bracket"), (b'|', "vertical-line"), (b'}', "right-curly-bracket"), (b'~', "tilde"),
    (127, "DEL"),
];
