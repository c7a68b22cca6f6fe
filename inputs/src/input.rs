//! An input: attributes that say what to fetch, and the scheme that knows how.

use zeval_model::{Algorithm, ContentMethod, Hash, StorePath, input::to_json, store_path};

use crate::{
    Attr, Attrs, InputError, Result, Settings,
    scheme::{self, Scheme},
    url::{self, Url},
};

/// An input. Two are equal if their attributes are.
#[derive(Clone)]
pub struct Input {
    /// What is said about it.
    pub attrs: Attrs,
    /// `None` for a type that this program does not know.
    scheme: Option<&'static dyn Scheme>,
}

impl PartialEq for Input {
    fn eq(&self, other: &Input) -> bool {
        self.attrs == other.attrs
    }
}

impl Eq for Input {}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", to_json(&self.attrs))
    }
}

/// Marks an input as having every attribute that fetching would add.
const FINAL: &str = "__final";

impl Input {
    /// The input that a text stands for; `require_tree` takes an address without a known ending as that of an archive.
    pub fn parse(settings: &Settings, text: &str, require_tree: bool) -> Result<Input> {
        let url = url::parse(text, false, &mut |message| settings.warn(message))?;
        Input::from_url(settings, &url, require_tree)
    }

    /// The input that an address stands for.
    pub fn from_url(settings: &Settings, url: &Url, require_tree: bool) -> Result<Input> {
        for scheme in scheme::all().iter().copied() {
            if let Some(attrs) = scheme.attrs_of_url(settings, url, require_tree)? {
                if let Some(feature) = scheme.feature() {
                    settings.require(feature)?;
                }
                return Input { attrs, scheme: Some(scheme) }.checked();
            }
        }
        Err(InputError::new(match url.split_scheme() {
            (Some("file"), "git") => {
                format!("input '{url}' is unsupported; did you mean 'git+file' instead of 'file+git'?")
            }
            _ => format!("input '{url}' is unsupported"),
        }))
    }

    /// The input that attributes describe; their `type` names its scheme.
    pub fn from_attrs(settings: &Settings, mut attrs: Attrs) -> Result<Input> {
        let Some(kind) = text(&attrs, "type")? else {
            return Err(InputError::new(
                "'type' attribute to specify input scheme is required but not provided",
            ));
        };
        let Some(scheme) = scheme::all().iter().copied().find(|scheme| scheme.name() == kind) else {
            return Input { attrs, scheme: None }.checked();
        };
        if let Some(feature) = scheme.feature() {
            settings.require(feature)?;
        }
        let is_allowed = |name: &str| name == "type" || name == FINAL || scheme.allowed().contains(&name);
        if let Some(name) = attrs.keys().find(|name| !is_allowed(name)) {
            let message = format!("input attribute '{name}' not supported by scheme '{kind}'");
            return Err(InputError::new(message));
        }
        scheme.check(settings, &mut attrs)?;
        Input { attrs, scheme: Some(scheme) }.checked()
    }

    /// The input if the attributes that all schemes share are of the right types.
    fn checked(self) -> Result<Input> {
        required_text(&self.attrs, "type")?;
        self.text("ref")?;
        number(&self.attrs, "revCount")?;
        number(&self.attrs, "lastModified")?;
        Ok(self)
    }

