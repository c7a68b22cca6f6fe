//! Values at random, written out: strings, lists, sets, functions and derivations.

use super::{Generator, Kind, Kind::*};

impl Generator {
    pub(super) fn string(&mut self, kind: Kind, depth: usize) -> String {
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

    pub(super) fn list(&mut self, kind: Kind, depth: usize) -> String {
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

    pub(super) fn set(&mut self, depth: usize) -> String {
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

    pub(super) fn function(&mut self, kind: Kind, depth: usize) -> String {
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

    pub(super) fn derivation(&mut self, depth: usize) -> String {
        format!("(derivation {})", self.derivation_arguments(depth))
    }

    pub(super) fn derivation_arguments(&mut self, depth: usize) -> String {
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
}
