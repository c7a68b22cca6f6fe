//! Where in an archive the contents of files are, told from the tree alone.

use super::{MAGIC, padding};
use crate::tree::Event;

/// Follows the pieces of a tree, in their order, through the archive that they make.
#[derive(Debug, Default)]
pub struct Position {
    /// In bytes, behind all that is known so far.
    offset: u64,
    depth: usize,
}

impl Position {
    /// Goes on behind `event`; gives the offset of the contents if it is a regular file.
    pub fn follow(&mut self, event: &Event) -> Option<u64> {
        if self.offset == 0 {
            self.strings(&[MAGIC]);
        }
        if let (false, Some(name)) = (self.depth == 0, name(event)) {
            self.strings(&["entry", "(", "name"]);
            self.string(name.len());
            self.strings(&["node"]);
        }
        match event {
            Event::DirectoryStart { .. } => {
                self.strings(&["(", "type", "directory"]);
                self.depth += 1;
                None
            }
            Event::DirectoryEnd => {
                self.depth = self.depth.saturating_sub(1);
                self.end();
                None
            }
            Event::Symlink { target, .. } => {
                self.strings(&["(", "type", "symlink", "target"]);
                self.string(target.len());
                self.end();
                None
            }
            Event::Regular { executable, size, .. } => {
                self.strings(&["(", "type", "regular"]);
                if *executable {
                    self.strings(&["executable", ""]);
                }
                self.strings(&["contents"]);
                self.offset += 8;
                let contents = self.offset;
                self.offset += size + padding(*size) as u64;
                self.end();
                Some(contents)
            }
        }
    }

    /// The end of a node, and of the entry that it is in.
    fn end(&mut self) {
        self.strings(&[")"]);
        if self.depth > 0 {
            self.strings(&[")"]);
        }
    }

    fn strings(&mut self, strings: &[&str]) {
        strings.iter().for_each(|string| self.string(string.len()));
    }

    fn string(&mut self, length: usize) {
        self.offset += 8 + length as u64 + padding(length as u64) as u64;
    }
}

fn name(event: &Event) -> Option<&bstr::BString> {
    match event {
        Event::DirectoryStart { name } | Event::Regular { name, .. } | Event::Symlink { name, .. } => {
            Some(name)
        }
        Event::DirectoryEnd => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{TreeSource, Walker, everything};

    #[test]
    fn contents_are_where_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::os::unix::fs::symlink("somewhere", top.join("a/link")).unwrap();
        for (file, text) in [("a/b/first", "one"), ("a/second", "the second"), ("z", "12345678")] {
            std::fs::write(top.join(file), text).unwrap();
        }
        let mut archive = Vec::new();
        super::super::dump_path(&top, &mut archive).unwrap();
        let mut everything = everything;
        let mut walker = Walker::new(&top, &mut everything);
        let mut position = Position::default();
        let mut found = Vec::new();
        while let Some(event) = walker.next_event().unwrap() {
            if let (Some(offset), Event::Regular { size, .. }) = (position.follow(&event), &event) {
                found.push(
                    String::from_utf8_lossy(&archive[offset as usize..][..*size as usize]).into_owned(),
                );
            }
        }
        assert_eq!(found, ["one", "the second", "12345678"]);
        assert_eq!(position.offset, archive.len() as u64);
    }
}
