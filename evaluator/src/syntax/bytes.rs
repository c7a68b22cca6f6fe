//! Which bytes may stand where: one table lookup instead of a chain of comparisons.

const IDENTIFIER_START: u8 = 1;
const IDENTIFIER: u8 = 2;
const PATH: u8 = 4;
const URI_SCHEME: u8 = 8;
const URI: u8 = 16;

const fn with(mut table: [u8; 256], bytes: &[u8], flag: u8) -> [u8; 256] {
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] |= flag;
        i += 1;
    }
    table
}

static CLASSES: [u8; 256] = {
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digits = b"0123456789";
    let mut table = with([0; 256], letters, IDENTIFIER_START | IDENTIFIER | PATH | URI_SCHEME | URI);
    table = with(table, digits, IDENTIFIER | PATH | URI_SCHEME | URI);
    table = with(table, b"_", IDENTIFIER_START | IDENTIFIER | PATH | URI);
    table = with(table, b"'", IDENTIFIER | URI);
    table = with(table, b"-", IDENTIFIER | PATH | URI_SCHEME | URI);
    table = with(table, b".+", PATH | URI_SCHEME | URI);
    with(table, b"%/?:@&=$,!~*", URI)
};

/// May begin an identifier.
pub fn is_identifier_start(byte: u8) -> bool {
    CLASSES[byte as usize] & IDENTIFIER_START != 0
}

/// May stand in an identifier.
pub fn is_identifier(byte: u8) -> bool {
    CLASSES[byte as usize] & IDENTIFIER != 0
}

/// May stand in one component of a path.
pub fn is_path(byte: u8) -> bool {
    CLASSES[byte as usize] & PATH != 0
}

/// May stand in the scheme of a URL, which begins with a letter.
pub fn is_uri_scheme(byte: u8) -> bool {
    CLASSES[byte as usize] & URI_SCHEME != 0
}

/// May stand in a URL after the colon.
pub fn is_uri(byte: u8) -> bool {
    CLASSES[byte as usize] & URI != 0
}
