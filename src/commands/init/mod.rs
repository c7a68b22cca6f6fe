//! `zeval init`: a small project to begin with.

use std::{fs, io::ErrorKind, path::Path};

use super::Result;
use crate::{cli::Init, diagnostic::Failed};

/// The files of the project, and what they hold.
const FILES: [(&str, &str); 5] = [
    ("default.zx", include_str!("default.zx")),
    ("lib.zx", include_str!("lib.zx")),
    ("lib.test.zx", include_str!("lib.test.zx")),
    ("share/greeting.txt", "Hello, world!\n"),
    (".gitignore", "/result\n/result-*\n"),
];

/// Writes the files that are not there yet; none that is there is changed.
pub fn run(arguments: &Init) -> Result<()> {
    let folder = &arguments.folder;
    let mut kept = 0;
    for (name, text) in FILES {
        let file = folder.join(name);
        match write_new(&file, text) {
            Ok(()) => eprintln!("wrote: {}", file.display()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                kept += 1;
                eprintln!("kept, because it is there: {}", file.display());
            }
            Err(error) => return Err(Failed::other(format!("cannot write '{}': {error}", file.display()))),
        }
    }
    if kept < FILES.len() {
        let at =
            if folder == Path::new(".") { String::new() } else { format!("cd {}\n  ", folder.display()) };
        eprintln!("next:\n  {at}zeval eval --strict -A greetings\n  zeval test\n  zeval build -A package");
    }
    Ok(())
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut new = fs::File::create_new(file)?;
    std::io::Write::write_all(&mut new, text.as_bytes())
}
