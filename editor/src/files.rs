//! Which files of a folder are in the language, and work on many of them at once.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Parsers and formatters recurse: a thread's stack is as large as the deepest file that zeval reads needs. It is address
/// space; only what is used becomes memory.
const STACK_SIZE: usize = 1 << 30;

/// Whether a file's name says that it is in the language.
pub fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "zx" || ending == "nix")
}

/// A file, or the sources below a folder in the order of their paths. Hidden files, symbolic links and what `.gitignore`
/// names are left out of folders.
pub fn below(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.metadata()?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in ignore::WalkBuilder::new(path).require_git(false).build() {
        let entry = entry.map_err(io::Error::other)?;
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        if is_file && is_source(entry.path()) {
            files.push(entry.into_path());
        }
    }
    files.sort();
    Ok(files)
}

/// What `work` gives for each item, in their order; on all cores, on threads with large stacks.
pub fn for_each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> io::Result<Vec<R>> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..cores.min(items.len()).max(1) {
            std::thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((index, result));
                }
            })?;
        }
        io::Result::Ok(())
    })?;
    let mut done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
