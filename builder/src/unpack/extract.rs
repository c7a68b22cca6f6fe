//! Puts the entries of an archive into a tree, within limits.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::entry_path::EntryPath;
use super::error::Fault;
use super::tar::{Archive, Entry, Kind, Layout};
use super::tree::{Tree, copy};
use super::{Options, Summary};
use crate::cancel::Cancellation;

/// A tree that is being made from an archive.
pub(super) struct Extractor<'a> {
    tree: Tree,
    options: &'a Options,
    cancellation: &'a Cancellation,
    summary: Summary,
}

impl<'a> Extractor<'a> {
    /// Fills the existing folder `root`.
    pub(super) fn new(
        root: &Path,
        options: &'a Options,
        cancellation: &'a Cancellation,
    ) -> Result<Self, Fault> {
        Ok(Extractor { tree: Tree::open(root)?, options, cancellation, summary: Summary::default() })
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// Unpacks a tar archive.
    pub(super) fn tar(&mut self, content: &mut dyn Read) -> Result<(), Fault> {
        let mut archive = Archive::new(content);
        while let Some(entry) = archive.next()? {
            self.tar_entry(&mut archive, &entry)?;
        }
        Ok(())
    }

    /// Notes when an entry was changed.
    pub(super) fn changed(&mut self, modified: u64) {
        self.summary.modified = self.summary.modified.max(modified);
    }

    fn tar_entry<R: Read>(&mut self, archive: &mut Archive<R>, entry: &Entry) -> Result<(), Fault> {
        self.changed(entry.modified);
        match &entry.kind {
            Kind::File(layout) => self.file(&entry.name, entry.executable, layout, archive),
            Kind::Folder => self.folder(&entry.name),
            Kind::Symlink(target) => self.symlink(&entry.name, target),
            Kind::HardLink(existing) => self.hard_link(&entry.name, existing),
            Kind::Special(what) => Err(Fault::refused(&entry.name, what)),
        }
    }

    /// Makes a file of the bytes that `content` gives.
    pub(super) fn file(
        &mut self,
        name: &[u8],
        executable: bool,
        layout: &Layout,
        content: &mut dyn Read,
    ) -> Result<(), Fault> {
        let path = self.admit(name, layout.size)?;
        self.tree.file(&path, executable, |file| write_content(file, layout, content, name))
    }

    pub(super) fn folder(&mut self, name: &[u8]) -> Result<(), Fault> {
        let path = self.admit(name, 0)?;
        self.tree.folder(&path)
    }

    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Fault> {
        let path = self.admit(name, 0)?;
        self.tree.symlink(&path, target)
    }

    /// Makes another name for the entry `existing` of the same archive.
    pub(super) fn hard_link(&mut self, name: &[u8], existing: &[u8]) -> Result<(), Fault> {
        let path = self.admit(name, 0)?;
        let existing = EntryPath::parse(existing).map_err(|_| {
            Fault::refused(name, "a hard link that leads out of the folder it is unpacked into")
        })?;
        self.tree.hard_link(&path, &existing)
    }

    /// Counts an entry that will be made later.
    pub(super) fn expect(&mut self, name: &[u8]) -> Result<(), Fault> {
        self.admit(name, 0).map(drop)
    }

    /// Counts an entry, and refuses it if it has no proper name or there is too much.
    fn admit(&mut self, name: &[u8], bytes: u64) -> Result<EntryPath, Fault> {
        if self.cancellation.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        self.summary.entries += 1;
        if self.summary.entries > self.options.max_entries {
            return Err(Fault::TooMany(self.options.max_entries));
        }
        self.summary.bytes = self.summary.bytes.saturating_add(bytes);
        if self.summary.bytes > self.options.max_bytes {
            return Err(Fault::TooLarge(self.options.max_bytes));
        }
        EntryPath::parse(name)
    }
}

fn write_content(file: &mut File, layout: &Layout, content: &mut dyn Read, name: &[u8]) -> Result<(), Fault> {
    let Some(pieces) = &layout.pieces else { return copy(content, file, layout.size, name) };
    for piece in pieces {
        file.seek(SeekFrom::Start(piece.offset)).map_err(|error| Fault::write(name, error))?;
        copy(content, file, piece.length, name)?;
    }
    file.set_len(layout.size).map_err(|error| Fault::write(name, error))
}
