//! What may follow what was typed: variables in scope, attributes, builtins, files.

use std::{path::Path, rc::Rc};

use lsp_types::{CompletionItem, CompletionItemKind, Documentation, MarkupContent, MarkupKind};
use rnix::{SyntaxKind, TextRange, TextSize, ast};
use rowan::ast::AstNode;

use super::hover;
use crate::{
    analysis::{
        names::{Kind, globals},
        syntax::token_at,
        values::{Part, Values},
    },
    files::is_source,
    workspace::{Source, Workspace},
};

/// Words of the language that begin an expression or belong to one.
const KEYWORDS: [&str; 10] = ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];

/// What may be at an offset.
pub fn at(workspace: &Workspace, source: &Rc<Source>, offset: TextSize) -> Vec<CompletionItem> {
    let document = &source.document;
    if is_in_text(source, offset) {
        return Vec::new();
    }
    let before = document.slice(TextRange::up_to(offset));
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || "_'-".contains(letter);
    let is_of_path = |letter: char| is_of_word(letter) || "./+".contains(letter);
    let path = &before[before.trim_end_matches(is_of_path).len()..];
    if path.starts_with("./") || path.starts_with("../") || path.starts_with('/') {
        return paths(source, path);
    }
    let word = &before[before.trim_end_matches(is_of_word).len()..];
    let subject = before[..before.len() - word.len()].strip_suffix('.');
    let values = Values::new(workspace);
    match subject {
        Some(subject) => attributes(&values, &subject_of(&values, source, subject, offset)),
        None => variables(&values, source, offset),
    }
}

/// Whether an offset is inside of a comment or the text of a string.
fn is_in_text(source: &Source, offset: TextSize) -> bool {
    let Some(token) = token_at(&source.document.root, offset) else { return false };
    let range = token.text_range();
    let is_inside = range.start() < offset && offset < range.end();
    match token.kind() {
        SyntaxKind::TOKEN_COMMENT => range.start() < offset && (token.text().starts_with('#') || is_inside),
        SyntaxKind::TOKEN_STRING_CONTENT => is_inside,
        _ => false,
    }
}

/// What stands before a dot: names with dots between them, or whatever the tree has there.
fn subject_of(values: &Values<'_>, source: &Rc<Source>, subject: &str, offset: TextSize) -> Vec<Part> {
    let is_of_chain = |letter: char| letter.is_ascii_alphanumeric() || "_'-.".contains(letter);
    let chain = &subject[subject.trim_end_matches(is_of_chain).len()..];
    let mut steps = chain.split('.');
    let first = steps.next().unwrap_or_default();
    let mut parts = if first.is_empty() {
        let end = TextSize::of(subject);
        let token = source.document.root.token_at_offset(end).left_biased();
        let expr = token.and_then(|token| {
            let exprs = token.parent_ancestors().filter_map(ast::Expr::cast);
            exprs.take_while(|expr| expr.syntax().text_range().end() == end).last()
        });
        expr.map(|expr| values.of(source, &expr)).unwrap_or_default()
    } else {
        named(values, source, first, offset)
    };
    for step in steps {
        parts = values.member(&parts, step).map(|member| values.value(&member)).unwrap_or_default();
    }
    parts
}

/// What a variable at an offset is.
fn named(values: &Values<'_>, source: &Rc<Source>, name: &str, offset: TextSize) -> Vec<Part> {
    let names = &source.document.names;
    if let Some(id) = names.lookup(names.scope_at(offset), name) {
        return values.definition(source, id);
    }
    if name == "builtins" {
        return vec![Part::Builtins];
    }
    let withs = values.withs(source, TextRange::empty(offset));
    let member = withs.into_iter().find_map(|set| values.member(&set, name));
    member.map(|member| values.value(&member)).unwrap_or_default()
}

fn attributes(values: &Values<'_>, set: &[Part]) -> Vec<CompletionItem> {
    let mut items: Vec<CompletionItem> =
        values.members(set).iter().map(|member| item(&member.name, CompletionItemKind::FIELD)).collect();
    if set.iter().any(|part| matches!(part, Part::Builtins)) {
        items.extend(zeval_evaluator::builtins::members().map(|name| builtin(name, name)));
    }
    items
}

fn variables(values: &Values<'_>, source: &Rc<Source>, offset: TextSize) -> Vec<CompletionItem> {
    let names = &source.document.names;
    let mut items: Vec<CompletionItem> = names
        .visible(names.scope_at(offset))
        .into_iter()
        .map(|id| {
            let definition = &names.definitions[id];
            let kind = match definition.kind {
                Kind::Let | Kind::Attribute => CompletionItemKind::VARIABLE,
                Kind::Argument | Kind::Formal | Kind::Whole => CompletionItemKind::VALUE,
            };
            item(&definition.name, kind)
        })
        .collect();
    let mut seen: std::collections::HashSet<String> = items.iter().map(|item| item.label.clone()).collect();
    for set in values.withs(source, TextRange::empty(offset)) {
        let attributes = attributes(values, &set).into_iter();
        items.extend(attributes.filter(|attribute| seen.insert(attribute.label.clone())));
    }
    let mut globals: Vec<String> = globals().into_iter().filter(|name| !name.starts_with('_')).collect();
    globals.sort();
    items.extend(globals.iter().filter(|name| !seen.contains(name.as_str())).map(|name| builtin(name, name)));
    items.extend(KEYWORDS.iter().map(|word| item(word, CompletionItemKind::KEYWORD)));
    items
}

fn item(name: &str, kind: CompletionItemKind) -> CompletionItem {
    CompletionItem { label: name.to_owned(), kind: Some(kind), ..CompletionItem::default() }
}

fn builtin(label: &str, name: &str) -> CompletionItem {
    let documentation = MarkupContent { kind: MarkupKind::Markdown, value: hover::builtin(name) };
    CompletionItem {
        documentation: Some(Documentation::MarkupContent(documentation)),
        ..item(label, CompletionItemKind::FUNCTION)
    }
}

/// The files and folders that a path may go on with.
fn paths(source: &Source, typed: &str) -> Vec<CompletionItem> {
    let folder = typed.rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = source.path.parent().unwrap_or(Path::new("/")).join(format!("{folder}/"));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut items: Vec<CompletionItem> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_folder = entry.path().is_dir();
            let kind = match is_folder {
                true => CompletionItemKind::FOLDER,
                false => CompletionItemKind::FILE,
            };
            let is_shown =
                !name.starts_with('.') && (is_folder || is_source(Path::new(&name)) || name.contains('.'));
            is_shown.then(|| item(&name, kind))
        })
        .collect();
    items.sort_by(|a, b| a.label.cmp(&b.label));
    items
}
