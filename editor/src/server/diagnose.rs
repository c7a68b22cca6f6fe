//! What is wrong with a text, as an editor shows it while one types.

use lsp_types::{
    CodeDescription, Diagnostic, DiagnosticSeverity, DiagnosticTag, InlayHint, InlayHintLabel, NumberOrString,
};
use rnix::{TextRange, TextSize};
use zeval_evaluator::syntax::{ast::NO_POS, error::SyntaxError};

use super::convert::{position_of, range_of};
use crate::{
    analysis::{names::Kind, syntax::token_at},
    document::Document,
    lint::{self, Finding, Level},
};

/// Who says so.
const SOURCE: &str = "zeval";
/// The code of every syntax error.
const SYNTAX: &str = "Z0101";

/// The first syntax error, as an evaluation would tell it; if there is none, what lints find.
pub fn diagnostics(document: &Document) -> Vec<Diagnostic> {
    match crate::format::check(&document.text) {
        Err(error) => vec![syntax_error(document, &error)],
        Ok(()) => lint::check(document).into_iter().map(|finding| diagnostic(document, finding)).collect(),
    }
}

fn syntax_error(document: &Document, error: &SyntaxError) -> Diagnostic {
    let end = TextSize::of(document.text.as_str());
    let start = match error.pos {
        NO_POS => TextSize::new(0),
        pos => TextSize::new(pos).min(end),
    };
    let token = token_at(&document.root, start).filter(|token| token.text_range().start() == start);
    let range = token.map_or(TextRange::empty(start), |token| token.text_range());
    Diagnostic {
        range: range_of(document, range),
        severity: Some(DiagnosticSeverity::ERROR),
        code: Some(NumberOrString::String(SYNTAX.into())),
        source: Some(SOURCE.into()),
        message: error.message().to_string(),
        ..Diagnostic::default()
    }
}

fn diagnostic(document: &Document, finding: Finding) -> Diagnostic {
    let tags = match finding.lint.name {
        "unused-binding" | "unused-argument" => Some(vec![DiagnosticTag::UNNECESSARY]),
        "legacy-let" | "url-literal" | "deprecated-builtin" => Some(vec![DiagnosticTag::DEPRECATED]),
        _ => None,
    };
    let message = match finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message,
    };
    Diagnostic {
        range: range_of(document, finding.range),
        severity: Some(match finding.lint.level {
            Level::Error => DiagnosticSeverity::ERROR,
            Level::Warning => DiagnosticSeverity::WARNING,
            Level::Hint => DiagnosticSeverity::HINT,
        }),
        code: Some(NumberOrString::String(finding.lint.code.into())),
        code_description: None::<CodeDescription>,
        source: Some(SOURCE.into()),
        message,
        tags,
        ..Diagnostic::default()
    }
}

/// A word behind each binding in a part of the text that nothing uses.
pub fn hints(document: &Document, range: TextRange) -> Vec<InlayHint> {
    let is_unused = |definition: &&crate::analysis::names::Definition| {
        definition.kind == Kind::Let
            && definition.uses == 0
            && !definition.name.starts_with('_')
            && range.contains_range(definition.range)
    };
    let hint = |definition: &crate::analysis::names::Definition| InlayHint {
        position: position_of(document, definition.range.end()),
        label: InlayHintLabel::String("unused".into()),
        kind: None,
        text_edits: None,
        tooltip: None,
        padding_left: Some(true),
        padding_right: Some(true),
        data: None,
    };
    document.names.definitions.iter().filter(is_unused).map(hint).collect()
}
