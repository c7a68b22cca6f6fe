//! `nix profile add` and `upgrade`: builds what flakes, expressions and store paths name, and puts it into a profile.

use std::collections::BTreeSet;

use zeval_builder::user_environment::Error;
use zeval_evaluator::{Evaluator, Failure, Symbol, Value, View};
use zeval_model::StorePath;

use super::{
    super::{
        super::outcome::{Outcome, Stop, usage},
        Call,
        build::realise,
        installables::{self, Meant},
        setup::Setup,
    },
    Manifest, Unbuildable,
    manifest::{Element, PRIORITY, Source},
    matchers, matching, plain, profile, read, update,
};
use crate::{
    commands::{run::with_found, targets::Found},
    flakes::{Outputs, select::Search},
};

/// `nix profile install`
pub fn install(call: &Call) -> Outcome<()> {
    call.warn("'install' is a deprecated alias for 'add'");
    add(call)
}

/// What was found for an operand.
struct New {
    meant: Meant,
    source: Option<Source>,
    priority: i64,
}

/// `nix profile add`
pub fn add(call: &Call) -> Outcome<()> {
    let given = match call.value("--priority").map(str::parse::<i64>) {
        None => None,
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => return usage("'--priority' requires a number"),
    };
    let setup = call.setup()?;
    let store = setup.context.store()?;
    let profile = profile(call)?;
    let found = found(call, &setup)?;
    let meant: Vec<Meant> = found.iter().map(|new| new.meant.clone()).collect();
    realise(call, &setup, &store, &meant)?;
    let _lock = profile.lock()?;
    let mut manifest = read(&store, &profile.link)?;
    let mut names = BTreeSet::new();
    for new in found {
        let paths: BTreeSet<StorePath> = new.meant.paths(&store)?.into_iter().map(|(_, path)| path).collect();
        let element =
            Element { paths, source: new.source, active: true, priority: given.unwrap_or(new.priority) };
        let same = manifest.elements.iter().find(|(_, other)| other.paths == element.paths);
        match same {
            Some((name, _)) => call.warn(format!("'{name}' is already added")),
            None => drop(names.insert(manifest.add(element))),
        }
    }
    update(&store, &profile, &manifest).map_err(|error| match error {
        Unbuildable::Tree(Error::Conflict(one, other)) => {
            clash(&manifest, &names, &one.display().to_string(), &other.display().to_string())
        }
        error => plain(error),
    })
}

/// What the operands name.
fn found(call: &Call, setup: &Setup) -> Outcome<Vec<New>> {
    let operands = installables::operands(call);
    if call.value("-f").is_some() || call.value("--expr").is_some() {
        let store = setup.context.store()?;
        let meant = installables::meant(call, setup, &store, &operands)?;
        return Ok(meant.into_iter().map(|meant| New { meant, source: None, priority: PRIORITY }).collect());
    }
    let default = [".".to_owned()];
    let operands = if operands.is_empty() { &default[..] } else { &operands[..] };
    let store = setup.context.store()?;
    let mut all = Vec::new();
    for operand in operands {
        all.push(match installables::in_store(&store, operand)? {
            Some(meant) => New { meant, source: None, priority: PRIORITY },
            None => of_flake(setup, operand, None)?,
        });
    }
    Ok(all)
}

/// What a flake has: at an attribute exactly, or where installables are looked for.
fn of_flake(setup: &Setup, operand: &str, exact: Option<(&str, &Outputs)>) -> Outcome<New> {
    let found =
        with_found(&setup.context, &setup.language, &setup.flakes, &setup.build, |evaluator, flakes| {
            let mut installable = flakes.installable(operand)?;
            let locked = flakes.lock_copied(evaluator, &installable.reference)?;
            let outputs = flakes.outputs(evaluator, &locked)?;
            let paths = match exact {
                Some((attribute, wanted)) => {
                    installable.outputs = wanted.clone();
                    vec![attribute.to_owned()]
                }
                None => Search::packages(&flakes.system).paths(&installable.fragment),
            };
            let found =
                crate::flakes::select::select(evaluator, outputs, &paths, &installable.reference.shown())?;
            let found = Found {
                attribute: found.attribute,
                value: found.value,
                outputs: installable.outputs.clone(),
            };
            let meant = installables::of_found(evaluator, &found)?;
            let priority = priority(evaluator, found.value)?;
            let source = Source {
                original: locked.flake.original.shown(),
                locked: locked.flake.locked.shown(),
                attribute: found.attribute,
                outputs: installable.outputs,
            };
            Ok(New { meant, source: Some(source), priority })
        })?;
    Ok(found)
}

