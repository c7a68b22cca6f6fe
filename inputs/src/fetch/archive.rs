//! Files and archives that one address serves.

use std::{fs, path::Path};

use serde_json::json;
use zeval_builder::{
    fetch::download::{Download, Served},
    store::TemporaryFolder,
    unpack::{self, Fault, UnpackError},
};
use zeval_model::{Algorithm, ContentMethod, Hash, StorePath, ingest::hash_path};

use super::{Fetcher, Made, failed};
use crate::{Input, InputError, Result, error::Cause, url};

/// A file in the store.
pub struct File {
    /// Where.
    pub store_path: StorePath,
}

/// An archive, unpacked.
struct Unpacked {
    store_path: StorePath,
    modified: u64,
    immutable: Option<String>,
}

impl Fetcher {
    fn download(
        &self,
        address: &str,
        headers: &[(String, String)],
        known: Option<&str>,
        to: &Path,
    ) -> Result<Served> {
        let observer = &*self.observer;
        Download { address, headers, known, observer, cancellation: &self.cancellation }
            .run(to)
            .map_err(|error| failed(error).because(Cause::Unreachable))
    }

    fn scratch(&self) -> Result<TemporaryFolder> {
        self.store.temporary_folder().map_err(failed)
    }

    /// Fetches a file as it is; asks the server only if the last answer is old.
    pub fn download_file(&self, address: &str, name: &str, headers: &[(String, String)]) -> Result<File> {
        let key = json!(["file", { "url": address, "name": name }]);
        let known = self.cache.get(&key).and_then(|entry| {
            let path = StorePath::from_absolute(entry.value["path"].as_str()?).ok()?;
            self.store.keeps(&path).ok()?.then_some((path, entry))
        });
        if let Some((store_path, entry)) = &known
            && entry.age < self.settings.tarball_ttl
            && !address.starts_with("file:")
        {
            return Ok(File { store_path: store_path.clone() });
        }
        let scratch = self.scratch()?;
        let made = scratch.path().join("file");
        let tag = known.as_ref().and_then(|(_, entry)| entry.value["etag"].as_str());
        let served = match (self.download(address, headers, tag, &made), &known) {
            (Ok(served), _) => served,
            (Err(error), Some((store_path, _))) if !self.cancellation.is_cancelled() => {
                self.settings.warn(format!("{error}; using cached version"));
                return Ok(File { store_path: store_path.clone() });
            }
            (Err(error), _) => return Err(error),
        };
        let store_path = match known {
            Some((store_path, _)) if served.unchanged => store_path,
            _ => self.store.add_path(name, &made, ContentMethod::Flat, Algorithm::Sha256).map_err(failed)?,
        };
        self.cache.put(&key, json!({ "path": store_path.to_string(), "etag": served.tag }));
        Ok(File { store_path })
    }

    /// Fetches and unpacks an archive.
    pub fn fetch_archive(&self, address: &str, name: &str) -> Result<StorePath> {
        let address = match address.strip_prefix("channel:") {
            Some(channel) => format!("https://channels.nixos.org/{channel}/nixexprs.tar.xz"),
            None => address.to_owned(),
        };
        let shown = url::parse(&address, false, &mut |_| ())?.to_string();
        let unpacked = self.unpack(&address, name, &[], None);
        let unpacked =
            unpacked.map_err(|error| error.trace(format!("while fetching the input '{shown}'")))?;
        Ok(unpacked.store_path)
    }

    pub(super) fn file(&self, input: &Input) -> Result<Made> {
        let file = self.download_file(input.required_text("url")?, &input.name(), &[])?;
        let physical = self.store.physical(&file.store_path);
        let store_path = self
            .store
            .add_path(&input.name(), &physical, ContentMethod::Nar, Algorithm::Sha256)
            .map_err(failed)?;
        let mut made = self.made(store_path, input.clone())?;
        made.input.set("narHash", made.nar_hash.to_sri());
        Ok(made)
    }

    pub(super) fn tarball(&self, input: &Input) -> Result<Made> {
        let unpacked = self.unpack(input.required_text("url")?, &input.name(), &[], None)?;
        let mut result = input.clone();
        if let Some(immutable) = &unpacked.immutable {
            result = Input::parse(&self.settings, immutable, true)?;
            if result.kind() != "tarball" {
                return Err(InputError::new(
                    "tarball 'Link' headers that redirect to non-tarball URLs are not supported",
                ));
            }
        }
        if unpacked.modified > 0 && result.last_modified().is_none() {
            result.set("lastModified", unpacked.modified);
        }
        let mut made = self.made(unpacked.store_path, result)?;
        made.input.set("narHash", made.nar_hash.to_sri());
        Ok(made)
    }

