//! Sources that are read where they are, as the evaluator sees them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use zeval_evaluator::{
    Session,
    in_place::{InPlace, Stored},
    inputs::InputFailure,
    reads::Reads,
};
use zeval_inputs::{Fetcher, fetch};
use zeval_model::StorePath;

use super::failure;

struct Source {
    fetcher: Arc<Fetcher>,
    source: Arc<fetch::InPlace>,
}

impl InPlace for Source {
    fn file(&self, below: &Path) -> Option<PathBuf> {
        self.fetcher.file_in_place(&self.source, below)
    }

    fn has(&self, below: &Path) -> bool {
        self.source.has(below)
    }

    fn stored(&self) -> Result<Stored, InputFailure> {
        let tree = self.fetcher.stored(&self.source).map_err(failure)?;
        let hash = tree.input.nar_hash().map_err(failure)?;
        Ok(Stored {
            store_path: tree.store_path,
            nar_hash: hash.map(|hash| hash.to_sri()).unwrap_or_default(),
            last_modified: tree.input.last_modified().unwrap_or_default(),
        })
    }
}

/// Lets an evaluation read a flake where it is, if it is to be read there; `folder` is its folder as a logical path.
pub fn register(session: &Session, fetcher: &Arc<Fetcher>, folder: &Path) {
    let Ok((store_path, _)) = StorePath::split_absolute(&folder.to_string_lossy()) else { return };
    if let Some(source) = fetcher.in_place(&store_path) {
        if let Some(reads) = &session.reads {
            record_when_stored(reads, &source);
        }
        session.use_in_place(&store_path, Arc::new(Source { fetcher: fetcher.clone(), source }));
    }
}

/// Lets all of a source count as read once its store path is asked for.
fn record_when_stored(reads: &Arc<Reads>, source: &fetch::InPlace) {
    let record = reads.clone();
    let is_early =
        source.before_stored(move |source| source.files().iter().for_each(|file| record.contents(file)));
    if !is_early {
        reads.unrepeatable();
    }
}
