//! The grammar of Nix, as the rules that Bison is given.
//!
//! The parser does not use it: it is what [`super::automaton`] is built from to say what a refused text could have gone on
//! with.

use std::collections::HashMap;

use super::token::TokenKind;

/// The rules. A line without `|` begins a nonterminal. Terminals are written as in [`TokenKind::NAMES`] with underscores for
/// blanks; `%x` at the end of a rule gives it the precedence of x instead of that of its last terminal.
const RULES: &str = r#"
accept = start end_of_file
start = expr
| start_of_REPL_bindings binds1
expr = function
function = identifier ':' function
| formal_set ':' function
| formal_set '@' identifier ':' function
| identifier '@' formal_set ':' function
| 'assert' expr ';' function
| 'with' expr ';' function
| 'let' binds 'in' function
| conditional
conditional = 'if' expr 'then' expr 'else' expr
| pipe_from
| pipe_into
| op
pipe_from = op '<|' pipe_from
| op '<|' op
pipe_into = pipe_into '|>' op
| op '|>' op
op = '!' op %not
| '-' op %negate
| op '==' op
| op '!=' op
| op '<' op
| op '<=' op
| op '>' op
| op '>=' op
| op '&&' op
| op '||' op
| op '->' op
| op '//' op
| op '?' attrpath
| op '+' op
| op '-' op
| op '*' op
| op '/' op
| op '++' op
| app
app = app select
| select
select = simple '.' attrpath
| simple '.' attrpath 'or' select
| simple 'or'
| simple
simple = identifier
| integer
| floating-point_literal
| '"' string_parts '"'
| start_of_an_indented_string indented_parts end_of_an_indented_string
| path_start end_of_path
| path_start interpolated_parts end_of_path
| '<…>'_path
| URI
| '(' expr ')'
| 'let' '{' binds '}'
| 'rec' '{' binds '}'
| '{' binds1 '}'
| '{' '}'
| '[' list ']'
string_parts = string
| interpolated_parts
|
interpolated_parts = interpolated_parts string
| interpolated_parts '${' expr '}'
| '${' expr '}'
| string '${' expr '}'
path_start = path
| '~/…'_path
indented_parts = indented_parts indented_string
| indented_parts '${' expr '}'
|
binds = binds1
|
binds1 = binds1 attrpath '=' expr ';'
| binds 'inherit' attrs ';'
| binds 'inherit' '(' expr ')' attrs ';'
| attrpath '=' expr ';'
attrs = attrs attr
| attrs string_attr
|
attrpath = attrpath '.' attr
| attrpath '.' string_attr
| attr
| string_attr
attr = identifier
| 'or'
string_attr = '"' string_parts '"'
| '${' expr '}'
list = list select
|
formal_set = '{' formals ',' '...' '}'
| '{' '...' '}'
| '{' formals ',' '}'
| '{' formals '}'
| '{' '}'
formals = formals ',' formal
| formal
formal = identifier
| identifier '?' expr
"#;

/// What operators do with an operator of their own precedence on their right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Associativity {
    /// The left one goes first.
    Left,
    /// The right one goes first.
    Right,
    /// They cannot stand side by side.
    None,
}

/// Loosest first.
const PRECEDENCES: [(Associativity, &[&str]); 12] = [
    (Associativity::Right, &["'->'"]),
    (Associativity::Left, &["'||'"]),
    (Associativity::Left, &["'&&'"]),
    (Associativity::None, &["'=='", "'!='"]),
    (Associativity::None, &["'<'", "'>'", "'<='", "'>='"]),
    (Associativity::Right, &["'//'"]),
    (Associativity::Left, &["not"]),
    (Associativity::Left, &["'+'", "'-'"]),
    (Associativity::Left, &["'*'", "'/'"]),
    (Associativity::Right, &["'++'"]),
    (Associativity::None, &["'?'"]),
    (Associativity::None, &["negate"]),
];

/// How many terminals there are. Symbols below are terminals, by the number of their [`TokenKind`].
pub const TERMINALS: usize = TokenKind::NAMES.len();

/// A terminal or, from [`TERMINALS`] on, a nonterminal.
pub type Symbol = usize;

/// How tightly a rule or a terminal binds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Precedence {
    /// Higher binds tighter.
    pub level: usize,
    /// Among equals.
    pub associativity: Associativity,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// The nonterminal that it makes.
    pub left: Symbol,
    /// What it is made of.
    pub right: Vec<Symbol>,
    /// Decides between reducing by this rule and reading on.
    pub precedence: Option<Precedence>,
}

/// All rules, the augmented start first.
pub struct Grammar {
    /// In Bison's order.
    pub rules: Vec<Rule>,
    /// Of each terminal.
    pub precedence: Vec<Option<Precedence>>,
    /// How many symbols there are.
    pub symbols: usize,
}

impl Grammar {
    /// Nix's grammar.
    pub fn nix() -> Grammar {
        let named = precedences();
        let mut symbols: HashMap<String, Symbol> =
            TokenKind::NAMES.iter().map(|(kind, name)| (name.replace(' ', "_"), *kind as Symbol)).collect();
        let precedence: Vec<_> = TokenKind::NAMES.iter().map(|(_, name)| named.get(name).copied()).collect();
        let mut rules = Vec::new();
        let mut left = 0;
        for line in RULES.lines().filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let first = words.next().unwrap_or_default();
            if first != "|" {
                left = symbol(&mut symbols, first);
                words.next();
            }
            rules.push(rule(left, words, &mut symbols, &named, &precedence));
        }
        Grammar { rules, precedence, symbols: symbols.len() }
    }
}

fn precedences() -> HashMap<&'static str, Precedence> {
    let mut named = HashMap::new();
    for (level, (associativity, names)) in PRECEDENCES.into_iter().enumerate() {
        named.extend(names.iter().map(|name| (*name, Precedence { level, associativity })));
    }
    named
}

fn symbol(symbols: &mut HashMap<String, Symbol>, name: &str) -> Symbol {
    let next = symbols.len();
    *symbols.entry(name.to_owned()).or_insert(next)
}

fn rule<'w>(
    left: Symbol,
    words: impl Iterator<Item = &'w str>,
    symbols: &mut HashMap<String, Symbol>,
    named: &HashMap<&'static str, Precedence>,
    terminals: &[Option<Precedence>],
) -> Rule {
    let mut right = Vec::new();
    let mut precedence = None;
    for word in words {
        match word.strip_prefix('%') {
            Some(name) => precedence = named.get(name).copied(),
            None => {
                let symbol = symbol(symbols, word);
                right.push(symbol);
                if symbol < TERMINALS {
                    precedence = terminals[symbol];
                }
            }
        }
    }
    Rule { left, right, precedence }
}
