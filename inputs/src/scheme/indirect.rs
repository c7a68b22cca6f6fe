//! `nixpkgs/branch`: a name that a registry explains.

use zeval_model::Hash;

use super::{Scheme, is_flake_id, is_legal_ref, is_revision, overridden};
use crate::{Attrs, Input, InputError, Result, Settings, input::required_text, url::Url};

/// A name that a registry explains.
pub(super) struct Indirect;

fn bad_id(id: &str) -> InputError {
    InputError::bad_url(format!("'{id}' is not a valid flake ID"))
}

impl Scheme for Indirect {
    fn name(&self) -> &'static str {
        "indirect"
    }

    fn feature(&self) -> Option<&'static str> {
        Some("flakes")
    }

    fn allowed(&self) -> &'static [&'static str] {
        &["id", "ref", "rev", "narHash"]
    }

    fn attrs_of_url(&self, _: &Settings, url: &Url, _: bool) -> Result<Option<Attrs>> {
        if url.scheme != "flake" {
            return Ok(None);
        }
        let segments: Vec<&str> = url.segments().collect();
        let in_url = |what: String| InputError::bad_url(format!("in flake URL '{url}', {what}"));
        let (id, reference, revision) = match segments.as_slice() {
            [id] => (id, None, None),
            [id, revision] if is_revision(revision) => (id, None, Some(*revision)),
            [id, reference] if is_legal_ref(reference) => (id, Some(*reference), None),
            [_, other] => {
                return Err(in_url(format!("'{other}' is not a commit hash or branch/tag name")));
            }
            [_, reference, _] if !is_legal_ref(reference) => {
                return Err(in_url(format!("'{reference}' is not a branch/tag name")));
            }
            [_, _, revision] if !is_revision(revision) => {
                return Err(in_url(format!("'{revision}' is not a commit hash")));
            }
            [id, reference, revision] => (id, Some(*reference), Some(*revision)),
            _ => return Err(InputError::bad_url(format!("GitHub URL '{url}' is invalid"))),
        };
        if !is_flake_id(id) {
            return Err(bad_id(id));
        }
        let mut attrs =
            Attrs::from([("type".to_owned(), "indirect".into()), ("id".to_owned(), (*id).into())]);
        if let Some(revision) = revision {
            attrs.insert("rev".to_owned(), revision.to_ascii_lowercase().into());
        }
        if let Some(reference) = reference {
            attrs.insert("ref".to_owned(), reference.into());
        }
        Ok(Some(attrs))
    }

    fn check(&self, _: &Settings, attrs: &mut Attrs) -> Result<()> {
        let id = required_text(attrs, "id")?;
        if is_flake_id(id) { Ok(()) } else { Err(bad_id(id)) }
    }

    fn to_url(&self, input: &Input) -> Result<Url> {
        let mut path = vec![input.required_text("id")?.to_owned()];
        path.extend(input.reference().map(str::to_owned));
        path.extend(input.revision_text()?);
        Ok(Url { scheme: "flake".to_owned(), path, ..Url::default() })
    }

    fn is_locked(&self, _: &Settings, _: &Input) -> bool {
        false
    }

    fn with_overrides(
        &self,
        input: &Input,
        reference: Option<&str>,
        revision: Option<&Hash>,
    ) -> Result<Input> {
        Ok(overridden(input, reference, revision))
    }
}
