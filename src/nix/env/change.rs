//! The operations that change what a profile holds: install, upgrade, remove, set, set flags.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{
    super::{
        outcome::{Outcome, fail, usage},
        place,
        realise::Wanted,
    },
    Env, environment,
    package::{Package, compare_versions},
    select::{self, From, Selector, check_use},
};

/// `--install`
pub fn install(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    let arguments = env.arguments.clone();
    let from = match arguments.first() {
        Some(first) if env.options.from == From::Names && first.contains('/') => From::Paths,
        _ => env.options.from,
    };
    let profile = env.profile()?;
    let mut new = select::meant(env, from, &arguments, true)?;
    if let (Some(name), [package]) = (&env.options.force_name, &mut new[..]) {
        package.name = name.clone();
    }
    let names: BTreeSet<String> = new.iter().map(|package| package.name_and_version().0).collect();
    let _lock = profile.lock()?;
    let mut all = new.clone();
    if !env.options.remove_all {
        for package in select::installed(env, &profile)? {
            let is_replaced = !env.options.preserve_installed
                && names.contains(&package.name_and_version().0)
                && !package.is_kept(env.evaluator)?;
            match is_replaced {
                true => env.say(format!("replacing old '{}'", package.name)),
                false => all.push(package),
            }
        }
        new.iter().for_each(|package| env.say(format!("installing '{}'", package.name)));
    }
    announce(env, &new)?;
    match env.options.dry_run {
        true => Ok(()),
        false => environment::install(env, &all, &profile),
    }
}

/// Says what has to be built or is missing.
fn announce(env: &mut Env<'_>, packages: &[Package]) -> Outcome<()> {
    let wanted = environment::wanted(env, packages)?;
    env.announce(&wanted)
}

/// Which versions an upgrade takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    Newer,
    NewerOrSame,
    Same,
    Any,
}

impl Upgrade {
    fn takes(self, change: Ordering) -> bool {
        match self {
            Upgrade::Newer => change == Ordering::Less,
            Upgrade::NewerOrSame => change != Ordering::Greater,
            Upgrade::Same => change == Ordering::Equal,
            Upgrade::Any => true,
        }
    }
}

/// `--upgrade`
pub fn upgrade(env: &mut Env<'_>) -> Outcome<()> {
    let mut kind = Upgrade::Newer;
    for flag in &env.flags {
        kind = match flag.as_str() {
            "--lt" => Upgrade::Newer,
            "--leq" => Upgrade::NewerOrSame,
            "--eq" => Upgrade::Same,
            "--always" => Upgrade::Any,
            flag => return usage(format!("unknown flag '{flag}'")),
        };
    }
    let profile = env.profile()?;
    let _lock = profile.lock()?;
    let installed = select::installed(env, &profile)?;
    let (from, arguments) = (env.options.from, env.arguments.clone());
    let available = select::meant(env, from, &arguments, false)?;
    let mut all = Vec::new();
    let mut announced = Vec::new();
    for package in installed {
        let better = match package.is_kept(env.evaluator)? {
            true => None,
            false => best(env, &package, &available, kind)?,
        };
        match better {
            Some(better) => {
                let (before, after) = (package.name_and_version().1, better.name_and_version().1);
                let doing = match compare_versions(&before, &after) {
                    Ordering::Greater => "downgrading",
                    _ => "upgrading",
                };
                env.say(format!("{doing} '{}' to '{}'", package.name, better.name));
                announced.push(better.clone());
                all.push(better);
            }
            None => all.push(package),
        }
    }
    announce(env, &announced)?;
    match env.options.dry_run {
        true => Ok(()),
        false => environment::install(env, &all, &profile),
    }
}

/// What a package is to become, if anything else.
fn best(
    env: &mut Env<'_>,
    package: &Package,
    available: &[Package],
    kind: Upgrade,
) -> Outcome<Option<Package>> {
    let (name, version) = package.name_and_version();
    let priority = package.priority(env.evaluator)?;
    let mut best: Option<(&Package, i64, String)> = None;
    for candidate in available {
        let (its_name, its_version) = candidate.name_and_version();
        if its_name != name || !kind.takes(compare_versions(&version, &its_version)) {
            continue;
        }
        let its_priority = candidate.priority(env.evaluator)?;
        // A higher number is a lower priority: no upgrade for the worse.
        if its_priority > priority {
            continue;
        }
        let is_better = best.as_ref().is_none_or(|(_, priority, version)| {
            priority.cmp(&its_priority).then(compare_versions(&its_version, version)) == Ordering::Greater
        });
        if is_better {
            best = Some((candidate, its_priority, its_version));
        }
    }
    let Some((best, ..)) = best else { return Ok(None) };
    let is_other = package.out_path(env.evaluator)? != best.out_path(env.evaluator)?;
    Ok(is_other.then(|| best.clone()))
}

/// `--uninstall`
pub fn uninstall(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    let profile = env.profile()?;
    let _lock = profile.lock()?;
    let mut all = select::installed(env, &profile)?;
    for argument in env.arguments.clone() {
        let path = match argument.contains('/') {
            true => Some(place::store_path(env.store, argument.as_ref())?),
            false => None,
        };
        let selector = Selector::parse(&argument)?;
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for package in all {
            let is_meant = match &path {
                Some(path) => package.out_path(env.evaluator)? == *path,
                None => selector.matches(&package.name),
            };
            if is_meant { removed.push(package) } else { kept.push(package) }
        }
        if removed.is_empty() {
            env.warn(format!("selector '{argument}' matched no installed derivations"));
        }
        removed.iter().for_each(|package| env.say(format!("uninstalling '{}'", package.name)));
        all = kept;
    }
    match env.options.dry_run {
        true => Ok(()),
        false => environment::install(env, &all, &profile),
    }
}

/// `--set`: the profile becomes one package, without an environment around it.
pub fn set(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    let arguments = env.arguments.clone();
    let from = match arguments.first() {
        Some(first) if env.options.from == From::Names && first.contains('/') => From::Paths,
        _ => env.options.from,
    };
    let packages = select::meant(env, from, &arguments, true)?;
    let [package] = &packages[..] else { return fail("--set requires exactly one derivation") };
    let wanted: Vec<Wanted> = environment::wanted(env, &packages)?;
    env.announce(&wanted)?;
    if env.options.dry_run {
        return Ok(());
    }
    env.build(&wanted)?;
    let profile = env.profile()?;
    let _lock = profile.lock()?;
    let path = package.out_path(env.evaluator)?;
    profile.advance(env.store, &path)
}

/// `--set-flag`
pub fn set_flag(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    let arguments = env.arguments.clone();
    let [name, value, patterns @ ..] = &arguments[..] else {
        return usage("not enough arguments to '--set-flag'");
    };
    let mut selectors = select::selectors(patterns)?;
    let profile = env.profile()?;
    let _lock = profile.lock()?;
    let mut all = select::installed(env, &profile)?;
    for package in &mut all {
        if selectors.iter_mut().any(|selector| selector.hit(&package.name)) {
            env.say(format!("setting flag on '{}'", package.name));
            package.flags.insert(name.clone(), value.clone());
        }
    }
    check_use(&selectors, &all)?;
    environment::install(env, &all, &profile)
}
