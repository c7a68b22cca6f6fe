//! `zeval why-rebuild`: what changed between two derivations, down to the inputs that changed by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bstr::{BString, ByteSlice};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use zeval_builder::store::Store;
use zeval_model::{Derivation, StorePath, store_dir};

use super::{
    Context, Result,
    store::{count_of, store_path},
};
use crate::{
    cli::{Source, WhyRebuild},
    diagnostic::Failed,
};

/// More lines of one difference than this are not shown.
const SHOWN_LINES: usize = 40;

/// Runs the command.
pub fn run(context: &Context, arguments: &WhyRebuild) -> Result<()> {
    let store = context.store()?;
    let before = derivation(context, &store, &arguments.before)?;
    let after = derivation(context, &store, &arguments.after)?;
    let mut comparison =
        Comparison { store: &store, seen: BTreeSet::new(), found: Vec::new(), followed: Vec::new() };
    comparison.derivations(&before, &after)?;
    if arguments.json {
        println!("{}", Value::Array(comparison.found.iter().map(Difference::as_json).collect()));
        return Ok(());
    }
    comparison.print(&before, &after);
    Ok(())
}

/// The derivation that a file with an expression, a derivation's path, an output or a link to one stands for.
fn derivation(context: &Context, store: &std::sync::Arc<Store>, given: &Path) -> Result<StorePath> {
    let is_expression = given.extension().is_some_and(|ending| ending == "zx" || ending == "nix");
    if (is_expression || given.is_dir()) && !given.starts_with(store_dir()) && !given.is_symlink() {
        let source = Source { file: Some(given.into()), ..Source::default() };
        let targets = context.targets(&source, store, &Default::default())?;
        return match &targets[..] {
            [target] => Ok(target.wanted.drv.clone()),
            all => Err(Failed::other(format!(
                "'{}' describes {}: instantiate it, and name one",
                given.display(),
                count_of(all.len(), "derivation")
            ))),
        };
    }
    let path = store_path(store, given)?;
    if path.is_derivation() {
        return Ok(path);
    }
    let deriver = store.require(&path).map_err(Failed::other)?.deriver;
    deriver.ok_or_else(|| {
        Failed::other(format!("'{path}' was not built here: what it was made from is not known"))
    })
}

/// What changed in one pair of derivations by itself, and not because an input changed.
struct Difference {
    before: StorePath,
    after: StorePath,
    changes: Vec<Change>,
}

struct Change {
    what: String,
    /// Of a text: lines that begin with `-`, `+` or a space.
    lines: Vec<String>,
}

impl Difference {
    fn as_json(&self) -> Value {
        let changes: Vec<Value> =
            self.changes.iter().map(|change| json!({ "what": change.what, "lines": change.lines })).collect();
        json!({ "before": self.before.to_string(), "after": self.after.to_string(), "changes": changes })
    }
}

struct Comparison<'s> {
    store: &'s Store,
    seen: BTreeSet<(StorePath, StorePath)>,
    found: Vec<Difference>,
    /// Pairs that differ in nothing but their inputs, and how many of these do.
    followed: Vec<(StorePath, usize)>,
}

