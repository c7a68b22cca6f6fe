//! Locking: from what flakes say of their inputs to a lock file, keeping what an old lock file has pinned.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use zeval_model::StorePath;

use super::{Edge, InputPath, LockFile, NodeId, ROOT, Source, difference, shown};
use crate::{
    Attr, Attrs, Fetcher, FlakeRef, Input, InputError, reference::path::clean, registry::UseRegistries,
};

mod write;

pub use write::source_folder;

/// What a flake says of itself.
#[derive(Clone, Debug, Default)]
pub struct FlakeDescription {
    /// What it is.
    pub description: Option<String>,
    /// Its inputs.
    pub inputs: BTreeMap<String, FlakeInput>,
    /// Attributes of its own source (`inputs.self`).
    pub own: Attrs,
    /// Settings that it would like to have, as text.
    pub settings: Vec<(String, String)>,
}

/// What a flake says of an input.
#[derive(Clone, Debug, Default)]
pub struct FlakeInput {
    /// Where it is.
    pub reference: Option<FlakeRef>,
    /// Whether it is not to be used as a flake.
    pub is_plain: bool,
    /// The input, by its path from the root, that it is the same as.
    pub follows: Option<InputPath>,
    /// What its own inputs are to be instead.
    pub overrides: BTreeMap<String, FlakeInput>,
}

/// Reads what a flake says; the language is needed for that.
pub trait FlakeReader {
    /// What goes wrong in the language.
    type Error;

    /// Reads the flake in a folder of the store, given by its logical path. Paths of inputs to be followed begin with
    /// `prefix`. `shown` is for messages.
    fn read(
        &mut self,
        folder: &Path,
        prefix: &[String],
        shown: &str,
    ) -> std::result::Result<FlakeDescription, LockError<Self::Error>>;
}

/// Why a flake could not be locked.
#[derive(Debug)]
pub enum LockError<E> {
    /// Something about inputs.
    Input(InputError),
    /// Something in the language, and what was being done, innermost first.
    Language(E, Vec<String>),
}

impl<E> From<InputError> for LockError<E> {
    fn from(error: InputError) -> LockError<E> {
        LockError::Input(error)
    }
}

impl<E> LockError<E> {
    fn trace(self, text: String) -> LockError<E> {
        match self {
            LockError::Input(error) => LockError::Input(error.trace(text)),
            LockError::Language(error, mut traces) => {
                traces.push(text);
                LockError::Language(error, traces)
            }
        }
    }
}

/// How to lock.
#[derive(Clone, Debug)]
pub struct LockOptions {
    /// Whether nothing of the old lock file counts.
    pub recreate: bool,
    /// Whether the lock file may change.
    pub update: bool,
    /// Whether the lock file is written.
    pub write: bool,
    /// Whether it is committed, too.
    pub commit: bool,
    /// Whether an input that is not pinned is an error when the lock file is written.
    pub fail_on_unlocked: bool,
    /// Whether inputs may be fetched that are not pinned.
    pub allow_unlocked: bool,
    /// Whether names are looked up in registries.
    pub use_registries: bool,
    /// A lock file to begin with instead of the flake's.
    pub reference_lock_file: Option<PathBuf>,
    /// Whether a flake of this machine is read where it is: its store path is a stand-in then, and its hash is not known
    /// ([`Fetcher::fetch_in_place`]).
    pub in_place: bool,
    /// Where the lock file goes instead.
    pub output_lock_file: Option<PathBuf>,
    /// Inputs that are something else.
    pub overrides: BTreeMap<InputPath, FlakeRef>,
    /// Inputs that are to be looked up anew.
    pub updates: BTreeSet<InputPath>,
}

impl Default for LockOptions {
    fn default() -> LockOptions {
        LockOptions {
            recreate: false,
            update: true,
            write: true,
            commit: false,
            fail_on_unlocked: false,
            allow_unlocked: true,
            use_registries: true,
            reference_lock_file: None,
            in_place: false,
            output_lock_file: None,
            overrides: BTreeMap::new(),
            updates: BTreeSet::new(),
        }
    }
}

