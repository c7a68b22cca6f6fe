//! The builder `builtin:buildenv`: packages become one tree of links, as user environments are. Follows libstore's
//! `builtins/buildenv.cc`.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use thiserror::Error;

use crate::builtin::Request;

/// Why a derivation with the builder `builtin:buildenv` failed.
#[derive(Debug, Error)]
pub enum Error {
    #[error(
        "its attribute `derivations` makes no sense at '{0}': wanted are lists of `active priority count path...`"
    )]
    Malformed(String),
    #[error("'{0}' is not a directory")]
    NotAFolder(PathBuf),
    #[error(
        "Unable to build profile. There is a conflict for the following files:\n\n  {0}\n  {1}\n\ngive one of the two packages \
         another priority"
    )]
    Conflict(PathBuf, PathBuf),
    #[error("collision between '{0}' and non-directory '{1}'")]
    NoFolder(PathBuf, PathBuf),
    #[error("collision between non-directory '{0}' and directory '{1}'")]
    Folder(PathBuf, PathBuf),
    #[error("'{0}' is no path in the store")]
    Outside(PathBuf),
    #[error("cannot make or read '{path}': {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Files that say something of one package only.
const LEFT_OUT: [&str; 7] = [
    "propagated-build-inputs",
    "nix-support",
    "perllocal.pod",
    "info/dir",
    "log",
    "manifest.nix",
    "manifest.json",
];
/// Packages that others ask for come after all that were named.
const FIRST_ASKED_FOR: i64 = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    priority: i64,
    path: PathBuf,
    active: bool,
}

/// Makes the tree of links.
pub fn run(request: &Request<'_>) -> Result<(), Error> {
    let text = request.variable("derivations").unwrap_or_default().to_str_lossy().into_owned();
    let mut packages = parse(&text)?;
    packages.sort_by(|a, b| (a.priority, &a.path).cmp(&(b.priority, &b.path)));
    let mut view =
        View { request, done: BTreeSet::new(), asked_for: BTreeSet::new(), priorities: HashMap::new() };
    make(request.output, || fs::create_dir(request.output))?;
    for package in packages.iter().filter(|package| package.active) {
        view.add(&package.path, package.priority)?;
    }
    let mut priority = FIRST_ASKED_FOR;
    while !view.asked_for.is_empty() {
        for path in std::mem::take(&mut view.asked_for) {
            view.add(&path, priority)?;
            priority += 1;
        }
    }
    match request.variable("manifest") {
        Some(manifest) => {
            let link = request.output.join("manifest.nix");
            make(&link, || symlink(manifest.to_path_lossy(), &link))
        }
        None => Ok(()),
    }
}

/// `true 5 1 /nix/store/...-package ...`
fn parse(text: &str) -> Result<Vec<Package>, Error> {
    let mut words = text.split_whitespace();
    let mut packages = Vec::new();
    while let Some(active) = words.next() {
        let mut number = || {
            let word = words.next().unwrap_or("the end");
            word.parse::<i64>().map_err(|_| Error::Malformed(word.to_owned()))
        };
        let (priority, count) = (number()?, number()?);
        for _ in 0..count {
            let path = words.next().ok_or_else(|| Error::Malformed("the end".to_owned()))?;
            packages.push(Package { priority, path: path.into(), active: active != "false" });
        }
    }
    Ok(packages)
}

fn make(path: &Path, action: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    action().map_err(|source| Error::Io { path: path.to_owned(), source })
}

struct View<'a> {
    request: &'a Request<'a>,
    done: BTreeSet<PathBuf>,
    /// Packages that those added want beside them.
    asked_for: BTreeSet<PathBuf>,
    /// Of the package that each link leads to.
    priorities: HashMap<PathBuf, i64>,
}

