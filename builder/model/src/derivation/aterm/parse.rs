//! Reads the ATerm text of a derivation.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;

use crate::content_address::ContentMethod;
use crate::derivation::{Derivation, DerivationError, InputOutputs, Output};
use crate::hash::{Algorithm, Hash};
use crate::store_path::StorePath;

/// How deep dynamic outputs may nest: each level is a derivation that builds a derivation.
const MAX_DEPTH: usize = 64;

impl Derivation {
    /// Reads the content of a `.drv` file; `name` is that of its store path without `.drv`.
    ///
    /// The path of a fixed output is computed, not read.
    pub fn parse_aterm(text: &[u8], name: &str) -> Result<Derivation, DerivationError> {
        let mut parser = Parser { text, offset: 0, name };
        parser.derivation()
    }
}

struct Parser<'a> {
    text: &'a [u8],
    offset: usize,
    /// Of the derivation, for messages and for the paths of fixed outputs.
    name: &'a str,
}

type Parsed<T> = Result<T, DerivationError>;

impl Parser<'_> {
    fn derivation(&mut self) -> Parsed<Derivation> {
        let dynamic = self.header()?;
        let mut outputs = BTreeMap::new();
        self.list(|parser| {
            let (name, output) = parser.output()?;
            outputs.insert(name, output);
            Ok(())
        })?;
        self.expect(",")?;
        let mut input_derivations = BTreeMap::new();
        self.list(|parser| {
            parser.expect("(")?;
            let path = parser.store_path()?;
            parser.expect(",")?;
            let wanted = parser.wanted(dynamic, MAX_DEPTH)?;
            parser.expect(")")?;
            input_derivations.insert(path, wanted);
            Ok(())
        })?;
        self.expect(",")?;
        let mut input_sources = BTreeSet::new();
        self.list(|parser| {
            input_sources.insert(parser.store_path()?);
            Ok(())
        })?;
        self.expect(",")?;
        let platform = self.string()?;
        self.expect(",")?;
        let builder = self.string()?;
        self.expect(",")?;
        let mut args = Vec::new();
        self.list(|parser| {
            args.push(parser.string()?);
            Ok(())
        })?;
        self.expect(",")?;
        let mut env = BTreeMap::new();
        self.list(|parser| {
            parser.expect("(")?;
            let name = parser.string()?;
            parser.expect(",")?;
            let value = parser.string()?;
            parser.expect(")")?;
            env.insert(name, value);
            Ok(())
        })?;
        self.expect(")")?;
        if self.offset != self.text.len() {
            return Err(self.error("there is text after the end"));
        }
        let name = self.name.to_owned();
        Ok(Derivation { name, outputs, input_derivations, input_sources, platform, builder, args, env })
    }

    /// Whether inputs may be dynamic.
    fn header(&mut self) -> Parsed<bool> {
        if self.accept("Derive(") {
            return Ok(false);
        }
        if !self.accept("DrvWithVersion(") {
            return Err(self.error("derivation does not start with 'Derive' or 'DrvWithVersion'"));
        }
        let version = self.utf8()?;
        if version != "xp-dyn-drv" {
            return Err(self.error(&format!("Unknown derivation ATerm format version '{version}'")));
        }
        self.expect(",")?;
        Ok(true)
    }

    fn output(&mut self) -> Parsed<(String, Output)> {
        self.expect("(")?;
        let name = self.utf8()?;
        self.expect(",")?;
        let path = self.utf8()?;
        self.expect(",")?;
        let method = self.utf8()?;
        self.expect(",")?;
        let hash = self.utf8()?;
        self.expect(")")?;
        let output = self.output_from_fields(&name, &path, &method, &hash)?;
        Ok((name, output))
    }

    fn output_from_fields(&self, name: &str, path: &str, method: &str, hash: &str) -> Parsed<Output> {
        if method.is_empty() {
            return match path {
                "" => Ok(Output::Deferred),
                _ => Ok(Output::InputAddressed(StorePath::from_absolute(path)?)),
            };
        }
        let (method, algorithm) = ContentMethod::split_prefix(method);
        let algorithm: Algorithm = algorithm.parse()?;
        match (hash, path) {
            ("", "") => Ok(Output::Floating { method, algorithm }),
            ("impure", "") => Ok(Output::Impure { method, algorithm }),
            ("" | "impure", _) => Err(self.error(&format!(
                "content-addressing derivation output should not specify output path '{path}'"
            ))),
            _ => Ok(Output::fixed(method, Hash::parse(hash, Some(algorithm))?, self.name, name)?),
        }
    }

    fn wanted(&mut self, dynamic: bool, depth: usize) -> Parsed<InputOutputs> {
        let nested = dynamic && self.accept("(");
        if nested && depth == 0 {
            return Err(self.error("dynamic outputs are nested too deeply"));
        }
        let mut wanted = InputOutputs::default();
        self.list(|parser| {
            wanted.outputs.insert(parser.utf8()?);
            Ok(())
        })?;
        if nested {
            self.expect(",")?;
            self.list(|parser| {
                parser.expect("(")?;
                let output = parser.utf8()?;
                parser.expect(",")?;
                let inner = parser.wanted(dynamic, depth - 1)?;
                parser.expect(")")?;
                wanted.dynamic.insert(output, inner);
                Ok(())
            })?;
            self.expect(")")?;
        }
        Ok(wanted)
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.expect("[")?;
        if self.accept("]") {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.accept("]") {
                return Ok(());
            }
            self.expect(",")?;
        }
    }

    fn store_path(&mut self) -> Parsed<StorePath> {
        let path = self.utf8()?;
        if !path.starts_with('/') {
            return Err(self.error(&format!("bad path '{path}' in derivation")));
        }
        Ok(StorePath::from_absolute(&path)?)
    }

    fn utf8(&mut self) -> Parsed<String> {
        let bytes = self.string()?;
        String::from_utf8(bytes.into()).map_err(|_| self.error("name or path is not UTF-8"))
    }

    fn string(&mut self) -> Parsed<BString> {
        self.expect("\"")?;
        let mut result = Vec::new();
        loop {
            let rest = &self.text[self.offset..];
            let Some(end) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(self.error("unterminated string in derivation"));
            };
            result.extend_from_slice(&rest[..end]);
            self.offset += end + 1;
            if rest[end] == b'"' {
                return Ok(result.into());
            }
            let Some(&letter) = self.text.get(self.offset) else {
                return Err(self.error("unterminated string in derivation"));
            };
            self.offset += 1;
            result.push(match letter {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => other,
            });
        }
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.text[self.offset..].starts_with(text.as_bytes());
        if found {
            self.offset += text.len();
        }
        found
    }

    fn expect(&mut self, text: &str) -> Parsed<()> {
        match self.accept(text) {
            true => Ok(()),
            false => Err(self.error(&format!("expected string '{text}'"))),
        }
    }

    fn error(&self, message: &str) -> DerivationError {
        DerivationError::Syntax {
            name: self.name.to_owned(),
            offset: self.offset,
            message: message.to_owned(),
        }
    }
}
