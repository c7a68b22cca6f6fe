//! Adds pins and brings them up to date, so that nobody writes a hash by hand.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use toml::Spanned;
use zeval_model::Hash;

use super::check::fetch;
use super::{Context, EXTENSION, MIRROR_SCHEME, Pin, PinError, Source, replace_ranges};
use crate::fetch::FetchError;

/// What a new pin is to say; what is not given is told by the first address.
#[derive(Clone, Debug, Default)]
pub struct NewPin {
    /// At least one, best upstream's own and mirrors.
    pub addresses: Vec<String>,
    pub name: Option<String>,
    pub version: Option<String>,
    pub file: Option<String>,
    pub licence: Option<String>,
    pub homepage: Option<String>,
    /// Where upstream's own signature of the file is.
    pub signature: Option<String>,
}

/// A pin that was written, and the addresses of it that did not give the same.
#[derive(Debug)]
pub struct Added {
    pub pin: Pin,
    pub failed: Vec<(String, FetchError)>,
}

/// A pin that was changed.
#[derive(Debug)]
pub struct Updated {
    pub old: Pin,
    pub new: Pin,
    /// Addresses of the old version that are not told by the version, such as those by a hash, and so were taken out.
    pub dropped: Vec<String>,
    pub failed: Vec<(String, FetchError)>,
}

/// Fetches from the addresses, and writes a pin of what they have into `folder`. The first that serves says what the hash is.
pub fn add(folder: &Path, new: &NewPin, context: &Context<'_>) -> Result<Added, PinError> {
    let first = new.addresses.first().map(String::as_str).unwrap_or_default();
    let guess = Guess::of(first);
    let no_name = || PinError::NoName { address: first.to_owned() };
    let given =
        |value: &Option<String>, guessed: Option<String>| value.clone().or(guessed).ok_or_else(no_name);
    let name = given(&new.name, guess.as_ref().map(|guess| guess.name.clone()))?;
    let version = given(&new.version, guess.as_ref().map(|guess| guess.version.clone()))?;
    let file = given(&new.file, guess.map(|guess| format!("{name}-{version}{}", guess.extension)))?;
    let path = folder.join(format!("{name}.{EXTENSION}"));
    if path.exists() {
        return Err(PinError::Exists { path });
    }
    let addresses: Vec<&str> = new.addresses.iter().map(String::as_str).collect();
    let (hash, failed) = agree(&file, &addresses, context)?;
    let (mirrors, urls) =
        new.addresses.iter().cloned().partition(|address| address.starts_with(MIRROR_SCHEME));
    let pin = Pin {
        path,
        name,
        version,
        file,
        hash,
        mirrors,
        urls,
        licence: new.licence.clone().unwrap_or_else(|| "NOASSERTION".to_owned()),
        homepage: new.homepage.clone(),
        signature: new.signature.clone(),
    };
    write_atomically(&pin.path, &print(&pin))?;
    Ok(Added { pin, failed })
}

/// Fetches the version `version` of a pin, or its own version again, and writes what is had into the pin's file, of which
/// everything else stays as it is.
pub fn update(pin: &Pin, version: Option<&str>, context: &Context<'_>) -> Result<Updated, PinError> {
    let text = fs::read_to_string(&pin.path).map_err(PinError::file("read", &pin.path))?;
    let source = Source::parse(&text, &pin.path)?;
    let old = source.pin(&pin.path)?;
    let version = version.unwrap_or(&old.version);
    let moved = version != old.version;
    let renamed = |text: &str| text.replace(&old.version, version);
    let keep = |address: &&String| !moved || address.contains(&old.version);
    let mirrors: Vec<String> = old.mirrors.iter().filter(keep).map(|address| renamed(address)).collect();
    let urls: Vec<String> = old.urls.iter().filter(keep).map(|address| renamed(address)).collect();
    let dropped: Vec<String> = old.addresses().filter(|address| !keep(address)).cloned().collect();
    let file = renamed(&old.file);
    let addresses: Vec<&str> = mirrors.iter().chain(&urls).map(String::as_str).collect();
    if addresses.is_empty() {
        return Err(PinError::NoAddress { name: old.name, version: version.to_owned(), path: old.path });
    }
    let (hash, failed) = agree(&file, &addresses, context)?;
    let mut edits = vec![
        (source.version.span(), quote(version)),
        (source.file.span(), quote(&file)),
        (source.hash.span(), quote(&hash.to_sri())),
    ];
    if let Some(signature) = &source.signature {
        edits.push((signature.span(), quote(&renamed(signature.get_ref()))));
    }
    let mut edit_list = |list: &Option<Spanned<Vec<String>>>, now: &[String]| {
        if let Some(list) = list.as_ref().filter(|list| list.get_ref().as_slice() != now) {
            edits.push((list.span(), print_list(now)));
        }
    };
    edit_list(&source.mirrors, &mirrors);
    edit_list(&source.urls, &urls);
    let edited = replace_ranges(&text, edits);
    let new = Pin::parse(&edited, &old.path)?;
    write_atomically(&old.path, &edited)?;
    Ok(Updated { old, new, dropped, failed })
}

