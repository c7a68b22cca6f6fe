//! Compressing archives on their way to a cache, hashed before and after.

use std::io::{self, Write};

use zeval_model::{Algorithm, Hash, Hasher};

use super::Compression;

/// The level of zstd where none is asked for: that of Nix.
const ZSTD_LEVEL: i32 = 3;

/// Hashes and counts what is written through it.
pub(super) struct Measured<W> {
    output: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Measured<W> {
    pub(super) fn new(output: W) -> Measured<W> {
        Measured { output, hasher: Hasher::new(Algorithm::Sha256), size: 0 }
    }

    /// The output, and the SHA-256 and the number of the bytes that went to it.
    pub(super) fn finish(self) -> (W, Hash, u64) {
        (self.output, self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.output.write(data)?;
        self.hasher.update(&data[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A compressor.
pub(super) enum Encoder<W: Write> {
    None(W),
    Zstd(zstd::Encoder<'static, W>),
    Xz(liblzma::write::XzEncoder<W>),
    Bzip2(bzip2::write::BzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    /// One that works on as many cores as `threads` where the method can.
    pub(super) fn new(
        output: W,
        compression: Compression,
        level: Option<i32>,
        threads: usize,
    ) -> io::Result<Encoder<W>> {
        let unsigned = |usual: u32| level.and_then(|level| u32::try_from(level).ok()).unwrap_or(usual);
        Ok(match compression {
            Compression::None => Encoder::None(output),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(output, level.unwrap_or(ZSTD_LEVEL))?;
                if threads > 1 {
                    encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
                }
                Encoder::Zstd(encoder)
            }
            Compression::Xz => Encoder::Xz(liblzma::write::XzEncoder::new(output, unsigned(6).min(9))),
            Compression::Bzip2 => {
                let level = bzip2::Compression::new(unsigned(9).clamp(1, 9));
                Encoder::Bzip2(bzip2::write::BzEncoder::new(output, level))
            }
        })
    }

    /// Writes what is left, and gives the output back.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Encoder::None(output) => Ok(output),
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Bzip2(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::None(output) => output.write(data),
            Encoder::Zstd(encoder) => encoder.write(data),
            Encoder::Xz(encoder) => encoder.write(data),
            Encoder::Bzip2(encoder) => encoder.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Only the end matters, and an early flush costs compression.
        Ok(())
    }
}
