//! Keeping a store in order: `nix store gc`, `verify`, `repair`, `sign` and their like.

use std::collections::BTreeMap;

use serde_json::json;
use zeval_builder::{
    cancel::Cancellation,
    store::{CollectOptions, Fault, Limit, Sharing, VerifyOptions},
};
use zeval_model::StorePath;

use super::{
    super::{
        nix_store::{Collection, collect, collect_options, needs_no_repair, size},
        outcome::{Outcome, Stop, fail, usage},
        realise::Lines,
        store::location,
    },
    Call, known,
};
use crate::commands::store::{human, secret_key};

pub fn gc(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let mut options = collect_options(&call.common.settings);
    options.limit = call.value("--max").map(size).transpose()?.map(Limit::Freed);
    if !call.has("--dry-run") {
        return collect(&store, &Collection { options, quiet: call.common.verbosity < super::INFO });
    }
    options.dry_run = true;
    call.say("finding garbage collector roots...");
    call.say("determining live/dead paths...");
    let dead = store.collect(&options, &Cancellation::new(), |_, _| ())?;
    println!("{} store paths would be deleted", dead.paths.len());
    Ok(())
}

pub fn delete(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let only = Some(call.paths(&store, call.has("-r"))?);
    let options = CollectOptions { only, keep_derivations: false, ..CollectOptions::default() };
    collect(&store, &Collection { options, quiet: call.common.verbosity < super::INFO })
}

pub fn optimise(call: &Call) -> Outcome<()> {
    let saved = call.store()?.optimise(Sharing::HardLinks, &Cancellation::new(), &|_, _| ())?;
    call.say(format!("{} freed by hard-linking {} files", human(saved.bytes), saved.files));
    Ok(())
}

pub fn verify(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let paths = call.paths(&store, call.has("-r"))?;
    let order: Vec<StorePath> = store.references_first(&paths)?;
    let keys = crate::commands::copy::trust_in(&call.common.settings.words("trusted-public-keys"))?.keys;
    let options = VerifyOptions {
        contents: !call.has("--no-contents"),
        trusted: (!call.has("--no-trust")).then_some(keys),
    };
    order.iter().for_each(|path| call.say(format!("checking '{path}'...")));
    let faults = store.verify(&order, &options, &Cancellation::new(), &|_| ())?;
    let mut untrusted = 0;
    let mut damaged = 0;
    for (path, fault) in faults {
        match fault {
            Fault::Untrusted => {
                untrusted += 1;
                eprintln!("path '{path}' is untrusted");
            }
            Fault::Missing | Fault::Modified => {
                damaged += 1;
                eprintln!("path '{path}' was modified!");
            }
        }
    }
    // As Nix counts them: 1 for damaged, 2 for untrusted.
    match u8::from(damaged > 0) | u8::from(untrusted > 0) << 1 {
        0 => Ok(()),
        status => Err(Stop::Silent(status)),
    }
}

pub fn repair(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let options = crate::commands::build_options_in(&Default::default(), &call.common.settings)?;
    let view = Lines::new(call.common.verbosity, call.common.build_output, false);
    for path in call.paths(&store, call.has("-r"))? {
        if needs_no_repair(&call.common, &store, &path)? {
            continue;
        }
        let mended = crate::commands::repair::repair_with(
            &store,
            &path,
            &call.common.settings.words("substituters"),
            options.clone(),
            &view,
            &Cancellation::new(),
        );
        mended.map_err(|_| Stop::of(format!("cannot repair path '{path}'")))?;
    }
    Ok(())
}

pub fn sign(call: &Call) -> Outcome<()> {
    let Some(file) = call.value("-k") else { return usage("you must specify a secret key file using '-k'") };
    let key = secret_key(file.as_ref())?;
    let store = call.store()?;
    let mut added = 0;
    for path in call.paths(&store, call.has("-r"))? {
        let info = store.require(&path)?;
        let signature = key.sign(info.fingerprint().as_bytes());
        if !info.signatures.contains(&signature) {
            store.add_signatures(&path, &[signature].into())?;
            added += 1;
        }
    }
    call.say(format!("added {added} signatures"));
    Ok(())
}

pub fn make_content_addressed(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let asked = call.paths(&store, false)?;
    let closure = store.closure(&asked)?;
    let made: BTreeMap<_, _> =
        store.make_content_addressed(&closure, &Cancellation::new())?.into_iter().collect();
    store.settle()?;
    for from in store.references_first(&closure)? {
        if let Some(to) = made.get(&from) {
            call.say(format!("rewriting '{from}' to '{to}'"));
        }
    }
    let chosen = made.iter().filter(|(from, _)| asked.contains(from) || call.has("-r"));
    if call.has("--json") {
        let rewrites: serde_json::Map<_, _> =
            chosen.map(|(from, to)| (from.to_string(), json!(to.to_string()))).collect();
        call.print_json(&json!({ "rewrites": rewrites }));
        return Ok(());
    }
    chosen.for_each(|(from, to)| call.say(format!("rewrote '{from}' to '{to}'")));
    Ok(())
}

pub fn info(call: &Call) -> Outcome<()> {
    if call.words == ["store", "ping"] {
        call.warn("'ping' is a deprecated alias for 'info'");
    }
    if !call.common.operands.is_empty() {
        return fail("no arguments expected");
    }
    if let Some(cache) = known::cache(call)? {
        let cache = cache.open(&Cancellation::new())?;
        match call.has("--json") {
            true => call.print_json(&json!({ "trusted": true, "url": cache.url })),
            false => eprintln!("Store URL: {}\nTrusted: 1", cache.url),
        }
        return Ok(());
    }
    call.store()?;
    let url = location(&call.common).unwrap_or_else(|| "local".into());
    let version = super::super::VERSION;
    if call.has("--json") {
        call.print_json(&json!({ "trusted": true, "url": url, "version": version }));
        return Ok(());
    }
    // Nix says this on the standard error, too.
    eprintln!("Store URL: {url}\nVersion: {version}\nTrusted: 1");
    Ok(())
}
