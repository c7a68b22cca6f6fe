//! `hg+https://...`: a Mercurial repository.

use zeval_model::Hash;

use super::{Scheme, is_reference, overridden};
use crate::{
    Attrs, Input, InputError, Result, Settings,
    input::{required_text, text},
    url::{self, Url},
};

/// A Mercurial repository.
pub(super) struct Mercurial;

impl Scheme for Mercurial {
    fn name(&self) -> &'static str {
        "hg"
    }

    fn allowed(&self) -> &'static [&'static str] {
        &["url", "ref", "rev", "revCount", "narHash", "name"]
    }

    fn attrs_of_url(&self, settings: &Settings, url: &Url, _: bool) -> Result<Option<Attrs>> {
        let (Some("hg"), transport @ ("http" | "https" | "ssh" | "file")) = url.split_scheme() else {
            return Ok(None);
        };
        let mut repository = Url { scheme: transport.to_owned(), ..url.clone() };
        repository.query.clear();
        let mut attrs = Attrs::from([("type".to_owned(), "hg".into())]);
        for (name, value) in &url.query {
            match name.as_str() {
                "rev" | "ref" => attrs.insert(name.clone(), value.as_str().into()).map(|_| ()),
                _ => repository.query.insert(name.clone(), value.clone()).map(|_| ()),
            };
        }
        attrs.insert("url".to_owned(), repository.to_string().into());
        self.check(settings, &mut attrs)?;
        Ok(Some(attrs))
    }

    fn check(&self, _: &Settings, attrs: &mut Attrs) -> Result<()> {
        url::parse(required_text(attrs, "url")?, false, &mut |_| ())?;
        match text(attrs, "ref")? {
            Some(reference) if !is_reference(reference) => {
                Err(InputError::bad_url(format!("invalid Mercurial branch/tag name '{reference}'")))
            }
            _ => Ok(()),
        }
    }

    fn to_url(&self, input: &Input) -> Result<Url> {
        let mut url = url::parse(input.required_text("url")?, false, &mut |_| ())?;
        url.scheme = format!("hg+{}", url.scheme);
        if let Some(revision) = input.revision_text()? {
            url.query.insert("rev".to_owned(), revision);
        }
        if let Some(reference) = input.reference() {
            url.query.insert("ref".to_owned(), reference.to_owned());
        }
        Ok(url)
    }

    fn is_locked(&self, _: &Settings, input: &Input) -> bool {
        input.attrs.contains_key("rev")
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
