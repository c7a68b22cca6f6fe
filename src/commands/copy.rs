//! `zeval copy` and `zeval serve`: store paths to and from elsewhere.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;
use zeval_builder::{
    cache::{self, Cache, CacheError, CopyOptions, Trust, UploadOptions, serve::Server},
    store::Store,
};
use zeval_model::StorePath;

use super::{
    Context, Result,
    host::Host,
    store::{count_of, secret_key, store_path},
};
use crate::{
    cli::copy::{Copy, Serve},
    diagnostic::Failed,
    progress::bar,
};

/// Where else store paths can be.
enum Place {
    Cache(Cache),
    /// A store of ours in another folder.
    Store(Arc<Store>),
    Host(Host),
}

impl Place {
    fn of(url: &str) -> Result<Place> {
        if let Some(folder) = url.strip_prefix("local://") {
            let syncing = super::settings(&[])?.syncing();
            let store = Store::open_syncing(folder.as_ref(), syncing).map_err(Failed::other)?;
            return Ok(Place::Store(Arc::new(store)));
        }
        if let Some(host) = Host::of(url) {
            return Ok(Place::Host(host));
        }
        Ok(Place::Cache(Cache::new(url)?))
    }
}

/// `zeval copy`
pub fn run(context: &Context, arguments: &Copy) -> Result<()> {
    let store = context.store()?;
    let copied = match (&arguments.to, &arguments.from) {
        (Some(url), _) => copy_to(context, &store, &Place::of(url)?, arguments)?,
        (None, Some(url)) => copy_from(context, &store, &Place::of(url)?, arguments)?,
        (None, None) => return Err(Failed::other("say with --to or --from where")),
    };
    if arguments.json {
        println!("{}", json!(copied.iter().map(ToString::to_string).collect::<Vec<_>>()));
    } else if !context.global.quiet {
        eprintln!("{} copied", count_of(copied.len(), "path"));
    }
    Ok(())
}

fn named(store: &Store, arguments: &Copy) -> Result<BTreeSet<StorePath>> {
    arguments.paths.iter().map(|path| store_path(store, path)).collect()
}

fn copy_to(context: &Context, store: &Store, place: &Place, arguments: &Copy) -> Result<Vec<StorePath>> {
    let mut paths = named(store, arguments)?;
    for path in &paths {
        store.require(path).map_err(Failed::other)?;
    }
    if !arguments.no_recursive {
        paths = store.closure(&paths).map_err(Failed::other)?;
    }
    match place {
        Place::Cache(cache) => {
            let files = arguments.key_file.iter().chain(&cache.secret_key);
            let keys = files.map(|file| secret_key(file)).collect::<Result<_>>()?;
            let options = UploadOptions {
                compression: arguments.compression.unwrap_or(cache.compression),
                level: arguments.compression_level,
                keys,
                listings: arguments.write_nar_listing,
            };
            let bar = bar(&context.global, "copying", paths.len());
            let uploaded =
                cache::copy_to(store, cache, &paths, &options, &context.cancellation, &|done, total| {
                    bar.set_length(total as u64);
                    bar.set_position(done as u64);
                });
            bar.finish_and_clear();
            Ok(uploaded?.paths)
        }
        Place::Store(other) => between(context, store, other, &paths),
        Place::Host(host) => {
            let missing = host.missing(&paths)?;
            host.send(store, &missing)?;
            Ok(missing.into_iter().collect())
        }
    }
}

fn copy_from(context: &Context, store: &Store, place: &Place, arguments: &Copy) -> Result<Vec<StorePath>> {
    let paths = named(store, arguments)?;
    let copied = match place {
        Place::Cache(cache) => {
            let mut trust = super::trust(&arguments.trusted_public_key)?;
            trust.require_signatures = !arguments.no_check_sigs;
            let options = CopyOptions { trust, without_references: arguments.no_recursive };
            let cache = cache.clone().open(&context.cancellation)?;
            cache::copy_from(store, &cache, &paths, &options, &*context.view, &context.cancellation)?
        }
        Place::Store(other) => {
            let paths = match arguments.no_recursive {
                true => paths,
                false => other.closure(&paths).map_err(Failed::other)?,
            };
            between(context, other, store, &paths)?
        }
        Place::Host(host) => host.receive(store, &paths, !arguments.no_recursive, &context.cancellation)?,
    };
    store.settle().map_err(Failed::other)?;
    Ok(copied)
}

/// Copies what `to` does not have.
fn between(
    context: &Context,
    from: &Store,
    to: &Store,
    paths: &BTreeSet<StorePath>,
) -> Result<Vec<StorePath>> {
    from.pin(paths)?;
    to.pin(paths)?;
    let mut copied = Vec::new();
    let order = from.references_first(paths).map_err(Failed::other)?;
    let bar = bar(&context.global, "copying", order.len());
    for path in order {
        bar.inc(1);
        if to.take_from(from, &path, &context.cancellation)? {
            copied.push(path);
        }
    }
    bar.finish_and_clear();
    to.settle().map_err(Failed::other)?;
    Ok(copied)
}

/// `zeval serve`
pub fn serve(context: &Context, arguments: &Serve) -> Result<()> {
    let store = context.store()?;
    let keys = arguments.key_file.iter().map(|file| secret_key(file)).collect::<Result<_>>()?;
    let failed = |error| Failed::other(format!("cannot listen at {}: {error}", arguments.listen));
    let server = Server::bind(store, &arguments.listen, keys, arguments.priority).map_err(failed)?;
    let address = server.address().map_err(failed)?;
    // Who started us may wait for this line.
    println!("serving at http://{address}");
    server.run(&context.cancellation).map_err(failed)
}

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Failed {
        match error {
            CacheError::Cancelled => Failed::Cancelled,
            error => Failed::Other(error.to_string()),
        }
    }
}

/// Makes a trust from settings and flags.
pub fn trust_in(words: &[String]) -> Result<Trust> {
    Ok(Trust::in_keys(words.iter().map(String::as_str))?)
}