    /// Fetches an archive of a revision, which never changes. Gives the time of its youngest file.
    pub(super) fn unpack_revision(
        &self,
        address: &str,
        name: &str,
        headers: &[(String, String)],
        revision: &str,
    ) -> Result<(StorePath, u64)> {
        let unpacked = self.unpack(address, name, headers, Some(revision))?;
        Ok((unpacked.store_path, unpacked.modified))
    }

    fn unpack(
        &self,
        address: &str,
        name: &str,
        headers: &[(String, String)],
        revision: Option<&str>,
    ) -> Result<Unpacked> {
        check_local(address)?;
        let key = match revision {
            Some(revision) => json!(["revision", { "rev": revision, "name": name }]),
            None => json!(["tarball", { "url": address, "name": name }]),
        };
        let known = self.cache.get(&key).and_then(|entry| {
            let path = StorePath::from_absolute(entry.value["path"].as_str()?).ok()?;
            let unpacked = Unpacked {
                modified: entry.value["lastModified"].as_u64()?,
                immutable: entry.value["immutableUrl"].as_str().map(str::to_owned),
                store_path: path,
            };
            self.store.keeps(&unpacked.store_path).ok()?.then_some((unpacked, entry))
        });
        let is_fresh = |age: u64| {
            revision.is_some() || (age < self.settings.tarball_ttl && !address.starts_with("file:"))
        };
        let tag = match known {
            Some((unpacked, entry)) if is_fresh(entry.age) => return Ok(unpacked),
            Some((unpacked, entry)) => entry.value["etag"].as_str().map(|tag| (tag.to_owned(), unpacked)),
            None => None,
        };
        let scratch = self.scratch()?;
        let (archive, tree) = (scratch.path().join("archive"), scratch.path().join("0"));
        let served = self.download(address, headers, tag.as_ref().map(|(tag, _)| tag.as_str()), &archive)?;
        let unpacked = match tag {
            Some((_, unpacked)) if served.unchanged => unpacked,
            _ => {
                let summary =
                    unpack::unpack(&archive, &tree, scratch.path(), &Default::default(), &self.cancellation)
                        .map_err(bad_archive)?;
                let store_path = self.adopt(&tree, name)?;
                Unpacked { store_path, modified: summary.modified, immutable: served.immutable }
            }
        };
        self.cache.put(
            &key,
            json!({
                "path": unpacked.store_path.to_string(),
                "lastModified": unpacked.modified,
                "immutableUrl": unpacked.immutable,
                "etag": served.tag,
            }),
        );
        Ok(unpacked)
    }
}

/// The hash by which a file in the store, or a tree, is known to those who fetch it.
pub fn nar_or_file_hash(fetcher: &Fetcher, path: &StorePath, is_tree: bool) -> Result<Hash> {
    if is_tree {
        return Ok(fetcher.store.require(path).map_err(failed)?.nar_hash);
    }
    hash_path(&fetcher.store.physical(path), ContentMethod::Flat, Algorithm::Sha256).map_err(failed)
}

fn bad_archive(error: UnpackError) -> InputError {
    match error.fault {
        Fault::UnknownKind(_) => InputError::new("Failed to open archive (Unrecognized archive format)"),
        _ => failed(error),
    }
}

/// Clear words for paths that are no archive.
fn check_local(address: &str) -> Result<()> {
    let url = url::parse(address, false, &mut |_| ())?;
    if url.scheme != "file" {
        return Ok(());
    }
    let path = url.file_path()?;
    if !path.starts_with('/') {
        return Err(InputError::new(format!(
            "tarball '{url}' must use an absolute path. The 'file' scheme does not support relative paths."
        )));
    }
    let Ok(metadata) = fs::metadata(&path) else {
        return Err(InputError::new(format!("tarball \"{path}\" does not exist.")));
    };
    match metadata.is_dir() {
        true if Path::new(&path).join(".git").exists() => Err(InputError::new(format!(
            "tarball \"{path}\" is a git repository, not a tarball. Please use `git+file` as the scheme."
        ))),
        true => Err(InputError::new(format!("tarball \"{path}\" is a directory, not a file."))),
        false => Ok(()),
    }
}
