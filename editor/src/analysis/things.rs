//! What a name in a text stands for, wherever it is defined, and where else it stands.

use std::{fs, path::Path, rc::Rc};

use rnix::{SyntaxKind, SyntaxNode, TextRange, TextSize, ast};
use rowan::ast::AstNode;

use super::{
    names::{DefinitionId, Kind, Target},
    syntax::{bare, path_literal, static_name, token_at},
    values::{Bound, Member, Part, Values, is_bindings, node_at},
};
use crate::{
    files,
    workspace::{Source, Workspace},
};

/// What a name stands for.
#[derive(Clone)]
pub enum Thing {
    /// A variable.
    Variable(Rc<Source>, DefinitionId),
    /// An attribute.
    Member(Member),
    /// A builtin, by its name in `builtins`.
    Builtin(String),
    /// A file.
    File(std::path::PathBuf),
}

/// A place in a file.
#[derive(Clone)]
pub struct Location {
    /// The file.
    pub source: Rc<Source>,
    /// The place.
    pub range: TextRange,
}

/// What the name at an offset stands for.
pub fn at(workspace: &Workspace, source: &Rc<Source>, offset: TextSize) -> Option<Thing> {
    let values = Values::new(workspace);
    let document = &source.document;
    if let Some(reference) = document.names.reference_at(offset) {
        return match reference.target {
            Target::Definition(id) => Some(variable(&values, source, id)),
            Target::Builtin => Some(Thing::Builtin(member_name(document.slice(reference.range)))),
            Target::With => {
                values.of_with(source, reference.range).map(|member| Thing::Member(values.origin(member)))
            }
            Target::Undefined => None,
        };
    }
    let token = token_at(&document.root, offset)?;
    let path = token.parent_ancestors().find_map(ast::Expr::cast).filter(|expr| path_literal(expr).is_some());
    if let Some(path) = path {
        return workspace.resolve(&source.path, &path_literal(&path)?).map(Thing::File);
    }
    let step = token.parent_ancestors().find(|node| {
        let around = node.parent().map(|parent| parent.kind());
        matches!(around, Some(SyntaxKind::NODE_ATTRPATH | SyntaxKind::NODE_INHERIT))
    });
    match step.and_then(|step| attribute(&values, source, &step)) {
        Some(thing) => Some(thing),
        None => document.names.definition_at(offset).map(|id| variable(&values, source, id)),
    }
}

/// A variable, or the attribute that it is by `inherit (e)`.
fn variable(values: &Values<'_>, source: &Rc<Source>, id: DefinitionId) -> Thing {
    let definition = &source.document.names.definitions[id];
    let origin = definition.is_inherited.then(|| {
        let bindings = node_at(&source.document.root, definition.range)?.ancestors().find(is_bindings)?;
        let own = values.member(&[Part::Bindings(Rc::clone(source), bindings)], &definition.name)?;
        let origin = values.origin(own.clone());
        (origin.range != own.range || origin.source.path != own.source.path).then_some(origin)
    });
    match origin.flatten() {
        Some(member) => Thing::Member(member),
        None => Thing::Variable(Rc::clone(source), id),
    }
}

/// The attribute that a step of a path, or a name of `inherit (e)`, stands for.
fn attribute(values: &Values<'_>, source: &Rc<Source>, step: &SyntaxNode) -> Option<Thing> {
    let name = static_name(&ast::Attr::cast(step.clone())?)?;
    let path = step.parent()?;
    if let Some(inherit) = ast::Inherit::cast(path.clone()) {
        let set = values.of(source, &inherit.from()?.expr()?);
        return member(values, &set, &name);
    }
    let around = path.parent()?;
    let steps: Vec<ast::Attr> = ast::Attrpath::cast(path)?.attrs().collect();
    let index = steps.iter().position(|other| other.syntax() == step)?;
    if let Some(entry) = ast::AttrpathValue::cast(around.clone()) {
        if index == 0
            && let Some(id) = source.document.names.definition_at(step.text_range().start())
        {
            return Some(Thing::Variable(Rc::clone(source), id));
        }
        let bound = match index + 1 == steps.len() {
            true => Bound::Value(entry),
            false => Bound::Rest(entry, index + 1),
        };
        let range = step.text_range();
        return Some(Thing::Member(Member { source: Rc::clone(source), name, range, bound }));
    }
    let subject = match ast::Select::cast(around.clone()) {
        Some(select) => select.expr()?,
        None => ast::HasAttr::cast(around)?.expr()?,
    };
    let mut set = values.of(source, &subject);
    for step in &steps[..index] {
        set = values.value(&values.member(&set, &static_name(step)?)?);
    }
    member(values, &set, &name)
}

fn member(values: &Values<'_>, set: &[Part], name: &str) -> Option<Thing> {
    if set.iter().any(|part| matches!(part, Part::Builtins)) {
        return Some(Thing::Builtin(name.to_owned()));
    }
    values.member(set, name).map(|member| Thing::Member(values.origin(member)))
}

/// The name in `builtins` of a name that is always in scope.
fn member_name(global: &str) -> String {
    global.strip_prefix("__").unwrap_or(global).to_owned()
}

