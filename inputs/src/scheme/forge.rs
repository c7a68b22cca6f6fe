//! `github:owner/repo/branch`: a repository of a site that serves its revisions as archives.

use zeval_model::{Algorithm, Hash};

use super::{Scheme, is_legal_ref, is_revision, shown};
use crate::{
    Attrs, Input, InputError, Result, Settings,
    input::{required_text, text},
    url::Url,
};

/// A site that serves repositories as archives.
pub(super) struct Forge {
    name: &'static str,
}

pub(super) const GITHUB: Forge = Forge { name: "github" };
pub(super) const GITLAB: Forge = Forge { name: "gitlab" };
pub(super) const SOURCEHUT: Forge = Forge { name: "sourcehut" };

impl Scheme for Forge {
    fn name(&self) -> &'static str {
        self.name
    }

    fn feature(&self) -> Option<&'static str> {
        Some("flakes")
    }

    fn allowed(&self) -> &'static [&'static str] {
        &["owner", "repo", "ref", "rev", "narHash", "lastModified", "host", "treeHash"]
    }

    fn attrs_of_url(&self, settings: &Settings, url: &Url, _: bool) -> Result<Option<Attrs>> {
        if url.scheme != self.name {
            return Ok(None);
        }
        let segments: Vec<&str> = url.segments().collect();
        let [owner, repo, rest @ ..] = segments.as_slice() else {
            return Err(InputError::bad_url(format!("URL '{url}' is invalid")));
        };
        let (mut reference, mut revision) = match rest {
            [] => (None, None),
            [revision] if is_revision(revision) => (None, Some((*revision).to_owned())),
            rest => (Some(rest.join("/")), None),
        };
        let several = |what: &str| InputError::bad_url(format!("URL '{url}' contains multiple {what}"));
        let mut attrs = Attrs::from([
            ("type".to_owned(), self.name.into()),
            ("owner".to_owned(), (*owner).into()),
            ("repo".to_owned(), (*repo).into()),
        ]);
        for (name, value) in &url.query {
            match name.as_str() {
                "rev" if revision.is_some() => return Err(several("commit hashes")),
                "ref" if reference.is_some() => return Err(several("branch/tag names")),
                "rev" => revision = Some(value.clone()),
                "ref" => reference = Some(value.clone()),
                "host" | "narHash" => {
                    attrs.insert(name.clone(), value.as_str().into());
                }
                _ => {}
            }
        }
        attrs.extend(revision.map(|revision| ("rev".to_owned(), revision.into())));
        attrs.extend(reference.map(|reference| ("ref".to_owned(), reference.into())));
        self.check(settings, &mut attrs)?;
        Ok(Some(attrs))
    }

    fn check(&self, _: &Settings, attrs: &mut Attrs) -> Result<()> {
        required_text(attrs, "owner")?;
        required_text(attrs, "repo")?;
        let (reference, revision) = (text(attrs, "ref")?, text(attrs, "rev")?);
        let wrong = |what: &str| InputError::bad_url(format!("input {} contains {what}", shown(attrs)));
        if let (Some(reference), Some(revision)) = (reference, revision) {
            return Err(wrong(&format!(
                "both a commit hash ('{revision}') and a branch/tag name ('{reference}')"
            )));
        }
        if let Some(revision) = revision {
            Hash::parse(revision, Some(Algorithm::Sha1))
                .map_err(|error| InputError::new(error.to_string()))?;
        }
        if reference.is_some_and(|reference| !is_legal_ref(reference)) {
            return Err(wrong("an invalid branch/tag name"));
        }
        let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if text(attrs, "host")?.is_some_and(|host| !host.bytes().all(is_host_byte)) {
            return Err(wrong("an invalid instance host"));
        }
        Ok(())
    }

    fn to_url(&self, input: &Input) -> Result<Url> {
        let mut path =
            vec![input.required_text("owner")?.to_owned(), input.required_text("repo")?.to_owned()];
        path.extend(input.reference().map(str::to_owned));
        path.extend(input.revision_text()?);
        let mut url = Url { scheme: self.name.to_owned(), path, ..Url::default() };
        if let Some(hash) = input.nar_hash()? {
            url.query.insert("narHash".to_owned(), hash.to_sri());
        }
        if let Some(host) = input.text("host")? {
            url.query.insert("host".to_owned(), host.to_owned());
        }
        Ok(url)
    }

    fn is_locked(&self, settings: &Settings, input: &Input) -> bool {
        input.attrs.contains_key("rev")
            && (settings.trust_tarballs_from_git_forges || input.attrs.contains_key("narHash"))
    }

    fn with_overrides(
        &self,
        input: &Input,
        reference: Option<&str>,
        revision: Option<&Hash>,
    ) -> Result<Input> {
        let mut input = input.clone();
        if let (Some(reference), Some(revision)) = (reference, revision) {
            return Err(InputError::bad_url(format!(
                "cannot apply both a commit hash ({}) and a branch/tag name ('{reference}') to input '{}'",
                revision.to_base16(),
                input.shown()
            )));
        }
        if let Some(revision) = revision {
            input.set("rev", revision.to_base16());
            input.attrs.remove("ref");
        }
        if let Some(reference) = reference {
            input.set("ref", reference);
            input.attrs.remove("rev");
        }
        Ok(input)
    }
}
