//! The end of locking: writing the lock file where it belongs, and saying what has changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use zeval_model::{Algorithm, Hash, StorePath};

use super::{Flake, FlakeReader, LockFile, Locked, LockedSource, Locker, ROOT, Result, difference};
use crate::{Fetcher, FlakeRef, Input, InputError, fetch::git, registry::UseRegistries};

impl<R: FlakeReader> Locker<'_, R> {
    pub(super) fn finish(
        mut self,
        mut flake: Flake,
        reference: &FlakeRef,
        top: UseRegistries,
        old: &LockFile,
    ) -> Result<Locked, R> {
        let mut is_changed = false;
        if self.file != *old || self.options.output_lock_file.is_some() {
            let changes = difference(old, &self.file);
            if !self.options.write {
                self.fetcher.settings.warn(format!(
                    "not writing modified lock file of flake '{}':\n{}",
                    reference.shown(),
                    changes.trim_end_matches('\n')
                ));
                is_changed = true;
            } else if self.write(reference, &flake, &changes)? {
                // The flake's own source has changed.
                self.fetcher.forget();
                let before = flake.locked.input.revision()?;
                flake = self.root(reference, top)?;
                let after = flake.locked.input.revision()?;
                if let Some(revision) = after.filter(|_| self.options.commit && before != after) {
                    let revision = revision.to_base16();
                    self.fetcher.settings.warn(format!("committed new revision '{revision}'"));
                }
                self.folders.insert(ROOT, flake.folder.clone());
            }
        }
        if !is_changed {
            self.note_all_locked();
        }
        let names = self.file.to_text().1;
        let sources = self.sources(&flake, &names)?;
        Ok(Locked { flake, lock_file: self.file, sources, is_changed })
    }

    fn sources(
        &self,
        flake: &Flake,
        names: &BTreeMap<super::NodeId, String>,
    ) -> std::result::Result<Vec<LockedSource>, InputError> {
        let mut sources = Vec::with_capacity(self.folders.len());
        for (node, folder) in &self.folders {
            let Some(name) = names.get(node) else { continue };
            let input = match &self.file.node(*node).source {
                Some(source) => &source.locked.input,
                None => &flake.locked.input,
            };
            let (store_path, below) = StorePath::split_absolute(&folder.to_string_lossy())
                .map_err(|error| InputError::new(error.to_string()))?;
            sources.push(LockedSource {
                name: name.clone(),
                store_path,
                folder: below.trim_matches('/').to_owned(),
                input: input.clone(),
                is_root: *node == ROOT,
            });
        }
        Ok(sources)
    }

    /// What the flake or the settings say for the first line of a commit.
    fn commit_summary<'f>(&'f self, flake: &'f Flake) -> &'f str {
        let is_said = |(name, _): &&(String, String)| {
            matches!(name.as_str(), "commit-lock-file-summary" | "commit-lockfile-summary")
        };
        let said = flake.description.settings.iter().find(is_said);
        said.map_or(&self.fetcher.settings.commit_summary, |(_, summary)| summary)
    }

    /// Writes the lock file; whether the flake's own source was changed by that.
    fn write(
        &self,
        reference: &FlakeRef,
        flake: &Flake,
        changes: &str,
    ) -> std::result::Result<bool, InputError> {
        let settings = &self.fetcher.settings;
        let place = source_folder(&reference.input)?;
        let shown = reference.shown();
        if place.is_none() && self.options.output_lock_file.is_none() {
            return Err(InputError::new(format!(
                "cannot write modified lock file of flake '{shown}' (use '--no-write-lock-file' to ignore)"
            )));
        }
        if let Some(unlocked) = self.file.unlocked(settings) {
            let unlocked = unlocked.shown();
            if self.options.fail_on_unlocked {
                return Err(InputError::new(format!(
                    "Not writing lock file of flake '{shown}' because it has an unlocked input ('{unlocked}'). Use \
                     '--allow-dirty-locks' to allow this anyway."
                )));
            }
            if settings.warn_dirty {
                settings.warn(format!(
                    "not writing lock file of flake '{shown}' because it has an unlocked input ('{unlocked}')"
                ));
            }
            return Ok(false);
        }
        if !self.options.update {
            return Err(InputError::new(format!(
                "flake '{shown}' requires lock file changes but they're not allowed due to '--no-update-lock-file'"
            )));
        }
        let text = format!("{}\n", self.file.to_text().0);
        if let Some(file) = &self.options.output_lock_file {
            if self.options.commit {
                return Err(InputError::new(
                    "'--commit-lock-file' and '--output-lock-file' are incompatible",
                ));
            }
            write(file, &text)?;
            return Ok(true);
        }
        let Some(place) = place else { return Ok(false) };
        let below = Path::new(&reference.folder).join("flake.lock");
        let file = place.join(&below);
        let (is_there, summary) = (file.exists(), changes.trim_end_matches('\n'));
        settings.warn(match (is_there, summary.is_empty()) {
            (true, true) => format!("updating lock file \"{}\"", file.display()),
            (true, false) => format!("updating lock file \"{}\":\n{summary}", file.display()),
            (false, _) => format!("creating lock file \"{}\": \n{summary}", file.display()),
        });
        let verb = if is_there { "Update" } else { "Add" };
        let title = match self.commit_summary(flake) {
            "" => format!("{}: {verb}", below.display()),
            summary => summary.to_owned(),
        };
        let message = format!("{title}\n\nFlake lock file updates:\n\n{changes}");
        let message = self.options.commit.then_some(message.as_str());
        put_file(&reference.input, &place, &below, &text, message)?;
        Ok(true)
    }
}

/// The folder of this machine that an input is, if it can be written to.
pub fn source_folder(input: &Input) -> std::result::Result<Option<PathBuf>, InputError> {
    match input.kind() {
        "path" => Ok(Some(PathBuf::from(input.required_text("path")?))),
        "git" => git::work_tree(input),
        _ => Ok(None),
    }
}

fn write(file: &Path, text: &str) -> std::result::Result<(), InputError> {
    // Whoever is killed here leaves the old file.
    let made = file.with_extension("lock.tmp");
    let done = fs::write(&made, text).and_then(|()| fs::rename(&made, file));
    done.map_err(|error| InputError::new(format!("cannot write '{}': {error}", file.display())))
}

/// Writes a file of a source, and lets git know it, or commit it.
fn put_file(
    input: &Input,
    place: &Path,
    below: &Path,
    text: &str,
    message: Option<&str>,
) -> std::result::Result<(), InputError> {
    write(&place.join(below), text)?;
    if input.kind() == "git" { git::keep_file(place, below, message) } else { Ok(()) }
}

impl Locked {
    /// What the outputs of the flake depend on, if everything is pinned.
    pub fn fingerprint(&self, fetcher: &Fetcher) -> std::result::Result<Option<Hash>, InputError> {
        if self.lock_file.unlocked(&fetcher.settings).is_some() {
            return Ok(None);
        }
        let locked = &self.flake.locked;
        let Some(mut text) = fetcher.fingerprint(&self.flake.read_first)? else { return Ok(None) };
        text += &format!(";{};{}", locked.folder, self.lock_file.to_text().0);
        if let Some(count) = locked.input.revision_count() {
            text += &format!(";revCount={count}");
        }
        if let Some(time) = locked.input.last_modified() {
            text += &format!(";lastModified={time}");
        }
        Ok(Some(Hash::of(Algorithm::Sha256, text.as_bytes())))
    }
}
