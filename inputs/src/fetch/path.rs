//! Folders of this machine.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use zeval_model::{Algorithm, ContentMethod, StorePath};

use super::{Fetcher, Made, failed};
use crate::{Input, InputError, Result};

impl Fetcher {
    pub(super) fn path(&self, input: &Input) -> Result<Made> {
        let path = Path::new(input.required_text("path")?);
        if !path.is_absolute() {
            let message = format!("cannot fetch input '{}' because it uses a relative path", input.shown());
            return Err(InputError::new(message));
        }
        let path = crate::reference::path::clean(path);
        let mut modified = 0;
        let store_path = match self.as_source(&path)? {
            Some(store_path) => store_path,
            None => self.add_folder(&path, &mut modified)?,
        };
        let mut input = input.clone();
        if input.last_modified().is_none() {
            input.set("lastModified", modified);
        }
        self.made(store_path, input)
    }

    /// The path itself, if it is a source in the store.
    fn as_source(&self, path: &Path) -> Result<Option<StorePath>> {
        let Ok(store_path) = StorePath::from_absolute(&path.to_string_lossy()) else { return Ok(None) };
        let is_source = store_path.name() == "source" && self.store.keeps(&store_path).map_err(failed)?;
        Ok(is_source.then_some(store_path))
    }

    /// Adds a folder; `modified` becomes the time of its youngest file.
    fn add_folder(&self, path: &Path, modified: &mut u64) -> Result<StorePath> {
        let physical = self.physical(path);
        let metadata = fs::symlink_metadata(&physical)
            .map_err(|_| InputError::new(format!("path '/{}' does not exist", path.display())))?;
        let mut note = |metadata: &fs::Metadata| {
            *modified = (*modified).max(u64::try_from(metadata.mtime()).unwrap_or(0));
        };
        note(&metadata);
        self.store
            .add_path_filtered("source", &physical, ContentMethod::Nar, Algorithm::Sha256, &mut |path, _| {
                note(&fs::symlink_metadata(path)?);
                Ok(true)
            })
            .map_err(failed)
    }

    /// Where a logical path is.
    pub fn physical(&self, path: &Path) -> std::path::PathBuf {
        if let Ok((store_path, below)) = StorePath::split_absolute(&path.to_string_lossy())
            && let Some(source) = self.in_place(&store_path)
            && let Some(file) = self.file_in_place(&source, Path::new(below.trim_start_matches('/')))
        {
            return file;
        }
        match path.strip_prefix(zeval_model::store_dir()) {
            Ok(below) => self.store.layout().store().join(below),
            Err(_) => path.to_owned(),
        }
    }
}
