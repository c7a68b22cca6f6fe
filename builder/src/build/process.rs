//! Runs a derivation's builder in the sandbox and listens to it.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bstr::{BString, ByteSlice};
use serde::Deserialize;
use zeval_model::{StorePath, store_dir};

use super::environment::Start;
use super::error::BuildError;
use super::folders::Folders;
use super::options::{BuildOptions, KVM};
use super::room::{Filled, Room};
use crate::cancel::Cancellation;
use crate::events::{ActivityId, Event, Observer};
use crate::printable::printable;
use crate::sandbox::{self, Bind, End, Excess, Identity, Plan, Process, Report, Stop, Surroundings};
use crate::store::{IoContext, LogWriter, Store};

/// A line of the log that is longer is cut in pieces.
const MAX_LINE: usize = 64 << 10;

/// What a builder is run with.
pub struct Run<'a> {
    pub store: &'a Store,
    pub options: &'a BuildOptions,
    pub identity: &'a Identity,
    pub surroundings: &'a Surroundings,
    pub observer: &'a dyn Observer,
    pub cancellation: &'a Cancellation,
    pub id: ActivityId,
    pub inputs: &'a BTreeSet<StorePath>,
    /// Files and folders of the machine that this build sees beside those that all see.
    pub binds: Vec<Bind>,
    pub network: bool,
    /// The machine that the builder believes to run on is a 32-bit one.
    pub is_32bit: bool,
    /// It sees `/dev/kvm`.
    pub with_kvm: bool,
    /// It sees the machine's files, but for those that are its own in every sandbox.
    pub machine: Option<Machine>,
}

/// How a build sees the machine's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// And its own `/tmp`.
    ReadOnly,
    Writable,
}

/// What a builder that ended well leaves behind.
pub struct Finished {
    /// The most memory that it was seen to use.
    pub peak_kibibytes: u64,
    /// The end of the log, for errors that show later.
    pub last_lines: Vec<String>,
}

impl Run<'_> {
    /// Runs `builder` until all its processes are gone.
    pub fn run(
        &self,
        builder: &BString,
        start: &Start,
        folders: &Folders,
        log: LogWriter,
    ) -> Result<Finished, BuildError> {
        let plan = self.plan(builder, start, folders);
        let running = sandbox::launch(&plan).map_err(|source| BuildError::Sandbox {
            step: "start the process".to_owned(),
            source,
            hint: None,
        })?;
        let mut listener = Listener::new(self, log, Room::new(folders.whole()));
        let listened = running.listen(&mut listener);
        let lines = listener.finish()?;
        let reports = listened.map_err(|source| BuildError::Sandbox {
            step: "listen to the process".to_owned(),
            source,
            hint: None,
        })?;
        self.judge(reports, lines)
    }

    fn judge(&self, reports: Vec<Report>, lines: Lines) -> Result<Finished, BuildError> {
        let last_lines = Vec::from(lines.last);
        match lines.stopped {
            Some(Stopped::Cancelled) => return Err(BuildError::Cancelled),
            Some(Stopped::TimedOut(limit)) => return Err(BuildError::TimedOut { limit, last_lines }),
            Some(Stopped::Silent(limit)) => return Err(BuildError::Silent { limit, last_lines }),
            Some(Stopped::LogTooLong(limit)) => return Err(BuildError::LogTooLong { limit, last_lines }),
            Some(Stopped::FilledDisk(filled)) => return Err(BuildError::FilledDisk { filled, last_lines }),
            None => (),
        }
        let mut ended = None;
        for report in reports {
            match report {
                Report::SetUpFailed { step, errno, hint } => {
                    return Err(BuildError::Sandbox {
                        step,
                        source: io::Error::from_raw_os_error(errno),
                        hint,
                    });
                }
                Report::Ended { excess: Some(excess), .. } => {
                    let limits = &self.options.limits;
                    let limit = match excess {
                        Excess::Processes => limits.processes,
                        Excess::Memory => limits.memory.unwrap_or_default(),
                    };
                    return Err(BuildError::UsedTooMuch { excess, limit, last_lines });
                }
                Report::Ended { end: End::Exited(0), peak_kibibytes, .. } => ended = Some(peak_kibibytes),
                Report::Ended { end, .. } => return Err(BuildError::BuilderFailed { end, last_lines }),
            }
        }
        let Some(peak_kibibytes) = ended else {
            // The keeper itself was killed, by someone outside or for want of memory.
            let end = End::Signalled(nix::libc::SIGKILL);
            return Err(BuildError::BuilderFailed { end, last_lines });
        };
        Ok(Finished { peak_kibibytes, last_lines })
    }

    fn plan(&self, builder: &BString, start: &Start, folders: &Folders) -> Plan {
        let build_folder = &self.surroundings.build_folder;
        let mut binds = vec![Bind { source: folders.build(), target: build_folder.clone(), writable: true }];
        if self.machine != Some(Machine::Writable) {
            binds.push(Bind { source: folders.tmp(), target: PathBuf::from("/tmp"), writable: true });
        }
        binds.extend(self.options.sandbox_paths.iter().chain(&self.binds).cloned());
        if self.with_kvm {
            binds.push(Bind { source: PathBuf::from(KVM), target: PathBuf::from(KVM), writable: true });
        }
        let mut files = identity_files(self.identity, build_folder);
        if self.network {
            files.extend(network_files());
            if let Some(certificates) = self.options.certificates.as_ref().filter(|_| self.machine.is_none())
            {
                binds.push(Bind {
                    source: certificates.clone(),
                    target: PathBuf::from(CERTIFICATES),
                    writable: false,
                });
            }
        } else {
            files.push((PathBuf::from("/etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n".to_owned()));
        }
        if let Some(machine) = self.machine {
            let files = files.iter().map(|(path, _)| path.clone());
            let own: Vec<PathBuf> = files.chain(binds.iter().map(|bind| bind.target.clone())).collect();
            binds.extend(machine_paths(&own, machine == Machine::Writable));
        }
        let environment = start.environment.iter().map(|(name, value)| {
            let mut text = name.clone();
            text.push(b'=');
            text.extend_from_slice(value);
            text
        });
        let layout = self.store.layout();
        let relative = |path: PathBuf| path.strip_prefix(layout.state()).map(Path::to_owned).unwrap_or(path);
        binds.iter_mut().for_each(|bind| bind.source = relative(std::mem::take(&mut bind.source)));
        Plan {
            parent: std::process::id().cast_signed(),
            base: layout.state().to_owned(),
            mount_point: relative(folders.mount_point()),
            identity: self.identity.clone(),
            store: relative(layout.store().to_owned()),
            store_dir: PathBuf::from(store_dir()),
            closure: self.inputs.iter().map(|path| path.base_name().to_owned()).collect(),
            outputs: relative(folders.outputs()),
            binds,
            files,
            network: self.network,
            surroundings: self.surroundings.clone(),
            limits: self.options.limits.clone(),
            process: Process {
                program: builder.clone(),
                arguments: start.arguments.clone(),
                environment: environment.collect(),
                directory: build_folder.clone(),
                personality_32bit: self.is_32bit,
            },
        }
    }
}

