//! `nix copy`: store paths to and from binary caches and hosts.

use std::{collections::BTreeSet, sync::Arc};

use zeval_builder::{
    cache::{self, Cache, Compression, CopyOptions, Trust, UploadOptions},
    cancel::Cancellation,
    events::Silent,
    store::Store,
};
use zeval_model::StorePath;

use super::{
    super::{
        location,
        outcome::{Outcome, Stop, fail, usage},
        place,
    },
    Call,
};
use crate::commands::{host::Host, store::secret_key};

/// Where else store paths can be.
pub enum Place {
    Cache(Box<Cache>),
    Host(Host),
    /// Another store of this machine.
    Store(Arc<Store>),
}

impl Place {
    /// The place that an address means.
    pub fn of(call: &Call, url: &str) -> Outcome<Place> {
        const SCHEMES: [&str; 3] = ["file", "http", "https"];
        if let Some(host) = Host::of(url) {
            return Ok(Place::Host(host));
        }
        if let Some(folder) = location::local(url).map_err(Stop::of)? {
            let syncing = call.common.settings.syncing();
            return Ok(Place::Store(Arc::new(Store::open_syncing(&folder, syncing)?)));
        }
        match url.split_once("://") {
            Some((scheme, _)) if !SCHEMES.contains(&scheme) => {
                fail(format!("don't know how to open Nix store with scheme '{scheme}'"))
            }
            _ => Ok(Place::Cache(Box::new(Cache::new(url)?))),
        }
    }
}

pub fn run(call: &Call) -> Outcome<()> {
    let recursive = !call.has("--no-recursive");
    match (call.value("--to"), call.value("--from")) {
        (None, None) => usage("you must pass '--from' and/or '--to'"),
        (Some(to_url), Some(from_url)) => {
            from(call, from_url, recursive)?;
            to(call, to_url, recursive)
        }
        (Some(url), None) => to(call, url, recursive),
        (None, Some(url)) => from(call, url, recursive),
    }
}

fn to(call: &Call, url: &str, recursive: bool) -> Outcome<()> {
    let place = Place::of(call, url)?;
    let store = call.store()?;
    let paths = call.paths(&store, recursive)?;
    match place {
        Place::Cache(cache) => to_cache(call, &store, *cache, url, &paths),
        Place::Host(host) => {
            let missing = host.missing(&paths)?;
            announce(call, &store, &missing, plain(url))?;
            Ok(host.send(&store, &missing)?)
        }
        Place::Store(other) => between(call, &store, &other, &paths),
    }
}

fn to_cache(
    call: &Call,
    store: &Store,
    mut cache: Cache,
    url: &str,
    paths: &BTreeSet<StorePath>,
) -> Outcome<()> {
    if !url.contains("compression=") {
        cache.compression = Compression::Xz;
    }
    let cancellation = Cancellation::new();
    let mut missing = BTreeSet::new();
    for path in paths {
        if cache.info(path, &cancellation)?.is_none() {
            missing.insert(path.clone());
        }
    }
    announce(call, store, &missing, plain(url))?;
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
    cache::copy_to(store, &cache, &missing, &options, &cancellation, &|_, _| ())?;
    Ok(())
}

/// Tells what is copied, in the order in which it is.
fn announce(call: &Call, store: &Store, paths: &BTreeSet<StorePath>, place: &str) -> Outcome<()> {
    call.say(format!("copying {} paths...", paths.len()));
    for path in store.references_first(paths)? {
        call.say(format!("copying path '{path}' to '{place}'..."));
    }
    Ok(())
}

fn from(call: &Call, url: &str, recursive: bool) -> Outcome<()> {
    let store = call.store()?;
    let cancellation = Cancellation::new();
    let paths: BTreeSet<StorePath> =
        call.common.operands.iter().map(|word| place::store_path(&store, word)).collect::<Outcome<_>>()?;
    let copied = match Place::of(call, url)? {
        Place::Host(host) => host.receive(&store, &paths, recursive, &cancellation)?,
        Place::Cache(cache) => {
            let options = CopyOptions { trust: trust(call)?, without_references: !recursive };
            let cache = cache.open(&cancellation)?;
            cache::copy_from(&store, &cache, &paths, &options, &Silent, &cancellation)?
        }
        Place::Store(other) => {
            let paths = if recursive { other.closure(&paths)? } else { paths };
            return between(call, &other, &store, &paths);
        }
    };
    say_copied(call, &copied, url);
    Ok(store.settle()?)
}

fn trust(call: &Call) -> Outcome<Trust> {
    let mut trust = crate::commands::copy::trust_in(&call.common.settings.words("trusted-public-keys"))?;
    let required = call.common.settings.is_on("require-sigs").unwrap_or(true);
    trust.require_signatures = required && !call.has("--no-check-sigs");
    Ok(trust)
}

/// Copies what the store `to` does not have.
fn between(call: &Call, from: &Store, to: &Store, paths: &BTreeSet<StorePath>) -> Outcome<()> {
    let trust = trust(call)?;
    let mut missing = BTreeSet::new();
    for path in paths {
        if !to.keeps(path)? {
            missing.insert(path.clone());
        }
    }
    from.pin(&missing)?;
    announce(call, from, &missing, "local")?;
    for path in from.references_first(&missing)? {
        if !trust.accepts(&from.require(&path)?) {
            return fail(format!("cannot add path '{path}' because it lacks a signature by a trusted key"));
        }
        to.take_from(from, &path, &Cancellation::new())?;
    }
    Ok(to.settle()?)
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
