//! Writes archives, in canonical form only.

use std::io::{Read, Write};

use bstr::{BStr, BString};

use super::{MAGIC, padding};
use crate::tree::{Event, TreeError, TreeSource, is_valid_name, is_valid_target};

/// Small pieces are gathered to pieces of this size, in bytes.
const BUFFER: usize = 64 * 1024;

/// Writes the archive of a whole tree.
pub fn copy(source: &mut dyn TreeSource, output: impl Write) -> Result<(), TreeError> {
    let mut writer = Writer::new(output);
    while let Some(event) = source.next_event()? {
        match event {
            Event::DirectoryStart { name } => writer.start_directory(name.as_ref())?,
            Event::DirectoryEnd => writer.end_directory()?,
            Event::Symlink { name, target } => writer.symlink(name.as_ref(), target.as_ref())?,
            Event::Regular { name, executable, size } => {
                writer.regular(name.as_ref(), executable, size, source.contents())?;
            }
        }
    }
    writer.finish().map(drop)
}

/// Writes an archive, node by node: entries between the start and the end of their directory and in the order of their
/// names, the root with an empty name. What would not be canonical is refused.
pub struct Writer<W> {
    output: W,
    buffer: Vec<u8>,
    /// The last name in every open directory.
    open: Vec<BString>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    InDirectory,
    End,
}

impl<W: Write> Writer<W> {
    pub fn new(output: W) -> Writer<W> {
        Writer { output, buffer: Vec::with_capacity(BUFFER), open: Vec::new(), state: State::Start }
    }

    pub fn start_directory(&mut self, name: &BStr) -> Result<(), TreeError> {
        self.enter(name)?;
        self.strings(["(", "type", "directory"]);
        self.open.push(BString::default());
        self.state = State::InDirectory;
        Ok(())
    }

    pub fn end_directory(&mut self) -> Result<(), TreeError> {
        if self.open.pop().is_none() {
            return Err(TreeError::Order("a directory ends that has not started"));
        }
        self.leave()
    }

    pub fn symlink(&mut self, name: &BStr, target: &BStr) -> Result<(), TreeError> {
        if !is_valid_target(target) {
            return Err(TreeError::Order("a symbolic link has an empty target or one with a zero byte"));
        }
        self.enter(name)?;
        self.strings(["(", "type", "symlink", "target"]);
        self.string(target);
        self.leave()
    }

    /// `contents` must give `size` bytes and then end.
    pub fn regular(
        &mut self,
        name: &BStr,
        executable: bool,
        size: u64,
        contents: &mut dyn Read,
    ) -> Result<(), TreeError> {
        self.start_regular(name, executable, size)?;
        self.contents(size, contents)?;
        self.end_regular(size)
    }

    fn start_regular(&mut self, name: &BStr, executable: bool, size: u64) -> Result<(), TreeError> {
        self.enter(name)?;
        self.strings(["(", "type", "regular"]);
        if executable {
            self.strings(["executable", ""]);
        }
        self.strings(["contents"]);
        self.buffer.extend_from_slice(&size.to_le_bytes());
        Ok(())
    }

    fn end_regular(&mut self, size: u64) -> Result<(), TreeError> {
        self.buffer.resize(self.buffer.len() + padding(size), 0);
        self.leave()
    }

    /// A piece of a regular file's contents.
    fn piece(&mut self, piece: &[u8]) -> Result<(), TreeError> {
        if self.buffer.len() + piece.len() <= BUFFER {
            self.buffer.extend_from_slice(piece);
            return Ok(());
        }
        self.write_out()?;
        Ok(self.output.write_all(piece)?)
    }

    /// Writes what is still buffered and gives the output back.
    pub fn finish(mut self) -> Result<W, TreeError> {
        if self.state != State::End {
            return Err(TreeError::Order("the tree does not end"));
        }
        self.output.write_all(&self.buffer)?;
        self.output.flush()?;
        Ok(self.output)
    }

