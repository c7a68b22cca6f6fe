//! Runs an automaton over a text in libstdc++'s order.
//!
//! libstdc++ walks depth first. At `|` it goes both ways and keeps the way that ends furthest to the right, the left
//! one if they end alike; at a repetition it goes on only from the largest number of rounds that leads anywhere. So a
//! search finds neither the longest match nor the first in Perl's order, but something between the two; a match of
//! the whole text gives the groups in Perl's order. One empty round after another is made at most twice, which shows
//! in the groups.
//!
//! Where libstdc++ needs exponential time, this remembers, once a budget of steps is spent, which state failed where.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::Match;
use super::nfa::{Op, Program, State, StateId};

/// No position: a group that took no part.
const UNSET: usize = usize::MAX;

/// Steps that an attempt may take before it starts to remember dead ends: this, and [`BUDGET_PER_BYTE`] a byte.
const BUDGET: usize = 4096;
const BUDGET_PER_BYTE: usize = 8;

/// Something to do when a way has come to its end, successful or not.
enum Pending {
    /// Take the other branch.
    Branch {
        state: StateId,
        position: usize,
    },
    /// Take the other branch, unless there were matches since their number was `found`.
    BranchUnlessFound {
        state: StateId,
        position: usize,
        found: usize,
    },
    /// The run may end at any position down to `low`: try `high` next, on the same condition.
    ShorterRun {
        state: StateId,
        low: usize,
        high: usize,
        found: usize,
    },
    RestoreSlot {
        slot: u32,
        value: usize,
    },
    RestoreCounter {
        counter: u32,
        value: (usize, u8),
    },
    /// All ways from here have been tried.
    Remember {
        key: Key,
        found: usize,
    },
}

/// A state at a position, with the counters that belong to that position, two bits each.
type Key = (StateId, usize, u64);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// The match must end with the text, and the first one will do.
    Whole,
    /// The match may end anywhere. With `not_empty`, a match that consumes nothing does not count.
    Search { not_empty: bool },
}

struct Machine<'a> {
    program: &'a Program,
    text: &'a [u8],
    mode: Mode,
    /// Start and end of each group, one after the other.
    slots: Vec<usize>,
    counters: Vec<(usize, u8)>,
    pending: Vec<Pending>,
    /// How many matches were found, counting those that did not become the best.
    found: usize,
    best: Option<(usize, Vec<usize>)>,
    /// Present once the budget is spent: whether a match is found from a state.
    memory: Option<FxHashMap<Key, bool>>,
}

struct BudgetSpent;

