//! `--serve`: what Nix asks of a store at the other end of ssh, in version 2.7 of its protocol. Paths go both ways; builds
//! are not taken.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, BufWriter, Read, Write},
};

use zeval_builder::{
    cancel::Cancellation,
    store::{PathInfo, Store, now},
};
use zeval_model::{Algorithm, Hash, StorePath, nar};

use super::{
    super::outcome::{Outcome, Stop, fail},
    Shop,
};

const CLIENT_MAGIC: u64 = 0x390c_9deb;
const SERVER_MAGIC: u64 = 0x5452_eecb;
const VERSION: u64 = 2 << 8 | 7;
/// Clients from here on know of hashes and signatures.
const WITH_SIGNATURES: u64 = 4;

/// The longest text, in bytes: of names, signatures and addresses.
const MAX_TEXT: u64 = 64 * 1024;
/// The most paths in one question.
const MAX_PATHS: u64 = 10_000_000;

/// `--serve`
pub fn serve(shop: &mut Shop) -> Outcome<()> {
    let [may_write] = shop.switches(["--write"])?;
    shop.no_arguments()?;
    let store = shop.store()?;
    let input = BufReader::with_capacity(256 * 1024, io::stdin().lock());
    let output = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    let mut connection = Connection { store: &store, input, output, minor: 0, may_write };
    connection.greet()?;
    while let Some(command) = connection.command()? {
        connection.answer(command)?;
        connection.output.flush()?;
    }
    Ok(store.settle()?)
}

struct Connection<'a, R, W> {
    store: &'a Store,
    input: R,
    output: W,
    /// Of the client's version.
    minor: u64,
    may_write: bool,
}