    /// Copies by way of the buffer, which is never filled beyond its capacity.
    fn contents(&mut self, size: u64, contents: &mut dyn Read) -> Result<(), TreeError> {
        let mut remaining = size;
        while remaining > 0 {
            if BUFFER - self.buffer.len() < BUFFER / 2 {
                self.write_out()?;
            }
            let start = self.buffer.len();
            let room = usize::try_from(remaining).unwrap_or(usize::MAX).min(BUFFER - start);
            self.buffer.resize(start + room, 0);
            let count = contents.read(&mut self.buffer[start..])?;
            self.buffer.truncate(start + count);
            if count == 0 {
                return Err(TreeError::UnexpectedEnd);
            }
            remaining -= count as u64;
        }
        Ok(())
    }

    fn enter(&mut self, name: &BStr) -> Result<(), TreeError> {
        match self.state {
            State::Start if name.is_empty() => {
                self.strings([MAGIC]);
                return Ok(());
            }
            State::Start => return Err(TreeError::Order("the root has a name")),
            State::End => return Err(TreeError::Order("there is something after the end")),
            State::InDirectory => (),
        }
        if !is_valid_name(name) {
            return Err(TreeError::Order("a name is empty, '.', '..', too long or has a slash or zero byte"));
        }
        if let Some(previous) = self.open.last_mut() {
            if name <= BStr::new(previous) {
                return Err(TreeError::Order("a directory is not sorted"));
            }
            *previous = name.to_owned();
        }
        self.strings(["entry", "(", "name"]);
        self.string(name);
        self.strings(["node"]);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), TreeError> {
        self.strings([")"]);
        match self.open.is_empty() {
            true => self.state = State::End,
            false => self.strings([")"]),
        }
        if self.buffer.len() >= BUFFER / 2 {
            self.write_out()?;
        }
        Ok(())
    }

    fn strings<const COUNT: usize>(&mut self, strings: [&str; COUNT]) {
        for string in strings {
            self.string(BStr::new(string));
        }
    }

    fn string(&mut self, string: &BStr) {
        self.buffer.extend_from_slice(&(string.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(string);
        self.buffer.resize(self.buffer.len() + padding(string.len() as u64), 0);
    }

    fn write_out(&mut self) -> Result<(), TreeError> {
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// A tree that is also written as an archive while somebody else reads it.
pub struct Tee<'s, W> {
    source: &'s mut dyn TreeSource,
    writer: Writer<W>,
    /// The size of the regular file of the last event, and how much of it is still to be read.
    open: Option<(u64, u64)>,
}

impl<'s, W: Write> Tee<'s, W> {
    pub fn new(source: &'s mut dyn TreeSource, output: W) -> Tee<'s, W> {
        Tee { source, writer: Writer::new(output), open: None }
    }

    /// Gives the output back, once the tree was read to its end.
    pub fn finish(self) -> Result<W, TreeError> {
        self.writer.finish()
    }

    fn end_open(&mut self) -> Result<(), TreeError> {
        let Some((size, _)) = self.open else { return Ok(()) };
        std::io::copy(self, &mut std::io::sink())?;
        self.open = None;
        self.writer.end_regular(size)
    }
}

impl<W: Write> TreeSource for Tee<'_, W> {
    fn next_event(&mut self) -> Result<Option<Event>, TreeError> {
        self.end_open()?;
        let event = self.source.next_event()?;
        match &event {
            Some(Event::DirectoryStart { name }) => self.writer.start_directory(name.as_ref())?,
            Some(Event::DirectoryEnd) => self.writer.end_directory()?,
            Some(Event::Symlink { name, target }) => self.writer.symlink(name.as_ref(), target.as_ref())?,
            Some(Event::Regular { name, executable, size }) => {
                self.writer.start_regular(name.as_ref(), *executable, *size)?;
                self.open = Some((*size, *size));
            }
            None => {}
        }
        Ok(event)
    }

    fn contents(&mut self) -> &mut dyn Read {
        self
    }
}

impl<W: Write> Read for Tee<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some((_, left)) = &mut self.open else { return Ok(0) };
        let count = self.source.contents().read(buffer)?;
        // A source gives exactly the size that it told, or an error.
        *left = left.saturating_sub(count as u64);
        if count == 0 && *left > 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.writer.piece(&buffer[..count]).map_err(std::io::Error::other)?;
        Ok(count)
    }
}
