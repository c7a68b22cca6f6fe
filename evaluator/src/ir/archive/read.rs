//! Bytes to code.

use bstr::{BStr, ByteSlice};
use rustc_hash::FxHashMap;

use super::{
    super::{
        lower::{self, Code, Context},
        *,
    },
    TAGS, Tag,
};
use crate::{
    builtins::Globals,
    value::{Heap, Later},
};

/// An expression that is read when it is evaluated.
pub struct Unread {
    file: &'static File,
    code: Later<Expr>,
    /// Where it begins in the file's bytes.
    start: u32,
    /// See [`Reader`].
    last_offset: u32,
}

impl Unread {
    /// The expression.
    pub fn code(&self, globals: &Globals, heap: &mut Heap) -> &'static Expr {
        if let Some(code) = self.code.get() {
            return code;
        }
        let bytes = Bytes(&self.file.bytes[self.start as usize..]);
        let mut reader = Reader {
            bytes,
            file: self.file,
            globals,
            heap,
            last_offset: self.last_offset,
            extent: Extent::AsNeeded,
        };
        let Some(code) = reader.expr() else { unreachable!("the whole file had a right checksum") };
        let code = reader.heap.object(code);
        // Another thread may have read it meanwhile; either will do.
        self.code.set(code);
        code
    }
}

/// How much is read at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All, for who looks at the code.
    Whole,
    /// What is evaluated first; the rest is [`Expr::Unread`].
    AsNeeded,
}

/// What expressions of a file have in common.
struct File {
    bytes: &'static [u8],
    names: &'static [Symbol],
    /// The position of the first character.
    start: PosId,
    /// As in [`Context`].
    base: &'static BStr,
    home: Option<&'static BStr>,
}

/// The code that bytes stand for; `None` if they end too early or name a global that is not there.
///
/// Strings in the code refer to `bytes`.
pub fn read(bytes: &'static [u8], context: &Context<'_>, extent: Extent, heap: &mut Heap) -> Option<Code> {
    let mut head = Bytes(bytes);
    let count = head.number()?;
    let names = (0..count).map(|_| Some(Symbol::intern(head.bytes()?))).collect::<Option<Vec<Symbol>>>()?;
    for _ in 0..head.number()? {
        let name = names.get(head.number()? as usize)?;
        context.globals.get(*name)?;
    }
    let size = head.number()?;
    let file = File {
        bytes,
        names: heap.slice(&names),
        start: context.source.at(0),
        base: heap.bytes(context.base).as_bstr(),
        home: context.home.map(|home| heap.bytes(home).as_bstr()),
    };
    let file = heap.object(file);
    let mut reader = Reader { bytes: head, file, globals: context.globals, heap, last_offset: 0, extent };
    let root = reader.expr()?;
    Some(Code { root: heap.object(root), size, names, cacheable: true, origins: FxHashMap::default() })
}

/// What is left to read.
#[derive(Clone, Copy)]
struct Bytes(&'static [u8]);

impl Bytes {
    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    #[inline(always)]
    fn number(&mut self) -> Option<u32> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(u32::from(first));
        }
        self.long_after(first).map(|number| number as u32)
    }

    fn long(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 { Some(u64::from(first)) } else { self.long_after(first) }
    }

    fn long_after(&mut self, first: u8) -> Option<u64> {
        let mut number = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }

    fn bytes(&mut self) -> Option<&'static [u8]> {
        let length = self.number()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

struct Reader<'r> {
    bytes: Bytes,
    file: &'static File,
    globals: &'r Globals,
    heap: &'r mut Heap,
    /// Where the position stands that was read last.
    last_offset: u32,
    extent: Extent,
}

