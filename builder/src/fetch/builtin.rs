//! The builder `builtin:fetchurl`: a fixed output from one of several addresses.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use thiserror::Error;
use zeval_model::ingest::hash_path;
use zeval_model::tree::Modes;
use zeval_model::{Algorithm, ContentMethod, Hash, HashError, nar, store_dir};

use super::error::{FetchError, Reason, WrongHash};
use super::mirrors::{MirrorError, Mirrors, config_files};
use super::partial::Partial;
use super::receive;
use super::transfer::{Failure, Transfer};
use crate::builtin::Request;
use crate::unpack::decompressed;

/// Why a derivation with the builder `builtin:fetchurl` failed.
#[derive(Debug, Error)]
pub enum Error {
    #[error("`{name}` has neither the attribute `urls` nor `url`, which say where to fetch it from")]
    NoAddress { name: String },
    #[error("the attribute `outputHash` of `{name}` is no hash: {error}")]
    BadHash { name: String, error: HashError },
    #[error(transparent)]
    Mirrors(#[from] MirrorError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// What is made of the file that is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    File,
    Executable,
    /// The file is a NAR, compressed or not, and the output is what it holds.
    Nar,
}

/// What a derivation wants of its output.
struct Wanted {
    form: Form,
    method: ContentMethod,
    hash: Option<Hash>,
}

impl Wanted {
    fn of(request: &Request<'_>) -> Result<Wanted, Error> {
        let form = match (flag(request, "unpack"), flag(request, "executable")) {
            (true, _) => Form::Nar,
            (false, true) => Form::Executable,
            (false, false) => Form::File,
        };
        let method = match request.variable("outputHashMode").map(|mode| mode.as_bytes()) {
            Some(b"recursive" | b"nar") => ContentMethod::Nar,
            _ => ContentMethod::Flat,
        };
        Ok(Wanted { form, method, hash: hash(request)? })
    }

    /// The hash of the bytes that are fetched, if that is known before.
    fn hash_of_file(&self) -> Option<Hash> {
        self.hash.filter(|_| self.method == ContentMethod::Flat && self.form != Form::Nar)
    }

    /// Makes the output of the file fetched, and checks what could not be checked before.
    fn deliver(&self, partial: Partial, request: &Request<'_>) -> Result<(), Failure> {
        let output = request.output;
        match self.form {
            Form::File => partial.finish(output).map_err(Failure::Write)?,
            Form::Executable => {
                partial.finish(output).map_err(Failure::Write)?;
                fs::set_permissions(output, Permissions::from_mode(0o555)).map_err(Failure::Write)?;
            }
            Form::Nar => {
                let file = request.scratch.join("fetched.nar");
                partial.finish(&file).map_err(Failure::Write)?;
                let restored = restore(&file, output);
                fs::remove_file(&file).map_err(Failure::Write)?;
                if let Err(reason) = restored {
                    return Err(reject(output, Reason::Failed(reason)));
                }
            }
        }
        match (self.hash, self.hash_of_file()) {
            (Some(expected), None) => self.check(output, expected),
            _ => Ok(()),
        }
    }

    fn check(&self, output: &Path, expected: Hash) -> Result<(), Failure> {
        match hash_path(output, self.method, expected.algorithm()) {
            Ok(got) if got == expected => Ok(()),
            Ok(got) => Err(reject(output, Reason::WrongHash(Box::new(WrongHash { expected, got })))),
            Err(error) => Err(reject(output, Reason::Failed(error.to_string()))),
        }
    }
}

/// Fetches what `urls` (or `url`) name to the derivation's output. With `executable` it is made that; with `unpack` it is a NAR,
/// compressed or not, and the output is what it holds.
pub fn run(request: &Request<'_>) -> Result<(), Error> {
    let addresses = addresses(request)?;
    let wanted = Wanted::of(request)?;
    let mirrors = Mirrors::of_machine(&config_files(&std::env::current_dir().unwrap_or_default()))?;
    let partial = partial_folder(request);
    let transfer = Transfer {
        name: request.name,
        addresses: &addresses,
        expected: wanted.hash_of_file(),
        mirrors: &mirrors,
        partial: &partial,
        scratch: request.scratch,
        id: request.id,
        observer: request.observer,
        cancellation: request.cancellation,
    };
    transfer.run_with(&mut |partial| wanted.deliver(partial, request))?;
    Ok(())
}

fn restore(file: &Path, output: &Path) -> Result<(), String> {
    let file = File::open(file).map_err(|error| error.to_string())?;
    let mut content = decompressed(file).map_err(|fault| format!("it is no NAR: {fault}"))?;
    nar::restore(&mut content, output, Modes::Store).map_err(|error| format!("it is no NAR: {error}"))?;
    // The check of a compressed stream is at its end.
    match io::copy(&mut content, &mut io::sink()) {
        Ok(0) => Ok(()),
        Ok(_) => Err("it is no NAR: something follows it".to_owned()),
        Err(error) => Err(format!("it is damaged: {error}")),
    }
}

/// Clears the place for what another address has.
fn reject(output: &Path, reason: Reason) -> Failure {
    match remove(output) {
        Ok(()) => Failure::Permanent(reason),
        Err(error) => Failure::Write(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => {
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
            for entry in fs::read_dir(path)? {
                remove(&entry?.path())?;
            }
            fs::remove_dir(path)
        }
        Ok(_) => fs::remove_file(path),
    }
}

fn addresses(request: &Request<'_>) -> Result<Vec<String>, Error> {
    let words = |name: &str| -> Vec<String> {
        let value = request.variable(name).unwrap_or_default();
        value.fields().map(|word| in_physical_store(request, &word.to_str_lossy())).collect()
    };
    let mut addresses = words("urls");
    addresses.extend(words("url"));
    match addresses.is_empty() {
        true => Err(Error::NoAddress { name: request.name.to_owned() }),
        false => Ok(addresses),
    }
}

/// An address of a file in the logical store as one of where that is on this machine.
fn in_physical_store(request: &Request<'_>, address: &str) -> String {
    let path = receive::file_path(address).ok().filter(|_| address.starts_with("file:"));
    let below = path.as_ref().and_then(|path| path.strip_prefix(store_dir()).ok());
    match below {
        Some(below) => format!("file://{}", escaped(&request.store_dir.join(below))),
        None => address.to_owned(),
    }
}

/// A path as it stands in an address.
fn escaped(path: &Path) -> String {
    let escape = |&byte: &u8| match byte {
        b'/' | b'-' | b'_' | b'.' | b'+' | b'=' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.as_os_str().as_encoded_bytes().iter().map(escape).collect()
}

/// The output's hash, if it says one: without, the caller tells what it should be.
fn hash(request: &Request<'_>) -> Result<Option<Hash>, Error> {
    let text = |name: &str| request.variable(name).unwrap_or_default().to_str_lossy().into_owned();
    let hash = text("outputHash");
    if hash.is_empty() {
        return Ok(None);
    }
    let bad_hash = |error| Error::BadHash { name: request.name.to_owned(), error };
    let algorithm = match text("outputHashAlgo").as_str() {
        "" => None,
        name => Some(name.parse::<Algorithm>().map_err(bad_hash)?),
    };
    Hash::parse(&hash, algorithm).map(Some).map_err(bad_hash)
}

/// Beside the store, as it must outlive this build and lie on the output's file system.
fn partial_folder(request: &Request<'_>) -> PathBuf {
    request.store_dir.parent().unwrap_or(request.store_dir).join("partial")
}

fn flag(request: &Request<'_>, name: &str) -> bool {
    request.variable(name).is_some_and(|value| value == "1")
}
