//! Reads a pattern in the `extended` grammar and builds its automaton.
//!
//! It accepts and refuses what libstdc++ does, which differs from POSIX: a backslash may only stand before a special
//! character, a repetition needs something to repeat, an empty alternative is fine.

use super::ByteSet;
use super::charset::{collating_element, named_class};
use super::nfa::{Builder, Fragment, Op, Program, TooLarge};

/// What a backslash may stand before.
const SPECIAL: &[u8] = b".[\\()*+?{|^$";

#[derive(Debug)]
pub enum Problem {
    Invalid,
    TooLarge,
}

impl From<TooLarge> for Problem {
    fn from(_: TooLarge) -> Problem {
        Problem::TooLarge
    }
}

/// A group that is open while its inside is read.
struct Group {
    /// The state that opens it.
    open: Fragment,
    number: u32,
    /// The alternatives read so far, joined.
    alternatives: Option<Fragment>,
    /// The alternative being read, and the last term of it, which a repetition may still change.
    sequence: Option<Fragment>,
    term: Option<Term>,
}

struct Term {
    fragment: Fragment,
    repeatable: bool,
}

struct Parser<'a> {
    rest: &'a [u8],
    builder: Builder,
    /// The open groups, the whole pattern as the first.
    stack: Vec<Group>,
    groups: u32,
}

pub fn parse(pattern: &[u8]) -> Result<Program, Problem> {
    let mut parser = Parser { rest: pattern, builder: Builder::default(), stack: Vec::new(), groups: 0 };
    parser.open_group()?;
    while let Some(byte) = parser.next() {
        parser.token(byte)?;
    }
    let whole = parser.close_group()?;
    if !parser.stack.is_empty() {
        return Err(Problem::Invalid);
    }
    let accept = parser.builder.insert(Op::Accept)?;
    let whole = parser.builder.append(whole, accept);
    Ok(parser.builder.finish(whole, parser.groups as usize))
}

impl Parser<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn next_if(&mut self, wanted: u8) -> bool {
        let found = self.rest.first() == Some(&wanted);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// There is always a group on the stack between `open_group` for the whole and its `close_group`.
    fn group(&mut self) -> Result<&mut Group, Problem> {
        self.stack.last_mut().ok_or(Problem::Invalid)
    }

    fn token(&mut self, byte: u8) -> Result<(), Problem> {
        match byte {
            0 => Err(Problem::Invalid),
            b'(' => self.open_group(),
            b')' if self.stack.len() > 1 => {
                let group = self.close_group()?;
                self.push_term(group, true)
            }
            b')' => Err(Problem::Invalid),
            b'|' => self.end_alternative(),
            b'*' => self.repeat(|builder, body| builder.star(body)),
            b'+' => self.repeat(|builder, body| builder.plus(body)),
            b'?' => self.repeat(|builder, body| builder.optional(body)),
            b'{' => {
                let (minimum, more) = self.interval()?;
                self.repeat(|builder, body| builder.interval(body, minimum, more))
            }
            b'^' => self.push_op(Op::LineBegin, false),
            b'$' => self.push_op(Op::LineEnd, false),
            b'.' => {
                let mut nul = ByteSet::EMPTY;
                nul.insert(0);
                self.push_set(nul.complement())
            }
            b'[' => {
                let set = self.bracket()?;
                self.push_set(set)
            }
            b'\\' => match self.next() {
                Some(escaped) if SPECIAL.contains(&escaped) => self.push_op(Op::Byte(escaped), true),
                _ => Err(Problem::Invalid),
            },
            other => self.push_op(Op::Byte(other), true),
        }
    }

    fn push_op(&mut self, op: Op, repeatable: bool) -> Result<(), Problem> {
        let fragment = self.builder.insert(op)?;
        self.push_term(fragment, repeatable)
    }

    fn push_set(&mut self, set: ByteSet) -> Result<(), Problem> {
        let fragment = self.builder.insert_set(set)?;
        self.push_term(fragment, true)
    }

    fn push_term(&mut self, fragment: Fragment, repeatable: bool) -> Result<(), Problem> {
        self.end_term()?;
        self.group()?.term = Some(Term { fragment, repeatable });
        Ok(())
    }

    /// Adds the last term to the sequence.
    fn end_term(&mut self) -> Result<(), Problem> {
        if let Some(term) = self.group()?.term.take() {
            self.append_to_sequence(term.fragment)?;
        }
        Ok(())
    }

    fn append_to_sequence(&mut self, fragment: Fragment) -> Result<(), Problem> {
        let joined = match self.group()?.sequence {
            Some(sequence) => self.builder.append(sequence, fragment),
            None => fragment,
        };
        self.group()?.sequence = Some(joined);
        Ok(())
    }

    fn repeat(
        &mut self,
        change: impl Fn(&mut Builder, Fragment) -> Result<Fragment, TooLarge>,
    ) -> Result<(), Problem> {
        match self.group()?.term.take() {
            Some(Term { fragment, repeatable: true }) => {
                let fragment = change(&mut self.builder, fragment)?;
                self.group()?.term = Some(Term { fragment, repeatable: true });
                Ok(())
            }
            _ => Err(Problem::Invalid),
        }
    }

    fn end_alternative(&mut self) -> Result<(), Problem> {
        self.end_term()?;
        let end = self.builder.insert(Op::Dummy)?;
        self.append_to_sequence(end)?;
        let group = self.group()?;
        let (before, this) = (group.alternatives.take(), group.sequence.take());
        let joined = match (before, this) {
            (Some(before), Some(this)) => Some(self.builder.alternative(before, this)?),
            (before, this) => before.or(this),
        };
        self.group()?.alternatives = joined;
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), Problem> {
        let number = self.groups;
        self.groups += 1;
        let open = self.builder.insert(Op::Open(number))?;
        self.stack.push(Group { open, number, alternatives: None, sequence: None, term: None });
        Ok(())
    }

