use bstr::{BStr, ByteSlice};

use super::*;
use crate::text::json::write_string;
use crate::text::number::float_to_json;

/// Writes a value as JSON with sorted keys, as `toJSON` would.
fn write(out: &mut Vec<u8>, value: &Toml) {
    match value {
        Toml::Bool(value) => out.extend(value.to_string().bytes()),
        Toml::Int(value) => out.extend(value.to_string().bytes()),
        Toml::Float(value) => out.extend(float_to_json(*value).bytes()),
        Toml::String(value) => write_string(out, value).unwrap(),
        Toml::Timestamp(value) => {
            out.extend(format!("{{\"_type\":\"timestamp\",\"value\":\"{value}\"}}").bytes());
        }
        Toml::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                out.extend((index > 0).then_some(b','));
                write(out, item);
            }
            out.push(b']');
        }
        Toml::Table(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(name, _)| name);
            out.push(b'{');
            for (index, (name, value)) in entries.into_iter().enumerate() {
                out.extend((index > 0).then_some(b','));
                write_string(out, name).unwrap();
                out.push(b':');
                write(out, value);
            }
            out.push(b'}');
        }
    }
}

#[test]
fn reads_and_refuses_as_nix_does() {
    let mut failures = String::new();
    for &(text, expected) in CASES {
        let actual = match parse(text) {
            Ok(value) => {
                let mut out = Vec::new();
                write(&mut out, &value);
                out
            }
            Err(TomlError(message)) => message.into(),
        };
        if actual != expected {
            let (text, actual, expected) = (BStr::new(text), actual.as_bstr(), BStr::new(expected));
            failures += &format!("{text:?}\nexpected {expected}\nactual {actual}\n");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn refuses_to_nest_without_end() {
    let text = format!("a = {}", "[".repeat(1_000_000));
    let TomlError(message) = parse(text.as_bytes()).unwrap_err();
    assert!(message.contains_str("more than 512"));
}

/// A text, and what Nix 2.34 makes of `toJSON (fromTOML text)` or says of it.
#[rustfmt::skip]
const CASES: &[(&[u8], &[u8])] = &[
    (b"a = ", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a =\n   |     ^-- here\n"),
    (b"a", b"[error] toml::parse_key_value_pair: invalid key value separator `=`\n --> fromTOML\n   |\n 1 | a\n   |  ^-- expected =\n"),
    (b"a =", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a =\n   |    ^-- here\n"),
    (b"a b = 1", b"[error] toml::parse_key_value_pair: invalid key value separator `=`\n --> fromTOML\n   |\n 1 | a b = 1\n   |   ^-- expected =\n"),
    (b"a = 1 b = 2", b"[error] toml::parse_table: newline (LF / CRLF) or EOF is expected\n --> fromTOML\n   |\n 1 | a = 1 b = 2\n   |       ^-- here\n"),
    (br##"a = "\q""##, b"[error] toml::parse_basic_string: invalid string format\n --> fromTOML\n   |\n 1 | a = \"\\q\"\n   |      ^-- expected \"\n"),
    (b"a = \"abc\n\"", b"[error] toml::parse_basic_string: invalid string format\n --> fromTOML\n   |\n 1 | a = \"abc\n   |         ^-- expected \"\n[error] toml::parse_basic_string: invalid string format\n --> fromTOML\n   |\n 2 | \"\n   |  ^-- expected \"\n"),
    (b"a = 'abc\n'", b"[error] toml::parse_literal_string: invalid string format\n --> fromTOML\n   |\n 1 | a = 'abc\n   |         ^-- expected '\n[error] toml::parse_literal_string: invalid string format\n --> fromTOML\n   |\n 2 | '\n   |  ^-- expected '\n"),
    (br##"a = """abc"##, b"[error] toml::parse_ml_basic_string: invalid string format\n --> fromTOML\n   |\n 1 | a = \"\"\"abc\n   |           --\n 2 | a = \"\"\"abc\n   | ^^^^^^^^^^^-- expected \"\"\"\n"),
    (b"a = [1,,2]", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a = [1,,2]\n   |        ^-- here\n[error] toml::parse_array: missing closing bracket `]`\n --> fromTOML\n   |\n 1 | a = [1,,2]\n   |        ^-- expected `]`, reached EOF\n"),
    (b"a = [1 2]", b"[error] toml::parse_array: expected value-separator `,` or closing `]`\n --> fromTOML\n   |\n 1 | a = [1 2]\n   |        ^-- here\n"),
    (b"a = [", b"[error] toml::parse_array: missing closing bracket `]`\n --> fromTOML\n   |\n 1 | a = [\n   |      --\n 2 | a = [\n   | ^^^^^^-- expected `]`, reached EOF\n"),
    (b"a = {x=1,}", b"[error] toml::parse_inline_table: trailing comma is not allowed in TOML-v1.0.0)\n --> fromTOML\n   |\n 1 | a = {x=1,}\n   |          ^-- here\n"),
    (b"a = {x=1", b"[error] toml::parse_inline_table: expected value-separator `,` or closing `}`\n --> fromTOML\n   |\n 1 | a = {x=1\n   |         ^-- here\n"),
    (b"[a", b"[error] toml::parse_file: invalid table key\n --> fromTOML\n   |\n 1 | [a\n   |   ^-- expected ]\n"),
    (b"[a]\n[a]", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 2 | [a]\n   | ^^^-- inserting this\n   | ...\n   |\n 1 | [a]\n   | ^^^-- this table is explicitly defined\n"),
    (b"[[a]]\n[a]", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 2 | [a]\n   | ^^^-- inserting this\n   | ...\n   |\n 1 | [[a]]\n   | ^^^^^-- this table is explicitly defined\n"),
    (b"[a]\n[[a]]", b"[error] toml::insert_value: failed to insert an array of tables, value already exists\n --> fromTOML\n   |\n 2 | [[a]]\n   | ^^^^^-- while inserting this\n   | ...\n   |\n 1 | [a]\n   | ^^^-- non-table value already exists\n"),
    (b"a=1\n[a]", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 2 | [a]\n   | ^^^-- inserting this\n   | ...\n   |\n 1 | a=1\n   |   ^-- this table is explicitly defined\n"),
    (b"a=[]\n[[a]]", b"[error] toml::insert_value: failed to insert an array of tables, value already exists\n --> fromTOML\n   |\n 2 | [[a]]\n   | ^^^^^-- while inserting this\n   | ...\n   |\n 1 | a=[]\n   |   ^^-- non-table value already exists\n"),
    (b"[a.b]\n[a]\nb=1", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n   |\n 3 | b=1\n   | ^-- inserting this\n   | ...\n   |\n 1 | [a.b]\n   | ^^^^^-- but value already exists\n"),
    (b"[]", b"[error] toml::parse_file: invalid table key\n --> fromTOML\n   |\n 1 | []\n   |  ^-- expected basic key([a-zA-Z0-9_-]) or quoted key(\" or ')\n"),
    (b"[[a]", b"[error] toml::parse_file: invalid array-table key\n --> fromTOML\n   |\n 1 | [[a]\n   |    ^-- expected ]]\n"),
    (b"[a]]", b"[error] toml::parse_file: newline (or EOF) expected\n --> fromTOML\n   |\n 1 | [a]]\n   |    ^-- expected 0x0a(LINE FEED) or\n\n"),
    (b"a = 01", b"[error] bad integer: invalid digit after an integer\n --> fromTOML\n   |\n 1 | a = 01\n   |      ^-- this digit is not allowed\nHint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\nHint: invalid: _42, 1__000, 0123\n"),
    (b"a = 1_", b"[error] bad integer: `_` must be surrounded by digits\n --> fromTOML\n   |\n 1 | a = 1_\n   |      ^-- invalid underscore\nHint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\nHint: invalid: _42, 1__000, 0123\n"),
    (b"a = _1", b"[error] bad number: `_` must be surrounded by digits\n --> fromTOML\n   |\n 1 | a = _1\n   |     ^-- digits required before `_`\nHint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\nHint: invalid: _42, 1__000, 0123\n"),
    (b"a = 1__2", b"[error] bad integer: `_` must be surrounded by digits\n --> fromTOML\n   |\n 1 | a = 1__2\n   |      ^-- invalid underscore\nHint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\nHint: invalid: _42, 1__000, 0123\n"),
    (b"a = +1", br##"{"a":1}"##),
    (b"a = 1.", b"[error] bad float: invalid format\n --> fromTOML\n   |\n 1 | a = 1.\n   |      ^-- here\nHint: valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan\nHint: invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0\n"),
    (b"a = .5", b"[error] bad float: integer part is required before decimal point\n --> fromTOML\n   |\n 1 | a = .5\n   |     ^-- missing integer part\nHint: valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan\nHint: invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0\n"),
    (b"a = 1e", b"[error] bad float: invalid format\n --> fromTOML\n   |\n 1 | a = 1e\n   |      ^-- here\nHint: valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan\nHint: invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0\n"),
    (b"a = 0x", b"[error] toml::parse_hex_integer: invalid integer: hex_int must be like: 0xC0FFEE, 0xdead_beef\n --> fromTOML\n   |\n 1 | a = 0x\n   |       ^-- expected hex [0-9a-fA-F]\n"),
    (b"a = 0b2", b"[error] toml::parse_bin_integer: invalid integer: bin_int must be like: 0b0101, 0b1111_0000\n --> fromTOML\n   |\n 1 | a = 0b2\n   |       ^-- expected 0 or 1\n"),
    (b"a = 0o8", b"[error] toml::parse_oct_integer: invalid integer: oct_int must be like: 0o775, 0o04_44\n --> fromTOML\n   |\n 1 | a = 0o8\n   |       ^-- expected from `0` to `7`\n"),
    (b"a = tru", b"[error] toml::parse_boolean: invalid boolean: boolean must be `true` or `false`, in lowercase. string must be surrounded by `\"`\n --> fromTOML\n   |\n 1 | a = tru\n   |     ^-- expected true or false\n"),
    (b"a = True", b"[error] toml::parse_value: `true` must be in lowercase. A string must be surrounded by quotes.\n --> fromTOML\n   |\n 1 | a = True\n   |     ^-- expected true or false\n"),
    (b"a = -inf", br##"{"a":null}"##),
    (b"a = 1.5_0", br##"{"a":1.5}"##),
    (b"a.b.c = 1", br##"{"a":{"b":{"c":1}}}"##),
    (br##"a."b c".d = 1"##, br##"{"a":{"b c":{"d":1}}}"##),
    (br##""" = 1"##, br##"{"":1}"##),
    (br##"a = "\u00e9 \U0001F600""##, b"{\"a\":\"\xc3\xa9 \xf0\x9f\x98\x80\"}"),
    (br##"a = "\u0000""##, b"error: input string '\xe2\x90\x80' cannot be represented as Nix string because it contains null bytes"),
    (b"a = \"\"\"\nx\\\n   y\"\"\"", br##"{"a":"xy"}"##),
    (br##"a = """a"""""##, br##"{"a":"a\""}"##),
    (b"a = -9223372036854775808", br##"{"a":-9223372036854775808}"##),
    (b"a = -9223372036854775809", b"[error] toml::parse_dec_integer: too large integer: current max digits = 2^63\n --> fromTOML\n   |\n 1 | a = -9223372036854775809\n   |                         ^-- must be < 2^63\n"),
    (b"a = 0x8000000000000000", b"[error] toml::parse_hex_integer: too large integer: current max value = 2^63\n --> fromTOML\n   |\n 1 | a = 0x8000000000000000\n   |                       ^-- must be < 2^63\n"),
    (b"a = 1e400", b"[error] toml::parse_floating: failed to read floating point value from stream\n --> fromTOML\n   |\n 1 | a = 1e400\n   |          ^-- here\n"),
    (b"a = 1979-13-01", b"[error] toml::parse_local_date: invalid date.\n --> fromTOML\n   |\n 1 | a = 1979-13-01\n   |     ^-- month must be 01-12, day must be any of 01-28,29,30,31 depending on the month/year.\n"),
    (b"a=1\na.b=2", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n   |\n 2 | a.b=2\n   | ^^^-- while inserting this\n   | ...\n   |\n 1 | a=1\n   |   ^-- non-table value already exists\n"),
    (b"a={b=1}\na.c=2", b"[error] toml::insert_value: failed to insert a value: inline table is immutable\n --> fromTOML\n   |\n 2 | a.c=2\n   | ^^^-- inserting this\n   | ...\n   |\n 1 | a={b=1}\n   |   ^^^^^-- to this table\n"),
    (b"a={b=1}\n[a.c]", b"[error] toml::insert_value: failed to insert a value: inline table is immutable\n --> fromTOML\n   |\n 2 | [a.c]\n   | ^^^^^-- inserting this\n   | ...\n   |\n 1 | a={b=1}\n   |   ^^^^^-- to this table\n"),
    (b"a=\"\xff\"", b"[error] toml::parse_basic_string: invalid string format\n --> fromTOML\n   |\n 1 | a=\"0xff\"\n   |    ^-- expected \"\n"),
    (b"\xc3\xa9=1", b"[error] toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.\n --> fromTOML\n   |\n 1 | 0xc30xa9=1\n   | ^-- expected alpha [a-zA-Z], digit [0-9], -, or _\nHint: non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.\n"),
    (b"a = # c", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a = # c\n   |     ^-- here\n"),
    (b"a.=1", b"[error] toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.\n --> fromTOML\n   |\n 1 | a.=1\n   |   ^-- expected alpha [a-zA-Z], digit [0-9], -, or _\nHint: non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.\n"),
    (b"a..b=1", b"[error] toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.\n --> fromTOML\n   |\n 1 | a..b=1\n   |   ^-- expected alpha [a-zA-Z], digit [0-9], -, or _\nHint: non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.\n"),
    (b"[a.]", b"[error] toml::parse_file: invalid table key\n --> fromTOML\n   |\n 1 | [a.]\n   |   ^-- expected ]\n"),
    (b"a = [1\n,2\n", b"[error] toml::parse_array: missing closing bracket `]`\n --> fromTOML\n   |\n 2 | ,2\n   |   --\n 3 | a = [10x0a(LINE FEED),2\n   | ^^^^^^^-- expected `]`, reached EOF\n"),
    (b"b=1\n\n\n\n\n\n\n\n\n\na = \n", b"[error] bad format: unknown value appeared\n --> fromTOML\n    |\n 11 | a =\n    |     ^-- here\n"),
    (b"a = [1,\n  2,\n 3 4]\nb=\nc=3", b"[error] toml::parse_array: expected value-separator `,` or closing `]`\n --> fromTOML\n   |\n 3 |  3 4]\n   |    ^-- here\n[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 4 | b=\n   |   ^-- here\n"),
    (b"a=1\n\n\n\n\n\n\n\n\n\n\na=2", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n    |\n 12 | a=2\n    | ^-- inserting this\n    | ...\n    |\n  1 | a=1\n    |   ^-- but value already exists\n"),
    (b"a.b=1\n[a]\n", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 2 | [a]\n   | ^^^-- inserting this\n   | ...\n   |\n 1 | a.b=1\n   | ^^^-- this table is explicitly defined\n"),
    (b"[a]\nb.c=1\n[a.b]\nd=1", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 3 | [a.b]\n   | ^^^^^-- inserting this\n   | ...\n   |\n 2 | b.c=1\n   | ^^^-- this table is explicitly defined\n"),
    (b"a={b=1,b=2}", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n   |\n 1 | a={b=1,b=2}\n   |        ^-- inserting this\n   | ...\n   |\n 1 | a={b=1,b=2}\n   |      ^-- but value already exists\n"),
    (b"x='a\x01'", b"[error] toml::parse_literal_string: invalid string format\n --> fromTOML\n   |\n 1 | x='a0x01'\n   |     ^-- expected '\n"),
    (b"a = 2000-02-30", b"[error] toml::parse_local_date: invalid date.\n --> fromTOML\n   |\n 1 | a = 2000-02-30\n   |     ^-- month must be 01-12, day must be any of 01-28,29,30,31 depending on the month/year.\n"),
    (b"a = 25:00:00", b"[error] toml::parse_local_time: invalid time.\n --> fromTOML\n   |\n 1 | a = 25:00:00\n   |     ^-- hour must be 00-23, minute must be 00-59.\n"),
    (b"a = 2000-01-01T00:00", b"[error] bad time: must be HH:MM:SS.subsec\n --> fromTOML\n   |\n 1 | a = 2000-01-01T00:00\n   |                     ^-- expected :\nHint: valid  : 1979-05-27T07:32:00, 1979-05-27 07:32:00.999999\nHint: invalid: 1979-05-27T7:32:00, 1979-05-27 17:32\n"),
    (b"a = 1-", b"[error] bad datetime: invalid format\n --> fromTOML\n   |\n 1 | a = 1-\n   |      ^-- here\nHint: valid  : 1979-05-27T07:32:00-07:00, 1979-05-27 07:32:00.999999Z\nHint: invalid: 1979-05-27T7:32:00-7:00, 1979-05-27 7:32-00:30"),
    (b"a = 1.0_", b"[error] bad float: `_` must be surrounded by digits\n --> fromTOML\n   |\n 1 | a = 1.0_\n   |        ^-- invalid underscore\nHint: valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan\nHint: invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0\n"),
    (b"a = 0_1", b"[error] bad integer: leading zero is not allowed in decimal int\n --> fromTOML\n   |\n 1 | a = 0_1\n   |      ^-- leading zero\nHint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\nHint: invalid: _42, 1__000, 0123\n"),
    (b"a = +0x1", b"[error] toml::parse_hex_integer: invalid integer: hex_int must be like: 0xC0FFEE, 0xdead_beef\n --> fromTOML\n   |\n 1 | a = +0x1\n   |     ^-- expected 0x\n"),
    (b"a = False", b"[error] toml::parse_value: `false` must be in lowercase. A string must be surrounded by quotes.\n --> fromTOML\n   |\n 1 | a = False\n   |     ^-- expected true or false\n"),
    (b"a = \n b = 2\n c =\n", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a =\n   |     ^-- here\n[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 3 |  c =\n   |     ^-- here\n"),
    (b"[b] x", b"[error] toml::parse_file: newline (or EOF) expected\n --> fromTOML\n   |\n 1 | [b] x\n   |     ^-- expected 0x0a(LINE FEED) or\n\n"),
    (b"a = null", b"[error] toml::parse_value: `nan` must be in lowercase. A string must be surrounded by quotes.\n --> fromTOML\n   |\n 1 | a = null\n   |     ^-- expected from `1` to `9` or digit [0-9] or inf or nan\n"),
    (b"a = [x, 2]", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a = [x, 2]\n   |      ^-- here\n[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a = [x, 2]\n   |       ^-- here\n[error] toml::parse_array: missing closing bracket `]`\n --> fromTOML\n   |\n 1 | a = [x, 2]\n   |       ^-- expected `]`, reached EOF\n"),
    (br##"a = ["x]"##, b"[error] toml::parse_basic_string: invalid string format\n --> fromTOML\n   |\n 1 | a = [\"x]\n   |         ^-- expected \"\n[error] toml::parse_array: missing closing bracket `]`\n --> fromTOML\n   |\n 1 | a = [\"x]\n   |         --\n 2 | a = [\"x]\n   | ^^^^^^^^^-- expected `]`, reached EOF\n"),
    (b"a = [\n\"x\",\ny]\nb=1", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 3 | y]\n   | ^-- here\n[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 3 | y]\n   | ^-- here\n"),
    (b"[a]\nb=1\n[a.b.c]", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n   |\n 3 | [a.b.c]\n   | ^^^^^^^-- while inserting this\n   | ...\n   |\n 2 | b=1\n   |   ^-- non-table value already exists\n"),
    (b"a=[1]\n[a.b]", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n   |\n 2 | [a.b]\n   | ^^^^^-- while inserting this\n   | ...\n   |\n 1 | a=[1]\n   |   ^^^-- non-table value already exists\n"),
    (b"[[a]]\nb=1\n[a.b]", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 3 | [a.b]\n   | ^^^^^-- inserting this\n   | ...\n   |\n 2 | b=1\n   |   ^-- this table is explicitly defined\n"),
    (b"a=[{b=1}]\n[a.c]", b"[error] toml::insert_value:inline array of tables are immutable\n --> fromTOML\n   |\n 2 | [a.c]\n   | ^^^^^-- inserting this\n   | ...\n   |\n 1 | a=[{b=1}]\n   |   ^^^^^^^-- inline array of tables\n"),
    (b"a=[{b=1}]\n[[a]]", b"[error] toml::insert_value: failed to insert a table, inline array of tables is immutable\n --> fromTOML\n   |\n 2 | [[a]]\n   | ^^^^^-- while inserting this\n   | ...\n   |\n 1 | a=[{b=1}]\n   |   ^^^^^^^-- this is inline array-of-tables\n"),
    (b"[a.b]\nx=1\n[a]\nb.y=2", b"[error] toml::insert_value: reopening a table using dotted keys\n --> fromTOML\n   |\n 4 | b.y=2\n   | ^^^-- dotted key cannot reopen a table\n   | ...\n   |\n 1 | [a.b]\n   | ^^^^^-- this table is already closed\n"),
    (b"[[a]]\nb=1\n[[a]]\nb=2\n[a.c]\nd=1", br##"{"a":[{"b":1},{"b":2,"c":{"d":1}}]}"##),
    (b"[a.b]\n[a.c]\n[a]\nx=1\n[a.b.d]", br##"{"a":{"b":{"d":{}},"c":{},"x":1}}"##),
    (b"a = {x=[1,2],y.z=3}", br##"{"a":{"x":[1,2],"y":{"z":3}}}"##),
    (br##"a = [[1,2],["a",]]"##, br##"{"a":[[1,2],["a"]]}"##),
    (b"a = \"\"\"\n\n x\"\"\"", br##"{"a":"\n x"}"##),
    (b"a=\"\"\"x\\   \n\n  y\"\"\"", br##"{"a":"xy"}"##),
    (br##"a = """a"" b""""##, br##"{"a":"a\"\" b"}"##),
    (b"a = '''it's'''", br##"{"a":"it's"}"##),
    (b"a = 0xDEAD_beef\nb=0o17\nc=0b1_0", br##"{"a":3735928559,"b":15,"c":2}"##),
    (b"a = 1_000.5e1_0", br##"{"a":10005000000000.0}"##),
    (b"a = 1979-05-27", br##"{"a":{"_type":"timestamp","value":"1979-05-27"}}"##),
    (b"a = 07:32:00.5", br##"{"a":{"_type":"timestamp","value":"07:32:00.500"}}"##),
    (b"a = 07:32:00.123456", br##"{"a":{"_type":"timestamp","value":"07:32:00.123456"}}"##),
    (b"a = 1979-05-27 07:32:00z", br##"{"a":{"_type":"timestamp","value":"1979-05-27T07:32:00Z"}}"##),
    (b"a = 1979-05-27t07:32:00.999999999999+01:30", br##"{"a":{"_type":"timestamp","value":"1979-05-27T07:32:00.999999999+01:30"}}"##),
    (b"a=1979-05-27T07:32:60Z", br##"{"a":{"_type":"timestamp","value":"1979-05-27T07:32:60Z"}}"##),
    (b"a=1979-05-27T07:32:00-00:00", br##"{"a":{"_type":"timestamp","value":"1979-05-27T07:32:00Z"}}"##),
    (b"true=1\ninf=2\n1979-05-27=3", br##"{"1979-05-27":3,"inf":2,"true":1}"##),
    (b"a={}\n[a]", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 2 | [a]\n   | ^^^-- inserting this\n   | ...\n   |\n 1 | a={}\n   |   ^^-- this table is explicitly defined\n"),
    (b"[a]\n[a.b]\n[a]", b"[error] toml::insert_value: failed to insert a table, table already defined\n --> fromTOML\n   |\n 3 | [a]\n   | ^^^-- inserting this\n   | ...\n   |\n 1 | [a]\n   | ^^^-- this table is explicitly defined\n"),
    (b"a = [1, # x\n 2 # y\n, ]", br##"{"a":[1,2]}"##),
    (b"a=[[[]]]", br##"{"a":[[[]]]}"##),
    (b"a.b=1\na.c=2\n[a.d]\ne=1", br##"{"a":{"b":1,"c":2,"d":{"e":1}}}"##),
    (b"f = 1.5[[u]]\ng=2", br##"{"f":1.5,"u":[{"g":2}]}"##),
    (b"a b\n[[u]", b"[error] toml::parse_key_value_pair: invalid key value separator `=`\n --> fromTOML\n   |\n 1 | a b\n   |   ^-- expected =\n"),
    (b"d = 1979-05-27T0:2", b"[error] bad time: must be HH:MM:SS.subsec\n --> fromTOML\n   |\n 1 | d = 1979-05-27T0:2\n   |                 ^-- expected digit [0-9]\nHint: valid  : 1979-05-27T07:32:00, 1979-05-27 07:32:00.999999\nHint: invalid: 1979-05-27T7:32:00, 1979-05-27 17:32\n"),
    (b"d = 1979-05-2707:32", b"[error] bad datetime: missing T or space\n --> fromTOML\n   |\n 1 | d = 1979-05-2707:32\n   |               ^-- expected T, t, or 0x20(SPACE)\nHint: valid  : 1979-05-27T07:32:00, 1979-05-27 07:32:00.999999\nHint: invalid: 1979-05-27T7:32:00, 1979-05-27 17:32\n"),
    (b"a=1 2\nb=\n[t]\nc=", b"[error] toml::parse_table: newline (LF / CRLF) or EOF is expected\n --> fromTOML\n   |\n 1 | a=1 2\n   |     ^-- here\n[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 4 | c=\n   |   ^-- here\n"),
    (b"+x = { a = 1, b = 2 }", b"[error] toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.\n --> fromTOML\n   |\n 1 | +x = { a = 1, b = 2 }\n   | ^-- expected alpha [a-zA-Z], digit [0-9], -, or _\nHint: non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.\n[error] toml::parse_table: newline (LF / CRLF) or EOF is expected\n --> fromTOML\n   |\n 1 | +x = { a = 1, b = 2 }\n   |             ^-- here\n"),
    (b"k1=1\nk2=2\nk3=3\nk4=4\nk5=5\nk6=6\nk7=7\nk8=8\nk9=9\nk10=1\nk11=1\nk12=1\nk13=1\nk14=1\nk15=1\nk16=1\nk17=1\nk18=1\nk3.x=1\nk17=2", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n    |\n 19 | k3.x=1\n    | ^^^^-- while inserting this\n    | ...\n    |\n  3 | k3=3\n    |    ^-- non-table value already exists\n[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n    |\n 20 | k17=2\n    | ^^^-- inserting this\n    | ...\n    |\n 17 | k17=1\n    |     ^-- but value already exists\n"),
    (br##"a = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" q"##, b"[error] toml::parse_table: newline (LF / CRLF) or EOF is expected\n --> fromTOML\n   |\n 1 | ... xxxxxxxxxxxxxxxxxxxxxxxxxxxx\" q\n   |                                   ^-- here\n"),
    (b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx = q", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | ... xxxxxxxxxxxxxxxxxxxxxxxxxxx = q\n   |                                   ^-- here\n"),
    (b"a = qxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", b"[error] bad format: unknown value appeared\n --> fromTOML\n   |\n 1 | a = qxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ...\n   |     ^-- here\n"),
    (b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=1\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", b"[error] toml::insert_value: failed to insert a value, value already exists\n --> fromTOML\n   |\n 2 | xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=2xxxxxxxxxxxxxxxxxxxxxxxxxxx ...\n   | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^-- inserting this\n   | ...\n   |\n 1 | ... xxxxxxxxxxxxxxxxxxxxxxxxxxxxx=1\n   |                                   ^-- but value already exists\n[error] toml::parse_table: newline (LF / CRLF) or EOF is expected\n --> fromTOML\n   |\n 2 | ... xxxxxxxxxxxxxxxxxxxxxxxxxxxx=2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ...\n   |                                   ^-- here\n"),
];
