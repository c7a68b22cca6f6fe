//! Attribute sets while they are being written down: definitions with paths are merged as Nix merges them, and what is
//! defined twice is refused.

use bumpalo::Bump;
use rustc_hash::FxHashMap;

use super::ast::{Attr, AttrName, AttrSet, AttrValue, DynamicAttr, Expr, InheritSource, NO_POS, Name, Pos};

/// From this many attributes on, a set is searched by hash.
const INDEXED: usize = 16;

/// An attribute was defined before.
#[derive(Debug)]
pub struct Duplicate<'a> {
    /// The path of the second definition, as far as it was followed.
    pub path: Vec<AttrName<'a>>,
    /// Where the second definition stands.
    pub pos: Pos,
    /// Where the first one stands.
    pub first: Pos,
}

/// An attribute set that more definitions may be added to.
#[derive(Default)]
pub struct Bindings<'a> {
    pos: Pos,
    recursive: bool,
    attrs: Vec<Binding<'a>>,
    index: FxHashMap<Name, u32>,
    inherit_from: Vec<InheritSource<'a>>,
    dynamic: Vec<DynamicAttr<'a>>,
}

struct Binding<'a> {
    name: Name,
    pos: Pos,
    value: Value<'a>,
}

enum Value<'a> {
    Done(AttrValue<'a>),
    /// A set made by a path (`a.b = 1;`) or written out and then added to.
    Open(Box<Bindings<'a>>),
}

/// Makes [`Bindings`] and keeps finished ones to use their memory again.
pub struct BindingsPool<'a> {
    arena: &'a Bump,
    // Boxed, since sets made by paths are moved between their parent and the pool.
    #[allow(clippy::vec_box)]
    free: Vec<Box<Bindings<'a>>>,
    attrs: Vec<Attr<'a>>,
}

impl<'a> BindingsPool<'a> {
    /// An empty pool that puts finished sets into `arena`.
    pub fn new(arena: &'a Bump) -> Self {
        BindingsPool { arena, free: Vec::new(), attrs: Vec::new() }
    }

