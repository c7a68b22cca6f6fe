//! Telling the fetcher which flake wants an input, and which lock file pins it.

use std::path::{Path, PathBuf};

use super::{
    Edge, FlakeReader, Locker, ROOT,
    inputs::{Place, Target},
    shown,
};
use crate::{Input, fetch::Wish, reference::path::FLAKE_FILES};

impl<R: FlakeReader> Locker<'_, R> {
    /// Notes that a flake says it needs an input.
    pub(super) fn note_wish(&self, target: &Target, place: &Place<'_>) {
        let wish = Wish { input: shown(&target.path), file: self.flake_file(place.folder), is_locked: false };
        self.fetcher.note_wish(&target.reference.input, wish);
    }

    /// The file of the flake in a folder.
    fn flake_file(&self, folder: &Path) -> PathBuf {
        let has = |name: &&str| self.fetcher.physical(&folder.join(name)).exists();
        let name = FLAKE_FILES.into_iter().find(has).unwrap_or("flake.nix");
        self.shown(folder.join(name))
    }

    /// Notes that the lock file pins an input.
    pub(super) fn note_locked(&self, input: &Input, path: String) {
        let Some(folder) = self.folders.get(&ROOT) else { return };
        let file = self.shown(folder.join("flake.lock"));
        self.fetcher.note_wish(input, Wish { input: path, file, is_locked: true });
    }

    /// The same of all inputs.
    pub(super) fn note_all_locked(&self) {
        for (path, edge) in self.file.all_inputs() {
            let Edge::Node(node) = edge else { continue };
            if let Some(source) = &self.file.node(node).source {
                self.note_locked(&source.locked.input, shown(&path));
            }
        }
    }
}
