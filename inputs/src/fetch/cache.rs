//! What is remembered between runs: what servers said, and the hashes of trees that were made.
//!
//! An entry is a file, named by the hash of its key and put in place by a rename: processes do not disturb each other, and
//! one that is killed leaves nothing half-written.

use std::{
    fs, io,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use zeval_model::{Algorithm, Hash};

/// A folder of entries.
pub struct Cache {
    folder: PathBuf,
}

/// An entry that was found.
pub struct Entry {
    /// What was remembered.
    pub value: Value,
    /// How old it is, in seconds.
    pub age: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

impl Cache {
    /// The cache in a folder, which is made when something is remembered.
    pub fn new(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    fn file(&self, key: &Value) -> PathBuf {
        self.folder.join(Hash::of(Algorithm::Sha256, key.to_string().as_bytes()).to_nix32())
    }

    /// What is remembered of a key.
    pub fn get(&self, key: &Value) -> Option<Entry> {
        let text = fs::read(self.file(key)).ok()?;
        let mut entry: Value = serde_json::from_slice(&text).ok()?;
        let age = now().saturating_sub(entry["time"].as_u64()?);
        (entry["key"] == *key).then(|| Entry { value: entry["value"].take(), age })
    }

    /// Remembers a value. That this fails is no error: the next run does the work again.
    pub fn put(&self, key: &Value, value: Value) {
        let entry = json!({ "key": key, "value": value, "time": now() });
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let file = self.file(key);
            let made = file.with_extension(format!("{}.tmp", std::process::id()));
            fs::write(&made, entry.to_string())?;
            fs::rename(&made, &file)
        };
        let _ = write();
    }
}