    /// The scheme, or an error that says what cannot be done without.
    pub fn scheme(&self, doing: &str) -> Result<&'static dyn Scheme> {
        self.scheme.ok_or_else(|| {
            InputError::new(format!("cannot {doing} unsupported input '{}'", to_json(&self.attrs)))
        })
    }

    /// The address that stands for the input.
    pub fn to_url(&self) -> Result<Url> {
        self.scheme("show")?.to_url(self)
    }

    /// The same, for messages: something readable even if there is no address.
    pub fn shown(&self) -> String {
        self.to_url().map_or_else(|_| to_json(&self.attrs).to_string(), |url| url.to_string())
    }

    /// `git`
    pub fn kind(&self) -> &str {
        match self.attrs.get("type") {
            Some(Attr::String(kind)) => kind,
            _ => "",
        }
    }

    /// Whether it can be fetched without a registry.
    pub fn is_direct(&self) -> bool {
        self.kind() != "indirect"
    }

    /// Whether it always has the same content.
    pub fn is_locked(&self, settings: &Settings) -> bool {
        self.scheme.is_some_and(|scheme| scheme.is_locked(settings, self))
    }

    /// Whether it has every attribute that fetching would add.
    pub fn is_final(&self) -> bool {
        self.attrs.get(FINAL) == Some(&Attr::Bool(true))
    }

    /// The same, saying that it is final.
    pub fn finally(mut self) -> Input {
        self.attrs.insert(FINAL.to_owned(), Attr::Bool(true));
        self
    }

    /// The same, of which more may be learned.
    pub fn not_finally(mut self) -> Input {
        self.attrs.remove(FINAL);
        self
    }

    /// The path of a `path:` input that is relative.
    pub fn relative_path(&self) -> Option<&str> {
        match self.attrs.get("path") {
            Some(Attr::String(path)) if self.kind() == "path" && !path.starts_with('/') => Some(path),
            _ => None,
        }
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        text(&self.attrs, name)
    }

    /// A text attribute that must be there.
    pub fn required_text(&self, name: &str) -> Result<&str> {
        required_text(&self.attrs, name)
    }

    /// A flag; not saying it means no.
    pub fn flag(&self, name: &str) -> Result<bool> {
        Ok(flag(&self.attrs, name)?.unwrap_or(false))
    }

    /// The branch or tag.
    pub fn reference(&self) -> Option<&str> {
        self.text("ref").ok().flatten()
    }

    /// The revision.
    pub fn revision(&self) -> Result<Option<Hash>> {
        self.text("rev")?.map(parse_revision).transpose()
    }

    /// The revision as git writes it.
    pub fn revision_text(&self) -> Result<Option<String>> {
        Ok(self.revision()?.map(|hash| hash.to_base16()))
    }

    /// The hash of its NAR.
    pub fn nar_hash(&self) -> Result<Option<Hash>> {
        match self.text("narHash")? {
            None => Ok(None),
            Some("") => Ok(Some(Hash::zero(Algorithm::Sha256))),
            Some(hash) => {
                let hash = Hash::parse_sri(hash).map_err(|error| InputError::new(error.to_string()))?;
                match hash.algorithm() {
                    Algorithm::Sha256 => Ok(Some(hash)),
                    _ => Err(InputError::new("narHash must use SHA-256")),
                }
            }
        }
    }

    /// Seconds since 1970.
    pub fn last_modified(&self) -> Option<u64> {
        number(&self.attrs, "lastModified").ok().flatten()
    }

    /// Commits up to the revision.
    pub fn revision_count(&self) -> Option<u64> {
        number(&self.attrs, "revCount").ok().flatten()
    }

    /// What its store path is called.
    pub fn name(&self) -> String {
        self.text("name").ok().flatten().unwrap_or("source").to_owned()
    }

    /// The store path that its hash gives.
    pub fn store_path(&self) -> Result<StorePath> {
        let Some(hash) = self.nar_hash()? else {
            let message = format!("cannot compute store path for unlocked input '{}'", self.shown());
            return Err(InputError::new(message));
        };
        store_path::content_path(ContentMethod::Nar, &hash, &self.name(), &store_path::References::none())
            .map_err(|error| InputError::new(error.to_string()))
    }

    /// The same with another branch or revision.
    pub fn with_overrides(&self, reference: Option<&str>, revision: Option<&Hash>) -> Result<Input> {
        match self.scheme {
            Some(scheme) => scheme.with_overrides(self, reference, revision),
            None => Ok(self.clone()),
        }
    }

    /// Whether a registry entry for this input is one for `other`: they are equal but for branch and revision.
    pub fn contains(&self, other: &Input) -> bool {
        let mut general = other.attrs.clone();
        general.remove("ref");
        general.remove("rev");
        self.attrs == other.attrs || self.attrs == general
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &str, value: impl Into<Attr>) {
        self.attrs.insert(name.to_owned(), value.into());
    }
}

/// A revision: prefixed by its algorithm, or the digits of a SHA-1.
pub fn parse_revision(text: &str) -> Result<Hash> {
    let prefixed = text.contains([':', '-']);
    Hash::parse(text, if prefixed { None } else { Some(Algorithm::Sha1) })
        .map_err(|error| InputError::new(error.to_string()))
}

/// A text attribute.
pub fn text<'a>(attrs: &'a Attrs, name: &str) -> Result<Option<&'a str>> {
    match attrs.get(name) {
        None => Ok(None),
        Some(Attr::String(text)) => Ok(Some(text)),
        Some(_) => {
            Err(InputError::new(format!("input attribute '{name}' is not a string {}", to_json(attrs))))
        }
    }
}

/// A text attribute that must be there.
pub fn required_text<'a>(attrs: &'a Attrs, name: &str) -> Result<&'a str> {
    text(attrs, name)?.ok_or_else(|| InputError::new(format!("input attribute '{name}' is missing")))
}

/// A number.
pub fn number(attrs: &Attrs, name: &str) -> Result<Option<u64>> {
    match attrs.get(name) {
        None => Ok(None),
        Some(Attr::Int(number)) => Ok(Some(*number)),
        Some(_) => Err(InputError::new(format!("input attribute '{name}' is not an integer"))),
    }
}

/// A flag.
pub fn flag(attrs: &Attrs, name: &str) -> Result<Option<bool>> {
    match attrs.get(name) {
        None => Ok(None),
        Some(Attr::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(InputError::new(format!("input attribute '{name}' is not a Boolean"))),
    }
}
