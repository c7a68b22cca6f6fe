//! Prints derivations as ATerm, into one buffer.

use std::collections::BTreeSet;

use crate::derivation::{Derivation, InputOutputs, Output};
use crate::hash::Hash;
use crate::store_path::StorePath;

/// Whether output paths, and the variables named as outputs, are left empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::derivation) enum Masked {
    No,
    Yes,
}

/// Input derivations by their hashes modulo fixed outputs. Inputs of equal hash are one input with the outputs of all.
#[derive(Default)]
pub(in crate::derivation) struct InputHashes {
    pub deferred: bool,
    inputs: std::collections::BTreeMap<Hash, BTreeSet<String>>,
}

impl InputHashes {
    pub fn add(&mut self, hash: Hash, outputs: &BTreeSet<String>) {
        // An input of which only outputs of outputs are wanted does not appear, as in Nix.
        if !outputs.is_empty() {
            self.inputs.entry(hash).or_default().extend(outputs.iter().cloned());
        }
    }
}

impl Derivation {
    /// The content of the `.drv` file.
    pub fn to_aterm(&self) -> Vec<u8> {
        let mut printer = Printer::for_derivation(self);
        printer.header(self);
        printer.outputs(self, Masked::No);
        printer.text(",");
        printer.list(&self.input_derivations, |printer, (path, wanted)| {
            printer.text("(");
            printer.store_path(path);
            printer.text(",");
            printer.wanted(wanted);
            printer.text(")");
        });
        printer.rest(self, Masked::No);
        printer.buffer
    }

    /// The text that is hashed, with hashes in place of the input derivations.
    pub(in crate::derivation) fn to_aterm_modulo(&self, inputs: &InputHashes, masked: Masked) -> Vec<u8> {
        let mut printer = Printer::for_derivation(self);
        printer.header(self);
        printer.outputs(self, masked);
        printer.text(",");
        printer.list(&inputs.inputs, |printer, (hash, outputs)| {
            printer.text("(");
            printer.plain(&hash.to_base16());
            printer.text(",");
            printer.list(outputs, |printer, output| printer.plain(output));
            printer.text(")");
        });
        printer.rest(self, masked);
        printer.buffer
    }
}

struct Printer {
    buffer: Vec<u8>,
}

impl Printer {
    fn for_derivation(derivation: &Derivation) -> Printer {
        let env: usize = derivation.env.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let args: usize = derivation.args.iter().map(|arg| arg.len() + 3).sum();
        let paths = derivation.input_derivations.len() + derivation.input_sources.len();
        let size = env + env / 16 + args + 100 * (paths + derivation.outputs.len()) + 256;
        Printer { buffer: Vec::with_capacity(size) }
    }

    fn header(&mut self, derivation: &Derivation) {
        match derivation.has_dynamic_inputs() {
            true => self.text("DrvWithVersion(\"xp-dyn-drv\","),
            false => self.text("Derive("),
        }
    }

    fn outputs(&mut self, derivation: &Derivation, masked: Masked) {
        self.list(&derivation.outputs, |printer, (name, output)| {
            printer.text("(");
            printer.plain(name);
            printer.text(",");
            match output.path() {
                Some(path) if masked == Masked::No => printer.store_path(path),
                _ => printer.text("\"\""),
            }
            let (algorithm, hash) = method_and_hash(output);
            printer.text(",");
            printer.plain(&algorithm);
            printer.text(",");
            printer.plain(&hash);
            printer.text(")");
        });
    }

    fn wanted(&mut self, wanted: &InputOutputs) {
        if wanted.dynamic.is_empty() {
            return self.list(&wanted.outputs, |printer, output| printer.plain(output));
        }
        self.text("(");
        self.list(&wanted.outputs, |printer, output| printer.plain(output));
        self.text(",");
        self.list(&wanted.dynamic, |printer, (output, wanted)| {
            printer.text("(");
            printer.plain(output);
            printer.text(",");
            printer.wanted(wanted);
            printer.text(")");
        });
        self.text(")");
    }

    fn rest(&mut self, derivation: &Derivation, masked: Masked) {
        self.text(",");
        self.list(&derivation.input_sources, |printer, path| printer.store_path(path));
        self.text(",\"");
        self.buffer.extend_from_slice(&derivation.platform);
        self.text("\",");
        self.escaped(&derivation.builder);
        self.text(",");
        self.list(&derivation.args, |printer, arg| printer.escaped(arg));
        self.text(",");
        let is_output =
            |name: &[u8]| str::from_utf8(name).is_ok_and(|name| derivation.outputs.contains_key(name));
        self.list(&derivation.env, |printer, (name, value)| {
            printer.text("(");
            printer.escaped(name);
            printer.text(",");
            match masked == Masked::Yes && is_output(name) {
                true => printer.text("\"\""),
                false => printer.escaped(value),
            }
            printer.text(")");
        });
        self.text(")");
    }

    fn list<I: IntoIterator>(&mut self, items: I, mut print: impl FnMut(&mut Printer, I::Item)) {
        self.text("[");
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.text(",");
            }
            print(self, item);
        }
        self.text("]");
    }

    fn store_path(&mut self, path: &StorePath) {
        self.text("\"");
        path.push_absolute(&mut self.buffer);
        self.text("\"");
    }

    /// A quoted string that Nix prints as it is.
    fn plain(&mut self, text: &str) {
        self.text("\"");
        self.text(text);
        self.text("\"");
    }

    /// A quoted string of any bytes.
    fn escaped(&mut self, text: &[u8]) {
        self.text("\"");
        let mut rest = text;
        while let Some(position) = rest.iter().position(|&byte| is_escaped(byte)) {
            self.buffer.extend_from_slice(&rest[..position]);
            let letter = match rest[position] {
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                quote_or_backslash => quote_or_backslash,
            };
            self.buffer.extend_from_slice(&[b'\\', letter]);
            rest = &rest[position + 1..];
        }
        self.buffer.extend_from_slice(rest);
        self.text("\"");
    }

    fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t')
}

/// The third and fourth field of an output.
fn method_and_hash(output: &Output) -> (String, String) {
    match output {
        Output::InputAddressed(_) | Output::Deferred => Default::default(),
        Output::Fixed { method, hash, .. } => {
            (format!("{}{}", method.prefix(), hash.algorithm()), hash.to_base16())
        }
        Output::Floating { method, algorithm } => (format!("{}{algorithm}", method.prefix()), String::new()),
        Output::Impure { method, algorithm } => {
            (format!("{}{algorithm}", method.prefix()), "impure".to_owned())
        }
    }
}
