//! Which files of a folder hold tests.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use crate::{commands::Result, diagnostic::Failed};

/// A file stands for itself, a folder for the test files below it; if it has none, for its `default.zx` or `default.nix`.
pub fn below(operand: &OsStr) -> Result<Vec<PathBuf>> {
    let path = Path::new(operand);
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found)?;
    found.sort();
    let has_default = ["default.zx", "default.nix"].iter().any(|name| path.join(name).exists());
    match found.is_empty() {
        true if has_default => Ok(vec![path.to_owned()]),
        true => Err(Failed::other(format!(
            "'{}' holds no tests: no files named *.test.zx, *.test.nix, test.zx or tests.zx, and no default.zx",
            path.display()
        ))),
        false => Ok(found),
    }
}

/// Hidden folders are left out, and links, which results of builds are.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error| Failed::other(format!("cannot list '{}': {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && !name.starts_with('.') {
            collect(&entry.path(), found)?;
        } else if kind.is_file() && is_test_file(&name) {
            let path = entry.path();
            found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
        }
    }
    Ok(())
}

fn is_test_file(name: &str) -> bool {
    let stem = name.strip_suffix(".zx").or_else(|| name.strip_suffix(".nix"));
    stem.is_some_and(|stem| matches!(stem, "test" | "tests") || stem.ends_with(".test"))
}

#[cfg(test)]
mod tests {
    use super::is_test_file;

    #[test]
    fn test_files_are_known_by_their_names() {
        assert!(["test.zx", "tests.nix", "lists.test.zx", "a.b.test.nix"].into_iter().all(is_test_file));
        assert!(
            !["latest.zx", "default.zx", "test.txt", "test", "test.zx.orig"].into_iter().any(is_test_file)
        );
    }
}
