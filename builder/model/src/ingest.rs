//! Hashes files in the ways in which content-addressed store objects are.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::content_address::ContentMethod;
use crate::git;
use crate::hash::{Algorithm, Hash, Hasher};
use crate::nar;
use crate::references::{Rewrites, RewritingSink};
use crate::store_path::StorePath;
use crate::tree::{Event, Filter, TreeError, TreeSource, Walker, everything};

/// The hash of the files at `path`. Flat and text hash the bytes of a single regular file.
pub fn hash_path(path: &Path, method: ContentMethod, algorithm: Algorithm) -> Result<Hash, TreeError> {
    hash_path_filtered(path, method, algorithm, &mut everything)
}

/// The hash of the files at `path` that `filter` lets pass.
pub fn hash_path_filtered<'a>(
    path: &Path,
    method: ContentMethod,
    algorithm: Algorithm,
    filter: &'a mut Filter<'a>,
) -> Result<Hash, TreeError> {
    let mut walker = Walker::new(path, filter);
    match method {
        ContentMethod::Nar => Ok(hash_nar(&mut walker, algorithm)?.0),
        ContentMethod::Git => git::hash(&mut walker, algorithm),
        ContentMethod::Flat | ContentMethod::Text => hash_file(&mut walker, path, algorithm),
    }
}

/// The hash and the size, in bytes, of the NAR of the files at `path`.
pub fn hash_nar_of_path(path: &Path, algorithm: Algorithm) -> Result<(Hash, u64), TreeError> {
    hash_nar(&mut Walker::new(path, &mut everything), algorithm)
}

/// The hash and the size of the NAR of a tree.
pub fn hash_nar(source: &mut dyn TreeSource, algorithm: Algorithm) -> Result<(Hash, u64), TreeError> {
    let mut sink = CountingHasher { hasher: Hasher::new(algorithm), size: 0 };
    nar::copy(source, &mut sink)?;
    Ok((sink.hasher.finish(), sink.size))
}

/// The hash of the NAR of a tree in which zero bytes stand for the hash part of `path`, as its own references to itself
/// are hashed (the contents' positions are not part of the hash in Nix 2.34); and how often it refers to itself.
pub fn hash_nar_modulo(
    source: &mut dyn TreeSource,
    algorithm: Algorithm,
    path: &StorePath,
) -> Result<(Hash, usize), TreeError> {
    let mut sink = RewritingSink::new(Rewrites::blank(path), Hasher::new(algorithm));
    nar::copy(source, &mut sink)?;
    let (hasher, count) = sink.finish()?;
    Ok((hasher.finish(), count))
}

fn hash_file(walker: &mut Walker<'_>, path: &Path, algorithm: Algorithm) -> Result<Hash, TreeError> {
    let found = match walker.next_event()? {
        Some(Event::Regular { .. }) => {
            let mut hasher = Hasher::new(algorithm);
            copy_all(walker.contents(), &mut hasher)?;
            return Ok(hasher.finish());
        }
        Some(Event::Symlink { .. }) => "symlink",
        _ => "directory",
    };
    Err(TreeError::NotRegular { path: path.to_owned(), found })
}

fn copy_all(contents: &mut dyn Read, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match contents.read(&mut buffer)? {
            0 => return Ok(()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

struct CountingHasher {
    hasher: Hasher,
    size: u64,
}

impl Write for CountingHasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.hasher.update(data);
        self.size += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
