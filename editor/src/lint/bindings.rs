//! Findings about variables: undefined, unused, hidden.

use bstr::ByteSlice;
use rnix::{SyntaxKind, SyntaxNode, TextRange, ast};
use rowan::ast::AstNode;
use zeval_evaluator::suggest::closest;

use super::{Edit, Finding, SHADOWED, UNDEFINED, UNUSED_ARGUMENT, UNUSED_BINDING};
use crate::{
    analysis::{
        names::{Definition, Kind, Names, Reference, Target, globals},
        syntax::range_with_blanks,
        values::node_at,
    },
    document::Document,
};

pub(super) fn check(document: &Document, findings: &mut Vec<Finding>) {
    let names = &document.names;
    let undefined = names.references.iter().filter(|reference| reference.target == Target::Undefined);
    findings.extend(undefined.map(|reference| undefined_variable(document, reference)));
    let is_hidden_builtin = {
        let globals = globals();
        move |name: &str| !name.starts_with('_') && globals.contains(name)
    };
    for definition in &names.definitions {
        if definition.uses == 0 {
            findings.extend(unused(document, definition));
        }
        if definition.kind == Kind::Let && !definition.is_inherited {
            let what = match definition.shadows {
                // `let x = f x; in` does not do what it seems to.
                Some(_) => "variable",
                None if is_hidden_builtin(&definition.name) => "builtin",
                None => continue,
            };
            findings.push(Finding {
                lint: &SHADOWED,
                range: definition.range,
                message: format!("this hides the {what} '{}'", definition.name),
                help: Some("give it another name".into()),
                fix: Vec::new(),
            });
        }
    }
}

fn undefined_variable(document: &Document, reference: &Reference) -> Finding {
    let name = document.slice(reference.range);
    let names = &document.names;
    let visible = names.visible(reference.scope);
    let globals = globals();
    let known = visible
        .iter()
        .map(|&id| names.definitions[id].name.as_bytes().as_bstr())
        .chain(globals.iter().map(|name| name.as_bytes().as_bstr()));
    let near = closest(name.as_bytes().as_bstr(), known);
    let help = match near.is_empty() {
        false => Some(format!("did you mean {}?", near.join(" or "))),
        true => pattern_around(document, reference.range)
            .map(|_| format!("define it, or take it as an argument: add '{name}' to the function's pattern")),
    };
    Finding {
        lint: &UNDEFINED,
        range: reference.range,
        message: format!("undefined variable '{name}'"),
        help,
        fix: Vec::new(),
    }
}

/// The pattern of the outermost function around a place.
fn pattern_around(document: &Document, range: TextRange) -> Option<ast::Pattern> {
    let node = node_at(&document.root, range)?;
    node.ancestors()
        .filter_map(ast::Lambda::cast)
        .filter_map(|lambda| match lambda.param()? {
            ast::Param::Pattern(pattern) => Some(pattern),
            ast::Param::IdentParam(_) => None,
        })
        .last()
}

fn unused(document: &Document, definition: &Definition) -> Option<Finding> {
    if definition.name.starts_with('_') {
        return None;
    }
    let (lint, what) = match definition.kind {
        Kind::Let => (&UNUSED_BINDING, "is never used"),
        Kind::Argument | Kind::Formal | Kind::Whole => {
            (&UNUSED_ARGUMENT, "is an argument that is never used")
        }
        Kind::Attribute => return None,
    };
    let fix = match definition.kind {
        Kind::Let => removal(document, definition).into_iter().collect(),
        _ => Vec::new(),
    };
    let help = match (definition.kind, fix.is_empty()) {
        (Kind::Let, false) => Some("remove it".into()),
        (Kind::Argument, _) => Some(format!("call it '_' or '_{}' if that is meant", definition.name)),
        _ => None,
    };
    Some(Finding {
        lint,
        range: definition.range,
        message: format!("'{}' {what}", definition.name),
        help,
        fix,
    })
}

/// What to remove so that an unused binding is gone: never evaluated, it changes nothing. A name that several bindings
/// make (`a.b = 1; a.c = 2;`) is left for a person.
fn removal(document: &Document, definition: &Definition) -> Option<Edit> {
    let node = node_at(&document.root, definition.range)?;
    let entry = node.ancestors().find_map(ast::Entry::cast)?;
    match &entry {
        ast::Entry::AttrpathValue(value) => {
            let is_plain = value.attrpath()?.attrs().count() == 1;
            is_plain.then(|| Edit::remove(range_with_blanks(entry.syntax())))
        }
        ast::Entry::Inherit(inherit) => {
            let names: Vec<ast::Attr> = inherit.attrs().collect();
            let used = |attr: &ast::Attr| is_used(&document.names, attr.syntax());
            let range = match names.iter().any(used) {
                true => range_with_blanks(&node),
                // All of them are unused: the first finding removes them all.
                false if names.first().is_some_and(|first| first.syntax() == &node) => {
                    range_with_blanks(entry.syntax())
                }
                false => return None,
            };
            Some(Edit::remove(range))
        }
    }
}

fn is_used(names: &Names, name: &SyntaxNode) -> bool {
    debug_assert!(name.kind() != SyntaxKind::NODE_INHERIT);
    names
        .definitions
        .iter()
        .find(|definition| definition.range == name.text_range())
        .is_none_or(|definition| definition.uses > 0)
}
