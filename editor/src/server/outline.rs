//! The outline of a text: its bindings, those of the sets that they hold below them.

use lsp_types::{DocumentSymbol, SymbolKind};
use rnix::{SyntaxKind, SyntaxNode, ast};
use rowan::ast::AstNode;

use super::convert::range_of;
use crate::{
    analysis::syntax::{bare, static_name},
    document::Document,
};

/// The bindings of a text.
pub fn symbols(document: &Document) -> Vec<DocumentSymbol> {
    let mut symbols = Vec::new();
    collect(document, &document.root, &mut symbols);
    symbols
}

fn collect(document: &Document, node: &SyntaxNode, symbols: &mut Vec<DocumentSymbol>) {
    for child in node.children() {
        match child.kind() {
            SyntaxKind::NODE_ATTRPATH_VALUE => symbols.extend(symbol(document, &child)),
            SyntaxKind::NODE_INHERIT => {
                let Some(inherit) = ast::Inherit::cast(child) else { continue };
                symbols.extend(inherit.attrs().filter_map(|attr| {
                    let name = static_name(&attr)?;
                    Some(new(document, name, attr.syntax(), attr.syntax(), SymbolKind::VARIABLE, Vec::new()))
                }));
            }
            _ => collect(document, &child, symbols),
        }
    }
}

fn symbol(document: &Document, node: &SyntaxNode) -> Option<DocumentSymbol> {
    let entry = ast::AttrpathValue::cast(node.clone())?;
    let path = entry.attrpath()?;
    let mut inner = Vec::new();
    let value = entry.value();
    if let Some(value) = &value {
        collect(document, value.syntax(), &mut inner);
    }
    let kind = match value.and_then(bare) {
        Some(ast::Expr::Lambda(_)) => SymbolKind::FUNCTION,
        Some(ast::Expr::AttrSet(_)) => SymbolKind::NAMESPACE,
        Some(ast::Expr::Str(_)) => SymbolKind::STRING,
        Some(ast::Expr::Literal(_)) => SymbolKind::NUMBER,
        Some(ast::Expr::List(_)) => SymbolKind::ARRAY,
        _ => SymbolKind::FIELD,
    };
    Some(new(document, path.syntax().text().to_string(), node, path.syntax(), kind, inner))
}

fn new(
    document: &Document,
    name: String,
    whole: &SyntaxNode,
    selection: &SyntaxNode,
    kind: SymbolKind,
    children: Vec<DocumentSymbol>,
) -> DocumentSymbol {
    #[allow(deprecated, reason = "the type has a field that is out of date")]
    DocumentSymbol {
        name,
        detail: None,
        kind,
        tags: None,
        deprecated: None,
        range: range_of(document, whole.text_range()),
        selection_range: range_of(document, selection.text_range()),
        children: (!children.is_empty()).then_some(children),
    }
}
