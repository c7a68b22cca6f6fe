//! Flake references: an input and the folder of a flake in it, as text and as attributes.

pub mod path;

use std::path::Path;

use crate::{
    Attr, Attrs, Input, InputError, Result, Settings,
    input::text,
    scheme::{is_flake_id, is_reference},
    url::{self, Url, path_segments, percent_decode},
};

/// A reference to a flake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlakeRef {
    /// Where its source is.
    pub input: Input,
    /// The flake's folder in the source; empty for the root.
    pub folder: String,
}

/// How a text is read.
#[derive(Clone, Copy, Default)]
pub struct Reading<'a> {
    /// Where relative paths begin; without it they are refused.
    pub base: Option<&'a Path>,
    /// Whether a path may point to nothing yet.
    pub allow_missing: bool,
    /// Whether it is for a flake, and not for any source.
    pub is_flake: bool,
    /// Whether relative paths stay as they are.
    pub keep_relative: bool,
}

impl Reading<'_> {
    /// As builtins read.
    pub const BUILTIN: Reading<'static> =
        Reading { base: None, allow_missing: true, is_flake: true, keep_relative: false };
}

impl FlakeRef {
    /// Reads a reference that has no fragment.
    pub fn parse(settings: &Settings, text: &str, reading: Reading<'_>) -> Result<FlakeRef> {
        let (reference, fragment) = FlakeRef::parse_with_fragment(settings, text, reading)?;
        if !fragment.is_empty() {
            let message = format!("unexpected fragment '{fragment}' in flake reference '{text}'");
            return Err(InputError::new(message));
        }
        Ok(reference)
    }

    /// Reads a reference and what is behind `#`.
    pub fn parse_with_fragment(
        settings: &Settings,
        text: &str,
        reading: Reading<'_>,
    ) -> Result<(FlakeRef, String)> {
        if let Some(url) = short_url(text) {
            let fragment = percent_decode(text.split_once('#').map_or("", |(_, fragment)| fragment))?;
            let input = Input::from_url(settings, &url, reading.is_flake)?;
            return Ok((FlakeRef { input, folder: String::new() }, fragment));
        }
        match parse_url(settings, text, reading) {
            Err(error) if error.is_bad_url => path::parse(settings, text, reading),
            result => result,
        }
    }

    /// The reference that attributes describe.
    pub fn from_attrs(settings: &Settings, attrs: &Attrs) -> Result<FlakeRef> {
        let folder = text(attrs, "dir")?.unwrap_or_default().to_owned();
        let mut attrs = attrs.clone();
        attrs.remove("dir");
        Ok(FlakeRef { input: Input::from_attrs(settings, attrs)?, folder })
    }

    /// Its attributes.
    pub fn to_attrs(&self) -> Attrs {
        let mut attrs = self.input.attrs.clone();
        if !self.folder.is_empty() {
            attrs.entry("dir".to_owned()).or_insert(Attr::from(self.folder.as_str()));
        }
        attrs
    }

    /// As text.
    pub fn to_text(&self) -> Result<String> {
        let mut url = self.input.to_url()?;
        if !self.folder.is_empty() {
            url.query.entry("dir".to_owned()).or_insert(self.folder.clone());
        }
        Ok(url.to_string())
    }

    /// As text, or something readable if there is none.
    pub fn shown(&self) -> String {
        self.to_text().unwrap_or_else(|_| self.input.shown())
    }

    /// The same without a `dir` in its address that says what `folder` says: older versions of Nix wrote both.
    pub fn canonical(&self) -> FlakeRef {
        let mut canonical = self.clone();
        if let Some(Attr::String(address)) = self.input.attrs.get("url")
            && let Ok(mut url) = url::parse(address, true, &mut |_| ())
        {
            if !self.folder.is_empty() && url.query.get("dir") == Some(&self.folder) {
                url.query.remove("dir");
            }
            canonical.input.set("url", url.to_string());
        }
        canonical
    }
}

fn from_url(settings: &Settings, mut url: Url, is_flake: bool) -> Result<(FlakeRef, String)> {
    let folder = url.query.remove("dir").unwrap_or_default();
    let fragment = std::mem::take(&mut url.fragment);
    Ok((FlakeRef { input: Input::from_url(settings, &url, is_flake)?, folder }, fragment))
}

/// `nixpkgs/branch` as the address `flake:nixpkgs/branch`.
fn short_url(text: &str) -> Option<Url> {
    let (name, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (id, rest) = match name.split_once('/') {
        Some((id, rest)) => (id, Some(rest)),
        None => (name, None),
    };
    let in_fragment = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'\"()*+,;=:@/? ^%".contains(&byte);
    let is_short = is_flake_id(id) && rest.is_none_or(is_reference) && fragment.bytes().all(in_fragment);
    is_short.then(|| Url { scheme: "flake".to_owned(), path: path_segments(name), ..Url::default() })
}

fn parse_url(settings: &Settings, text: &str, reading: Reading<'_>) -> Result<(FlakeRef, String)> {
    let mut url = url::parse(text, true, &mut |message| settings.warn(message))?;
    if let Some(base) = reading.base.filter(|_| matches!(url.scheme.as_str(), "path" | "git+file")) {
        let path = url.file_path()?;
        if !path.starts_with('/') {
            url.path = path_segments(&path::absolute(&path, base));
        }
    }
    from_url(settings, url, reading.is_flake)
}
