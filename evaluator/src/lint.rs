//! What is warned of while a file is read: literals that the user wants to hear of, and an old use of `or`.

use bstr::ByteSlice;

use crate::{
    eval::error::{ErrorKind, EvalError, Failure, Result},
    position::{PosId, Source},
    print,
    session::Session,
    syntax::{
        CursedOr,
        ast::{Ast, Literal, LiteralKind},
    },
};

/// What to do about a kind of literal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lint {
    /// Nothing.
    #[default]
    Ignore,
    /// Say so.
    Warn,
    /// Refuse the file.
    Fatal,
}

impl Lint {
    /// `ignore`, `warn` or `fatal`
    pub fn from_name(name: &str) -> Option<Lint> {
        match name {
            "ignore" => Some(Lint::Ignore),
            "warn" => Some(Lint::Warn),
            "fatal" => Some(Lint::Fatal),
            _ => None,
        }
    }
}

/// What to do about which literals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lints {
    /// `http://example.org`
    pub url_literals: Lint,
    /// `/a` and `~/a`
    pub absolute_paths: Lint,
    /// `a/b`
    pub short_paths: Lint,
}

impl Lints {
    /// Whether any is looked for.
    pub fn any(&self) -> bool {
        *self != Lints::default()
    }

    fn of(&self, kind: LiteralKind) -> Lint {
        match kind {
            LiteralKind::Url => self.url_literals,
            LiteralKind::AbsolutePath | LiteralKind::HomePath => self.absolute_paths,
            LiteralKind::ShortPath => self.short_paths,
        }
    }
}

impl Session {
    /// Warns of what was found in a file, or refuses it.
    pub(crate) fn lint(&self, tree: &Ast<'_>, source: &Source) -> Result<()> {
        for literal in &tree.literals {
            let pos = source.at(literal.pos);
            match self.settings.lints.of(literal.kind) {
                Lint::Ignore => {}
                Lint::Warn => {
                    let place = print::excerpt(pos, 9, 15);
                    let message = message(literal, "discouraged");
                    self.say(format!("warning: {message}\n{place}").trim_end());
                }
                Lint::Fatal => return Err(refused(literal, pos)),
            }
        }
        self.warn_of_cursed_or(&tree.warnings, source);
        Ok(())
    }

    /// Warns of `or` used as a name where it will mean something else.
    pub(crate) fn warn_of_cursed_or(&self, found: &[CursedOr], source: &Source) {
        for or in found {
            let text = source.text[or.start as usize..or.end as usize].as_bstr();
            let at = print::position(source.at(or.start));
            self.say(&format!(
                "warning: at {at}: This expression uses `or` as an identifier in a way that will change in a future Nix release.\n\
                 Wrap this entire expression in parentheses to preserve its current meaning:\n    ({text})\n\
                 Give feedback at https://github.com/NixOS/nix/pull/11121"
            ));
        }
    }
}

fn refused(literal: &Literal<'_>, pos: PosId) -> Failure {
    EvalError::new(ErrorKind::Syntax, pos, message(literal, "disallowed"))
}

fn message(literal: &Literal<'_>, verdict: &str) -> String {
    let text = literal.text;
    let not_portable = |kind: &str| {
        format!(
            "{kind} path literals are not portable. Consider replacing path literal '{text}' by a string, relative path, \
             or parameter (lint-absolute-path-literals)"
        )
    };
    match literal.kind {
        LiteralKind::Url => format!(
            "URL literals are {verdict}. Consider using a string literal \"{text}\" instead (lint-url-literals)"
        ),
        LiteralKind::AbsolutePath => not_portable("absolute"),
        LiteralKind::HomePath => not_portable("home"),
        LiteralKind::ShortPath => format!(
            "relative path literal '{text}' should be prefixed with '.' for clarity: './{text}' (lint-short-path-literals)"
        ),
    }
}
