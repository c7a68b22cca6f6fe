//! A file that is being fetched: kept when the process dies, so that the next one goes on where it ended.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use zeval_model::{Algorithm, Hash, Hasher};

/// How long a file lies that nobody goes on with.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
const SUFFIX: &str = "part";

/// A file being filled, locked against other processes that fetch the same.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    length: u64,
    algorithm: Algorithm,
    hasher: Hasher,
}

impl Partial {
    /// The partial file in `folder` of the contents with the hash `expected`, with what an earlier fetch left of it. If another
    /// process is fetching it right now, or no hash is known, an empty one in `scratch`.
    pub(super) fn open(folder: &Path, scratch: &Path, expected: Option<Hash>) -> io::Result<Partial> {
        let Some(expected) = expected else { return Partial::fresh(scratch, Algorithm::Sha256) };
        fs::create_dir_all(folder)?;
        remove_abandoned(folder);
        let path = folder.join(format!("{}-{}.{SUFFIX}", expected.algorithm(), expected.to_base16()));
        match open_locked(&path)? {
            Some(file) => Partial::resume(path, file, expected.algorithm()),
            None => Partial::fresh(scratch, expected.algorithm()),
        }
    }

    fn fresh(scratch: &Path, algorithm: Algorithm) -> io::Result<Partial> {
        let path = scratch.join(format!("fetched.{SUFFIX}"));
        let file = File::create(&path)?;
        Ok(Partial { path, file, length: 0, algorithm, hasher: Hasher::new(algorithm) })
    }

    fn resume(path: PathBuf, mut file: File, algorithm: Algorithm) -> io::Result<Partial> {
        let mut hasher = Hasher::new(algorithm);
        let length = io::copy(&mut file, &mut hasher)?;
        Ok(Partial { path, file, length, algorithm, hasher })
    }

    /// Bytes that are there.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is there.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.length = 0;
        self.hasher = Hasher::new(self.algorithm);
        Ok(())
    }

    /// The hash of what is there.
    pub(super) fn hash(&self) -> Hash {
        self.hasher.clone().finish()
    }

    /// Moves the file, which is complete, to `destination`.
    pub(super) fn finish(self, destination: &Path) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(0o444))?;
        match fs::rename(&self.path, destination) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                fs::copy(&self.path, destination)?;
                fs::remove_file(&self.path)
            }
            renamed => renamed,
        }
    }

    /// Removes the file: what is there is of no use to a later fetch.
    pub(super) fn discard(self) {
        // If it cannot be removed, the next fetch finds and judges it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens and locks the file `path`, made if need be; none if another process has it.
fn open_locked(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had the lock before may have moved the file away, and then it is no longer ours to write.
        let ours = file.metadata()?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes partial files that were not written to for long. A failure to do so is no failure to fetch.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let old =
            modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > KEPT));
        if old && path.extension().is_some_and(|extension| extension == SUFFIX) {
            let _ = fs::remove_file(path);
        }
    }
}
