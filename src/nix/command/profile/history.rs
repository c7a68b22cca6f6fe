//! The generations of a profile: what each changed, going back, and forgetting.

use std::{collections::BTreeMap, time::UNIX_EPOCH};

use super::{
    super::{
        super::{
            outcome::{Outcome, usage},
            place,
            profiles::{self, Doomed},
        },
        Call,
    },
    Manifest, colours, profile, read,
};
use crate::commands::{history::date, store::differences};

/// `nix profile history`
pub fn history(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let profile = profile(call)?;
    let (generations, current) = profile.generations()?;
    let (bold, _, plain) = colours();
    let mut before: Option<(u64, Manifest)> = None;
    for generation in generations {
        let manifest = read(&store, &generation.link)?;
        let time = generation.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = date(i64::try_from(time).unwrap_or_default());
        let day = time.split(' ').next().unwrap_or_default();
        let from = before.as_ref().map(|(number, _)| format!(" <- {number}")).unwrap_or_default();
        if before.is_some() {
            println!();
        }
        let is_current = Some(generation.number) == current && !bold.is_empty();
        let begin = if is_current { "\x1b[32;1m" } else { bold };
        println!("Version {begin}{}{plain} ({day}){from}:", generation.number);
        let none = Manifest::default();
        print_changes(before.as_ref().map_or(&none, |(_, before)| before), &manifest);
        before = Some((generation.number, manifest));
    }
    Ok(())
}

fn print_changes(before: &Manifest, after: &Manifest) {
    let versions = |manifest: &Manifest| -> BTreeMap<String, String> {
        manifest.elements.values().map(|element| (element.identifier(), element.versions())).collect()
    };
    let (before, after) = (versions(before), versions(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let none = "∅".to_owned();
    let mut changes = false;
    for name in names {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        if old != new {
            println!("  {name}: {old} -> {new}");
            changes = true;
        }
    }
    if !changes {
        println!("  No changes.");
    }
}

/// `nix profile diff-closures`
pub fn diff_closures(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let (generations, _) = profile(call)?.generations()?;
    for (index, pair) in generations.windows(2).enumerate() {
        if index > 0 {
            println!();
        }
        println!("Version {} -> {}:", pair[0].number, pair[1].number);
        let path = |at: usize| place::store_path(&store, pair[at].link.as_os_str());
        differences::print_indented(&store, &path(0)?, &path(1)?, "  ")?;
    }
    Ok(())
}

/// `nix profile rollback`
pub fn rollback(call: &Call) -> Outcome<()> {
    let number = match call.value("--to").map(str::parse) {
        None => None,
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => {
            return usage(format!("'{}' is not a number", call.value("--to").unwrap_or_default()));
        }
    };
    profile(call)?.switch(number, call.has("--dry-run"), |text| call.say(text))
}

/// `nix profile wipe-history`
pub fn wipe_history(call: &Call) -> Outcome<()> {
    let doomed = match call.value("--older-than") {
        Some(age) => Doomed::OlderThan(profiles::days(age)?),
        None => Doomed::Old,
    };
    profile(call)?.delete(&doomed, call.has("--dry-run"), |text| call.say(text))
}
