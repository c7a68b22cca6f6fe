//! Expressions at random: all of the syntax, every builtin, with arguments that fit and some that do not.

#[path = "builtin_table.rs"]
mod builtin_table;
#[path = "random.rs"]
mod random;

use builtin_table::{BUILTINS, GLOBAL};
use random::Random;

/// What an expression should give. It does not always: what is wrong is part of the language, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Any,
    Algo,
    Attrs,
    AttrsList,
    Bool,
    ClosureArgs,
    Context,
    CtxStr,
    Drv,
    DrvArgs,
    DrvPath,
    Float,
    Fun,
    Fun2,
    HashSpec,
    Int,
    Json,
    Less,
    List,
    ListList,
    Name,
    NameValues,
    Names,
    Num,
    Path,
    PathArgs,
    PathLike,
    Pred,
    Pred2,
    Regex,
    SmallInt,
    Str,
    Strs,
    ToList,
    ToStr,
    Toml,
    Version,
}

use Kind::*;

/// The files beside every case: name and text.
pub const FILES: &[(&str, &str)] = &[
    ("data.txt", "hello\n"),
    ("one.nix", "1"),
    ("function.nix", "{ a ? 1, b ? a }: [ a b ]"),
    ("wrong.nix", "{ a = 1;\n  b = ; }"),
    ("throws.nix", "throw \"from a file\""),
    ("folder/default.nix", "{ here = ./.; }"),
    ("folder/x.txt", ""),
];

const WORDS: &[&str] =
    &["a", "b", "c", "x", "name", "out", "value", "type", "__toString", "outPath", "drvPath"];

/// The expression of a seed.
pub fn expression(seed: u64) -> String {
    let mut generator = Generator { random: Random::new(seed), scope: Vec::new(), budget: 60 };
    let depth = 1 + generator.random.below(4);
    let text = generator.kind(Any, depth);
    match generator.random.percent(6) {
        true => generator.damaged(&text),
        false => text,
    }
}

struct Generator {
    random: Random,
    /// Variables in scope, the innermost last.
    scope: Vec<(String, Kind)>,
    /// How many compound expressions there may still be, so that none gets too long.
    budget: usize,
}

