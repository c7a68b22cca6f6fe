//! What is shown of a name: what it is bound to, of which kind that is, and what is written about it.

use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind};
use rnix::ast::{self, HasEntry};
use rowan::ast::AstNode;
use zeval_evaluator::builtins::docs;

use crate::analysis::{
    names::Kind,
    syntax::comment_before,
    things::Thing,
    values::{Bound, node_at},
};

/// A value of at most so many letters is shown whole.
const SHORT: usize = 80;

/// What to show of a thing.
pub fn of(thing: &Thing) -> Option<Hover> {
    let text = match thing {
        Thing::Builtin(name) => builtin(name),
        Thing::File(path) => format!("`{}`", path.display()),
        Thing::Variable(..) | Thing::Member(_) => bound(thing)?,
    };
    let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: text });
    Some(Hover { contents, range: None })
}

/// A builtin's signature and sentence.
pub fn builtin(name: &str) -> String {
    match docs::find(name) {
        Some(doc) => format!("```nix\nbuiltins.{} {}\n```\n\n{}", doc.name, doc.arguments, doc.text),
        None => format!("```nix\nbuiltins.{name}\n```"),
    }
}

fn bound(thing: &Thing) -> Option<String> {
    let (source, name, range, kind) = match thing {
        Thing::Variable(source, id) => {
            let definition = &source.document.names.definitions[*id];
            let kind = match definition.kind {
                Kind::Let => "variable",
                Kind::Attribute => "attribute",
                Kind::Argument | Kind::Formal | Kind::Whole => "argument",
            };
            (source, definition.name.as_str(), definition.range, kind)
        }
        Thing::Member(member) => (&member.source, member.name.as_str(), member.range, "attribute"),
        _ => return None,
    };
    let value = thing.expression();
    let code = match &value {
        Some((_, value)) => format!("{name} = {}", shortened(value)),
        None => name.to_owned(),
    };
    let what = match (&value, thing) {
        (Some((_, value)), Thing::Variable(source, id)) => {
            match source.document.names.definitions[*id].kind {
                Kind::Formal => format!("{kind}; if it is not given: {}", type_of(value)),
                _ => format!("{kind}: {}", type_of(value)),
            }
        }
        (Some((_, value)), _) => format!("{kind}: {}", type_of(value)),
        (None, Thing::Member(member)) if matches!(member.bound, Bound::Rest(..)) => format!("{kind}: set"),
        (None, _) => kind.to_owned(),
    };
    let mut text = format!("```nix\n{code}\n```\n\n{what}");
    let node = node_at(&source.document.root, range)?;
    let entry = node.ancestors().find(|node| {
        ast::Entry::can_cast(node.kind())
            || ast::PatEntry::can_cast(node.kind())
            || ast::Lambda::can_cast(node.kind())
    });
    if let Some(comment) = entry.and_then(|entry| comment_before(&entry)) {
        text.push_str("\n\n---\n\n");
        text.push_str(&comment);
    }
    Some(text)
}

/// A value's text in a line: whole if it is short, else how it begins.
fn shortened(value: &ast::Expr) -> String {
    let text = value.syntax().text().to_string();
    if text.len() <= SHORT && !text.contains('\n') {
        return text;
    }
    match value {
        ast::Expr::AttrSet(_) => "{ ... }".into(),
        ast::Expr::List(_) => "[ ... ]".into(),
        ast::Expr::Lambda(lambda) => match lambda.param() {
            Some(parameter) => {
                let parameter = parameter.syntax().text().to_string();
                let words: Vec<&str> = parameter.split_whitespace().collect();
                format!("{}: ...", words.join(" "))
            }
            None => "...".into(),
        },
        _ => {
            let line = text.lines().next().unwrap_or_default();
            format!("{} ...", line.chars().take(SHORT).collect::<String>().trim_end())
        }
    }
}

/// The type of a value, as far as its form tells.
fn type_of(value: &ast::Expr) -> String {
    use ast::BinOpKind::*;
    match value {
        ast::Expr::Str(_) => "string".into(),
        ast::Expr::PathAbs(_) | ast::Expr::PathRel(_) | ast::Expr::PathHome(_) | ast::Expr::PathSearch(_) => {
            "path".into()
        }
        ast::Expr::List(list) => counted("list", list.items().count(), "element"),
        ast::Expr::AttrSet(set) => counted("set", set.entries().count(), "binding"),
        ast::Expr::Lambda(_) => "function".into(),
        ast::Expr::Literal(literal) => match literal.syntax().text().to_string() {
            text if text.contains(':') => "string".into(),
            text if text.contains('.') => "float".into(),
            _ => "integer".into(),
        },
        ast::Expr::HasAttr(_) => "boolean".into(),
        ast::Expr::UnaryOp(not) if not.operator() == Some(ast::UnaryOpKind::Invert) => "boolean".into(),
        ast::Expr::BinOp(operation) => match operation.operator() {
            Some(Concat) => "list".into(),
            Some(Update) => "set".into(),
            Some(And | Or | Implication | Equal | NotEqual | Less | LessOrEq | More | MoreOrEq) => {
                "boolean".into()
            }
            _ => "expression".into(),
        },
        ast::Expr::LetIn(bindings) => bindings.body().map_or("expression".into(), |body| type_of(&body)),
        ast::Expr::With(with) => with.body().map_or("expression".into(), |body| type_of(&body)),
        ast::Expr::Ident(ident) => match ident.syntax().text().to_string().as_str() {
            "true" | "false" => "boolean".into(),
            "null" => "null".into(),
            _ => "expression".into(),
        },
        _ => "expression".into(),
    }
}

fn counted(what: &str, count: usize, part: &str) -> String {
    format!("{what} of {count} {part}{}", if count == 1 { "" } else { "s" })
}
