//! Prints derivations as ATerm, into one buffer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::derivation::{Derivation, InputOutputs, Output};
use crate::hash::{Algorithm, Hash, Hasher};
use crate::store_path::StorePath;

/// Whether output paths, and the variables named as outputs, are left empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::derivation) enum Masked {
    No,
    Yes,
}

/// Input derivations by their hashes modulo fixed outputs.
#[derive(Clone, Debug)]
pub(in crate::derivation) struct InputHashes {
    /// Whether an output path of an input is not known yet.
    pub deferred: bool,
    /// The list, printed.
    text: Vec<u8>,
}

impl InputHashes {
    /// From the hash of each input and the outputs wanted of it. Inputs of equal hash are one input with the outputs of all;
    /// an input of which only outputs of outputs are wanted does not appear, as in Nix.
    pub fn new<'a>(mut inputs: Vec<(Hash, &'a BTreeSet<String>)>, deferred: bool) -> InputHashes {
        inputs.retain(|(_, outputs)| !outputs.is_empty());
        inputs.sort_unstable_by_key(|(hash, _)| *hash);
        let mut printer = Printer { buffer: Vec::with_capacity(90 * inputs.len() + 2), holes: Vec::new() };
        printer.list(inputs.chunk_by(|(a, _), (b, _)| a == b), |printer, same: &[(Hash, &'a _)]| {
            printer.text("(");
            printer.plain(&same[0].0.to_base16());
            printer.text(",");
            match same {
                [(_, outputs)] => printer.strings(*outputs),
                _ => printer.strings(same.iter().flat_map(|(_, outputs)| *outputs).collect::<BTreeSet<_>>()),
            }
            printer.text(")");
        });
        InputHashes { deferred, text: printer.buffer }
    }
}

/// A derivation's text, and where in it the list of input derivations is.
pub(in crate::derivation) struct Aterm {
    pub text: Vec<u8>,
    inputs: Range<usize>,
    /// Where output paths were left out, each by the name of its output.
    holes: Vec<(usize, String)>,
}

impl Aterm {
    /// The hash of the text with hashes in place of the input derivations.
    pub fn hash_modulo(&self, inputs: &InputHashes) -> Hash {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&self.text[..self.inputs.start]);
        hasher.update(&inputs.text);
        hasher.update(&self.text[self.inputs.end..]);
        hasher.finish()
    }

    /// The text with the paths of the outputs where [`Masked::Yes`] left them out: escaping everything again would cost more.
    pub fn filled(&self, outputs: &BTreeMap<String, Output>) -> Aterm {
        let path =
            |name| outputs.get(name).and_then(Output::path).map(StorePath::to_string).unwrap_or_default();
        let paths: Vec<String> = self.holes.iter().map(|(_, name)| path(name)).collect();
        let room: usize = paths.iter().map(String::len).sum();
        let mut text = Vec::with_capacity(self.text.len() + room);
        let mut inputs = self.inputs.clone();
        let mut copied = 0;
        for ((at, _), path) in self.holes.iter().zip(&paths) {
            text.extend_from_slice(&self.text[copied..*at]);
            copied = *at;
            text.extend_from_slice(path.as_bytes());
            if *at < self.inputs.start {
                inputs = inputs.start + path.len()..inputs.end + path.len();
            }
        }
        text.extend_from_slice(&self.text[copied..]);
        Aterm { text, inputs, holes: Vec::new() }
    }
}

impl Derivation {
    /// The content of the `.drv` file.
    pub fn to_aterm(&self) -> Vec<u8> {
        self.print(Masked::No).text
    }

    pub(in crate::derivation) fn print(&self, masked: Masked) -> Aterm {
        let mut printer = Printer::for_derivation(self);
        match self.has_dynamic_inputs() {
            true => printer.text("DrvWithVersion(\"xp-dyn-drv\","),
            false => printer.text("Derive("),
        }
        printer.outputs(self, masked);
        printer.text(",");
        let start = printer.buffer.len();
        printer.list(&self.input_derivations, |printer, (path, wanted)| {
            printer.text("(");
            printer.store_path(path);
            printer.text(",");
            printer.wanted(wanted);
            printer.text(")");
        });
        let end = printer.buffer.len();
        printer.rest(self, masked);
        Aterm { text: printer.buffer, inputs: start..end, holes: printer.holes }
    }
}