impl Comparison<'_> {
    fn derivations(&mut self, before: &StorePath, after: &StorePath) -> Result<()> {
        // Does not recurse: chains of derivations get long.
        let mut pending = vec![(before.clone(), after.clone())];
        while let Some((before, after)) = pending.pop() {
            if before == after || !self.seen.insert((before.clone(), after.clone())) {
                continue;
            }
            let old = self.store.derivation(&before).map_err(Failed::other)?;
            let new = self.store.derivation(&after).map_err(Failed::other)?;
            let mut changes = Vec::new();
            let pairs = inputs(&old, &new, &mut changes);
            self.sources(&old, &new, &mut changes)?;
            own(&old, &new, &mut changes);
            match changes.is_empty() {
                true => self.followed.push((after, pairs.len())),
                false => self.found.push(Difference { before, after, changes }),
            }
            pending.extend(pairs);
        }
        Ok(())
    }

    /// Sources are compared by name; of those that changed, the files.
    fn sources(&self, old: &Derivation, new: &Derivation, changes: &mut Vec<Change>) -> Result<()> {
        let (removed, added, both) = by_name(
            old.input_sources.difference(&new.input_sources),
            new.input_sources.difference(&old.input_sources),
        );
        for path in removed {
            changes.push(plain(format!("the source {} is not used any more", path.name())));
        }
        for path in added {
            changes.push(plain(format!("the source {} is new", path.name())));
        }
        for (before, after) in both {
            let mut lines = Vec::new();
            files(&self.store.physical(before), &self.store.physical(after), "", &mut lines);
            changes.push(Change { what: format!("the source {} changed", after.name()), lines });
        }
        Ok(())
    }

    fn print(&self, before: &StorePath, after: &StorePath) {
        if before == after {
            println!("nothing changed: both are {after}");
            return;
        }
        for difference in &self.found {
            println!(
                "{} was made from {} and is now made from {}:",
                name(&difference.after),
                difference.before,
                difference.after
            );
            for change in &difference.changes {
                println!("  {}", change.what);
                for line in change.lines.iter().take(SHOWN_LINES) {
                    println!("    {line}");
                }
                if change.lines.len() > SHOWN_LINES {
                    println!("    ... and {} more", count_of(change.lines.len() - SHOWN_LINES, "line"));
                }
            }
        }
        for (drv, inputs) in &self.followed {
            println!("{} changed only because {} of it did", name(drv), count_of(*inputs, "input"));
        }
    }
}

fn name(drv: &StorePath) -> &str {
    drv.derivation_name().unwrap_or(drv.name())
}

fn plain(what: String) -> Change {
    Change { what, lines: Vec::new() }
}

/// Paths of two sides, those with a name of their own and those that share one.
type Sides<'p> = (Vec<&'p StorePath>, Vec<&'p StorePath>, Vec<(&'p StorePath, &'p StorePath)>);

fn by_name<'p>(
    old: impl Iterator<Item = &'p StorePath>,
    new: impl Iterator<Item = &'p StorePath>,
) -> Sides<'p> {
    let mut left: BTreeMap<&str, Vec<&StorePath>> = BTreeMap::new();
    old.for_each(|path| left.entry(path.name()).or_default().push(path));
    let (mut added, mut both) = (Vec::new(), Vec::new());
    for path in new {
        match left.get_mut(path.name()).and_then(Vec::pop) {
            Some(before) => both.push((before, path)),
            None => added.push(path),
        }
    }
    (left.into_values().flatten().collect(), added, both)
}

/// Inputs that came or went; gives the pairs that are to be compared themselves.
fn inputs(old: &Derivation, new: &Derivation, changes: &mut Vec<Change>) -> Vec<(StorePath, StorePath)> {
    let gone = old.input_derivations.keys().filter(|path| !new.input_derivations.contains_key(*path));
    let come = new.input_derivations.keys().filter(|path| !old.input_derivations.contains_key(*path));
    let (removed, added, both) = by_name(gone, come);
    changes
        .extend(removed.iter().map(|path| plain(format!("the input {} is not used any more", name(path)))));
    changes.extend(added.iter().map(|path| plain(format!("the input {} is new", name(path)))));
    let pairs = both.into_iter().map(|(before, after)| (before.clone(), after.clone())).collect();
    for (path, wanted) in &new.input_derivations {
        if let Some(before) = old.input_derivations.get(path)
            && before.outputs != wanted.outputs
        {
            changes.push(plain(format!("other outputs of the input {} are used", name(path))));
        }
    }
    pairs
}

/// What a derivation says itself: builder, arguments, variables, outputs. Hashes of store paths do not count: they change
/// with inputs.
fn own(old: &Derivation, new: &Derivation, changes: &mut Vec<Change>) {
    if old.platform != new.platform {
        changes.push(plain(format!("the system was {} and is {}", old.platform, new.platform)));
    }
    if without_hashes(&old.builder) != without_hashes(&new.builder) {
        changes.push(plain(format!("the builder was {} and is {}", old.builder, new.builder)));
    }
    let arguments = |drv: &Derivation| drv.args.iter().map(without_hashes).collect::<Vec<_>>();
    let (before, after) = (arguments(old), arguments(new));
    if before != after {
        changes.push(Change {
            what: "the arguments changed".into(),
            lines: lines(&before.join("\n"), &after.join("\n")),
        });
    }
    let names: BTreeSet<&BString> = old.env.keys().chain(new.env.keys()).collect();
    for name in names {
        match (old.env.get(name), new.env.get(name)) {
            (Some(_), None) => changes.push(plain(format!("the variable {name} is gone"))),
            (None, Some(value)) => {
                changes.push(plain(format!("the variable {name} is new: {}", short(value))))
            }
            (Some(before), Some(after)) => {
                let (before, after) = (without_hashes(before), without_hashes(after));
                if before != after {
                    let lines = lines(&before, &after);
                    changes.push(Change { what: format!("the variable {name} changed"), lines });
                }
            }
            (None, None) => {}
        }
    }
    let outputs = |drv: &Derivation| drv.outputs.keys().cloned().collect::<Vec<_>>().join(", ");
    if old.outputs.keys().ne(new.outputs.keys()) {
        changes.push(plain(format!("the outputs were {} and are {}", outputs(old), outputs(new))));
    }
}

