//! Code to bytes.

use rustc_hash::FxHashMap;

use super::{
    super::{
        lower::{Code, Context, Origin},
        *,
    },
    Tag,
};
use crate::value::View;

/// What takes fewer bytes is read at once.
const WORTH_DELAYING: usize = 24;

/// The bytes of a file's code; `None` if it depends on more than the text.
pub fn write(code: &Code, context: &Context<'_>) -> Option<Vec<u8>> {
    let mut writer = Writer {
        code,
        context,
        names: FxHashMap::default(),
        order: Vec::new(),
        out: Vec::new(),
        last_offset: 0,
        globals: Vec::new(),
        fits: code.cacheable,
    };
    for name in &code.names {
        writer.number_of(*name);
    }
    writer.number(code.size);
    writer.expr(code.root);
    if !writer.fits {
        return None;
    }
    let body = std::mem::take(&mut writer.out);
    writer.number(writer.order.len() as u32);
    for name in std::mem::take(&mut writer.order) {
        writer.bytes(name.text());
    }
    writer.number(writer.globals.len() as u32);
    for number in std::mem::take(&mut writer.globals) {
        writer.number(number);
    }
    writer.out.extend_from_slice(&body);
    Some(writer.out)
}

struct Writer<'w> {
    code: &'w Code,
    context: &'w Context<'w>,
    names: FxHashMap<Symbol, u32>,
    order: Vec<Symbol>,
    out: Vec<u8>,
    last_offset: u32,
    /// The numbers of the names that are always in scope and used here: whoever reads must have all of them.
    globals: Vec<u32>,
    fits: bool,
}

