//! Making an expression smaller that two programs evaluate differently.

use std::collections::HashSet;

/// How many candidates are tried at once.
const AT_ONCE: usize = 60;

/// The smaller variants of a text that are worth trying, the smallest first: a group in brackets alone, or with something
/// simple in its place; and some tokens left out.
pub fn candidates(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found: HashSet<String> = HashSet::new();
    let join = |tokens: &[&str]| tokens.concat();
    for (start, end) in groups(&tokens) {
        found.insert(join(&tokens[start..end]));
        found.insert(join(&tokens[start + 1..end - 1]));
        for simple in ["1", "null", "{ }", "[ ]", "\"\"", "x", "(x: x)"] {
            found.insert([&join(&tokens[..start]), simple, &join(&tokens[end..])].concat());
        }
        found.insert(
            [join(&tokens[..start]), join(&tokens[start + 1..end - 1]), join(&tokens[end..])].concat(),
        );
    }
    for length in [1, 2, 3, 4, 6, 8] {
        for start in 0..tokens.len().saturating_sub(length - 1) {
            found.insert([join(&tokens[..start]), join(&tokens[start + length..])].concat());
        }
    }
    let mut found: Vec<String> =
        found.into_iter().filter(|found| found.len() < text.len() && !found.trim().is_empty()).collect();
    found.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    // Of many, some of every size.
    let step = found.len().div_ceil(AT_ONCE).max(1);
    found.into_iter().step_by(step).collect()
}

/// Words, blanks, and single signs.
fn tokens(text: &str) -> Vec<&str> {
    let kind = |character: char| match character {
        character if character.is_alphanumeric() || "_.'".contains(character) => 1,
        character if character.is_whitespace() => 2,
        _ => 0,
    };
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, character) in text.char_indices() {
        let kind = kind(character);
        if last.is_some_and(|last| last != kind || kind == 0) {
            tokens.push(&text[start..at]);
            start = at;
        }
        last = Some(kind);
    }
    tokens.push(&text[start..]);
    tokens
}

/// Where groups in brackets begin and end, by token.
fn groups(tokens: &[&str]) -> Vec<(usize, usize)> {
    let mut open = Vec::new();
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match *token {
            "(" | "[" | "{" => open.push(index),
            ")" | "]" | "}" => found.extend(open.pop().map(|start| (start, index + 1))),
            _ => {}
        }
    }
    found
}