fn short(value: &BString) -> String {
    const SHOWN: usize = 80;
    let text = value.to_str_lossy();
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None if text.lines().count() > 1 => format!("{line}..."),
        None => line.to_owned(),
    }
}

/// A text in which store paths have no hashes, and placeholders for outputs are all the same.
fn without_hashes(text: &BString) -> String {
    const HASH: usize = 32;
    let text = text.to_str_lossy();
    let mut parts = text.split("/nix/store/");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("/nix/store/");
        let is_hash = part.len() > HASH && part.as_bytes()[..HASH].iter().all(u8::is_ascii_alphanumeric);
        out.push_str(if is_hash { &part[HASH..] } else { part });
    }
    without_placeholders(&out)
}

/// Placeholders are a slash and 52 digits of Nix's base 32.
fn without_placeholders(text: &str) -> String {
    const DIGITS: usize = 52;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        let count = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
        rest = if count == DIGITS { &after[DIGITS..] } else { after };
    }
    out.push_str(rest);
    out
}

/// The lines that differ.
fn lines(before: &str, after: &str) -> Vec<String> {
    let difference = TextDiff::from_lines(before, after);
    let changed = difference.iter_all_changes().filter_map(|change| {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => return None,
        };
        Some(format!("{sign}{}", change.value().trim_end_matches('\n')))
    });
    changed.collect()
}

/// The files that differ in two trees, with the lines of texts.
fn files(before: &Path, after: &Path, below: &str, out: &mut Vec<String>) {
    let kind = |path: &Path| path.symlink_metadata().ok().map(|found| found.file_type());
    let (Some(old), Some(new)) = (kind(before), kind(after)) else {
        out.push("(the files of one of the two are not here any more)".into());
        return;
    };
    if old.is_dir() && new.is_dir() {
        let names = |folder: &Path| -> BTreeSet<String> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let (old, new) = (names(before), names(after));
        for name in old.union(&new) {
            let shown = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            match (old.contains(name), new.contains(name)) {
                (true, false) => out.push(format!("{shown}: is gone")),
                (false, true) => out.push(format!("{shown}: is new")),
                _ => files(&before.join(name), &after.join(name), &shown, out),
            }
        }
        return;
    }
    let contents = |path: &Path| match path.read_link() {
        Ok(target) => target.into_os_string().into_encoded_bytes(),
        Err(_) => std::fs::read(path).unwrap_or_default(),
    };
    let (old, new) = (contents(before), contents(after));
    if old == new {
        return;
    }
    if !below.is_empty() {
        out.push(format!("{below}:"));
    }
    match (String::from_utf8(old), String::from_utf8(new)) {
        (Ok(old), Ok(new)) => out.extend(lines(&old, &new)),
        _ => out.push("(no text; it differs)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_placeholders_do_not_count() {
        let text = |text: &str| without_hashes(&BString::from(text));
        let hash = "0".repeat(32);
        assert_eq!(text(&format!("a /nix/store/{hash}-x/bin b")), "a /nix/store/-x/bin b");
        assert_eq!(text("/nix/store/short"), "/nix/store/short");
        assert_eq!(text(&format!("-L/{}/lib", "1".repeat(52))), "-L//lib");
    }

    #[test]
    fn only_lines_that_differ_are_told() {
        assert_eq!(lines("a\nb\nc\n", "a\nx\nc\n"), ["-b", "+x"]);
    }
}
