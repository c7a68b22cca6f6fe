//! What is known of store paths in the store that `--store` names: that of this machine, or a binary cache.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use zeval_builder::{
    cache::{self, Cache},
    cancel::Cancellation,
    store::PathInfo,
};
use zeval_model::{NarInfo, StorePath};

use super::{
    super::{
        outcome::{Outcome, Stop, fail},
        store::location,
    },
    Call,
};

/// The cache that `--store` names, if it names one.
pub fn cache(call: &Call) -> Outcome<Option<Cache>> {
    let Some(url) = location(&call.common) else { return Ok(None) };
    match url.split_once("://") {
        Some(("file" | "http" | "https", _)) => Ok(Some(Cache::new(&url)?)),
        _ => Ok(None),
    }
}

/// What a cache says of paths and of what they lead to.
pub struct Descriptions {
    by_path: BTreeMap<StorePath, NarInfo>,
    cache: Cache,
}

impl Descriptions {
    /// Of the operands, or of all that the cache has; with all that they refer to.
    pub fn read(call: &Call, cache: Cache) -> Outcome<(Descriptions, BTreeSet<StorePath>)> {
        let named: BTreeSet<StorePath> = match call.has("--all") {
            true => cache.all_paths().map_err(Stop::of)?,
            false => {
                let path = |word: &std::ffi::OsString| StorePath::split_absolute(&word.to_string_lossy());
                call.common.operands.iter().map(|word| Ok(path(word)?.0)).collect::<Outcome<_>>()?
            }
        };
        let by_path = cache::descriptions(&cache, &named, &Cancellation::new())?;
        if let Some(missing) = named.iter().find(|path| !by_path.contains_key(*path)) {
            call.say(format!("don't know how to build these paths:\n  {missing}"));
            return fail(format!("path '{missing}' is not valid"));
        }
        Ok((Descriptions { by_path, cache }, named))
    }

    /// What is known of all of them.
    pub fn infos(&self) -> BTreeMap<StorePath, PathInfo> {
        let record = |(path, info): (&StorePath, &NarInfo)| (path.clone(), self.cache.record(info));
        self.by_path.iter().map(record).collect()
    }

    /// The size of the closure of each path, in bytes.
    pub fn closure_sizes(&self) -> BTreeMap<StorePath, u64> {
        let size = |path: &StorePath| {
            let mut seen = BTreeSet::new();
            let mut pending = vec![path];
            while let Some(path) = pending.pop() {
                if let Some((path, info)) = self.by_path.get_key_value(path)
                    && seen.insert(path)
                {
                    pending.extend(&info.references);
                }
            }
            seen.iter().map(|path| self.by_path[*path].nar_size).sum()
        };
        self.by_path.keys().map(|path| (path.clone(), size(path))).collect()
    }

    /// Adds to an object what only caches say of a path.
    pub fn extend(&self, path: &StorePath, object: &mut Value) {
        let Some(info) = self.by_path.get(path) else { return };
        object["compression"] = json!(info.compression);
        object["downloadHash"] = json!(info.file_hash.map(|hash| hash.to_sri()));
        object["downloadSize"] = json!(info.file_size);
        object["registrationTime"] = Value::Null;
        object["url"] = json!(info.url);
    }
}