/// All of the machine that can be shown beside `own`, which the sandbox has anyway: no folder that has some of that in it.
fn machine_paths(own: &[PathBuf], writable: bool) -> Vec<Bind> {
    let folders = ["/dev", "/etc", "/nix", "/proc", "/sys"].map(Path::new);
    let entries =
        |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_own =
        |path: &PathBuf| folders.contains(&path.as_path()) || own.iter().any(|own| own.starts_with(path));
    entries("/")
        .chain(entries("/etc"))
        .filter(|path| !is_own(path))
        .map(|path| Bind { source: path.clone(), target: path, writable })
        .collect()
}

/// Where a build with network finds the certificates of authorities.
pub const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The users that there are inside, as in Nix.
fn identity_files(identity: &Identity, build_folder: &Path) -> Vec<(PathBuf, String)> {
    let home = build_folder.display();
    let (user, group) = (identity.inside_user, identity.inside_group);
    let passwd = format!(
        "root:x:0:0:Nix build user:{home}:/noshell\n\
         nixbld:x:{user}:{group}:Nix build user:{home}:/noshell\n\
         nobody:x:65534:65534:Nobody:/:/noshell\n"
    );
    let groups = format!("root:x:0:\nnixbld:!:{group}:\nnogroup:x:65534:\n");
    vec![(PathBuf::from("/etc/passwd"), passwd), (PathBuf::from("/etc/group"), groups)]
}

/// What a program needs to find other machines by name.
fn network_files() -> Vec<(PathBuf, String)> {
    let host = ["/etc/resolv.conf", "/etc/services", "/etc/hosts"].into_iter().filter_map(|path| {
        let text = fs::read(path).ok()?;
        Some((PathBuf::from(path), text.to_str_lossy().into_owned()))
    });
    let switch = (PathBuf::from("/etc/nsswitch.conf"), "hosts: files dns\nservices: files\n".to_owned());
    host.chain([switch]).collect()
}

