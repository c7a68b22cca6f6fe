//! `nix copy`: store paths to and from binary caches and hosts.

use std::collections::BTreeSet;

use zeval_builder::{
    cache::{self, Cache, Compression, CopyOptions, UploadOptions},
    cancel::Cancellation,
    events::Silent,
    store::Store,
};
use zeval_model::StorePath;

use super::{
    super::{
        outcome::{Outcome, fail, usage},
        place,
    },
    Call,
};
use crate::commands::{host::Host, store::secret_key};

pub fn run(call: &Call) -> Outcome<()> {
    let recursive = !call.has("--no-recursive");
    match (call.value("--to"), call.value("--from")) {
        (None, None) => usage("you must pass '--from' and/or '--to'"),
        (Some(_), Some(_)) => {
            usage("copying from one store to another, neither of them this one, is not supported")
        }
        (Some(url), None) => to(call, url, recursive),
        (None, Some(url)) => from(call, url, recursive),
    }
}

fn open(url: &str) -> Outcome<Cache> {
    const SCHEMES: [&str; 3] = ["file", "http", "https"];
    match url.split_once("://") {
        Some((scheme, _)) if !SCHEMES.contains(&scheme) => {
            fail(format!("don't know how to open Nix store with scheme '{scheme}'"))
        }
        _ => Ok(Cache::new(url)?),
    }
}

fn to(call: &Call, url: &str, recursive: bool) -> Outcome<()> {
    if let Some(host) = Host::of(url) {
        let store = call.store()?;
        let paths = host.missing(&call.paths(&store, recursive)?)?;
        announce(call, &store, &paths, Some(url))?;
        return Ok(host.send(&store, &paths)?);
    }
    let mut cache = open(url)?;
    if !url.contains("compression=") {
        cache.compression = Compression::Xz;
    }
    let store = call.store()?;
    let cancellation = Cancellation::new();
    let paths = call.paths(&store, recursive)?;
    let mut missing = BTreeSet::new();
    for path in &paths {
        if cache.info(path, &cancellation)?.is_none() {
            missing.insert(path.clone());
        }
    }
    announce(call, &store, &missing, Some(url))?;
    for path in &missing {
        for reference in store.require(path)?.references {
            if !missing.contains(&reference) && cache.info(&reference, &cancellation)?.is_none() {
                return fail(format!(
                    "cannot add '{path}' to the binary cache because the reference '{reference}' is not valid"
                ));
            }
        }
    }
    let keys = cache.secret_key.iter().map(|file| secret_key(file)).collect::<Result<_, _>>()?;
    let options = UploadOptions { compression: cache.compression, keys, ..UploadOptions::default() };
    cache::copy_to(&store, &cache, &missing, &options, &cancellation, &|_, _| ())?;
    Ok(())
}

fn announce(call: &Call, store: &Store, paths: &BTreeSet<StorePath>, to: Option<&str>) -> Outcome<()> {
    call.say(format!("copying {} paths...", paths.len()));
    if let Some(url) = to.map(plain) {
        for path in store.references_first(paths)? {
            call.say(format!("copying path '{path}' to '{url}'..."));
        }
    }
    Ok(())
}

fn from(call: &Call, url: &str, recursive: bool) -> Outcome<()> {
    let store = call.store()?;
    let cancellation = Cancellation::new();
    let paths: BTreeSet<StorePath> =
        call.common.operands.iter().map(|word| place::store_path(&store, word)).collect::<Outcome<_>>()?;
    if let Some(host) = Host::of(url) {
        let copied = host.receive(&store, &paths, recursive, &cancellation)?;
        say_copied(call, &copied, url);
        return Ok(store.settle()?);
    }
    let cache = open(url)?.open(&cancellation)?;
    let mut trust = crate::commands::copy::trust_in(&call.common.settings.words("trusted-public-keys"))?;
    let required = call.common.settings.is_on("require-sigs").unwrap_or(true);
    trust.require_signatures = required && !call.has("--no-check-sigs");
    let options = CopyOptions { trust, without_references: !recursive };
    let copied = cache::copy_from(&store, &cache, &paths, &options, &Silent, &cancellation)?;
    say_copied(call, &copied, url);
    Ok(store.settle()?)
}

fn say_copied(call: &Call, copied: &[StorePath], url: &str) {
    let url = plain(url);
    call.say(format!("copying {} paths...", copied.len()));
    for path in copied {
        call.say(format!("copying path '{path}' from '{url}'..."));
    }
}

/// An address without its parameters.
fn plain(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}