impl<R: Read, W: Write> Connection<'_, R, W> {
    fn greet(&mut self) -> Outcome<()> {
        if self.number()? != CLIENT_MAGIC {
            return fail("protocol mismatch");
        }
        self.write_number(SERVER_MAGIC)?;
        self.write_number(VERSION)?;
        self.output.flush()?;
        self.minor = self.number()? & 0xff;
        Ok(())
    }

    /// The number of the next command; none when the client has gone.
    fn command(&mut self) -> Outcome<Option<u64>> {
        let mut bytes = [0; 8];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return fail("unexpected end-of-file"),
                count => filled += count,
            }
        }
        Ok(Some(u64::from_le_bytes(bytes)))
    }

    fn answer(&mut self, command: u64) -> Outcome<()> {
        match command {
            1 => self.valid_paths(),
            2 => self.infos(),
            3 => {
                let path = self.path()?;
                self.store.keeps(&path)?;
                self.store.require(&path)?;
                Ok(nar::dump_path(&self.store.physical(&path), &mut self.output)?)
            }
            7 => {
                let with_outputs = self.number()? != 0;
                let paths = self.paths()?;
                let closure = match with_outputs {
                    true => return fail("closures with outputs are not told"),
                    false => self.store.closure(&paths)?,
                };
                self.write_paths(&closure)
            }
            9 => self.receive(),
            6 | 8 => fail("this store takes no builds over ssh"),
            // 4 and 5, imports and exports, were asked for by clients before 2.5.
            other => fail(format!("unknown serve command {other}")),
        }
    }

    fn valid_paths(&mut self) -> Outcome<()> {
        let lock = self.number()? != 0;
        // Whether to take them from caches: what is asked for comes from the client.
        self.number()?;
        let mut paths = self.paths()?;
        if lock {
            self.store.pin(&paths)?;
        }
        let known = self.store.infos(&paths)?;
        paths.retain(|path| known.contains_key(path));
        self.write_paths(&paths)
    }

    fn infos(&mut self) -> Outcome<()> {
        let paths = self.paths()?;
        for (path, info) in self.store.infos(&paths)? {
            self.write_text(&path.to_string())?;
            self.write_text(&info.deriver.map_or_else(String::new, |drv| drv.to_string()))?;
            self.write_paths(&info.references)?;
            // What is to be downloaded, as Nix has it, and the size itself.
            self.write_number(info.nar_size)?;
            self.write_number(info.nar_size)?;
            if self.minor >= WITH_SIGNATURES {
                self.write_text(&info.nar_hash.to_prefixed_nix32())?;
                self.write_text(&info.content_address.map_or_else(String::new, |a| a.to_string()))?;
                self.write_number(info.signatures.len() as u64)?;
                for signature in &info.signatures {
                    self.write_text(&signature.to_string())?;
                }
            }
        }
        self.write_text("")
    }

    fn receive(&mut self) -> Outcome<()> {
        self.writable()?;
        let path = self.path()?;
        let deriver = Some(self.text()?).filter(|text| !text.is_empty());
        let nar_hash = Hash::parse(&self.text()?, Some(Algorithm::Sha256))?;
        let references = self.paths()?;
        let _registered = self.number()?;
        let nar_size = self.number()?;
        // That it was built there makes nobody trust it here.
        let _ultimate = self.number()?;
        let mut signatures = BTreeSet::new();
        for _ in 0..self.count()? {
            signatures.extend(self.text()?.parse().ok());
        }
        let address = Some(self.text()?).filter(|text| !text.is_empty());
        let info = PathInfo {
            path,
            nar_hash,
            nar_size,
            references,
            deriver: deriver.map(|text| StorePath::from_absolute(&text)).transpose()?,
            registered: now(),
            content_address: address.map(|text| text.parse()).transpose().map_err(Stop::of)?,
            signatures,
            ultimate: false,
        };
        let mut archive = (&mut self.input).take(nar_size);
        self.store.receive(&info, &mut archive, &Cancellation::new())?;
        // One that was there already is not read.
        io::copy(&mut archive, &mut io::sink())?;
        self.write_number(1)
    }

    fn writable(&self) -> Outcome<()> {
        if self.may_write { Ok(()) } else { fail("importing paths is not allowed") }
    }

    fn number(&mut self) -> Outcome<u64> {
        let mut bytes = [0; 8];
        match self.input.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => fail("unexpected end-of-file"),
            result => Ok(result.map(|()| u64::from_le_bytes(bytes))?),
        }
    }

    fn text(&mut self) -> Outcome<String> {
        let length = self.number()?;
        if length > MAX_TEXT {
            return fail("string is too long");
        }
        let mut bytes = vec![0; length.next_multiple_of(8) as usize];
        self.input.read_exact(&mut bytes)?;
        if bytes.split_off(length as usize).iter().any(|&byte| byte != 0) {
            return fail("non-zero padding");
        }
        String::from_utf8(bytes).or_else(|_| fail("a text is not valid UTF-8"))
    }

    fn path(&mut self) -> Outcome<StorePath> {
        Ok(StorePath::from_absolute(&self.text()?)?)
    }

    fn count(&mut self) -> Outcome<u64> {
        match self.number()? {
            count if count > MAX_PATHS => fail("a list is too long"),
            count => Ok(count),
        }
    }

    fn paths(&mut self) -> Outcome<BTreeSet<StorePath>> {
        (0..self.count()?).map(|_| self.path()).collect()
    }

    fn write_number(&mut self, number: u64) -> Outcome<()> {
        Ok(self.output.write_all(&number.to_le_bytes())?)
    }

    fn write_text(&mut self, text: &str) -> Outcome<()> {
        self.write_number(text.len() as u64)?;
        self.output.write_all(text.as_bytes())?;
        Ok(self.output.write_all(&[0; 8][..text.len().next_multiple_of(8) - text.len()])?)
    }

    fn write_paths(&mut self, paths: &BTreeSet<StorePath>) -> Outcome<()> {
        self.write_number(paths.len() as u64)?;
        paths.iter().try_for_each(|path| self.write_text(&path.to_string()))
    }
}