/// The hash of what the first address has that serves, and the addresses that do not have the same.
fn agree(
    name: &str,
    addresses: &[&str],
    context: &Context<'_>,
) -> Result<(Hash, Vec<(String, FetchError)>), PinError> {
    let mut hash: Option<Hash> = None;
    let mut failed = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let folder = context.scratch.join(format!("agree-{index}"));
        let fetched = fetch(name, &[address], hash, &folder, context);
        // What is left is in the caller's folder.
        let _ = fs::remove_dir_all(&folder);
        match fetched {
            Ok(fetched) => hash = Some(fetched.hash),
            Err(error @ (FetchError::Cancelled { .. } | FetchError::Write { .. })) => {
                return Err(error.into());
            }
            Err(error) => failed.push(((*address).to_owned(), error)),
        }
    }
    match hash {
        Some(hash) => Ok((hash, failed)),
        None => {
            let attempts = failed.into_iter().flat_map(|(_, error)| match error {
                FetchError::NoAddressServes { attempts, .. } => attempts,
                _ => Vec::new(),
            });
            Err(FetchError::NoAddressServes { name: name.to_owned(), attempts: attempts.collect() }.into())
        }
    }
}

/// What the last part of an address tells of a source.
#[derive(Debug, PartialEq, Eq)]
struct Guess {
    name: String,
    version: String,
    /// With its dot.
    extension: String,
}

impl Guess {
    /// `NAME-VERSION.EXTENSION`, or as Debian has it `NAME_VERSION.orig.tar.xz` and `NAME_VERSION_ARCHITECTURE.deb`.
    fn of(address: &str) -> Option<Guess> {
        let file = address.rsplit('/').next()?.split(['?', '#']).next()?;
        let (stem, extension) = split_extension(file)?;
        let stem = stem.strip_suffix(".orig").unwrap_or(stem);
        let (name, version) = match stem.split_once('_') {
            Some((name, rest)) => (name, rest.split('_').next()?),
            None => {
                let digit_after = |at: &usize| stem.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
                let at = stem.match_indices('-').map(|(at, _)| at).find(digit_after)?;
                (&stem[..at], &stem[at + 1..])
            }
        };
        let version = version.strip_prefix('v').unwrap_or(version);
        if name.is_empty() || version.is_empty() {
            return None;
        }
        Some(Guess { name: name.to_owned(), version: version.to_owned(), extension: extension.to_owned() })
    }
}

/// The name without and the extension with its dot.
fn split_extension(file: &str) -> Option<(&str, &str)> {
    let at = match file.find(".tar.") {
        Some(at) => at,
        None => file.rfind('.')?,
    };
    Some(file.split_at(at))
}

fn print(pin: &Pin) -> String {
    let mut text = String::new();
    for (key, value) in
        [("name", &pin.name), ("version", &pin.version), ("file", &pin.file), ("hash", &pin.hash.to_sri())]
    {
        text.push_str(&format!("{key} = {}\n", quote(value)));
    }
    for (key, list) in [("mirrors", &pin.mirrors), ("urls", &pin.urls)] {
        text.push_str(&format!("{key} = {}\n", print_list(list)));
    }
    text.push_str(&format!("licence = {}\n", quote(&pin.licence)));
    if let Some(homepage) = &pin.homepage {
        text.push_str(&format!("homepage = {}\n", quote(homepage)));
    }
    if let Some(signature) = &pin.signature {
        text.push_str(&format!("signature = {}\n", quote(signature)));
    }
    text
}

fn print_list(list: &[String]) -> String {
    match list {
        [] => "[]".to_owned(),
        [only] => format!("[{}]", quote(only)),
        _ => {
            let lines: String = list.iter().map(|address| format!("  {},\n", quote(address))).collect();
            format!("[\n{lines}]")
        }
    }
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A reader sees the old file or the new one.
fn write_atomically(path: &Path, text: &str) -> Result<(), PinError> {
    let new = path.with_extension("toml.new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(PinError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_told_by_addresses() {
        let cases = [
            ("https://a.example.org/musl-1.2.3.tar.gz", Some(("musl", "1.2.3", ".tar.gz"))),
            ("https://a.example.org/x/linux-libc-6.1.tar.xz?x=1", Some(("linux-libc", "6.1", ".tar.xz"))),
            (
                "mirror://debian/pool/t/tcc_0.9.27+git1.62c30a4a.orig.tar.bz2",
                Some(("tcc", "0.9.27+git1.62c30a4a", ".tar.bz2")),
            ),
            (
                "mirror://debian/pool/libc6_2.36-9+deb12u14_amd64.deb",
                Some(("libc6", "2.36-9+deb12u14", ".deb")),
            ),
            ("https://a.example.org/zlib-1.3.zip", Some(("zlib", "1.3", ".zip"))),
            ("https://a.example.org/file/3b6b6731", None),
            ("https://a.example.org/", None),
            ("https://a.example.org/snapshot.tar.gz", None),
        ];
        for (address, expected) in cases {
            let guess = Guess::of(address);
            let found = guess.as_ref().map(|guess| (&*guess.name, &*guess.version, &*guess.extension));
            assert_eq!(found, expected, "{address}");
        }
    }
}