impl Writer<'_> {
    fn tag(&mut self, tag: Tag) {
        self.out.push(tag as u8);
    }

    fn number(&mut self, number: u32) {
        self.long(u64::from(number));
    }

    fn long(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u32);
        self.out.extend_from_slice(bytes);
    }

    fn name(&mut self, name: Symbol) {
        let number = self.number_of(name);
        self.number(number);
    }

    fn number_of(&mut self, name: Symbol) -> u32 {
        let next = self.order.len() as u32;
        let number = *self.names.entry(name).or_insert(next);
        if number == next {
            self.order.push(name);
        }
        number
    }

    /// As the distance from the position before, since neighbours in the code are neighbours in the text.
    fn pos(&mut self, pos: PosId) {
        let offset = self.context.source.offset(pos).map_or(0, |offset| offset + 1);
        let distance = offset.wrapping_sub(self.last_offset).cast_signed();
        self.last_offset = offset;
        self.number((distance << 1 ^ distance >> 31).cast_unsigned());
    }

    fn variable(&mut self, tag: Tag, variable: &Variable) {
        self.tag(tag);
        self.number(variable.slot);
        self.pos(variable.pos);
    }

    fn value(&mut self, value: Value) {
        match self.code.origins.get(&value.address()) {
            Some(Origin::Path(text)) => {
                self.tag(Tag::Path);
                return self.bytes(text);
            }
            Some(Origin::PathPrefix(text)) => {
                self.tag(Tag::PathPrefix);
                return self.bytes(text);
            }
            Some(Origin::Global(name)) => {
                self.tag(Tag::Global);
                let number = self.number_of(*name);
                if !self.globals.contains(&number) {
                    self.globals.push(number);
                }
                return self.number(number);
            }
            None => {}
        }
        match value.view() {
            View::Null => self.tag(Tag::Null),
            View::Bool(true) => self.tag(Tag::True),
            View::Bool(false) => self.tag(Tag::False),
            View::Int(value) => {
                self.tag(Tag::Int);
                self.long((value << 1 ^ value >> 63) as u64);
            }
            View::Float(value) => {
                self.tag(Tag::Float);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            View::String(string) if string.context.is_none() => {
                self.tag(Tag::String);
                self.bytes(string.bytes());
            }
            View::List(list) if list.is_empty() => self.tag(Tag::EmptyList),
            _ => self.fits = false,
        }
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        self.number(exprs.len() as u32);
        for expr in exprs {
            self.later(expr);
        }
    }

    /// An expression that is evaluated later, if at all.
    fn later(&mut self, expr: &Expr) {
        if !makes_thunk(expr) {
            return self.expr(expr);
        }
        self.unread(expr);
    }

    fn unread(&mut self, expr: &Expr) {
        let (start, offset) = (self.out.len(), self.last_offset);
        self.expr(expr);
        let length = self.out.len() - start;
        if length < WORTH_DELAYING {
            return;
        }
        let body = self.out.split_off(start);
        self.tag(Tag::Unread);
        self.number(length as u32);
        self.out.extend_from_slice(&body);
        // What follows is read without it.
        self.last_offset = offset;
    }

    fn steps(&mut self, steps: &[PathStep]) {
        self.number(steps.len() as u32);
        for step in steps {
            self.pos(step.pos);
            match &step.name {
                StepName::Static(name) => {
                    self.out.push(0);
                    self.name(*name);
                }
                StepName::Dynamic(expr) => {
                    self.out.push(1);
                    self.expr(expr);
                }
            }
        }
    }

    fn dynamic(&mut self, attrs: &[DynamicAttr]) {
        self.number(attrs.len() as u32);
        for attr in attrs {
            self.expr(&attr.name);
            self.later(&attr.value);
            self.pos(attr.pos);
        }
    }

    fn binary(&mut self, tag: Tag, binary: &Binary) {
        self.tag(tag);
        self.expr(&binary.left);
        self.expr(&binary.right);
        self.pos(binary.pos);
        self.pos(binary.left_pos);
        self.pos(binary.right_pos);
    }

    fn bindings(&mut self, tag: Tag, bindings: &Let) {
        self.tag(tag);
        self.number(bindings.base);
        self.number(bindings.size);
        self.exprs(bindings.bindings);
        self.expr(&bindings.body);
    }

    fn interpolation(&mut self, tag: Tag, interpolation: &Interpolation) {
        self.tag(tag);
        self.pos(interpolation.pos);
        self.number(interpolation.parts.len() as u32);
        for piece in interpolation.parts {
            self.expr(&piece.expr);
            self.pos(piece.pos);
        }
    }

    fn lambda(&mut self, lambda: &Lambda) {
        self.tag(Tag::Lambda);
        self.number(lambda.size);
        match lambda.name {
            Some(name) => {
                self.out.push(1);
                self.name(name);
            }
            None => self.out.push(0),
        }
        self.number(lambda.parameters.len() as u32);
        for parameter in lambda.parameters {
            self.pos(parameter.pos);
            let has = [parameter.name.is_some(), parameter.pattern.is_some(), parameter.needed_at.is_some()];
            self.out.push(has.iter().enumerate().map(|(bit, &has)| u8::from(has) << bit).sum());
            if let Some(pos) = parameter.needed_at {
                self.pos(pos);
            }
            if let Some(name) = parameter.name {
                self.name(name);
            }
            if let Some(pattern) = &parameter.pattern {
                self.number(pattern.base);
                self.out.push(u8::from(pattern.ellipsis));
                self.number(pattern.formals.len() as u32);
                for formal in pattern.formals {
                    self.name(formal.name);
                    self.pos(formal.pos);
                    self.out.push(u8::from(formal.default.is_some()));
                    if let Some(default) = &formal.default {
                        self.later(default);
                    }
                }
            }
        }
        self.later(&lambda.body);
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Value(value) => self.value(*value),
            Expr::Local(variable) => self.variable(Tag::Local, variable),
            Expr::Outer(variable) => self.variable(Tag::Outer, variable),
            Expr::Distant { depth, slot, pos } => {
                self.variable(Tag::Distant, &Variable { slot: *slot, pos: *pos });
                self.number((*depth).into());
            }
            Expr::With(variable) => {
                self.tag(Tag::With);
                self.name(variable.name);
                self.pos(variable.pos);
                self.number(variable.scopes.len() as u32);
                for scope in variable.scopes {
                    self.number(scope.depth);
                    self.number(scope.slot);
                    self.pos(scope.pos);
                }
            }
            Expr::Select(select) => {
                self.tag(Tag::Select);
                self.expr(&select.subject);
                self.name(select.name);
                self.pos(select.pos);
                self.pos(select.name_pos);
            }
            Expr::SelectPath(select) => {
                self.tag(Tag::SelectPath);
                self.expr(&select.subject);
                self.steps(select.path);
                self.out.push(u8::from(select.default.is_some()));
                if let Some(default) = &select.default {
                    self.expr(default);
                }
                self.pos(select.pos);
            }
            Expr::HasAttr(has) => {
                self.tag(Tag::HasAttr);
                self.expr(&has.subject);
                self.steps(has.path);
                self.pos(has.pos);
            }
            Expr::Attrs(attrs) => {
                self.tag(Tag::Attrs);
                self.number(attrs.values.len() as u32);
                for ((name, pos), value) in attrs.keys.entries().zip(attrs.values) {
                    self.name(name);
                    self.pos(pos);
                    // A function that is a member gets a thunk, too.
                    match value {
                        Expr::Lambda(_) => self.unread(value),
                        _ => self.later(value),
                    }
                }
                self.dynamic(attrs.dynamic);
                self.pos(attrs.pos);
            }
            Expr::RecAttrs(attrs) => {
                self.tag(Tag::RecAttrs);
                self.number(attrs.slots.len() as u32);
                for ((name, pos), slot) in attrs.keys.entries().zip(attrs.slots) {
                    self.name(name);
                    self.pos(pos);
                    self.number(*slot);
                }
                self.dynamic(attrs.dynamic);
                self.pos(attrs.pos);
            }
            Expr::List(list) => {
                self.tag(Tag::List);
                self.exprs(list.elements);
            }
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::Apply(_) | Expr::Unread(_) => unreachable!("only made during evaluation"),
            Expr::Call(call) => {
                self.tag(Tag::Call);
                self.expr(&call.function);
                self.exprs(call.arguments);
                self.pos(call.pos);
            }
            Expr::Let(bindings) => self.bindings(Tag::Let, bindings),
            Expr::LetEnv(bindings) => self.bindings(Tag::LetEnv, bindings),
            Expr::If(branch) => {
                self.tag(Tag::If);
                self.expr(&branch.condition);
                self.later(&branch.then);
                self.later(&branch.otherwise);
                self.pos(branch.pos);
            }
            Expr::Assert(assert) => {
                self.tag(Tag::Assert);
                self.expr(&assert.condition);
                self.expr(&assert.body);
                self.pos(assert.pos);
                self.bytes(assert.text);
                self.number(assert.bound.0);
                self.number(assert.bound.1);
            }
            Expr::Not(not) => {
                self.tag(Tag::Not);
                self.expr(&not.operand);
                self.pos(not.pos);
            }
            Expr::And(binary) => self.binary(Tag::And, binary),
            Expr::Or(binary) => self.binary(Tag::Or, binary),
            Expr::Implies(binary) => self.binary(Tag::Implies, binary),
            Expr::Equal(binary) => self.binary(Tag::Equal, binary),
            Expr::NotEqual(binary) => self.binary(Tag::NotEqual, binary),
            Expr::Update(binary) => self.binary(Tag::Update, binary),
            Expr::Concat(binary) => self.binary(Tag::Concat, binary),
            Expr::Add(binary) => self.binary(Tag::Add, binary),
            Expr::Subtract(binary) => self.binary(Tag::Subtract, binary),
            Expr::Multiply(binary) => self.binary(Tag::Multiply, binary),
            Expr::Divide(binary) => self.binary(Tag::Divide, binary),
            Expr::Less(comparison) => {
                self.tag(Tag::Less);
                self.expr(&comparison.left);
                self.expr(&comparison.right);
                self.pos(comparison.pos);
                self.out.push(u8::from(comparison.negate));
            }
            Expr::Interpolation(parts) => self.interpolation(Tag::Interpolation, parts),
            Expr::PathInterpolation(parts) => self.interpolation(Tag::PathInterpolation, parts),
            Expr::Marked(_) => self.fits = false,
            Expr::Position(pos) => {
                self.tag(Tag::Position);
                self.pos(*pos);
            }
        }
    }
}

/// Whether delaying the expression makes a thunk of it, whatever is known then.
fn makes_thunk(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Call(_)
            | Expr::Attrs(_)
            | Expr::RecAttrs(_)
            | Expr::List(_)
            | Expr::Let(_)
            | Expr::LetEnv(_)
            | Expr::If(_)
            | Expr::Assert(_)
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Update(_)
            | Expr::Concat(_)
            | Expr::Interpolation(_)
    )
}
