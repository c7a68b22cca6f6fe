//! What each name of a text stands for: scopes, definitions, and the places where variables are used.

use std::collections::HashSet;

use rnix::ast::HasEntry;
use rnix::{SyntaxKind, SyntaxNode, TextRange, TextSize, ast};
use rowan::ast::AstNode;
use rustc_hash::FxHashMap;

use super::syntax::static_name;

/// Which definition, by its place in [`Names::definitions`].
pub type DefinitionId = usize;
/// Which scope, by its place in [`Names::scopes`].
pub type ScopeId = usize;

/// How a variable comes into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `let x = ...`
    Let,
    /// An attribute of a recursive set.
    Attribute,
    /// `x: ...`
    Argument,
    /// `{ x }: ...`
    Formal,
    /// `{ ... }@x: ...`
    Whole,
}

/// A variable.
#[derive(Debug)]
pub struct Definition {
    /// What it is called.
    pub name: String,
    /// Where the name stands.
    pub range: TextRange,
    /// The binding, inherited name or argument as a whole.
    pub whole: TextRange,
    /// How it comes into being.
    pub kind: Kind,
    /// Whether `inherit` brings it.
    pub is_inherited: bool,
    /// Where it is seen.
    pub scope: ScopeId,
    /// The variable of that name which it hides.
    pub shadows: Option<DefinitionId>,
    /// How often it is used.
    pub uses: usize,
}

/// A place where a variable is used.
#[derive(Debug)]
pub struct Reference {
    /// Where.
    pub range: TextRange,
    /// In which scope.
    pub scope: ScopeId,
    /// What it stands for.
    pub target: Target,
    /// Whether it is a name of `inherit`, and so also names what it makes.
    pub is_inherit: bool,
}

/// What a use of a variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A definition in the text.
    Definition(DefinitionId),
    /// What is always in scope.
    Builtin,
    /// An attribute of some `with`.
    With,
    /// Nothing.
    Undefined,
}

/// Where names are seen.
#[derive(Debug)]
pub struct Scope {
    /// The part of the text.
    pub range: TextRange,
    /// The scope around it.
    pub parent: Option<ScopeId>,
    /// The set of the `with` that makes it.
    pub with: Option<TextRange>,
    names: FxHashMap<String, DefinitionId>,
}

/// All names of a text.
#[derive(Debug)]
pub struct Names {
    /// Its variables.
    pub definitions: Vec<Definition>,
    /// Their uses, in the order of the text.
    pub references: Vec<Reference>,
    /// The scopes; each follows the one around it. The first is the whole text.
    pub scopes: Vec<Scope>,
}

impl Names {
    /// The names of a tree.
    pub fn of(root: &SyntaxNode) -> Names {
        let whole = Scope { range: root.text_range(), parent: None, with: None, names: FxHashMap::default() };
        let names = Names { definitions: Vec::new(), references: Vec::new(), scopes: vec![whole] };
        let mut walk = Walk { names, globals: globals() };
        walk.children(root, 0);
        let mut names = walk.names;
        names.references.sort_by_key(|reference| reference.range.start());
        for index in 0..names.references.len() {
            if let Target::Definition(id) = names.references[index].target {
                names.definitions[id].uses += 1;
            }
        }
        names
    }

    /// The use of a variable at an offset.
    pub fn reference_at(&self, offset: TextSize) -> Option<&Reference> {
        let index = self.references.partition_point(|reference| reference.range.end() < offset);
        self.references[index..]
            .iter()
            .take_while(|reference| reference.range.start() <= offset)
            .find(|reference| reference.range.contains_inclusive(offset))
    }

    /// The definition whose name is at an offset.
    pub fn definition_at(&self, offset: TextSize) -> Option<DefinitionId> {
        self.definitions.iter().position(|definition| definition.range.contains_inclusive(offset))
    }

    /// The uses of a definition.
    pub fn uses(&self, id: DefinitionId) -> impl Iterator<Item = &Reference> {
        self.references.iter().filter(move |reference| reference.target == Target::Definition(id))
    }

