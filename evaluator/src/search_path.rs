//! The search path: what `<x>` is looked up in.

use bstr::ByteSlice;
use zeval_model::input::Attr;

use crate::{
    canonical_path, embedded,
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Failure},
    },
    inputs::{InputFailure, Wanted},
    load,
    position::PosId,
    session::{Session, lock},
};

/// An entry: the name that it is for (empty: any) and where that is.
pub type Entry<P> = (P, Vec<u8>);

impl Evaluator {
    /// What `<name>` stands for.
    pub fn find_file(&mut self, name: &[u8]) -> Result<Vec<u8>, Failure> {
        let session = self.session.clone();
        self.look_up(&session.settings.search_path, name, PosId::NONE)
    }

    /// The first match of a name among the entries of a search path.
    pub(crate) fn look_up<P: AsRef<[u8]>>(
        &mut self,
        entries: &[Entry<P>],
        name: &[u8],
        pos: PosId,
    ) -> Result<Vec<u8>, Failure> {
        for (prefix, entry) in entries {
            let Some(rest) = below(name, prefix.as_ref()) else { continue };
            if !lock(&self.session.search_path_folders).contains_key(entry) {
                // It may warn.
                self.main_only()?;
            }
            let Some(folder) = self.session.search_path_folder(entry) else { continue };
            self.session.check_access(&folder, pos)?;
            let candidate = canonical_path(&[&folder, b"/".as_slice(), rest].concat());
            if self.session.physical(&candidate).symlink_metadata().is_ok() {
                return Ok(candidate);
            }
        }
        if let Some(path) = embedded::find(name, self.session.settings.library) {
            return Ok(path);
        }
        let shown = crate::text::raw::Shown(name);
        let message = if self.session.settings.pure {
            format!("cannot look up '<{shown}>' in pure evaluation mode (use '--impure' to override)")
        } else {
            format!("file '{shown}' was not found in the Nix search path (add it using $NIX_PATH or -I)")
        };
        Err(EvalError::new(ErrorKind::Throw, pos, message))
    }
}

impl Session {
    /// Where an entry leads; `None`, and a warning the first time, if that is not there.
    fn search_path_folder(&self, entry: &[u8]) -> Option<Vec<u8>> {
        if let Some(known) = lock(&self.search_path_folders).get(entry) {
            return known.clone();
        }
        let ignored = |why: &str| {
            let shown = crate::text::raw::Shown(entry);
            self.say(&format!("warning: Nix search path entry '{shown}' {why}, ignoring"));
        };
        let found = match entry.to_str().ok().and_then(|entry| self.fetched_entry(entry)) {
            Some(Ok(folder)) => Some(folder),
            fetched => {
                if fetched.is_some() {
                    ignored("cannot be downloaded");
                }
                let folder = absolute(entry);
                self.physical(&folder).exists().then_some(folder)
            }
        };
        lock(&self.search_path_folders).insert(entry.to_vec(), found.clone());
        if found.is_none() {
            ignored("does not exist");
        }
        found
    }

    /// Where an entry is that is to be fetched; `None` if it is a folder of this machine.
    fn fetched_entry(&self, entry: &str) -> Option<Result<Vec<u8>, InputFailure>> {
        let is_fetched = entry.starts_with("flake:") || is_address(entry.as_bytes());
        if !is_fetched {
            return None;
        }
        self.unrepeatable();
        let inputs = self.inputs();
        if let Some(reference) = entry.strip_prefix("flake:") {
            let attrs = inputs.parse_reference(reference);
            let tree = attrs.and_then(|attrs| {
                let folder = match attrs.get("dir") {
                    Some(Attr::String(folder)) => format!("/{folder}"),
                    _ => String::new(),
                };
                let attrs = attrs.into_iter().filter(|(name, _)| name != "dir").collect();
                let tree = inputs.fetch_tree(Wanted::Attrs(attrs), "fetchTree", false, false)?;
                Ok(format!("{}{folder}", tree.store_path).into_bytes())
            });
            return Some(tree);
        }
        let address = match entry.strip_prefix("channel:") {
            Some(channel) => format!("https://channels.nixos.org/{channel}/nixexprs.tar.xz"),
            None => entry.to_owned(),
        };
        let fetched = inputs.fetch_file(&address, "source", true);
        Some(fetched.map(|fetched| fetched.store_path.to_string().into_bytes()))
    }
}

/// Whether an entry of a search path names an archive to be fetched.
pub fn is_address(entry: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 7] = [b"http", b"https", b"file", b"channel", b"git", b"s3", b"ssh"];
    entry.starts_with(b"channel:")
        || entry.split_once_str("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// The entries of a search path such as NIX_PATH's: colons are between them, and in addresses.
pub fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let end = |text: &[u8]| text.find_byte(b':').unwrap_or(text.len());
        let mut stop = end(rest);
        let start = rest[..stop].rfind_byte(b'=').map_or(0, |at| at + 1);
        if stop < rest.len() && (is_address(&rest[start..]) || rest[start..].starts_with(b"flake:")) {
            stop += 1 + end(&rest[stop + 1..]);
        }
        if stop > 0 {
            entries.push(rest[..stop].to_vec());
        }
        rest = rest.get(stop + 1..).unwrap_or_default();
    }
    entries
}

/// An entry as an absolute path: entries may be relative to the current folder.
pub(crate) fn absolute(entry: &[u8]) -> Vec<u8> {
    if entry.starts_with(b"/") {
        return canonical_path(entry);
    }
    let base = load::current_folder().unwrap_or_default();
    canonical_path(&[base.as_slice(), b"/", entry].concat())
}

/// What is left of a name below a prefix of the search path.
fn below<'n>(name: &'n [u8], prefix: &[u8]) -> Option<&'n [u8]> {
    if prefix.is_empty() {
        return Some(name);
    }
    match name.strip_prefix(prefix)? {
        [] => Some(b""),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn colons_of_addresses_separate_nothing() {
        let path = b"a=/x:nixpkgs=https://example.org/y.tar.gz:b:c=flake:nixpkgs::channel:nixos";
        let entries = super::split(path);
        let entries: Vec<&str> = entries.iter().filter_map(|entry| std::str::from_utf8(entry).ok()).collect();
        let expected =
            ["a=/x", "nixpkgs=https://example.org/y.tar.gz", "b", "c=flake:nixpkgs", "channel:nixos"];
        assert_eq!(entries, expected);
    }
}
