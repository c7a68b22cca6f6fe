//! Builds one derivation whose inputs are all there.

mod attributes;
mod checks;
mod development;
mod environment;
mod error;
mod folders;
mod hook;
mod options;
mod outputs;
mod process;
mod room;
mod scan;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use bstr::ByteSlice;
use zeval_model::derivation::DerivationKind;
use zeval_model::{Derivation, StorePath};

use crate::builtin;
use crate::cancel::Cancellation;
use crate::events::{ActivityId, ActivityKind, Event, Observer};
use crate::sandbox::{Bind, Identity, Surroundings};
use crate::store::{Effort, FileLock, IoContext, Realisation, Store, StoreError};
use crate::{fetch, unpack, user_environment};
use attributes::Attributes;
use environment::Preparation;
pub use folders::{Folders, Shelf};
use outputs::{Made, Raw};
use process::{Finished, Run};

pub use development::{Development, Places, development};
pub use error::{BuildError, Malformed};
pub use options::{BuildOptions, Check, Sandboxing, native_systems};

const BUILTIN_PREFIX: &[u8] = b"builtin:";

/// How a person watching would call what is done for `drv`.
pub fn activity_kind(drv: &Derivation) -> ActivityKind {
    match drv.builder.as_bytes() {
        b"builtin:fetchurl" => ActivityKind::Fetch,
        b"builtin:unpack" | b"builtin:unpack-channel" => ActivityKind::Unpack,
        _ => ActivityKind::Build,
    }
}

/// Whether this machine, or zeval, does not offer what a derivation needs to be built.
pub fn refusal(options: &BuildOptions, drv: &Derivation) -> Option<BuildError> {
    if drv.builder.starts_with(BUILTIN_PREFIX) {
        return None;
    }
    let check = || {
        let platform = drv.platform.to_str_lossy();
        if !options.systems.iter().any(|system| *system == platform) {
            let available = options.systems.join(", ");
            return Err(BuildError::WrongSystem { wanted: platform.into_owned(), available });
        }
        let attributes = Attributes::of(drv)?;
        check_requirements(options, &attributes)?;
        impure_host_paths(options, &attributes).map(drop)
    };
    check().err()
}

/// Refuses what this machine, or zeval, does not offer.
fn check_requirements(options: &BuildOptions, attributes: &Attributes<'_>) -> Result<(), BuildError> {
    if attributes.flag("__noChroot") && options.sandboxing == Sandboxing::Strict {
        return Err(BuildError::NoSandbox);
    }
    let wanted = attributes.words("requiredSystemFeatures")?.unwrap_or_default();
    if wanted.iter().all(|feature| options.features.contains(feature)) {
        return Ok(());
    }
    let available = options.features.iter().cloned().collect();
    Err(BuildError::MissingFeatures { wanted, available })
}

/// What a derivation asks to see of the machine, where the user allows that; what is not there is left out.
fn impure_host_paths(options: &BuildOptions, attributes: &Attributes<'_>) -> Result<Vec<Bind>, BuildError> {
    let mut binds = Vec::new();
    for word in attributes.words("__impureHostDeps")?.unwrap_or_default() {
        let path = PathBuf::from(word);
        let is_plain = path.components().all(|part| !matches!(part, Component::ParentDir));
        let allowed = &options.impure_host_paths;
        if !path.is_absolute() || !is_plain || !allowed.iter().any(|folder| path.starts_with(folder)) {
            return Err(BuildError::ImpureHostPath { path });
        }
        if path.exists() {
            binds.push(Bind { source: path.clone(), target: path, writable: false });
        }
    }
    Ok(binds)
}

/// One derivation to build, resolved: its inputs are plain store paths or have known outputs.
pub struct Task<'a> {
    pub store: &'a Store,
    pub options: &'a BuildOptions,
    pub identity: &'a Identity,
    pub observer: &'a dyn Observer,
    pub cancellation: &'a Cancellation,
    pub id: ActivityId,
    pub drv_path: &'a StorePath,
    pub drv: &'a Derivation,
    /// The derivation as written, which resolved to this one; the same if it had nothing to resolve.
    pub written_as: &'a StorePath,
    /// The closure of the inputs.
    pub inputs: &'a BTreeSet<StorePath>,
}