impl<'a> Machine<'a> {
    fn new(program: &'a Program, text: &'a [u8], mode: Mode) -> Machine<'a> {
        Machine {
            program,
            text,
            mode,
            slots: vec![UNSET; 2 * program.groups],
            counters: vec![(UNSET, 0); program.counters],
            pending: Vec::new(),
            found: 0,
            best: None,
            memory: None,
        }
    }

    /// Tries to match from `start` on; whether there is a match, which `best` then holds.
    fn attempt(&mut self, start: usize) -> bool {
        if self.run(start).is_err() {
            self.memory = Some(FxHashMap::default());
            // With the memory there is no budget, so this cannot fail.
            let _ = self.run(start);
        }
        self.best.is_some()
    }

    fn reset(&mut self) {
        self.slots.fill(UNSET);
        self.counters.fill((UNSET, 0));
        self.pending.clear();
        self.found = 0;
        self.best = None;
    }

    fn run(&mut self, start: usize) -> Result<(), BudgetSpent> {
        self.reset();
        let mut budget = match self.memory {
            None => BUDGET + BUDGET_PER_BYTE * (self.text.len() - start),
            Some(_) => usize::MAX,
        };
        let mut at = Some((self.program.start, start));
        while let Some((state, position)) = at {
            budget = budget.checked_sub(1).ok_or(BudgetSpent)?;
            at = self.step(state, position, start).or_else(|| self.backtrack());
            if self.mode == Mode::Whole && self.best.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// One state; `None` if the way ends here.
    #[inline]
    fn step(&mut self, id: StateId, position: usize, start: usize) -> Option<(StateId, usize)> {
        let State { op, next } = self.program.states[id as usize];
        match op {
            Op::Dummy => Some((next, position)),
            Op::Byte(byte) => (self.text.get(position) == Some(&byte)).then(|| (next, position + 1)),
            Op::Set(set) => {
                let set = &self.program.sets[set as usize];
                self.text.get(position).filter(|&&byte| set.contains(byte)).map(|_| (next, position + 1))
            }
            Op::Run(set) => self.run_of_set(id, set, next, position),
            Op::Open(group) => {
                self.set_slot(2 * group, position);
                Some((next, position))
            }
            Op::Close(group) => {
                self.set_slot(2 * group + 1, position);
                Some((next, position))
            }
            Op::LineBegin => (position == 0).then_some((next, position)),
            Op::LineEnd => (position == self.text.len()).then_some((next, position)),
            Op::Alternative { other } => {
                self.remembered(id, position)?;
                self.pending.push(Pending::Branch { state: next, position });
                Some((other, position))
            }
            Op::Repeat { body, counter } => {
                self.remembered(id, position)?;
                let found = self.found;
                self.pending.push(Pending::BranchUnlessFound { state: next, position, found });
                match counter {
                    Some(counter) if !self.count_round(counter, position) => None,
                    _ => Some((body, position)),
                }
            }
            Op::Accept => {
                self.accept(position, start);
                None
            }
        }
    }

    fn set_slot(&mut self, slot: u32, position: usize) {
        let value = std::mem::replace(&mut self.slots[slot as usize], position);
        // With nothing to go back to, nothing will need to be restored.
        if !self.pending.is_empty() {
            self.pending.push(Pending::RestoreSlot { slot, value });
        }
    }

    fn run_of_set(&mut self, id: StateId, set: u32, next: StateId, low: usize) -> Option<(StateId, usize)> {
        let set = &self.program.sets[set as usize];
        let rest = &self.text[low..];
        let high = low + rest.iter().position(|&byte| !set.contains(byte)).unwrap_or(rest.len());
        if high > low {
            self.remembered(id, low)?;
            let found = self.found;
            self.pending.push(Pending::ShorterRun { state: next, low, high: high - 1, found });
        }
        Some((next, high))
    }

    /// Whether another round may be made at this position: two at most if they are empty.
    fn count_round(&mut self, counter: u32, position: usize) -> bool {
        let count = &mut self.counters[counter as usize];
        let value = *count;
        *count = match value {
            (at, rounds) if at == position && rounds > 0 => {
                if rounds >= 2 {
                    return false;
                }
                (position, rounds + 1)
            }
            _ => (position, 1),
        };
        self.pending.push(Pending::RestoreCounter { counter, value });
        true
    }

    /// `None` if all ways from this state have been tried before. A match among them has been recorded then, and
    /// cannot be better for being found again.
    fn remembered(&mut self, state: StateId, position: usize) -> Option<()> {
        let Some(memory) = &self.memory else { return Some(()) };
        let mut counts = 0u64;
        for &(at, rounds) in self.counters.iter().take(32) {
            counts = counts << 2 | if at == position { u64::from(rounds) } else { 0 };
        }
        let key = (state, position, counts);
        match memory.get(&key) {
            Some(&matches) => {
                self.found += usize::from(matches);
                None
            }
            None => {
                self.pending.push(Pending::Remember { key, found: self.found });
                Some(())
            }
        }
    }

    fn accept(&mut self, position: usize, start: usize) {
        let counts = match self.mode {
            Mode::Whole => position == self.text.len(),
            Mode::Search { not_empty } => !(not_empty && position == start),
        };
        if !counts {
            return;
        }
        self.found += 1;
        if self.best.as_ref().is_none_or(|(end, ..)| *end < position) {
            self.best = Some((position, self.slots.clone()));
        }
    }

    /// Goes back to the last place from where there is another way.
    fn backtrack(&mut self) -> Option<(StateId, usize)> {
        loop {
            match self.pending.pop()? {
                Pending::Branch { state, position } => return Some((state, position)),
                Pending::BranchUnlessFound { state, position, found } => {
                    if self.found == found {
                        return Some((state, position));
                    }
                }
                Pending::ShorterRun { state, low, high, found } => {
                    if self.found == found {
                        let position = self.nearest_run_end(state, low, high);
                        if position > low {
                            self.pending.push(Pending::ShorterRun { state, low, high: position - 1, found });
                        }
                        return Some((state, position));
                    }
                }
                Pending::RestoreSlot { slot, value } => self.slots[slot as usize] = value,
                Pending::RestoreCounter { counter, value } => self.counters[counter as usize] = value,
                Pending::Remember { key, found } => {
                    let matches = self.found != found;
                    if let Some(memory) = &mut self.memory {
                        memory.insert(key, matches);
                    }
                }
            }
        }
    }

    /// If a certain byte must follow the run, its last occurrence; else the longest run.
    fn nearest_run_end(&self, state: StateId, low: usize, high: usize) -> usize {
        match self.program.states[state as usize].op {
            Op::Byte(byte) => memchr::memrchr(byte, &self.text[low..=high]).map_or(low, |at| low + at),
            _ => high,
        }
    }

    /// Takes the end and the groups of the match that was found.
    fn take_match(&mut self) -> Option<(usize, Vec<Option<Range<usize>>>)> {
        let (end, slots) = self.best.take()?;
        let groups = slots[2..].chunks_exact(2);
        let groups = groups.map(|slots| (slots[1] != UNSET).then(|| slots[0]..slots[1])).collect();
        Some((end, groups))
    }
}

/// Matches the whole of `text`; gives the groups 1, 2, ...
pub fn full_match(program: &Program, text: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
    if text.first().is_some_and(|&byte| !program.first.contains(byte)) {
        return None;
    }
    let mut machine = Machine::new(program, text, Mode::Whole);
    machine.attempt(0);
    machine.take_match().map(|(_, groups)| groups)
}

/// The matches of a text one after the other; see [`super::Regex::matches`].
pub struct Matches<'a> {
    machine: Machine<'a>,
    last: Option<Range<usize>>,
    done: bool,
}

