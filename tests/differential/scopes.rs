//! What brings names into scope, and calls, at random: `with`, `let`, `if`, `assert`, functions with patterns.

use super::{Generator, Kind, Kind::*};

impl Generator {
    /// Syntax that gives whatever its last part gives.
    pub(super) fn wrapped(&mut self, kind: Kind, depth: usize) -> String {
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

    pub(super) fn with(&mut self, kind: Kind, depth: usize) -> String {
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

    pub(super) fn let_in(&mut self, kind: Kind, depth: usize) -> String {
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
    pub(super) fn call(&mut self, kind: Kind, depth: usize) -> String {
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
    pub(super) fn pattern(&mut self, depth: usize) -> (String, Vec<String>) {
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
}
