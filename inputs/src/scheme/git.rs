//! `git+https://...`: a git repository, or the work tree of one.

use serde_json::{Value, json};
use zeval_model::Hash;

use super::{Scheme, is_legal_ref, overridden};
use crate::{
    Attr, Attrs, Input, InputError, Result, Settings,
    input::{flag, required_text, text},
    url::{self, Url, git_url},
};

/// A git repository.
pub(super) struct Git;

/// Attributes that an address has as `name=1`.
const FLAGS: [&str; 6] = ["shallow", "submodules", "lfs", "exportIgnore", "allRefs", "verifyCommit"];
/// Attributes that an address has as text.
const TEXTS: [&str; 5] = ["rev", "ref", "keytype", "publicKey", "publicKeys"];
/// Attributes about who signed a commit.
const VERIFICATION: [&str; 4] = ["verifyCommit", "keytype", "publicKey", "publicKeys"];

impl Scheme for Git {
    fn name(&self) -> &'static str {
        "git"
    }

    fn allowed(&self) -> &'static [&'static str] {
        &[
            "url",
            "ref",
            "rev",
            "shallow",
            "submodules",
            "lfs",
            "exportIgnore",
            "lastModified",
            "revCount",
            "narHash",
            "allRefs",
            "name",
            "dirtyRev",
            "dirtyShortRev",
            "verifyCommit",
            "keytype",
            "publicKey",
            "publicKeys",
        ]
    }

    fn attrs_of_url(&self, settings: &Settings, url: &Url, _: bool) -> Result<Option<Attrs>> {
        if url.scheme != "git" && url.split_scheme().0 != Some("git") {
            return Ok(None);
        }
        let mut repository = url.clone();
        repository.query.clear();
        let mut attrs = Attrs::from([("type".to_owned(), "git".into())]);
        for (name, value) in &url.query {
            if TEXTS.contains(&name.as_str()) {
                attrs.insert(name.clone(), value.as_str().into());
            } else if FLAGS.contains(&name.as_str()) {
                attrs.insert(name.clone(), Attr::Bool(value == "1"));
            } else {
                repository.query.insert(name.clone(), value.clone());
            }
        }
        attrs.insert("url".to_owned(), repository.to_string().into());
        self.check(settings, &mut attrs)?;
        Ok(Some(attrs))
    }

    fn check(&self, settings: &Settings, attrs: &mut Attrs) -> Result<()> {
        if VERIFICATION.iter().any(|name| attrs.contains_key(*name)) {
            settings.require("verified-fetches")?;
        }
        flag(attrs, "verifyCommit")?;
        if let Some(reference) = text(attrs, "ref")?.filter(|reference| !is_legal_ref(reference)) {
            return Err(InputError::bad_url(format!("invalid Git branch/tag name '{reference}'")));
        }
        let url = git_url(required_text(attrs, "url")?)?.to_string();
        attrs.insert("url".to_owned(), url.into());
        for name in ["shallow", "submodules", "allRefs"] {
            flag(attrs, name)?;
        }
        Ok(())
    }

    fn to_url(&self, input: &Input) -> Result<Url> {
        let mut url = url::parse(input.required_text("url")?, false, &mut |_| ())?;
        if url.scheme != "git" {
            url.scheme = format!("git+{}", url.scheme);
        }
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                url.query.insert(name.to_owned(), value);
            }
        };
        set("rev", input.revision_text()?);
        set("ref", input.reference().map(str::to_owned));
        for name in ["shallow", "lfs", "submodules", "exportIgnore", "verifyCommit"] {
            set(name, input.flag(name)?.then(|| "1".to_owned()));
        }
        match public_keys(&input.attrs)?.as_slice() {
            [] => {}
            [(kind, key)] => {
                set("keytype", Some(kind.clone()));
                set("publicKey", Some(key.clone()));
            }
            keys => {
                let keys = keys.iter().map(|(kind, key)| json!({ "key": key, "type": kind }));
                set("publicKeys", Some(Value::Array(keys.collect()).to_string()));
            }
        }
        Ok(url)
    }

    fn is_locked(&self, _: &Settings, input: &Input) -> bool {
        let revision = input.revision().ok().flatten();
        revision.is_some_and(|revision| revision != Hash::zero(revision.algorithm()))
    }

    fn with_overrides(
        &self,
        input: &Input,
        reference: Option<&str>,
        revision: Option<&Hash>,
    ) -> Result<Input> {
        let input = overridden(input, reference, revision);
        if input.reference().is_none() && input.revision()?.is_some() {
            return Err(InputError::new(format!(
                "Git input '{}' has a commit hash but no branch/tag name",
                input.shown()
            )));
        }
        Ok(input)
    }
}

/// The keys of which one must have signed the commit: type and key.
pub(crate) fn public_keys(attrs: &Attrs) -> Result<Vec<(String, String)>> {
    let mut keys = Vec::new();
    let kind_or_default = |kind: Option<&str>| kind.unwrap_or("ssh-ed25519").to_owned();
    if let Some(list) = text(attrs, "publicKeys")? {
        let list: Vec<Value> = serde_json::from_str(list)
            .map_err(|error| InputError::new(format!("cannot read 'publicKeys': {error}")))?;
        for key in &list {
            let Some(text) = key["key"].as_str() else {
                return Err(InputError::new("Expected JSON object to contain key 'key' but it doesn't"));
            };
            keys.push((kind_or_default(key["type"].as_str()), text.to_owned()));
        }
    }
    if let Some(key) = text(attrs, "publicKey")? {
        keys.push((kind_or_default(text(attrs, "keytype")?), key.to_owned()));
    }
    Ok(keys)
}
