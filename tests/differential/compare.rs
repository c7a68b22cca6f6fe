//! What a difference between two evaluations is worth.

use crate::run::Outcome;

/// How two outcomes differ, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Difference {
    /// One gives a value where the other fails, or dies.
    Status,
    /// Another value.
    Value,
    /// Another text on standard error.
    Text,
    /// The same, but that a message shows a value where the other has it unevaluated or met before, or shows attributes
    /// in another order: Nix has them there in the order in which it met their names.
    Printing,
}

/// What Nix prints in place of a value in messages, depending on when it evaluates what.
const PLACEHOLDERS: [&str; 2] = ["«thunk»", "«repeated»"];

/// How outcomes differ, if they do. Without a store Nix cannot tell what a derivation refers to: what fails for that counts
/// as no difference.
pub fn difference(ours: &Outcome, theirs: &Outcome) -> Option<Difference> {
    if theirs.status == 1 && theirs.errors.contains(".drv' is not valid") {
        return None;
    }
    if ours.status != theirs.status {
        return Some(Difference::Status);
    }
    if ours.output != theirs.output {
        return Some(Difference::Value);
    }
    if ours.errors == theirs.errors {
        return None;
    }
    let alike = is_alike(&theirs.errors, &ours.errors)
        || is_alike(&ours.errors, &theirs.errors)
        || is_reordered(&ours.errors, &theirs.errors);
    Some(if alike { Difference::Printing } else { Difference::Text })
}

/// Whether a text is another with something for each placeholder.
fn is_alike(pattern: &str, text: &str) -> bool {
    if !PLACEHOLDERS.iter().any(|placeholder| pattern.contains(placeholder)) {
        return false;
    }
    let pattern = PLACEHOLDERS.iter().fold(pattern.to_owned(), |text, name| text.replace(name, "\0"));
    let mut rest = text;
    for (index, part) in pattern.split('\0').enumerate() {
        match rest.find(part) {
            Some(0) if index == 0 => rest = &rest[part.len()..],
            Some(at) if index > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    true
}

/// Whether two texts have the same words on every line, up to the members of a set: of a large one Nix shows some only.
fn is_reordered(left: &str, right: &str) -> bool {
    let words = |line: &str| {
        let line = line.split_once(" found a set: ").map_or(line, |(before, _)| before);
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words.sort();
        words
    };
    left.lines().count() == right.lines().count()
        && left.lines().zip(right.lines()).all(|(a, b)| words(a) == words(b))
}

/// What cases have in common that differ for the same reason, most likely: names and numbers do not count.
pub fn signature(difference: Difference, ours: &Outcome, theirs: &Outcome) -> String {
    let first_difference = ours.errors.lines().zip(theirs.errors.lines()).find(|(a, b)| a != b);
    let lines = first_difference.unwrap_or_default();
    let plain = |line: &str| {
        let letters =
            line.chars().filter(|character| character.is_alphabetic() || " :«»'".contains(*character));
        letters.take(60).collect::<String>()
    };
    format!("{difference:?} {}/{} {} / {}", ours.status, theirs.status, plain(lines.0), plain(lines.1))
}
