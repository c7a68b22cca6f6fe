//! The automaton: built state by state in the order in which libstdc++ builds it, so that its size is limited where
//! libstdc++'s is, then reduced to a form that is quick to run.

use super::ByteSet;

/// libstdc++'s `_GLIBCXX_REGEX_STATE_LIMIT`.
const STATE_LIMIT: usize = 100_000;

pub type StateId = u32;
pub const NONE: StateId = u32::MAX;

/// What a state does before going on to its `next`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// Nothing: joins branches.
    Dummy,
    Byte(u8),
    /// A byte in the set of this number.
    Set(u32),
    /// Tries `other`, then `next`, and compares.
    Alternative {
        other: StateId,
    },
    /// Tries `body`, then `next` if that led nowhere. `counter` is set if an empty way leads from the state to itself.
    Repeat {
        body: StateId,
        counter: Option<u32>,
    },
    /// As a `Repeat` whose body is a single set: as many of its members as there are, then fewer.
    Run(u32),
    Open(u32),
    Close(u32),
    LineBegin,
    LineEnd,
    Accept,
}

#[derive(Debug, Clone, Copy)]
pub struct State {
    pub op: Op,
    pub next: StateId,
}

/// A part of the automaton under construction, with one way in and one way out.
#[derive(Debug, Clone, Copy)]
pub struct Fragment {
    pub start: StateId,
    pub end: StateId,
}

/// The limit on states was hit.
#[derive(Debug)]
pub struct TooLarge;

#[derive(Debug, Default)]
pub struct Builder {
    states: Vec<State>,
    sets: Vec<ByteSet>,
}

impl Builder {
    pub fn insert(&mut self, op: Op) -> Result<Fragment, TooLarge> {
        self.insert_state(State { op, next: NONE })
    }

    fn insert_state(&mut self, state: State) -> Result<Fragment, TooLarge> {
        let id = self.states.len() as StateId;
        self.states.push(state);
        if self.states.len() > STATE_LIMIT {
            return Err(TooLarge);
        }
        Ok(Fragment { start: id, end: id })
    }

    pub fn insert_set(&mut self, set: ByteSet) -> Result<Fragment, TooLarge> {
        let number = self.sets.iter().position(|&known| known == set).unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        self.insert(Op::Set(number as u32))
    }

    pub fn append(&mut self, first: Fragment, second: Fragment) -> Fragment {
        self.states[first.end as usize].next = second.start;
        Fragment { start: first.start, end: second.end }
    }

    /// `left|right`
    pub fn alternative(&mut self, left: Fragment, right: Fragment) -> Result<Fragment, TooLarge> {
        let end = self.insert(Op::Dummy)?;
        self.append(left, end);
        self.append(right, end);
        let fork =
            self.insert_state(State { op: Op::Alternative { other: left.start }, next: right.start })?;
        Ok(Fragment { start: fork.start, end: end.end })
    }

    /// `body*`
    pub fn star(&mut self, body: Fragment) -> Result<Fragment, TooLarge> {
        let fork = self.insert(Op::Repeat { body: body.start, counter: None })?;
        self.append(body, fork);
        Ok(fork)
    }

    /// `body+`
    pub fn plus(&mut self, body: Fragment) -> Result<Fragment, TooLarge> {
        let fork = self.insert(Op::Repeat { body: body.start, counter: None })?;
        Ok(self.append(body, fork))
    }

    /// `body?`
    pub fn optional(&mut self, body: Fragment) -> Result<Fragment, TooLarge> {
        let end = self.insert(Op::Dummy)?;
        let fork = self.insert(Op::Repeat { body: body.start, counter: None })?;
        self.append(body, end);
        self.append(fork, end);
        Ok(Fragment { start: fork.start, end: end.end })
    }

    /// `body{minimum,minimum + more}`, or `body{minimum,}` without `more`. The body itself is only a pattern to copy.
    pub fn interval(
        &mut self,
        body: Fragment,
        minimum: u32,
        more: Option<u32>,
    ) -> Result<Fragment, TooLarge> {
        let mut all = self.insert(Op::Dummy)?;
        for _ in 0..minimum {
            let copy = self.clone_fragment(body)?;
            all = self.append(all, copy);
        }
        let Some(more) = more else {
            let copy = self.clone_fragment(body)?;
            let star = self.star(copy)?;
            return Ok(self.append(all, star));
        };
        let end = self.insert(Op::Dummy)?;
        for _ in 0..more {
            let copy = self.clone_fragment(body)?;
            let fork = self.insert(Op::Repeat { body: copy.start, counter: None })?;
            self.append(fork, end);
            self.states[all.end as usize].next = fork.start;
            all.end = copy.end;
        }
        Ok(self.append(all, end))
    }

