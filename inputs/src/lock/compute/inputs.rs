//! The inputs of one flake: what each of them is to be, with all that says so.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Edge, FlakeInput, FlakeReader, InputPath, LockFile, Locker, NodeId, Result, Source, shown};
use crate::{Attr, Attrs, FlakeRef, InputError, reference::path::clean};

/// Something that is used instead of what a flake says of an input.
#[derive(Clone)]
pub(super) struct Override {
    pub input: FlakeInput,
    /// The folder of the flake that says so, or the one to be locked.
    pub folder: PathBuf,
    pub parent: Option<InputPath>,
}

/// The node whose inputs are looked at.
pub(super) struct Place<'p> {
    pub node: NodeId,
    /// Its path from the root.
    pub path: &'p [String],
    /// What an older lock file has of it.
    pub old: Option<(&'p LockFile, NodeId)>,
    /// What paths to be followed in that lock file begin with.
    pub follows_prefix: &'p [String],
    /// The folder of its flake.
    pub folder: &'p Path,
    /// Whether the lock file is sure to agree with the flake.
    pub is_trusted: bool,
}

/// An input that is to be found.
pub(super) struct Target {
    pub name: String,
    /// Its path from the root.
    pub path: InputPath,
    /// Where it is to be had.
    pub reference: FlakeRef,
    /// What the lock file says was asked for.
    pub original: FlakeRef,
    pub is_plain: bool,
    /// For a relative path, where that is.
    pub within: Option<PathBuf>,
    pub parent: Option<InputPath>,
    /// Whether the command line says so.
    pub is_given: bool,
}

/// What an input is to be.
pub(super) enum Wanted {
    /// The same as another one.
    Follows(InputPath),
    /// A source of its own.
    Source(Box<Target>),
}

impl<R: FlakeReader> Locker<'_, R> {
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

    pub(super) fn inputs_of(
        &mut self,
        inputs: &BTreeMap<String, FlakeInput>,
        place: &Place<'_>,
    ) -> Result<(), R> {
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
        self.fetch_ahead(inputs, place);
        for (name, input) in inputs {
            let path = [place.path, std::slice::from_ref(name)].concat();
            self.input(name, input, place)
                .map_err(|error| error.trace(format!("while updating the flake input '{}'", shown(&path))))?;
        }
        Ok(())
    }

    fn input(&mut self, name: &str, said: &FlakeInput, place: &Place<'_>) -> Result<(), R> {
        let path = [place.path, &[name.to_owned()]].concat();
        if self.overrides.contains_key(&path) {
            self.used_overrides.insert(path.clone());
        }
        let target = match self.wanted(name, said, place)? {
            Wanted::Follows(target) => {
                self.file.set_input(place.node, name, Edge::Follows(target));
                return Ok(());
            }
            Wanted::Source(target) => target,
        };
        self.used_updates.insert(path);
        match self.known(&target, place) {
            Some((file, node, source)) => self.keep(&target, place, file, node, source),
            None => self.pin(&target, place),
        }
    }

    /// What an input is to be, as the flake says, or whoever overrides it.
    pub(super) fn wanted(
        &self,
        name: &str,
        said: &FlakeInput,
        place: &Place<'_>,
    ) -> std::result::Result<Wanted, InputError> {
        let path = [place.path, &[name.to_owned()]].concat();
        let is_given = self.options.overrides.contains_key(&path);
        let instead = self.overrides.get(&path);
        let input = instead.map_or(said, |instead| &instead.input);
        if let Some(target) = &input.follows {
            return Ok(Wanted::Follows(target.clone()));
        }
        let reference = match &input.reference {
            Some(reference) => reference.clone(),
            None => self.named(name)?,
        };
        let parent = reference.input.relative_path().and_then(|_| match instead {
            Some(instead) => instead.parent.clone(),
            None => Some(place.path.to_vec()),
        });
        let folder = instead.map_or(place.folder, |instead| &instead.folder);
        Ok(Wanted::Source(Box::new(Target {
            name: name.to_owned(),
            path,
            // Whether it is a flake is for those to say who use it.
            is_plain: said.is_plain,
            within: reference.input.relative_path().map(|below| clean(&folder.join(below))),
            original: match (&said.reference, is_given) {
                // What the command line says is not for the next run to find.
                (Some(said), true) => said.clone(),
                _ => reference.clone(),
            },
            reference,
            parent,
            is_given,
        })))
    }

    /// What the old lock file has of an input, if that still is what is wanted.
    pub(super) fn known<'p>(
        &self,
        target: &Target,
        place: &Place<'p>,
    ) -> Option<(&'p LockFile, NodeId, Source)> {
        let (file, node) = place.old?;
        if self.options.updates.contains(&target.path) || target.is_given {
            return None;
        }
        let Some(Edge::Node(child)) = file.node(node).inputs.get(&target.name) else { return None };
        let source = file.node(*child).source.clone()?;
        let is_same = source.original.canonical() == target.reference.canonical();
        (is_same && source.parent == target.parent).then_some((file, *child, source))
    }

    /// The input that a name alone stands for.
    fn named(&self, name: &str) -> std::result::Result<FlakeRef, InputError> {
        let attrs =
            Attrs::from([("type".to_owned(), Attr::from("indirect")), ("id".to_owned(), Attr::from(name))]);
        FlakeRef::from_attrs(&self.fetcher.settings, &attrs)
    }
}
