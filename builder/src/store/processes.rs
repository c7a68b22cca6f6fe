//! Store paths that running processes use: programs, open files, mapped libraries, current folders, environments.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::ByteSlice;
use zeval_model::{StorePath, store_dir};

/// What each process that we may look at uses of the store whose files are in `physical`: by path, the process's number.
///
/// Processes come and go while this looks; what cannot be read is not ours or is gone.
pub fn used(physical: &Path) -> BTreeMap<StorePath, u32> {
    let mut used = BTreeMap::new();
    let Ok(processes) = fs::read_dir("/proc") else { return used };
    for process in processes.flatten() {
        let Some(number) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let mut text = links_of(&process.path());
        for file in ["maps", "environ"] {
            text.extend(fs::read(process.path().join(file)).unwrap_or_default());
            text.push(b'\n');
        }
        for prefix in [Path::new(store_dir()), physical] {
            for path in mentioned(&text, prefix) {
                used.entry(path).or_insert(number);
            }
        }
    }
    used
}

fn links_of(process: &Path) -> Vec<u8> {
    let single = ["exe", "cwd", "root"].map(|name| process.join(name));
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut text = Vec::new();
    for target in single.into_iter().chain(open).filter_map(|link| fs::read_link(link).ok()) {
        text.extend_from_slice(target.as_os_str().as_bytes());
        text.push(b'\n');
    }
    text
}

/// The store paths that follow `prefix/` in `text`.
fn mentioned(text: &[u8], prefix: &Path) -> Vec<StorePath> {
    let mut prefix = prefix.as_os_str().as_bytes().to_vec();
    prefix.push(b'/');
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(byte);
    let name = |start: usize| {
        let rest = &text[start + prefix.len()..];
        let length = rest.iter().position(|byte| !is_of_name(byte)).unwrap_or(rest.len());
        StorePath::from_base_name(rest[..length].to_str().ok()?).ok()
    };
    text.find_iter(&prefix).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_what_processes_say() {
        let base_name = "45bl2kd63ilpq0far1vsp81impl9r2sv-self";
        let text = format!("PATH=/x/store/{base_name}/bin:/x/store/short\0/x/store/{base_name}\n");
        let path = StorePath::from_base_name(base_name).unwrap();
        assert_eq!(mentioned(text.as_bytes(), Path::new("/x/store")), [path.clone(), path]);
        assert_eq!(mentioned(text.as_bytes(), Path::new("/y/store")), []);
    }

    #[test]
    fn a_process_in_a_store_path_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let path = StorePath::from_base_name("45bl2kd63ilpq0far1vsp81impl9r2sv-self").unwrap();
        fs::create_dir_all(folder.join(path.base_name())).unwrap();
        assert_eq!(used(&folder).get(&path), None);
        let file = fs::File::create(folder.join(path.base_name()).join("file")).unwrap();
        assert_eq!(used(&folder).get(&path), Some(&std::process::id()));
        drop(file);
    }
}
