//! The LALR(1) automaton that Bison makes of a grammar, with its default reductions.
//!
//! Nix's syntax errors list the tokens that its generated parser expects in the state in which it stops. That depends on how
//! Bison builds its tables, so when (and only when) a text is refused they are built here in the same way and asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::grammar::{Associativity, Grammar, Symbol, TERMINALS};
use super::token::TokenKind;

/// A set of terminals, one bit each.
type Lookahead = u64;

const _: () = assert!(TERMINALS <= Lookahead::BITS as usize);

/// A rule and how much of it has been read.
type Item = (usize, usize);

/// The tables.
pub struct Automaton {
    grammar: Grammar,
    states: Vec<State>,
}

#[derive(Default)]
struct State {
    /// Where reading a symbol leads.
    next: BTreeMap<Symbol, usize>,
    /// Terminals on which a rule that is not the default is reduced.
    reductions: BTreeMap<Symbol, usize>,
    /// Terminals that are an error although there is a default: operators that cannot stand side by side.
    refused: Lookahead,
    /// The rule to reduce on all other terminals.
    default: Option<usize>,
}

/// Where and why the automaton stopped.
pub struct Refusal {
    /// How many tokens were read before the one that is refused.
    pub position: usize,
    /// What could have come instead.
    pub expected: Vec<TokenKind>,
}

impl Automaton {
    /// The automaton of Nix's grammar.
    pub fn nix() -> Automaton {
        let grammar = Grammar::nix();
        let states = Construction::new(&grammar).run();
        Automaton { grammar, states }
    }

    /// Reads tokens up to the first that is refused; nothing if all are accepted.
    pub fn run(&self, tokens: impl Iterator<Item = TokenKind>) -> Option<Refusal> {
        let mut stack = vec![0];
        for (position, token) in tokens.enumerate() {
            let terminal = token as Symbol;
            loop {
                let state = &self.states[*stack.last()?];
                if let Some(next) = state.next.get(&terminal) {
                    stack.push(*next);
                    break;
                }
                let Some(rule) = state.reduction(terminal) else {
                    return Some(Refusal { position, expected: state.expected() });
                };
                let rule = &self.grammar.rules[rule];
                stack.truncate(stack.len() - rule.right.len());
                let next = self.states[*stack.last()?].next.get(&rule.left)?;
                stack.push(*next);
            }
        }
        None
    }
}

impl State {
    fn reduction(&self, terminal: Symbol) -> Option<usize> {
        if self.refused >> terminal & 1 == 1 {
            return None;
        }
        self.reductions.get(&terminal).copied().or(self.default)
    }

    fn expected(&self) -> Vec<TokenKind> {
        let terminals = self.next.keys().chain(self.reductions.keys()).filter(|symbol| **symbol < TERMINALS);
        let terminals: BTreeSet<_> = terminals.collect();
        terminals.into_iter().map(|terminal| TokenKind::NAMES[*terminal].0).collect()
    }
}

/// Lookaheads are propagated from state to state until nothing changes.
struct Construction<'g> {
    grammar: &'g Grammar,
    /// The rules of each nonterminal.
    rules_of: Vec<Vec<usize>>,
    nullable: Vec<bool>,
    first: Vec<Lookahead>,
    kernels: Vec<BTreeMap<Item, Lookahead>>,
    by_items: HashMap<Vec<Item>, usize>,
    states: Vec<State>,
}

impl<'g> Construction<'g> {
    fn new(grammar: &'g Grammar) -> Self {
        let mut rules_of = vec![Vec::new(); grammar.symbols];
        for (index, rule) in grammar.rules.iter().enumerate() {
            rules_of[rule.left].push(index);
        }
        let mut construction = Construction {
            grammar,
            rules_of,
            nullable: vec![false; grammar.symbols],
            first: (0..grammar.symbols)
                .map(|symbol| if symbol < TERMINALS { 1 << symbol } else { 0 })
                .collect(),
            kernels: Vec::new(),
            by_items: HashMap::new(),
            states: Vec::new(),
        };
        construction.find_first();
        construction
    }

