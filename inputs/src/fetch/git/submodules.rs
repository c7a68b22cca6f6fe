//! Repositories within repositories.

use std::{collections::BTreeMap, path::Path};

use bstr::{BString, ByteSlice};
use zeval_model::StorePath;

use super::{command::Repository, objects::submodule_revision};
use crate::{Attr, Attrs, Input, Result, fetch::Fetcher, registry::UseRegistries};

/// What `.gitmodules` says of one.
#[derive(Default)]
struct Submodule {
    path: String,
    url: String,
    branch: String,
}

/// The submodules that a `.gitmodules` names: a file, or one of a commit.
fn read(repository: &Repository, source: [&str; 2]) -> Result<Vec<Submodule>> {
    let pattern = r"^submodule\..*\.(path|url|branch)$";
    let arguments = ["config", source[0], source[1], "-z", "--get-regexp", pattern];
    let Some(output) = repository.try_output(&arguments)? else { return Ok(Vec::new()) };
    let mut named: BTreeMap<String, Submodule> = BTreeMap::new();
    for entry in output.split(|&byte| byte == 0) {
        let Some((key, value)) = entry.split_once_str("\n") else { continue };
        let (key, value) = (key.to_str_lossy(), value.to_str_lossy().into_owned());
        let Some((name, field)) = key.strip_prefix("submodule.").and_then(|key| key.rsplit_once('.')) else {
            continue;
        };
        let submodule = named.entry(name.to_owned()).or_default();
        match field {
            "path" => submodule.path = value,
            "url" => submodule.url = value,
            _ => submodule.branch = value,
        }
    }
    Ok(named.into_values().filter(|submodule| !submodule.path.is_empty()).collect())
}

/// The address of a submodule, which may be relative to that of its repository.
fn resolve(repository: &Repository, url: &str) -> Result<String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Ok(url.to_owned());
    }
    let origin = repository.line(&["config", "--get", "remote.origin.url"])?;
    let mut base = origin.unwrap_or_else(|| repository.folder.display().to_string());
    let mut rest = url;
    loop {
        base.truncate(base.trim_end_matches('/').len());
        if let Some(next) = rest.strip_prefix("./") {
            rest = next;
        } else if let Some(next) = rest.strip_prefix("../") {
            base.truncate(base.rfind('/').unwrap_or(0));
            rest = next;
        } else {
            return Ok(format!("{base}/{rest}"));
        }
    }
}

impl Fetcher {
    /// Fetches the submodules of a commit and puts them into its tree.
    pub(super) fn add_submodules(
        &self,
        repository: &Repository,
        revision: &str,
        reference: &str,
        tree: &Path,
    ) -> Result<()> {
        let file = format!("{revision}:.gitmodules");
        for submodule in read(repository, ["--blob", &file])? {
            let Some(commit) = submodule_revision(repository, revision, &submodule.path)? else { continue };
            let mut attrs = Attrs::from([
                ("type".to_owned(), "git".into()),
                ("url".to_owned(), resolve(repository, &submodule.url)?.into()),
                ("rev".to_owned(), commit.into()),
                ("exportIgnore".to_owned(), Attr::Bool(false)),
                ("submodules".to_owned(), Attr::Bool(true)),
                ("allRefs".to_owned(), Attr::Bool(true)),
            ]);
            let branch = if submodule.branch == "." { reference } else { &submodule.branch };
            if !branch.is_empty() {
                attrs.insert("ref".to_owned(), branch.into());
            }
            let input = Input::from_attrs(&self.settings, attrs)?;
            let source = self.fetch(&input, UseRegistries::No)?.tree.store_path;
            self.place(&source, &tree.join(&submodule.path))?;
        }
        Ok(())
    }

    /// The work trees of submodules: paths, and what is there now. `dirty` is set if one has changes.
    pub(super) fn checked_out_submodules(
        &self,
        repository: &Repository,
        dirty: &mut bool,
    ) -> Result<Vec<(BString, StorePath)>> {
        let mut found = Vec::new();
        let file = repository.folder.join(".gitmodules");
        for submodule in read(repository, ["--file", &file.to_string_lossy()])? {
            let folder = repository.folder.join(&submodule.path);
            let attrs = Attrs::from([
                ("type".to_owned(), "git".into()),
                ("url".to_owned(), folder.to_string_lossy().as_ref().into()),
                ("exportIgnore".to_owned(), Attr::Bool(false)),
                ("submodules".to_owned(), Attr::Bool(true)),
            ]);
            let input = Input::from_attrs(&self.settings, attrs)?;
            let tree = self.fetch(&input, UseRegistries::No)?.tree;
            *dirty |= tree.input.revision()?.is_none();
            found.push((BString::from(submodule.path), tree.store_path));
        }
        Ok(found)
    }
}
