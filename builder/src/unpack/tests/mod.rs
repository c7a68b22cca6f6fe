//! What archives become: compared with the trees that they are made from.

mod formats;
mod hostile;
mod mutated;
mod tar_builder;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Options, Summary, UnpackError, unpack};
use crate::cancel::Cancellation;

/// A folder to unpack in, with another beside it that must stay as it is.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("scratch")).unwrap();
        fs::create_dir(root.path().join("outside")).unwrap();
        fs::write(root.path().join("outside/file"), "untouched").unwrap();
        Place { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn unpack(&self, archive: &[u8], options: &Options) -> Result<Summary, UnpackError> {
        fs::write(self.path("archive"), archive).unwrap();
        unpack(&self.path("archive"), &self.path("out"), &self.path("scratch"), options, &Cancellation::new())
    }

    /// Nothing but what the test itself made is outside the folder that was unpacked into.
    fn assert_untouched(&self, what: &str) {
        let names = |path: &Path| -> Vec<String> {
            let entries =
                fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = entries.collect();
            names.sort();
            names
        };
        for name in names(self.root.path()) {
            assert!(["archive", "out", "outside", "scratch"].contains(&name.as_str()), "{what} made {name}");
        }
        for name in names(&self.path("scratch")) {
            assert_eq!(name, "unpacked", "{what}");
        }
        assert_eq!(names(&self.path("outside")), ["file"], "{what}");
        assert_eq!(fs::read(self.path("outside/file")).unwrap(), b"untouched", "{what}");
    }
}

fn whole() -> Options {
    Options { strip_components: 0, ..Options::default() }
}

/// A line for every entry below `root`: its kind, path, and contents or target.
fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list(root, root, &mut lines);
    lines.sort();
    lines
}

fn list(root: &Path, folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            lines.push(format!("d {name}"));
            list(root, &path, lines);
        } else if metadata.is_symlink() {
            lines.push(format!("l {name} -> {}", fs::read_link(&path).unwrap().display()));
        } else {
            assert_eq!(metadata.mtime(), 1, "{name}");
            let kind = match metadata.permissions().mode() & 0o7777 {
                0o444 => "f",
                0o555 => "x",
                mode => panic!("{name} has mode {mode:o}"),
            };
            let contents = fs::read(&path).unwrap();
            lines.push(format!("{kind} {name} {}", contents.escape_ascii()));
        }
    }
}