    fn clone_fragment(&mut self, fragment: Fragment) -> Result<Fragment, TooLarge> {
        let mut copies = rustc_hash::FxHashMap::default();
        let mut pending = vec![fragment.start];
        while let Some(id) = pending.pop() {
            if copies.contains_key(&id) {
                continue;
            }
            let state = self.states[id as usize];
            copies.insert(id, self.insert_state(state)?.start);
            pending.extend(state.op.branch());
            if id != fragment.end && state.next != NONE {
                pending.push(state.next);
            }
        }
        let copied = |id: StateId| copies.get(&id).copied().unwrap_or(id);
        for &copy in copies.values() {
            let state = &mut self.states[copy as usize];
            state.next = copied(state.next);
            state.op = state.op.with_branch(copied);
        }
        Ok(Fragment { start: copied(fragment.start), end: copied(fragment.end) })
    }

    pub fn finish(mut self, whole: Fragment, groups: usize) -> Program {
        let start = self.skip_dummies(whole.start);
        for index in 0..self.states.len() {
            let State { op, next } = self.states[index];
            let next = if next == NONE { next } else { self.skip_dummies(next) };
            let op = op.with_branch(|id| self.skip_dummies(id));
            self.states[index] = State { op, next };
        }
        self.make_runs();
        let counters = self.number_counters();
        let mut program =
            Program { first: ByteSet::EMPTY, states: self.states, sets: self.sets, start, groups, counters };
        program.first = program.first_bytes();
        program
    }

    fn skip_dummies(&self, mut id: StateId) -> StateId {
        while let State { op: Op::Dummy, next } = self.states[id as usize]
            && next != NONE
        {
            id = next;
        }
        id
    }

    /// Turns `[set]*` into one state.
    fn make_runs(&mut self) {
        for id in 0..self.states.len() {
            let Op::Repeat { body, .. } = self.states[id].op else { continue };
            let inner = self.states[body as usize];
            if inner.next != id as StateId {
                continue;
            }
            let set = match inner.op {
                Op::Set(number) => number,
                Op::Byte(byte) => {
                    let mut set = ByteSet::EMPTY;
                    set.insert(byte);
                    self.sets.push(set);
                    self.sets.len() as u32 - 1
                }
                _ => continue,
            };
            self.states[id].op = Op::Run(set);
        }
    }

    /// Gives a counter to each `Repeat` that can be reached from itself without consuming anything (or that lies on a
    /// way between two such). Gives the number of counters.
    fn number_counters(&mut self) -> usize {
        let successors = |state: State| {
            let own = match state.op {
                Op::Byte(_) | Op::Set(_) | Op::Accept => NONE,
                _ => state.next,
            };
            [Some(own).filter(|&id| id != NONE), state.op.branch()].into_iter().flatten()
        };
        let mut incoming = vec![0u32; self.states.len()];
        for &state in &self.states {
            successors(state).for_each(|id| incoming[id as usize] += 1);
        }
        // Take away, again and again, what nothing leads to: what stays lies on a cycle or behind one.
        let mut free: Vec<usize> = (0..self.states.len()).filter(|&id| incoming[id] == 0).collect();
        let mut remaining = vec![true; self.states.len()];
        while let Some(id) = free.pop() {
            remaining[id] = false;
            for successor in successors(self.states[id]) {
                incoming[successor as usize] -= 1;
                if incoming[successor as usize] == 0 {
                    free.push(successor as usize);
                }
            }
        }
        let mut counters = 0;
        for (state, _) in self.states.iter_mut().zip(remaining).filter(|(_, remaining)| *remaining) {
            if let Op::Repeat { counter, .. } = &mut state.op {
                *counter = Some(counters);
                counters += 1;
            }
        }
        counters as usize
    }
}

impl Op {
    /// The state that is tried before `next`.
    fn branch(self) -> Option<StateId> {
        match self {
            Op::Alternative { other } => Some(other),
            Op::Repeat { body, .. } => Some(body),
            _ => None,
        }
    }

    fn with_branch(self, change: impl Fn(StateId) -> StateId) -> Op {
        match self {
            Op::Alternative { other } => Op::Alternative { other: change(other) },
            Op::Repeat { body, counter } => Op::Repeat { body: change(body), counter },
            other => other,
        }
    }
}

/// An automaton ready to run.
#[derive(Debug)]
pub struct Program {
    pub states: Vec<State>,
    pub sets: Vec<ByteSet>,
    pub start: StateId,
    /// The number of groups, with the whole match as group 0.
    pub groups: usize,
    pub counters: usize,
    /// The bytes a match may start with; all of them if a match may be empty.
    pub first: ByteSet,
}

impl Program {
    fn first_bytes(&self) -> ByteSet {
        let mut first = ByteSet::EMPTY;
        let mut seen = vec![false; self.states.len()];
        let mut pending = vec![self.start];
        while let Some(id) = pending.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            let State { op, next } = self.states[id as usize];
            match op {
                Op::Byte(byte) => first.insert(byte),
                Op::Set(set) => first.union(&self.sets[set as usize]),
                Op::Accept => return ByteSet::EMPTY.complement(),
                Op::Run(set) => {
                    first.union(&self.sets[set as usize]);
                    pending.push(next);
                }
                _ => pending.extend(op.branch().into_iter().chain([next])),
            }
        }
        first
    }
}
