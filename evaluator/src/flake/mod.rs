//! Flakes: what a `flake.nix` says of its inputs, and calling it with them.

mod read;

use bstr::ByteSlice;

pub use read::{FlakeFile, InputSpec, Setting, place};

use crate::{
    builtins::{internal_builtin, tree_value},
    embedded,
    eval::{Evaluator, error::Result},
    inputs::LockedFlake,
    load::Scope,
    position::{Origin, PosId},
    symbol::Symbol,
    value::Value,
};

impl Evaluator {
    /// The outputs of a flake, with its own attributes (`outPath`, `inputs`, `sourceInfo` and so on).
    pub fn call_flake(&mut self, flake: &LockedFlake) -> Result<Value> {
        let mut sources: Vec<(Symbol, Value)> = Vec::with_capacity(flake.sources.len());
        for source in &flake.sources {
            let info = tree_value(self, &source.tree, false, source.is_changed);
            let folder = self.heap.string(source.folder.as_bytes());
            let root = self.heap.path(source.tree.store_path.to_string().as_bytes());
            let mut entries = [
                (Symbol::intern(b"sourceInfo"), info),
                (Symbol::intern(b"dir"), folder),
                (Symbol::intern(b"root"), root),
            ];
            sources.push((Symbol::intern(source.node.as_bytes()), self.attrs_from(&mut entries)));
        }
        let sources = self.attrs_from(&mut sources);
        let lock_file = self.heap.string(flake.lock_file.as_bytes());
        let fetch = internal_builtin("fetchFinalTree");
        let text = include_bytes!("call.zx").to_vec();
        let origin = Origin::Internal("call-flake.nix");
        let call = self.evaluate_text(origin, text, embedded::FOLDER.as_bstr(), Scope::default())?;
        self.apply(call, &[lock_file, sources, fetch], PosId::NONE)
    }
}
