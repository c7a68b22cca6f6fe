//! Reads tar archives: v7, ustar, pax and GNU's, with long names and sparse files.
//!
//! Formats: pax(1) of POSIX.1-2017, and the chapter "Tar Internals" of GNU tar's manual.

use std::io::{self, Read};

use super::error::Fault;
use super::pax::{Attributes, Sparse, SparseFormat};

pub(super) const BLOCK: usize = 512;
/// The most bytes of a long name or of extended attributes: both are held in memory.
const MAX_EXTENSION: u64 = 1 << 20;
/// The most pieces of a sparse file, likewise.
pub(super) const MAX_PIECES: usize = 1 << 20;

type Block = [u8; BLOCK];

/// One member of an archive.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub kind: Kind,
    pub executable: bool,
    /// When it was changed, in seconds since 1970; 0 if that is not said.
    pub modified: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File(Layout),
    Folder,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    /// What no store can hold, with a word for it.
    Special(&'static str),
}

/// Where the bytes that the archive has of a file belong; what is between them is zero.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub size: u64,
    /// None for a file that is stored whole.
    pub pieces: Option<Vec<Piece>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub offset: u64,
    pub length: u64,
}

/// A tar archive being read. After [`Archive::next`] gave a file, reading gives the bytes that the archive has of it.
pub(super) struct Archive<R> {
    input: R,
    /// Bytes of the current member's data that were not read.
    left: u64,
    /// Bytes that fill up its last block.
    padding: u64,
    globals: Attributes,
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.input.read(&mut buffer[..wanted])?;
        self.left -= got as u64;
        Ok(got)
    }
}

/// Whether a stream that begins so is a tar archive: its first block is a header with the right sum, or it is an empty archive.
pub(super) fn is_tar(start: &[u8]) -> bool {
    match start.first_chunk::<BLOCK>() {
        Some(block) => *block == [0; BLOCK] || has_right_sum(block),
        None => false,
    }
}

impl<R: Read> Archive<R> {
    pub(super) fn new(input: R) -> Self {
        Archive { input, left: 0, padding: 0, globals: Attributes::default() }
    }

