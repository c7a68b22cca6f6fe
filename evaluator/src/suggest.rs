//! "Did you mean": the known names nearest to one that is not known.

use bstr::BStr;

/// How many edits away a name may be, and how many are offered: as in Nix.
const MAX_DISTANCE: usize = 2;
const MAX_OFFERED: usize = 5;

/// The names nearest to `name`, nearest first.
pub fn closest<'n>(name: &BStr, known: impl Iterator<Item = &'n BStr>) -> Vec<String> {
    let mut near: Vec<(usize, &BStr)> = known
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= MAX_DISTANCE)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= MAX_DISTANCE)
        .collect();
    near.sort();
    near.into_iter().take(MAX_OFFERED).map(|(_, name)| crate::text::raw::text(name).into_owned()).collect()
}

/// Levenshtein's distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(b.len() + 1);
        current.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = previous[j] + usize::from(x != y);
            current.push(replaced.min(previous[j + 1] + 1).min(current[j] + 1));
        }
        previous = current;
    }
    previous[b.len()]
}
