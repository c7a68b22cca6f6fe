//! Findings about flakes: what `outputs` takes and `inputs` does not name.

use std::collections::HashSet;

use rnix::ast::{self, HasEntry};
use rowan::ast::AstNode;

use super::{Finding, MISSING_INPUT};
use crate::{analysis::syntax::static_name, document::Document};

pub(super) fn check(document: &Document, findings: &mut Vec<Finding>) {
    findings.extend(missing(document).unwrap_or_default());
}

/// The findings, if the text is a set with `outputs` that is a function with a pattern.
fn missing(document: &Document) -> Option<Vec<Finding>> {
    let root = document.root.children().find_map(ast::AttrSet::cast)?;
    let mut inputs = HashSet::new();
    let mut outputs = None;
    for entry in root.attrpath_values() {
        let path: Vec<Option<String>> = entry.attrpath()?.attrs().map(|step| static_name(&step)).collect();
        match &path[..] {
            [Some(name), Some(input), ..] if name == "inputs" => _ = inputs.insert(input.clone()),
            [Some(name)] if name == "inputs" => {
                // A set that is no literal is for the evaluator to refuse.
                let ast::Expr::AttrSet(set) = entry.value()? else { return None };
                for input in set.attrpath_values() {
                    inputs.extend(input.attrpath()?.attrs().next().as_ref().and_then(static_name));
                }
            }
            [Some(name)] if name == "outputs" => outputs = entry.value(),
            _ => {}
        }
    }
    let ast::Expr::Lambda(lambda) = outputs? else { return None };
    let ast::Param::Pattern(pattern) = lambda.param()? else { return None };
    let taken =
        pattern.pat_entries().filter(|entry| entry.default().is_none()).filter_map(|entry| entry.ident());
    let finding = |name: ast::Ident| {
        let text = name.syntax().text().to_string();
        (text != "self" && !inputs.contains(&text)).then(|| Finding {
            lint: &MISSING_INPUT,
            range: name.syntax().text_range(),
            message: format!("'inputs' does not name '{text}': the registry decides what it is"),
            help: Some(format!("add inputs.{text}.url = \"...\";")),
            fix: Vec::new(),
        })
    };
    Some(taken.filter_map(finding).collect())
}
