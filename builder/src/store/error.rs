//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeval_model::derivation::DerivationError;
use zeval_model::tree::TreeError;
use zeval_model::{StorePath, StorePathError};

/// An error of the store, in words for its user.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {action} in the store's database {path}: {source}")]
    Database { action: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error(
        "the store's database {path} has schema {found}, which is newer than the {known} that this zeval knows; use a \
         newer zeval"
    )]
    NewerSchema { path: PathBuf, found: i64, known: i64 },
    #[error("the store's database has a row that makes no sense: {0}")]
    Corrupt(String),
    #[error("path '{0}' is not valid: it is not in this store")]
    NotValid(StorePath),
    #[error("'{path}' refers to '{reference}', which is not valid: it is not in this store")]
    MissingReference { path: StorePath, reference: StorePath },
    #[error("'{path}' cannot be deleted: {by}")]
    Kept { path: StorePath, by: String },
    #[error(
        "the files of '{path}' are not those that it should have:\n  expected: {expected}\n  got:      {actual}"
    )]
    WrongContents { path: StorePath, expected: String, actual: String },
    #[error("this is no export of store paths: {0}")]
    BadExport(String),
    #[error("cannot read or write: {0}")]
    Stream(#[from] io::Error),
    #[error(transparent)]
    Name(#[from] StorePathError),
    #[error(transparent)]
    Derivation(#[from] DerivationError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("cancelled")]
    Cancelled,
}

/// Says what was being done to which path when an operation of the system failed.
pub trait IoContext<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, path: path.to_owned(), source })
    }
}

impl<T> IoContext<T> for nix::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(io::Error::from).doing(action, path)
    }
}
