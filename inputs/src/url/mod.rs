//! Addresses (RFC 3986), read and written as Nix does.

mod encode;
mod parse;

use std::{collections::BTreeMap, fmt};

pub use encode::{percent_decode, percent_encode};
pub use parse::{decode_query, parse};

use crate::error::{InputError, Result};

/// An address in its parts, without any percent-encoding.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Url {
    /// `https`
    pub scheme: String,
    /// `user@host:1`
    pub authority: Option<Authority>,
    /// The segments; an absolute path begins with an empty one.
    pub path: Vec<String>,
    /// `a=b`
    pub query: BTreeMap<String, String>,
    /// What is behind `#`.
    pub fragment: String,
}

/// Who serves an address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Authority {
    pub user: Option<String>,
    pub password: Option<String>,
    pub host: String,
    /// Whether the host is an IPv6 address, without its brackets.
    pub is_ipv6: bool,
    pub port: Option<u16>,
}

impl Url {
    /// The part of the scheme before `+`, if there is one, and the rest.
    pub fn split_scheme(&self) -> (Option<&str>, &str) {
        match self.scheme.split_once('+') {
            Some((application, transport)) => (Some(application), transport),
            None => (None, &self.scheme),
        }
    }

    /// The segments that are not empty.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.iter().map(String::as_str).filter(|segment| !segment.is_empty())
    }

    /// The path as that of a file.
    pub fn file_path(&self) -> Result<String> {
        for segment in &self.path {
            if segment.contains('/') {
                return Err(InputError::bad_url(format!(
                    "URL path component '{segment}' contains '/', which is not allowed in file names"
                )));
            }
            if segment.contains('\0') {
                return Err(InputError::bad_url(format!(
                    "URL path component '{}' contains NUL byte which is not allowed",
                    segment.replace('\0', "␀")
                )));
            }
        }
        match self.path.as_slice() {
            [empty] if empty.is_empty() => Ok("/".to_owned()),
            segments => Ok(segments.join("/")),
        }
    }
}

/// The segments of a file's path.
pub fn path_segments(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            f.write_str(&percent_encode(user, ""))?;
            if let Some(password) = &self.password {
                write!(f, ":{}", percent_encode(password, ""))?;
            }
            f.write_str("@")?;
        }
        match self.is_ipv6 {
            true => write!(f, "[{}]", percent_encode(&self.host, ":"))?,
            false => f.write_str(&percent_encode(&self.host, ""))?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if let Some(authority) = &self.authority {
            write!(f, "//{authority}")?;
        }
        let path: Vec<String> = self.path.iter().map(|segment| percent_encode(segment, ":@")).collect();
        f.write_str(&path.join("/"))?;
        for (index, (name, value)) in self.query.iter().enumerate() {
            let kept = ":@/?";
            let start = if index == 0 { '?' } else { '&' };
            write!(f, "{start}{}={}", percent_encode(name, kept), percent_encode(value, kept))?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", percent_encode(&self.fragment, ""))?;
        }
        Ok(())
    }
}

/// The address of a git repository, which may be written as a path or in the way of scp (`user@host:path`).
pub fn git_url(text: &str) -> Result<Url> {
    let text = match (text.starts_with('/'), scp_parts(text)) {
        (false, Some((user, host, path))) => format!("ssh://{user}@{host}/{path}"),
        _ => text.to_owned(),
    };
    if !text.starts_with("file:") && !text.starts_with("git+file:") && !text.contains("://") {
        let path = path_segments(&text);
        if path.first().is_some_and(|first| first.contains(':')) {
            return Err(InputError::bad_url(format!(
                "SCP-like URL '{text}' is not supported; use SSH URL syntax instead (ssh://...)"
            )));
        }
        let authority = text.starts_with('/').then(Authority::default);
        return Ok(Url { scheme: "file".to_owned(), authority, path, ..Url::default() });
    }
    let mut url = parse(&text, false, &mut |_| ())?;
    if let (Some("git"), transport) = url.split_scheme() {
        url.scheme = transport.to_owned();
    }
    Ok(url)
}

/// `user@host:path`, split where the regular expression `([^/]*)@(.*):(.*)` splits it.
fn scp_parts(text: &str) -> Option<(&str, &str, &str)> {
    let colon = text.rfind(':')?;
    let before_slash = text.find('/').unwrap_or(text.len());
    let at = text[..colon.min(before_slash)].rfind('@')?;
    Some((&text[..at], &text[at + 1..colon], &text[colon + 1..]))
}
