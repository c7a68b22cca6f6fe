//! Git repositories, by the `git` of this machine.

pub(super) mod command;
mod export;
mod objects;
mod remote;
mod submodules;
mod verify;
mod work_tree;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use serde_json::json;
use zeval_model::{Algorithm, Hash};

use super::{Fetcher, Made, failed};
use crate::{
    Attr, Input, InputError, Result,
    error::Cause,
    url::{self, Url},
};
use command::Repository;
pub(super) use work_tree::State;

/// Where a repository is.
enum Location {
    /// On this machine, with a work tree.
    Local(PathBuf),
    /// Anywhere else: git has to fetch it.
    Remote(Url),
}

impl Location {
    fn of(input: &Input) -> Result<Location> {
        if let Some(revision) = input.revision()?
            && !matches!(revision.algorithm(), Algorithm::Sha1 | Algorithm::Sha256)
        {
            return Err(InputError::new(format!(
                "Hash '{}' is not supported by Git. Supported types are sha1 and sha256.",
                revision.to_prefixed_base16()
            )));
        }
        let mut url = url::parse(input.required_text("url")?, false, &mut |_| ())?;
        if url.scheme == "file" {
            let path = PathBuf::from(url.file_path()?);
            // A bare repository has no work tree to be used in place.
            if !path.exists() || path.join(".git").exists() {
                let path = std::path::absolute(&path).map_err(failed)?;
                return Ok(Location::Local(path));
            }
            // git would take a query for a part of the file's name.
            url.query.clear();
        }
        // Old lock files have the flake's folder in the address.
        url.query.remove("dir");
        Ok(Location::Remote(url))
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::Local(path) => write!(f, "{}", path.display()),
            Location::Remote(url) => write!(f, "{url}"),
        }
    }
}

/// The work tree that an input stands for, if it is on this machine.
pub fn work_tree(input: &Input) -> Result<Option<PathBuf>> {
    Ok(match Location::of(input)? {
        Location::Local(path) => Some(path),
        Location::Remote(_) => None,
    })
}

/// The work tree that an input is taken from as it is now.
pub fn used_in_place(input: &Input) -> Result<Option<PathBuf>> {
    let pinned = input.kind() != "git" || input.reference().is_some() || input.revision()?.is_some();
    if pinned { Ok(None) } else { work_tree(input) }
}

/// Clones the repository that an input is of.
pub fn clone(input: &Input, folder: &Path) -> Result<()> {
    let revision = input.revision_text()?;
    let mut command = match (&revision, input.reference()) {
        (Some(_), _) => command::git(&["clone", "--no-checkout", "--"]),
        (None, Some(reference)) => command::git(&["clone", "--branch", reference, "--"]),
        (None, None) => command::git(&["clone", "--"]),
    };
    command.arg(Location::of(input)?.to_string()).arg(folder);
    if !command::output(command)?.0.success() {
        return Err(InputError::new(format!("git cannot clone '{}'", input.shown())));
    }
    match revision {
        Some(revision) => check_out(input, folder, &revision),
        None => Ok(()),
    }
}

/// Checks a revision of a new clone out. One that no branch leads to is asked for by itself.
fn check_out(input: &Input, folder: &Path, revision: &str) -> Result<()> {
    let repository = Repository::work_tree(folder)?;
    if repository.commit(revision)?.is_none()
        && repository.try_output(&["fetch", "--quiet", "origin", revision])?.is_none()
    {
        return Err(InputError::new(format!(
            "the repository of '{}' has no revision {revision} (any more): \"{}\" is a clone of it with nothing checked out",
            input.shown(),
            folder.display()
        )));
    }
    repository.output(&["checkout", "--quiet", "--detach", revision])?;
    Ok(())
}

impl Fetcher {
    pub(super) fn git(&self, input: &Input) -> Result<Made> {
        let location = Location::of(input)?;
        if input.flag("exportIgnore")? && input.flag("submodules")? {
            return Err(InputError::new("exportIgnore and submodules are not supported together yet"));
        }
        if input.flag("lfs")? {
            return Err(InputError::new(format!(
                "input '{}' asks for Git LFS, which is not supported yet; without 'lfs' its files are pointers",
                input.shown()
            )));
        }
        match &location {
            Location::Local(path) if input.reference().is_none() && input.revision()?.is_none() => {
                self.git_work_tree(input, path)
            }
            _ => self.git_commit(input, &location),
        }
    }

