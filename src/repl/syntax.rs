//! What a line is: an expression, definitions, or only a part of either.

use bumpalo::Bump;
use zeval_evaluator::syntax::{
    self, ParseOptions,
    error::{SyntaxError, SyntaxErrorKind},
};

/// What a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Blanks and comments.
    Nothing,
    /// An expression, or what will give an error if it is taken for one.
    Expression,
    /// Definitions.
    Definitions,
    /// More has to come.
    Incomplete,
}

/// What a text is.
pub fn kind(text: &str, options: &ParseOptions) -> Kind {
    if is_nothing(text) {
        return Kind::Nothing;
    }
    let arena = Bump::new();
    let expression = match syntax::parse(text.as_bytes(), &arena, options) {
        Ok(_) => return Kind::Expression,
        Err(error) => error,
    };
    match syntax::parse_definitions(text.as_bytes(), &arena, options) {
        Ok(_) => Kind::Definitions,
        Err(definitions) if ends_early(&expression) || ends_early(&definitions) => Kind::Incomplete,
        Err(_) => Kind::Expression,
    }
}

fn ends_early(error: &SyntaxError) -> bool {
    matches!(error.kind, SyntaxErrorKind::Unexpected { token: "end of file", .. })
}

fn is_nothing(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Kind {
        kind(text, &ParseOptions::default())
    }

    #[test]
    fn tells_expressions_from_definitions() {
        assert_eq!(kind_of("1 + 1"), Kind::Expression);
        assert_eq!(kind_of("x = 1"), Kind::Definitions);
        assert_eq!(kind_of("a.b = 1; inherit c;"), Kind::Definitions);
        assert_eq!(kind_of("inherit x"), Kind::Definitions);
        assert_eq!(kind_of("# nothing\n  "), Kind::Nothing);
    }

    #[test]
    fn waits_for_the_rest() {
        for text in [
            "1 +",
            "{",
            "x = {",
            "x =",
            "''a\n",
            "\"a",
            "let a = 1;",
            "f (",
            "[ 1",
            "if true then",
            "inherit (x",
        ] {
            assert_eq!(kind_of(text), Kind::Incomplete, "{text}");
        }
    }

    #[test]
    fn leaves_errors_to_evaluation() {
        for text in [")", "a = 1; a = 2", "1 + )", "{ a = 1; a = 2; }", "x = )", "= 1"] {
            assert_eq!(kind_of(text), Kind::Expression, "{text}");
        }
    }
}
