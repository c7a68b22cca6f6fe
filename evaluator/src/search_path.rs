//! The search path: what `<x>` is looked up in.

use bstr::ByteSlice;

use crate::{
    canonical_path, embedded,
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Result},
    },
    load,
    position::PosId,
    session::{Session, lock},
};

/// An entry: the name that it is for (empty: any) and where that is.
pub type Entry<P> = (P, Vec<u8>);

impl Evaluator {
    /// What `<name>` stands for.
    pub fn find_file(&mut self, name: &[u8]) -> Result<Vec<u8>> {
        let session = self.session.clone();
        self.look_up(&session.settings.search_path, name, PosId::NONE)
    }

    /// The first match of a name among the entries of a search path.
    pub(crate) fn look_up<P: AsRef<[u8]>>(
        &mut self,
        entries: &[Entry<P>],
        name: &[u8],
        pos: PosId,
    ) -> Result<Vec<u8>> {
        for (prefix, entry) in entries {
            let Some(rest) = below(name, prefix.as_ref()) else { continue };
            if !lock(&self.session.search_path_folders).contains_key(entry) {
                // It may warn.
                self.main_only()?;
            }
            let Some(folder) = self.session.search_path_folder(entry) else { continue };
            let candidate = canonical_path(&[&folder, b"/".as_slice(), rest].concat());
            if self.session.physical(&candidate).symlink_metadata().is_ok() {
                return Ok(candidate);
            }
        }
        if let Some(path) = embedded::find(name, self.session.settings.library) {
            return Ok(path);
        }
        let shown = name.as_bstr();
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
        let folder = absolute(entry);
        let exists = self.physical(&folder).exists();
        let found = exists.then_some(folder);
        lock(&self.search_path_folders).insert(entry.to_vec(), found.clone());
        if !exists {
            let shown = entry.as_bstr();
            self.say(&format!("warning: Nix search path entry '{shown}' does not exist, ignoring"));
        }
        found
    }
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