    /// The next member; none at the archive's end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Fault> {
        let mut attributes = self.globals.clone();
        let mut long_name = None;
        let mut long_link = None;
        while let Some(header) = self.next_header()? {
            match header[156] {
                b'x' | b'X' => attributes.update(&self.read_extension()?)?,
                b'g' => {
                    let text = self.read_extension()?;
                    self.globals.update(&text)?;
                    // A map is of one file, and would be copied for each.
                    self.globals.sparse = Sparse::default();
                    let own = attributes.sparse.clone();
                    attributes.update(&text)?;
                    attributes.sparse = own;
                }
                b'L' => long_name = Some(until_nul(&self.read_extension()?).to_vec()),
                b'K' => long_link = Some(until_nul(&self.read_extension()?).to_vec()),
                // A volume's label.
                b'V' => {}
                _ => return self.entry(&header, attributes, long_name, long_link).map(Some),
            }
        }
        Ok(None)
    }

    fn entry(
        &mut self,
        header: &Block,
        attributes: Attributes,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, Fault> {
        if let Some(size) = attributes.size {
            self.set_data(size)?;
        }
        let name = attributes.path.clone().or(long_name).unwrap_or_else(|| header_name(header));
        let link = attributes.link_path.clone().or(long_link);
        let link = || link.unwrap_or_else(|| until_nul(&header[157..257]).to_vec());
        let kind = match header[156] {
            // Before ustar, folders were told by a slash at the end of their names.
            b'0' | 0 if name.ends_with(b"/") => Kind::Folder,
            b'0' | 0 | b'7' => Kind::File(self.layout(&attributes)?),
            b'S' => Kind::File(self.old_sparse_layout(header)?),
            b'1' => {
                // As GNU tar: whatever the size says, no data follows.
                self.set_data(0)?;
                Kind::HardLink(link())
            }
            b'2' => Kind::Symlink(link()),
            b'3' => Kind::Special("a character device"),
            b'4' => Kind::Special("a block device"),
            b'5' | b'D' => Kind::Folder,
            b'6' => Kind::Special("a named pipe"),
            b'M' => Kind::Special("the rest of a file that begins in another volume"),
            _ => Kind::Special("an entry of an unknown kind"),
        };
        let name = attributes.sparse.name.clone().unwrap_or(name);
        let executable = number(&header[100..108])? & 0o100 != 0;
        let modified = attributes.modified.or_else(|| number(&header[136..148]).ok()).unwrap_or(0);
        Ok(Entry { name, kind, executable, modified })
    }

    /// How a file is stored that is no sparse one of GNU's old kind.
    fn layout(&mut self, attributes: &Attributes) -> Result<Layout, Fault> {
        let sparse = &attributes.sparse;
        let size = sparse.real_size.unwrap_or(self.left);
        let pieces = match sparse.format {
            SparseFormat::None => return Ok(Layout { size: self.left, pieces: None }),
            SparseFormat::InAttributes => sparse.pieces()?,
            SparseFormat::InData => self.read_sparse_map()?,
        };
        check_pieces(&pieces, size, self.left)?;
        Ok(Layout { size, pieces: Some(pieces) })
    }

    /// The map of a sparse file in pax's version 1.0: lines of decimal numbers before the data, filled up to a block.
    fn read_sparse_map(&mut self) -> Result<Vec<Piece>, Fault> {
        let mut text = Vec::new();
        let mut position = 0;
        let count = self.read_map_number(&mut text, &mut position)?;
        let mut pieces = Vec::new();
        if count > MAX_PIECES as u64 {
            return Err(Fault::damaged("a sparse file has too many pieces"));
        }
        for _ in 0..count {
            let offset = self.read_map_number(&mut text, &mut position)?;
            let length = self.read_map_number(&mut text, &mut position)?;
            pieces.push(Piece { offset, length });
        }
        Ok(pieces)
    }

    fn read_map_number(&mut self, text: &mut Vec<u8>, position: &mut usize) -> Result<u64, Fault> {
        loop {
            if let Some(length) = text[*position..].iter().position(|byte| *byte == b'\n') {
                let digits = &text[*position..*position + length];
                *position += length + 1;
                return decimal(digits)
                    .ok_or_else(|| Fault::damaged("the map of a sparse file is no list of numbers"));
            }
            if text.len() - *position >= BLOCK {
                return Err(Fault::damaged("the map of a sparse file is no list of numbers"));
            }
            let mut block = [0; BLOCK];
            self.read_exact(&mut block).map_err(Fault::reading)?;
            text.extend_from_slice(&block);
        }
    }

    /// The map of a sparse file in GNU's old format: pieces in the header and in blocks that follow it.
    fn old_sparse_layout(&mut self, header: &Block) -> Result<Layout, Fault> {
        let mut pieces = Vec::new();
        add_old_pieces(&header[386..482], &mut pieces)?;
        let size = number(&header[483..495])?;
        let mut more = header[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            // These blocks come before the data and are not counted in its size.
            self.input.read_exact(&mut block).map_err(Fault::reading)?;
            add_old_pieces(&block[..504], &mut pieces)?;
            more = block[504] != 0;
        }
        check_pieces(&pieces, size, self.left)?;
        Ok(Layout { size, pieces: Some(pieces) })
    }

    /// The next header whose sum is right, past what is left of the current member; none at the end.
    fn next_header(&mut self) -> Result<Option<Block>, Fault> {
        let rest = self.left + self.padding;
        let skipped =
            io::copy(&mut self.input.by_ref().take(rest), &mut io::sink()).map_err(Fault::reading)?;
        if skipped < rest {
            return Err(Fault::damaged("it ends within a file"));
        }
        (self.left, self.padding) = (0, 0);
        let mut header = [0; BLOCK];
        if !read_block(&mut self.input, &mut header)? || header == [0; BLOCK] {
            return Ok(None);
        }
        if !has_right_sum(&header) {
            return Err(Fault::damaged("a header's sum is wrong"));
        }
        self.set_data(number(&header[124..136])?)?;
        Ok(Some(header))
    }

    fn set_data(&mut self, size: u64) -> Result<(), Fault> {
        // Twice as much could overflow where the padding is added.
        if size > u64::MAX / 2 {
            return Err(Fault::damaged("a size is out of range"));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn read_extension(&mut self) -> Result<Vec<u8>, Fault> {
        if self.left > MAX_EXTENSION {
            return Err(Fault::damaged("a header's extension is larger than 1 MiB"));
        }
        let mut data = vec![0; self.left as usize];
        self.read_exact(&mut data).map_err(Fault::reading)?;
        Ok(data)
    }
}

/// Fills the block; false if the input has ended before it.
fn read_block(input: &mut impl Read, block: &mut Block) -> Result<bool, Fault> {
    let mut filled = 0;
    while filled < BLOCK {
        match input.read(&mut block[filled..]).map_err(Fault::reading)? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(Fault::damaged("it ends within a header")),
            got => filled += got,
        }
    }
    Ok(true)
}

fn has_right_sum(header: &Block) -> bool {
    let Ok(expected) = number(&header[148..156]) else { return false };
    let counted =
        || header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let unsigned: u64 = counted().map(u64::from).sum();
    // Some old programs summed signed bytes.
    let signed: i64 = counted().map(|byte| i64::from(byte.cast_signed())).sum();
    expected == unsigned || i64::try_from(expected) == Ok(signed)
}

/// A number in a header: octal digits, or binary if the first bit is set.
fn number(field: &[u8]) -> Result<u64, Fault> {
    let bad = || Fault::damaged("a header has a number that is none");
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let start = u64::from(first & 0x7f);
        return rest.iter().try_fold(start, |value, byte| {
            let shifted = value.checked_mul(256).ok_or_else(bad)?;
            Ok(shifted | u64::from(*byte))
        });
    }
    let digits = until_nul(field).trim_ascii();
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + u64::from(digit - b'0')).ok_or_else(bad),
        _ => Err(bad()),
    })
}

pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn header_name(header: &Block) -> Vec<u8> {
    let name = until_nul(&header[..100]);
    let prefix = until_nul(&header[345..500]);
    // GNU's magic is followed by a space, and its headers have other things than a prefix there.
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() {
        return [prefix, b"/", name].concat();
    }
    name.to_vec()
}

fn add_old_pieces(fields: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Fault> {
    for field in fields.chunks_exact(24) {
        if field[0] == 0 {
            break;
        }
        pieces.push(Piece { offset: number(&field[..12])?, length: number(&field[12..])? });
    }
    if pieces.len() > MAX_PIECES {
        return Err(Fault::damaged("a sparse file has too many pieces"));
    }
    Ok(())
}

/// Pieces must be in order, within the file, and as long together as the data.
fn check_pieces(pieces: &[Piece], size: u64, data: u64) -> Result<(), Fault> {
    let mut end = 0;
    let mut total = 0u64;
    for piece in pieces {
        let next = piece.offset.checked_add(piece.length).filter(|next| *next <= size && piece.offset >= end);
        end = next.ok_or_else(|| Fault::damaged("the pieces of a sparse file overlap or lie outside it"))?;
        total += piece.length;
    }
    if total != data {
        return Err(Fault::damaged("the pieces of a sparse file are not as long as its data"));
    }
    Ok(())
}
