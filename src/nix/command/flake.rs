//! `nix flake`

use std::{collections::BTreeSet, path::Path};

use super::{
    super::outcome::{Outcome, Stop, usage},
    Call,
    installables::{operands, too_many},
    setup::Setup,
};
use crate::{
    commands::flake::{check, copy, lock as lock_flake, metadata, show, template},
    flakes::input_path,
};

/// The flake that the only operand names.
fn reference(call: &Call) -> Outcome<String> {
    let operands = operands(call);
    match operands.get(1) {
        Some(more) => too_many(more),
        None => Ok(operands.into_iter().next().unwrap_or_else(|| ".".to_owned())),
    }
}

pub fn metadata(call: &Call) -> Outcome<()> {
    if call.words == ["flake", "info"] {
        call.warn("'nix flake info' is a deprecated alias for 'nix flake metadata'");
    }
    let setup = call.setup()?;
    let flake = setup.flake(&reference(call)?);
    Ok(metadata::run(&setup.context, &flake, call.has("--json"), true)?)
}

pub fn show(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let options = show::Options {
        legacy: call.has("--legacy"),
        all_systems: call.has("--all-systems"),
        json: call.has("--json"),
        colours: true,
    };
    Ok(show::run(&setup.context, &setup.flake(&reference(call)?), &options)?)
}

pub fn check(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let options = check::Options {
        build: !call.has("--no-build"),
        all_systems: call.has("--all-systems"),
        json: call.has("--json"),
    };
    Ok(check::run(&setup.context, &setup.flake(&reference(call)?), &setup.build, &options)?)
}

pub fn lock(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let reference = reference(call)?;
    let (flags, language) = (&setup.flakes, &setup.language);
    let missing = |options: &mut zeval_inputs::lock::LockOptions| options.fail_on_unlocked = true;
    Ok(lock_flake(&setup.context, &reference, flags, language, false, missing)?)
}

pub fn update(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let mut updates = BTreeSet::new();
    for input in operands(call) {
        updates.insert(input_path(&input).map_err(Stop::Evaluation)?);
    }
    let (flags, language) = (&setup.flakes, &setup.language);
    let adjust = |options: &mut zeval_inputs::lock::LockOptions| {
        options.recreate = updates.is_empty();
        options.updates = updates;
    };
    let reference = call.value("--flake").unwrap_or(".");
    Ok(lock_flake(&setup.context, reference, flags, language, false, adjust)?)
}

pub fn clone(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let Some(folder) = call.value("-f") else { return Err(Stop::of("missing flag '--dest'")) };
    Ok(copy::clone(&setup.context, &setup.flake(&reference(call)?), Path::new(folder))?)
}

pub fn archive(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let (dry_run, json) = (call.has("--dry-run"), call.has("--json"));
    Ok(copy::archive(&setup.context, &setup.flake(&reference(call)?), dry_run, json)?)
}

/// `nix flake prefetch-inputs`
pub fn prefetch_inputs(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    Ok(copy::archive(&setup.context, &setup.flake(&reference(call)?), false, false)?)
}

pub fn prefetch(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let link = call.value("-o").map(Path::new);
    Ok(copy::prefetch(&setup.context, &setup.flake(&reference(call)?), link, call.has("--json"))?)
}

pub fn init(call: &Call) -> Outcome<()> {
    match call.common.operands.first() {
        Some(operand) => too_many(&operand.to_string_lossy()),
        None => make(call, &call.setup()?, Path::new(".")),
    }
}

pub fn new(call: &Call) -> Outcome<()> {
    match &operands(call)[..] {
        [] => usage("more arguments are required"),
        [folder] => make(call, &call.setup()?, Path::new(folder)),
        [_, more, ..] => too_many(more),
    }
}

fn make(call: &Call, setup: &Setup, folder: &Path) -> Outcome<()> {
    let template = call.value("-t").unwrap_or("templates");
    Ok(template::make(&setup.context, Some(template), folder, &setup.language)?)
}
