//! Locking: from what flakes say of their inputs to a lock file, keeping what an old lock file has pinned.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use zeval_model::StorePath;

use super::{Edge, InputPath, LockFile, NodeId, ROOT, Source, difference, shown};
use crate::{Attrs, Fetcher, FlakeRef, Input, InputError, error::Cause, registry::UseRegistries};

mod ahead;
mod describe;
mod inputs;
mod options;
mod pin;
mod wishes;
mod write;

pub use describe::{Flake, FlakeDescription, FlakeInput, FlakeReader, LockError, fetch_flake};
use inputs::{Override, Place};
pub use options::LockOptions;
pub use write::source_folder;

/// A flake with all its inputs known.
#[derive(Clone, Debug)]
pub struct Locked {
    /// The flake.
    pub flake: Flake,
    /// Its lock file.
    pub lock_file: LockFile,
    /// The sources that were fetched meanwhile.
    pub sources: Vec<LockedSource>,
    /// Whether the lock file differs from the flake's own, which was not written.
    pub is_changed: bool,
}

/// A source of a node that was fetched.
#[derive(Clone, Debug)]
pub struct LockedSource {
    /// The node's name in the lock file.
    pub name: String,
    /// The source.
    pub store_path: StorePath,
    /// The flake's folder in it.
    pub folder: String,
    /// What it is.
    pub input: Input,
    /// Whether this is the flake itself.
    pub is_root: bool,
}

type Result<T, R> = std::result::Result<T, LockError<<R as FlakeReader>::Error>>;

/// Locks a flake: finds all its inputs, and writes its lock file if that has changed.
pub fn lock<R: FlakeReader>(
    fetcher: &Fetcher,
    reader: &mut R,
    reference: &FlakeRef,
    options: &LockOptions,
) -> Result<Locked, R> {
    let top = if options.use_registries { UseRegistries::All } else { UseRegistries::No };
    let inputs = if options.use_registries { UseRegistries::Limited } else { UseRegistries::No };
    let mut locker = Locker {
        fetcher,
        reader,
        options,
        inputs,
        file: LockFile::default(),
        folders: BTreeMap::new(),
        overrides: BTreeMap::new(),
        used_overrides: BTreeSet::new(),
        used_updates: BTreeSet::new(),
        parents: Vec::new(),
        failures: BTreeMap::new(),
    };
    let flake = locker.root(reference, top)?;
    let (locked, folder) = (flake.locked.clone(), flake.folder.clone());
    let file = match source_folder(&flake.resolved.input) {
        Ok(Some(source)) => source.join(&flake.resolved.folder).join("flake.nix").display().to_string(),
        _ => format!("the flake '{}'", flake.resolved.shown()),
    };
    locker.lock(flake, reference, top).map_err(|error| {
        let error = match error {
            LockError::Input(error) if error.cause == Cause::Circle => LockError::Input(error.advise(format!(
                "of these inputs, which {file} names, each follows the next: give one of them a 'url' instead"
            ))),
            error => error,
        };
        let root = StorePath::split_absolute(&folder.to_string_lossy());
        let locked = root.ok().and_then(|(root, _)| fetcher.completed(&locked, &root).ok()).unwrap_or(locked);
        error.trace(format!("while updating the lock file of flake '{}'", locked.shown()))
    })
}

struct Locker<'a, R> {
    fetcher: &'a Fetcher,
    reader: &'a mut R,
    options: &'a LockOptions,
    inputs: UseRegistries,
    file: LockFile,
    /// Where the sources of nodes are that were fetched.
    folders: BTreeMap<NodeId, PathBuf>,
    overrides: BTreeMap<InputPath, Override>,
    used_overrides: BTreeSet<InputPath>,
    used_updates: BTreeSet<InputPath>,
    /// The flakes around the one that is being looked at.
    parents: Vec<FlakeRef>,
    /// Why inputs that were to be fetched ahead could not be.
    failures: BTreeMap<Attrs, InputError>,
}

impl<R: FlakeReader> Locker<'_, R> {
    /// The flake that is to be locked.
    fn root(&mut self, reference: &FlakeRef, registries: UseRegistries) -> Result<Flake, R> {
        fetch_flake(self.fetcher, self.reader, reference, registries, &[], self.options.in_place)
    }

    /// A file of a flake as people know it.
    fn shown(&self, file: PathBuf) -> PathBuf {
        match StorePath::split_absolute(&file.to_string_lossy()) {
            Ok((root, _)) if self.fetcher.in_place(&root).is_some() => self.fetcher.physical(&file),
            _ => file,
        }
    }

    fn old_lock_file(&self, flake: &Flake) -> std::result::Result<LockFile, InputError> {
        let settings = &self.fetcher.settings;
        let (file, name) = match &self.options.reference_lock_file {
            Some(_) if !settings.allow_dirty => {
                return Err(InputError::new(
                    "reference lock file was provided, but the `allow-dirty` setting is set to false",
                ));
            }
            Some(file) => (file.clone(), file.clone()),
            None => {
                let name = flake.folder.join("flake.lock");
                (self.fetcher.physical(&name), self.shown(name))
            }
        };
        match std::fs::read(&file) {
            Ok(text) => LockFile::parse(settings, &text, &name.to_string_lossy()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(LockFile::default()),
            Err(error) => Err(InputError::new(format!("cannot read '{}': {error}", name.display()))),
        }
    }

    fn lock(mut self, flake: Flake, reference: &FlakeRef, top: UseRegistries) -> Result<Locked, R> {
        let old = self.old_lock_file(&flake)?;
        for (path, reference) in &self.options.overrides {
            let input = FlakeInput { reference: Some(reference.clone()), ..FlakeInput::default() };
            let given = Override { input, folder: flake.folder.clone(), parent: None };
            self.overrides.insert(path.clone(), given);
        }
        self.folders.insert(ROOT, flake.folder.clone());
        let place = Place {
            node: ROOT,
            path: &[],
            old: (!self.options.recreate).then_some((&old, ROOT)),
            follows_prefix: &[],
            folder: &flake.folder,
            is_trusted: false,
        };
        self.inputs_of(&flake.description.inputs, &place)?;
        self.warn_of_unused();
        self.file.check()?;
        self.finish(flake, reference, top, &old)
    }

    fn warn_of_unused(&self) {
        let settings = &self.fetcher.settings;
        for (path, reference) in &self.options.overrides {
            if !self.used_overrides.contains(path) {
                settings.warn(format!(
                    "the flag '--override-input {} {}' does not match any input",
                    shown(path),
                    reference.shown()
                ));
            }
        }
        for path in self.options.updates.difference(&self.used_updates) {
            settings.warn(format!("'{}' does not match any input of this flake", shown(path)));
        }
    }
}
