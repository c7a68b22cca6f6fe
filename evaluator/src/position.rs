//! Positions: one number for a place in any source file of the process.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, RwLock},
};

/// A place in a source: the source's base plus the byte offset. Zero is "no position".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct PosId(pub(crate) u32);

impl PosId {
    /// No position.
    pub const NONE: PosId = PosId(0);

    /// Whether there is a position.
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// Where a source text came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// An expression on the command line; Nix prints `«string»`.
    String,
    /// Standard input; Nix prints `«stdin»`.
    Stdin,
    /// A file inside the binary, with the name that errors call it by.
    Internal(&'static str),
}

/// A source text with its origin.
#[derive(Debug)]
pub struct Source {
    /// Where it came from.
    pub origin: Origin,
    /// The text.
    pub text: Vec<u8>,
    base: u32,
    /// Where each line begins; found when it is first asked for.
    lines: OnceLock<Vec<u32>>,
}

/// A position spelt out. Line and column count from 1, columns in bytes, as Nix counts.
#[derive(Clone, Debug)]
pub struct Place {
    /// The source.
    pub source: Arc<Source>,
    /// Byte offset in it.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

static SOURCES: RwLock<Vec<Arc<Source>>> = RwLock::new(Vec::new());

impl Source {
    /// Registers a source text. Positions in it are `base + offset`.
    ///
    /// Returns `None` when the sources of this process exceed 4 GiB in all.
    pub fn register(origin: Origin, text: Vec<u8>) -> Option<Arc<Source>> {
        let mut sources = SOURCES.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let base = sources.last().map_or(1, |last| last.base + last.text.len() as u32 + 1);
        base.checked_add(u32::try_from(text.len()).ok()?)?.checked_add(1)?;
        let source = Arc::new(Source { origin, text, base, lines: OnceLock::new() });
        sources.push(source.clone());
        Some(source)
    }

    /// Line and column of a byte offset, both from 1.
    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let starts = self.lines.get_or_init(|| line_starts(&self.text));
        let line = starts.partition_point(|&start| start as usize <= offset);
        (line, offset - starts[line - 1] as usize + 1)
    }

    /// The byte offset of a position in this source.
    pub fn offset(&self, pos: PosId) -> Option<u32> {
        if pos.is_some() { pos.0.checked_sub(self.base) } else { None }
    }

    /// The position of a byte offset.
    pub fn at(&self, offset: u32) -> PosId {
        if offset == crate::syntax::ast::NO_POS { PosId::NONE } else { PosId(self.base + offset) }
    }
}

impl PosId {
    /// Source, line and column of a position; `None` for [`PosId::NONE`].
    pub fn place(self) -> Option<Place> {
        if !self.is_some() {
            return None;
        }
        let sources = SOURCES.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let index = sources.partition_point(|source| source.base <= self.0).checked_sub(1)?;
        let source = sources[index].clone();
        let offset = ((self.0 - source.base) as usize).min(source.text.len());
        let (line, column) = source.line_and_column(offset);
        Some(Place { source, offset, line, column })
    }
}

/// Where lines begin. They end with `\n`, `\r\n` or `\r`, as in Nix's lexer.
fn line_starts(text: &[u8]) -> Vec<u32> {
    let mut starts = vec![0];
    for (at, byte) in text.iter().enumerate() {
        let ends = match byte {
            b'\n' => true,
            b'\r' => text.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends {
            starts.push(at as u32 + 1);
        }
    }
    starts
}
