//! The builder `builtin:unpack`: an archive of the store becomes a tree.

use std::path::PathBuf;

use bstr::ByteSlice;
use thiserror::Error;

use super::{Options, UnpackError, unpack};
use crate::builtin::Request;

/// Why a derivation with the builder `builtin:unpack` failed.
#[derive(Debug, Error)]
pub enum Error {
    #[error("`{name}` has no attribute `src`, which names the archive to unpack")]
    NoSource { name: String },
    #[error("the attribute `src` of `{name}` is `{value}`, which is no path in the store")]
    NotInStore { name: String, value: String },
    #[error("the attribute `stripComponents` of `{name}` is `{value}`, which is no number")]
    BadStrip { name: String, value: String },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

/// Unpacks the archive `src` to the derivation's output; `stripComponents` is 1 unless given.
pub fn run(request: &Request<'_>) -> Result<(), Error> {
    let archive = source(request)?;
    let options = Options { strip_components: strip_components(request)?, ..Options::default() };
    unpack(&archive, request.output, request.scratch, &options, request.cancellation)?;
    Ok(())
}

/// The physical path of `src`, which may lie within a store path.
fn source(request: &Request<'_>) -> Result<PathBuf, Error> {
    let name = || request.name.to_owned();
    let src = request
        .variable("src")
        .filter(|src| !src.is_empty())
        .ok_or_else(|| Error::NoSource { name: name() })?;
    let not_in_store = || Error::NotInStore { name: name(), value: src.to_string() };
    let below = src.strip_prefix(zeval_model::STORE_DIR.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    let below = below.ok_or_else(not_in_store)?.to_path().map_err(|_| not_in_store())?;
    let plain = below.components().all(|component| matches!(component, std::path::Component::Normal(_)));
    if !plain || below.as_os_str().is_empty() {
        return Err(not_in_store());
    }
    Ok(request.store_dir.join(below))
}

fn strip_components(request: &Request<'_>) -> Result<u32, Error> {
    let Some(value) = request.variable("stripComponents") else { return Ok(1) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::BadStrip { name: request.name.to_owned(), value: value.to_string() })
}
