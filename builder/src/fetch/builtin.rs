//! The builder `builtin:fetchurl`: a fixed output from one of several addresses.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bstr::ByteSlice;
use thiserror::Error;
use zeval_model::{Algorithm, Hash, HashError};

use super::error::FetchError;
use super::mirrors::{MirrorError, Mirrors, config_files};
use super::partial::Partial;
use super::transfer::{Failure, Transfer};
use crate::builtin::Request;

/// Why a derivation with the builder `builtin:fetchurl` failed.
#[derive(Debug, Error)]
pub enum Error {
    #[error("`{name}` has neither the attribute `urls` nor `url`, which say where to fetch it from")]
    NoAddress { name: String },
    #[error("the attribute `outputHash` of `{name}` is no hash: {error}")]
    BadHash { name: String, error: HashError },
    #[error(transparent)]
    Mirrors(#[from] MirrorError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// Fetches what `urls` (or `url`) name to the derivation's output. With `executable` it is made that; with `unpack` it is a NAR,
/// compressed or not, and the output is what it holds.
pub fn run(request: &Request<'_>) -> Result<(), Error> {
    let addresses = addresses(request)?;
    let mirrors = Mirrors::of_machine(&config_files(&std::env::current_dir().unwrap_or_default()))?;
    let partial = partial_folder(request);
    let transfer = Transfer {
        name: request.name,
        addresses: &addresses,
        expected: expected(request)?,
        mirrors: &mirrors,
        partial: &partial,
        scratch: request.scratch,
        id: request.id,
        observer: request.observer,
        cancellation: request.cancellation,
    };
    transfer.run_with(&mut |partial| deliver(request, partial))?;
    Ok(())
}

/// Puts the file at the output, as the derivation wants it.
fn deliver(request: &Request<'_>, partial: Partial) -> Result<(), Failure> {
    partial.finish(request.output).map_err(Failure::Write)?;
    if flag(request, "executable") {
        fs::set_permissions(request.output, Permissions::from_mode(0o555)).map_err(Failure::Write)?;
    }
    Ok(())
}

fn addresses(request: &Request<'_>) -> Result<Vec<String>, Error> {
    let words = |name: &str| -> Vec<String> {
        let value = request.variable(name).unwrap_or_default();
        value.fields().map(|word| word.to_str_lossy().into_owned()).collect()
    };
    let mut addresses = words("urls");
    addresses.extend(words("url"));
    match addresses.is_empty() {
        true => Err(Error::NoAddress { name: request.name.to_owned() }),
        false => Ok(addresses),
    }
}

/// The hash of the file's bytes, where the output's is that; not if the output is more than those.
fn expected(request: &Request<'_>) -> Result<Option<Hash>, Error> {
    let text = |name: &str| request.variable(name).unwrap_or_default().to_str_lossy().into_owned();
    let mode = text("outputHashMode");
    let hash = text("outputHash");
    if hash.is_empty()
        || flag(request, "unpack")
        || flag(request, "executable")
        || !["", "flat"].contains(&&*mode)
    {
        return Ok(None);
    }
    let bad_hash = |error| Error::BadHash { name: request.name.to_owned(), error };
    let algorithm = match text("outputHashAlgo").as_str() {
        "" => None,
        name => Some(name.parse::<Algorithm>().map_err(bad_hash)?),
    };
    Hash::parse(&hash, algorithm).map(Some).map_err(bad_hash)
}

/// Beside the store, as it must outlive this build and lie on the output's file system.
fn partial_folder(request: &Request<'_>) -> PathBuf {
    request.store_dir.parent().unwrap_or(request.store_dir).join("partial")
}

fn flag(request: &Request<'_>, name: &str) -> bool {
    request.variable(name).is_some_and(|value| value == "1")
}
