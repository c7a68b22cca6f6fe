//! Changes of a text: mends of what lints find, and its layout.

use std::collections::HashMap;

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionResponse, TextEdit, Uri, WorkspaceEdit,
};
use rnix::TextRange;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::convert::range_of;
use crate::{
    document::Document,
    lint::{self, Edit},
};

/// The mends for what was found in a part of a text.
pub fn fixes(uri: Uri, document: &Document, range: TextRange) -> CodeActionResponse {
    if crate::format::check(&document.text).is_err() {
        return Vec::new();
    }
    let findings = lint::check(document).into_iter();
    let here = findings.filter(|finding| !finding.fix.is_empty() && finding.range.intersect(range).is_some());
    let action = |finding: lint::Finding| {
        CodeActionOrCommand::CodeAction(CodeAction {
            title: finding.help.unwrap_or(finding.message),
            kind: Some(CodeActionKind::QUICKFIX),
            edit: Some(workspace_edit(uri.clone(), document, &finding.fix)),
            ..CodeAction::default()
        })
    };
    here.map(action).collect()
}

/// Edits of one file.
#[allow(clippy::mutable_key_type, reason = "the protocol's type; nobody changes an address")]
pub fn workspace_edit(uri: Uri, document: &Document, edits: &[Edit]) -> WorkspaceEdit {
    let edits = edits.iter().map(|edit| TextEdit::new(range_of(document, edit.range), edit.text.clone()));
    WorkspaceEdit { changes: Some(HashMap::from([(uri, edits.collect())])), ..WorkspaceEdit::default() }
}

/// The lines that make a text another one: cursors and folds elsewhere stay where they are.
pub fn difference(document: &Document, after: &str) -> Vec<TextEdit> {
    let old: Vec<&str> = document.text.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let starts = starts(&old);
    let edit = |op: DiffOp| {
        let range = TextRange::new(starts[op.old_range().start].into(), starts[op.old_range().end].into());
        TextEdit::new(range_of(document, range), new[op.new_range()].concat())
    };
    let ops = capture_diff_slices(Algorithm::Myers, &old, &new).into_iter();
    ops.filter(|op| !matches!(op, DiffOp::Equal { .. })).map(edit).collect()
}

/// Where each line begins, and where the last one ends.
fn starts(lines: &[&str]) -> Vec<u32> {
    let ends = lines.iter().scan(0, |at, line| {
        *at += line.len() as u32;
        Some(*at)
    });
    std::iter::once(0).chain(ends).collect()
}
