//! Says which addresses a `mirror://NAME/path` stands for on this machine.
//!
//! No mirror's host is written into the tree: names get their base addresses from, in this order, the variable `ZEVAL_MIRRORS`,
//! `zeval.toml`, and for `debian` the machine's own apt configuration. All that are found are tried in that order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::apt;

/// The variable that names mirrors: `name=URL name=URL ...`.
pub const VARIABLE: &str = "ZEVAL_MIRRORS";
/// The file that names mirrors in its table `[mirrors]`.
pub const CONFIG_FILE: &str = "zeval.toml";

const SCHEME: &str = "mirror://";
const DEBIAN: &str = "debian";

/// The base addresses of every mirror name that this machine knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    bases: BTreeMap<String, Vec<String>>,
}

/// Why a `mirror://` address or a list of mirrors cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MirrorError {
    #[error("`{address}` is no mirror address: it reads mirror://NAME/PATH")]
    Malformed { address: String },
    #[error("this machine names no mirror `{name}`: {}", how_to_set(name))]
    Unknown { name: String },
    #[error("`{entry}` in {VARIABLE} is no NAME=URL pair, such as debian=https://deb.example.org/debian")]
    Variable { entry: String },
    #[error("{}: {reason}", path.display())]
    Config { path: PathBuf, reason: String },
}

fn how_to_set(name: &str) -> String {
    let example = format!(
        "set {VARIABLE}=\"{name}=https://mirror.example.org/{name}\", or write `[mirrors]` and \
         `{name} = [\"https://mirror.example.org/{name}\"]` into {CONFIG_FILE}"
    );
    if name == DEBIAN {
        format!("its apt configuration (/etc/apt) names no archive; {example}")
    } else {
        example
    }
}

impl Mirrors {
    /// What this machine and the process's environment say. `config_files` are read in the order given; those that do not exist
    /// count as empty.
    pub fn of_machine(config_files: &[PathBuf]) -> Result<Mirrors, MirrorError> {
        let mut mirrors = Mirrors::default();
        if let Ok(text) = std::env::var(VARIABLE) {
            mirrors.add_variable(&text)?;
        }
        for path in config_files {
            if let Ok(text) = std::fs::read_to_string(path) {
                mirrors.add_config(&text, path)?;
            }
        }
        for base in apt::bases(&apt::read(Path::new("/etc/apt"))) {
            mirrors.add(DEBIAN, &base);
        }
        Ok(mirrors)
    }

    /// Appends a base address to those of `name`.
    pub fn add(&mut self, name: &str, base: &str) {
        let bases = self.bases.entry(name.to_owned()).or_default();
        let base = base.trim_end_matches('/').to_owned();
        if !bases.contains(&base) {
            bases.push(base);
        }
    }

    /// Appends what a text in the format of `ZEVAL_MIRRORS` says.
    pub fn add_variable(&mut self, text: &str) -> Result<(), MirrorError> {
        for entry in text.split_whitespace() {
            match entry.split_once('=') {
                Some((name, base)) if !name.is_empty() && base.contains(":/") => self.add(name, base),
                _ => return Err(MirrorError::Variable { entry: entry.to_owned() }),
            }
        }
        Ok(())
    }

    /// Appends what the `[mirrors]` table of a `zeval.toml` says; `path` is for errors. A value is an address or a list of them.
    pub fn add_config(&mut self, text: &str, path: &Path) -> Result<(), MirrorError> {
        let error = |reason: String| MirrorError::Config { path: path.to_owned(), reason };
        let table: toml::Table = text.parse().map_err(|parse: toml::de::Error| error(parse.to_string()))?;
        let Some(section) = table.get("mirrors") else { return Ok(()) };
        let section = section.as_table().ok_or_else(|| error("`mirrors` is no table".to_owned()))?;
        for (name, value) in section {
            let wrong = || error(format!("`mirrors.{name}` is neither an address nor a list of addresses"));
            match value {
                toml::Value::String(base) => self.add(name, base),
                toml::Value::Array(list) => {
                    for base in list {
                        self.add(name, base.as_str().ok_or_else(wrong)?);
                    }
                }
                _ => return Err(wrong()),
            }
        }
        Ok(())
    }

