//! Mercurial repositories, by the `hg` of this machine.

use std::{path::Path, process::Command};

use bstr::ByteSlice;
use serde_json::json;

use super::{Fetcher, Made, failed};
use crate::{Input, InputError, Result, scheme::is_revision, url};
use zeval_model::{Algorithm, Hash};

/// Runs `hg` with settings of no user; gives what it prints.
fn hg(arguments: &[&str]) -> Result<String> {
    let output = Command::new("hg").args(arguments).env("HGPLAIN", "").output().map_err(|error| {
        InputError::new(match error.kind() {
            std::io::ErrorKind::NotFound => {
                "executing 'hg': No such file or directory; install Mercurial, or put 'hg' in PATH".to_owned()
            }
            _ => format!("executing 'hg': {error}"),
        })
    })?;
    if !output.status.success() {
        return Err(InputError::new(format!(
            "hg {}: {}",
            output.status,
            output.stderr.trim().to_str_lossy()
        )));
    }
    Ok(output.stdout.to_str_lossy().into_owned())
}

impl Fetcher {
    pub(super) fn mercurial(&self, input: &Input) -> Result<Made> {
        let url = url::parse(input.required_text("url")?, false, &mut |_| ())?;
        let local = (url.scheme == "file").then(|| url.file_path()).transpose()?;
        if let Some(folder) = &local
            && input.reference().is_none()
            && input.revision()?.is_none()
            && Path::new(folder).join(".hg").is_dir()
            && !hg(&["status", "-R", folder, "--modified", "--added", "--removed"])?.is_empty()
        {
            return self.dirty_mercurial(input, folder);
        }
        let address = local.unwrap_or_else(|| url.to_string());
        let mut input = input.clone();
        if input.reference().is_none() {
            input.set("ref", "default");
        }
        let wanted = match input.revision_text()? {
            Some(revision) => revision,
            None => input.reference().unwrap_or("default").to_owned(),
        };
        let name = Hash::of(Algorithm::Sha256, address.as_bytes()).to_nix32();
        let clone = self.settings.cache.join("hg").join(name);
        let folder = clone.to_string_lossy().into_owned();
        let is_there =
            || is_revision(&wanted) && hg(&["log", "-R", &folder, "-r", &wanted, "--template", "1"]).is_ok();
        if !clone.join(".hg").is_dir() {
            std::fs::create_dir_all(&clone).map_err(failed)?;
            hg(&["init", &folder])?;
        }
        if !is_there() {
            hg(&["pull", "-R", &folder, "--", &address])?;
        }
        let facts = hg(&["log", "-R", &folder, "-r", &wanted, "--template", "{node} {rev} {branch}"])?;
        let mut words = facts.splitn(3, ' ');
        let (Some(revision), Some(count), Some(branch)) = (words.next(), words.next(), words.next()) else {
            return Err(InputError::new(format!("hg printed '{facts}' where a revision was expected")));
        };
        input.set("rev", revision);
        input.set("ref", branch);
        input.set("revCount", count.parse::<u64>().map_err(failed)?);
        let key = json!(["hg tree", { "rev": revision }]);
        if let Some(entry) = self.cache.get(&key)
            && let Some(path) = entry.value.as_str().and_then(|hash| self.remembered(&input, hash))
        {
            return self.made(path, input);
        }
        let scratch = self.store.temporary_folder().map_err(failed)?;
        let tree = scratch.path().join("0");
        hg(&["archive", "-R", &folder, "-r", revision, &tree.to_string_lossy()])?;
        // What `hg archive` adds is no part of the repository.
        let _ = std::fs::remove_file(tree.join(".hg_archival.txt"));
        let (method, algorithm) = (zeval_model::ContentMethod::Nar, Algorithm::Sha256);
        let path = self.store.add_path(&input.name(), &tree, method, algorithm).map_err(failed)?;
        let made = self.made(path, input)?;
        self.cache.put(&key, json!(made.nar_hash.to_sri()));
        Ok(made)
    }

    /// The files of a work tree that Mercurial knows, as they are now.
    fn dirty_mercurial(&self, input: &Input, folder: &str) -> Result<Made> {
        if !self.settings.allow_dirty {
            return Err(InputError::new(format!("Mercurial tree '{folder}' is unclean")));
        }
        if self.settings.warn_dirty {
            self.settings.warn(format!("Mercurial tree '{folder}' is unclean"));
        }
        let mut input = input.clone();
        input.set("ref", hg(&["branch", "-R", folder])?.trim());
        let listing =
            hg(&["status", "-R", folder, "--clean", "--modified", "--added", "--no-status", "--print0"])?;
        let known: std::collections::HashSet<&str> = listing
            .split('\0')
            .flat_map(|file| file.match_indices('/').map(|(end, _)| &file[..end]).chain([file]))
            .collect();
        let (method, algorithm) = (zeval_model::ContentMethod::Nar, Algorithm::Sha256);
        let store_path = self
            .store
            .add_path_filtered(&input.name(), Path::new(folder), method, algorithm, &mut |path, _| {
                let below = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
                Ok(known.contains(below.as_ref()))
            })
            .map_err(failed)?;
        self.made(store_path, input)
    }
}
