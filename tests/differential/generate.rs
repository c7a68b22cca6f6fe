//! Expressions at random: all of the syntax, every builtin, with arguments that fit and some that do not.

#[path = "builtin_table.rs"]
mod builtin_table;
#[path = "leaves.rs"]
mod leaves;
#[path = "random.rs"]
mod random;
#[path = "scopes.rs"]
mod scopes;
#[path = "values.rs"]
mod values;

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
