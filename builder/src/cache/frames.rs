//! Compressing with zstd, a piece at a time: each becomes a frame of its own, on whatever core is free.
//!
//! A piece lies whole in memory, which spares zstd from keeping a window of it, a fifth of its time at the usual levels. A few
//! pieces are under way at once, however much there is to compress. Frames one after another are what any reader of zstd reads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The bytes of a piece: twice what the usual levels look back, so that little is lost by beginning anew.
const PIECE: usize = 4 << 20;
/// Levels up to this one look back no further than half of a piece.
pub(super) const HIGHEST_LEVEL: i32 = 5;

/// Writes what is written to it, compressed, to its output.
pub(super) struct Frames<W> {
    output: W,
    piece: Vec<u8>,
    /// Whether a piece was compressed already: an empty file is a frame, too.
    started: bool,
    work: Work,
}

enum Work {
    Here(zstd::bulk::Compressor<'static>, Vec<u8>),
    There(Helpers),
}

impl<W: Write> Frames<W> {
    /// With `threads` helpers if those are more than one.
    pub fn new(output: W, level: i32, threads: usize) -> io::Result<Frames<W>> {
        let work = match threads {
            0 | 1 => Work::Here(zstd::bulk::Compressor::new(level)?, Vec::new()),
            threads => Work::There(Helpers::start(level, threads)?),
        };
        Ok(Frames { output, piece: Vec::new(), started: false, work })
    }

    /// Compresses what is left, and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.piece.is_empty() || !self.started {
            self.end_piece()?;
        }
        if let Work::There(helpers) = self.work {
            helpers.finish(&mut self.output)?;
        }
        Ok(self.output)
    }

    fn end_piece(&mut self) -> io::Result<()> {
        self.started = true;
        match &mut self.work {
            Work::Here(compressor, frame) => {
                compress(compressor, &self.piece, frame)?;
                self.piece.clear();
                self.output.write_all(frame)
            }
            Work::There(helpers) => {
                let piece = std::mem::replace(&mut self.piece, helpers.spare());
                helpers.take(piece, &mut self.output)
            }
        }
    }
}

impl<W: Write> Write for Frames<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = data.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&data[..count]);
        if self.piece.len() == PIECE {
            self.end_piece()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Only the end matters, and an early flush costs compression.
        Ok(())
    }
}

fn compress(
    compressor: &mut zstd::bulk::Compressor<'_>,
    piece: &[u8],
    frame: &mut Vec<u8>,
) -> io::Result<()> {
    frame.clear();
    frame.reserve(zstd::zstd_safe::compress_bound(piece.len()));
    compressor.compress_to_buffer(piece, frame).map(drop)
}

/// A piece, and whom to give its frame and the piece's memory.
type Order = (Vec<u8>, Vec<u8>, Sender<io::Result<(Vec<u8>, Vec<u8>)>>);
type Frame = Receiver<io::Result<(Vec<u8>, Vec<u8>)>>;

/// Threads that compress pieces, and the frames that are still to be written, in their order.
struct Helpers {
    orders: SyncSender<Order>,
    threads: Vec<JoinHandle<()>>,
    frames: VecDeque<Frame>,
    /// Memory to be used again.
    spare_pieces: Vec<Vec<u8>>,
    spare_frames: Vec<Vec<u8>>,
}

impl Helpers {
    fn start(level: i32, count: usize) -> io::Result<Helpers> {
        let (orders, taken) = sync_channel::<Order>(0);
        let taken = Arc::new(Mutex::new(taken));
        let mut threads = Vec::new();
        for _ in 0..count {
            let mut compressor = zstd::bulk::Compressor::new(level)?;
            let taken = Arc::clone(&taken);
            threads.push(thread::Builder::new().name("compressor".to_owned()).spawn(move || {
                loop {
                    let order = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((piece, mut frame, done)) = order else { return };
                    let result = compress(&mut compressor, &piece, &mut frame);
                    // Nobody waits for it any more: then it is not wanted.
                    let _ = done.send(result.map(|()| (frame, piece)));
                }
            })?);
        }
        let (spare_pieces, spare_frames) = (Vec::new(), Vec::new());
        Ok(Helpers { orders, threads, frames: VecDeque::new(), spare_pieces, spare_frames })
    }

    fn spare(&mut self) -> Vec<u8> {
        let mut piece = self.spare_pieces.pop().unwrap_or_default();
        piece.clear();
        piece
    }

    /// Has a piece compressed; writes frames that come before it while too many are under way.
    fn take(&mut self, piece: Vec<u8>, output: &mut impl Write) -> io::Result<()> {
        let (done, frame) = channel();
        let spare = self.spare_frames.pop().unwrap_or_default();
        self.orders.send((piece, spare, done)).map_err(|_| gone())?;
        self.frames.push_back(frame);
        while self.frames.len() > self.threads.len() {
            self.write_one(output)?;
        }
        Ok(())
    }

    fn write_one(&mut self, output: &mut impl Write) -> io::Result<()> {
        let Some(frame) = self.frames.pop_front() else { return Ok(()) };
        let (frame, piece) = frame.recv().map_err(|_| gone())??;
        output.write_all(&frame)?;
        self.spare_frames.push(frame);
        self.spare_pieces.push(piece);
        Ok(())
    }

    fn finish(mut self, output: &mut impl Write) -> io::Result<()> {
        while !self.frames.is_empty() {
            self.write_one(output)?;
        }
        drop(self.orders);
        self.threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| gone()))
    }
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_in_pieces_is_the_same_on_any_number_of_threads() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let data: Vec<u8> = (0..length).map(|index| (index / 7 % 251) as u8).collect();
            let mut compressed = [1, 3].map(|threads| {
                let mut frames = Frames::new(Vec::new(), 3, threads).unwrap();
                data.chunks(1_000_003).for_each(|part| frames.write_all(part).unwrap());
                frames.finish().unwrap()
            });
            assert_eq!(compressed[0], compressed[1]);
            let read = zstd::decode_all(std::mem::take(&mut compressed[0]).as_slice()).unwrap();
            assert!(read == data, "{length} bytes differ");
        }
    }
}
