//! `path:/a/b`: a folder of this machine.

use super::Scheme;
use crate::{
    Attr, Attrs, Input, InputError, Result, Settings,
    input::required_text,
    url::{Url, path_segments},
};

/// A folder of this machine.
pub(super) struct Path;

impl Scheme for Path {
    fn name(&self) -> &'static str {
        "path"
    }

    fn feature(&self) -> Option<&'static str> {
        Some("flakes")
    }

    fn allowed(&self) -> &'static [&'static str] {
        &["path", "rev", "revCount", "lastModified", "narHash"]
    }

    fn attrs_of_url(&self, _: &Settings, url: &Url, _: bool) -> Result<Option<Attrs>> {
        if url.scheme != "path" {
            return Ok(None);
        }
        if let Some(authority) = url.authority.as_ref().filter(|authority| !authority.host.is_empty()) {
            let message = format!("path URL '{url}' should not have an authority ('{authority}')");
            return Err(InputError::new(message));
        }
        let mut attrs =
            Attrs::from([("type".to_owned(), "path".into()), ("path".to_owned(), url.file_path()?.into())]);
        for (name, value) in &url.query {
            let attr = match name.as_str() {
                "rev" | "narHash" => Attr::from(value.as_str()),
                "revCount" | "lastModified" => Attr::Int(value.parse().map_err(|_| {
                    InputError::new(format!("path URL '{url}' has invalid parameter '{name}'"))
                })?),
                _ => {
                    let message = format!("path URL '{url}' has unsupported parameter '{name}'");
                    return Err(InputError::new(message));
                }
            };
            attrs.insert(name.clone(), attr);
        }
        Ok(Some(attrs))
    }

    fn check(&self, _: &Settings, attrs: &mut Attrs) -> Result<()> {
        required_text(attrs, "path").map(|_| ())
    }

    fn to_url(&self, input: &Input) -> Result<Url> {
        let is_query = |name: &str| !matches!(name, "path" | "type" | "__final");
        let query = input.attrs.iter().filter(|(name, _)| is_query(name)).map(|(name, attr)| {
            let value = match attr {
                Attr::String(text) => text.clone(),
                Attr::Int(number) => number.to_string(),
                Attr::Bool(value) => if *value { "1" } else { "0" }.to_owned(),
            };
            (name.clone(), value)
        });
        Ok(Url {
            scheme: "path".to_owned(),
            path: path_segments(input.required_text("path")?),
            query: query.collect(),
            ..Url::default()
        })
    }

    fn is_locked(&self, _: &Settings, input: &Input) -> bool {
        input.attrs.contains_key("narHash")
    }
}
