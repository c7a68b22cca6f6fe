//! Another name for a variable, everywhere it is used, if that changes no meaning.

use rnix::{SyntaxKind, TextRange, TextSize, ast};
use rowan::ast::AstNode;

use crate::{
    analysis::{
        names::{Definition, DefinitionId, Kind, Names, Target},
        syntax::static_name,
        values::{is_bindings, node_at},
    },
    document::Document,
    lint::Edit,
};

const KEYWORDS: [&str; 9] = ["assert", "else", "if", "in", "inherit", "let", "rec", "then", "with"];

/// The name at an offset that can be renamed; else why it cannot.
pub fn name_at(document: &Document, offset: TextSize) -> Result<(TextRange, String), String> {
    let id = variable_at(document, offset)?;
    let names = &document.names;
    let range = match names.reference_at(offset) {
        Some(reference) => reference.range,
        None => names.definitions[id].range,
    };
    Ok((range, names.definitions[id].name.clone()))
}

/// The edits that give the variable at an offset another name; else why that is not possible.
pub fn edits(document: &Document, offset: TextSize, new: &str) -> Result<Vec<Edit>, String> {
    let id = variable_at(document, offset)?;
    let is_name = new.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && new.chars().all(|letter| letter.is_ascii_alphanumeric() || "_'-".contains(letter));
    if !is_name || KEYWORDS.contains(&new) {
        return Err(format!("'{new}' is no name of a variable"));
    }
    let definition = &document.names.definitions[id];
    if definition.name == new {
        return Ok(Vec::new());
    }
    check_free(document, id, new)?;
    let mut edits = definition_edits(document, definition, new)
        .ok_or_else(|| format!("cannot tell how '{}' is defined here", definition.name))?;
    for reference in document.names.uses(id) {
        edits.push(match reference.is_inherit {
            true => inherit_edit(document, reference.range, |old| format!("{old} = {new};"))
                .ok_or("cannot tell what is inherited here")?,
            false => Edit { range: reference.range, text: new.to_owned() },
        });
    }
    edits.sort_by_key(|edit| edit.range.start());
    edits.dedup();
    Ok(edits)
}

fn variable_at(document: &Document, offset: TextSize) -> Result<DefinitionId, String> {
    let names = &document.names;
    let id = match names.reference_at(offset).map(|reference| reference.target) {
        Some(Target::Definition(id)) => id,
        Some(Target::Builtin) => return Err("a builtin cannot be renamed".into()),
        Some(Target::With | Target::Undefined) => {
            return Err("nothing in this file defines this name".into());
        }
        None => names.definition_at(offset).ok_or("there is no variable here")?,
    };
    match names.definitions[id].kind {
        Kind::Attribute => {
            Err("this is an attribute: who selects it, here or elsewhere, knows it by its name".into())
        }
        Kind::Formal => Err("this is an argument that callers give by its name".into()),
        Kind::Let | Kind::Argument | Kind::Whole => Ok(id),
    }
}

/// Whether the new name means nothing else where the variable is seen.
fn check_free(document: &Document, id: DefinitionId, new: &str) -> Result<(), String> {
    let names = &document.names;
    let definition = &names.definitions[id];
    let scope = &names.scopes[definition.scope];
    let is_taken = names.definitions.iter().any(|other| other.scope == definition.scope && other.name == new);
    let would_hide = names.references.iter().any(|reference| {
        scope.range.contains_range(reference.range)
            && document.slice(reference.range) == new
            && names.lookup(reference.scope, new).is_none_or(|other| is_outside(names, other, definition))
            && is_below(names, reference.scope, definition.scope)
    });
    let would_be_hidden = names.uses(id).any(|reference| {
        names.lookup(reference.scope, new).is_some_and(|other| !is_outside(names, other, definition))
    });
    if is_taken || would_hide || would_be_hidden {
        return Err(format!("'{new}' means something else where '{}' is used", definition.name));
    }
    Ok(())
}

/// Whether a definition is seen from outside of the scope of another one.
fn is_outside(names: &Names, other: DefinitionId, definition: &Definition) -> bool {
    let scope = names.definitions[other].scope;
    scope != definition.scope && !is_below(names, scope, definition.scope)
}

fn is_below(names: &Names, scope: usize, above: usize) -> bool {
    std::iter::successors(Some(scope), |&scope| names.scopes[scope].parent).any(|scope| scope == above)
}

/// The edits where the variable is defined.
fn definition_edits(document: &Document, definition: &Definition, new: &str) -> Option<Vec<Edit>> {
    let plain = |range: TextRange| Edit { range, text: new.to_owned() };
    if definition.is_inherited {
        let node = node_at(&document.root, definition.range)?;
        let inherit = node.ancestors().find_map(ast::Inherit::cast)?;
        let from = inherit.from().map(|from| from.syntax().text().to_string());
        let edit = inherit_edit(document, definition.range, |old| match from {
            Some(from) => format!("{new} = {from}.{old};"),
            None => format!("{new} = {old};"),
        });
        return Some(vec![edit?]);
    }
    if definition.kind != Kind::Let {
        return Some(vec![plain(definition.range)]);
    }
    // `a.b = 1; a.c = 2;` defines `a` twice.
    let bindings = node_at(&document.root, definition.range)?.ancestors().find(is_bindings)?;
    let heads = bindings.children().filter_map(ast::AttrpathValue::cast).filter_map(|entry| {
        let head = entry.attrpath()?.attrs().next()?;
        (static_name(&head)? == definition.name).then(|| plain(head.syntax().text_range()))
    });
    Some(heads.collect())
}

/// Takes a name out of an `inherit` and binds it on its own behind it.
fn inherit_edit(document: &Document, name: TextRange, binding: impl FnOnce(&str) -> String) -> Option<Edit> {
    let node = node_at(&document.root, name)?;
    let inherit = node.ancestors().find(|node| node.kind() == SyntaxKind::NODE_INHERIT)?;
    let range = inherit.text_range();
    let own = ast::Inherit::cast(inherit)?;
    let binding = binding(document.slice(name));
    if own.attrs().count() == 1 {
        return Some(Edit { range, text: binding });
    }
    let before = document.slice(TextRange::new(range.start(), name.start())).trim_end();
    let after = document.slice(TextRange::new(name.end(), range.end()));
    Some(Edit { range, text: format!("{before}{after} {binding}") })
}
