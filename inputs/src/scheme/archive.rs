//! `https://.../x.tar.gz`: an archive that is unpacked, or a file as it is.

use super::Scheme;
use crate::{
    Attr, Attrs, Input, Result, Settings,
    url::{self, Url},
};

/// Something that one address serves.
pub(super) struct Download {
    name: &'static str,
}

/// A file, as it is.
pub(super) const FILE: Download = Download { name: "file" };
/// An archive.
pub(super) const TARBALL: Download = Download { name: "tarball" };

/// What an archive's name ends in.
const ENDINGS: [&str; 7] = [".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"];

impl Download {
    fn is_for(&self, url: &Url, require_tree: bool) -> bool {
        let (application, transport) = url.split_scheme();
        let is_archive = url.path.last().is_some_and(|name| ENDINGS.iter().any(|end| name.ends_with(end)));
        let looks_like_it = match self.name {
            "file" => !require_tree && !is_archive,
            _ => require_tree || is_archive,
        };
        matches!(transport, "file" | "http" | "https")
            && application.map_or(looks_like_it, |application| application == self.name)
    }
}

impl Scheme for Download {
    fn name(&self) -> &'static str {
        self.name
    }

    fn allowed(&self) -> &'static [&'static str] {
        &["url", "narHash", "name", "unpack", "rev", "revCount", "lastModified"]
    }

    fn attrs_of_url(&self, _: &Settings, url: &Url, require_tree: bool) -> Result<Option<Attrs>> {
        if !self.is_for(url, require_tree) {
            return Ok(None);
        }
        let mut served = Url { scheme: url.split_scheme().1.to_owned(), ..url.clone() };
        served.query.retain(|name, _| !self.allowed().contains(&name.as_str()));
        let mut attrs = Attrs::from([
            ("type".to_owned(), self.name.into()),
            ("url".to_owned(), served.to_string().into()),
        ]);
        for name in ["narHash", "rev"] {
            if let Some(value) = url.query.get(name) {
                attrs.insert(name.to_owned(), value.as_str().into());
            }
        }
        for name in ["revCount", "lastModified"] {
            if let Some(number) = url.query.get(name).and_then(|value| value.parse().ok()) {
                attrs.insert(name.to_owned(), Attr::Int(number));
            }
        }
        Ok(Some(attrs))
    }

    fn check(&self, _: &Settings, _: &mut Attrs) -> Result<()> {
        Ok(())
    }

    fn to_url(&self, input: &Input) -> Result<Url> {
        let mut url = url::parse(input.required_text("url")?, false, &mut |_| ())?;
        if let Some(hash) = input.nar_hash()? {
            url.query.insert("narHash".to_owned(), hash.to_sri());
        }
        Ok(url)
    }

    fn is_locked(&self, _: &Settings, input: &Input) -> bool {
        input.attrs.contains_key("narHash")
    }
}