    /// A commit, of a repository on this machine or elsewhere.
    fn git_commit(&self, input: &Input, location: &Location) -> Result<Made> {
        let mut input = input.clone();
        let shallow = input.flag("shallow")?;
        let given = input.reference().map(str::to_owned);
        let reference = match &given {
            Some(reference) => reference.clone(),
            None => self.default_reference(location, shallow)?,
        };
        input.set("ref", reference.as_str());
        let repository = match location {
            Location::Local(path) => {
                let repository = Repository::work_tree(path)?;
                if input.revision()?.is_none() {
                    input.set("rev", resolve(&repository, &reference)?);
                }
                repository
            }
            Location::Remote(url) => self.update_clone(&mut input, url, &reference, given.is_none())?,
        };
        if !shallow && repository.is_shallow()? {
            return Err(InputError::new(format!(
                "'{location}' is a shallow Git repository, but shallow repositories are only allowed when `shallow = true;` is specified"
            )));
        }
        let revision = input.revision_text()?.unwrap_or_default();
        if repository.commit(&revision)?.is_none() {
            return Err(InputError::new(format!(
                "getting Git object '{revision}': object not found - no match for id ({revision}) (libgit2 error code = 9)"
            ))
            .because(Cause::MissingRevision));
        }
        input.set("lastModified", self.commit_time(&repository, &revision)?);
        if !shallow {
            input.set("revCount", self.commit_count(&repository, &revision)?);
        }
        self.verify_commit(&input, Some(&repository))?;
        self.commit_tree(&repository, input, &revision, &reference)
    }

    fn default_reference(&self, location: &Location, shallow: bool) -> Result<String> {
        let head = match location {
            Location::Local(path) => Repository::work_tree(path)?.head()?,
            Location::Remote(url) => self.remote_head(&url.to_string(), shallow)?,
        };
        Ok(head.unwrap_or_else(|| {
            self.settings.warn(format!("could not read HEAD ref from repo at '{location}', using 'master'"));
            "master".to_owned()
        }))
    }

    fn commit_time(&self, repository: &Repository, revision: &str) -> Result<u64> {
        self.known_number(&json!(["commit time", revision]), || repository.time(revision))
    }

    fn commit_count(&self, repository: &Repository, revision: &str) -> Result<u64> {
        self.known_number(&json!(["commit count", revision]), || repository.count(revision))
    }

    /// A number that belongs to a revision forever.
    fn known_number(&self, key: &serde_json::Value, ask: impl FnOnce() -> Result<u64>) -> Result<u64> {
        if let Some(number) = self.cache.get(key).and_then(|entry| entry.value.as_u64()) {
            return Ok(number);
        }
        let number = ask()?;
        self.cache.put(key, json!(number));
        Ok(number)
    }

    /// The tree of a commit as a store path: from the store if it was made before.
    fn commit_tree(
        &self,
        repository: &Repository,
        input: Input,
        revision: &str,
        reference: &str,
    ) -> Result<Made> {
        let (submodules, ignore) = (input.flag("submodules")?, input.flag("exportIgnore")?);
        let key = json!(["tree", { "rev": revision, "submodules": submodules, "exportIgnore": ignore }]);
        if let Some(entry) = self.cache.get(&key)
            && let Some(path) = entry.value.as_str().and_then(|hash| self.remembered(&input, hash))
        {
            return self.made(path, input);
        }
        let scratch = self.store.temporary_folder().map_err(failed)?;
        let tree = scratch.path().join("0");
        objects::check_out(repository, revision, ignore, &tree)?;
        if submodules {
            self.add_submodules(repository, revision, reference, &tree)?;
        }
        let made = self.made(self.adopt(&tree, &input.name())?, input)?;
        self.cache.put(&key, json!(made.nar_hash.to_sri()));
        Ok(made)
    }

    fn work_tree_state(&self, repository: &Repository) -> Result<Arc<State>> {
        let mut known = self.work_trees.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.get(&repository.folder) {
            return Ok(Arc::clone(state));
        }
        let state = Arc::new(State::of(repository)?);
        known.insert(repository.folder.clone(), Arc::clone(&state));
        Ok(state)
    }