    /// The innermost scope at an offset.
    pub fn scope_at(&self, offset: TextSize) -> ScopeId {
        let covers = |scope: &Scope| scope.range.contains_inclusive(offset);
        self.scopes.iter().rposition(covers).unwrap_or(0)
    }

    /// A scope and those around it, from the inside out.
    pub fn around(&self, scope: ScopeId) -> impl Iterator<Item = &Scope> {
        std::iter::successors(Some(&self.scopes[scope]), |scope| scope.parent.map(|id| &self.scopes[id]))
    }

    /// The definition that a name stands for in a scope.
    pub fn lookup(&self, scope: ScopeId, name: &str) -> Option<DefinitionId> {
        self.around(scope).find_map(|scope| scope.names.get(name).copied())
    }

    /// The variables that are seen in a scope, the innermost of each name.
    pub fn visible(&self, scope: ScopeId) -> Vec<DefinitionId> {
        let mut seen = HashSet::new();
        let mut visible = Vec::new();
        for scope in self.around(scope) {
            let mut ids: Vec<_> = scope.names.values().copied().collect();
            ids.sort_unstable();
            visible.extend(ids.into_iter().filter(|&id| seen.insert(self.definitions[id].name.as_str())));
        }
        visible
    }
}

/// The names that are always in scope.
pub fn globals() -> HashSet<String> {
    zeval_evaluator::builtins::members().map(zeval_evaluator::builtins::global).collect()
}

struct Walk {
    names: Names,
    globals: HashSet<String>,
}

impl Walk {
    fn children(&mut self, node: &SyntaxNode, scope: ScopeId) {
        for child in node.children() {
            self.node(&child, scope);
        }
    }

    fn node(&mut self, node: &SyntaxNode, scope: ScopeId) {
        match node.kind() {
            SyntaxKind::NODE_IDENT => self.reference(node, scope, false),
            SyntaxKind::NODE_LET_IN => {
                let Some(bindings) = ast::LetIn::cast(node.clone()) else { return };
                let inner = self.recursive(&bindings, Kind::Let, scope);
                if let Some(body) = bindings.body() {
                    self.node(body.syntax(), inner);
                }
            }
            SyntaxKind::NODE_LEGACY_LET => {
                let Some(bindings) = ast::LegacyLet::cast(node.clone()) else { return };
                self.recursive(&bindings, Kind::Attribute, scope);
            }
            SyntaxKind::NODE_ATTR_SET => {
                let Some(set) = ast::AttrSet::cast(node.clone()) else { return };
                match set.rec_token() {
                    Some(_) => _ = self.recursive(&set, Kind::Attribute, scope),
                    None => self.entries(&set, scope, scope),
                }
            }
            SyntaxKind::NODE_LAMBDA => self.lambda(node, scope),
            SyntaxKind::NODE_WITH => {
                let Some(with) = ast::With::cast(node.clone()) else { return };
                let Some(namespace) = with.namespace() else { return };
                self.node(namespace.syntax(), scope);
                if let Some(body) = with.body() {
                    let range = body.syntax().text_range();
                    let inner = self.open(range, scope, Some(namespace.syntax().text_range()));
                    self.node(body.syntax(), inner);
                }
            }
            SyntaxKind::NODE_ATTRPATH => {
                for step in node.children().filter(|step| step.kind() != SyntaxKind::NODE_IDENT) {
                    self.node(&step, scope);
                }
            }
            _ => self.children(node, scope),
        }
    }

    fn open(&mut self, range: TextRange, parent: ScopeId, with: Option<TextRange>) -> ScopeId {
        self.names.scopes.push(Scope { range, parent: Some(parent), with, names: FxHashMap::default() });
        self.names.scopes.len() - 1
    }