struct Printer {
    buffer: Vec<u8>,
    /// See [`Aterm`].
    holes: Vec<(usize, String)>,
}

impl Printer {
    fn for_derivation(derivation: &Derivation) -> Printer {
        let env: usize = derivation.env.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let args: usize = derivation.args.iter().map(|arg| arg.len() + 3).sum();
        let paths = derivation.input_derivations.len() + derivation.input_sources.len();
        // Scripts have a character to escape every thirty or so.
        let size = env + env / 16 + args + 100 * (paths + derivation.outputs.len()) + 256;
        Printer { buffer: Vec::with_capacity(size), holes: Vec::new() }
    }

    fn outputs(&mut self, derivation: &Derivation, masked: Masked) {
        self.list(&derivation.outputs, |printer, (name, output)| {
            printer.text("(");
            printer.plain(name);
            printer.text(",");
            match output.path() {
                Some(path) if masked == Masked::No => printer.store_path(path),
                _ => printer.hole(name),
            }
            printer.text(",");
            printer.method_and_hash(output);
            printer.text(")");
        });
    }

    /// The third and fourth field of an output.
    fn method_and_hash(&mut self, output: &Output) {
        let (method, algorithm, hash) = match output {
            Output::InputAddressed(_) | Output::Deferred => return self.text("\"\",\"\""),
            Output::Fixed { method, hash, .. } => (method, hash.algorithm(), hash.to_base16()),
            Output::Floating { method, algorithm } => (method, *algorithm, String::new()),
            Output::Impure { method, algorithm } => (method, *algorithm, "impure".to_owned()),
        };
        for text in ["\"", method.prefix(), algorithm.name(), "\",\"", &hash, "\""] {
            self.text(text);
        }
    }

    fn wanted(&mut self, wanted: &InputOutputs) {
        if wanted.dynamic.is_empty() {
            return self.strings(&wanted.outputs);
        }
        self.text("(");
        self.strings(&wanted.outputs);
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

    /// All fields after the input derivations.
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
        self.list(&derivation.env, |printer, (name, value)| {
            printer.text("(");
            printer.escaped(name);
            printer.text(",");
            match str::from_utf8(name) {
                Ok(name) if masked == Masked::Yes && derivation.outputs.contains_key(name) => {
                    printer.hole(name)
                }
                _ => printer.escaped(value),
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

    fn strings<'a>(&mut self, strings: impl IntoIterator<Item = &'a String>) {
        self.list(strings, |printer, string| printer.plain(string));
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

    /// A quoted string that is empty as long as the path of an output is not known.
    fn hole(&mut self, output: &str) {
        self.text("\"");
        self.holes.push((self.buffer.len(), output.to_owned()));
        self.text("\"");
    }

    /// A quoted string of any bytes.
    fn escaped(&mut self, text: &[u8]) {
        self.text("\"");
        let mut copied = 0;
        // Scripts have few characters that are escaped but these.
        let frequent = memchr::memchr3_iter(b'\n', b'"', b'\\', text);
        match memchr::memchr2(b'\t', b'\r', text) {
            None => frequent.for_each(|at| self.escape(text, &mut copied, at)),
            Some(_) => {
                let escaped = |at: &usize| matches!(text[*at], b'"' | b'\\' | b'\n' | b'\r' | b'\t');
                (0..text.len()).filter(escaped).for_each(|at| self.escape(text, &mut copied, at));
            }
        }
        self.buffer.extend_from_slice(&text[copied..]);
        self.text("\"");
    }

    /// Appends the text up to a character, and that one escaped.
    fn escape(&mut self, text: &[u8], copied: &mut usize, at: usize) {
        self.buffer.extend_from_slice(&text[*copied..at]);
        let letter = match text[at] {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            quote_or_backslash => quote_or_backslash,
        };
        self.buffer.extend_from_slice(&[b'\\', letter]);
        *copied = at + 1;
    }

    fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }
}