/// A flake that was fetched and read.
#[derive(Clone, Debug)]
pub struct Flake {
    /// What was asked for.
    pub original: FlakeRef,
    /// The same, registries looked up.
    pub resolved: FlakeRef,
    /// What always gives just this.
    pub locked: FlakeRef,
    /// Its folder, as a logical path.
    pub folder: PathBuf,
    /// What it says.
    pub description: FlakeDescription,
}

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
    };
    let flake = locker.root(reference, top)?;
    let (locked, folder) = (flake.locked.clone(), flake.folder.clone());
    locker.lock(flake, reference, top).map_err(|error| {
        let root = StorePath::split_absolute(&folder.to_string_lossy());
        let locked = root.ok().and_then(|(root, _)| fetcher.completed(&locked, &root).ok()).unwrap_or(locked);
        error.trace(format!("while updating the lock file of flake '{}'", locked.shown()))
    })
}

/// Fetches and reads a flake without its inputs.
pub fn fetch_flake<R: FlakeReader>(
    fetcher: &Fetcher,
    reader: &mut R,
    reference: &FlakeRef,
    registries: UseRegistries,
    prefix: &[String],
    in_place: bool,
) -> Result<Flake, R> {
    let fetched = match in_place {
        true => fetcher.fetch_in_place(&reference.input, registries)?,
        false => fetcher.fetch(&reference.input, registries)?,
    };
    let folder = fetched.folder.unwrap_or_else(|| reference.folder.clone());
    let resolved = FlakeRef { input: fetched.resolved, folder: folder.clone() };
    let mut tree = fetched.tree;
    let place = |path: &StorePath| clean(&Path::new(&path.to_string()).join(&folder));
    let shown = resolved.shown();
    let mut description = reader.read(&place(&tree.store_path), prefix, &shown)?;
    let changed = with_own_attributes(&tree.input, &description.own)?;
    if let Some(input) = changed {
        tree = fetcher.fetch(&input, UseRegistries::No)?.tree;
        description = reader.read(&place(&tree.store_path), prefix, &shown)?;
    }
    let locked = FlakeRef { input: tree.input, folder: folder.clone() };
    let folder = place(&tree.store_path);
    Ok(Flake { original: reference.clone(), resolved, locked, folder, description })
}

/// The input with what a flake says of its own source, if that changes anything.
fn with_own_attributes(input: &Input, own: &Attrs) -> std::result::Result<Option<Input>, InputError> {
    let mut changed = input.clone();
    for (name, value) in own {
        if !matches!(name.as_str(), "submodules" | "lfs") {
            return Err(InputError::new(format!("flake 'self' attribute '{name}' is not supported")));
        }
        changed.attrs.insert(name.clone(), value.clone());
    }
    if changed == *input {
        return Ok(None);
    }
    changed.attrs.remove("narHash");
    Ok(Some(changed))
}

/// Something that is used instead of what a flake says of an input.
#[derive(Clone)]
struct Override {
    input: FlakeInput,
    /// The folder of the flake that says so, or the one to be locked.
    folder: PathBuf,
    parent: Option<InputPath>,
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
}

/// The node whose inputs are looked at.
struct Place<'p> {
    node: NodeId,
    /// Its path from the root.
    path: &'p [String],
    /// What an older lock file has of it.
    old: Option<(&'p LockFile, NodeId)>,
    /// What paths to be followed in that lock file begin with.
    follows_prefix: &'p [String],
    /// The folder of its flake.
    folder: &'p Path,
    /// Whether the lock file is sure to agree with the flake.
    is_trusted: bool,
}

