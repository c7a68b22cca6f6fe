//! `nix build`, and what of it other commands share.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use zeval_builder::{build::Check, store::Store};

use super::{
    super::{
        outcome::{Outcome, Stop, usage},
        profiles::Profile,
        realise::{Realiser, Wanted},
    },
    Call,
    installables::{Meant, meant, meant_as_found, operands},
    setup::Setup,
};
use crate::commands::build_options_in;

pub fn run(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let store = setup.context.store()?;
    let meant = match call.has("--dry-run") || call.has("--rebuild") {
        true => meant(call, &setup, &store, &operands(call))?,
        false => realise_while_found(call, &setup, &store)?,
    };
    if call.has("--dry-run") {
        announce(call, &setup, &store, &meant)?;
    } else {
        if call.has("--rebuild") {
            realise(call, &setup, &store, &meant)?;
        }
        if !call.has("--no-link") {
            link(call.value("-o").unwrap_or("result"), &store, &meant)?;
        }
        if let Some(profile) = call.value("--profile") {
            let mut paths = Vec::new();
            for meant in &meant {
                paths.extend(meant.paths(&store)?);
            }
            let [(_, path)] = &paths[..] else {
                return usage(format!(
                    "'--profile' requires that the arguments produce a single store path, but there are {}",
                    paths.len()
                ));
            };
            let profile = Profile::at(profile.as_ref())?;
            let _lock = profile.lock()?;
            profile.advance(&store, path)?;
        }
    }
    if call.has("--json") {
        let built: Outcome<Vec<Value>> = meant.iter().map(|meant| as_json(&store, meant)).collect();
        call.print_json(&json!(built?));
    }
    if call.has("--print-out-paths") {
        for meant in &meant {
            meant.paths(&store)?.iter().for_each(|(_, path)| println!("{path}"));
        }
    }
    Ok(())
}

fn realiser<'s>(call: &Call, setup: &Setup, store: &'s Store) -> Outcome<Realiser<'s>> {
    let options = build_options_in(&setup.build, &call.common.settings)?;
    let mut realiser = Realiser::new(store, options, &call.common);
    realiser.named = true;
    Ok(realiser)
}

/// Says what would have to be built.
pub fn announce(call: &Call, setup: &Setup, store: &Store, meant: &[Meant]) -> Outcome<()> {
    let wanted: Vec<Wanted> = meant.iter().map(Meant::wanted).collect();
    realiser(call, setup, store)?.announce(&wanted)
}

/// Makes valid what the operands mean, the first while the last are still evaluated.
fn realise_while_found(call: &Call, setup: &Setup, store: &Store) -> Outcome<Vec<Meant>> {
    let mut found = Vec::new();
    let built = realiser(call, setup, store)?.build_while(|announcer| {
        found = meant_as_found(call, setup, store, &operands(call), Some(announcer))?;
        Ok(wanted(&found))
    });
    built.map_err(without_status).map(|()| found)
}

/// Each once.
fn wanted(meant: &[Meant]) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for meant in meant.iter().map(Meant::wanted) {
        if !wanted.contains(&meant) {
            wanted.push(meant);
        }
    }
    wanted
}

/// The exit statuses of nix-build are not those of nix.
fn without_status(stop: Stop) -> Stop {
    match stop {
        Stop::Failed { text, .. } => Stop::of(text),
        other => other,
    }
}

/// Makes valid what operands mean.
pub fn realise(call: &Call, setup: &Setup, store: &Store, meant: &[Meant]) -> Outcome<()> {
    let mut realiser = realiser(call, setup, store)?;
    let wanted = wanted(meant);
    realiser.announce(&wanted)?;
    if call.has("--rebuild") {
        realiser.options.check = Check::Wanted;
    }
    realiser.build(&wanted).map_err(without_status)
}

/// Links to outputs: those of the first operand have the plain name, those of others a number; outputs but `out` are named.
fn link(base: &str, store: &Store, meant: &[Meant]) -> Outcome<()> {
    for (index, meant) in meant.iter().enumerate() {
        let mut base = base.to_owned();
        if index > 0 {
            base.push_str(&format!("-{index}"));
        }
        for (output, path) in meant.paths(store)? {
            let name = match output.as_str() {
                "out" => base.clone(),
                output => format!("{base}-{output}"),
            };
            store.add_root(&PathBuf::from(name), &path)?;
        }
    }
    Ok(())
}

fn as_json(store: &Store, meant: &Meant) -> Outcome<Value> {
    let Meant::Outputs { drv, outputs } = meant else { return Ok(json!(meant.top().to_string())) };
    let mut paths: Map<String, Value> = outputs.iter().map(|output| (output.clone(), Value::Null)).collect();
    paths.extend(meant.paths(store)?.into_iter().map(|(name, path)| (name, json!(path.to_string()))));
    Ok(json!({ "drvPath": drv.to_string(), "outputs": paths }))
}
