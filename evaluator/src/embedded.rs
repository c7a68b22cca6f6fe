//! Files inside the binary: the standard library `<std>`, and what Nix has as `<nix/...>`.

/// Where the files inside the binary seem to be: what `<nix/x>` gives.
pub(crate) const FOLDER: &[u8] = b"/__corepkgs__";

/// A file inside the binary.
pub struct File {
    /// Its path below [`FOLDER`].
    path: &'static [u8],
    /// What positions in it are called: `<std>/lists.zx`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static [u8],
}

/// The files of the standard library, which stand in `stdlib/` of the tree.
macro_rules! library {
    ($($file:literal),* $(,)?) => {
        &[$(File {
            path: concat!("/std/", $file).as_bytes(),
            name: concat!("<std>/", $file),
            text: include_bytes!(concat!("../../stdlib/", $file)),
        }),*]
    };
}

/// The standard library.
pub const LIBRARY: &[File] = library![
    "attrs.zx",
    "debug.zx",
    "default.zx",
    "derivations.zx",
    "filesets.zx",
    "fixed.zx",
    "generators.zx",
    "licences.json",
    "licences.zx",
    "lists.zx",
    "modules.zx",
    "paths.zx",
    "strings.zx",
    "systems.zx",
    "tests.zx",
    "types.zx",
    "versions.zx",
];

const FETCHURL: File =
    File { path: b"/fetchurl.nix", name: "<nix/fetchurl.nix>", text: include_bytes!("builtins/fetchurl.zx") };

/// The file at an absolute path, if that is inside the binary; a folder stands for its `default.zx`.
pub(crate) fn file(path: &[u8]) -> Option<&'static File> {
    let path = match path.strip_prefix(FOLDER)? {
        b"/std" => b"/std/default.zx",
        path => path,
    };
    if path == FETCHURL.path {
        return Some(&FETCHURL);
    }
    LIBRARY.iter().find(|file| file.path == path)
}

/// What is at an absolute path inside the binary.
pub(crate) enum Entry {
    /// A file.
    File(&'static File),
    /// A folder, with the names of what it holds.
    Folder(Vec<&'static str>),
}

/// What is at an absolute path, if that is inside the binary and there.
pub(crate) fn entry(path: &[u8]) -> Option<Entry> {
    let below = path.strip_prefix(FOLDER)?;
    if below == b"/std" {
        let names = LIBRARY.iter().filter_map(|file| file.name.strip_prefix("<std>/"));
        return Some(Entry::Folder(names.collect()));
    }
    file(path).map(Entry::File)
}

/// What `<name>` stands for when nothing in the search path bears that name. Nix knows no `<std>`, so under its names
/// `library` is false.
pub(crate) fn find(name: &[u8], library: bool) -> Option<Vec<u8>> {
    if let Some(rest) = name.strip_prefix(b"nix/") {
        return Some([FOLDER, b"/", rest].concat());
    }
    let path = [FOLDER, b"/", name].concat();
    let is_library = library && (name == b"std" || name.starts_with(b"std/"));
    (is_library && file(&path).is_some()).then_some(path)
}

impl File {
    /// The folder that relative paths in it start from.
    pub(crate) fn folder(&self) -> Vec<u8> {
        let below = self.path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        [FOLDER, &self.path[..below]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_library_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib");
        let entries = std::fs::read_dir(folder).expect("the library's folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let mut found: Vec<String> =
            names.filter(|name| !name.starts_with('.')).map(|name| format!("<std>/{name}")).collect();
        found.sort();
        let listed: Vec<&str> = LIBRARY.iter().map(|file| file.name).collect();
        assert_eq!(found, listed);
    }
}
