//! Decompression by what a stream begins with, not by its name.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use liblzma::bufread::XzDecoder;
use liblzma::stream::{MtStreamBuilder, Stream};

use super::error::Fault;

/// Bytes looked at to tell kinds apart: a tar header tells its kind at 257.
pub(super) const PEEK: usize = 512;
/// What a decoder may use at most: a stream says itself how much memory it takes.
const MEMORY: u64 = 3 << 30;
/// For decoders that keep several blocks in memory at once.
const XZ_MEMORY: u64 = 512 << 20;
const CHUNK: usize = 256 * 1024;
const CHUNKS_AHEAD: usize = 8;

/// A stream whose beginning was looked at.
pub(super) type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads the first bytes of `input`, as many as there are up to [`PEEK`], and gives them back with the whole stream.
pub(super) fn peek<R: Read>(mut input: R) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut start = Vec::with_capacity(PEEK);
    input.by_ref().take(PEEK as u64).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(input)))
}

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Lzma,
    Lzip,
    Zstd,
}

impl Compression {
    pub(super) fn of(start: &[u8]) -> Compression {
        let zstd_skippable = start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
        match start {
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            [b'L', b'Z', b'I', b'P', ..] => Compression::Lzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ if zstd_skippable => Compression::Zstd,
            // No magic, but the usual properties, a dictionary of whole KiB, and a length that is unknown or below 2^40.
            [0x5d, 0, 0, _, _, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..] => Compression::Lzma,
            [0x5d, 0, 0, _, _, _, _, _, _, _, 0, 0, 0, ..] => Compression::Lzma,
            _ => Compression::None,
        }
    }
}

/// The decompressed stream of `input`, or `input` itself if it is not compressed.
pub(super) fn decoder<'a>(input: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>, Fault> {
    let (start, input) = peek(input).map_err(Fault::Read)?;
    let compression = Compression::of(&start);
    let input = BufReader::with_capacity(CHUNK, input);
    let lzma = |error: liblzma::stream::Error| Fault::Read(error.into());
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Compression::Xz => Box::new(XzStreams::new(input)?),
        Compression::Lzma => {
            Box::new(XzDecoder::new_stream(input, Stream::new_lzma_decoder(MEMORY).map_err(lzma)?))
        }
        Compression::Lzip => {
            Box::new(XzDecoder::new_stream(input, Stream::new_lzip_decoder(MEMORY, 0).map_err(lzma)?))
        }
        Compression::Zstd => Box::new(zstd_decoder(input)?),
    })
}

fn zstd_decoder<R: BufRead>(input: R) -> Result<zstd::Decoder<'static, R>, Fault> {
    let mut decoder = zstd::Decoder::with_buffer(input).map_err(Fault::Read)?;
    // `zstd --long=31`, as some kernels and packages are compressed, needs a window of 2 GiB.
    decoder.window_log_max(31).map_err(Fault::Read)?;
    Ok(decoder)
}

/// The contents of an .xz file: one stream or several, each decoded on all cores if it has several blocks.
struct XzStreams<R: BufRead> {
    /// None once the last stream has ended or a read has failed.
    current: Option<XzDecoder<R>>,
}

impl<R: BufRead> XzStreams<R> {
    fn new(input: R) -> Result<Self, Fault> {
        Ok(XzStreams { current: Some(xz_stream(input).map_err(Fault::Read)?) })
    }
}

fn xz_stream<R: BufRead>(input: R) -> io::Result<XzDecoder<R>> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let mut builder = MtStreamBuilder::new();
    builder.threads(threads).memlimit_threading(XZ_MEMORY).memlimit_stop(MEMORY);
    Ok(XzDecoder::new_stream(input, builder.decoder()?))
}

impl<R: BufRead> Read for XzStreams<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut decoder) = self.current.take() {
            let got = decoder.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                self.current = Some(decoder);
                return Ok(got);
            }
            let mut rest = decoder.into_inner();
            if skip_zeros(&mut rest)? {
                self.current = Some(xz_stream(rest)?);
            }
        }
        Ok(0)
    }
}

/// Skips the padding between streams; false at the end of the input.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(false);
        }
        let zeros = chunk.iter().take_while(|byte| **byte == 0).count();
        let more = zeros < chunk.len();
        input.consume(zeros);
        if more {
            return Ok(true);
        }
    }
}

/// Runs `consume` on `input` while another thread reads ahead of it, so that decompressing and writing files overlap.
pub(super) fn read_ahead<T>(
    input: impl Read + Send,
    consume: impl FnOnce(&mut dyn Read) -> Result<T, Fault>,
) -> Result<T, Fault> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(CHUNKS_AHEAD);
        let builder = thread::Builder::new().name("decompress".to_owned());
        builder.spawn_scoped(scope, move || send_chunks(input, &sender)).map_err(Fault::Read)?;
        // The reader is dropped before the scope waits for the sender, which ends it early if `consume` failed.
        let mut reader = ReadAhead { receiver, chunk: Cursor::new(Vec::new()) };
        consume(&mut reader)
    })
}

fn send_chunks(mut input: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = input.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        let last = chunk.is_empty();
        // What came before an error still counts: it may hold the whole of an archive with rubbish behind it.
        if !last && sender.send(Ok(chunk)).is_err() {
            return;
        }
        if let Err(error) = read {
            // The receiver may be gone already, having what it wanted.
            let _ = sender.send(Err(error));
            return;
        }
        if last {
            return;
        }
    }
}

struct ReadAhead {
    receiver: Receiver<io::Result<Vec<u8>>>,
    chunk: Cursor<Vec<u8>>,
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.chunk.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            match self.receiver.recv() {
                Ok(chunk) => self.chunk = Cursor::new(chunk?),
                Err(_) => return Ok(0),
            }
        }
    }
}
