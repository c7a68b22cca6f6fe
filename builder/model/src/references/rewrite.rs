//! Replaces hash parts of store paths in any bytes: those of temporary paths by those of final ones, or by zero bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bstr::BString;

use super::search::{HashPart, HashParts};
use crate::store_path::{HASH_LENGTH, StorePath};
use crate::tree::{Event, TreeError, TreeSource};

/// What replaces a hash part whose own value must not count: hashing modulo self-references.
const ZEROS: HashPart = [0; HASH_LENGTH];

/// Which hash part becomes which.
#[derive(Clone, Debug, Default)]
pub struct Rewrites(HashParts<HashPart>);

impl Rewrites {
    /// The hash parts of the keys become those of the values.
    pub fn new(paths: &BTreeMap<StorePath, StorePath>) -> Rewrites {
        let pairs = paths.iter().filter_map(|(from, to)| Some((hash_part(from)?, hash_part(to)?)));
        Rewrites(HashParts::new(pairs.filter(|(from, to)| from != to)))
    }

    /// The hash part of `path` becomes zero bytes.
    pub fn blank(path: &StorePath) -> Rewrites {
        Rewrites(HashParts::new(hash_part(path).map(|from| (from, ZEROS))))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces in place; gives the number of replacements.
    pub fn apply(&self, data: &mut [u8]) -> usize {
        self.apply_from(data).1
    }

    /// The end of the last replacement, and their number.
    fn apply_from(&self, data: &mut [u8]) -> (usize, usize) {
        let mut places = Vec::new();
        self.0.find(data, |place, to| places.push((place, to)));
        for (place, to) in &places {
            data[*place..*place + HASH_LENGTH].copy_from_slice(*to);
        }
        (places.last().map_or(0, |(place, _)| place + HASH_LENGTH), places.len())
    }
}

/// Replaces in bytes that come in pieces. The last bytes are held back until it is known whether they belong to a hash
/// part.
#[derive(Clone, Debug, Default)]
pub struct Rewriter {
    rewrites: Rewrites,
    held: Vec<u8>,
    count: usize,
}

impl Rewriter {
    pub fn new(rewrites: Rewrites) -> Rewriter {
        Rewriter { rewrites, held: Vec::new(), count: 0 }
    }

    /// How often something was replaced until now.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes a piece and gives what is known to be done.
    fn push<'a>(&'a mut self, data: &[u8]) -> Done<'a> {
        self.held.extend_from_slice(data);
        let (end, count) = self.rewrites.apply_from(&mut self.held);
        self.count += count;
        let ready = end.max((self.held.len() + 1).saturating_sub(HASH_LENGTH));
        Done { held: &mut self.held, ready }
    }
}

/// Bytes that leave a rewriter when this is dropped.
struct Done<'a> {
    held: &'a mut Vec<u8>,
    ready: usize,
}

impl Done<'_> {
    fn bytes(&self) -> &[u8] {
        &self.held[..self.ready]
    }
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.held.drain(..self.ready);
    }
}

/// Replaces in what is written to it and passes it on. It must be finished for the last bytes to be passed on.
#[derive(Clone, Debug)]
pub struct RewritingSink<W> {
    rewriter: Rewriter,
    output: W,
}

impl<W: Write> RewritingSink<W> {
    pub fn new(rewrites: Rewrites, output: W) -> RewritingSink<W> {
        RewritingSink { rewriter: Rewriter::new(rewrites), output }
    }

    /// Passes on the rest; gives the output back, and how often something was replaced.
    pub fn finish(mut self) -> io::Result<(W, usize)> {
        self.output.write_all(&self.rewriter.held)?;
        Ok((self.output, self.rewriter.count))
    }
}

impl<W: Write> Write for RewritingSink<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.rewriter.rewrites.is_empty() {
            return self.output.write(data);
        }
        let done = self.rewriter.push(data);
        self.output.write_all(done.bytes())?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A tree in whose names, symbolic links and contents hash parts are replaced. If names are, they may no longer be in
/// order: restore it, do not archive it.
pub struct RewritingSource<S> {
    source: S,
    rewriter: Rewriter,
    /// Done, and not yet read.
    ready: Vec<u8>,
    read: usize,
    ended: bool,
}

