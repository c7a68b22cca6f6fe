//! Unpacks cpio archives of the format `newc` (and its variant with sums), as RPM packages and initial RAM file systems have them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::error::Fault;
use super::extract::Extractor;
use super::tar::Layout;

const HEADER: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";
const MAX_NAME: u64 = 4096;

/// A file's number and its device's.
type Inode = (u64, u64, u64);
/// Names of files whose data has not come yet, and whether they are executable.
type Links = BTreeMap<Inode, Vec<(Vec<u8>, bool)>>;

struct Member {
    inode: Inode,
    mode: u64,
    links: u64,
    size: u64,
    name: Vec<u8>,
}

pub(super) fn extract(content: &mut dyn Read, extractor: &mut Extractor<'_>) -> Result<(), Fault> {
    let mut links = Links::new();
    loop {
        let member = read_member(content)?;
        if member.name == TRAILER {
            return empty_links(links, extractor);
        }
        let name = &member.name;
        let mut data = Read::take(&mut *content, member.size);
        match member.mode & 0o170_000 {
            0o100_000 => {
                // Of several links the last has the data, by custom; the others have none.
                let executable = member.mode & 0o100 != 0;
                if member.links > 1 && member.size == 0 {
                    // They are held in memory, so that there may not be any number of them.
                    extractor.expect(name)?;
                    links.entry(member.inode).or_default().push((name.clone(), executable));
                    continue;
                }
                let layout = Layout { size: member.size, pieces: None };
                extractor.file(name, executable, &layout, &mut data)?;
                for (link, _) in links.remove(&member.inode).unwrap_or_default() {
                    extractor.hard_link(&link, name)?;
                }
            }
            0o040_000 => extractor.folder(name)?,
            0o120_000 => {
                if member.size > MAX_NAME {
                    return Err(Fault::refused(name, "a symbolic link with an overlong target"));
                }
                let mut target = Vec::new();
                data.read_to_end(&mut target).map_err(Fault::reading)?;
                extractor.symlink(name, &target)?;
            }
            _ => return Err(Fault::refused(name, "a device, named pipe or socket")),
        }
        skip_rest(data.limit() + padding(member.size), content)?;
    }
}

/// Makes the files with several names of which none had data.
fn empty_links(links: Links, extractor: &mut Extractor<'_>) -> Result<(), Fault> {
    for names in links.into_values() {
        let mut names = names.into_iter();
        let Some((first, executable)) = names.next() else { continue };
        extractor.file(&first, executable, &Layout { size: 0, pieces: None }, &mut io::empty())?;
        for (name, _) in names {
            extractor.hard_link(&name, &first)?;
        }
    }
    Ok(())
}

fn read_member(content: &mut dyn Read) -> Result<Member, Fault> {
    let mut header = [0; HEADER];
    content.read_exact(&mut header).map_err(Fault::reading)?;
    if !matches!(&header[..6], b"070701" | b"070702") {
        return Err(Fault::damaged("a header's magic is wrong"));
    }
    let field = |index: usize| -> Result<u64, Fault> {
        let digits = &header[6 + index * 8..14 + index * 8];
        let text =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = text.and_then(|text| u64::from_str_radix(text, 16).ok());
        value.ok_or_else(|| Fault::damaged("a header has a number that is none"))
    };
    let name_size = field(11)?;
    if name_size == 0 || name_size > MAX_NAME {
        return Err(Fault::damaged("a name is empty or overlong"));
    }
    let mut name = vec![0; name_size as usize];
    content.read_exact(&mut name).map_err(Fault::reading)?;
    if name.pop() != Some(0) {
        return Err(Fault::damaged("a name does not end with a NUL"));
    }
    skip_rest(padding(HEADER as u64 + name_size), content)?;
    Ok(Member {
        inode: (field(0)?, field(7)?, field(8)?),
        mode: field(1)?,
        links: field(4)?,
        size: field(6)?,
        name,
    })
}

fn padding(length: u64) -> u64 {
    length.next_multiple_of(4) - length
}

fn skip_rest(length: u64, content: &mut dyn Read) -> Result<(), Fault> {
    let skipped = io::copy(&mut content.take(length), &mut io::sink()).map_err(Fault::reading)?;
    if skipped < length {
        return Err(Fault::damaged("it ends within a member"));
    }
    Ok(())
}
