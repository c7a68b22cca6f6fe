//! Files in the store and on their way there: `nix store add`, `ls`, `cat` and their like, `nix log`.

use std::{io, path::Path};

use serde_json::json;
use zeval_builder::{cache::Cache, cancel::Cancellation};
use zeval_model::{
    Algorithm, ContentAddress, ContentMethod, Hash, StorePath, ingest, nar, store_path::References,
};

use super::{
    super::{
        nix_store::{existing, name_of, parse_algorithm},
        outcome::{Outcome, Stop, fail},
        place,
        prefetch::{Wish, prefetch as fetch},
    },
    Call, known,
};
use crate::commands::store::{differences, listing, split};

pub fn add(call: &Call) -> Outcome<()> {
    let method = match call.value("--mode").unwrap_or("nar") {
        "recursive" => ContentMethod::Nar,
        mode => mode.parse().map_err(Stop::of)?,
    };
    add_as(call, method)
}

pub fn add_file(call: &Call) -> Outcome<()> {
    add_as(call, ContentMethod::Flat)
}

fn add_as(call: &Call, method: ContentMethod) -> Outcome<()> {
    let algorithm = call.value("--hash-algo").map_or(Ok(Algorithm::Sha256), parse_algorithm)?;
    let path = existing(call.operand()?)?;
    let name = call.value("-n").map_or_else(|| name_of(&path), str::to_owned);
    if call.has("--dry-run") {
        let hash = ingest::hash_path(&path, method, algorithm)?;
        println!("{}", ContentAddress { method, hash }.store_path(&name, &References::none())?);
        return Ok(());
    }
    let store = call.store()?;
    println!("{}", store.add_path(&name, &path, method, algorithm)?);
    Ok(store.settle()?)
}

pub fn ls(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let shape = listing::Shape {
        long: call.has("-l"),
        recursive: call.has("-R"),
        json: call.has("--json"),
        folder_itself: call.has("-d"),
    };
    Ok(listing::print(&store, Path::new(call.operand()?), &shape, listing::Style::Nix)?)
}

pub fn cat(call: &Call) -> Outcome<()> {
    Ok(listing::print_file(&*call.store()?, Path::new(call.operand()?), listing::Style::Nix)?)
}

pub fn dump(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let path = place::store_path(&store, call.operand()?)?;
    store.require(&path)?;
    Ok(nar::dump_path(&store.physical(&path), io::stdout().lock())?)
}

pub fn pack(call: &Call) -> Outcome<()> {
    if call.words == ["nar", "dump-path"] {
        call.warn("'nix nar dump-path' is a deprecated alias for 'nix nar pack'");
    }
    let path = Path::new(call.operand()?);
    if path.starts_with(zeval_model::store_dir()) {
        let store = call.store()?;
        let (path, below) = split(&store, path)?;
        return Ok(nar::dump_path(
            &store.physical(&path).join(below.trim_start_matches('/')),
            io::stdout().lock(),
        )?);
    }
    Ok(nar::dump_path(&existing(path.as_os_str())?, io::stdout().lock())?)
}

pub fn from_hash_part(call: &Call) -> Outcome<()> {
    let part = call.operand()?.to_string_lossy();
    match call.store()?.find_by_hash_part(&part)? {
        Some(path) => println!("{path}"),
        None => return fail("there is no store path corresponding to that hash part"),
    }
    Ok(())
}

pub fn prefetch(call: &Call) -> Outcome<()> {
    let url = call.operand()?.to_string_lossy();
    let algorithm = call.value("--hash-type").map_or(Ok(Algorithm::Sha256), parse_algorithm)?;
    let expected =
        call.value("--expected-hash").map(|hash| Hash::parse(hash, Some(algorithm))).transpose()?;
    let wish = Wish {
        url: &url,
        name: call.value("-n"),
        algorithm,
        expected,
        unpack: call.has("--unpack"),
        executable: call.has("--executable"),
    };
    let (path, hash) = fetch(&*call.store()?, &wish)?;
    match call.has("--json") {
        true => call.print_json(&json!({ "storePath": path.to_string(), "hash": hash.to_sri() })),
        false => call.say(format!("Downloaded '{url}' to '{path}' (hash '{}').", hash.to_sri())),
    }
    Ok(())
}

pub fn diff_closures(call: &Call) -> Outcome<()> {
    let [before, after] = &call.common.operands[..] else {
        return super::usage("two paths are wanted");
    };
    let store = call.store()?;
    let (before, after) = (place::store_path(&store, before)?, place::store_path(&store, after)?);
    Ok(differences::print(&store, &before, &after, false)?)
}

pub fn log(call: &Call) -> Outcome<()> {
    if let Some(cache) = known::cache(call)? {
        return call.common.operands.iter().try_for_each(|word| log_of_cache(call, &cache, word));
    }
    let store = call.store()?;
    for word in &call.common.operands {
        let path = place::store_path(&store, word)?;
        let drv = match path.is_derivation() {
            true => Some(path.clone()),
            false => store.info(&path)?.and_then(|info| info.deriver),
        };
        let log = drv.as_ref().map(|drv| store.read_log(drv)).transpose()?.flatten();
        let (log, place) = match (log, &drv) {
            (Some(log), _) => (log, "local".to_owned()),
            (None, Some(drv)) => match substituted_log(call, drv)? {
                Some(found) => found,
                None => return fail(format!("build log of '{path}' is not available")),
            },
            (None, None) => return fail(format!("build log of '{path}' is not available")),
        };
        call.say(format!("got build log for '{path}' from '{place}'"));
        let _ = io::Write::write_all(&mut io::stdout(), &log);
    }
    Ok(())
}

fn log_of_cache(call: &Call, cache: &Cache, word: &std::ffi::OsStr) -> Outcome<()> {
    let cancellation = Cancellation::new();
    let path = StorePath::split_absolute(&word.to_string_lossy())?.0;
    let drv = match path.is_derivation() {
        true => Some(path.clone()),
        false => cache.info(&path, &cancellation)?.and_then(|info| info.deriver),
    };
    let log = drv.map(|drv| cache.read_log(&drv, &cancellation)).transpose()?.flatten();
    let Some(log) = log else { return fail(format!("build log of '{path}' is not available")) };
    call.say(format!("got build log for '{path}' from '{}'", cache.url));
    let _ = io::Write::write_all(&mut io::stdout(), &log);
    Ok(())
}

/// The log that a cache has which builds take from, and that cache's address. One that does not answer is passed over.
fn substituted_log(call: &Call, drv: &StorePath) -> Outcome<Option<(Vec<u8>, String)>> {
    if call.common.settings.is_on("substitute") == Some(false) {
        return Ok(None);
    }
    for url in call.common.settings.words("substituters") {
        let cache = Cache::new(&url)?;
        match cache.read_log(drv, &Cancellation::new()) {
            Ok(Some(log)) => return Ok(Some((log, cache.url))),
            Ok(None) => {}
            Err(error) => call.warn(error),
        }
    }
    Ok(None)
}