impl<'a> Matches<'a> {
    pub(super) fn new(program: &'a Program, text: &'a [u8]) -> Matches<'a> {
        let machine = Machine::new(program, text, Mode::Search { not_empty: false });
        Matches { machine, last: None, done: false }
    }

    /// The start of the next match at or after `from`, if the machine finds one.
    fn search(&mut self, from: usize) -> Option<usize> {
        let (text, first) = (self.machine.text, &self.machine.program.first);
        let only = if first.len() == 1 { first.first() } else { None };
        let any = first.len() == 256;
        let mut start = from;
        loop {
            if !any {
                let rest = &text[start..];
                start += match only {
                    Some(byte) => memchr::memchr(byte, rest)?,
                    None => rest.iter().position(|&byte| first.contains(byte))?,
                };
            }
            if self.machine.attempt(start) {
                return Some(start);
            }
            if start == text.len() {
                return None;
            }
            start += 1;
        }
    }

    /// After an empty match: the start of one that is not empty at the same place.
    fn search_not_empty_at(&mut self, start: usize) -> Option<usize> {
        self.machine.mode = Mode::Search { not_empty: true };
        let found = self.machine.attempt(start);
        self.machine.mode = Mode::Search { not_empty: false };
        self.machine.memory = None;
        found.then_some(start)
    }

    fn advance(&mut self) -> Option<Match> {
        let (from, start) = match self.last.take() {
            None => (0, self.search(0)?),
            Some(last) if !last.is_empty() => (last.end, self.search(last.end)?),
            Some(last) if last.end == self.machine.text.len() => return None,
            Some(last) => match self.search_not_empty_at(last.end) {
                Some(start) => (last.end, start),
                None => (last.end, self.search(last.end + 1)?),
            },
        };
        let (end, groups) = self.machine.take_match()?;
        // What is remembered of matches would hide them from a search that starts elsewhere.
        self.machine.memory = None;
        self.last = Some(start..end);
        Some(Match { prefix: from..start, range: start..end, groups })
    }
}

impl Iterator for Matches<'_> {
    type Item = Match;

    fn next(&mut self) -> Option<Match> {
        if self.done {
            return None;
        }
        let found = self.advance();
        self.done = found.is_none();
        found
    }
}