    /// Which nonterminals can be empty, and which terminals each can begin with.
    fn find_first(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for rule in &self.grammar.rules {
                let (first, nullable) = self.first_of(&rule.right);
                let old = (self.first[rule.left], self.nullable[rule.left]);
                self.first[rule.left] |= first;
                self.nullable[rule.left] |= nullable;
                changed |= old != (self.first[rule.left], self.nullable[rule.left]);
            }
        }
    }

    /// What a sequence can begin with, and whether it can be empty.
    fn first_of(&self, symbols: &[Symbol]) -> (Lookahead, bool) {
        let mut first = 0;
        for symbol in symbols {
            first |= self.first[*symbol];
            if !self.nullable[*symbol] {
                return (first, false);
            }
        }
        (first, true)
    }

    fn run(mut self) -> Vec<State> {
        let mut work = vec![self.state(BTreeMap::from([((0, 0), 0)])).0];
        while let Some(state) = work.pop() {
            let mut kernels: BTreeMap<Symbol, BTreeMap<Item, Lookahead>> = BTreeMap::new();
            for ((rule, read), lookahead) in self.closure(&self.kernels[state]) {
                if let Some(symbol) = self.grammar.rules[rule].right.get(read) {
                    kernels.entry(*symbol).or_default().insert((rule, read + 1), lookahead);
                }
            }
            for (symbol, kernel) in kernels {
                let (next, changed) = self.state(kernel);
                self.states[state].next.insert(symbol, next);
                if changed {
                    work.push(next);
                }
            }
        }
        for state in 0..self.states.len() {
            self.reduce(state);
        }
        self.states
    }

    /// The state with these items, and whether it is new or its lookaheads have grown.
    fn state(&mut self, kernel: BTreeMap<Item, Lookahead>) -> (usize, bool) {
        let items: Vec<Item> = kernel.keys().copied().collect();
        if let Some(&state) = self.by_items.get(&items) {
            let mut changed = false;
            for (known, new) in self.kernels[state].values_mut().zip(kernel.values()) {
                changed |= *new & !*known != 0;
                *known |= new;
            }
            return (state, changed);
        }
        let state = self.states.len();
        self.by_items.insert(items, state);
        self.kernels.push(kernel);
        self.states.push(State::default());
        (state, true)
    }

    fn closure(&self, kernel: &BTreeMap<Item, Lookahead>) -> BTreeMap<Item, Lookahead> {
        let mut items = kernel.clone();
        let mut work: Vec<Item> = kernel.keys().copied().collect();
        while let Some(item) = work.pop() {
            let right = &self.grammar.rules[item.0].right[item.1..];
            let Some(nonterminal) = right.first().filter(|symbol| **symbol >= TERMINALS) else { continue };
            let (mut lookahead, empty) = self.first_of(&right[1..]);
            if empty {
                lookahead |= items[&item];
            }
            for rule in &self.rules_of[*nonterminal] {
                let known = items.get(&(*rule, 0)).copied();
                if known.is_none_or(|known| lookahead & !known != 0) {
                    items.insert((*rule, 0), known.unwrap_or(0) | lookahead);
                    work.push((*rule, 0));
                }
            }
        }
        items
    }

    /// Settles conflicts by precedence, then makes the reduction with the most lookaheads the default.
    fn reduce(&mut self, state: usize) {
        let finished = |(rule, read): &Item| self.grammar.rules[*rule].right.len() == *read;
        let mut reductions: Vec<(usize, Lookahead)> = self
            .closure(&self.kernels[state])
            .into_iter()
            .filter(|(item, _)| finished(item))
            .map(|((rule, _), lookahead)| (rule, lookahead))
            .collect();
        for (rule, lookahead) in &mut reductions {
            self.settle(state, *rule, lookahead);
        }
        let state = &mut self.states[state];
        // The first of those with the most.
        let most = reductions.iter().rev().max_by_key(|(_, lookahead)| lookahead.count_ones());
        state.default = most.map(|(rule, _)| *rule);
        for (rule, lookahead) in &reductions {
            if Some(*rule) != state.default {
                let terminals = (0..TERMINALS).filter(|terminal| lookahead >> terminal & 1 == 1);
                state.reductions.extend(terminals.map(|terminal| (terminal, *rule)));
            }
        }
    }

    fn settle(&mut self, state: usize, rule: usize, lookahead: &mut Lookahead) {
        let Some(of_rule) = self.grammar.rules[rule].precedence else { return };
        for terminal in 0..TERMINALS {
            let bit = 1 << terminal;
            let Some(of_terminal) = self.grammar.precedence[terminal] else { continue };
            if *lookahead & bit == 0 || !self.states[state].next.contains_key(&terminal) {
                continue;
            }
            let (keeps_shift, keeps_reduction) = match of_rule.level.cmp(&of_terminal.level) {
                std::cmp::Ordering::Less => (true, false),
                std::cmp::Ordering::Greater => (false, true),
                std::cmp::Ordering::Equal => match of_terminal.associativity {
                    Associativity::Left => (false, true),
                    Associativity::Right => (true, false),
                    Associativity::None => (false, false),
                },
            };
            if !keeps_shift {
                self.states[state].next.remove(&terminal);
            }
            if !keeps_reduction {
                *lookahead &= !bit;
            }
            if !keeps_shift && !keeps_reduction {
                self.states[state].refused |= bit;
            }
        }
    }
}