impl Task<'_> {
    /// Builds, and makes the outputs valid. `realised_for` are derivations for which the outputs are recorded, because
    /// their own text does not say their paths.
    ///
    /// The caller holds the lock of the derivation's outputs or, where their paths are not known yet, of itself.
    pub fn build(
        &self,
        folders: &Folders,
        realised_for: &[StorePath],
    ) -> Result<BTreeMap<String, StorePath>, BuildError> {
        let attributes = Attributes::of(self.drv)?;
        let made = self.make(&attributes, folders, &Surroundings::default())?;
        self.install(&made, realised_for)?;
        hook::after(self, &made)?;
        Ok(made.into_iter().map(|(name, made)| (name, made.info.path)).collect())
    }

    /// Builds, and compares with `present`, the valid outputs. What differs is kept.
    pub fn compare(
        &self,
        folders: &Folders,
        present: &BTreeMap<String, StorePath>,
    ) -> Result<(), BuildError> {
        let attributes = Attributes::of(self.drv)?;
        let surroundings = if self.options.vary { Surroundings::varied() } else { Surroundings::default() };
        let made = self.make(&attributes, folders, &surroundings)?;
        let mut difference = None;
        for (name, made) in &made {
            let expected = present.get(name).map(|path| self.store.info(path)).transpose()?.flatten();
            let Some(expected) = expected else {
                return Err(BuildError::NothingToCompare { output: name.clone() });
            };
            if made.info.nar_hash == expected.nar_hash && made.info.path == expected.path {
                if self.options.repair && !self.store.is_intact(&expected.path)? {
                    self.store.exchange(&made.files, &expected.path)?;
                }
                continue;
            }
            let kept = self.keep(&made.files, &format!("{}.check", expected.path.base_name()))?;
            difference.get_or_insert(BuildError::Differs {
                output: name.clone(),
                path: expected.path,
                expected: Box::new(expected.nar_hash),
                actual: Box::new(made.info.nar_hash),
                kept: Some(kept),
            });
        }
        difference.map_or(Ok(()), Err)
    }

    fn make(
        &self,
        attributes: &Attributes<'_>,
        folders: &Folders,
        surroundings: &Surroundings,
    ) -> Result<BTreeMap<String, Made>, BuildError> {
        let kind = self.drv.kind()?;
        let scratch = outputs::scratch_paths(self.drv, self.drv_path)?;
        let started = Instant::now();
        let finished = match self.drv.builder.strip_prefix(BUILTIN_PREFIX) {
            Some(name) => self.run_builtin(name, folders, &scratch),
            None => self.run_process(attributes, kind, folders, &scratch, surroundings),
        };
        let finished = finished.inspect_err(|error| self.keep_failed(error, folders))?;
        self.record_effort(started, &finished)?;
        let raw = Raw {
            drv: self.drv,
            drv_path: self.drv_path,
            attributes,
            scratch: &scratch,
            inputs: self.inputs,
            folder: folders.outputs(),
            rewritten: folders.rewritten(),
            last_lines: &finished.last_lines,
            cancellation: self.cancellation,
        };
        if !self.is_varied(surroundings) {
            raw.check_modes().inspect_err(|error| self.keep_failed(error, folders))?;
        }
        let made = raw.finish().inspect_err(|error| self.keep_failed(error, folders))?;
        checks::check(self.store, attributes, &made).inspect_err(|error| self.keep_failed(error, folders))?;
        Ok(made)
    }

    /// For the order and the estimates of later builds. What took no time is not worth the writing.
    fn record_effort(&self, started: Instant, finished: &Finished) -> Result<(), StoreError> {
        const NOTABLE: Duration = Duration::from_millis(500);
        let elapsed = started.elapsed();
        if elapsed < NOTABLE {
            return Ok(());
        }
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.store
            .record_effort(&self.drv.name, &Effort { milliseconds, peak_kibibytes: finished.peak_kibibytes })
    }

    fn run_builtin(
        &self,
        name: &[u8],
        folders: &Folders,
        scratch: &BTreeMap<String, StorePath>,
    ) -> Result<Finished, BuildError> {
        let Some(output) = scratch.get("out") else {
            return Err(
                Malformed::new("a builtin builder makes the output `out`, which it does not have").into()
            );
        };
        let request = builtin::Request {
            id: self.id,
            name: &self.drv.name,
            env: &self.drv.env,
            output: &folders.outputs().join(output.base_name()),
            store_dir: self.store.layout().store(),
            scratch: &folders.build(),
            observer: self.observer,
            cancellation: self.cancellation,
        };
        let result = match name {
            b"fetchurl" => fetch::run(&request).map_err(BuildError::from),
            b"unpack" => unpack::run(&request).map_err(BuildError::from),
            b"unpack-channel" => unpack::run_channel(&request).map_err(BuildError::from),
            b"buildenv" => user_environment::run(&request).map_err(BuildError::from),
            _ => Err(BuildError::UnknownBuiltin(self.drv.builder.to_string())),
        };
        match result {
            Err(_) if self.cancellation.is_cancelled() => Err(BuildError::Cancelled),
            Err(error) => Err(error),
            Ok(()) => Ok(Finished { peak_kibibytes: 0, last_lines: Vec::new() }),
        }
    }

    fn run_process(
        &self,
        attributes: &Attributes<'_>,
        kind: DerivationKind,
        folders: &Folders,
        scratch: &BTreeMap<String, StorePath>,
        surroundings: &Surroundings,
    ) -> Result<Finished, BuildError> {
        refusal(self.options, self.drv).map_or(Ok(()), Err)?;
        let mut binds = impure_host_paths(self.options, attributes)?;
        binds.extend(hook::before(self)?);
        for bind in &binds {
            let line = format!("zeval: the build sees {} of this machine", bind.source.display());
            self.observer.event(Event::LogLine { id: self.id, line });
        }
        let machine = self.machine_seen(attributes);
        let network = machine.is_some() || matches!(kind, DerivationKind::Fixed | DerivationKind::Impure);
        let preparation = Preparation {
            store: self.store,
            drv: self.drv,
            kind,
            attributes,
            scratch,
            inputs: self.inputs,
            cores: self.cores(surroundings),
            surroundings,
            certificates: self
                .options
                .certificates
                .as_ref()
                .filter(|_| network && machine.is_none())
                .map(|_| process::CERTIFICATES),
        };
        let start = preparation.start()?;
        folders.write(&start.files, self.identity)?;
        let log = self.store.start_log(&BTreeSet::from([self.drv_path, self.written_as]))?;
        let run = Run {
            store: self.store,
            options: self.options,
            identity: &self.identity_in(surroundings),
            surroundings,
            observer: self.observer,
            cancellation: self.cancellation,
            id: self.id,
            inputs: self.inputs,
            binds,
            network,
            machine,
            is_32bit: self.drv.platform == "i686-linux" && cfg!(target_pointer_width = "64"),
            with_kvm: attributes
                .words("requiredSystemFeatures")?
                .is_some_and(|features| features.iter().any(|feature| feature == "kvm")),
        };
        run.run(&self.drv.builder, &start, folders, log)
    }

    fn is_varied(&self, surroundings: &Surroundings) -> bool {
        *surroundings != Surroundings::default()
    }

    fn cores(&self, surroundings: &Surroundings) -> usize {
        match (self.is_varied(surroundings), self.options.cores) {
            (false, cores) => cores,
            (true, 1) => 2,
            (true, _) => 1,
        }
    }

    /// Who the build is inside.
    fn identity_in(&self, surroundings: &Surroundings) -> Identity {
        let mut identity = self.identity.clone();
        if self.is_varied(surroundings) {
            identity.inside_user += 1;
            identity.inside_group += 1;
        }
        identity
    }

    /// How the build sees the files of the machine, if it does; what a derivation asks for is told.
    fn machine_seen(&self, attributes: &Attributes<'_>) -> Option<process::Machine> {
        if self.options.sandboxing == Sandboxing::Off {
            return Some(process::Machine::Writable);
        }
        if !attributes.flag("__noChroot") {
            return None;
        }
        let line =
            "zeval: the build sees the files and the network of this machine, as its `__noChroot` asks";
        self.observer.event(Event::LogLine { id: self.id, line: line.to_owned() });
        Some(process::Machine::ReadOnly)
    }

    /// Moves the outputs to the store and registers them, all or nothing.
    fn install(&self, made: &BTreeMap<String, Made>, realised_for: &[StorePath]) -> Result<(), BuildError> {
        self.store.pin(made.values().map(|made| &made.info.path))?;
        let _locks = self.lock_new_paths(made)?;
        let mut infos = Vec::new();
        for made in made.values() {
            if !self.store.is_valid(&made.info.path)? {
                self.store.move_into_place(&made.files, &made.info.path)?;
                infos.push(made.info.clone());
            }
        }
        let mut realisations = Vec::new();
        for drv in realised_for {
            realisations.extend(made.iter().map(|(output, made)| Realisation {
                drv: drv.clone(),
                output: output.clone(),
                path: made.info.path.clone(),
            }));
        }
        Ok(self.store.register(&infos, &realisations)?)
    }

    /// Locks the paths that nobody could know before the build, in the order of their names: so no two processes wait for
    /// each other.
    fn lock_new_paths(&self, made: &BTreeMap<String, Made>) -> Result<Vec<FileLock>, StoreError> {
        let known: BTreeSet<_> = self.drv.outputs.values().filter_map(|output| output.path()).collect();
        let paths: BTreeSet<_> = made.values().map(|made| &made.info.path).collect();
        paths.difference(&known).map(|path| self.store.lock(path, self.cancellation, || ())).collect()
    }

    fn keep_failed(&self, error: &BuildError, folders: &Folders) {
        if !self.options.keep_failed || error.is_cancellation() {
            return;
        }
        // What cannot be kept is no reason for another error than the one that we have.
        let _ = self.keep(&folders.build(), &format!("{}.failed", self.written_as.base_name()));
    }

    /// Moves files to where a person can look at them.
    fn keep(&self, files: &Path, name: &str) -> Result<PathBuf, StoreError> {
        let kept = self.store.layout().kept().join(name);
        crate::store::remove_tree(&kept).doing("remove", &kept)?;
        make_movable(files).and_then(|()| fs::rename(files, &kept)).doing("keep", &kept)?;
        self.observer.event(Event::Kept { id: self.id, path: kept.clone() });
        Ok(kept)
    }
}

/// A folder that may not be written may not be moved to another one.
fn make_movable(files: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::symlink_metadata(files)?.is_dir() {
        fs::set_permissions(files, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
