//! The attribute `export-ignore`: files that a repository does not want in archives of it.

use std::collections::HashSet;

use bstr::{BStr, BString, ByteSlice};

use super::{command::Repository, objects::File};
use crate::{Result, fetch::failed};

/// Drops the files of a commit that it says are not to be exported.
pub(super) fn drop_ignored(repository: &Repository, revision: &str, files: &mut Vec<File>) -> Result<()> {
    let is_attributes = |path: &BStr| path == ".gitattributes" || path.ends_with(b"/.gitattributes");
    if !files.iter().any(|file| is_attributes(file.path.as_bstr())) {
        return Ok(());
    }
    // git reads attributes from an index, so it gets one with just this commit.
    let folder = std::env::temp_dir().join(format!("zeval-index-{}-{revision}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let index = folder.join("index");
    let ignored =
        repository.output_of(&["read-tree", revision], &[("GIT_INDEX_FILE", &index)], &[]).and_then(|_| {
            let paths = files.iter().map(|file| file.path.as_bstr());
            ignored(repository, paths, &[("GIT_INDEX_FILE", &index)])
        });
    let removed = std::fs::remove_dir_all(&folder);
    let ignored = ignored?;
    removed.map_err(failed)?;
    files.retain(|file| !is_ignored(file.path.as_bstr(), &ignored));
    Ok(())
}

/// Whether a file or a folder around it is among the ignored ones.
pub(super) fn is_ignored(path: &BStr, ignored: &HashSet<BString>) -> bool {
    prefixes(path).any(|prefix| ignored.contains(prefix))
}

/// A path and the folders around it.
fn prefixes(path: &BStr) -> impl Iterator<Item = &BStr> {
    let ends = path.find_iter("/").chain([path.len()]);
    ends.collect::<Vec<_>>().into_iter().map(move |end| path[..end].as_bstr())
}

/// Which files and folders git's index says are not to be exported.
pub(super) fn ignored<'a>(
    repository: &Repository,
    files: impl Iterator<Item = &'a BStr>,
    variables: &[(&str, &std::path::Path)],
) -> Result<HashSet<BString>> {
    let all: HashSet<&BStr> = files.flat_map(prefixes).collect();
    let mut input = Vec::new();
    for path in all {
        input.extend_from_slice(path);
        input.push(0);
    }
    let arguments = ["check-attr", "--cached", "-z", "--stdin", "export-ignore"];
    let output = repository.output_of(&arguments, variables, &input)?;
    let fields: Vec<&[u8]> = output.split(|&byte| byte == 0).collect();
    Ok(fields
        .chunks_exact(3)
        .filter(|fields| fields[2] == b"set")
        .map(|fields| BString::from(fields[0]))
        .collect())
}
