use bstr::{BStr, ByteSlice};

use super::*;
use crate::text::number::float_to_json;

/// Writes what it sees as JSON again, as text with the members in their order.
#[derive(Default)]
struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'[' | b'{' | b':')) {
            self.out.push(b',');
        }
    }

    fn put(&mut self, text: &str) {
        self.separate();
        self.out.extend(text.as_bytes());
    }

    fn end(&mut self, text: &str) {
        self.out.extend(text.as_bytes());
    }
}

impl Visitor for Writer {
    fn null(&mut self) {
        self.put("null");
    }
    fn bool(&mut self, value: bool) {
        self.put(&value.to_string());
    }
    fn int(&mut self, value: i64) {
        self.put(&value.to_string());
    }
    fn float(&mut self, value: f64) {
        self.put(&float_to_json(value));
    }
    fn string(&mut self, value: &[u8]) {
        self.separate();
        write_string(&mut self.out, value).unwrap();
    }
    fn begin_array(&mut self) {
        self.put("[");
    }
    fn end_array(&mut self) {
        self.end("]");
    }
    fn begin_object(&mut self) {
        self.put("{");
    }
    fn key(&mut self, name: &[u8]) {
        self.string(name);
        self.out.push(b':');
    }
    fn end_object(&mut self) {
        self.end("}");
    }
}

#[test]
fn reads_and_refuses_as_nix_does() {
    for &(text, expected) in CASES {
        let mut writer = Writer::default();
        let actual = match parse(text, &mut writer) {
            Ok(()) => writer.out,
            Err(JsonError::Syntax(message)) => [b"S:", message.as_slice()].concat(),
            Err(JsonError::Value(message)) => [b"V:", message.as_slice()].concat(),
        };
        assert_eq!(actual.as_bstr(), BStr::new(expected), "{}", BStr::new(text));
    }
}

#[test]
fn nests_as_deeply_as_it_likes() {
    let depth = 1_000_000;
    let text = ["[".repeat(depth), "]".repeat(depth)].concat();
    let mut writer = Writer::default();
    parse(text.as_bytes(), &mut writer).unwrap();
    assert_eq!(writer.out.len(), 2 * depth);
}

#[test]
fn says_what_is_not_utf8_as_nix_does() {
    let cases: [(&[u8], &str); 8] = [
        (b"a\xc3", "incomplete UTF-8 string; last byte: 0xC3"),
        (b"\xc3\x28b", "invalid UTF-8 byte at index 1: 0x28"),
        (b"\xed\xa0\x80", "invalid UTF-8 byte at index 1: 0xA0"),
        (b"ab\xe2\x82", "incomplete UTF-8 string; last byte: 0x82"),
        (b"\xe2\x82a", "invalid UTF-8 byte at index 2: 0x61"),
        (b"\xc0\x80", "invalid UTF-8 byte at index 0: 0xC0"),
        (b"\xf5", "invalid UTF-8 byte at index 0: 0xF5"),
        (b"\xf4\x90\x80\x80", "invalid UTF-8 byte at index 1: 0x90"),
    ];
    for (text, expected) in cases {
        let error = write_string(&mut Vec::new(), text).unwrap_err().to_string();
        assert_eq!(error, format!("[json.exception.type_error.316] {expected}"));
    }
}

