//! Hashes files in the ways in which content-addressed store objects are.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

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
    let mut sink = HashingSink::new(algorithm);
    nar::copy(source, &mut sink)?;
    Ok(sink.finish())
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

/// Hashes and counts what is written to it: much of it on a thread of its own, beside the one that reads.
pub struct HashingSink {
    size: u64,
    place: Place,
}

/// Where the hash is computed.
enum Place {
    Here(Hasher),
    Beside(Beside),
}

struct Beside {
    full: Vec<u8>,
    chunks: SyncSender<Vec<u8>>,
    /// Chunks that were hashed, to be filled again.
    used: Receiver<Vec<u8>>,
    worker: JoinHandle<Hasher>,
}

/// What is smaller is hashed sooner than a thread starts.
const WORTH_A_THREAD: u64 = 4 << 20;
const CHUNK: usize = 256 * 1024;
const CHUNKS_WAITING: usize = 8;

impl HashingSink {
    pub fn new(algorithm: Algorithm) -> HashingSink {
        HashingSink { size: 0, place: Place::Here(Hasher::new(algorithm)) }
    }

    /// The hash and the number of bytes of all that was written.
    pub fn finish(self) -> (Hash, u64) {
        let hasher = match self.place {
            Place::Here(hasher) => hasher,
            Place::Beside(Beside { full, chunks, used, worker }) => {
                // A worker that is gone has panicked, which is told below.
                let _ = chunks.send(full);
                drop((chunks, used));
                match worker.join() {
                    Ok(hasher) => hasher,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        };
        (hasher.finish(), self.size)
    }

    /// Goes on beside, if a thread is to be had.
    fn move_beside(&mut self) {
        let Place::Here(hasher) = &self.place else { return };
        let mut hasher = hasher.clone();
        let (chunks, to_hash) = sync_channel::<Vec<u8>>(CHUNKS_WAITING);
        let (hashed, used) = sync_channel(CHUNKS_WAITING + 2);
        let work = move || {
            for mut chunk in to_hash {
                hasher.update(&chunk);
                chunk.clear();
                let _ = hashed.try_send(chunk);
            }
            hasher
        };
        if let Ok(worker) = std::thread::Builder::new().name("hash".to_owned()).spawn(work) {
            self.place = Place::Beside(Beside { full: Vec::with_capacity(CHUNK), chunks, used, worker });
        }
    }
}

impl Write for HashingSink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.size >= WORTH_A_THREAD {
            self.move_beside();
        }
        self.size += data.len() as u64;
        match &mut self.place {
            Place::Here(hasher) => hasher.update(data),
            Place::Beside(beside) => {
                beside.full.extend_from_slice(data);
                if beside.full.len() >= CHUNK {
                    let next = beside.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
                    let full = std::mem::replace(&mut beside.full, next);
                    beside.chunks.send(full).map_err(|_| io::Error::other("the thread that hashes ended"))?;
                }
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_does_not_depend_on_where_it_is_computed() {
        let data: Vec<u8> = (0..(WORTH_A_THREAD as usize * 3 + 12_345)).map(|n| (n % 251) as u8).collect();
        for piece in [1000, 65_536, 1 << 20, data.len()] {
            let mut sink = HashingSink::new(Algorithm::Sha256);
            data.chunks(piece).for_each(|piece| sink.write_all(piece).unwrap());
            assert_eq!(sink.finish(), (Hash::of(Algorithm::Sha256, &data), data.len() as u64));
        }
    }
}