    pub(super) fn git_fingerprint(&self, input: &Input) -> Result<Option<String>> {
        let mut flags = String::new();
        for (name, flag) in [("submodules", ";s"), ("exportIgnore", ";e"), ("lfs", ";l")] {
            flags += if input.flag(name)? { flag } else { "" };
        }
        if let Some(revision) = input.revision_text()? {
            return Ok(Some(format!("{revision}{flags}")));
        }
        let Location::Local(path) = Location::of(input)? else { return Ok(None) };
        let repository = Repository::work_tree(&path)?;
        if path.join(".gitmodules").exists() {
            return Ok(None);
        }
        let state = self.work_tree_state(&repository)?;
        let zero = Hash::zero(Algorithm::Sha1).to_base16();
        let head = state.head.as_deref().unwrap_or(&zero);
        Ok(Some(format!("{head}{flags};d={}", state.changes_hash(&path)?)))
    }

    /// What is known of a work tree without reading its files.
    pub(super) fn described_work_tree(&self, input: &Input, path: &Path) -> Result<(Arc<State>, Input)> {
        let repository = Repository::work_tree(path)?;
        let state = self.work_tree_state(&repository)?;
        let input = self.described(input, &repository, &state, state.is_dirty)?;
        Ok((state, input))
    }

    /// The files of a work tree that git knows.
    fn git_work_tree(&self, input: &Input, path: &Path) -> Result<Made> {
        let repository = Repository::work_tree(path)?;
        let state = self.work_tree_state(&repository)?;
        let mut dirty = state.is_dirty;
        let (store_path, nar_hash) = self.work_tree_source(&repository, &state, input, &mut dirty)?;
        let input = self.described(input, &repository, &state, dirty)?;
        Ok(Made { store_path, nar_hash, input })
    }

    /// What an input that is a work tree is at the moment: its revision, if there are no further changes.
    fn described(&self, input: &Input, repository: &Repository, state: &State, dirty: bool) -> Result<Input> {
        let mut input = input.clone();
        let head = state.head.as_deref();
        if dirty {
            let folder = repository.folder.display();
            if !self.settings.allow_dirty {
                return Err(InputError::new(format!("Git tree '{folder}' is dirty")));
            }
            if self.settings.warn_dirty && state.is_news() {
                self.settings.warn(format!("Git tree '{folder}' is dirty"));
            }
            if let Some(head) = head {
                input.set("dirtyRev", format!("{head}-dirty"));
                input.set("dirtyShortRev", format!("{}-dirty", &head[..7]));
            }
            self.verify_commit(&input, None)?;
        } else {
            if let Some(reference) = repository.head()? {
                input.set("ref", reference);
            }
            // There may be no commit yet.
            let zero = Hash::zero(Algorithm::Sha1).to_base16();
            input.set("rev", head.unwrap_or(&zero));
            if !input.flag("shallow")? {
                let count = head.map_or(Ok(0), |head| self.commit_count(repository, head))?;
                input.set("revCount", Attr::Int(count));
            }
            self.verify_commit(&input, Some(repository))?;
        }
        let time = head.map_or(Ok(0), |head| self.commit_time(repository, head))?;
        input.set("lastModified", time);
        Ok(input)
    }
}

/// The commit of a branch or tag.
fn resolve(repository: &Repository, reference: &str) -> Result<String> {
    repository.commit(reference)?.ok_or_else(|| {
        // In the words of Nix's library for git.
        InputError::new(format!(
            "resolving Git reference '{reference}': revspec '{reference}' not found (libgit2 error code = 4)"
        ))
    })
}

fn missing_revision(revision: &str, reference: &str, location: &Location) -> InputError {
    InputError::new(format!(
        "Cannot find Git revision '{revision}' in ref '{reference}' of repository '{location}'! Please make sure that the \
         rev exists on the ref you've specified or add allRefs = true; to fetchGit."
    ))
    .because(Cause::MissingRevision)
}

/// Lets git know a file of a work tree, unless it ignores it; with a message, commits it.
pub fn keep_file(work_tree: &Path, file: &Path, message: Option<&str>) -> Result<()> {
    let repository = Repository::work_tree(work_tree)?;
    let name = file.as_os_str();
    if repository.try_output(&["check-ignore".as_ref(), "--quiet".as_ref(), name])?.is_some() {
        return Ok(());
    }
    repository.output(&["add".as_ref(), "--intent-to-add".as_ref(), "--".as_ref(), name])?;
    if let Some(message) = message {
        let arguments = ["commit".as_ref(), "--quiet".as_ref(), name, "-F".as_ref(), "-".as_ref()];
        repository.output_of(&arguments, &[], message.as_bytes())?;
    }
    Ok(())
}
