//! Reads archives, and refuses all that Nix does not write.

use std::io::{self, Read};

use bstr::{BStr, BString};

use super::{MAGIC, padding};
use crate::tree::{Event, MAX_DEPTH, MAX_NAME_LENGTH, TreeError, TreeSource, is_valid_name, is_valid_target};

/// The longest tag, in bytes. They are shorter; longer ones Nix does not read to the end either.
const MAX_TAG_LENGTH: usize = 32;

/// The longest target of a symbolic link, in bytes.
const MAX_TARGET_LENGTH: usize = 4095;

/// Reads an archive from `R` in small pieces, so that `R` should be buffered; it reads nothing beyond the archive's end.
pub struct Reader<R> {
    input: R,
    state: State,
    /// The last name in every open directory.
    open: Vec<BString>,
    /// What is left to read of the last event's file, and the padding after it.
    remaining: u64,
    padding: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    InDirectory,
    InContents,
    End,
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Reader<R> {
        Reader { input, state: State::Start, open: Vec::new(), remaining: 0, padding: 0 }
    }

    /// What the archive was read from.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn magic(&mut self) -> Result<(), TreeError> {
        match self.string(MAGIC.len()) {
            Ok(magic) if magic == MAGIC => Ok(()),
            Ok(_) | Err(TreeError::StringTooLong | TreeError::Padding) => {
                Err(TreeError::BadArchive("input doesn't look like a Nix archive".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    fn node(&mut self, name: BString) -> Result<Event, TreeError> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("NAR directory nesting exceeds maximum depth of {MAX_DEPTH}");
            return Err(TreeError::BadArchive(message));
        }
        self.expect("(")?;
        self.expect("type")?;
        let kind = self.tag()?;
        match kind.as_slice() {
            b"regular" => self.regular(name),
            b"symlink" => self.symlink(name),
            b"directory" => {
                self.open.push(BString::default());
                self.state = State::InDirectory;
                Ok(Event::DirectoryStart { name })
            }
            _ => Err(TreeError::BadArchive(format!("unknown file type '{kind}'"))),
        }
    }

    fn regular(&mut self, name: BString) -> Result<Event, TreeError> {
        let mut tag = self.tag()?;
        let executable = tag == "executable";
        if executable {
            self.string(0)?;
            tag = self.tag()?;
        }
        check_tag(&tag, "contents")?;
        let size = self.number()?;
        self.remaining = size;
        self.padding = padding(size);
        self.state = State::InContents;
        Ok(Event::Regular { name, executable, size })
    }

    fn symlink(&mut self, name: BString) -> Result<Event, TreeError> {
        self.expect("target")?;
        let target = self.string(MAX_TARGET_LENGTH)?;
        if !is_valid_target(target.as_ref()) {
            return Err(TreeError::BadArchive("NAR contains invalid symlink target".to_owned()));
        }
        self.expect(")")?;
        self.leave_node()?;
        Ok(Event::Symlink { name, target })
    }

    /// After the `)` of a node: the `)` of the entry that it is in.
    fn leave_node(&mut self) -> Result<(), TreeError> {
        if self.open.is_empty() {
            self.state = State::End;
            return Ok(());
        }
        self.state = State::InDirectory;
        self.expect(")")
    }

    fn entry(&mut self) -> Result<Event, TreeError> {
        let tag = self.tag()?;
        if tag == ")" {
            self.open.pop();
            self.leave_node()?;
            return Ok(Event::DirectoryEnd);
        }
        if tag != "entry" {
            return Err(TreeError::BadArchive(format!("expected tag 'entry' or ')', got '{tag}'")));
        }
        self.expect("(")?;
        self.expect("name")?;
        let name = self.string(MAX_NAME_LENGTH)?;
        if !is_valid_name(&name) {
            return Err(TreeError::BadArchive(format!("NAR contains invalid file name '{name}'")));
        }
        if let Some(previous) = self.open.last_mut() {
            if name <= *previous {
                return Err(TreeError::BadArchive("NAR directory is not sorted".to_owned()));
            }
            previous.clone_from(&name);
        }
        self.expect("node")?;
        self.node(name)
    }

    fn skip_contents(&mut self) -> Result<(), TreeError> {
        let skipped = io::copy(&mut Read::by_ref(&mut self.input).take(self.remaining), &mut io::sink())?;
        self.remaining -= skipped;
        if self.remaining > 0 {
            return Err(TreeError::UnexpectedEnd);
        }
        self.zeros(self.padding)?;
        self.expect(")")?;
        self.leave_node()
    }

    fn expect(&mut self, expected: &str) -> Result<(), TreeError> {
        check_tag(&self.tag()?, expected)
    }

    fn tag(&mut self) -> Result<BString, TreeError> {
        self.string(MAX_TAG_LENGTH)
    }

    fn string(&mut self, max: usize) -> Result<BString, TreeError> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > max {
            return Err(TreeError::StringTooLong);
        }
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes)?;
        self.zeros(padding(length as u64))?;
        Ok(bytes.into())
    }

    fn zeros(&mut self, count: usize) -> Result<(), TreeError> {
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes[..count])?;
        match bytes == [0; 8] {
            true => Ok(()),
            false => Err(TreeError::Padding),
        }
    }

    fn number(&mut self) -> Result<u64, TreeError> {
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl<R: Read> TreeSource for Reader<R> {
    fn next_event(&mut self) -> Result<Option<Event>, TreeError> {
        if self.state == State::InContents {
            self.skip_contents()?;
        }
        match self.state {
            State::Start => {
                self.magic()?;
                self.node(BString::default()).map(Some)
            }
            State::InDirectory => self.entry().map(Some),
            // `skip_contents` has left the file.
            State::InContents | State::End => Ok(None),
        }
    }

    fn contents(&mut self) -> &mut dyn Read {
        self
    }
}

/// The content of the last event's file.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

fn check_tag(tag: &BString, expected: &str) -> Result<(), TreeError> {
    match tag == expected {
        true => Ok(()),
        false => Err(TreeError::BadArchive(format!("expected tag '{expected}', got '{}'", BStr::new(tag)))),
    }
}
