//! What running processes need, told to the collector: each process has a file of the paths that it relies on.
//!
//! The rule: pin a path, then ask whether it is valid, or put it in place. A pin is written while the collector's gate is
//! held shared; the collector holds the gate alone while it looks at the pins and makes paths invalid. So a path that was
//! pinned and then found valid stays valid as long as the process lives. A pinned derivation keeps its closure and all
//! outputs of the derivations in it.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeval_model::StorePath;

use super::lock::FileLock;
use super::session::{self, LOCK_SUFFIX};
use super::{IoContext, Store, StoreError};

/// The name of the file of pins in a session's folder.
const FILE: &str = "pins";

/// The pins of this process, for as long as its session lasts.
#[derive(Debug)]
pub struct Pins {
    file: PathBuf,
    gate: PathBuf,
    own: Mutex<Own>,
}

#[derive(Debug)]
struct Own {
    output: File,
    gate: File,
    known: HashSet<StorePath>,
}

/// The collector's gate, held alone.
#[derive(Debug)]
pub struct ClosedGate {
    _file: File,
}

impl Pins {
    /// Starts the pins of the session in `session_folder`.
    pub fn start(session_folder: &Path, gate: &Path) -> io::Result<Pins> {
        let file = session_folder.join(FILE);
        let output = OpenOptions::new().append(true).create(true).open(&file)?;
        let own = Own { output, gate: open_gate(gate)?, known: HashSet::new() };
        Ok(Pins { file, gate: gate.to_owned(), own: Mutex::new(own) })
    }

    fn add<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> io::Result<()> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<StorePath> =
            paths.into_iter().filter(|path| !own.known.contains(*path)).cloned().collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let text: String = fresh.iter().map(|path| format!("{}\n", path.base_name())).collect();
        own.gate.lock_shared()?;
        let written = own.output.write_all(text.as_bytes());
        own.gate.unlock()?;
        written?;
        own.known.extend(fresh);
        Ok(())
    }
}

fn open_gate(gate: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(gate)
}

impl Store {
    /// Keeps the collector from `paths` and, for derivations, from all that is needed to build them, until this process
    /// ends. Paths need not be valid yet.
    pub fn pin<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<(), StoreError> {
        self.pins.add(paths).doing("write", &self.pins.file)
    }

    /// Keeps others from pinning, to look at the pins and act on what they say.
    pub(super) fn close_gate(&self) -> Result<ClosedGate, StoreError> {
        let gate = &self.pins.gate;
        let file = open_gate(gate).and_then(|file| file.lock().map(|()| file)).doing("lock", gate)?;
        Ok(ClosedGate { _file: file })
    }

    /// The pins of all processes that are alive.
    pub(super) fn living_pins(&self, _: &ClosedGate) -> Result<HashSet<StorePath>, StoreError> {
        let folder = self.layout.temporary();
        let mut pins = HashSet::new();
        for name in session::names(&folder).doing("read", &folder)? {
            let lock = folder.join(format!("{name}{LOCK_SUFFIX}"));
            // A free lock means that its process is gone.
            if FileLock::try_acquire(&lock).doing("lock", &lock)?.is_some() {
                continue;
            }
            let file = folder.join(&name).join(FILE);
            let text = match fs::read_to_string(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.doing("read", &file)?,
            };
            // A process killed while it wrote may leave half a line.
            pins.extend(text.lines().filter_map(|line| StorePath::from_base_name(line).ok()));
        }
        Ok(pins)
    }
}