    /// A set without attributes.
    pub fn open(&mut self) -> Box<Bindings<'a>> {
        let mut bindings = self.free.pop().unwrap_or_default();
        bindings.pos = NO_POS;
        bindings.recursive = false;
        bindings
    }

    /// Opens a finished set again.
    fn reopen(&mut self, set: &AttrSet<'a>) -> Box<Bindings<'a>> {
        let mut bindings = self.open();
        bindings.pos = set.pos;
        bindings.recursive = set.recursive;
        for attr in set.attrs {
            bindings.push(attr.name, attr.pos, Value::Done(attr.value));
        }
        bindings.inherit_from.extend_from_slice(set.inherit_from);
        bindings.dynamic.extend_from_slice(set.dynamic);
        bindings
    }

    /// Finishes a set that begins at `pos`.
    pub fn close(&mut self, mut bindings: Box<Bindings<'a>>, pos: Pos, recursive: bool) -> &'a AttrSet<'a> {
        let mark = self.attrs.len();
        for Binding { name, pos, value } in bindings.attrs.drain(..) {
            let value = match value {
                Value::Done(value) => value,
                Value::Open(nested) => {
                    let (pos, recursive) = (nested.pos, nested.recursive);
                    AttrValue::Plain(self.arena.alloc(Expr::Attrs(self.close(nested, pos, recursive))))
                }
            };
            self.attrs.push(Attr { name, pos, value });
        }
        let set = self.arena.alloc(AttrSet {
            pos,
            recursive,
            attrs: self.arena.alloc_slice_copy(&self.attrs[mark..]),
            inherit_from: self.arena.alloc_slice_copy(&bindings.inherit_from),
            dynamic: self.arena.alloc_slice_copy(&bindings.dynamic),
        });
        self.attrs.truncate(mark);
        bindings.index.clear();
        bindings.inherit_from.clear();
        bindings.dynamic.clear();
        self.free.push(bindings);
        set
    }

    /// Adds `path = value;`, the path standing at `pos`.
    pub fn define(
        &mut self,
        mut bindings: &mut Bindings<'a>,
        path: &[AttrName<'a>],
        pos: Pos,
        value: &'a Expr<'a>,
    ) -> Result<(), Duplicate<'a>> {
        for (depth, step) in path.iter().enumerate() {
            let is_last = depth + 1 == path.len();
            match *step {
                AttrName::Dynamic { expr, .. } => {
                    let value = if is_last { value } else { self.nested(&path[depth + 1..], pos, value)? };
                    bindings.dynamic.push(DynamicAttr { pos, name: expr, value });
                    return Ok(());
                }
                AttrName::Static { name, .. } if is_last => {
                    let value = Value::Done(AttrValue::Plain(value));
                    if bindings.find(name).is_none() {
                        bindings.push(name, pos, value);
                        return Ok(());
                    }
                    return self.insert(bindings, &mut path.to_vec(), Binding { name, pos, value });
                }
                AttrName::Static { name, .. } => {
                    bindings = self.step_into(bindings, name, pos).map_err(|first| Duplicate {
                        path: path[..=depth].to_vec(),
                        pos,
                        first,
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The set `{ path = value; }` that a path below a dynamic attribute makes.
    fn nested(
        &mut self,
        path: &[AttrName<'a>],
        pos: Pos,
        value: &'a Expr<'a>,
    ) -> Result<&'a Expr<'a>, Duplicate<'a>> {
        let mut bindings = self.open();
        self.define(&mut bindings, path, pos, value)?;
        Ok(self.arena.alloc(Expr::Attrs(self.close(bindings, NO_POS, false))))
    }

    /// The set that `name` is bound to, made if there is none. An error gives the place of a definition that is no set.
    fn step_into<'b>(
        &mut self,
        bindings: &'b mut Bindings<'a>,
        name: Name,
        pos: Pos,
    ) -> Result<&'b mut Bindings<'a>, Pos> {
        let at = match bindings.find(name) {
            Some(at) => at,
            None => {
                let nested = self.open();
                bindings.push(name, pos, Value::Open(nested))
            }
        };
        let binding = &mut bindings.attrs[at];
        self.as_open(&mut binding.value).ok_or(binding.pos)
    }

    /// The value as a set to add to, if it is a set.
    fn as_open<'b>(&mut self, value: &'b mut Value<'a>) -> Option<&'b mut Bindings<'a>> {
        if let Value::Done(AttrValue::Plain(Expr::Attrs(set))) = value {
            *value = Value::Open(self.reopen(set));
        }
        match value {
            Value::Open(open) => Some(open),
            Value::Done(_) => None,
        }
    }

    /// Adds a binding; if both it and an earlier one of that name are sets, merges them. Whether the second set is
    /// recursive is forgotten then, as Nix does.
    fn insert(
        &mut self,
        bindings: &mut Bindings<'a>,
        path: &mut Vec<AttrName<'a>>,
        mut binding: Binding<'a>,
    ) -> Result<(), Duplicate<'a>> {
        let Some(at) = bindings.find(binding.name) else {
            bindings.push(binding.name, binding.pos, binding.value);
            return Ok(());
        };
        let earlier = &mut bindings.attrs[at];
        let mergeable = self.as_open(&mut binding.value).is_some();
        match (self.as_open(&mut earlier.value), binding.value) {
            (Some(into), Value::Open(from)) if mergeable => self.merge(into, from, path),
            _ => Err(Duplicate { path: path.clone(), pos: binding.pos, first: earlier.pos }),
        }
    }

    fn merge(
        &mut self,
        into: &mut Bindings<'a>,
        mut from: Box<Bindings<'a>>,
        path: &mut Vec<AttrName<'a>>,
    ) -> Result<(), Duplicate<'a>> {
        let shift = into.inherit_from.len() as u32;
        // Nix goes through them in the order of its symbols; it matters when several are defined twice.
        from.attrs.sort_by_key(|binding| binding.name);
        for mut binding in from.attrs.drain(..) {
            if let Value::Done(AttrValue::InheritFrom { from }) = &mut binding.value {
                *from += shift;
            }
            path.push(AttrName::Static { pos: binding.pos, name: binding.name });
            self.insert(into, path, binding)?;
            path.pop();
        }
        into.dynamic.append(&mut from.dynamic);
        into.inherit_from.append(&mut from.inherit_from);
        from.index.clear();
        self.free.push(from);
        Ok(())
    }
}

impl<'a> Bindings<'a> {
    /// Whether there are dynamic attributes.
    pub fn has_dynamic(&self) -> bool {
        !self.dynamic.is_empty()
    }

    /// Adds `inherit (source) ...` and gives its number.
    pub fn inherit_from(&mut self, source: InheritSource<'a>) -> u32 {
        self.inherit_from.push(source);
        self.inherit_from.len() as u32 - 1
    }

    /// Adds an inherited attribute. An error gives the place of the earlier definition.
    pub fn inherit(&mut self, name: Name, pos: Pos, value: AttrValue<'a>) -> Result<(), Pos> {
        match self.find(name) {
            Some(at) => Err(self.attrs[at].pos),
            None => {
                self.push(name, pos, Value::Done(value));
                Ok(())
            }
        }
    }

    fn find(&self, name: Name) -> Option<usize> {
        if self.attrs.len() < INDEXED {
            self.attrs.iter().position(|binding| binding.name == name)
        } else {
            self.index.get(&name).map(|at| *at as usize)
        }
    }

    fn push(&mut self, name: Name, pos: Pos, value: Value<'a>) -> usize {
        let at = self.attrs.len();
        self.attrs.push(Binding { name, pos, value });
        if at + 1 == INDEXED {
            self.index.extend(self.attrs.iter().enumerate().map(|(at, binding)| (binding.name, at as u32)));
        } else if at >= INDEXED {
            self.index.insert(name, at as u32);
        }
        at
    }
}
