//! Taking store paths from elsewhere, with what is known of them: imports and binary caches.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use zeval_model::ingest::{hash_nar_modulo, hash_path};
use zeval_model::tree::{self, Modes, Walker, everything};
use zeval_model::{Algorithm, ContentMethod, Hash, Hasher, StorePath, nar};

use super::{IoContext, PathInfo, Store, StoreError, seal};
use crate::cancel::Cancellation;

/// Counts and hashes what is read through it.
pub struct HashingReader<R> {
    input: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> HashingReader<R> {
    pub fn new(input: R) -> HashingReader<R> {
        HashingReader { input, hasher: Hasher::new(Algorithm::Sha256), size: 0 }
    }

    /// SHA-256 and the number of bytes.
    pub fn finish(self) -> (Hash, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

/// Checks that the files at `copy` are those that the path is made from.
fn check_address(info: &PathInfo, copy: &Path) -> Result<(), StoreError> {
    let Some(address) = info.content_address else { return Ok(()) };
    let algorithm = address.hash.algorithm();
    let mut everything = everything;
    let actual = match address.method {
        ContentMethod::Nar if info.references.contains(&info.path) => {
            hash_nar_modulo(&mut Walker::new(copy, &mut everything), algorithm, &info.path)?.0
        }
        ContentMethod::Nar if algorithm == Algorithm::Sha256 => info.nar_hash,
        method => hash_path(copy, method, algorithm)?,
    };
    if actual == address.hash {
        return Ok(());
    }
    let (path, expected) = (info.path.clone(), address.hash.to_sri());
    Err(StoreError::WrongContents { path, expected, actual: actual.to_sri() })
}

impl Store {
    /// Makes a path valid whose files come as an archive, which must be the one that `info` describes and whose
    /// references must be valid. Reads exactly the archive from `archive`, which should be buffered; nothing if the path
    /// is valid already.
    pub fn receive(
        &self,
        info: &PathInfo,
        archive: impl Read,
        cancellation: &Cancellation,
    ) -> Result<(), StoreError> {
        self.pin([&info.path])?;
        let _lock = self.lock(&info.path, cancellation, || ())?;
        if self.is_valid(&info.path)? {
            return Ok(());
        }
        let made = self.temporary_folder()?;
        let copy = made.path().join("0");
        self.restore_checked(info, archive, &copy)?;
        let mut info = info.clone();
        match info.is_content_addressed() {
            true => check_address(&info, &copy)?,
            // It would be believed later.
            false => info.content_address = None,
        }
        self.move_into_place(&copy, &info.path)?;
        self.register(&[info], &[])
    }

    /// Copies a path from another store, unless it is there; its references must be. Tells whether it was copied.
    pub fn take_from(
        &self,
        other: &Store,
        path: &StorePath,
        cancellation: &Cancellation,
    ) -> Result<bool, StoreError> {
        self.pin([path])?;
        if self.is_valid(path)? {
            return Ok(false);
        }
        let info = other.require(path)?;
        let files = other.physical(path);
        let (reader, writer) = io::pipe().doing("make a pipe for", &files)?;
        std::thread::scope(|scope| {
            // An archive that breaks off is noticed by the one who reads it.
            scope.spawn(move || nar::dump_path(&files, writer));
            self.receive(&info, io::BufReader::with_capacity(256 * 1024, reader), cancellation)
        })?;
        Ok(true)
    }

    /// Puts other files in the place of those of a valid path, which suffered. The archive must be what was registered.
    pub fn repair(
        &self,
        path: &StorePath,
        archive: impl Read,
        cancellation: &Cancellation,
    ) -> Result<(), StoreError> {
        let info = self.require(path)?;
        let _lock = self.lock(path, cancellation, || ())?;
        let made = self.temporary_folder()?;
        let copy = made.path().join("0");
        self.restore_checked(&info, archive, &copy)?;
        self.exchange(&copy, path)
    }

    /// Puts `made` in the place of the files of `path`, which go away: in one step, and when `made` is on disk, since the
    /// path is taken for whole after a power cut.
    pub(crate) fn exchange(&self, made: &Path, path: &StorePath) -> Result<(), StoreError> {
        let place = self.physical(path);
        self.sync_files()?;
        let Ok(found) = place.symlink_metadata() else { return self.move_into_place(made, path) };
        for (file, found) in [(&*place, found), (made, made.symlink_metadata().doing("look at", made)?)] {
            if found.is_dir() {
                // A folder that may not be written may not be moved to another one.
                fs::set_permissions(file, Permissions::from_mode(0o755)).doing("make writable", file)?;
            }
        }
        match renameat2(AT_FDCWD, made, AT_FDCWD, &place, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) => {
                seal(&place).doing("seal", &place)?;
                self.unshare(made)
            }
            // Some file systems cannot: killed between these steps, the path has no files, and is to be repaired again.
            Err(Errno::EINVAL) => {
                let trash = self.temporary_folder()?;
                let damaged = trash.path().join("0");
                fs::rename(&place, &damaged).doing("move away", &place)?;
                self.unshare(&damaged)?;
                self.move_into_place(made, path)
            }
            Err(error) => Err(error).doing("move to the store", &place),
        }
    }

    fn restore_checked(&self, info: &PathInfo, archive: impl Read, copy: &Path) -> Result<(), StoreError> {
        let mut reader = nar::Reader::new(HashingReader::new(archive));
        tree::restore(&mut reader, copy, Modes::Store)?;
        let (hash, size) = reader.into_inner().finish();
        if hash != info.nar_hash || size != info.nar_size {
            return Err(StoreError::WrongContents {
                path: info.path.clone(),
                expected: info.nar_hash.to_sri(),
                actual: hash.to_sri(),
            });
        }
        Ok(())
    }
}