impl Thing {
    /// Where it is defined; builtins are nowhere.
    pub fn definition(&self, workspace: &Workspace) -> Option<Location> {
        match self {
            Thing::Variable(source, id) => {
                let range = source.document.names.definitions[*id].range;
                Some(Location { source: Rc::clone(source), range })
            }
            Thing::Member(member) => {
                Some(Location { source: Rc::clone(&member.source), range: member.range })
            }
            Thing::File(path) => {
                let source = workspace.source(path)?;
                Some(Location { source, range: TextRange::empty(TextSize::new(0)) })
            }
            Thing::Builtin(_) => None,
        }
    }

    /// The expression that it is bound to, if it is one.
    pub fn expression(&self) -> Option<(Rc<Source>, ast::Expr)> {
        match self {
            Thing::Variable(source, id) => {
                let definition = &source.document.names.definitions[*id];
                let node = node_at(&source.document.root, definition.range)?;
                let expr = match definition.kind {
                    Kind::Let | Kind::Attribute => {
                        let entry = node.ancestors().find_map(ast::AttrpathValue::cast)?;
                        (entry.attrpath()?.attrs().count() == 1).then(|| entry.value())??
                    }
                    Kind::Formal => node.ancestors().find_map(ast::PatEntry::cast)?.default()?,
                    Kind::Argument | Kind::Whole => return None,
                };
                Some((Rc::clone(source), bare(expr)?))
            }
            Thing::Member(member) => match &member.bound {
                Bound::Value(entry) => Some((Rc::clone(&member.source), bare(entry.value()?)?)),
                _ => None,
            },
            Thing::File(_) | Thing::Builtin(_) => None,
        }
    }

    fn is_same(&self, other: &Thing) -> bool {
        let place = |thing: &Thing| match thing {
            Thing::Variable(source, id) => {
                Some((source.path.clone(), source.document.names.definitions[*id].range))
            }
            Thing::Member(member) => Some((member.source.path.clone(), member.range)),
            Thing::File(path) => Some((path.clone(), TextRange::empty(TextSize::new(0)))),
            Thing::Builtin(_) => None,
        };
        match (self, other) {
            (Thing::Builtin(a), Thing::Builtin(b)) => a == b,
            _ => place(self).is_some() && place(self) == place(other),
        }
    }

    /// Where it is used: a variable in its file, an attribute in the files below `folders`, a builtin in the file that asks.
    pub fn uses(&self, workspace: &Workspace, asking: &Rc<Source>, folders: &[&Path]) -> Vec<Location> {
        match self {
            Thing::Variable(source, id) => {
                let mut found: Vec<Location> = source
                    .document
                    .names
                    .uses(*id)
                    .map(|reference| Location { source: Rc::clone(source), range: reference.range })
                    .collect();
                // An attribute of a recursive set may be selected elsewhere, too.
                let definition = &source.document.names.definitions[*id];
                if definition.kind == Kind::Attribute {
                    let others = self.uses_of_name(workspace, asking, folders, &definition.name);
                    found.extend(others.into_iter().filter(|other| !is_among(other, source, *id)));
                }
                found
            }
            Thing::Member(member) => self.uses_of_name(workspace, asking, folders, &member.name),
            Thing::Builtin(name) => self.uses_in(workspace, asking, name),
            Thing::File(_) => Vec::new(),
        }
    }

    fn uses_of_name(
        &self,
        workspace: &Workspace,
        asking: &Rc<Source>,
        folders: &[&Path],
        name: &str,
    ) -> Vec<Location> {
        let mut sources: Vec<Rc<Source>> = workspace.all_open().cloned().collect();
        if !sources.iter().any(|source| source.path == asking.path) {
            sources.push(Rc::clone(asking));
        }
        let finder = memchr::memmem::Finder::new(name);
        for path in folders.iter().flat_map(|folder| files::below(folder).unwrap_or_default()) {
            let is_open = sources.iter().any(|source| source.path == path);
            let mentions = || fs::read(&path).is_ok_and(|text| finder.find(&text).is_some());
            if !is_open && mentions() {
                sources.extend(workspace.source(&path));
            }
        }
        sources.iter().flat_map(|source| self.uses_in(workspace, source, name)).collect()
    }

    /// The places in a file with that name that stand for this, but not its definition.
    fn uses_in(&self, workspace: &Workspace, source: &Rc<Source>, name: &str) -> Vec<Location> {
        let document = &source.document;
        let own = self.definition(workspace);
        let is_own = |range: TextRange| {
            own.as_ref().is_some_and(|own| own.source.path == source.path && own.range == range)
        };
        let mut found = Vec::new();
        for start in memchr::memmem::find_iter(document.text.as_bytes(), name) {
            let range = TextRange::at(TextSize::new(start as u32), TextSize::of(name));
            let Some(token) = token_at(&document.root, range.start()) else { continue };
            let is_name = token.kind() == SyntaxKind::TOKEN_IDENT
                && (token.text_range() == range || token.text() == format!("__{name}"));
            if !is_name || is_own(range) {
                continue;
            }
            if at(workspace, source, range.start()).is_some_and(|thing| self.is_same(&thing)) {
                found.push(Location { source: Rc::clone(source), range: token.text_range() });
            }
        }
        found
    }
}

fn is_among(location: &Location, source: &Rc<Source>, id: DefinitionId) -> bool {
    location.source.path == source.path
        && source.document.names.uses(id).any(|reference| reference.range == location.range)
}
