//! What a person needs to do by hand what a builder would do: the environment of a derivation, without its sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::{BString, ByteSlice};
use zeval_model::{Derivation, StorePath};

use super::attributes::Attributes;
use super::environment::Preparation;
use super::error::{BuildError, Malformed};
use super::outputs::scratch_paths;
use crate::sandbox::Surroundings;
use crate::store::Store;

/// Variables that are the machine's, not the build's: the user keeps their own.
const OWN: [&str; 7] = ["PATH", "HOME", "TERM", "PWD", "NIX_LOG_FD", "SSL_CERT_FILE", "TZ"];

/// The environment of a derivation, to be used by hand.
pub struct Development {
    /// The variables that the builder would get; `PATH` only if the derivation says it.
    pub variables: BTreeMap<BString, BString>,
    /// Files that variables name, to be put into the build folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What would be run.
    pub builder: BString,
}

/// Where things are for somebody who builds by hand.
pub struct Places<'a> {
    /// For what is temporary.
    pub build: &'a Path,
    /// For the outputs, by name; without it they are where the builder would make them.
    pub outputs: Option<&'a Path>,
}

/// The environment of a derivation. `built` are the outputs of its inputs; those
/// that are not valid are named nevertheless.
pub fn development(
    store: &Store,
    drv_path: &StorePath,
    built: &BTreeMap<(StorePath, String), StorePath>,
    places: &Places<'_>,
    cores: usize,
) -> Result<Development, BuildError> {
    let written = store.derivation(drv_path)?;
    let drv = resolved(&written, built)?;
    let attributes = Attributes::of(&drv)?;
    let scratch = scratch_paths(&drv, drv_path)?;
    let mut direct: BTreeSet<StorePath> = built.values().chain(&written.input_sources).cloned().collect();
    direct.retain(|path| store.is_valid(path).unwrap_or(false));
    let surroundings = Surroundings::default();
    let preparation = Preparation {
        store,
        drv: &drv,
        kind: drv.kind()?,
        attributes: &attributes,
        scratch: &scratch,
        inputs: &store.closure(&direct)?,
        cores,
        surroundings: &surroundings,
        certificates: None,
    };
    let start = preparation.start()?;
    let moved = places.outputs.into_iter().flat_map(|folder| {
        scratch.iter().map(|(name, path)| (path.to_string(), folder.join(name).display().to_string()))
    });
    let outputs: Vec<(String, String)> = moved.collect();
    let place = |text: &[u8]| {
        outputs.iter().fold(text.to_vec(), |text, (path, place)| match text.find(path) {
            Some(_) => text.replace(path, place),
            None => text,
        })
    };
    let is_own = |name: &BString| OWN.iter().any(|own| name.as_bytes() == own.as_bytes());
    let is_wanted = |name: &BString| !is_own(name) || attributes.has_variable(name);
    let build = places.build.display().to_string();
    let variables = start.environment.into_iter().filter(|(name, _)| is_wanted(name)).map(|(name, value)| {
        let below = value.strip_prefix(surroundings.build_folder.as_os_str().as_bytes());
        let value = match below.filter(|below| below.is_empty() || below.starts_with(b"/.")) {
            Some(below) => [build.as_bytes(), below].concat(),
            None => place(&value),
        };
        (name, BString::from(value))
    });
    Ok(Development {
        variables: variables.collect(),
        files: start.files.into_iter().map(|(name, text)| (name, place(&text))).collect(),
        builder: drv.builder.clone(),
    })
}

/// The derivation with plain paths in the place of inputs whose paths are only known now.
fn resolved(
    drv: &Derivation,
    built: &BTreeMap<(StorePath, String), StorePath>,
) -> Result<Derivation, BuildError> {
    if drv.input_derivations.is_empty() {
        return Ok(drv.clone());
    }
    let resolved = drv.resolve(|drv, output| built.get(&(drv.clone(), output.to_owned())).cloned())?;
    resolved.ok_or_else(|| Malformed::new("an input of it has not the output that it uses").into())
}