impl<R: FlakeReader> Locker<'_, R> {
    fn flake(
        &mut self,
        reference: &FlakeRef,
        registries: UseRegistries,
        prefix: &[String],
    ) -> Result<Flake, R> {
        fetch_flake(self.fetcher, self.reader, reference, registries, prefix, false)
    }

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

    /// Notes what a flake wants the inputs of its inputs to be.
    fn note_overrides(&mut self, input: &FlakeInput, path: &[String], place: &Place<'_>) {
        for (name, other) in &input.overrides {
            let path = [path, std::slice::from_ref(name)].concat();
            if other.reference.is_some() || other.follows.is_some() {
                // What is said further out counts.
                self.overrides.entry(path.clone()).or_insert_with(|| Override {
                    input: other.clone(),
                    folder: place.folder.to_owned(),
                    parent: Some(place.path.to_vec()),
                });
            }
            self.note_overrides(other, &path, place);
        }
    }

    fn inputs_of(&mut self, inputs: &BTreeMap<String, FlakeInput>, place: &Place<'_>) -> Result<(), R> {
        for (name, input) in inputs {
            let path = [place.path, std::slice::from_ref(name)].concat();
            self.note_overrides(input, &path, place);
        }
        for path in self.overrides.keys() {
            if let Some((name, parent)) = path.split_last()
                && parent == place.path
                && !inputs.contains_key(name)
            {
                self.fetcher.settings.warn(format!(
                    "input '{}' has an override for a non-existent input '{name}'",
                    shown(place.path)
                ));
            }
        }
        for (name, input) in inputs {
            let path = [place.path, std::slice::from_ref(name)].concat();
            self.input(name, input, &path, place)
                .map_err(|error| error.trace(format!("while updating the flake input '{}'", shown(&path))))?;
        }
        Ok(())
    }

    fn input(&mut self, name: &str, said: &FlakeInput, path: &[String], place: &Place<'_>) -> Result<(), R> {
        let is_given = self.options.overrides.contains_key(path);
        let instead = self.overrides.get(path).cloned();
        if instead.is_some() {
            self.used_overrides.insert(path.to_vec());
        }
        let mut input = instead.as_ref().map_or_else(|| said.clone(), |instead| instead.input.clone());
        // Whether it is a flake is for those to say who use it.
        input.is_plain = said.is_plain;
        if let Some(target) = &input.follows {
            self.file.set_input(place.node, name, Edge::Follows(target.clone()));
            return Ok(());
        }
        let reference = match &input.reference {
            Some(reference) => reference.clone(),
            None => self.named(name)?,
        };
        let parent = reference.input.relative_path().and_then(|_| match &instead {
            Some(instead) => instead.parent.clone(),
            None => Some(place.path.to_vec()),
        });
        let folder = instead.as_ref().map_or(place.folder, |instead| &instead.folder);
        let wanted = Target {
            name,
            path,
            is_plain: input.is_plain,
            within: reference.input.relative_path().map(|below| clean(&folder.join(below))),
            reference: &reference,
            original: match (&said.reference, is_given) {
                // What the command line says is not for the next run to find.
                (Some(said), true) => said,
                _ => &reference,
            },
            parent,
            is_given,
        };
        self.used_updates.insert(path.to_vec());
        let known = place.old.filter(|_| !self.options.updates.contains(path) && !is_given);
        let known = known.and_then(|(file, node)| match file.node(node).inputs.get(name) {
            Some(Edge::Node(child)) => Some((file, *child, file.node(*child).source.clone()?)),
            _ => None,
        });
        match known {
            Some((file, node, source))
                if source.original.canonical() == reference.canonical() && source.parent == wanted.parent =>
            {
                self.keep(&wanted, place, file, node, source)
            }
            _ => self.pin(&wanted, place),
        }
    }

    /// The input that a name alone stands for.
    fn named(&self, name: &str) -> std::result::Result<FlakeRef, InputError> {
        let attrs =
            Attrs::from([("type".to_owned(), Attr::from("indirect")), ("id".to_owned(), Attr::from(name))]);
        FlakeRef::from_attrs(&self.fetcher.settings, &attrs)
    }

    /// Fetches and reads the flake of an input, or reads it within the source of its parent.
    fn input_flake(
        &mut self,
        wanted: &Target<'_>,
        reference: &FlakeRef,
        registries: UseRegistries,
    ) -> Result<Flake, R> {
        let Some(folder) = &wanted.within else { return self.flake(reference, registries, wanted.path) };
        let description = self.reader.read(folder, wanted.path, &reference.shown())?;
        let reference = reference.clone();
        Ok(Flake {
            original: reference.clone(),
            resolved: reference.clone(),
            locked: reference,
            folder: folder.clone(),
            description,
        })
    }

    /// Takes an input over from the old lock file.
    fn keep(
        &mut self,
        wanted: &Target<'_>,
        place: &Place<'_>,
        old: &LockFile,
        old_node: NodeId,
        source: Source,
    ) -> Result<(), R> {
        let locked = source.locked.clone();
        let node = self.file.add(source);
        self.file.set_input(place.node, wanted.name, Edge::Node(node));
        let is_around =
            |update: &InputPath| update.len() > wanted.path.len() && update.starts_with(wanted.path);
        let mut inputs = None;
        if !self.options.updates.iter().any(is_around) {
            inputs = self.kept_inputs(wanted.path, place, old, old_node);
        }
        let mut below = Place {
            node,
            path: wanted.path,
            old: Some((old, old_node)),
            follows_prefix: place.follows_prefix,
            folder: place.folder,
            is_trusted: true,
        };
        match inputs {
            Some(inputs) => self.inputs_of(&inputs, &below),
            None => {
                let flake = self.input_flake(wanted, &locked, self.inputs)?;
                self.folders.insert(node, flake.folder.clone());
                below.folder = &flake.folder;
                below.is_trusted = false;
                self.inputs_of(&flake.description.inputs, &below)
            }
        }
    }

    /// The inputs that the old lock file has of one of its nodes, so that the flake need not be fetched; `None` if it must
    /// be, since what it follows may have changed.
    fn kept_inputs(
        &self,
        path: &[String],
        place: &Place<'_>,
        old: &LockFile,
        node: NodeId,
    ) -> Option<BTreeMap<String, FlakeInput>> {
        let mut inputs = BTreeMap::new();
        for (name, edge) in &old.node(node).inputs {
            let input = match edge {
                Edge::Node(child) => {
                    let source = old.node(*child).source.as_ref()?;
                    FlakeInput {
                        reference: Some(source.original.clone()),
                        is_plain: !source.is_flake,
                        ..FlakeInput::default()
                    }
                }
                Edge::Follows(target) => {
                    let path = [path, std::slice::from_ref(name)].concat();
                    if !place.is_trusted && !self.overrides.contains_key(&path) {
                        return None;
                    }
                    let target = [place.follows_prefix, target].concat();
                    FlakeInput { follows: Some(target), ..FlakeInput::default() }
                }
            };
            inputs.insert(name.clone(), input);
        }
        Some(inputs)
    }

    /// Pins an input as it is now.
    fn pin(&mut self, wanted: &Target<'_>, place: &Place<'_>) -> Result<(), R> {
        let reference = wanted.reference;
        let settings = &self.fetcher.settings;
        if !self.options.allow_unlocked && !reference.input.is_locked(settings) && wanted.within.is_none() {
            let path = shown(wanted.path);
            return Err(
                InputError::new(format!("cannot update unlocked flake input '{path}' in pure mode")).into()
            );
        }
        let source = |locked: FlakeRef| Source {
            locked,
            original: wanted.original.clone(),
            is_flake: !wanted.is_plain,
            parent: wanted.parent.clone(),
        };
        if wanted.is_plain {
            let (locked, folder) = self.plain_source(wanted)?;
            let node = self.file.add(source(locked));
            self.folders.insert(node, folder);
            self.file.set_input(place.node, wanted.name, Edge::Node(node));
            return Ok(());
        }
        let registries = if wanted.is_given { UseRegistries::All } else { self.inputs };
        let flake = self.input_flake(wanted, reference, registries)?;
        let node = self.file.add(source(flake.locked.clone()));
        self.file.set_input(place.node, wanted.name, Edge::Node(node));
        if self.parents.contains(reference) {
            let shown = reference.shown();
            return Err(InputError::new(format!("found circular import of flake '{shown}'")).into());
        }
        self.folders.insert(node, flake.folder.clone());
        let old = self.own_lock_file(&flake)?;
        self.parents.push(reference.clone());
        let result = self.inputs_of(
            &flake.description.inputs,
            &Place {
                node,
                path: wanted.path,
                old: Some((&old, ROOT)),
                follows_prefix: wanted.path,
                folder: &flake.folder,
                is_trusted: false,
            },
        );
        self.parents.pop();
        result
    }

    fn own_lock_file(&self, flake: &Flake) -> std::result::Result<LockFile, InputError> {
        let name = flake.folder.join("flake.lock");
        match std::fs::read(self.fetcher.physical(&name)) {
            Ok(text) => LockFile::parse(&self.fetcher.settings, &text, &name.to_string_lossy()),
            Err(_) => Ok(LockFile::default()),
        }
    }

    /// A source that is not used as a flake.
    fn plain_source(&mut self, wanted: &Target<'_>) -> Result<(FlakeRef, PathBuf), R> {
        if let Some(folder) = &wanted.within {
            return Ok((wanted.reference.clone(), folder.clone()));
        }
        let tree = self.fetcher.fetch(&wanted.reference.input, self.inputs)?.tree;
        let folder = PathBuf::from(tree.store_path.to_string());
        Ok((FlakeRef { input: tree.input, folder: wanted.reference.folder.clone() }, folder))
    }
}

/// An input that is to be found.
struct Target<'t> {
    name: &'t str,
    path: &'t [String],
    /// Where it is to be had.
    reference: &'t FlakeRef,
    /// What the lock file says was asked for.
    original: &'t FlakeRef,
    is_plain: bool,
    /// For a relative path, where that is.
    within: Option<PathBuf>,
    parent: Option<InputPath>,
    /// Whether the command line says so.
    is_given: bool,
}
