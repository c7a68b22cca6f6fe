//! What expressions evaluated to, found again as long as all that the evaluation read is as it was.
//!
//! An entry is named by everything that the command line and the settings say, and by this build of the program. It holds the
//! derivations that were found, and what was read on the way (see [`zeval_evaluator::reads`]). It counts only if the store still
//! has the derivations. An evaluation that printed something, failed, or asked for what may change is not kept.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use zeval_builder::{schedule::DrvOutput, store::Store};
use zeval_evaluator::{Settings, code_cache::CodeCache, load::current_folder, reads};
use zeval_inputs::{Fetcher, InputError, lock::Locked};
use zeval_model::StorePath;

use crate::{
    cli::Source,
    commands::targets::Target,
    evaluation::{self, Input},
    flakes::Installable,
    inputs,
};

/// Where one evaluation is kept.
pub struct Entry {
    cache: CodeCache,
    name: Vec<u8>,
    /// What the evaluation is told of the state that its sources are in.
    told: HashMap<String, String>,
}

impl Entry {
    /// The entry for a file or an expression, if its evaluations can be kept at all.
    pub fn of_file(source: &Source, input: &Input, settings: &Settings, store: &Store) -> Option<Entry> {
        // Texts from elsewhere are not read again to be compared.
        if matches!(input, Input::Stdin) || !source.given.argfile.is_empty() {
            return None;
        }
        let asked = format!("{input:?} {:?} {:?}", source.attributes, source.given.arguments());
        Entry::of(source, settings, store, &asked)
    }

    /// The entry for what is meant in a flake. The flake is locked each time, and what that finds is part of the name: the
    /// lock file and which files git knows, but not the commit: that counts only if it is used.
    pub fn of_flake(
        source: &Source,
        meant: &Installable,
        locked: &Locked,
        fetcher: &Fetcher,
        settings: &Settings,
        store: &Store,
    ) -> Result<Option<Entry>, InputError> {
        let mut told = HashMap::new();
        let mut asked = format!("{:?} {:?} {}", meant.fragment, meant.outputs, locked.lock_file.to_text().0);
        for flake in &locked.sources {
            let Some(source) = fetcher.in_place(&flake.store_path) else {
                asked += &format!(" {flake:?}");
                continue;
            };
            let tree = inputs::tree(flake.store_path.clone(), &flake.input)?;
            let state = tree.state();
            let attributes: Vec<&str> = state.iter().map(|(name, _)| *name).collect();
            let names = source.names_hash();
            asked +=
                &format!(" {} {} {} {attributes:?} {names:?}", flake.name, flake.store_path, flake.folder);
            told.extend(
                state.iter().map(|(name, value)| (format!("{} {name}", flake.store_path), value.to_string())),
            );
        }
        asked += &format!(" {}", locked.is_changed);
        let entry = Entry::of(source, settings, store, &asked);
        Ok(entry.map(|entry| Entry { told, ..entry }))
    }

    fn of(source: &Source, settings: &Settings, store: &Store, asked: &str) -> Option<Entry> {
        let language = &source.language;
        let is_watched = language.debugger || language.stats || language.profile.is_some();
        if is_watched || language.no_eval_cache {
            return None;
        }
        let folder = evaluation::cache_folder()?.join("evaluations");
        // What does not change a result does not change the name.
        let settings = Settings { jobs: 1, helped_from: 0, ..settings.clone() };
        let root = store.layout().root();
        let name = format!("{settings:?} {root:?} {:?} {asked}", current_folder().ok()?);
        Some(Entry {
            cache: CodeCache::new(folder, "evaluation 2"),
            name: name.into_bytes(),
            told: HashMap::new(),
        })
    }

    /// The derivations, if they would be found again.
    pub fn get(&self, store: &Store) -> Option<Vec<Target>> {
        let bytes = self.cache.get(self.cache.key(&self.name))?;
        let (&length, rest) = bytes.split_first_chunk::<4>()?;
        let (targets, reads) = rest.split_at_checked(u32::from_le_bytes(length) as usize)?;
        let targets = decode(&serde_json::from_slice(targets).ok()?)?;
        // Before looking, so that a collector leaves them where they are.
        store.pin(targets.iter().map(|target| &target.wanted.drv)).ok()?;
        let is_valid = |path: &StorePath| store.keeps(path).unwrap_or(false);
        let has_all = targets.iter().all(|target| is_valid(&target.wanted.drv));
        let is_valid = |path: &str| StorePath::from_absolute(path).is_ok_and(|path| is_valid(&path));
        let told = |name: &str| self.told.get(name).cloned();
        (has_all && reads::is_as_it_was(reads, is_valid, told)).then_some(targets)
    }

    /// Keeps what was found, and what was read for it.
    pub fn put(&self, targets: &[Target], reads: &[u8]) {
        let targets = encode(targets).to_string();
        let bytes = [&(targets.len() as u32).to_le_bytes(), targets.as_bytes(), reads].concat();
        self.cache.put(self.cache.key(&self.name), &bytes);
    }
}

fn encode(targets: &[Target]) -> Json {
    let entry = |target: &Target| {
        json!({
            "attribute": target.attribute,
            "drv": target.wanted.drv.to_string(),
            "output": target.wanted.output,
            "selected": target.selected,
        })
    };
    targets.iter().map(entry).collect()
}

fn decode(targets: &Json) -> Option<Vec<Target>> {
    let entry = |target: &Json| {
        let text = |name: &str| Some(target.get(name)?.as_str()?.to_owned());
        let drv = StorePath::from_absolute(&text("drv")?).ok()?;
        let wanted = DrvOutput { drv, output: text("output")? };
        Some(Target { attribute: text("attribute"), selected: text("selected")?, wanted })
    };
    targets.as_array()?.iter().map(entry).collect()
}
