//! Pins of files on this machine.

use std::fs;
use std::path::PathBuf;

use zeval_model::{Algorithm, Hash};

use super::*;
use crate::events::Silent;

/// A folder of pins and one of sources.
struct Place {
    root: tempfile::TempDir,
    mirrors: Mirrors,
    cancellation: Cancellation,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        for folder in ["seeds", "seeds/more", "sources", "scratch"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let mut mirrors = Mirrors::default();
        mirrors.add("local", &format!("file://{}/sources", root.path().display()));
        Place { root, mirrors, cancellation: Cancellation::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn source(&self, name: &str, content: &str) -> String {
        fs::write(self.path("sources").join(name), content).unwrap();
        format!("file://{}/sources/{name}", self.root.path().display())
    }

    fn with<T>(&self, work: impl FnOnce(&Context<'_>) -> T) -> T {
        let scratch = self.path("scratch");
        let result = work(&Context {
            mirrors: &self.mirrors,
            scratch: &scratch,
            jobs: 3,
            observer: &Silent,
            cancellation: &self.cancellation,
        });
        assert_eq!(fs::read_dir(scratch).unwrap().count(), 0, "nothing is left");
        result
    }
}

fn sri(content: &str) -> String {
    Hash::of(Algorithm::Sha256, content.as_bytes()).to_sri()
}

#[test]
fn a_pin_is_added_checked_and_updated() {
    let place = Place::new();
    let upstream = place.source("thing-1.0.tar.gz", "one");
    let by_hash = place.source("by-hash", "one");
    let other = place.source("thing-1.0-other.tar.gz", "something else");
    let new = NewPin {
        addresses: vec![
            "mirror://local/thing-1.0.tar.gz".to_owned(),
            upstream.clone(),
            by_hash.clone(),
            other.clone(),
        ],
        licence: Some("MIT".to_owned()),
        ..NewPin::default()
    };
    let added = place.with(|context| add(&place.path("seeds"), &new, context)).unwrap();
    assert_eq!(added.failed.iter().map(|(address, _)| address).collect::<Vec<_>>(), [&other]);
    assert_eq!(Pin::read(&place.path("seeds/thing.toml")).unwrap(), added.pin);
    assert_eq!((added.pin.file.as_str(), added.pin.hash.to_sri()), ("thing-1.0.tar.gz", sri("one")));
    let again = place.with(|context| add(&place.path("seeds"), &new, context));
    assert!(matches!(again, Err(PinError::Exists { .. })));

    let pins = read_all(&place.path("seeds")).unwrap();
    let checks = place.with(|context| check(&pins, context));
    let good: Vec<bool> = checks.iter().map(|check| check.result.is_ok()).collect();
    assert_eq!(good, [true, true, true, false]);
    assert!(checks[3].result.as_ref().unwrap_err().to_string().contains(&sri("something else")));

    let path = place.path("seeds/thing.toml");
    let with_comment = format!("# Why it is here.\n{}# End.\n", fs::read_to_string(&path).unwrap());
    fs::write(&path, with_comment).unwrap();
    place.source("thing-1.1.tar.gz", "two");
    let pin = find(&place.path("seeds"), "thing").unwrap();
    let updated = place.with(|context| update(&pin, Some("1.1"), context)).unwrap();
    assert_eq!(updated.dropped, [by_hash]);
    assert_eq!((updated.new.version.as_str(), updated.new.hash.to_sri()), ("1.1", sri("two")));
    assert_eq!(updated.failed.len(), 1);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# Why it is here.\nname = \"thing\"\nversion = \"1.1\"\n"), "{text}");
    assert!(text.ends_with("licence = \"MIT\"\n# End.\n"), "{text}");
    assert!(text.contains(&upstream.replace("1.0", "1.1")), "{text}");
    assert_eq!(Pin::read(&path).unwrap(), updated.new);
}

#[test]
fn an_update_without_a_version_takes_what_is_there_now() {
    let place = Place::new();
    let address = place.source("a-1.tar", "old");
    let new = NewPin { addresses: vec![address], ..NewPin::default() };
    let pin = place.with(|context| add(&place.path("seeds/more"), &new, context)).unwrap().pin;
    place.source("a-1.tar", "new");
    let updated = place.with(|context| update(&pin, None, context)).unwrap();
    assert_eq!(updated.new.hash.to_sri(), sri("new"));
    assert_eq!(find(&place.path("seeds"), "more/a").unwrap(), updated.new);
    assert_eq!(find(&place.path("seeds"), "a").unwrap(), updated.new);
    assert!(matches!(find(&place.path("seeds"), "b"), Err(PinError::Unknown { .. })));
}

#[test]
fn a_failed_update_leaves_the_pin_as_it_is() {
    let place = Place::new();
    let address = place.source("a-1.tar", "old");
    let new = NewPin { addresses: vec![address], ..NewPin::default() };
    let pin = place.with(|context| add(&place.path("seeds"), &new, context)).unwrap().pin;
    let error = place.with(|context| update(&pin, Some("2"), context)).unwrap_err().to_string();
    assert!(error.contains("a-2.tar"), "{error}");
    assert_eq!(Pin::read(&pin.path).unwrap(), pin);
}

#[test]
fn malformed_pins_are_told_by_file() {
    let good =
        format!("name = \"a\"\nversion = \"1\"\nfile = \"a\"\nhash = \"{}\"\nlicence = \"MIT\"\n", sri("x"));
    let with = |rest: &str| Pin::parse(&format!("{good}{rest}"), Path::new("/seeds/a.toml"));
    assert!(with("urls = [\"https://a.example.org\"]\n").is_ok());
    for (text, word) in [
        ("", "no address"),
        ("urls = []\n", "no address"),
        ("mirrors = [\"https://a.example.org\"]\n", "`urls`"),
        ("urls = 1\n", "urls"),
        ("name = \"b\"\n", "duplicate"),
    ] {
        let error = with(text).unwrap_err().to_string();
        assert!(error.contains("/seeds/a.toml") && error.contains(word), "{text}: {error}");
    }
    let bad_hash = good.replace("sha256-", "sha257-") + "urls = [\"https://a.example.org\"]\n";
    assert!(matches!(Pin::parse(&bad_hash, Path::new("a")), Err(PinError::Hash { .. })));
}

/// The pins of this repository.
#[test]
fn the_seeds_are_pins() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    let pins = read_all(&folder).unwrap();
    assert!(pins.iter().any(|pin| pin.name == "tinycc"));
    for pin in pins {
        assert_eq!(pin.hash.algorithm(), Algorithm::Sha256, "{}", pin.path.display());
    }
}