const PIECE: usize = 64 * 1024;

impl<S: TreeSource> RewritingSource<S> {
    pub fn new(source: S, rewrites: Rewrites) -> RewritingSource<S> {
        let rewriter = Rewriter::new(rewrites);
        RewritingSource { source, rewriter, ready: Vec::new(), read: 0, ended: true }
    }

    fn rewrite(&self, mut text: BString) -> BString {
        self.rewriter.rewrites.apply(&mut text);
        text
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.read = 0;
        while self.ready.is_empty() && !self.ended {
            let mut piece = vec![0; PIECE];
            let count = self.source.contents().read(&mut piece)?;
            if count == 0 {
                self.ended = true;
                self.ready.append(&mut self.rewriter.held);
            } else {
                self.ready.extend_from_slice(self.rewriter.push(&piece[..count]).bytes());
            }
        }
        Ok(())
    }
}

impl<S: TreeSource> TreeSource for RewritingSource<S> {
    fn next_event(&mut self) -> Result<Option<Event>, TreeError> {
        let Some(event) = self.source.next_event()? else { return Ok(None) };
        self.rewriter.held.clear();
        self.ready.clear();
        self.read = 0;
        self.ended = !matches!(event, Event::Regular { .. });
        Ok(Some(match event {
            Event::DirectoryStart { name } => Event::DirectoryStart { name: self.rewrite(name) },
            Event::DirectoryEnd => Event::DirectoryEnd,
            Event::Symlink { name, target } => {
                Event::Symlink { name: self.rewrite(name), target: self.rewrite(target) }
            }
            Event::Regular { name, executable, size } => {
                Event::Regular { name: self.rewrite(name), executable, size }
            }
        }))
    }

    fn contents(&mut self) -> &mut dyn Read {
        self
    }
}

impl<S: TreeSource> Read for RewritingSource<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.ready.len() {
            self.fill()?;
        }
        let count = buffer.len().min(self.ready.len() - self.read);
        buffer[..count].copy_from_slice(&self.ready[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

fn hash_part(path: &StorePath) -> Option<HashPart> {
    path.hash_part().as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "45bl2kd63ilpq0far1vsp81impl9r2sv";
    const TO: &str = "k0bq3s4hdvxal217l04jr24n8jm5l29g";

    fn rewrites() -> Rewrites {
        let path = |hash: &str| StorePath::from_base_name(&format!("{hash}-x")).unwrap();
        Rewrites::new(&BTreeMap::from([(path(FROM), path(TO))]))
    }

    #[test]
    fn replaces_in_any_chunking() {
        let data = format!("..{FROM}0{FROM}{FROM}...{}", &FROM[..31]);
        let expected = format!("..{TO}0{TO}{TO}...{}", &FROM[..31]);
        for size in 1..=data.len() {
            let mut sink = RewritingSink::new(rewrites(), Vec::new());
            data.as_bytes().chunks(size).for_each(|chunk| sink.write_all(chunk).unwrap());
            let (output, count) = sink.finish().unwrap();
            assert_eq!((String::from_utf8(output).unwrap(), count), (expected.clone(), 3), "{size}");
        }
    }

    #[test]
    fn a_tree_is_rewritten_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        let contents = format!("{}{FROM}", ".".repeat(PIECE - 16));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a").join(FROM), &contents).unwrap();
        std::os::unix::fs::symlink(format!("x/{FROM}/y"), folder.path().join("a/l")).unwrap();
        let mut everything = crate::tree::everything;
        let walker = crate::tree::Walker::new(&folder.path().join("a"), &mut everything);
        let mut source = RewritingSource::new(walker, rewrites());
        crate::tree::restore(&mut source, &folder.path().join("b"), crate::tree::Modes::Umask).unwrap();
        let rewritten = std::fs::read_to_string(folder.path().join("b").join(TO)).unwrap();
        assert!(rewritten == contents.replace(FROM, TO));
        let link = std::fs::read_link(folder.path().join("b/l")).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("x/{TO}/y"));
    }
}