/// A text, and what Nix 2.34 makes of `toJSON (fromJSON text)`; `S:` and `V:` stand before the messages of errors.
#[rustfmt::skip]
const CASES: &[(&[u8], &[u8])] = &[
    (b"[", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal"),
    (b"{", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing object key - unexpected end of input; expected string literal"),
    (br#"{"a""#, b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing object separator - unexpected end of input; expected ':'"),
    (br#"{"a":"#, b"S:[json.exception.parse_error.101] parse error at line 1, column 6: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal"),
    (br#"{"a":1"#, b"S:[json.exception.parse_error.101] parse error at line 1, column 7: syntax error while parsing object - unexpected end of input; expected '}'"),
    (br#"{"a" 1}"#, b"S:[json.exception.parse_error.101] parse error at line 1, column 6: syntax error while parsing object separator - unexpected number literal; expected ':'"),
    (br#"{"a":1 "b"}"#, b"S:[json.exception.parse_error.101] parse error at line 1, column 10: syntax error while parsing object - unexpected string literal; expected '}'"),
    (b"{,}", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing object key - unexpected ','; expected string literal"),
    (b"[,]", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - unexpected ','; expected '[', '{', or a literal"),
    (b"[1,]", b"S:[json.exception.parse_error.101] parse error at line 1, column 4: syntax error while parsing value - unexpected ']'; expected '[', '{', or a literal"),
    (b"tru", b"S:[json.exception.parse_error.101] parse error at line 1, column 4: syntax error while parsing value - invalid literal; last read: 'tru'"),
    (b"truex", b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - invalid literal; last read: 'truex'; expected end of input"),
    (b"trux", b"S:[json.exception.parse_error.101] parse error at line 1, column 4: syntax error while parsing value - invalid literal; last read: 'trux'"),
    (b"fals", b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - invalid literal; last read: 'fals'"),
    (b"-", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - invalid number; expected digit after '-'; last read: '-'"),
    (b"-a", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - invalid number; expected digit after '-'; last read: '-a'"),
    (b"1.", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid number; expected digit after '.'; last read: '1.'"),
    (b"1.x", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid number; expected digit after '.'; last read: '1.x'"),
    (b"1e", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid number; expected '+', '-', or digit after exponent; last read: '1e'"),
    (b"1e+", b"S:[json.exception.parse_error.101] parse error at line 1, column 4: syntax error while parsing value - invalid number; expected digit after exponent sign; last read: '1e+'"),
    (b"+1", b"S:[json.exception.parse_error.101] parse error at line 1, column 1: syntax error while parsing value - invalid literal; last read: '+'"),
    (b".5", b"S:[json.exception.parse_error.101] parse error at line 1, column 1: syntax error while parsing value - invalid literal; last read: '.'"),
    (br#""abc"#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - invalid string: missing closing quote; last read: '"abc'"#),
    (br#""\q""#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid string: forbidden character after backslash; last read: '"\q'"#),
    (br#""\u12""#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 6: syntax error while parsing value - invalid string: '\u' must be followed by 4 hex digits; last read: '"\u12"'"#),
    (br#""\u12x4""#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 6: syntax error while parsing value - invalid string: '\u' must be followed by 4 hex digits; last read: '"\u12x'"#),
    (br#""\udc00""#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 7: syntax error while parsing value - invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF; last read: '"\udc00'"#),
    (br#""\ud800\u0041""#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 13: syntax error while parsing value - invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF; last read: '"\ud800\u0041'"#),
    (br#""\ud800\u00""#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 12: syntax error while parsing value - invalid string: '\u' must be followed by 4 hex digits; last read: '"\ud800\u00"'"#),
    (br#""\ud800x""#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 8: syntax error while parsing value - invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF; last read: '"\ud800x'"#),
    (br#""\ud83d\ude00""#, b"\"\xf0\x9f\x98\x80\""),
    (b"// c", b"S:[json.exception.parse_error.101] parse error at line 1, column 1: syntax error while parsing value - invalid literal; last read: '/'"),
    (b"'a'", b"S:[json.exception.parse_error.101] parse error at line 1, column 1: syntax error while parsing value - invalid literal; last read: '''"),
    (b"1 ]", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - unexpected ']'; expected end of input"),
    (b"[1}", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing array - unexpected '}'; expected ']'"),
    (br#"{"a":1]"#, b"S:[json.exception.parse_error.101] parse error at line 1, column 7: syntax error while parsing object - unexpected ']'; expected '}'"),
    (b"00", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - unexpected number literal; expected end of input"),
    (b"-01", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - unexpected number literal; expected end of input"),
    (b"1.0.0", b"S:[json.exception.parse_error.101] parse error at line 1, column 4: syntax error while parsing value - invalid literal; last read: '1.0.'; expected end of input"),
    (b"0x1", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - invalid literal; last read: '0x'; expected end of input"),
    (b"\"a\tb\"", br#"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid string: control character U+0009 (HT) must be escaped to \u0009 or \t; last read: '"a<U+0009>'"#),
    (b"\"a\x01b\"", br#"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid string: control character U+0001 (SOH) must be escaped to \u0001; last read: '"a<U+0001>'"#),
    (b"\"\x1f\"", br#"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - invalid string: control character U+001F (US) must be escaped to \u001F; last read: '"<U+001F>'"#),
    (b"\"\x7f\"", b"\"\x7f\""),
    (br#""" """#, b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - unexpected string literal; expected end of input"),
    (b"true false", b"S:[json.exception.parse_error.101] parse error at line 1, column 10: syntax error while parsing value - unexpected false literal; expected end of input"),
    (b"{true", b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing object key - unexpected true literal; expected string literal"),
    (b"[1 true", b"S:[json.exception.parse_error.101] parse error at line 1, column 7: syntax error while parsing array - unexpected true literal; expected ']'"),
    (b"1e5", b"100000.0"),
    (b"-0", b"0"),
    (b"-0.0", b"-0.0"),
    (b"1E400", b"S:[json.exception.out_of_range.406] number overflow parsing '1E400'"),
    (b"[1, -1e400 ]", b"S:[json.exception.out_of_range.406] number overflow parsing '-1e400'"),
    (b"1e-400", b"0.0"),
    (b"123456789012345678901234567890", b"1.2345678901234568e+29"),
    (b"9223372036854775807", b"9223372036854775807"),
    (b"9223372036854775808", b"V:unsigned json number 9223372036854775808 outside of Nix integer range"),
    (b"-9223372036854775808", b"-9223372036854775808"),
    (b"-9223372036854775809", b"-9.223372036854776e+18"),
    (b"18446744073709551615", b"V:unsigned json number 18446744073709551615 outside of Nix integer range"),
    (b"18446744073709551616", b"1.8446744073709552e+19"),
    (br#"{"a":1,"a":2,"b":{},"c":[]}"#, br#"{"a":1,"a":2,"b":{},"c":[]}"#),
    (b"[1 \n 2]", b"S:[json.exception.parse_error.101] parse error at line 2, column 2: syntax error while parsing array - unexpected number literal; expected ']'"),
    (b"[1,\n 2\n x]", b"S:[json.exception.parse_error.101] parse error at line 3, column 2: syntax error while parsing array - invalid literal; last read: '2<U+000A> x'; expected ']'"),
    (b"{1\n}", b"S:[json.exception.parse_error.101] parse error at line 1, column 0: syntax error while parsing object key - unexpected number literal; expected string literal"),
    (b"[1\n2]", b"S:[json.exception.parse_error.101] parse error at line 2, column 1: syntax error while parsing array - unexpected number literal; expected ']'"),
    (b"   ", b"S:[json.exception.parse_error.101] parse error at line 1, column 4: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal"),
    (b"\n", b"S:[json.exception.parse_error.101] parse error at line 2, column 1: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal"),
    (b"", b"S:[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input; check that your input string or stream contains the expected JSON"),
    (b"\"\xc3\xa9", b"S:[json.exception.parse_error.101] parse error at line 1, column 4: syntax error while parsing value - invalid string: missing closing quote; last read: '\"\xc3\xa9'"),
    (b"\"\xc3\xa9\xc3\"", b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - invalid string: ill-formed UTF-8 byte; last read: '\"\xc3\xa9\xc3\"'"),
    (b"\"\xed\xa0\x80\"", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid string: ill-formed UTF-8 byte; last read: '\"\xed\xa0'"),
    (b"\"\xff\"", b"S:[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value - invalid string: ill-formed UTF-8 byte; last read: '\"\xff'"),
    (b"\"\xf0\x9f\x98\"", b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - invalid string: ill-formed UTF-8 byte; last read: '\"\xf0\x9f\x98\"'"),
    (b"\xef\xbb\xbf1", b"1"),
    (b"\xef\xbb1", b"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid BOM; must be 0xEF 0xBB 0xBF if given; last read: '\xef\xbb1'"),
    (b"\xc3\xa9", b"S:[json.exception.parse_error.101] parse error at line 1, column 1: syntax error while parsing value - invalid literal; last read: '\xc3'"),
    (b"{\"a\":\xc3\xa9}", b"S:[json.exception.parse_error.101] parse error at line 1, column 6: syntax error while parsing value - invalid literal; last read: '\"a\":\xc3'"),
    (br#""\u0000""#, b"V:input string '\xe2\x90\x80' cannot be represented as Nix string because it contains null bytes"),
    (br#"{"\u0000a":1}"#, b"V:input string '\xe2\x90\x80a' cannot be represented as Nix string because it contains null bytes"),
    (br#"[[[[]]],{"x":[{}]}]"#, br#"[[[[]]],{"x":[{}]}]"#),
    (br#""\"\\\/\b\f\n\r\t\u00e9\u20ac""#, b"\"\\\"\\\\/\\b\\f\\n\\r\\t\xc3\xa9\xe2\x82\xac\""),
    (b"[nul", b"S:[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while parsing value - invalid literal; last read: '[nul'"),
    (br#""\"#, br#"S:[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing value - invalid string: forbidden character after backslash; last read: '"\'"#),
    (b"[1,2,3]x", b"S:[json.exception.parse_error.101] parse error at line 1, column 8: syntax error while parsing value - invalid literal; last read: '3]x'; expected end of input"),
];