impl Generator {
    fn word(&mut self) -> &'static str {
        self.random.pick(WORDS)
    }

    /// An expression of a kind, rarely of another.
    fn kind(&mut self, kind: Kind, depth: usize) -> String {
        if self.random.percent(3) {
            return self.any(depth);
        }
        if self.budget == 0 || depth == 0 {
            return self.leaf(kind);
        }
        self.budget -= 1;
        if self.random.percent(14)
            && let Some(name) = self.variable(kind)
        {
            return name;
        }
        match self.random.below(10) {
            0 | 1 if self.has_builtin(kind) => self.builtin(kind, depth),
            2 => self.wrapped(kind, depth),
            3 => self.leaf(kind),
            _ => self.compound(kind, depth),
        }
    }

    fn variable(&mut self, kind: Kind) -> Option<String> {
        let fitting: Vec<&String> = self
            .scope
            .iter()
            .filter(|(_, k)| *k == kind || *k == Any || kind == Any)
            .map(|(name, _)| name)
            .collect();
        (!fitting.is_empty()).then(|| fitting[self.random.below(fitting.len())].clone())
    }

    fn any(&mut self, depth: usize) -> String {
        let kind = self.random.pick(&[
            Int, Float, Bool, Str, CtxStr, Path, List, Attrs, Fun, Fun2, Drv, Strs, Version, AttrsList, Num,
            Pred, NameValues,
        ]);
        if depth == 0 { self.leaf(kind) } else { self.kind(kind, depth) }
    }

    fn has_builtin(&self, kind: Kind) -> bool {
        BUILTINS.iter().any(|row| row.2 == kind)
    }

    fn builtin(&mut self, kind: Kind, depth: usize) -> String {
        let fitting: Vec<_> = BUILTINS.iter().filter(|row| row.2 == kind).collect();
        let &&(name, arguments, _) = &fitting[self.random.below(fitting.len())];
        // What ends the evaluation hides all that is behind it.
        if matches!(name, "abort" | "throw") && self.random.percent(70) {
            return self.compound(kind, depth);
        }
        let mut text = match GLOBAL.contains(&name) && self.random.percent(50) {
            true => format!("({name}"),
            false => format!("(builtins.{name}"),
        };
        // Sometimes one argument is missing, or there is one too many.
        let count = match self.random.below(40) {
            0 => arguments.len() - 1,
            1 => arguments.len() + 1,
            _ => arguments.len(),
        };
        for index in 0..count {
            let kind = arguments.get(index).copied().unwrap_or(Any);
            text.push(' ');
            text.push_str(&self.argument(kind, depth - 1));
        }
        text.push(')');
        text
    }

    fn argument(&mut self, kind: Kind, depth: usize) -> String {
        match self.random.percent(8) {
            true => self.any(depth),
            false => self.kind(kind, depth),
        }
    }

    /// Syntax that gives whatever its last part gives.
    fn wrapped(&mut self, kind: Kind, depth: usize) -> String {
        let d = depth - 1;
        match self.random.below(9) {
            0 => {
                let condition = self.kind(Bool, d);
                format!("(if {condition} then {} else {})", self.kind(kind, d), self.kind(kind, d))
            }
            1 => {
                let condition = self.kind(Bool, d);
                format!("(assert {condition}; {})", self.kind(kind, d))
            }
            2 => self.with(kind, d),
            3 | 4 => self.let_in(kind, d),
            5 => self.call(kind, d),
            6 => {
                let name = self.word();
                format!("{{ {name} = {}; }}.{name}", self.kind(kind, d))
            }
            7 => {
                let name = self.word();
                let value = self.kind(kind, d);
                format!("({}.{name} or {value})", self.kind(Attrs, d))
            }
            _ => {
                let value = self.kind(kind, d);
                format!("(builtins.elemAt [ {value} {} ] 0)", self.any(d))
            }
        }
    }

    fn with(&mut self, kind: Kind, depth: usize) -> String {
        let name = self.word().to_owned();
        let value = self.kind(kind, depth);
        let before = self.scope.len();
        self.scope.push((name.clone(), kind));
        let body = self.kind(kind, depth);
        self.scope.truncate(before);
        match self.random.percent(80) {
            true => format!("(with {{ {name} = {value}; }}; {body})"),
            false => format!("(with {}; {body})", self.kind(Attrs, depth)),
        }
    }

    fn let_in(&mut self, kind: Kind, depth: usize) -> String {
        let before = self.scope.len();
        let count = 1 + self.random.below(3);
        let mut names: Vec<String> = (0..count).map(|_| self.word().to_owned()).collect();
        names.dedup();
        let kinds: Vec<Kind> =
            names.iter().map(|_| self.random.pick(&[kind, Int, Attrs, Fun, Str])).collect();
        self.scope.extend(names.iter().cloned().zip(kinds.iter().copied()));
        let mut text = String::from("(let ");
        for (name, kind) in names.iter().zip(kinds) {
            let value = self.kind(kind, depth.saturating_sub(1));
            text.push_str(&format!("{name} = {value}; "));
        }
        if self.random.percent(10) {
            let (source, name) = (self.kind(Attrs, depth.saturating_sub(1)), self.word());
            text.push_str(&format!("inherit ({source}) {name}; "));
        }
        let body = self.kind(kind, depth);
        self.scope.truncate(before);
        text.push_str(&format!("in {body})"));
        text
    }

    /// A function and its arguments.
    fn call(&mut self, kind: Kind, depth: usize) -> String {
        let before = self.scope.len();
        match self.random.below(4) {
            0 => {
                let name = self.word().to_owned();
                self.scope.push((name.clone(), Any));
                let body = self.kind(kind, depth);
                self.scope.truncate(before);
                format!("(({name}: {body}) {})", self.any(depth))
            }
            1 => {
                let (f, x) = (self.word().to_owned(), self.word().to_owned());
                self.scope.extend([(f.clone(), Any), (x.clone(), Any)]);
                let body = self.kind(kind, depth);
                self.scope.truncate(before);
                format!("(({f}: {x}: {body}) {} {})", self.any(depth), self.any(depth))
            }
            2 => {
                let value = self.kind(kind, depth);
                format!("({{ __functor = self: x: {value}; }} {})", self.any(depth))
            }
            _ => {
                let (pattern, names) = self.pattern(depth);
                self.scope.extend(names.iter().map(|name| (name.clone(), Any)));
                let body = self.kind(kind, depth);
                self.scope.truncate(before);
                let mut given = String::new();
                for name in names.iter().filter(|name| name.len() == 1) {
                    if self.random.percent(80) {
                        given.push_str(&format!("{name} = {}; ", self.any(depth.saturating_sub(1))));
                    }
                }
                format!("(({pattern}: {body}) {{ {given}}})")
            }
        }
    }

    /// A pattern and the names that it binds.
    fn pattern(&mut self, depth: usize) -> (String, Vec<String>) {
        let mut names: Vec<String> = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..self.random.below(4) {
            let name = self.random.pick(&["a", "b", "c", "x", "y"]);
            if names.iter().any(|other| other == name) && self.random.percent(95) {
                continue;
            }
            parts.push(match self.random.percent(40) {
                true => format!("{name} ? {}", self.any(depth.saturating_sub(1))),
                false => name.to_owned(),
            });
            names.push(name.to_owned());
        }
        if self.random.percent(30) {
            parts.push("...".to_owned());
        }
        let inner = parts.join(", ");
        let pattern = match self.random.below(6) {
            0 => {
                names.push("args".to_owned());
                format!("{{ {inner} }}@args")
            }
            1 => {
                names.push("args".to_owned());
                format!("args@{{ {inner} }}")
            }
            _ => format!("{{ {inner} }}"),
        };
        (pattern, names)
    }

    fn compound(&mut self, kind: Kind, depth: usize) -> String {
        let d = depth - 1;
        match kind {
            Any => self.any(depth),
            Int | SmallInt => self.arithmetic(Int, d),
            Float | Num => self.arithmetic(kind, d),
            Bool => self.boolean(d),
            Str | CtxStr | Name | Version | Regex | Json | Toml | Algo => self.string(kind, d),
            Path | PathLike => match self.random.below(4) {
                0 => format!("({} + {})", self.kind(Path, d), self.kind(Str, d)),
                1 => format!("(./folder + \"/{}\")", self.word()),
                2 => format!("./folder/${{{}}}", self.kind(Name, d)),
                _ => self.leaf(kind),
            },
            List | Strs | ListList | AttrsList | NameValues | Names => self.list(kind, d),
            Attrs => self.set(d),
            Fun | Fun2 | Pred | Pred2 | Less | ToList | ToStr => self.function(kind, d),
            Drv => self.derivation(d),
            DrvPath => format!("{}.drvPath", self.derivation(d)),
            DrvArgs => self.derivation_arguments(d),
            Context => match self.random.below(2) {
                0 => format!("(builtins.getContext {})", self.kind(CtxStr, d)),
                _ => format!("{{ ${{{}}} = {{ path = {}; }}; }}", self.kind(Str, d), self.kind(Bool, d)),
            },
            ClosureArgs => {
                let start = format!(
                    "[ {{ key = {}; }} {{ key = {}; }} ]",
                    self.leaf(SmallInt),
                    self.argument(Name, d)
                );
                let step = self.random.pick(&[
                    "(x: [ ])",
                    "(x: if x.key > 5 then [ ] else [ { key = x.key + 1; } ])",
                    "(x: [ { key = 0; v = x; } ])",
                    "(x: x)",
                ]);
                format!("{{ startSet = {start}; operator = {step}; }}")
            }
            HashSpec => {
                let hash = self.random.pick(&[
                    "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                    "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
                    "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
                    "nothing",
                ]);
                let format = self.random.pick(&["base16", "base32", "nix32", "base64", "sri", "other"]);
                let algorithm = match self.random.below(3) {
                    0 => String::new(),
                    _ => format!("hashAlgo = {}; ", self.leaf(Algo)),
                };
                format!("{{ hash = \"{hash}\"; toHashFormat = \"{format}\"; {algorithm}}}")
            }
            PathArgs => {
                let mut text = format!("{{ path = {}; ", self.kind(Path, d));
                if self.random.percent(40) {
                    text.push_str(&format!("name = {}; ", self.kind(Name, d)));
                }
                if self.random.percent(40) {
                    text.push_str(&format!("filter = {}; ", self.kind(Pred2, d)));
                }
                if self.random.percent(30) {
                    text.push_str(&format!("recursive = {}; ", self.kind(Bool, d)));
                }
                text.push('}');
                text
            }
        }
    }

    fn arithmetic(&mut self, kind: Kind, depth: usize) -> String {
        match self.random.below(8) {
            0 => format!("(-{})", self.kind(kind, depth)),
            1 => format!("(builtins.length {})", self.kind(List, depth)),
            2 => format!("(builtins.stringLength {})", self.kind(Str, depth)),
            _ => {
                let operator = self.random.pick(&["+", "-", "*", "/", "+", "-"]);
                format!("({} {operator} {})", self.kind(kind, depth), self.kind(kind, depth))
            }
        }
    }

    fn boolean(&mut self, depth: usize) -> String {
        match self.random.below(8) {
            0 => format!("(!{})", self.kind(Bool, depth)),
            1 | 2 => {
                let operator = self.random.pick(&["&&", "||", "->"]);
                format!("({} {operator} {})", self.kind(Bool, depth), self.kind(Bool, depth))
            }
            3 | 4 => {
                let operator = self.random.pick(&["<", "<=", ">", ">="]);
                let kind = self.random.pick(&[Num, Str, List, Path, Int]);
                format!("({} {operator} {})", self.kind(kind, depth), self.kind(kind, depth))
            }
            5 => {
                let path = self.attribute_path(depth);
                format!("({} ? {path})", self.kind(Attrs, depth))
            }
            _ => {
                let operator = self.random.pick(&["==", "!="]);
                let kind = self.random.pick(&[Any, Attrs, List, Str, Num, Fun, Drv]);
                format!("({} {operator} {})", self.kind(kind, depth), self.kind(kind, depth))
            }
        }
    }

    fn attribute_path(&mut self, depth: usize) -> String {
        let mut path = self.attribute_name(depth);
        for _ in 0..self.random.below(3) {
            path.push('.');
            path.push_str(&self.attribute_name(depth));
        }
        path
    }

    fn attribute_name(&mut self, depth: usize) -> String {
        match self.random.below(8) {
            0 => format!("\"{}\"", self.word()),
            1 => self.random.pick(&["\"a b\"", "\"\"", "\"1\"", "or", "_x", "a'"]).to_owned(),
            2 => format!("${{{}}}", self.kind(Name, depth.saturating_sub(1))),
            3 => format!("\"${{{}}}\"", self.kind(Name, depth.saturating_sub(1))),
            _ => self.word().to_owned(),
        }
    }

    fn string(&mut self, kind: Kind, depth: usize) -> String {
        match self.random.below(9) {
            0 => format!("({} + {})", self.kind(kind, depth), self.kind(kind, depth)),
            1 => format!("\"{}${{{}}}\"", self.random.pick(&["", "p ", "\\n", "$"]), self.kind(Str, depth)),
            2 => {
                let inner = self.kind(Str, depth);
                let template = self.random.pick(&[
                    "''\n  a\n    ${X}\n  b\n''",
                    "''${X}''",
                    "''\n    x ''${ ''' ''\\n\n  ${X} y''",
                    "''  \n\n   ${X}\n\n''",
                    "''\n\t${X}\n  b''",
                ]);
                template.replace('X', &inner)
            }
            3 => format!("(toString {})", self.any(depth)),
            4 => format!("\"${{{}}}/x\"", self.kind(Drv, depth)),
            5 => format!("\"${{{}}}\"", self.kind(Path, depth)),
            _ => self.leaf(kind),
        }
    }

    fn list(&mut self, kind: Kind, depth: usize) -> String {
        let element = match kind {
            Strs => Str,
            Names => Name,
            ListList => List,
            AttrsList => Attrs,
            _ => self.random.pick(&[Any, Int, Str, Attrs, Num]),
        };
        if self.random.percent(15) {
            return format!("({} ++ {})", self.kind(kind, depth), self.kind(kind, depth));
        }
        let mut text = String::from("[ ");
        for _ in 0..self.random.below(4) {
            match kind {
                NameValues => {
                    let value = self.any(depth);
                    text.push_str(&format!("{{ name = {}; value = {value}; }} ", self.kind(Name, depth)));
                }
                _ => {
                    let value = self.kind(element, depth);
                    text.push_str(&value);
                    text.push(' ');
                }
            }
        }
        text.push(']');
        text
    }

    fn set(&mut self, depth: usize) -> String {
        match self.random.below(10) {
            0 => return format!("({} // {})", self.kind(Attrs, depth), self.kind(Attrs, depth)),
            1 => return format!("{{ outPath = {}; a = {}; }}", self.kind(Str, depth), self.any(depth)),
            2 => return format!("{{ __toString = self: {}; }}", self.kind(Str, depth)),
            _ => {}
        }
        let is_recursive = self.random.percent(25);
        let before = self.scope.len();
        let mut names = Vec::new();
        for _ in 0..self.random.below(4) {
            names.push(self.word().to_owned());
        }
        if is_recursive {
            self.scope.extend(names.iter().map(|name| (name.clone(), Any)));
        }
        let mut text = String::from(if is_recursive { "rec { " } else { "{ " });
        for name in names {
            let definition = match self.random.below(9) {
                0 => format!("{}.{} = {}; ", name, self.attribute_name(depth), self.any(depth)),
                1 => format!("{} = {}; ", self.attribute_name(depth), self.any(depth)),
                2 => format!("inherit ({}) {name}; ", self.kind(Attrs, depth)),
                3 if !self.scope.is_empty() => {
                    let index = self.random.below(self.scope.len());
                    format!("inherit {}; ", self.scope[index].0)
                }
                _ => format!("{name} = {}; ", self.any(depth)),
            };
            text.push_str(&definition);
        }
        self.scope.truncate(before);
        text.push('}');
        text
    }

    fn function(&mut self, kind: Kind, depth: usize) -> String {
        let result = match kind {
            Pred | Pred2 | Less => Bool,
            ToList => List,
            ToStr => Str,
            _ => Any,
        };
        if kind == Fun && self.random.percent(30) {
            let (pattern, names) = self.pattern(depth);
            let before = self.scope.len();
            self.scope.extend(names.into_iter().map(|name| (name, Any)));
            let body = self.kind(result, depth);
            self.scope.truncate(before);
            return format!("({pattern}: {body})");
        }
        let before = self.scope.len();
        let parameters: &[&str] = if matches!(kind, Fun2 | Pred2 | Less) { &["x", "y"] } else { &["x"] };
        self.scope.extend(parameters.iter().map(|name| ((*name).to_owned(), Any)));
        let body = match kind {
            Less if self.random.percent(70) => "x < y".to_owned(),
            Fun2 if self.random.percent(30) => self.random.pick(&["[ x y ]", "x", "y", "x + y"]).to_owned(),
            Fun if self.random.percent(20) => "x".to_owned(),
            _ => self.kind(result, depth),
        };
        self.scope.truncate(before);
        format!("({}: {body})", parameters.join(": "))
    }

    fn derivation(&mut self, depth: usize) -> String {
        format!("(derivation {})", self.derivation_arguments(depth))
    }

    fn derivation_arguments(&mut self, depth: usize) -> String {
        let mut text = String::from("{ ");
        let required = [("name", Name), ("system", Str), ("builder", CtxStr)];
        for (name, kind) in required {
            if self.random.percent(97) {
                let value = if self.random.percent(70) { "\"s\"".to_owned() } else { self.kind(kind, depth) };
                text.push_str(&format!("{name} = {value}; "));
            }
        }
        let extra: [(&str, Kind); 12] = [
            ("args", Strs),
            ("outputs", Names),
            ("a", Any),
            ("b", CtxStr),
            ("c", List),
            ("__ignoreNulls", Bool),
            ("__structuredAttrs", Bool),
            ("passAsFile", Names),
            ("outputHash", Str),
            ("outputHashAlgo", Algo),
            ("outputHashMode", Str),
            ("allowedReferences", List),
        ];
        for _ in 0..self.random.below(3) {
            let (name, kind) = self.random.pick(&extra);
            let value = match name {
                "outputs" if self.random.percent(70) => "[ \"out\" \"dev\" ]".to_owned(),
                "outputHash" => "\"sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\"".to_owned(),
                "outputHashMode" => self
                    .random
                    .pick(&["\"flat\"", "\"recursive\"", "\"nar\"", "\"text\"", "\"x\""])
                    .to_owned(),
                _ => self.kind(kind, depth),
            };
            if !text.contains(&format!(" {name} =")) {
                text.push_str(&format!("{name} = {value}; "));
            }
        }
        text.push('}');
        text
    }

    fn leaf(&mut self, kind: Kind) -> String {
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

    /// A text with a character less, twice, or another in its place, so that syntax errors happen.
    fn damaged(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..1 + self.random.below(2) {
            if characters.is_empty() {
                break;
            }
            let at = self.random.below(characters.len());
            let new = self.random.pick(&[
                '{', '}', '(', ')', ';', '"', '\'', '$', '.', '=', ':', '@', '?', ' ', '/', '<', '#', ',',
                '1', 'i',
            ]);
            match self.random.below(4) {
                0 => {
                    characters.remove(at);
                }
                1 => characters.insert(at, characters[at]),
                2 => characters.insert(at, new),
                _ => characters[at] = new,
            }
        }
        characters.into_iter().collect()
    }
}