impl Reader<'_> {
    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        self.bytes.byte()
    }

    #[inline(always)]
    fn number(&mut self) -> Option<u32> {
        self.bytes.number()
    }

    fn bytes(&mut self) -> Option<&'static [u8]> {
        self.bytes.bytes()
    }

    fn name(&mut self) -> Option<Symbol> {
        let number = self.number()?;
        self.file.names.get(number as usize).copied()
    }

    fn pos(&mut self) -> Option<PosId> {
        let number = self.number()?;
        let distance = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        let offset = self.last_offset.wrapping_add_signed(distance);
        self.last_offset = offset;
        Some(match offset {
            0 => PosId::NONE,
            offset => PosId(self.file.start.0 + offset - 1),
        })
    }

    fn variable(&mut self) -> Option<Variable> {
        Some(Variable { slot: self.number()?, pos: self.pos()? })
    }

    fn exprs(&mut self) -> Option<&'static [Expr]> {
        let count = self.number()? as usize;
        let exprs = self.many(count, Self::expr)?;
        Some(self.heap.slice(&exprs))
    }

    fn many<T>(&mut self, count: usize, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // Each element takes at least a byte, so a wrong count cannot ask for more than there are bytes.
        let mut all = Vec::with_capacity(count.min(self.bytes.0.len()));
        for _ in 0..count {
            all.push(read(self)?);
        }
        Some(all)
    }

    fn steps(&mut self) -> Option<&'static [PathStep]> {
        let count = self.number()? as usize;
        let steps = self.many(count, |reader| {
            let pos = reader.pos()?;
            let name = match reader.byte()? {
                0 => StepName::Static(reader.name()?),
                _ => StepName::Dynamic(reader.expr()?),
            };
            Some(PathStep { name, pos, hint: Hint::default() })
        })?;
        Some(self.heap.slice_from(steps))
    }

    fn dynamic(&mut self) -> Option<&'static [DynamicAttr]> {
        let count = self.number()? as usize;
        let attrs = self.many(count, |reader| {
            Some(DynamicAttr { name: reader.expr()?, value: reader.expr()?, pos: reader.pos()? })
        })?;
        Some(self.heap.slice_from(attrs))
    }

    fn binary(&mut self) -> Option<&'static Binary> {
        let binary = Binary {
            left: self.expr()?,
            right: self.expr()?,
            pos: self.pos()?,
            left_pos: self.pos()?,
            right_pos: self.pos()?,
        };
        Some(self.heap.object(binary))
    }

    fn bindings(&mut self) -> Option<&'static Let> {
        let (base, size) = (self.number()?, self.number()?);
        let bindings = Let { base, size, bindings: self.exprs()?, body: self.expr()? };
        Some(self.heap.object(bindings))
    }

    fn interpolation(&mut self) -> Option<&'static Interpolation> {
        let pos = self.pos()?;
        let count = self.number()? as usize;
        let parts = self.many(count, |reader| Some(Piece { expr: reader.expr()?, pos: reader.pos()? }))?;
        let parts = self.heap.slice_from(parts);
        Some(self.heap.object(Interpolation { parts, pos }))
    }

    fn pattern(&mut self) -> Option<Pattern> {
        let (base, ellipsis) = (self.number()?, self.byte()? == 1);
        let count = self.number()? as usize;
        let formals = self.many(count, |reader| {
            let (name, pos) = (reader.name()?, reader.pos()?);
            let default = if reader.byte()? == 1 { Some(reader.expr()?) } else { None };
            Some(Formal { name, pos, default, hint: Hint::default() })
        })?;
        Some(Pattern { formals: self.heap.slice_from(formals), base, ellipsis })
    }

    fn lambda(&mut self) -> Option<&'static Lambda> {
        let size = self.number()?;
        let name = if self.byte()? == 1 { Some(self.name()?) } else { None };
        let count = self.number()? as usize;
        let parameters = self.many(count, |reader| {
            let pos = reader.pos()?;
            let has = reader.byte()?;
            let needed_at = if has & 4 != 0 { Some(reader.pos()?) } else { None };
            let name = if has & 1 != 0 { Some(reader.name()?) } else { None };
            let pattern = if has & 2 != 0 { Some(reader.pattern()?) } else { None };
            Some(Parameter { pos, name, pattern, needed_at })
        })?;
        let body = self.expr()?;
        Some(Lambda::marked(parameters, size, body, name, self.heap))
    }

    fn attrs(&mut self) -> Option<Expr> {
        let count = self.number()? as usize;
        let mut entries = self.many(count, |reader| Some((reader.name()?, reader.pos()?, reader.expr()?)))?;
        entries.sort_unstable_by_key(|entry| entry.0);
        let (dynamic, pos) = (self.dynamic()?, self.pos()?);
        let keys = self.heap.keys(entries.iter().map(|(name, pos, _)| (*name, *pos)), pos);
        let values: Vec<Expr> = entries.into_iter().map(|(.., value)| value).collect();
        let values = self.heap.slice(&values);
        Some(Expr::Attrs(self.heap.object(AttrsExpr { keys, values, dynamic, pos })))
    }

    fn rec_attrs(&mut self) -> Option<Expr> {
        let count = self.number()? as usize;
        let mut entries =
            self.many(count, |reader| Some((reader.name()?, reader.pos()?, reader.number()?)))?;
        entries.sort_unstable_by_key(|entry| entry.0);
        let (dynamic, pos) = (self.dynamic()?, self.pos()?);
        let keys = self.heap.keys(entries.iter().map(|(name, pos, _)| (*name, *pos)), pos);
        let slots: Vec<u32> = entries.into_iter().map(|(.., slot)| slot).collect();
        let slots = self.heap.slice(&slots);
        let overrides = keys.find(crate::symbol::known().overrides).map(|index| index as u32);
        Some(Expr::RecAttrs(self.heap.object(RecAttrs { keys, slots, dynamic, overrides, pos })))
    }

    /// An expression that need not be read now.
    fn later(&mut self) -> Option<Expr> {
        let piece = self.bytes()?;
        let last_offset = self.last_offset;
        if self.extent == Extent::Whole {
            let rest = std::mem::replace(&mut self.bytes, Bytes(piece));
            let expr = self.expr();
            (self.bytes, self.last_offset) = (rest, last_offset);
            return expr;
        }
        let start = (self.file.bytes.len() - self.bytes.0.len() - piece.len()) as u32;
        let unread = Unread { file: self.file, code: Later::new(), start, last_offset };
        Some(Expr::Unread(self.heap.object(unread)))
    }

    fn expr(&mut self) -> Option<Expr> {
        let tag = *TAGS.get(self.byte()? as usize)?;
        Some(match tag {
            Tag::Null => Expr::Value(Value::NULL),
            Tag::True => Expr::Value(Value::TRUE),
            Tag::False => Expr::Value(Value::FALSE),
            Tag::Int => {
                let coded = self.bytes.long()?;
                Expr::Value(Value::leaked_int((coded >> 1) as i64 ^ -((coded & 1) as i64)))
            }
            Tag::Float => {
                let (bytes, rest) = self.bytes.0.split_first_chunk::<8>()?;
                self.bytes.0 = rest;
                Expr::Value(self.heap.float(f64::from_le_bytes(*bytes)))
            }
            Tag::String => {
                let bytes = self.bytes()?;
                Expr::Value(self.heap.string_of(bytes, None))
            }
            Tag::EmptyList => Expr::Value(Value::empty_list()),
            Tag::Path => {
                let text = self.bytes()?;
                Expr::Value(self.heap.path(&lower::absolute(text.as_bstr(), self.file.base, self.file.home)?))
            }
            Tag::PathPrefix => {
                let text = self.bytes()?;
                Expr::Value(self.heap.string(&lower::absolute_prefix(
                    text.as_bstr(),
                    self.file.base,
                    self.file.home,
                )?))
            }
            Tag::Global => {
                let name = self.name()?;
                Expr::Value(self.globals.get(name)?)
            }
            Tag::Local => Expr::Local(self.variable()?),
            Tag::Outer => Expr::Outer(self.variable()?),
            Tag::Distant => {
                let Variable { slot, pos } = self.variable()?;
                Expr::Distant { depth: u16::try_from(self.number()?).ok()?, slot, pos }
            }
            Tag::With => {
                let (name, pos) = (self.name()?, self.pos()?);
                let count = self.number()? as usize;
                let scopes = self.many(count, |reader| {
                    Some(WithScope { depth: reader.number()?, slot: reader.number()?, pos: reader.pos()? })
                })?;
                let scopes = self.heap.slice(&scopes);
                Expr::With(self.heap.object(WithVariable { name, pos, scopes, hint: Hint::default() }))
            }
            Tag::Select => {
                let select = Select {
                    subject: self.expr()?,
                    name: self.name()?,
                    pos: self.pos()?,
                    name_pos: self.pos()?,
                    hint: Hint::default(),
                };
                Expr::Select(self.heap.object(select))
            }
            Tag::SelectPath => {
                let (subject, path) = (self.expr()?, self.steps()?);
                let default = if self.byte()? == 1 { Some(self.expr()?) } else { None };
                let pos = self.pos()?;
                Expr::SelectPath(self.heap.object(SelectPath { subject, path, default, pos }))
            }
            Tag::HasAttr => {
                let has = HasAttr { subject: self.expr()?, path: self.steps()?, pos: self.pos()? };
                Expr::HasAttr(self.heap.object(has))
            }
            Tag::Attrs => self.attrs()?,
            Tag::RecAttrs => self.rec_attrs()?,
            Tag::List => {
                let elements = self.exprs()?;
                Expr::List(self.heap.object(ListExpr { elements }))
            }
            Tag::Lambda => Expr::Lambda(self.lambda()?),
            Tag::Call => {
                let call = Call { function: self.expr()?, arguments: self.exprs()?, pos: self.pos()? };
                Expr::Call(self.heap.object(call))
            }
            Tag::Let => Expr::Let(self.bindings()?),
            Tag::LetEnv => Expr::LetEnv(self.bindings()?),
            Tag::If => {
                let branch = If {
                    condition: self.expr()?,
                    then: self.expr()?,
                    otherwise: self.expr()?,
                    pos: self.pos()?,
                };
                Expr::If(self.heap.object(branch))
            }
            Tag::Assert => {
                let (condition, body, pos) = (self.expr()?, self.expr()?, self.pos()?);
                let text = self.bytes()?;
                let bound = (self.number()?, self.number()?);
                Expr::Assert(self.heap.object(Assert { condition, body, pos, text, bound }))
            }
            Tag::Not => {
                let not = Unary { operand: self.expr()?, pos: self.pos()? };
                Expr::Not(self.heap.object(not))
            }
            Tag::And => Expr::And(self.binary()?),
            Tag::Or => Expr::Or(self.binary()?),
            Tag::Implies => Expr::Implies(self.binary()?),
            Tag::Equal => Expr::Equal(self.binary()?),
            Tag::NotEqual => Expr::NotEqual(self.binary()?),
            Tag::Update => Expr::Update(self.binary()?),
            Tag::Concat => Expr::Concat(self.binary()?),
            Tag::Add => Expr::Add(self.binary()?),
            Tag::Subtract => Expr::Subtract(self.binary()?),
            Tag::Multiply => Expr::Multiply(self.binary()?),
            Tag::Divide => Expr::Divide(self.binary()?),
            Tag::Less => {
                let comparison = Comparison {
                    left: self.expr()?,
                    right: self.expr()?,
                    pos: self.pos()?,
                    negate: self.byte()? == 1,
                };
                Expr::Less(self.heap.object(comparison))
            }
            Tag::Interpolation => Expr::Interpolation(self.interpolation()?),
            Tag::PathInterpolation => Expr::PathInterpolation(self.interpolation()?),
            Tag::Position => Expr::Position(self.pos()?),
            Tag::Unread => self.later()?,
        })
    }
}
