//! The name of an archive's entry as a path that cannot leave the folder it is unpacked into.

use super::error::Fault;

/// The longest name, as of a path that the kernel takes.
const MAX_LENGTH: usize = 4095;
/// The most folders one below the other: each costs an open file while its entries are written.
const MAX_DEPTH: usize = 200;

/// A relative path of plain names: never `..`, `.`, empty, or with a NUL. The empty list is the folder itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryPath {
    components: Vec<Vec<u8>>,
}

impl EntryPath {
    /// Refuses what leads out of the folder instead of mending it, as no honest source archive has such names.
    pub(super) fn parse(name: &[u8]) -> Result<EntryPath, Fault> {
        let refuse = |reason| Err(Fault::refused(name, reason));
        if name.starts_with(b"/") {
            return refuse("an absolute path, which leads out of the folder it is unpacked into");
        }
        if name.contains(&0) {
            return refuse("a name with a NUL in it");
        }
        if name.len() > MAX_LENGTH {
            return refuse("a name longer than the 4095 bytes that a path may have");
        }
        let mut components = Vec::new();
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    return refuse("a path with `..`, which leads out of the folder it is unpacked into");
                }
                _ => components.push(component.to_vec()),
            }
        }
        if components.len() > MAX_DEPTH {
            return refuse("which lies more than 200 folders deep");
        }
        Ok(EntryPath { components })
    }

    /// The folder and the last name; none for the folder that is unpacked into.
    pub(super) fn split_last(&self) -> Option<(&[Vec<u8>], &[u8])> {
        self.components.split_last().map(|(name, folder)| (folder, name.as_slice()))
    }

    /// The names joined by slashes, for messages.
    pub(super) fn display(&self) -> Vec<u8> {
        self.components.join(&b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_kept_and_others_refused() {
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"a/b", Some(b"a/b")),
            (b"./a//b/", Some(b"a/b")),
            (b"./", Some(b"")),
            (b"a/...", Some(b"a/...")),
            (b"caf\xe9", Some(b"caf\xe9")),
            (b"..", None),
            (b"a/../b", None),
            (b"/a", None),
            (b"a\0b", None),
        ];
        for (name, expected) in cases {
            let path = EntryPath::parse(name).ok().map(|path| path.display());
            assert_eq!(path.as_deref(), *expected, "{}", name.escape_ascii());
        }
        assert!(EntryPath::parse(&[b'a'; 4096]).is_err());
        assert!(EntryPath::parse(&b"a/".repeat(200)).is_ok());
        assert!(EntryPath::parse(&b"a/".repeat(201)).is_err());
    }
}