impl View<'_> {
    fn add(&mut self, package: &Path, priority: i64) -> Result<(), Error> {
        if !self.done.insert(package.to_owned()) {
            return Ok(());
        }
        let output = self.request.output.to_owned();
        self.link(package, &output, priority)?;
        let wanted = self.physical(&package.join("nix-support/propagated-user-env-packages"))?;
        if let Ok(text) = fs::read_to_string(wanted) {
            let others = text.split_whitespace().map(PathBuf::from).filter(|path| !self.done.contains(path));
            self.asked_for.extend(others);
        }
        Ok(())
    }

    /// Where the files of a logical path are, once the links that it is made of are followed.
    fn physical(&self, logical: &Path) -> Result<PathBuf, Error> {
        const MAX_LINKS: usize = 40;
        let mut logical = logical.to_owned();
        for _ in 0..MAX_LINKS {
            let below = logical.strip_prefix(zeval_model::store_dir());
            let below = below.map_err(|_| Error::Outside(logical.clone()))?;
            if below.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
                return Err(Error::Outside(logical));
            }
            let place = self.request.store_dir.join(below);
            match fs::read_link(&place) {
                Ok(target) => logical = lexical(&logical.parent().unwrap_or(Path::new("/")).join(target)),
                Err(_) => return Ok(place),
            }
        }
        Err(Error::Outside(logical))
    }

    /// Links all that is in a folder of a package into one of the output.
    fn link(&mut self, from: &Path, to: &Path, priority: i64) -> Result<(), Error> {
        let place = self.physical(from)?;
        let entries = match fs::read_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(Error::NotAFolder(from.to_owned()));
            }
            entries => entries.map_err(|source| Error::Io { path: from.to_owned(), source })?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(|source| Error::Io { path: from.to_owned(), source })?.file_name());
        }
        names.sort();
        for name in names {
            let source = from.join(&name);
            let is_left_out =
                |end: &&str| source.as_os_str().as_bytes().ends_with(format!("/{end}").as_bytes());
            if !LEFT_OUT.iter().any(is_left_out) {
                self.entry(&source, &to.join(&name), priority)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, source: &Path, link: &Path, priority: i64) -> Result<(), Error> {
        let is_folder = self.physical(source).is_ok_and(|place| place.is_dir());
        let present = fs::symlink_metadata(link).ok();
        if is_folder {
            match present {
                Some(found) if found.is_dir() => return self.link(source, link, priority),
                Some(_) => return self.merge(source, link, priority),
                None => {}
            }
        } else if let Some(found) = present {
            if found.is_dir() {
                return Err(Error::Folder(source.to_owned(), link.to_owned()));
            }
            let before = self.priorities.get(link).copied().unwrap_or(priority);
            if before == priority {
                let other = fs::read_link(link).unwrap_or_else(|_| link.to_owned());
                return Err(Error::Conflict(other, source.to_owned()));
            }
            if before < priority {
                return Ok(());
            }
            make(link, || fs::remove_file(link))?;
        }
        make(link, || symlink(source, link))?;
        self.priorities.insert(link.to_owned(), priority);
        Ok(())
    }

    /// Makes a folder of a link to one, with the entries of both.
    fn merge(&mut self, source: &Path, link: &Path, priority: i64) -> Result<(), Error> {
        let target = fs::read_link(link).map_err(|source| Error::Io { path: link.to_owned(), source })?;
        if !self.physical(&target).is_ok_and(|place| place.is_dir()) {
            return Err(Error::NoFolder(source.to_owned(), target));
        }
        make(link, || fs::remove_file(link))?;
        make(link, || fs::create_dir(link))?;
        let before = self.priorities.get(link).copied().unwrap_or(priority);
        self.link(&target, link, before)?;
        self.link(source, link, priority)
    }
}

/// The path without `.` and `..`, as its text says.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bstr::BString;

    use super::*;
    use crate::cancel::Cancellation;
    use crate::events::{ActivityId, Silent};

    /// A store with files, as `PACKAGE/PATH` with contents.
    struct Shop(tempfile::TempDir);

    impl Shop {
        fn with(files: &[(&str, &str)]) -> Shop {
            let dir = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = dir.path().join("store").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Shop(dir)
        }

        fn build(&self, derivations: &str) -> Result<(), Error> {
            let env = BTreeMap::from([
                (BString::from("derivations"), BString::from(derivations)),
                (BString::from("manifest"), BString::from("/nix/store/manifest")),
            ]);
            let _ = fs::remove_dir_all(self.0.path().join("out"));
            run(&Request {
                id: ActivityId::fresh(),
                name: "env",
                env: &env,
                output: &self.0.path().join("out"),
                store_dir: &self.0.path().join("store"),
                scratch: self.0.path(),
                observer: &Silent,
                cancellation: &Cancellation::new(),
            })
        }

        fn target(&self, path: &str) -> String {
            let link = fs::read_link(self.0.path().join("out").join(path));
            link.map_or_else(|error| error.to_string(), |target| target.display().to_string())
        }
    }

    #[test]
    fn packages_share_folders_and_the_lower_number_wins() {
        let shop = Shop::with(&[
            ("a/bin/a", ""),
            ("a/bin/both", ""),
            ("a/share/only/x", ""),
            ("a/nix-support/propagated-user-env-packages", "/nix/store/c\n"),
            ("b/bin/b", ""),
            ("b/bin/both", ""),
            ("c/lib/c", ""),
            ("c/bin/both", ""),
        ]);
        shop.build("true 5 1 /nix/store/a true 4 1 /nix/store/b false 1 1 /nix/store/unwanted").unwrap();
        assert_eq!(shop.target("bin/a"), "/nix/store/a/bin/a");
        assert_eq!(shop.target("bin/both"), "/nix/store/b/bin/both");
        assert_eq!(shop.target("share"), "/nix/store/a/share");
        assert_eq!(shop.target("lib"), "/nix/store/c/lib");
        assert_eq!(shop.target("manifest.nix"), "/nix/store/manifest");
        assert!(!shop.0.path().join("out/nix-support").exists());
    }

    #[test]
    fn equal_priorities_conflict_and_nonsense_is_refused() {
        let shop = Shop::with(&[("a/bin/x", ""), ("b/bin/x", ""), ("c/bin", "no folder")]);
        let conflict = shop.build("true 5 2 /nix/store/a /nix/store/b").unwrap_err();
        assert!(matches!(conflict, Error::Conflict(..)), "{conflict}");
        let error = shop.build("true 4 1 /nix/store/c true 5 1 /nix/store/a").unwrap_err();
        assert!(matches!(error, Error::NoFolder(..)), "{error}");
        // What is less important does not count.
        shop.build("true 5 1 /nix/store/a true 6 1 /nix/store/c").unwrap();
        assert!(matches!(shop.build("true 5 1 /etc").unwrap_err(), Error::Outside(_)));
        assert!(matches!(shop.build("true x 1 /etc").unwrap_err(), Error::Malformed(_)));
        assert!(matches!(shop.build("true 1 2 /nix/store/a").unwrap_err(), Error::Malformed(_)));
    }
}
