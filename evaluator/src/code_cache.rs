//! Compiled files on disk, found by the content of their source: never stale, and safe to share between processes.
//!
//! An entry is a file of its own, written beside its place and renamed, and ends with a checksum. One that cannot be read or
//! is damaged counts as missing; a cache that cannot be written is no error.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

const CHECKSUM: usize = 8;

/// A folder of compiled files.
#[derive(Clone, Debug)]
pub struct CodeCache {
    folder: PathBuf,
    /// What besides the source decides what the code is.
    salt: [u8; blake3::KEY_LEN],
}

/// The name of an entry.
#[derive(Clone, Copy)]
pub struct Key(blake3::Hash);

impl CodeCache {
    /// The cache in a folder, which need not exist yet. Entries are only found by whoever gives the same salt.
    pub fn new(folder: PathBuf, salt: &str) -> CodeCache {
        CodeCache { folder, salt: *blake3::hash(salt.as_bytes()).as_bytes() }
    }

    /// The name of the entry for a source text.
    pub fn key(&self, source: &[u8]) -> Key {
        Key(blake3::keyed_hash(&self.salt, source))
    }

    fn place(&self, key: Key) -> PathBuf {
        let name = key.0.to_hex();
        self.folder.join(&name[..2]).join(&name[2..40])
    }

    /// The entry of that name.
    pub fn get(&self, key: Key) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.place(key)).ok()?;
        let body = bytes.len().checked_sub(CHECKSUM)?;
        if bytes[body..] != checksum(&bytes[..body]) {
            return None;
        }
        bytes.truncate(body);
        Some(bytes)
    }

    /// Adds an entry.
    pub fn put(&self, key: Key, bytes: &[u8]) {
        // Without the cache everything works, only slower: there is nobody to tell.
        let _ = self.try_put(&self.place(key), bytes);
    }

    fn try_put(&self, place: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let folder = place.parent().unwrap_or(&self.folder);
        let temporary = folder.join(format!(".{}-{:x}", std::process::id(), rustc_hash_of(place)));
        let mut file = match fs::File::create(&temporary) {
            Ok(file) => file,
            Err(_) => {
                fs::create_dir_all(folder)?;
                fs::File::create(&temporary)?
            }
        };
        file.write_all(&[bytes, &checksum(bytes)].concat())?;
        fs::rename(&temporary, place)
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM]);
    sum
}

fn rustc_hash_of(place: &Path) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault};
    BuildHasherDefault::<rustc_hash::FxHasher>::default().hash_one(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_under_the_same_salt_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(folder.path().join("code"), "one");
        let key = cache.key(b"1 + 1");
        assert_eq!(cache.get(key), None);
        cache.put(key, b"compiled");
        assert_eq!(cache.get(key).as_deref(), Some(&b"compiled"[..]));
        let other = CodeCache::new(folder.path().join("code"), "two");
        assert_eq!(other.get(other.key(b"1 + 1")), None);
    }

    #[test]
    fn takes_a_damaged_entry_for_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(folder.path().to_owned(), "");
        let key = cache.key(b"x");
        cache.put(key, b"compiled");
        let place = cache.place(key);
        let mut bytes = fs::read(&place).unwrap();
        bytes[3] ^= 1;
        fs::write(&place, bytes).unwrap();
        assert_eq!(cache.get(key), None);
        fs::write(&place, b"short").unwrap();
        assert_eq!(cache.get(key), None);
    }
}