/// Why we ended a build.
enum Stopped {
    Cancelled,
    TimedOut(Duration),
    Silent(Duration),
    LogTooLong(u64),
    FilledDisk(Filled),
}

struct Lines {
    last: VecDeque<String>,
    stopped: Option<Stopped>,
}

/// Takes a build's log apart and watches the clock.
struct Listener<'a, 'b> {
    run: &'b Run<'a>,
    log: LogWriter,
    log_error: Option<io::Error>,
    size: u64,
    /// The line that has not ended yet.
    line: Vec<u8>,
    lines: Lines,
    started: Instant,
    heard: Instant,
    room: Room,
}

impl sandbox::Listener for &mut Listener<'_, '_> {
    fn output(&mut self, piece: &[u8]) -> Stop {
        self.heard = Instant::now();
        self.size += piece.len() as u64;
        if let Err(error) = self.log.write(piece) {
            self.log_error.get_or_insert(error);
        }
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() > MAX_LINE {
                self.end_line();
            }
        }
        self.tick()
    }

    fn tick(&mut self) -> Stop {
        if self.lines.stopped.is_none() {
            self.lines.stopped = self.reason_to_stop();
        }
        if self.lines.stopped.is_some() { Stop::Yes } else { Stop::No }
    }
}

impl<'a, 'b> Listener<'a, 'b> {
    fn new(run: &'b Run<'a>, log: LogWriter, room: Room) -> Listener<'a, 'b> {
        let now = Instant::now();
        Listener {
            run,
            log,
            log_error: None,
            size: 0,
            line: Vec::new(),
            lines: Lines { last: VecDeque::new(), stopped: None },
            started: now,
            heard: now,
            room,
        }
    }

    fn reason_to_stop(&mut self) -> Option<Stopped> {
        let options = self.run.options;
        if self.run.cancellation.is_cancelled() {
            return Some(Stopped::Cancelled);
        }
        let over = |limit: Option<Duration>, since: Instant| limit.filter(|limit| since.elapsed() > *limit);
        over(options.timeout, self.started)
            .map(Stopped::TimedOut)
            .or_else(|| over(options.max_silent_time, self.heard).map(Stopped::Silent))
            .or_else(|| options.max_log_size.filter(|limit| self.size > *limit).map(Stopped::LogTooLong))
            .or_else(|| self.room.is_filled().map(Stopped::FilledDisk))
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_end_with(|c| c == '\n' || c == '\r');
        let line = overwritten(line).to_str_lossy().into_owned();
        let id = self.run.id;
        if let Some(phase) = phase(&line) {
            self.run.observer.event(Event::Phase { id, phase });
            return;
        }
        if self.run.options.log_lines > 0 {
            if self.lines.last.len() == self.run.options.log_lines {
                self.lines.last.pop_front();
            }
            self.lines.last.push_back(printable(&line, false));
        }
        self.run.observer.event(Event::LogLine { id, line });
    }

    fn finish(mut self) -> Result<Lines, BuildError> {
        if !self.line.is_empty() {
            self.end_line();
        }
        let finished = match self.log_error {
            Some(error) => Err(error),
            None => self.log.finish(),
        };
        match finished {
            // Whatever else this build was stopped for.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.lines.stopped = Some(Stopped::FilledDisk(self.room.measure()));
            }
            finished => {
                finished.doing("write the build log in", &self.run.store.layout().logs())?;
            }
        }
        Ok(self.lines)
    }
}

/// A line in which carriage returns have been followed, as a terminal and Nix do: what comes after one covers what was before.
fn overwritten(line: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = line.find_byte(b'\r') else { return Cow::Borrowed(line) };
    let mut shown = line[..first].to_vec();
    for piece in line[first + 1..].split(|&byte| byte == b'\r') {
        let covered = piece.len().min(shown.len());
        shown.splice(..covered, piece.iter().copied());
    }
    Cow::Owned(shown)
}

/// The phase that a line of the log announces, in the way of Nixpkgs: `@nix {"action":"setPhase","phase":"build"}`.
fn phase(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        action: String,
        phase: String,
    }
    let message: Message = serde_json::from_str(line.strip_prefix("@nix ")?).ok()?;
    (message.action == "setPhase").then_some(message.phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_return_covers_what_was_before() {
        let shown = |line: &str| overwritten(line.as_bytes()).to_str_lossy().into_owned();
        assert_eq!(shown("plain"), "plain");
        assert_eq!(shown(" 10%\r100%\rdone"), "done");
        assert_eq!(shown("longer\rab"), "abnger");
        assert_eq!(shown("\r\rx"), "x");
    }
}
