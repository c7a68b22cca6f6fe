//! The builders `builtin:unpack` and `builtin:unpack-channel`: an archive of the store becomes a tree.

use std::fs;
use std::io;
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
    #[error("the attribute `channelName` of `{name}` is `{value}`, which is no name of a folder")]
    BadChannelName { name: String, value: String },
    #[error("channel tarball '{0}' contains more than one file")]
    SeveralInChannel(String),
    #[error("cannot put the channel in its place: {0}")]
    Io(#[from] io::Error),
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

/// Unpacks the archive `src` of a channel; the one folder in it is called `channelName`.
pub fn run_channel(request: &Request<'_>) -> Result<(), Error> {
    let archive = source(request)?;
    let channel = request.variable("channelName").unwrap_or_default().to_str_lossy().into_owned();
    if channel.is_empty() || channel.contains('/') || channel == "." || channel == ".." {
        return Err(Error::BadChannelName { name: request.name.to_owned(), value: channel });
    }
    let options = Options { strip_components: 0, ..Options::default() };
    unpack(&archive, request.output, request.scratch, &options, request.cancellation)?;
    let mut entries = fs::read_dir(request.output)?;
    let several = || Error::SeveralInChannel(archive.display().to_string());
    let only = entries.next().transpose()?.ok_or_else(several)?;
    match entries.next() {
        Some(_) => Err(several()),
        None => Ok(fs::rename(only.path(), request.output.join(channel))?),
    }
}

/// The physical path of `src`, which may lie within a store path.
fn source(request: &Request<'_>) -> Result<PathBuf, Error> {
    let name = || request.name.to_owned();
    let src = request
        .variable("src")
        .filter(|src| !src.is_empty())
        .ok_or_else(|| Error::NoSource { name: name() })?;
    let not_in_store = || Error::NotInStore { name: name(), value: src.to_string() };
    let below =
        src.strip_prefix(zeval_model::store_dir().as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
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
