//! Attribute sets, selections from them, and `let`.

use super::*;

impl Lowerer<'_> {
    pub(super) fn attr_path(
        &mut self,
        path: &[AttrName<'_>],
        position: Position,
    ) -> Result<&'static [PathStep]> {
        let mut steps = Vec::with_capacity(path.len());
        for step in path {
            steps.push(match step {
                AttrName::Static { pos, name } => PathStep {
                    name: StepName::Static(self.symbol(*name)),
                    pos: self.at(*pos),
                    hint: Hint::default(),
                },
                AttrName::Dynamic { expr, .. } => {
                    let pos = self.place(expr);
                    PathStep {
                        name: StepName::Dynamic(self.expr(expr, position)?),
                        pos,
                        hint: Hint::default(),
                    }
                }
            });
        }
        Ok(self.heap.slice_from(steps))
    }

    pub(super) fn select(
        &mut self,
        pos: ast::Pos,
        subject: &ast::Expr<'_>,
        path: &[AttrName<'_>],
        default: Option<&ast::Expr<'_>>,
        position: Position,
    ) -> Result<Expr> {
        let subject = self.expr(subject, position)?;
        let default = default.map(|default| self.expr(default, position)).transpose()?;
        let path = self.attr_path(path, position)?;
        let pos = self.at(pos);
        if let ([PathStep { name: StepName::Static(name), pos: name_pos, .. }], None) = (path, default) {
            let select = Select { subject, name: *name, pos, name_pos: *name_pos, hint: Hint::default() };
            return Ok(Expr::Select(self.heap.object(select)));
        }
        Ok(Expr::SelectPath(self.heap.object(SelectPath { subject, path, default, pos })))
    }

    pub(super) fn dynamic_attrs(
        &mut self,
        attrs: &[ast::DynamicAttr<'_>],
        position: Position,
    ) -> Result<&'static [DynamicAttr]> {
        let mut dynamic = Vec::with_capacity(attrs.len());
        for attr in attrs {
            let name = self.expr(attr.name, position)?;
            let value = self.expr(attr.value, Delayed)?;
            dynamic.push(DynamicAttr { name, value, pos: self.at(attr.pos) });
        }
        Ok(self.heap.slice_from(dynamic))
    }

    /// The indices of a set's attributes in the order of their symbols, and its keys.
    pub(super) fn keys(&mut self, set: &AttrSet<'_>) -> (Vec<usize>, &'static Keys) {
        let mut order: Vec<usize> = (0..set.attrs.len()).collect();
        order.sort_unstable_by_key(|&index| self.symbol(set.attrs[index].name));
        let entries: Vec<(Symbol, PosId)> = order
            .iter()
            .map(|&index| (self.symbol(set.attrs[index].name), self.at(set.attrs[index].pos)))
            .collect();
        let keys = self.heap.keys(entries.into_iter(), self.at(set.pos));
        (order, keys)
    }

    /// `{ }`. The sources of `inherit (e)` are shared: unless they are variables, they get slots like those of a `let`.
    pub(super) fn attrs(&mut self, set: &AttrSet<'_>, position: Position) -> Result<Expr> {
        let needs_slots = set.inherit_from.iter().any(|from| !matches!(from.expr, ast::Expr::Var { .. }));
        if !needs_slots {
            return self.plain_attrs(
                set,
                &|lowerer, from| lowerer.expr(set.inherit_from[from].expr, Delayed),
                position,
            );
        }
        self.open(position, |lowerer, position| {
            let sources: Vec<&ast::Expr> = set.inherit_from.iter().map(|source| source.expr).collect();
            let bindings = lowerer.delayed_all(&sources)?;
            let base = lowerer.claim(bindings.len());
            let source =
                |lowerer: &mut Self, from: usize| Ok(lowerer.source_variable(set, from, base + from as u32));
            let body = lowerer.plain_attrs(set, &source, position)?;
            Ok((base, bindings, body))
        })
    }

    /// Slots for bindings: in the current frame in strict position, else in a new one.
    pub(super) fn open(
        &mut self,
        position: Position,
        build: impl FnOnce(&mut Self, Position) -> Result<(u32, &'static [Expr], Expr)>,
    ) -> Result<Expr> {
        if position == Strict {
            let (base, bindings, body) = build(self, Strict)?;
            return Ok(Expr::Let(self.heap.object(Let { base, bindings, size: 0, body })));
        }
        self.frames.push(Frame { next: 0, size: 0 });
        let built = build(self, Strict);
        let size = self.frames.pop().map_or(0, |frame| frame.size);
        let (base, bindings, body) = built?;
        Ok(Expr::LetEnv(self.heap.object(Let { base, bindings, size, body })))
    }

    pub(super) fn plain_attrs(
        &mut self,
        set: &AttrSet<'_>,
        source: &dyn Fn(&mut Self, usize) -> Result<Expr>,
        position: Position,
    ) -> Result<Expr> {
        let (order, keys) = self.keys(set);
        let mut values = vec![Expr::Value(Value::NULL); order.len()];
        // An undefined variable in a source is found before any other.
        for from in 0..set.inherit_from.len() {
            source(self, from)?;
        }
        for (place, &index) in order.iter().enumerate() {
            let attr = &set.attrs[index];
            let name = self.symbol(attr.name);
            values[place] = match attr.value {
                AttrValue::Plain(expr) => self.bound(name, expr)?,
                AttrValue::Inherit(expr) => self.expr(expr, Delayed)?,
                AttrValue::InheritFrom { from } => {
                    let subject = source(self, from as usize)?;
                    self.inherited(subject, name, attr.pos)
                }
            };
        }
        let dynamic = self.dynamic_attrs(set.dynamic, position)?;
        let values = self.heap.slice(&values);
        let pos = self.at(set.pos);
        Ok(Expr::Attrs(self.heap.object(AttrsExpr { keys, values, dynamic, pos })))
    }

    /// The source of an `inherit (e)` in its slot, which has the place of `e`.
    fn source_variable(&mut self, set: &AttrSet<'_>, from: usize, slot: u32) -> Expr {
        Expr::Local(Variable { slot, pos: self.at(set.inherit_from[from].pos) })
    }

    pub(super) fn inherited(&mut self, subject: Expr, name: Symbol, pos: ast::Pos) -> Expr {
        let pos = self.at(pos);
        Expr::Select(self.heap.object(Select { subject, name, pos, name_pos: pos, hint: Hint::default() }))
    }

    /// The bindings of a recursive scope: sources of `inherit (e)`, which see no attribute's value yet, then the attributes, as
    /// `order` has them.
    pub(super) fn recursive_bindings(
        &mut self,
        set: &AttrSet<'_>,
        order: &[usize],
    ) -> Result<(u32, &'static [Expr])> {
        let base = self.claim(order.len() + set.inherit_from.len());
        let first_attr = base + set.inherit_from.len() as u32;
        let mut values = vec![Expr::Value(Value::NULL); order.len()];
        // `inherit x` means the `x` around the scope: resolved before the scope's names are bound. If that fails, it is told
        // in its turn: sources first, then attributes in the order of their symbols.
        let mut outer: FxHashMap<usize, Result<Expr>> = FxHashMap::default();
        for (place, &index) in order.iter().enumerate() {
            if let AttrValue::Inherit(expr) = set.attrs[index].value {
                outer.insert(place, self.expr(expr, Delayed));
            }
        }
        self.new_level();
        for (place, &index) in order.iter().enumerate() {
            self.bind(set.attrs[index].name, first_attr + place as u32);
        }
        let sources = set.inherit_from.iter().map(|from| self.expr(from.expr, Delayed));
        let mut bindings: Vec<Expr> = sources.collect::<Result<_>>()?;
        let mut by_symbol: Vec<(usize, usize)> = order.iter().copied().enumerate().collect();
        by_symbol.sort_unstable_by_key(|&(_, index)| self.symbol(set.attrs[index].name));
        for (place, index) in by_symbol {
            let attr = &set.attrs[index];
            let name = self.symbol(attr.name);
            match attr.value {
                AttrValue::Plain(expr) => values[place] = self.bound(name, expr)?,
                AttrValue::InheritFrom { from } => {
                    let source = self.source_variable(set, from as usize, base + from);
                    values[place] = self.inherited(source, name, attr.pos);
                }
                AttrValue::Inherit(_) => {
                    if let Some(inherited) = outer.remove(&place) {
                        values[place] = inherited?;
                    }
                }
            }
        }
        bindings.extend(values);
        Ok((base, self.heap.slice(&bindings)))
    }

    pub(super) fn rec_attrs(&mut self, set: &AttrSet<'_>, position: Position) -> Result<Expr> {
        self.open(position, |lowerer, position| {
            let (order, keys) = lowerer.keys(set);
            let outer = lowerer.bindings.len();
            let (base, bindings) = lowerer.recursive_bindings(set, &order)?;
            let dynamic = lowerer.dynamic_attrs(set.dynamic, position)?;
            lowerer.unbind_to(outer, set.attrs.iter().map(|attr| attr.name));
            let overrides = keys.find(crate::symbol::known().overrides).map(|index| index as u32);
            let bindings = match overrides {
                Some(_) => lowerer.looked_up_later(bindings),
                None => bindings,
            };
            let pos = lowerer.at(set.pos);
            let first_attr = base + set.inherit_from.len() as u32;
            let slots: Vec<u32> = (first_attr..).take(order.len()).collect();
            let slots = lowerer.heap.slice(&slots);
            let body = lowerer.heap.object(RecAttrs { keys, slots, dynamic, overrides, pos });
            Ok((base, bindings, Expr::RecAttrs(body)))
        })
    }

    /// Bindings that find the others only when they are needed, since `__overrides` may have replaced them by then.
    fn looked_up_later(&mut self, bindings: &[Expr]) -> &'static [Expr] {
        let later: Vec<Expr> = bindings
            .iter()
            .map(|&body| match body {
                Expr::Value(_) | Expr::Lambda(_) => body,
                _ => Expr::Let(self.heap.object(Let { base: 0, bindings: &[], size: 0, body })),
            })
            .collect();
        self.heap.slice(&later)
    }

    pub(super) fn let_in(
        &mut self,
        set: &AttrSet<'_>,
        body: &ast::Expr<'_>,
        position: Position,
    ) -> Result<Expr> {
        self.open(position, |lowerer, position| {
            // In the order of symbols, as in Nix: a variable that stands for another finds only what is before it.
            let mut order: Vec<usize> = (0..set.attrs.len()).collect();
            order.sort_unstable_by_key(|&index| lowerer.symbol(set.attrs[index].name));
            let outer = lowerer.bindings.len();
            let (base, bindings) = lowerer.recursive_bindings(set, &order)?;
            let body = lowerer.expr(body, position)?;
            lowerer.unbind_to(outer, set.attrs.iter().map(|attr| attr.name));
            Ok((base, bindings, body))
        })
    }
}
