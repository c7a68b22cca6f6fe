//! What is known of store paths, from one store to another: `nix store copy-log` and `copy-sigs`.

use std::collections::BTreeSet;

use zeval_builder::{
    cache::{self, Cache},
    cancel::Cancellation,
    store::{PathInfo, Store},
};
use zeval_model::StorePath;

use super::{
    super::outcome::{Outcome, Stop, fail, usage},
    Call,
    copy::Place,
    installables,
};

/// `nix store copy-log`
pub fn copy_log(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let drvs = derivations(call, &store)?;
    let place = |name| call.value(name).map(|url| Place::of(call, url)).transpose();
    let (from, to) = (place("--from")?, place("--to")?);
    if from.is_none() && to.is_none() {
        return usage("you must pass '--from' and/or '--to'");
    }
    let local = || Place::Store(std::sync::Arc::clone(&store));
    let (from, to) = (from.unwrap_or_else(local), to.unwrap_or_else(local));
    for drv in drvs {
        let Some(log) = read_log(&from, &drv)? else {
            return fail(format!("build log for '{drv}' is not available"));
        };
        match &to {
            Place::Store(to) => {
                let mut writer = to.start_log(&BTreeSet::from([&drv]))?;
                writer.write(&log)?;
                writer.finish()?;
            }
            Place::Cache(to) => cache::write_log(&store, to, &drv, &log, &Cancellation::new())?,
            Place::Host(_) => return fail(NO_LOGS),
        }
    }
    Ok(())
}

const NO_LOGS: &str = "the store of a host takes and gives no build logs";

fn read_log(from: &Place, drv: &StorePath) -> Outcome<Option<Vec<u8>>> {
    match from {
        Place::Store(from) => Ok(from.read_log(drv)?),
        Place::Cache(from) => Ok(from.read_log(drv, &Cancellation::new())?),
        Place::Host(_) => fail(NO_LOGS),
    }
}

/// The derivations that the operands name, or that made what they name.
fn derivations(call: &Call, store: &Store) -> Outcome<Vec<StorePath>> {
    let setup = call.setup()?;
    let mut drvs = Vec::new();
    for meant in installables::meant(call, &setup, store, &installables::operands(call))? {
        let path = meant.top();
        let drv = match path.is_derivation() {
            true => path.clone(),
            false => match store.info(path)?.and_then(|info| info.deriver) {
                Some(drv) => drv,
                None => return fail(format!("'{path}' does not have a known deriver")),
            },
        };
        if !drvs.contains(&drv) {
            drvs.push(drv);
        }
    }
    Ok(drvs)
}

/// `nix store copy-sigs`
pub fn copy_signatures(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let paths = call.paths(&store, call.has("-r"))?;
    let others = call.all("-s").map(|url| Place::of(call, url)).collect::<Outcome<Vec<_>>>()?;
    if others.is_empty() {
        return usage("you must specify at least one substituter using '-s'");
    }
    let mut added = 0;
    for path in paths {
        let known = store.require(&path)?;
        let mut fresh = BTreeSet::new();
        for other in &others {
            let Some(info) = info(other, &path)? else { continue };
            // Else they are of other files.
            if (info.nar_hash, info.nar_size) == (known.nar_hash, known.nar_size)
                && info.references == known.references
            {
                fresh.extend(info.signatures.difference(&known.signatures).cloned());
            }
        }
        added += fresh.len();
        store.add_signatures(&path, &fresh)?;
    }
    call.say(format!("imported {added} signatures"));
    Ok(())
}

/// What another store says of a path.
fn info(place: &Place, path: &StorePath) -> Outcome<Option<PathInfo>> {
    let record = |cache: &Cache| -> Outcome<Option<PathInfo>> {
        Ok(cache.info(path, &Cancellation::new())?.map(|info| cache.record(&info)))
    };
    match place {
        Place::Store(store) => Ok(store.info(path)?),
        Place::Cache(cache) => record(cache),
        Place::Host(_) => Err(Stop::of("the store of a host tells no signatures")),
    }
}
