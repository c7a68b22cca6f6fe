//! Hashing what is written, on another core than the one that writes it.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use zeval_model::{Algorithm, Hash, Hasher};

/// Bytes that are handed over at once; less than that is hashed where it is written.
const PIECE: usize = 256 * 1024;
/// How many pieces the hashing may lag behind.
const PIECES: usize = 8;

/// Hashes and counts what is written to it.
pub struct BackgroundHasher {
    piece: Vec<u8>,
    size: u64,
    work: Work,
}

enum Work {
    Here(Hasher),
    There {
        pieces: SyncSender<Vec<u8>>,
        /// Memory that may be used again.
        spare: Receiver<Vec<u8>>,
        thread: JoinHandle<Hasher>,
    },
}

impl BackgroundHasher {
    pub fn new(algorithm: Algorithm) -> BackgroundHasher {
        BackgroundHasher { piece: Vec::new(), size: 0, work: Work::Here(Hasher::new(algorithm)) }
    }

    /// The hash and the number of bytes.
    pub fn finish(self) -> io::Result<(Hash, u64)> {
        let mut hasher = match self.work {
            Work::Here(hasher) => hasher,
            Work::There { pieces, thread, .. } => {
                drop(pieces);
                thread.join().map_err(|_| gone())?
            }
        };
        hasher.update(&self.piece);
        Ok((hasher.finish(), self.size))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if let Work::Here(hasher) = &self.work {
            self.work = start(hasher.clone())?;
        }
        let Work::There { pieces, spare, .. } = &self.work else { return Ok(()) };
        let next = spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        pieces.send(std::mem::replace(&mut self.piece, next)).map_err(|_| gone())
    }
}

fn start(mut hasher: Hasher) -> io::Result<Work> {
    let (pieces, taken) = sync_channel::<Vec<u8>>(PIECES);
    let (back, spare) = channel();
    let thread = thread::Builder::new().name("hasher".to_owned()).spawn(move || {
        for mut piece in taken {
            hasher.update(&piece);
            piece.clear();
            // At the end nobody wants it.
            let _ = back.send(piece);
        }
        hasher
    })?;
    Ok(Work::There { pieces, spare, thread })
}

fn gone() -> io::Error {
    io::Error::other("the thread that hashes has ended")
}

impl Write for BackgroundHasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = data.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&data[..count]);
        self.size += count as u64;
        if self.piece.len() == PIECE {
            self.hand_over()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_amount_is_hashed_as_in_one_piece() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 20 * PIECE + 7] {
            let data: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let mut hasher = BackgroundHasher::new(Algorithm::Sha256);
            data.chunks(70_001).for_each(|part| hasher.write_all(part).unwrap());
            let expected = (Hash::of(Algorithm::Sha256, &data), length as u64);
            assert_eq!(hasher.finish().unwrap(), expected);
        }
    }
}
