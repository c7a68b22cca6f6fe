//! Expressions at random that hold no others: numbers, names, short texts, and what is easily got wrong.

use super::{Generator, Kind, Kind::*};

impl Generator {
    pub(super) fn leaf(&mut self, kind: Kind) -> String {
        if self.random.percent(25)
            && let Some(name) = self.variable(kind)
        {
            return name;
        }
        let choices: &[&str] = match kind {
            Int | SmallInt if kind == SmallInt || self.random.percent(70) => {
                &["0", "1", "2", "3", "(-1)", "7"]
            }
            Int => &["9223372036854775807", "(-9223372036854775807 - 1)", "100000", "4294967296", "(-3)"],
            Float => &["1.5", "0.0", "(-2.5)", "1e10", "0.1", "1e300", "123456.789", ".5", "1.0e-7", "3.0"],
            Num => &["0", "1", "2", "2.5", "(-3)", "1.0", "0.1"],
            Bool => &["true", "false"],
            Str => &[
                "\"\"",
                "\"a\"",
                "\"hello world\"",
                "\"a\\nb\\t\\\"\\\\\\${x}\"",
                "\"ä€\"",
                "''two\n  lines''",
                "\"1.2\"",
                "\"/x\"",
                "\"out\"",
                "\"x86_64-linux\"",
            ],
            CtxStr => &[
                "\"a\"",
                "\"${./data.txt}\"",
                "(derivation { name = \"d\"; system = \"s\"; builder = \"b\"; }).outPath",
                "(derivation { name = \"d\"; system = \"s\"; builder = \"b\"; }).drvPath",
                "(builtins.toFile \"f\" \"text\")",
            ],
            Drv => &["(derivation { name = \"d\"; system = \"s\"; builder = \"b\"; })"],
            DrvPath => &["(derivation { name = \"d\"; system = \"s\"; builder = \"b\"; }).drvPath"],
            DrvArgs => &["{ name = \"d\"; system = \"s\"; builder = \"b\"; }"],
            Path => &[
                "./data.txt",
                "./one.nix",
                "./folder",
                "./function.nix",
                "./missing.nix",
                "./wrong.nix",
                "./throws.nix",
                "/nowhere",
                "./folder/x.txt",
            ],
            PathLike => &[
                "./data.txt",
                "./folder",
                "\"/a/b/\"",
                "\"a/b\"",
                "\"//x\"",
                "\"x\"",
                "./missing",
                "\"/a/../b\"",
            ],
            Name => &["\"a\"", "\"b\"", "\"x\"", "\"out\"", "\"a b\"", "\"\"", "\"a.b\"", "\"name\""],
            Names => &["[ \"a\" ]", "[ \"a\" \"x\" ]", "[ ]", "[ \"out\" ]"],
            Version => &[
                "\"1.2.3\"",
                "\"1.2pre4\"",
                "\"2.0\"",
                "\"hello-1.10\"",
                "\"\"",
                "\"1..a\"",
                "\"a-b-2x\"",
                "\"10\"",
            ],
            Regex => &[
                "\"a*\"",
                "\"(a)(b)?\"",
                "\"[[:alpha:]]+\"",
                "\".*\"",
                "\"(.*)\\\\.(.*)\"",
                "\"[\"",
                "\"\"",
                "\"([a-z]+) ([a-z]+)\"",
                "\"a{1,2}\"",
                "\"l+|o\"",
            ],
            Json => &[
                "\"[1, 2.5, null, true]\"",
                "\"{\\\"a\\\": {\\\"b\\\": \\\"c\\\"}}\"",
                "\"{\"",
                "\"\"",
                "\"-0\"",
                "\"1e5\"",
                "\"\\\"\\\\u00e4\\\"\"",
                "\"9223372036854775808\"",
                "\"[1,]\"",
            ],
            Toml => &[
                "\"a = 1\"",
                "\"[t]\\nb = [1, 2]\\nc = 'x'\"",
                "\"a = \"",
                "\"a.b = true\\na.c = 1.5\"",
                "\"d = 1979-05-27\"",
                "\"a = 1\\na = 2\"",
                "\"\"",
            ],
            Algo => &["\"sha256\"", "\"md5\"", "\"sha1\"", "\"sha512\"", "\"sha3\""],
            List => &["[ ]", "[ 1 2 3 ]", "[ \"b\" \"a\" ]", "[ [ ] { } ]", "[ 3 1 2 ]", "[ null ]"],
            Strs => &["[ ]", "[ \"a\" \"b\" ]", "[ \"l\" ]", "[ \"\" ]"],
            ListList => &["[ [ 1 ] [ 2 ] ]", "[ ]"],
            AttrsList => &["[ { a = 1; } { a = 2; b = 3; } ]", "[ ]", "[ { } ]"],
            NameValues => &["[ { name = \"a\"; value = 1; } ]", "[ ]", "[ { name = \"x\"; } ]"],
            Attrs => &[
                "{ }",
                "{ a = 1; }",
                "{ a = 1; b = { c = 2; }; }",
                "rec { x = y; y = 1; }",
                "{ a.b.c = null; }",
                "{ type = \"derivation\"; name = \"n\"; }",
            ],
            Fun => &[
                "(x: x)",
                "builtins.toString",
                "({ a, b ? 1 }: a)",
                "(builtins.add 1)",
                "{ __functor = self: x: x; }",
                "({ ... }@args: args)",
            ],
            Fun2 => &["(x: y: x)", "(x: y: [ x y ])", "builtins.add", "(x: { }: x)"],
            Pred => &["(x: true)", "builtins.isInt", "(x: x == 1)", "(x: false)"],
            Pred2 => &["(x: y: true)", "(x: y: y == \"regular\")"],
            Less => &["(x: y: x < y)", "builtins.lessThan", "(x: y: false)"],
            ToList => &["(x: [ x ])", "(x: [ ])"],
            ToStr => &["toString", "(x: \"k\")", "builtins.typeOf"],
            Context => &["{ }", "{ \"/nix/store/x\" = { path = true; }; }"],
            ClosureArgs => {
                &["{ startSet = [ ]; operator = x: [ ]; }", "{ startSet = [ { } ]; operator = x: [ ]; }"]
            }
            HashSpec => &["{ hash = \"\"; toHashFormat = \"sri\"; hashAlgo = \"sha256\"; }"],
            PathArgs => &["{ path = ./data.txt; }", "{ path = ./folder; name = \"n\"; }"],
            _ => &[
                "null",
                "1",
                "\"s\"",
                "[ 1 ]",
                "{ a = 1; }",
                "(x: x)",
                "1.5",
                "true",
                "__curPos",
                "builtins.nixVersion",
                "undefined_name",
                "<nowhere>",
            ],
        };
        self.random.pick(choices).to_owned()
    }
}
