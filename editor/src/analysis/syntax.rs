//! Reading the tree: the parts of definitions, the comments before them, what lists of names hold.

use rnix::{NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken, TextRange, ast};
use rowan::ast::AstNode;

/// The name that a step of an attribute path is, if it is no expression.
pub fn static_name(step: &ast::Attr) -> Option<String> {
    match step {
        ast::Attr::Ident(ident) => Some(ident.syntax().text().to_string()),
        ast::Attr::Str(text) => plain_string(text),
        ast::Attr::Dynamic(dynamic) => match dynamic.expr()? {
            ast::Expr::Str(text) => plain_string(&text),
            _ => None,
        },
    }
}

/// A string's value, if it has neither interpolations nor escapes.
fn plain_string(text: &ast::Str) -> Option<String> {
    let source = text.syntax().text().to_string();
    let inner = source.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['$', '\\'])).then(|| inner.to_owned())
}

/// A path literal without interpolations, as written: `./a`, `<a>`.
pub fn path_literal(expr: &ast::Expr) -> Option<String> {
    let is_path = matches!(
        expr,
        ast::Expr::PathAbs(_) | ast::Expr::PathRel(_) | ast::Expr::PathHome(_) | ast::Expr::PathSearch(_)
    );
    let text = expr.syntax().text().to_string();
    (is_path && !text.contains("${")).then_some(text)
}

/// The expression without the parentheses around it.
pub fn bare(mut expr: ast::Expr) -> Option<ast::Expr> {
    while let ast::Expr::Paren(paren) = expr {
        expr = paren.expr()?;
    }
    Some(expr)
}

/// The comment that stands directly before a node, without its signs: a doc comment, or comments in lines of their own.
pub fn comment_before(node: &SyntaxNode) -> Option<String> {
    let mut comments: Vec<SyntaxToken> = Vec::new();
    let mut next = node.first_token()?.prev_token();
    let mut is_own_line = true;
    while let Some(token) = next {
        match token.kind() {
            SyntaxKind::TOKEN_WHITESPACE => {
                if token.text().matches('\n').count() > 1 {
                    break;
                }
                is_own_line = token.text().contains('\n');
            }
            SyntaxKind::TOKEN_COMMENT => comments.push(token.clone()),
            _ => {
                // A comment behind something else on its line is about that.
                if !is_own_line && !comments.is_empty() {
                    comments.pop();
                }
                break;
            }
        }
        next = token.prev_token();
    }
    if let Some(doc) = comments.iter().find(|comment| comment.text().starts_with("/**")) {
        return Some(inner_text(doc.text()));
    }
    comments.reverse();
    let lines: Vec<String> = comments.iter().map(|comment| inner_text(comment.text())).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What a comment says, without its signs and common indentation.
fn inner_text(comment: &str) -> String {
    let inner = match comment.strip_prefix('#') {
        Some(line) => return line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned(),
        None => comment.trim_start_matches('/').trim_start_matches('*'),
    };
    let inner = inner.strip_suffix("*/").unwrap_or(inner);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let least = inner.lines().skip(1).filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let lines = inner.lines().enumerate().map(|(index, line)| match index {
        0 => line.trim(),
        _ => line.get(least..).unwrap_or(line).trim_end(),
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The innermost token at an offset, a word before others.
pub fn token_at(root: &SyntaxNode, offset: rnix::TextSize) -> Option<SyntaxToken> {
    if offset > root.text_range().end() {
        return None;
    }
    let is_word = |token: &SyntaxToken| {
        matches!(
            token.kind(),
            SyntaxKind::TOKEN_IDENT
                | SyntaxKind::TOKEN_OR
                | SyntaxKind::TOKEN_PATH_REL
                | SyntaxKind::TOKEN_PATH_ABS
                | SyntaxKind::TOKEN_PATH_SEARCH
                | SyntaxKind::TOKEN_STRING_CONTENT
        )
    };
    let mut tokens = root.token_at_offset(offset);
    let first = tokens.next()?;
    match tokens.next() {
        Some(second) if is_word(&second) || !is_word(&first) => Some(second),
        _ => Some(first),
    }
}

/// What to remove so that a node is gone with the blanks before it, and with a comment of its own.
pub fn range_with_blanks(node: &SyntaxNode) -> TextRange {
    let mut start = node.text_range().start();
    let mut next = node.prev_sibling_or_token();
    while let Some(NodeOrToken::Token(token)) = next {
        match token.kind() {
            SyntaxKind::TOKEN_WHITESPACE => start = token.text_range().start(),
            SyntaxKind::TOKEN_COMMENT if is_on_own_line(&token) && !has_blank_line_after(&token) => {
                start = token.text_range().start();
            }
            _ => break,
        }
        next = token.prev_sibling_or_token();
    }
    TextRange::new(start, node.text_range().end())
}

fn is_on_own_line(token: &SyntaxToken) -> bool {
    token.prev_token().is_none_or(|blank| blank.text().contains('\n'))
}

fn has_blank_line_after(token: &SyntaxToken) -> bool {
    token.next_token().is_some_and(|blank| blank.text().matches('\n').count() > 1)
}
