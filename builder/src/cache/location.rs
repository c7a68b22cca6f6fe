//! Where a cache is, and its small files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeval_model::{NarInfo, StorePath, store_dir};

use super::{CacheError, Trust};
use crate::cancel::Cancellation;
use crate::fetch;
use crate::store::PathInfo;
use crate::unpack;

/// The file that describes a cache.
pub const DESCRIPTION: &str = "nix-cache-info";

/// How archives are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    None,
    Xz,
    #[default]
    Zstd,
    Bzip2,
}

impl Compression {
    /// As caches name it.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
        }
    }

    /// What follows `.nar` in the names of files.
    pub const fn ending(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Xz => ".xz",
            Compression::Zstd => ".zst",
            Compression::Bzip2 => ".bz2",
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Compression, String> {
        match text {
            "none" | "" => Ok(Compression::None),
            "xz" => Ok(Compression::Xz),
            "zstd" => Ok(Compression::Zstd),
            "bzip2" => Ok(Compression::Bzip2),
            _ => Err(format!("'{text}' is no compression: there are zstd, xz, bzip2 and none")),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Server,
}

/// A binary cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Without the parameters after `?`, and without a slash at its end.
    pub url: String,
    /// Lower is asked first.
    pub priority: i64,
    /// Whoever named the cache trusts all it has (`?trusted=true`).
    pub trusted: bool,
    /// For what is written to it (`?compression=xz`).
    pub compression: Compression,
    /// Of the compression (`?compression-level=19`).
    pub level: Option<i32>,
    /// Whether listings of the files are written, too (`?write-nar-listing=true`).
    pub listings: bool,
    /// The file with the key that signs what is written (`?secret-key=FILE`).
    pub secret_key: Option<PathBuf>,
    place: Place,
}

/// What Nix takes where a cache does not say.
const DEFAULT_PRIORITY: i64 = 50;

impl Cache {
    /// The cache at `url`: `file:///FOLDER`, a folder's path, `http://...` or `https://...`, with Nix's parameters
    /// `priority`, `trusted` and those for what is written. Nothing is asked of it yet.
    pub fn new(url: &str) -> Result<Cache, CacheError> {
        let unusable = |reason: String| CacheError::Unusable { url: url.to_owned(), reason };
        let (plain, parameters) = url.split_once('?').unwrap_or((url, ""));
        let plain = plain.trim_end_matches('/');
        let place = match plain.split_once("://") {
            Some(("http" | "https", _)) => Place::Server,
            Some(("file", path)) if path.starts_with('/') || path.is_empty() => {
                Place::Folder(if path.is_empty() { PathBuf::from("/") } else { PathBuf::from(path) })
            }
            Some(("file", _)) => return Err(unusable("a file:// address has an absolute path".to_owned())),
            Some((scheme, _)) => {
                return Err(unusable(format!(
                    "its scheme '{scheme}' is not one of file, http, https and ssh"
                )));
            }
            None => Place::Folder(std::path::absolute(plain).map_err(|error| unusable(error.to_string()))?),
        };
        let mut cache = Cache {
            url: plain.to_owned(),
            priority: DEFAULT_PRIORITY,
            trusted: false,
            compression: Compression::default(),
            level: None,
            listings: false,
            secret_key: None,
            place,
        };
        for (name, value) in parameters.split('&').filter_map(|parameter| parameter.split_once('=')) {
            match name {
                "priority" => {
                    cache.priority =
                        value.parse().map_err(|_| unusable(format!("'{value}' is no priority")))?;
                }
                "trusted" => cache.trusted = matches!(value, "1" | "true"),
                "write-nar-listing" => cache.listings = matches!(value, "1" | "true"),
                "secret-key" if !value.is_empty() => cache.secret_key = Some(PathBuf::from(value)),
                // -1 stands for the usual one.
                "compression-level" => {
                    let level: i32 = value
                        .parse()
                        .map_err(|_| unusable(format!("'{value}' is no level of compression")))?;
                    cache.level = Some(level).filter(|&level| level >= 0);
                }
                "compression" => cache.compression = value.parse().map_err(unusable)?,
                // Nix has more, of which none changes what is read.
                _ => (),
            }
        }
        Ok(cache)
    }

    /// Its folder, if it is one of this machine.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder),
            Place::Server => None,
        }
    }

    /// The address of one of its files.
    pub fn address(&self, file: &str) -> String {
        match &self.place {
            Place::Folder(folder) => format!("file://{}", folder.join(file).display()),
            Place::Server => format!("{}/{file}", self.url),
        }
    }

    /// The contents of one of its small files; nothing if it does not have it.
    pub fn read(&self, file: &str, cancellation: &Cancellation) -> Result<Option<Vec<u8>>, CacheError> {
        let unreachable = |reason: String| match cancellation.is_cancelled() {
            true => CacheError::Cancelled,
            false => CacheError::Unreachable { url: self.url.clone(), reason },
        };
        match &self.place {
            Place::Server => fetch::read_small(&self.address(file), cancellation).map_err(unreachable),
            Place::Folder(folder) => match fs::read(folder.join(file)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(unreachable(error.to_string())),
            },
        }
    }

    /// Asks the cache what it is; an error if it is none, or is for another store.
    pub fn open(mut self, cancellation: &Cancellation) -> Result<Cache, CacheError> {
        let unusable = |reason: String| CacheError::Unusable { url: self.url.clone(), reason };
        let Some(text) = self.read(DESCRIPTION, cancellation)? else {
            return Err(unusable(format!("it has no file {DESCRIPTION}")));
        };
        for line in String::from_utf8_lossy(&text).lines() {
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                Some(("StoreDir", other)) if other != store_dir() => {
                    return Err(unusable(format!("it is for a store at {other}, not {}", store_dir())));
                }
                Some(("Priority", priority)) if self.priority == DEFAULT_PRIORITY => {
                    self.priority = priority.parse().unwrap_or(DEFAULT_PRIORITY);
                }
                _ => (),
            }
        }
        Ok(self)
    }

    /// What the cache says of `path`; nothing if it does not have it.
    pub fn info(&self, path: &StorePath, cancellation: &Cancellation) -> Result<Option<NarInfo>, CacheError> {
        let Some(text) = self.read(&format!("{}.narinfo", path.hash_part()), cancellation)? else {
            return Ok(None);
        };
        let lies = |reason: String| CacheError::Lies { url: self.url.clone(), path: path.clone(), reason };
        let text = String::from_utf8(text).map_err(|error| lies(error.to_string()))?;
        let info: NarInfo = text.parse().map_err(|error| lies(format!("{error}")))?;
        if info.path != *path {
            return Err(lies(format!("it is about '{}'", info.path)));
        }
        Ok(Some(info))
    }

    /// The paths that a cache in a folder describes.
    pub fn all_paths(&self) -> Result<BTreeSet<StorePath>, CacheError> {
        let unusable = |reason: String| CacheError::Unusable { url: self.url.clone(), reason };
        let Some(folder) = self.folder() else {
            return Err(unusable("a server does not tell what all it has".to_owned()));
        };
        let mut paths = BTreeSet::new();
        for entry in fs::read_dir(folder).map_err(|error| unusable(error.to_string()))? {
            let file = entry.map_err(|error| unusable(error.to_string()))?.path();
            if file.extension().is_some_and(|ending| ending == "narinfo") {
                let text = fs::read_to_string(&file).map_err(|error| unusable(error.to_string()))?;
                paths.extend(text.parse::<NarInfo>().ok().map(|info| info.path));
            }
        }
        Ok(paths)
    }

    /// The log of the last build of `drv`, if the cache has it.
    pub fn read_log(
        &self,
        drv: &StorePath,
        cancellation: &Cancellation,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let Some(bytes) = self.read(&format!("log/{}", drv.base_name()), cancellation)? else {
            return Ok(None);
        };
        // Some caches keep them compressed.
        let mut text = Vec::new();
        let unpacked = unpack::decompressed(Cursor::new(bytes)).map_err(|fault| fault.to_string());
        let read =
            unpacked.and_then(|mut input| input.read_to_end(&mut text).map_err(|error| error.to_string()));
        let (url, path) = (self.url.clone(), drv.clone());
        read.map_err(|reason| CacheError::Lies { url, path, reason })?;
        Ok(Some(text))
    }

    /// The record to make of what the cache says.
    pub fn record(&self, info: &NarInfo) -> PathInfo {
        PathInfo {
            path: info.path.clone(),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references.clone(),
            deriver: info.deriver.clone(),
            registered: crate::store::now(),
            content_address: info.content_address,
            signatures: info.signatures.clone(),
            ultimate: false,
        }
    }

    /// The same, if it is to be believed.
    pub fn believe(&self, info: &NarInfo, trust: &Trust) -> Result<PathInfo, CacheError> {
        let record = self.record(info);
        match self.trusted || trust.accepts(&record) {
            true => Ok(record),
            false => Err(CacheError::Untrusted {
                url: self.url.clone(),
                path: info.path.clone(),
                signed_by: info.signatures.iter().map(|signature| signature.key_name.clone()).collect(),
            }),
        }
    }
}
