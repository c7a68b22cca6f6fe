//! The extended attributes that pax puts before a member of a tar archive.

use super::error::Fault;
use super::tar::{MAX_PIECES, Piece, decimal};

/// What counts for unpacking of the attributes of one member.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    pub path: Option<Vec<u8>>,
    pub link_path: Option<Vec<u8>>,
    pub size: Option<u64>,
    /// In whole seconds since 1970.
    pub modified: Option<u64>,
    pub sparse: Sparse,
}

/// GNU's attributes of a sparse file.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    pub format: SparseFormat,
    pub name: Option<Vec<u8>>,
    pub real_size: Option<u64>,
    /// Offsets and lengths in turn.
    numbers: Vec<u64>,
}

/// Where the map of a sparse file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SparseFormat {
    #[default]
    None,
    /// Versions 0.0 and 0.1.
    InAttributes,
    /// Version 1.0.
    InData,
}

impl Attributes {
    /// Adds records of the form `LENGTH KEY=VALUE\n`; a later one counts, and an empty value takes the attribute away.
    pub(super) fn update(&mut self, mut text: &[u8]) -> Result<(), Fault> {
        while !text.is_empty() {
            // Some writers fill up with NULs.
            if text.iter().all(|byte| *byte == 0) {
                break;
            }
            let (record, rest) =
                split_record(text).ok_or_else(|| Fault::damaged("a pax header is malformed"))?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or_else(|| Fault::damaged("a pax header is malformed"))?;
            self.set(&record[..equals], &record[equals + 1..])?;
            text = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let text = || (!value.is_empty()).then(|| value.to_vec());
        let number = || -> Result<Option<u64>, Fault> {
            let bad = || Fault::damaged("a pax header has a number that is none");
            if value.is_empty() { Ok(None) } else { decimal(value).map(Some).ok_or_else(bad) }
        };
        let sparse = &mut self.sparse;
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link_path = text(),
            b"size" => self.size = number()?,
            // Its fraction does not count, and neither does a time before 1970.
            b"mtime" => self.modified = value.split(|byte| *byte == b'.').next().and_then(decimal),
            b"GNU.sparse.name" => sparse.name = text(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => sparse.real_size = number()?,
            b"GNU.sparse.major" => {
                sparse.format = if value == b"1" { SparseFormat::InData } else { SparseFormat::InAttributes };
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                sparse.format = SparseFormat::InAttributes;
                sparse.numbers.extend(number()?);
                if sparse.numbers.len() > 2 * MAX_PIECES {
                    return Err(Fault::damaged("a sparse file has too many pieces"));
                }
            }
            b"GNU.sparse.map" => {
                sparse.format = SparseFormat::InAttributes;
                let numbers: Option<Vec<u64>> = value.split(|byte| *byte == b',').map(decimal).collect();
                sparse.numbers = numbers
                    .ok_or_else(|| Fault::damaged("the map of a sparse file is no list of numbers"))?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Sparse {
    /// The pieces that the attributes list.
    pub(super) fn pieces(&self) -> Result<Vec<Piece>, Fault> {
        if !self.numbers.len().is_multiple_of(2) {
            return Err(Fault::damaged("the map of a sparse file is incomplete"));
        }
        Ok(self.numbers.chunks_exact(2).map(|pair| Piece { offset: pair[0], length: pair[1] }).collect())
    }
}

/// The first record without its length and line feed, and what follows it.
fn split_record(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&text[..space])?).ok()?;
    if length > text.len() || length < space + 2 {
        return None;
    }
    let (record, rest) = text.split_at(length);
    Some((record[space + 1..].strip_suffix(b"\n")?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_by_length_and_may_hold_anything() {
        let mut attributes = Attributes::default();
        attributes.update(b"12 path=a=b\n17 linkpath=x\ny\xff\n11 size=42\n13 unknown=1\n\0\0").unwrap();
        assert_eq!(attributes.path.as_deref(), Some(&b"a=b"[..]));
        assert_eq!(attributes.link_path.as_deref(), Some(&b"x\ny\xff"[..]));
        assert_eq!(attributes.size, Some(42));
        attributes.update(b"8 path=\n8 size=\n").unwrap();
        assert_eq!((attributes.path, attributes.size), (None, None));
    }

    #[test]
    fn malformed_records_are_refused() {
        let texts: [&[u8]; 9] = [
            b"path=a\n",
            b"99 path=a\n",
            b"3 path=a\n",
            b"0 path=a\n",
            b"9 path=ab",
            b"7 path\n",
            b"10 size=-1\n",
            b"99999999999999999999999 a=b\n",
            b"26 GNU.sparse.map=1,2,x,4\n",
        ];
        for text in texts {
            assert!(Attributes::default().update(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
