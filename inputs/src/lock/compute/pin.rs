//! One input: taken over from an old lock file, or pinned as it is now.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Edge, Flake, FlakeInput, FlakeReader, InputPath, LockFile, Locker, NodeId, ROOT, Result, Source,
    fetch_flake,
    inputs::{Place, Target},
    shown,
};
use crate::{FlakeRef, InputError, registry::UseRegistries};

impl<R: FlakeReader> Locker<'_, R> {
    /// Fetches and reads the flake of an input, or reads it within the source of its parent.
    fn input_flake(
        &mut self,
        wanted: &Target,
        reference: &FlakeRef,
        registries: UseRegistries,
    ) -> Result<Flake, R> {
        let Some(folder) = &wanted.within else {
            self.unless_failed(&reference.input)?;
            return fetch_flake(self.fetcher, self.reader, reference, registries, &wanted.path, false);
        };
        let description = self.reader.read(folder, &wanted.path, &reference.shown())?;
        let reference = reference.clone();
        Ok(Flake {
            original: reference.clone(),
            resolved: reference.clone(),
            read_first: reference.input.clone(),
            locked: reference,
            folder: folder.clone(),
            description,
        })
    }

    /// Takes an input over from the old lock file.
    pub(super) fn keep(
        &mut self,
        wanted: &Target,
        place: &Place<'_>,
        old: &LockFile,
        old_node: NodeId,
        source: Source,
    ) -> Result<(), R> {
        let locked = source.locked.clone();
        let node = self.file.add(source);
        self.file.set_input(place.node, &wanted.name, Edge::Node(node));
        let is_around =
            |update: &InputPath| update.len() > wanted.path.len() && update.starts_with(&wanted.path);
        let mut inputs = None;
        if !self.options.updates.iter().any(is_around) {
            inputs = self.kept_inputs(&wanted.path, place, old, old_node);
        }
        let mut below = Place {
            node,
            path: &wanted.path,
            old: Some((old, old_node)),
            follows_prefix: place.follows_prefix,
            folder: place.folder,
            is_trusted: true,
        };
        match inputs {
            Some(inputs) => self.inputs_of(&inputs, &below),
            None => {
                self.note_locked(&locked.input, shown(&wanted.path));
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
    pub(super) fn pin(&mut self, wanted: &Target, place: &Place<'_>) -> Result<(), R> {
        let reference = &wanted.reference;
        self.note_wish(wanted, place);
        let settings = &self.fetcher.settings;
        if !self.options.allow_unlocked && !reference.input.is_locked(settings) && wanted.within.is_none() {
            let path = shown(&wanted.path);
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
            self.file.set_input(place.node, &wanted.name, Edge::Node(node));
            return Ok(());
        }
        let flake = self.input_flake(wanted, reference, self.registries_for(wanted))?;
        let node = self.file.add(source(flake.locked.clone()));
        self.file.set_input(place.node, &wanted.name, Edge::Node(node));
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
                path: &wanted.path,
                old: Some((&old, ROOT)),
                follows_prefix: &wanted.path,
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
    fn plain_source(&mut self, wanted: &Target) -> Result<(FlakeRef, PathBuf), R> {
        if let Some(folder) = &wanted.within {
            return Ok((wanted.reference.clone(), folder.clone()));
        }
        self.unless_failed(&wanted.reference.input)?;
        let tree = self.fetcher.fetch(&wanted.reference.input, self.inputs)?.tree;
        let folder = PathBuf::from(tree.store_path.to_string());
        Ok((FlakeRef { input: tree.input, folder: wanted.reference.folder.clone() }, folder))
    }
}