    fn define(
        &mut self,
        (name, range): (String, TextRange),
        whole: TextRange,
        kind: Kind,
        scope: ScopeId,
    ) -> DefinitionId {
        if let Some(&id) = self.names.scopes[scope].names.get(&name) {
            return id;
        }
        let shadows = self.names.scopes[scope].parent.and_then(|parent| self.names.lookup(parent, &name));
        let id = self.names.definitions.len();
        self.names.scopes[scope].names.insert(name.clone(), id);
        let is_inherited = false;
        self.names.definitions.push(Definition {
            name,
            range,
            whole,
            kind,
            is_inherited,
            scope,
            shadows,
            uses: 0,
        });
        id
    }

    /// Bindings that see each other: all are defined, then their values are read.
    fn recursive<N: HasEntry>(&mut self, bindings: &N, kind: Kind, outer: ScopeId) -> ScopeId {
        let scope = self.open(bindings.syntax().text_range(), outer, None);
        for entry in bindings.attrpath_values() {
            let first = entry.attrpath().and_then(|path| path.attrs().next());
            let Some(first) = first else { continue };
            if let Some(name) = static_name(&first) {
                let range = first.syntax().text_range();
                self.define((name, range), entry.syntax().text_range(), kind, scope);
            }
        }
        for inherit in bindings.inherits() {
            for attr in inherit.attrs() {
                if let Some(name) = static_name(&attr) {
                    let range = attr.syntax().text_range();
                    let id = self.define((name, range), range, kind, scope);
                    self.names.definitions[id].is_inherited = true;
                }
            }
        }
        self.entries(bindings, scope, outer);
        scope
    }

    /// The values of bindings; names of a plain `inherit` are looked up in `outer`.
    fn entries<N: HasEntry>(&mut self, bindings: &N, scope: ScopeId, outer: ScopeId) {
        for entry in bindings.entries() {
            match entry {
                ast::Entry::AttrpathValue(entry) => self.children(entry.syntax(), scope),
                ast::Entry::Inherit(inherit) => match inherit.from() {
                    Some(from) => self.children(from.syntax(), scope),
                    None => {
                        for attr in inherit.attrs() {
                            self.reference(attr.syntax(), outer, true);
                        }
                    }
                },
            }
        }
        // What could not be understood may still hold names.
        let errors = bindings.syntax().children().filter(|child| child.kind() == SyntaxKind::NODE_ERROR);
        errors.for_each(|error| self.children(&error, scope));
    }

    fn lambda(&mut self, node: &SyntaxNode, outer: ScopeId) {
        let Some(lambda) = ast::Lambda::cast(node.clone()) else { return };
        let scope = self.open(node.text_range(), outer, None);
        let named = |ident: &ast::Ident| (ident.syntax().text().to_string(), ident.syntax().text_range());
        match lambda.param() {
            Some(ast::Param::IdentParam(param)) => {
                if let Some(ident) = param.ident() {
                    self.define(named(&ident), param.syntax().text_range(), Kind::Argument, scope);
                }
            }
            Some(ast::Param::Pattern(pattern)) => {
                for entry in pattern.pat_entries() {
                    if let Some(ident) = entry.ident() {
                        self.define(named(&ident), entry.syntax().text_range(), Kind::Formal, scope);
                    }
                }
                if let Some(bind) = pattern.pat_bind()
                    && let Some(ident) = bind.ident()
                {
                    self.define(named(&ident), bind.syntax().text_range(), Kind::Whole, scope);
                }
                let defaults = pattern.pat_entries().filter_map(|entry| entry.default());
                defaults.for_each(|default| self.node(default.syntax(), scope));
            }
            None => {}
        }
        if let Some(body) = lambda.body() {
            self.node(body.syntax(), scope);
        }
    }

    fn reference(&mut self, node: &SyntaxNode, scope: ScopeId, is_inherit: bool) {
        let text = node.text().to_string();
        let name = if is_inherit { text.trim_matches('"') } else { &text };
        let target = match self.names.lookup(scope, name) {
            Some(id) => Target::Definition(id),
            None if self.globals.contains(name) => Target::Builtin,
            None if self.names.around(scope).any(|scope| scope.with.is_some()) => Target::With,
            None => Target::Undefined,
        };
        self.names.references.push(Reference { range: node.text_range(), scope, target, is_inherit });
    }
}
