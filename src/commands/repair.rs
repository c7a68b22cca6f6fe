//! Making damaged paths whole.

use zeval_builder::{
    build::{BuildOptions, Check},
    cache::{self, Cache, CacheError},
    cancel::Cancellation,
    events::Observer,
    schedule::{Builder, DrvOutput},
    store::Store,
};
use zeval_model::StorePath;

use super::{Context, Result};
use crate::{diagnostic::Failed, nix::settings::NixSettings};

/// Puts the right files in the place of those of `path`: from one of the caches, or by building it again.
pub fn repair(context: &Context, store: &Store, path: &StorePath, caches: &[String]) -> Result<()> {
    repair_with(store, path, caches, BuildOptions::default(), &*context.view, &context.cancellation)
}

/// The same, with options for a build and somebody who watches.
pub fn repair_with(
    store: &Store,
    path: &StorePath,
    caches: &[String],
    options: BuildOptions,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<()> {
    if store.is_intact(path).map_err(Failed::other)? {
        return Ok(());
    }
    let mut urls = caches.to_vec();
    if urls.is_empty() {
        urls = NixSettings::from_environment().map_err(Failed::other)?.words("substituters");
    }
    for url in urls {
        match Cache::new(&url)
            .and_then(|cache| cache::repair_from(store, &cache, path, observer, cancellation))
        {
            Ok(()) => return Ok(()),
            Err(CacheError::Cancelled) => return Err(Failed::Cancelled),
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    rebuild(store, path, options, observer, cancellation)
}

/// Builds `path` again and puts the result in its place, if it is the same.
fn rebuild(
    store: &Store,
    path: &StorePath,
    options: BuildOptions,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<()> {
    let hopeless =
        |reason: &str| Failed::other(format!("'{path}' cannot be repaired: no cache has it, and {reason}"));
    let info = store.require(path).map_err(Failed::other)?;
    let Some(drv) = info.deriver else { return Err(hopeless("it was not built here")) };
    if !store.is_valid(&drv).map_err(Failed::other)? {
        return Err(hopeless("its derivation is not in the store any more"));
    }
    let outputs = store.derivation(&drv).map_err(Failed::other)?.outputs;
    let mut output =
        outputs.iter().find(|(_, output)| output.path() == Some(path)).map(|(name, _)| name.clone());
    for (realised, name) in store.realised_by(path).map_err(Failed::other)? {
        if realised == drv {
            output.get_or_insert(name);
        }
    }
    let Some(output) = output else { return Err(hopeless("its derivation makes something else now")) };
    let options = BuildOptions { check: Check::Wanted, repair: true, ..options };
    let wanted = [DrvOutput { drv, output }];
    Builder::new(store, options).build(&wanted, observer, cancellation)?;
    match store.is_intact(path).map_err(Failed::other)? {
        true => Ok(()),
        false => Err(hopeless("a new build did not mend it")),
    }
}
