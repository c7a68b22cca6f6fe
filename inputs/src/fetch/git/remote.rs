//! Repositories elsewhere: a bare clone of each, updated when it must be.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use zeval_builder::{
    events::{ActivityId, Event},
    store::FileLock,
};
use zeval_model::{Algorithm, Hash};

use super::{
    Location,
    command::{Repository, git, output},
    missing_revision, resolve,
};
use crate::{
    Input, InputError, Result,
    error::Cause,
    fetch::{Fetcher, failed},
    url::Url,
};

/// The branch of a repository that was just made: no repository has it.
const NO_BRANCH: &str = "__zeval_no_branch";

impl Fetcher {
    fn clone_folder(&self, address: &str, shallow: bool) -> PathBuf {
        let name = Hash::of(Algorithm::Sha256, address.as_bytes()).to_nix32();
        let end = if shallow { "-shallow" } else { "" };
        self.settings.cache.join("git").join(format!("{name}{end}"))
    }

    fn is_fresh(&self, file: &Path) -> bool {
        let age = fs::metadata(file).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
        let ttl = Duration::from_secs(self.settings.tarball_ttl);
        age.is_ok_and(|age| age.unwrap_or_default() < ttl)
    }

    /// The branch that a repository elsewhere begins with.
    pub(super) fn remote_head(&self, address: &str, shallow: bool) -> Result<Option<String>> {
        let clone = self.clone_folder(address, shallow);
        let file = clone.join("HEAD");
        let known = match file.exists() {
            true => Repository::bare(&clone).head()?.filter(|head| !head.ends_with(NO_BRANCH)),
            false => None,
        };
        if known.is_some() && self.is_fresh(&file) {
            return Ok(known);
        }
        if let Some(head) = ask_for_head(address)? {
            return Ok(Some(head));
        }
        if let Some(head) = &known {
            self.settings.warn(format!(
                "could not get HEAD ref for repository '{address}'; using expired cached ref '{head}'"
            ));
        }
        Ok(known)
    }

    /// Brings the clone up to date as far as the input needs it, and gives the input its revision.
    pub(super) fn update_clone(
        &self,
        input: &mut Input,
        url: &Url,
        reference: &str,
        is_default: bool,
    ) -> Result<Repository> {
        let address = url.to_string();
        let shallow = input.flag("shallow")?;
        let folder = self.clone_folder(&address, shallow);
        let _lock = self.lock_clone(&folder)?;
        let repository = open_or_make(&folder, &address)?;
        let full = if reference.starts_with("refs/") || reference == "HEAD" {
            reference.to_owned()
        } else {
            format!("refs/heads/{reference}")
        };
        let stamp = folder.join("zeval-fetched").join(full.replace('/', "%"));
        let all = input.flag("allRefs")?;
        let revision = input.revision_text()?;
        let is_needed = match &revision {
            Some(revision) => repository.commit(revision)?.is_none(),
            None => all || !self.is_fresh(&stamp) || repository.commit(&full)?.is_none(),
        };
        if is_needed {
            let wanted = match &revision {
                _ if all => "refs/*:refs/*".to_owned(),
                Some(revision) => revision.clone(),
                None => format!("{full}:{full}"),
            };
            let fetched = self.told(&address, || fetch(&repository, &address, &wanted, shallow));
            match fetched {
                Err(error) if repository.commit(&full)?.is_some() => {
                    self.settings.warn(error.to_string());
                    self.settings.warn(format!(
                        "could not update local clone of Git repository '{address}'; continuing with the most recent version"
                    ));
                }
                // A repository that answers refuses a revision that it does not have.
                Err(error) if revision.is_some() && ask_for_head(&address)?.is_some() => {
                    return Err(error.because(Cause::MissingRevision));
                }
                Err(error) => return Err(error),
                Ok(()) if revision.is_none() => touch(&stamp).map_err(failed)?,
                Ok(()) => {}
            }
            if is_default && full != "HEAD" {
                repository.try_output(&["symbolic-ref", "--", "HEAD", full.as_str()])?;
                let head = folder.join("HEAD");
                let now = File::options().write(true).open(head);
                let _ = now.and_then(|file| file.set_modified(SystemTime::now()));
            }
        }
        match revision {
            Some(revision) if repository.commit(&revision)?.is_none() => {
                Err(missing_revision(&revision, reference, &Location::Remote(url.clone())))
            }
            Some(_) => Ok(repository),
            None => {
                input.set("rev", resolve(&repository, &full)?);
                Ok(repository)
            }
        }
    }

    /// Does something that takes as long as a repository elsewhere lets it, and lets the user see that.
    fn told<T>(&self, address: &str, work: impl FnOnce() -> T) -> T {
        let (id, url) = (ActivityId::fresh(), address.to_owned());
        self.observer.event(Event::FetchStarted { id, url: url.clone(), total: None });
        let result = work();
        self.observer.event(Event::FetchFinished { id, url, error: None });
        result
    }

    fn lock_clone(&self, folder: &Path) -> Result<FileLock> {
        let parent = folder.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent)
            .map_err(|error| InputError::new(format!("cannot make '{}': {error}", parent.display())))?;
        let lock = FileLock::acquire(&folder.with_extension("lock"), &self.cancellation, || ());
        lock.map_err(failed)?.ok_or_else(|| InputError::new("interrupted"))
    }
}

fn touch(file: &Path) -> std::io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, "")
}

/// Asks a repository for its HEAD; `None` if it does not answer.
fn ask_for_head(address: &str) -> Result<Option<String>> {
    let (status, text) = output(git(&["ls-remote", "--symref", "--", address, "HEAD"]))?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    let head = match line.strip_prefix("ref: ") {
        Some(rest) => rest.split('\t').next(),
        None => line.split_once('\t').filter(|(_, name)| *name == "HEAD").map(|(revision, _)| revision),
    };
    Ok(head.filter(|_| status.success()).map(str::to_owned))
}

fn open_or_make(folder: &Path, address: &str) -> Result<Repository> {
    let repository = Repository::bare(folder);
    if !folder.join("HEAD").exists() {
        let mut init = git(&["-c", &format!("init.defaultBranch={NO_BRANCH}"), "init", "--quiet", "--bare"]);
        init.arg(folder);
        if !output(init)?.0.success() {
            let message = format!("cannot make a Git repository in '{}'", folder.display());
            return Err(InputError::new(message));
        }
    }
    // The addresses of submodules may be relative to it.
    repository.output(&["config", "remote.origin.url", address])?;
    Ok(repository)
}

fn fetch(repository: &Repository, address: &str, wanted: &str, shallow: bool) -> Result<()> {
    let mut arguments = vec!["fetch", "--quiet", "--force", "--no-tags"];
    if shallow {
        arguments.extend(["--depth", "1"]);
    }
    arguments.extend(["--", address, wanted]);
    match output(repository.command(&arguments))?.0.success() {
        true => Ok(()),
        false => {
            let error = InputError::new(format!("Failed to fetch git repository '{address}'"));
            Err(error.because(Cause::Unreachable))
        }
    }
}
