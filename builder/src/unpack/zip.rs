//! Unpacks zip archives, by the directory at their end (PKWARE's APPNOTE.TXT, sections 4.3 to 4.5).

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::{Crc, bufread::DeflateDecoder};

use super::error::Fault;
use super::extract::Extractor;
use super::tar::Layout;

const END: &[u8] = b"PK\x05\x06";
const END_SIZE: u64 = 22;
const MAX_COMMENT: u64 = 0xffff;
const END64: &[u8] = b"PK\x06\x06";
const LOCATOR64: &[u8] = b"PK\x06\x07";
const LOCATOR64_SIZE: u64 = 20;
const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_SIZE: u64 = 30;
const UNIX: u8 = 3;
const MAX_LINK: u64 = 4096;

/// Where the directory is.
struct Directory {
    offset: u64,
    size: u64,
}

/// One entry of the directory.
struct Member {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    compressed: u64,
    size: u64,
    /// As Unix's `st_mode`; none if the archive was made elsewhere.
    mode: Option<u32>,
    /// In seconds since 1970.
    modified: u64,
    offset: u64,
}

pub(super) fn extract(file: &File, extractor: &mut Extractor<'_>) -> Result<(), Fault> {
    let length = file.metadata().map_err(Fault::Read)?.len();
    let directory = find_directory(file, length)?;
    if directory.offset.checked_add(directory.size).is_none_or(|end| end > length) {
        return Err(Fault::damaged("its directory lies outside it"));
    }
    let bytes = read_at(file, directory.offset, directory.size)?;
    let mut fields = Fields(&bytes);
    while !fields.0.is_empty() {
        let member = read_member(&mut fields)?;
        extract_member(file, &member, extractor)?;
    }
    Ok(())
}

fn extract_member(file: &File, member: &Member, extractor: &mut Extractor<'_>) -> Result<(), Fault> {
    let name = &member.name;
    extractor.changed(member.modified);
    if member.flags & 1 != 0 {
        return Err(Fault::refused(name, "an encrypted file"));
    }
    if name.ends_with(b"/") {
        return extractor.folder(name);
    }
    let kind = member.mode.map_or(0o100_000, |mode| mode & 0o170_000);
    let mut content = Checked { input: open(file, member)?, crc: Crc::new() };
    match kind {
        0o040_000 => return extractor.folder(name),
        0o120_000 if member.size > MAX_LINK => {
            return Err(Fault::refused(name, "a symbolic link with an overlong target"));
        }
        0o120_000 => {
            let mut target = Vec::new();
            content.by_ref().take(MAX_LINK).read_to_end(&mut target).map_err(Fault::reading)?;
            extractor.symlink(name, &target)?;
        }
        // Archives made without Unix's modes have 0 here.
        0o100_000 | 0 => {
            let executable = member.mode.is_some_and(|mode| mode & 0o100 != 0);
            extractor.file(name, executable, &Layout { size: member.size, pieces: None }, &mut content)?;
        }
        _ => return Err(Fault::refused(name, "a device, named pipe or socket")),
    }
    // One that goes on would be another file for those who believe the data.
    if content.read(&mut [0]).map_err(Fault::reading)? > 0 {
        let name = name.escape_ascii();
        return Err(Fault::damaged(format!("`{name}` is larger than its directory says")));
    }
    if content.crc.sum() != member.crc {
        return Err(Fault::damaged(format!("the sum of `{}` is wrong", name.escape_ascii())));
    }
    Ok(())
}

struct Checked<R> {
    input: R,
    crc: Crc,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.crc.update(&buffer[..got]);
        Ok(got)
    }
}

/// The decompressed contents of a member.
fn open<'a>(file: &'a File, member: &Member) -> Result<Box<dyn Read + 'a>, Fault> {
    let header = read_at(file, member.offset, LOCAL_SIZE)?;
    let mut fields = Fields(&header);
    if fields.take(4)? != LOCAL {
        return Err(Fault::damaged("a file's header is not where the directory says"));
    }
    fields.take(22)?;
    let name_and_extra = u64::from(fields.u16()?) + u64::from(fields.u16()?);
    let start = member.offset.checked_add(LOCAL_SIZE + name_and_extra);
    let start = start.ok_or_else(|| Fault::damaged("a file lies outside it"))?;
    let raw = Slice { file, position: start, left: member.compressed };
    match member.method {
        0 => Ok(Box::new(BufReader::new(raw))),
        8 => Ok(Box::new(DeflateDecoder::new(BufReader::new(raw)))),
        _ => Err(Fault::refused(&member.name, "compressed with a method other than deflate")),
    }
}

/// A part of a file, read without moving the file's own position.
struct Slice<'a> {
    file: &'a File,
    position: u64,
    left: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}

fn read_at(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut slice = Slice { file, position: offset, left: length };
    slice.read_to_end(&mut bytes).map_err(Fault::Read)?;
    if (bytes.len() as u64) < length {
        return Err(Fault::damaged("it is cut short"));
    }
    Ok(bytes)
}