    /// The addresses to try for `address`: itself, unless it is a `mirror://` one.
    pub fn resolve(&self, address: &str) -> Result<Vec<String>, MirrorError> {
        let Some(rest) = address.strip_prefix(SCHEME) else { return Ok(vec![address.to_owned()]) };
        let malformed = || MirrorError::Malformed { address: address.to_owned() };
        let (name, path) = rest.split_once('/').ok_or_else(malformed)?;
        if name.is_empty() || path.is_empty() {
            return Err(malformed());
        }
        match self.bases.get(name) {
            Some(bases) if !bases.is_empty() => {
                Ok(bases.iter().map(|base| format!("{base}/{path}")).collect())
            }
            _ => Err(MirrorError::Unknown { name: name.to_owned() }),
        }
    }
}

/// Where `zeval.toml` is looked for: the nearest one at or above `folder`, then the user's, then the machine's.
pub fn config_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = folder
        .ancestors()
        .map(|ancestor| ancestor.join(CONFIG_FILE))
        .find(|path| path.is_file())
        .into_iter()
        .collect();
    let user = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = user.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    files.extend(user.map(|folder| folder.join("zeval").join(CONFIG_FILE)));
    files.push(Path::new("/etc/zeval").join(CONFIG_FILE));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_in_the_order_of_the_sources() {
        let mut mirrors = Mirrors::default();
        mirrors.add_variable("debian=https://v.example.org/debian/  gnu=file:///srv/gnu").unwrap();
        let config = "[mirrors]\ndebian = [\"http://c.example.org/debian\", \"https://v.example.org/debian\"]\ngnu = \"http://g.example.org\"\n[other]\nx = 1\n";
        mirrors.add_config(config, Path::new("zeval.toml")).unwrap();
        mirrors.add("debian", "http://apt.example.org/debian");
        assert_eq!(
            mirrors.resolve("mirror://debian/pool/main/t/tcc/tcc_0.9.27+git.orig.tar.bz2").unwrap(),
            [
                "https://v.example.org/debian/pool/main/t/tcc/tcc_0.9.27+git.orig.tar.bz2",
                "http://c.example.org/debian/pool/main/t/tcc/tcc_0.9.27+git.orig.tar.bz2",
                "http://apt.example.org/debian/pool/main/t/tcc/tcc_0.9.27+git.orig.tar.bz2",
            ]
        );
        assert_eq!(
            mirrors.resolve("mirror://gnu/a").unwrap(),
            ["file:///srv/gnu/a", "http://g.example.org/a"]
        );
        assert_eq!(mirrors.resolve("https://x.example.org/a").unwrap(), ["https://x.example.org/a"]);
    }

    #[test]
    fn an_unknown_mirror_says_what_to_set() {
        let error = Mirrors::default().resolve("mirror://debian/pool/a").unwrap_err().to_string();
        for word in ["debian", "ZEVAL_MIRRORS=\"debian=https://", "zeval.toml", "/etc/apt"] {
            assert!(error.contains(word), "{error} lacks {word}");
        }
        let error = Mirrors::default().resolve("mirror://gnu/a").unwrap_err().to_string();
        assert!(error.contains("gnu=https://") && !error.contains("apt"), "{error}");
    }

    #[test]
    fn malformed_texts_are_refused() {
        for address in ["mirror://", "mirror://debian", "mirror://debian/", "mirror:///path"] {
            let error = Mirrors::default().resolve(address).unwrap_err();
            assert_eq!(error, MirrorError::Malformed { address: address.to_owned() });
        }
        for text in ["debian", "=https://a.example.org", "debian=a"] {
            assert!(Mirrors::default().add_variable(text).is_err(), "{text}");
        }
        for text in ["[mirrors", "mirrors = 1", "[mirrors]\na = 1", "[mirrors]\na = [1]"] {
            let error =
                Mirrors::default().add_config(text, Path::new("/x/zeval.toml")).unwrap_err().to_string();
            assert!(error.starts_with("/x/zeval.toml: "), "{error}");
        }
    }

    #[test]
    fn the_nearest_config_file_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(root.path().join("zeval.toml"), "").unwrap();
        assert_eq!(config_files(&folder)[0], root.path().join("zeval.toml"));
        std::fs::write(root.path().join("a/zeval.toml"), "").unwrap();
        assert_eq!(config_files(&folder)[0], root.path().join("a/zeval.toml"));
    }
}