    fn close_group(&mut self) -> Result<Fragment, Problem> {
        self.end_alternative()?;
        let group = self.stack.pop().ok_or(Problem::Invalid)?;
        let inside = group.alternatives.ok_or(Problem::Invalid)?;
        let inside = self.builder.append(group.open, inside);
        let close = self.builder.insert(Op::Close(group.number))?;
        Ok(self.builder.append(inside, close))
    }

    /// The rest of `{n}`, `{n,}` or `{n,m}`: the minimum, and how many more (`None`: any number).
    fn interval(&mut self) -> Result<(u32, Option<u32>), Problem> {
        let minimum = self.number()?.ok_or(Problem::Invalid)?;
        let mut more = Some(0);
        if self.next_if(b',') {
            more = match self.number()? {
                Some(maximum) => Some(maximum.checked_sub(minimum).ok_or(Problem::Invalid)?),
                None => None,
            };
        }
        if self.next_if(b'}') { Ok((minimum, more)) } else { Err(Problem::Invalid) }
    }

    fn number(&mut self) -> Result<Option<u32>, Problem> {
        let mut value = None;
        while let Some(digit) = self.rest.first().filter(|b| b.is_ascii_digit()) {
            let longer =
                value.unwrap_or(0i32).checked_mul(10).and_then(|v| v.checked_add(i32::from(digit - b'0')));
            value = Some(longer.ok_or(Problem::Invalid)?);
            self.rest = &self.rest[1..];
        }
        Ok(value.map(i32::unsigned_abs))
    }

    /// The rest of a bracket expression.
    fn bracket(&mut self) -> Result<ByteSet, Problem> {
        let negated = self.next_if(b'^');
        let mut set = ByteSet::EMPTY;
        let mut last = Last::Nothing;
        // First in the brackets, `]` and `-` stand for themselves.
        if let Some(&byte @ (b']' | b'-')) = self.rest.first() {
            self.rest = &self.rest[1..];
            last = Last::Byte(byte);
        }
        loop {
            match self.bracket_item()? {
                Item::End => break,
                Item::Byte(byte) | Item::Named(byte) => last.replace(Last::Byte(byte), &mut set),
                Item::Class(class) => {
                    set.union(&class);
                    last.replace(Last::Class, &mut set);
                }
                Item::Dash if self.next_if(b']') => {
                    last.replace(Last::Byte(b'-'), &mut set);
                    break;
                }
                Item::Dash => {
                    let Last::Byte(low) = last else { return Err(Problem::Invalid) };
                    let high = match self.bracket_item()? {
                        Item::Byte(high) => high,
                        Item::Dash => b'-',
                        _ => return Err(Problem::Invalid),
                    };
                    insert_range(&mut set, low, high)?;
                    last = Last::Nothing;
                }
            }
        }
        last.replace(Last::Nothing, &mut set);
        Ok(if negated { set.complement() } else { set })
    }

    fn bracket_item(&mut self) -> Result<Item, Problem> {
        let kind = match self.next().ok_or(Problem::Invalid)? {
            b']' => return Ok(Item::End),
            b'-' => return Ok(Item::Dash),
            b'[' => match self.rest.first().ok_or(Problem::Invalid)? {
                &kind @ (b':' | b'=' | b'.') => kind,
                _ => return Ok(Item::Byte(b'[')),
            },
            byte => return Ok(Item::Byte(byte)),
        };
        let name = &self.rest[1..];
        let length = name.iter().position(|&b| b == kind).ok_or(Problem::Invalid)?;
        if name.get(length + 1) != Some(&b']') {
            return Err(Problem::Invalid);
        }
        self.rest = &name[length + 2..];
        let name = &name[..length];
        let item = match kind {
            b':' => named_class(name).map(Item::Class),
            b'.' => collating_element(name).map(Item::Named),
            _ => collating_element(name).map(equivalents).map(Item::Class),
        };
        item.ok_or(Problem::Invalid)
    }
}

/// One item between brackets.
enum Item {
    End,
    Dash,
    Byte(u8),
    /// `[.name.]`: unlike a plain byte it cannot end a range.
    Named(u8),
    Class(ByteSet),
}

/// What came before in a bracket expression: a dash makes a range of a byte.
enum Last {
    Nothing,
    Byte(u8),
    Class,
}

impl Last {
    /// Puts a byte that turned out not to start a range into the set.
    fn replace(&mut self, by: Last, set: &mut ByteSet) {
        if let Last::Byte(byte) = std::mem::replace(self, by) {
            set.insert(byte);
        }
    }
}

/// `[=byte=]`: in the C locale, both cases of a letter.
fn equivalents(byte: u8) -> ByteSet {
    let mut set = ByteSet::EMPTY;
    set.insert(byte.to_ascii_lowercase());
    set.insert(byte.to_ascii_uppercase());
    set
}

/// Ranges are of C++'s `char`, which is signed where Nix's results come from.
fn insert_range(set: &mut ByteSet, low: u8, high: u8) -> Result<(), Problem> {
    let range = low as i8..=high as i8;
    if range.is_empty() {
        return Err(Problem::Invalid);
    }
    set.insert_where(|byte| range.contains(&(byte as i8)));
    Ok(())
}
