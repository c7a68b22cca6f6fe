//! Nix's export format: archives of store paths one after another, each with its references and deriver.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, BufReader, Read, Write};

use zeval_model::tree::{self, Modes};
use zeval_model::{StorePath, nar};

use super::receive::HashingReader;
use super::{PathInfo, Store, StoreError, now};
use crate::cancel::Cancellation;

const GOES_ON: u64 = 1;
const MAGIC: u64 = 0x4558_494e;
/// More than any path or number of references: what is larger is no export.
const MAX_STRING: u64 = 4096;
const MAX_REFERENCES: u64 = 1_000_000;

impl Store {
    /// Writes `paths`, each after those of them that it refers to.
    pub fn export(&self, paths: &BTreeSet<StorePath>, mut output: impl Write) -> Result<(), StoreError> {
        self.pin(paths)?;
        for path in self.references_first(paths)? {
            let info = self.require(&path)?;
            number(&mut output, GOES_ON)?;
            let mut hashing = HashingWriter::new(&mut output);
            nar::dump_path(&self.physical(&path), &mut hashing)?;
            let actual = hashing.hasher.finish();
            if actual != info.nar_hash {
                let (expected, actual) = (info.nar_hash.to_sri(), actual.to_sri());
                return Err(StoreError::WrongContents { path, expected, actual });
            }
            number(&mut output, MAGIC)?;
            string(&mut output, &path.to_string())?;
            number(&mut output, info.references.len() as u64)?;
            info.references.iter().try_for_each(|path| string(&mut output, &path.to_string()))?;
            string(&mut output, &info.deriver.map(|path| path.to_string()).unwrap_or_default())?;
            number(&mut output, 0)?;
        }
        number(&mut output, 0)?;
        Ok(output.flush()?)
    }

    /// Adds all that an export holds, and gives it in its order.
    pub fn import(
        &self,
        input: impl Read,
        cancellation: &Cancellation,
    ) -> Result<Vec<StorePath>, StoreError> {
        let mut input = BufReader::with_capacity(256 * 1024, input);
        let mut imported = Vec::new();
        loop {
            match read_number(&mut input)? {
                0 => return Ok(imported),
                GOES_ON => imported.push(self.import_one(&mut input, cancellation)?),
                _ => return Err(malformed("it does not begin as an export does")),
            }
            if cancellation.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
        }
    }

    fn import_one(
        &self,
        input: &mut impl Read,
        cancellation: &Cancellation,
    ) -> Result<StorePath, StoreError> {
        let made = self.temporary_folder()?;
        let copy = made.path().join("0");
        let mut reader = nar::Reader::new(HashingReader::new(&mut *input));
        tree::restore(&mut reader, &copy, Modes::Store)?;
        let (nar_hash, nar_size) = reader.into_inner().finish();
        if read_number(input)? != MAGIC {
            return Err(malformed("a path's end is not marked"));
        }
        let path = StorePath::from_absolute(&read_string(input)?)?;
        let count = read_number(input)?;
        if count > MAX_REFERENCES {
            return Err(malformed("a path has too many references"));
        }
        let mut references = BTreeSet::new();
        for _ in 0..count {
            references.insert(StorePath::from_absolute(&read_string(input)?)?);
        }
        let deriver = match read_string(input)? {
            none if none.is_empty() => None,
            deriver => Some(StorePath::from_absolute(&deriver)?),
        };
        if read_number(input)? == 1 {
            // A signature of a kind that nobody makes any more.
            read_string(input)?;
        }
        self.pin([&path])?;
        let _lock = self.lock(&path, cancellation, || ())?;
        if !self.is_valid(&path)? {
            self.move_into_place(&copy, &path)?;
            let (signatures, path) = (BTreeSet::new(), path.clone());
            let mut info = PathInfo {
                path,
                nar_hash,
                nar_size,
                references,
                deriver,
                registered: now(),
                content_address: None,
                signatures,
                ultimate: false,
            };
            info.content_address = self.recognise_address(&info)?;
            self.register(&[info], &[])?;
        }
        Ok(path)
    }

    /// `paths`, each after those that it refers to; in Nix's order. All must be valid.
    pub fn references_first(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<StorePath>, StoreError> {
        let infos = self.infos(paths)?;
        match paths.iter().find(|path| !infos.contains_key(*path)) {
            Some(missing) => Err(StoreError::NotValid(missing.clone())),
            None => Ok(references_first(&infos)),
        }
    }
}

/// The paths, each after those of them that it refers to; in Nix's order.
pub fn references_first(infos: &BTreeMap<StorePath, PathInfo>) -> Vec<StorePath> {
    let mut order = Vec::with_capacity(infos.len());
    let mut seen = HashSet::with_capacity(infos.len());
    // The paths on the way from a first one, each with those of its references that were not followed yet.
    let mut way = Vec::new();
    for (path, info) in infos {
        if seen.insert(path) {
            way.push((path, info.references.iter()));
        }
        while let Some((_, rest)) = way.last_mut() {
            match rest.next() {
                Some(next) => {
                    if let Some((next, info)) = infos.get_key_value(next)
                        && seen.insert(next)
                    {
                        way.push((next, info.references.iter()));
                    }
                }
                None => order.extend(way.pop().map(|(path, _)| path.clone())),
            }
        }
    }
    order
}

struct HashingWriter<W> {
    output: W,
    hasher: zeval_model::Hasher,
}

impl<W: Write> HashingWriter<W> {
    fn new(output: W) -> HashingWriter<W> {
        HashingWriter { output, hasher: zeval_model::Hasher::new(zeval_model::Algorithm::Sha256) }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.output.write(data)?;
        self.hasher.update(&data[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn malformed(what: &str) -> StoreError {
    StoreError::BadExport(what.to_owned())
}

fn number(output: &mut impl Write, number: u64) -> io::Result<()> {
    output.write_all(&number.to_le_bytes())
}

fn string(output: &mut impl Write, text: &str) -> io::Result<()> {
    number(output, text.len() as u64)?;
    output.write_all(text.as_bytes())?;
    output.write_all(&[0; 8][..text.len().next_multiple_of(8) - text.len()])
}

fn read_number(input: &mut impl Read) -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    read_exact(input, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), StoreError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed("it ends too early"),
        _ => error.into(),
    })
}

fn read_string(input: &mut impl Read) -> Result<String, StoreError> {
    let length = read_number(input)?;
    if length > MAX_STRING {
        return Err(malformed("a text is too long"));
    }
    let length = length as usize;
    let mut bytes = vec![0; length.next_multiple_of(8)];
    read_exact(input, &mut bytes)?;
    if bytes.split_off(length).iter().any(|&byte| byte != 0) {
        return Err(malformed("a text is not padded with zero bytes"));
    }
    String::from_utf8(bytes).map_err(|_| malformed("a text is not valid UTF-8"))
}
