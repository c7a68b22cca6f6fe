//! Whether paths are valid and whole.

use zeval_builder::{
    cancel::Cancellation,
    store::{Fault, Store, VerifyOptions},
};
use zeval_model::{Algorithm, StorePath, ingest::hash_nar_of_path};

use super::{
    super::{
        flags::{Common, INFO},
        outcome::{Outcome, Stop, fail, usage},
        realise::Lines,
    },
    Shop,
};

/// `--init`
pub fn init(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    shop.no_arguments()?;
    shop.store().map(drop)
}

/// `--check-validity`
pub fn check(shop: &mut Shop) -> Outcome<()> {
    let [print_invalid] = shop.switches(["--print-invalid"])?;
    let store = shop.store()?;
    for path in shop.paths(&store)? {
        if store.is_valid(&path)? {
            continue;
        }
        match print_invalid {
            true => println!("{path}"),
            false => return fail(format!("path '{path}' is not valid")),
        }
    }
    Ok(())
}

/// `--verify`
pub fn verify(shop: &mut Shop) -> Outcome<()> {
    if !shop.arguments.is_empty() {
        return usage("no arguments expected");
    }
    let [contents, repair] = shop.switches(["--check-contents", "--repair"])?;
    let store = shop.store()?;
    shop.say("reading the Nix store...");
    shop.say("checking path existence...");
    let all: Vec<StorePath> = store.all_valid()?.into_iter().collect();
    let quick = VerifyOptions { contents: false, trusted: None };
    let mut failed = false;
    for (path, _) in store.verify(&all, &quick, &Cancellation::new(), &|_| ())? {
        failed |= !missing(shop, &store, &path, repair)?;
    }
    if contents {
        shop.say("checking link hashes...");
        shop.say("checking store hashes...");
        let thorough = VerifyOptions { contents: true, trusted: None };
        for (path, fault) in store.verify(&all, &thorough, &Cancellation::new(), &|_| ())? {
            if fault == Fault::Modified {
                say_modified(&store, &path)?;
                failed |= !(repair && repaired(shop, &store, &path));
            }
        }
    }
    if failed {
        shop.warn("not all store errors were fixed");
        return Err(Stop::Silent(1));
    }
    Ok(())
}

/// Deals with a path whose files are gone; whether that is mended.
fn missing(shop: &Shop, store: &Store, path: &StorePath, repair: bool) -> Outcome<bool> {
    if repair && repaired(shop, store, path) {
        return Ok(true);
    }
    if !store.referrers(path)?.is_empty() {
        eprintln!("path '{path}' disappeared, but it still has valid referrers!");
        return Ok(false);
    }
    eprintln!("path '{path}' disappeared, removing from database...");
    store.forget(path)?;
    Ok(true)
}

fn repaired(shop: &Shop, store: &Store, path: &StorePath) -> bool {
    let result = repair(shop, store, path);
    if let Err(stop) = &result {
        stop.tell("nix-store", false);
    }
    result.is_ok()
}

/// Whether there is nothing to repair. Nix looks only where it could mend, and gives up elsewhere.
pub fn needs_no_repair(common: &Common, store: &Store, path: &StorePath) -> Outcome<bool> {
    let info = store.require(path)?;
    let can_build = info.deriver.map_or(Ok(false), |drv| store.is_valid(&drv))?;
    if can_build && common.verbosity >= INFO {
        eprintln!("checking path '{path}'...");
    }
    let is_intact = store.is_intact(path)?;
    match is_intact && !can_build && common.settings.words("substituters").is_empty() {
        true => fail(format!("cannot repair path '{path}'")),
        false => Ok(is_intact),
    }
}

fn repair(shop: &Shop, store: &Store, path: &StorePath) -> Outcome<()> {
    if needs_no_repair(&shop.common, store, path)? {
        return Ok(());
    }
    let options = crate::commands::build_options_in(&Default::default(), &shop.common.settings)?;
    let view = Lines::new(shop.common.verbosity, shop.common.build_output, false);
    let mended = crate::commands::repair::repair_with(store, path, &[], options, &view, &Cancellation::new());
    mended.map_err(|_| Stop::of(format!("cannot repair path '{path}'")))
}

fn say_modified(store: &Store, path: &StorePath) -> Outcome<()> {
    let expected = store.require(path)?.nar_hash;
    let (found, _) = hash_nar_of_path(&store.physical(path), Algorithm::Sha256)?;
    let (expected, found) = (expected.to_prefixed_nix32(), found.to_prefixed_nix32());
    eprintln!("path '{path}' was modified! expected hash '{expected}', got '{found}'");
    Ok(())
}

/// `--verify-path`
pub fn verify_path(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let store = shop.store()?;
    let mut status = 0;
    for path in shop.paths(&store)? {
        store.require(&path)?;
        if !store.is_intact(&path)? {
            say_modified(&store, &path)?;
            status = 1;
        }
    }
    if status == 0 { Ok(()) } else { Err(Stop::Silent(status)) }
}

/// `--repair-path`
pub fn repair_path(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let store = shop.store()?;
    for path in shop.paths(&store)? {
        repair(shop, &store, &path)?;
    }
    Ok(())
}
