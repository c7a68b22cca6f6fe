//! What expressions evaluated to, found again as long as all that the evaluation read is as it was.
//!
//! An entry is named by everything that the command line and the settings say, and by this build of the program. It holds the
//! derivations that were found, and what was read on the way (see [`zeval_evaluator::reads`]). It counts only if the store still
//! has the derivations. An evaluation that printed something, failed, or asked for what may change is not kept.

use serde_json::{Value as Json, json};
use zeval_builder::{schedule::DrvOutput, store::Store};
use zeval_evaluator::{Settings, code_cache::CodeCache, load::current_folder, reads};
use zeval_model::StorePath;

use crate::{
    cli::Source,
    commands::targets::Target,
    evaluation::{self, Input},
};

/// Where one evaluation is kept.
pub struct Entry {
    cache: CodeCache,
    name: Vec<u8>,
}

impl Entry {
    /// The entry for a source, if its evaluations can be kept at all.
    pub fn of(source: &Source, input: &Input, settings: &Settings, store: &Store) -> Option<Entry> {
        let language = &source.language;
        let is_watched = language.debugger || language.stats || language.profile.is_some();
        // Texts from elsewhere are not read again to be compared.
        let is_given = !matches!(input, Input::Stdin) && source.given.argfile.is_empty();
        if is_watched || !is_given || language.no_eval_cache {
            return None;
        }
        let folder = evaluation::cache_folder()?.join("evaluations");
        // What does not change a result does not change the name.
        let settings = Settings { jobs: 1, helped_from: 0, ..settings.clone() };
        let name = format!(
            "{settings:?} {:?} {:?} {input:?} {:?} {:?}",
            store.layout().root(),
            current_folder().ok()?,
            source.attributes,
            source.given.arguments()
        );
        Some(Entry { cache: CodeCache::new(folder, "evaluation 1"), name: name.into_bytes() })
    }

    /// The derivations, if they would be found again.
    pub fn get(&self, store: &Store) -> Option<Vec<Target>> {
        let bytes = self.cache.get(self.cache.key(&self.name))?;
        let (&length, rest) = bytes.split_first_chunk::<4>()?;
        let (targets, reads) = rest.split_at_checked(u32::from_le_bytes(length) as usize)?;
        let targets = decode(&serde_json::from_slice(targets).ok()?)?;
        // Before looking, so that a collector leaves them where they are.
        store.pin(targets.iter().map(|target| &target.wanted.drv)).ok()?;
        let is_valid = |path: &StorePath| store.is_valid(path).unwrap_or(false);
        let has_all = targets.iter().all(|target| is_valid(&target.wanted.drv));
        let is_valid = |path: &str| StorePath::from_absolute(path).is_ok_and(|path| is_valid(&path));
        (has_all && reads::is_as_it_was(reads, is_valid)).then_some(targets)
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
