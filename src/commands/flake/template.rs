//! `zeval flake init` and `new`: files of a template, put into a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use zeval_evaluator::{EvalError, position::PosId};

use super::{Context, Result};
use crate::{
    cli::{FlakeFlags, Language},
    diagnostic::Failed,
    flakes::select::{Search, select},
};

/// What a flake begins with where no template is named.
const BEGINNING: &str = include_str!("beginning.nix");

/// What the templates within say to who uses them.
const WELCOME: &str = include_str!("../../../templates/welcome.txt");

/// A file of a template within: its path below the new folder, and its text.
type Embedded = (&'static str, &'static str);

macro_rules! embedded {
    ($name:literal: $($file:literal),*) => {
        ($name, &[$(($file, include_str!(concat!("../../../templates/", $name, "/", $file)))),*])
    };
}

/// The templates of this program's own, by the names that `--template` knows them by.
const EMBEDDED: [(&str, &[Embedded]); 2] = [
    embedded!("site": "build.sh", "flake.nix", "pages/about.txt", "pages/index.txt"),
    embedded!("c-library": "build.sh", "flake.nix", "src/greeting.c", "src/greeting.h", "test.c", "test.sh"),
];

/// Puts the files of a template into a folder; none that is there is changed.
pub fn make(context: &Context, template: Option<&str>, folder: &Path, language: &Language) -> Result<()> {
    let folder = &zeval_inputs::reference::path::clean(&std::path::absolute(folder).map_err(Failed::other)?);
    let mut writer = Writer::default();
    let mut welcome = None;
    match template {
        None => {
            fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
            let file = folder.join("flake.nix");
            writer
                .file(&file, BEGINNING.as_bytes(), "the template")
                .map_err(|error| cannot("write", &file, &error))?;
        }
        Some(template) if embedded(template).is_some() => {
            for (name, text) in embedded(template).into_iter().flatten() {
                let file = folder.join(name);
                let parent = file.parent().unwrap_or(folder);
                fs::create_dir_all(parent).map_err(|error| cannot("make", parent, &error))?;
                let written = writer.file(&file, text.as_bytes(), "the template");
                written.map_err(|error| cannot("write", &file, &error))?;
            }
            welcome = Some(WELCOME.to_owned());
        }
        Some(template) => {
            let (source, text) = files_of(context, template, language)?;
            writer.folder(&source, folder).map_err(|error| cannot("copy to", folder, &error))?;
            welcome = text;
        }
    }
    writer.tell_git(folder)?;
    for file in &writer.written {
        eprintln!("wrote: \"{}\"", file.display());
    }
    if let Some(text) = welcome {
        eprintln!("\n{text}");
    }
    match writer.conflicts {
        0 => Ok(()),
        conflicts => Err(Failed::other(format!("encountered {conflicts} conflicts - see above"))),
    }
}

fn embedded(name: &str) -> Option<&'static [Embedded]> {
    EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, files)| *files)
}

fn cannot(action: &str, path: &Path, error: &io::Error) -> Failed {
    Failed::other(format!("cannot {action} '{}': {error}", path.display()))
}

/// Where the files of a template are, and what it says to who uses it.
fn files_of(context: &Context, template: &str, language: &Language) -> Result<(PathBuf, Option<String>)> {
    let flags = FlakeFlags::default();
    context.with_flakes(
        language,
        &flags,
        &Default::default(),
        |_| (),
        |evaluator, flakes| {
            let installable = flakes.installable(template)?;
            let locked = flakes.lock_copied(evaluator, &installable.reference)?;
            let outputs = flakes.outputs(evaluator, &locked)?;
            let paths = Search::templates().paths(&installable.fragment);
            let found = select(evaluator, outputs, &paths, &installable.reference.shown())?;
            let output = super::outputs::Output {
                path: found.attribute.split('.').map(str::to_owned).collect(),
                value: found.value,
                pos: Default::default(),
            };
            let Some(path) = output.member(evaluator, "path")? else {
                let message = format!("attribute '{}.path' does not exist", found.attribute);
                return Err(EvalError::eval(PosId::NONE, message));
            };
            let doing = format!("while evaluating the path of the template '{}'", found.attribute);
            let path = evaluator.coerce_to_path(path.value, &mut None, Default::default(), &doing)?;
            Ok((evaluator.session.physical(path), output.text(evaluator, "welcomeText")?))
        },
    )
}

#[derive(Default)]
struct Writer {
    written: Vec<PathBuf>,
    conflicts: usize,
}

impl Writer {
    fn folder(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        let mut entries: Vec<_> = fs::read_dir(from)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.folder(&from, &to)?;
                self.written.push(to);
            } else if kind.is_symlink() {
                let target = fs::read_link(&from)?;
                match fs::read_link(&to) {
                    Ok(present) if present == target => self.skip(&to),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        std::os::unix::fs::symlink(target, &to)?;
                        self.written.push(to);
                    }
                    _ => self.conflict(&to, &from.display().to_string()),
                }
            } else {
                self.file(&to, &fs::read(&from)?, &from.display().to_string())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, to: &Path, text: &[u8], from: &str) -> io::Result<()> {
        match fs::read(to) {
            Ok(present) if present == text => self.skip(to),
            Ok(_) => self.conflict(to, from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::write(to, text)?;
                self.written.push(to.to_owned());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn skip(&self, file: &Path) {
        eprintln!("skipping identical file: {}", file.display());
    }

    fn conflict(&mut self, to: &Path, from: &str) {
        eprintln!(
            "refusing to overwrite existing file \"{}\"\n please merge it manually with '{from}'",
            to.display()
        );
        self.conflicts += 1;
    }

    /// Lets git know the files: a flake in a repository has only those that it knows.
    fn tell_git(&self, folder: &Path) -> Result<()> {
        if self.written.is_empty() || !folder.join(".git").exists() {
            return Ok(());
        }
        let files = self.written.iter().map(|file| file.strip_prefix(folder).unwrap_or(file));
        let status = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["add", "--intent-to-add", "--force", "--"])
            .args(files)
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failed::other(format!("'git add' failed: {status}"))),
            Err(error) => Err(Failed::other(format!("cannot run 'git add': {error}"))),
        }
    }
}
