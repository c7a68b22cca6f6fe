//! Adding files to the store that no build made: sources, texts and derivations.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use zeval_model::derivation::Instantiated;
use zeval_model::ingest::{hash_nar_of_path, hash_path, hash_path_filtered};
use zeval_model::store_path::References;
use zeval_model::tree::{self, Filter, Modes, Walker, everything};
use zeval_model::{Algorithm, ContentAddress, ContentMethod, Derivation, Hash, StorePath, nar};

use super::hashing::BackgroundHasher;
use super::{IoContext, PathInfo, Store, StoreError, seal};
use crate::cancel::Cancellation;

impl Store {
    /// Adds a text that may refer to `references`, as `builtins.toFile` does. References must be valid.
    pub fn add_text(
        &self,
        name: &str,
        text: &[u8],
        references: &BTreeSet<StorePath>,
    ) -> Result<StorePath, StoreError> {
        let address = ContentAddress { method: ContentMethod::Text, hash: Hash::of(Algorithm::Sha256, text) };
        let references = References { others: references.clone(), self_reference: false };
        let path = address.store_path(name, &references)?;
        self.pin([&path])?;
        if !self.is_valid(&path)? {
            let info = self.write_text(&path, text, references.others, address)?;
            self.register(&[info], &[])?;
        }
        Ok(path)
    }

    /// Adds derivations, inputs before those that use them, in one transaction.
    pub fn write_derivations(&self, derivations: &[Instantiated]) -> Result<(), StoreError> {
        self.pin(derivations.iter().map(|derivation| &derivation.path))?;
        let mut infos = Vec::new();
        for derivation in derivations {
            if self.is_valid(&derivation.path)? {
                continue;
            }
            let read = Derivation::parse_aterm(&derivation.aterm, derivation.path.derivation_name()?)?;
            let hash = Hash::of(Algorithm::Sha256, &derivation.aterm);
            let address = ContentAddress { method: ContentMethod::Text, hash };
            infos.push(self.write_text(
                &derivation.path,
                &derivation.aterm,
                read.references().others,
                address,
            )?);
        }
        self.register(&infos, &[])
    }

    /// Adds one derivation, whose inputs must be valid.
    pub fn add_derivation(&self, drv: &Derivation) -> Result<StorePath, StoreError> {
        self.add_text(&format!("{}.drv", drv.name), &drv.to_aterm(), &drv.references().others)
    }

    /// Puts a text in place. Nobody is waited for, unless a file is there: what a crash left, or one that another process made
    /// at the same time, and that may be on disk already when ours is not.
    fn write_text(
        &self,
        path: &StorePath,
        text: &[u8],
        references: BTreeSet<StorePath>,
        address: ContentAddress,
    ) -> Result<PathInfo, StoreError> {
        let made = self.session.fresh();
        let mut file = create_read_only(&made).doing("make", &made)?;
        file.write_all(text).doing("write", &made)?;
        drop(file);
        seal(&made).doing("seal", &made)?;
        let place = self.physical(path);
        match renameat2(AT_FDCWD, &made, AT_FDCWD, &place, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => (),
            // Some file systems cannot look and rename at once.
            Err(Errno::EEXIST | Errno::EINVAL) => {
                let _lock = self.lock(path, &Cancellation::new(), || ())?;
                if !self.is_valid(path)? {
                    self.move_into_place(&made, path)?;
                }
            }
            Err(error) => Err(error).doing("move to the store", &place)?,
        }
        Ok(PathInfo::of_contents(path, references, address, hash_nar_of_text(text)))
    }

    /// Adds the files at `source` as they are, without references. Reads them once.
    pub fn add_path(
        &self,
        name: &str,
        source: &Path,
        method: ContentMethod,
        algorithm: Algorithm,
    ) -> Result<StorePath, StoreError> {
        self.copy_path(name, source, method, algorithm, &mut everything)
    }

