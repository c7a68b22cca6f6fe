//! Unpacks the files of a Debian package: the member `data.tar*` of an ar archive (deb(5)).

use std::io::{self, Read};

use super::decompress;
use super::error::Fault;
use super::extract::Extractor;
use super::tar::decimal;

const MAGIC: &[u8] = b"!<arch>\n";

/// `input` is the package from its first byte.
pub(super) fn extract(mut input: impl Read + Send, extractor: &mut Extractor<'_>) -> Result<(), Fault> {
    skip(&mut input, MAGIC.len() as u64)?;
    loop {
        let (name, size) = next_member(&mut input)?;
        if !name.starts_with(b"data.tar") {
            skip(&mut input, size.next_multiple_of(2))?;
            continue;
        }
        let member = decompress::decoder(input.take(size))?;
        return decompress::read_ahead(member, |content| {
            extractor.tar(content)?;
            io::copy(content, &mut io::sink()).map_err(Fault::reading)?;
            Ok(())
        });
    }
}

/// The name and size of the member whose header comes next.
fn next_member(input: &mut impl Read) -> Result<(Vec<u8>, u64), Fault> {
    let mut header = Vec::with_capacity(60);
    input.by_ref().take(60).read_to_end(&mut header).map_err(Fault::reading)?;
    if header.is_empty() {
        return Err(Fault::damaged("it is an ar archive without a member data.tar, so no Debian package"));
    }
    if header.len() < 60 || &header[58..] != b"`\n" {
        return Err(Fault::damaged("a member's header is malformed"));
    }
    let size = decimal(header[48..58].trim_ascii());
    let size = size.ok_or_else(|| Fault::damaged("a member's size is no number"))?;
    Ok((header[..16].trim_ascii_end().to_vec(), size))
}

fn skip(input: &mut impl Read, length: u64) -> Result<(), Fault> {
    let skipped = io::copy(&mut input.by_ref().take(length), &mut io::sink()).map_err(Fault::reading)?;
    if skipped < length {
        return Err(Fault::damaged("it ends within a member"));
    }
    Ok(())
}