fn find_directory(file: &File, length: u64) -> Result<Directory, Fault> {
    let tail_length = length.min(END_SIZE + MAX_COMMENT);
    let tail = read_at(file, length - tail_length, tail_length)?;
    let at = tail.windows(END.len()).rposition(|window| window == END);
    let at = at.ok_or_else(|| Fault::damaged("its directory is missing: it is cut short"))?;
    let mut fields = Fields(&tail[at..]);
    fields.take(12)?;
    let directory = Directory { size: u64::from(fields.u32()?), offset: u64::from(fields.u32()?) };
    if directory.offset != 0xffff_ffff && directory.size != 0xffff_ffff {
        return Ok(directory);
    }
    let end = length - tail_length + at as u64;
    find_directory64(file, end)
}

/// Of an archive larger than 4 GiB; `end` is where the end of its smaller kind is.
fn find_directory64(file: &File, end: u64) -> Result<Directory, Fault> {
    let locator_at =
        end.checked_sub(LOCATOR64_SIZE).ok_or_else(|| Fault::damaged("its directory is missing"))?;
    let locator = read_at(file, locator_at, LOCATOR64_SIZE)?;
    let mut fields = Fields(&locator);
    if fields.take(4)? != LOCATOR64 {
        return Err(Fault::damaged("its directory is missing"));
    }
    fields.take(4)?;
    let record = read_at(file, fields.u64()?, 56)?;
    let mut fields = Fields(&record);
    if fields.take(4)? != END64 {
        return Err(Fault::damaged("its directory is missing"));
    }
    fields.take(36)?;
    Ok(Directory { size: fields.u64()?, offset: fields.u64()? })
}

fn read_member(fields: &mut Fields<'_>) -> Result<Member, Fault> {
    if fields.take(4)? != CENTRAL {
        return Err(Fault::damaged("its directory is malformed"));
    }
    let made_by = fields.u16()?;
    fields.take(2)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    let (time, date) = (fields.u16()?, fields.u16()?);
    let crc = fields.u32()?;
    let (compressed, size) = (fields.u32()?, fields.u32()?);
    let (name_length, extra_length, comment_length) = (fields.u16()?, fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let attributes = fields.u32()?;
    let offset = fields.u32()?;
    let name = fields.take(name_length.into())?.to_vec();
    let extra = fields.take(extra_length.into())?;
    fields.take(comment_length.into())?;
    let mut large = Fields(zip64_extra(extra)?);
    let mut widen = |value: u32| if value == u32::MAX { large.u64() } else { Ok(u64::from(value)) };
    // The order in the extra field is this one, and only what did not fit is there.
    let size = widen(size)?;
    let compressed = widen(compressed)?;
    let offset = widen(offset)?;
    let mode = (made_by.to_be_bytes()[0] == UNIX).then_some(attributes >> 16);
    let modified = unix_time_extra(extra).unwrap_or_else(|| dos_time(time, date));
    Ok(Member { name, flags, method, crc, compressed, size, mode, modified, offset })
}

/// The time of the extra field that Info-ZIP writes ("UT"), in seconds since 1970.
fn unix_time_extra(extra: &[u8]) -> Option<u64> {
    let mut fields = Fields(extra);
    while fields.0.len() >= 4 {
        let (kind, length) = (fields.u16().ok()?, fields.u16().ok()?);
        let value = fields.take(length.into()).ok()?;
        if kind == 0x5455 && value.first().is_some_and(|flags| flags & 1 != 0) {
            return Fields(&value[1..]).u32().ok().map(u64::from);
        }
    }
    None
}

/// A date and time of MS-DOS, taken as UTC, in seconds since 1970.
fn dos_time(time: u16, date: u16) -> u64 {
    let (year, month, day) = (1980 + i64::from(date >> 9), i64::from(date >> 5 & 15), i64::from(date & 31));
    let (hour, minute, second) = (u64::from(time >> 11), u64::from(time >> 5 & 63), u64::from(time & 31) * 2);
    // Days of the proleptic Gregorian calendar, counted from a March.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    u64::try_from(days).unwrap_or(0) * 86_400 + hour * 3600 + minute * 60 + second
}

/// The extra field with the sizes and offset that do not fit in 32 bits; empty if there is none.
fn zip64_extra(extra: &[u8]) -> Result<&[u8], Fault> {
    let mut fields = Fields(extra);
    while fields.0.len() >= 4 {
        let (kind, length) = (fields.u16()?, fields.u16()?);
        let value = fields.take(length.into())?;
        if kind == 1 {
            return Ok(value);
        }
    }
    Ok(&[])
}

/// Little-endian fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (field, rest) =
            self.0.split_at_checked(length).ok_or_else(|| Fault::damaged("a header is cut short"))?;
        self.0 = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}
