//! Regular expressions as `builtins.match` and `builtins.split` understand them: C++'s `std::regex` in its `extended`
//! grammar, as libstdc++ implements it, on bytes.
//!
//! The results of libstdc++ are not quite those of any other library (see [`exec`]), and Nix code relies on them, so
//! this is a small engine of our own that walks the same automaton in the same order.

mod charset;
mod exec;
mod nfa;
mod parse;

use std::ops::Range;
use std::sync::{Arc, OnceLock, RwLock};

use rustc_hash::FxHashMap;

use charset::ByteSet;
use nfa::Program;

pub use exec::Matches;

/// The most cached patterns; beyond it, the cache starts anew.
const CACHE_SIZE: usize = 4096;

/// A compiled regular expression.
#[derive(Debug)]
pub struct Regex {
    program: Program,
}

/// Why a pattern was refused. Its text is Nix's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    #[error("invalid regular expression '{0}'")]
    Invalid(bstr::BString),
    /// The automaton would have more than 100,000 states.
    #[error("memory limit exceeded by regular expression '{0}'")]
    TooLarge(bstr::BString),
}

/// One match found by [`Regex::matches`]; all ranges are byte offsets into the text searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// From the end of the match before (or the start of the text) to this one.
    pub prefix: Range<usize>,
    pub range: Range<usize>,
    /// The groups 1, 2, ...; `None` where a group took no part.
    pub groups: Vec<Option<Range<usize>>>,
}

impl Regex {
    pub fn new(pattern: &[u8]) -> Result<Regex, RegexError> {
        let program = parse::parse(pattern).map_err(|problem| match problem {
            parse::Problem::Invalid => RegexError::Invalid(pattern.into()),
            parse::Problem::TooLarge => RegexError::TooLarge(pattern.into()),
        })?;
        Ok(Regex { program })
    }

    /// As [`Regex::new`], but remembers what it compiled, for the whole process.
    pub fn cached(pattern: &[u8]) -> Result<Arc<Regex>, RegexError> {
        type Cache = RwLock<FxHashMap<Box<[u8]>, Arc<Regex>>>;
        static CACHE: OnceLock<Cache> = OnceLock::new();
        let cache = CACHE.get_or_init(Default::default);
        // A poisoned lock only says that another thread died between two complete states of the map.
        if let Some(regex) = cache.read().unwrap_or_else(|e| e.into_inner()).get(pattern) {
            return Ok(regex.clone());
        }
        let regex = Arc::new(Regex::new(pattern)?);
        let mut cache = cache.write().unwrap_or_else(|e| e.into_inner());
        if cache.len() >= CACHE_SIZE {
            cache.clear();
        }
        cache.insert(pattern.into(), regex.clone());
        Ok(regex)
    }

    /// The number of groups, not counting the whole match.
    pub fn group_count(&self) -> usize {
        self.program.groups - 1
    }

    /// Matches the whole of `text` (`std::regex_match`); gives the groups 1, 2, ...
    pub fn full_match(&self, text: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
        exec::full_match(&self.program, text)
    }

    /// All matches from left to right (`std::regex_iterator`), empty ones among them.
    pub fn matches<'a>(&'a self, text: &'a [u8]) -> Matches<'a> {
        Matches::new(&self.program, text)
    }
}

#[cfg(test)]
mod tests;