    /// Adds those of the files at `source` that `filter` lets pass. The filter is asked once a file, valid or not.
    pub fn add_path_filtered<'a>(
        &self,
        name: &str,
        source: &Path,
        method: ContentMethod,
        algorithm: Algorithm,
        filter: &'a mut Filter<'a>,
    ) -> Result<StorePath, StoreError> {
        let mut left_out = BTreeSet::new();
        let hash = hash_path_filtered(source, method, algorithm, &mut |path, kind| {
            let wanted = filter(path, kind)?;
            if !wanted {
                left_out.insert(path.to_owned());
            }
            Ok(wanted)
        })?;
        let path = ContentAddress { method, hash }.store_path(name, &References::none())?;
        if self.keeps(&path)? {
            return Ok(path);
        }
        self.copy_path(name, source, method, algorithm, &mut |path, _| Ok(!left_out.contains(path)))
    }

    /// Adds the contents of a NAR, without references.
    pub fn add_nar(
        &self,
        name: &str,
        archive: impl Read,
        method: ContentMethod,
        algorithm: Algorithm,
    ) -> Result<StorePath, StoreError> {
        let made = self.temporary_folder()?;
        let copy = made.path().join("0");
        nar::restore(archive, &copy, Modes::Store)?;
        self.adopt(name, &copy, method, algorithm)
    }

    fn copy_path<'a>(
        &self,
        name: &str,
        source: &Path,
        method: ContentMethod,
        algorithm: Algorithm,
        filter: &'a mut Filter<'a>,
    ) -> Result<StorePath, StoreError> {
        let made = self.temporary_folder()?;
        let copy = made.path().join("0");
        match method {
            // Only the bytes count, and so only they are kept.
            ContentMethod::Flat | ContentMethod::Text => {
                let mut to = create_read_only(&copy).doing("make", &copy)?;
                let mut from = File::open(source).doing("open", source)?;
                io::copy(&mut from, &mut to).doing("copy", source)?;
            }
            ContentMethod::Nar | ContentMethod::Git => {
                // What is hashed is what is written, whatever becomes of the original.
                let mut walker = Walker::new(source, filter);
                let mut tee = nar::Tee::new(&mut walker, BackgroundHasher::new(Algorithm::Sha256));
                tree::restore(&mut tee, &copy, Modes::Store)?;
                return self.adopt_hashed(name, &copy, method, algorithm, tee.finish()?.finish()?);
            }
        }
        self.adopt(name, &copy, method, algorithm)
    }

    /// Makes what was put at `copy`, on the store's file system, a store path. Hashes the copy, since the original may have
    /// changed meanwhile.
    pub fn adopt(
        &self,
        name: &str,
        copy: &Path,
        method: ContentMethod,
        algorithm: Algorithm,
    ) -> Result<StorePath, StoreError> {
        self.adopt_hashed(name, copy, method, algorithm, hash_nar_of_path(copy, Algorithm::Sha256)?)
    }

    /// As [`Store::adopt`], with a tree that went through [`super::canonicalise`] and may refer to `references`, which must be
    /// valid.
    pub fn adopt_referring(
        &self,
        name: &str,
        copy: &Path,
        references: BTreeSet<StorePath>,
    ) -> Result<StorePath, StoreError> {
        let hashed = hash_nar_of_path(copy, Algorithm::Sha256)?;
        let address = ContentAddress { method: ContentMethod::Nar, hash: hashed.0 };
        let others = References { others: references.clone(), self_reference: false };
        let path = address.store_path(name, &others)?;
        self.pin(references.iter().chain([&path]))?;
        let _lock = self.lock(&path, &Cancellation::new(), || ())?;
        if !self.is_valid(&path)? {
            self.place(copy, &path, references, address, hashed)?;
        }
        Ok(path)
    }

    /// As [`Store::adopt`], with the SHA-256 and the size of the copy's NAR.
    fn adopt_hashed(
        &self,
        name: &str,
        copy: &Path,
        method: ContentMethod,
        algorithm: Algorithm,
        (nar_hash, nar_size): (Hash, u64),
    ) -> Result<StorePath, StoreError> {
        let hash = match (method, algorithm) {
            (ContentMethod::Nar, Algorithm::Sha256) => nar_hash,
            _ => hash_path(copy, method, algorithm)?,
        };
        let address = ContentAddress { method, hash };
        let path = address.store_path(name, &References::none())?;
        self.pin([&path])?;
        let _lock = self.lock(&path, &Cancellation::new(), || ())?;
        if self.is_valid(&path)? {
            return Ok(path);
        }
        self.place(copy, &path, BTreeSet::new(), address, (nar_hash, nar_size))?;
        Ok(path)
    }

    /// Makes `path` valid, which its contents name and whose lock the caller holds: its files are at `made`, their NAR has that
    /// hash and size.
    pub(super) fn place(
        &self,
        made: &Path,
        path: &StorePath,
        references: BTreeSet<StorePath>,
        address: ContentAddress,
        (nar_hash, nar_size): (Hash, u64),
    ) -> Result<(), StoreError> {
        self.move_into_place(made, path)?;
        let info = PathInfo::of_contents(path, references, address, (nar_hash, nar_size));
        self.register(&[info], &[])
    }

    /// Renames `made`, on the store's file system, to the place of `path`, which is not valid, and gives it its final
    /// metadata. Whoever calls this holds the lock of `path`, or moves a file that every other one would make the same.
    pub(crate) fn move_into_place(&self, made: &Path, path: &StorePath) -> Result<(), StoreError> {
        let place = self.physical(path);
        let kind = fs::symlink_metadata(made).doing("look at", made)?;
        if kind.is_dir() {
            // A folder that may not be written may not be moved to another one.
            fs::set_permissions(made, Permissions::from_mode(0o755)).doing("make writable", made)?;
        }
        if let Ok(present) = fs::symlink_metadata(&place)
            && (kind.is_dir() || present.is_dir())
        {
            super::remove_tree(&place).doing("remove what a crash left at", &place)?;
        }
        fs::rename(made, &place).doing("move to the store", &place)?;
        seal(&place).doing("seal", &place)
    }
}

fn create_read_only(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(0o444))?;
    Ok(file)
}

/// The hash and size of the NAR of a file that is not executable.
fn hash_nar_of_text(text: &[u8]) -> (Hash, u64) {
    fn string(archive: &mut Vec<u8>, text: &[u8]) {
        archive.extend_from_slice(&(text.len() as u64).to_le_bytes());
        archive.extend_from_slice(text);
        archive.resize(archive.len().next_multiple_of(8), 0);
    }
    let mut archive = Vec::with_capacity(text.len() + 128);
    for word in [nar::MAGIC, "(", "type", "regular", "contents"] {
        string(&mut archive, word.as_bytes());
    }
    string(&mut archive, text);
    string(&mut archive, b")");
    (Hash::of(Algorithm::Sha256, &archive), archive.len() as u64)
}
