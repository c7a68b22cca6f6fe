//! The types of inputs: which attributes they have, and which addresses stand for them.

mod archive;
mod forge;
mod git;
mod indirect;
mod mercurial;
mod names;
mod path;

use zeval_model::{Hash, input::to_json};

use crate::{Attrs, Input, InputError, Result, Settings, url::Url};

pub(crate) use git::public_keys;
pub use names::{is_flake_id, is_legal_ref, is_reference, is_revision};

/// A type of input.
pub trait Scheme: Sync {
    /// What `type` says.
    fn name(&self) -> &'static str;

    /// The experimental feature that it needs.
    fn feature(&self) -> Option<&'static str> {
        None
    }

    /// The attributes besides `type` that it may have.
    fn allowed(&self) -> &'static [&'static str];

    /// The attributes that an address stands for; `None` if it is not one of this scheme.
    fn attrs_of_url(&self, settings: &Settings, url: &Url, require_tree: bool) -> Result<Option<Attrs>>;

    /// Refuses malformed attributes, and brings others into their canonical form.
    fn check(&self, settings: &Settings, attrs: &mut Attrs) -> Result<()>;

    /// The address that stands for an input.
    fn to_url(&self, input: &Input) -> Result<Url>;

    /// Whether an input always has the same content.
    fn is_locked(&self, settings: &Settings, input: &Input) -> bool;

    /// The input with another branch or revision.
    fn with_overrides(
        &self,
        input: &Input,
        reference: Option<&str>,
        revision: Option<&Hash>,
    ) -> Result<Input> {
        if let Some(reference) = reference {
            return Err(InputError::new(format!(
                "don't know how to set branch/tag name of input '{}' to '{reference}'",
                input.shown()
            )));
        }
        if let Some(revision) = revision {
            return Err(InputError::new(format!(
                "don't know how to set revision of input '{}' to '{}'",
                input.shown(),
                revision.to_base16()
            )));
        }
        Ok(input.clone())
    }
}

/// All schemes, in the order in which an address is tried on them.
pub fn all() -> &'static [&'static dyn Scheme] {
    &[
        &archive::FILE,
        &git::Git,
        &forge::GITHUB,
        &forge::GITLAB,
        &mercurial::Mercurial,
        &indirect::Indirect,
        &path::Path,
        &forge::SOURCEHUT,
        &archive::TARBALL,
    ]
}

/// Replaces branch and revision of an input whose scheme may have both.
fn overridden(input: &Input, reference: Option<&str>, revision: Option<&Hash>) -> Input {
    let mut input = input.clone();
    if let Some(revision) = revision {
        input.set("rev", revision.to_base16());
    }
    if let Some(reference) = reference {
        input.set("ref", reference);
    }
    input
}

fn shown(attrs: &Attrs) -> String {
    to_json(attrs).to_string()
}
