//! Prints expressions as `nix-instantiate --parse` does.

use bstr::BStr;

use super::ast::{AttrName, Name};

/// An attribute path.
pub fn attr_path<'a>(path: &[AttrName<'_>], text: &dyn Fn(Name) -> &'a BStr) -> Vec<u8> {
    let mut out = Vec::new();
    for step in path {
        if let AttrName::Static { name, .. } = step {
            if !out.is_empty() {
                out.push(b'.');
            }
            out.extend_from_slice(text(*name));
        }
    }
    out
}
