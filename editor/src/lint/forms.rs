//! Findings about forms of the language that are out of date or too much.

use rnix::{
    SyntaxKind, SyntaxNode, SyntaxToken, TextRange,
    ast::{self, HasEntry},
};
use rowan::ast::AstNode;

use super::{DEPRECATED_BUILTIN, EMPTY_LET, Edit, Finding, LEGACY_LET, NEEDLESS_REC, URL_LITERAL, WIDE_WITH};
use crate::{
    analysis::names::{Kind, Names, Target},
    document::Document,
};

/// A `with` that spans so many lines is too wide wherever it stands.
const WIDE: usize = 60;
/// One around a whole file is too wide from so many lines on.
const WIDE_AT_TOP: usize = 5;

/// Builtins that are out of date, and what to do instead.
const DEPRECATED: [(&str, &str); 2] = [
    ("isNull", "compare with `== null`"),
    ("toPath", "use `/. + \"/path\"` for an absolute path, `./. + \"/path\"` for one beside the file"),
];

pub(super) fn check(document: &Document, findings: &mut Vec<Finding>) {
    for node in document.root.descendants() {
        let found = match node.kind() {
            SyntaxKind::NODE_WITH => wide_with(document, node),
            SyntaxKind::NODE_LET_IN => empty_let(node),
            SyntaxKind::NODE_LEGACY_LET => legacy_let(node),
            SyntaxKind::NODE_LITERAL => url_literal(&node),
            SyntaxKind::NODE_IDENT | SyntaxKind::NODE_SELECT => deprecated_builtin(document, &node),
            SyntaxKind::NODE_ATTR_SET => needless_rec(document, node),
            _ => None,
        };
        findings.extend(found);
    }
}

fn wide_with(document: &Document, node: SyntaxNode) -> Option<Finding> {
    let with = ast::With::cast(node.clone())?;
    let lines = |node: &SyntaxNode| {
        let range = node.text_range();
        let (first, last) = (document.place(range.start()), document.place(range.end()));
        (last.line - first.line) as usize + 1
    };
    let body = lines(with.body()?.syntax());
    let is_at_top = node.ancestors().skip(1).all(|around| {
        matches!(
            around.kind(),
            SyntaxKind::NODE_ROOT
                | SyntaxKind::NODE_LAMBDA
                | SyntaxKind::NODE_LET_IN
                | SyntaxKind::NODE_ASSERT
                | SyntaxKind::NODE_WITH
                | SyntaxKind::NODE_PAREN
        )
    });
    let is_wide = body >= WIDE || is_at_top && body >= WIDE_AT_TOP;
    let set = with.namespace()?.syntax().text().to_string();
    is_wide.then(|| Finding {
        lint: &WIDE_WITH,
        range: header(&with),
        message: format!(
            "this 'with' reaches over {body} lines: what a name in it stands for cannot be told"
        ),
        help: Some(format!("name what is needed: let inherit ({set}) ...; in, or write {set}.NAME")),
        fix: Vec::new(),
    })
}

/// `with a;`
fn header(with: &ast::With) -> TextRange {
    let start = with.syntax().text_range().start();
    let end =
        with.semicolon_token().map_or(with.syntax().text_range().end(), |token| token.text_range().end());
    TextRange::new(start, end)
}

fn legacy_let(node: SyntaxNode) -> Option<Finding> {
    let bindings = ast::LegacyLet::cast(node)?;
    let (word, close) = (bindings.let_token()?, bindings.curly_close_token()?);
    Some(Finding {
        lint: &LEGACY_LET,
        range: word.text_range(),
        message: "this form of 'let' is out of date".into(),
        help: Some("write 'let ... in ...', or '(rec { ... }).body'".into()),
        fix: vec![Edit::replace(word.text_range(), "(rec"), Edit::insert(close.text_range().end(), ").body")],
    })
}

fn empty_let(node: SyntaxNode) -> Option<Finding> {
    let bindings = ast::LetIn::cast(node)?;
    let (word, body) = (bindings.let_token()?, bindings.body()?);
    let start = word.text_range().start();
    bindings.entries().next().is_none().then(|| Finding {
        lint: &EMPTY_LET,
        range: word.text_range(),
        message: "this 'let' defines nothing".into(),
        help: Some("remove it".into()),
        fix: vec![Edit::remove(TextRange::new(start, body.syntax().text_range().start()))],
    })
}

fn url_literal(node: &SyntaxNode) -> Option<Finding> {
    let token = node.first_token().filter(|token| token.kind() == SyntaxKind::TOKEN_URI)?;
    Some(Finding {
        lint: &URL_LITERAL,
        range: token.text_range(),
        message: "a URL without quotes".into(),
        help: Some(format!("write \"{token}\"")),
        fix: vec![Edit::replace(token.text_range(), format!("\"{}\"", escaped(&token)))],
    })
}

/// A URL may hold `$`, which begins nothing in one.
fn escaped(token: &SyntaxToken) -> String {
    token.text().replace("${", "\\${")
}

fn deprecated_builtin(document: &Document, node: &SyntaxNode) -> Option<Finding> {
    let text = node.text().to_string();
    let name = text.strip_prefix("builtins.").or_else(|| text.strip_prefix("__")).unwrap_or(&text);
    let (_, instead) = DEPRECATED.iter().find(|(deprecated, _)| *deprecated == name)?;
    let reference = document.names.reference_at(node.text_range().start())?;
    (reference.target == Target::Builtin).then(|| Finding {
        lint: &DEPRECATED_BUILTIN,
        range: node.text_range(),
        message: format!("'{name}' is out of date"),
        help: Some((*instead).to_owned()),
        fix: Vec::new(),
    })
}

fn needless_rec(document: &Document, node: SyntaxNode) -> Option<Finding> {
    let set = ast::AttrSet::cast(node)?;
    let word = set.rec_token()?;
    let range = set.syntax().text_range();
    // `__overrides` means something in a recursive set only; dynamic names and `with` are seen by no list of names.
    let has_overrides =
        set.attrpath_values().any(|entry| entry.syntax().text().to_string().starts_with("__overrides"));
    if has_overrides || is_needed(&document.names, range) {
        return None;
    }
    let blanks = word.next_token().filter(|token| token.kind() == SyntaxKind::TOKEN_WHITESPACE);
    let end = blanks.map_or(word.text_range().end(), |blanks| blanks.text_range().end());
    Some(Finding {
        lint: &NEEDLESS_REC,
        range: word.text_range(),
        message: "none of these attributes refers to another: 'rec' does nothing".into(),
        help: Some("remove 'rec'".into()),
        fix: vec![Edit::remove(TextRange::new(word.text_range().start(), end))],
    })
}

/// Whether something uses a variable that the recursive set at a place defines.
fn is_needed(names: &Names, range: TextRange) -> bool {
    let Some(scope) = names
        .scopes
        .iter()
        .position(|scope| scope.range == range && scope.with.is_none() && scope.parent.is_some())
    else {
        return true;
    };
    let mut own = names.definitions.iter().filter(|definition| definition.scope == scope);
    own.any(|definition| definition.kind == Kind::Attribute && definition.uses > 0)
}