/// `meta.priority`
fn priority(evaluator: &mut Evaluator, value: Value) -> Result<i64, Failure> {
    let get = |value: Value, name: &[u8]| value.as_attrs().and_then(|attrs| attrs.get(Symbol::intern(name)));
    let value = evaluator.force(value)?;
    let Some(meta) = get(value, b"meta") else { return Ok(PRIORITY) };
    let meta = evaluator.force(meta)?;
    let Some(number) = get(meta, b"priority") else { return Ok(PRIORITY) };
    match evaluator.force(number)?.view() {
        View::Int(number) => Ok(number),
        _ => Ok(PRIORITY),
    }
}

/// Says which of two packages has which of two files for the same place, and what can be done.
fn clash(manifest: &Manifest, new: &BTreeSet<String>, one: &str, other: &str) -> Stop {
    let owner = |file: &str| {
        let holds = |element: &Element| element.paths.iter().any(|path| file.starts_with(&path.to_string()));
        manifest.elements.iter().find(|(_, element)| holds(element))
    };
    let (Some(first), Some(second)) = (owner(one), owner(other)) else {
        return plain(Unbuildable::Tree(Error::Conflict(one.into(), other.into())));
    };
    let (old, old_file, added, added_file) = match new.contains(first.0) && !new.contains(second.0) {
        true => (second, other, first, one),
        false => (first, one, second, other),
    };
    let priority = old.1.priority;
    let again = added.1.installable();
    Stop::of(format!(
        "An existing package already provides the following file:\n\n  \"{old_file}\"\n\nThis is the conflicting file from the \
         new package:\n\n  \"{added_file}\"\n\nTo remove the existing package:\n\n  nix profile remove {}\n\nThe new package can \
         also be added next to the existing one by assigning a different priority.\nThe conflicting packages have a priority of \
         {priority}.\nTo prioritise the new package:\n\n  nix profile add {again} --priority {}\n\nTo prioritise the existing \
         package:\n\n  nix profile add {again} --priority {}",
        old.0,
        priority - 1,
        priority + 1
    ))
}

/// `nix profile upgrade`
pub fn upgrade(call: &Call) -> Outcome<()> {
    let matchers = matchers(call)?;
    let setup = call.setup()?;
    let store = setup.context.store()?;
    let profile = profile(call)?;
    let _lock = profile.lock()?;
    let mut manifest = read(&store, &profile.link)?;
    let names = matching(call, &manifest, &matchers);
    if names.is_empty() {
        call.warn("No packages to upgrade. Use 'nix profile list' to see the current profile.");
        return Ok(());
    }
    let mut upgraded: Vec<(String, New)> = Vec::new();
    let mut looked_at = 0;
    for name in names {
        let Some(Element { source, .. }) = manifest.elements.get(&name) else { continue };
        let Some(source) = source else {
            call.warn(format!(
                "Found package '{name}', but it was not added from a flake, so it can't be checked for upgrades!"
            ));
            continue;
        };
        looked_at += 1;
        let new = of_flake(&setup, &source.original, Some((&source.attribute, &source.outputs)))?;
        let Some(now) = &new.source else { continue };
        // What is not locked by its reference may have changed under the same one.
        if now.locked == source.locked && !now.locked.starts_with("path:") {
            continue;
        }
        call.say(format!(
            "upgrading '{}' from flake '{}' to '{}'",
            source.attribute, source.locked, now.locked
        ));
        upgraded.push((name, new));
    }
    if looked_at == 0 {
        call.warn("Found some packages but none of them could be upgraded.");
        return Ok(());
    }
    let meant: Vec<Meant> = upgraded.iter().map(|(_, new)| new.meant.clone()).collect();
    realise(call, &setup, &store, &meant)?;
    for (name, new) in upgraded {
        let paths = new.meant.paths(&store)?.into_iter().map(|(_, path)| path).collect();
        if let Some(element) = manifest.elements.get_mut(&name) {
            element.paths = paths;
            element.source = new.source;
        }
    }
    update(&store, &profile, &manifest).map_err(plain)
}
