//! Starting a sandbox and listening to it, on zeval's side.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ENTRY;
use super::cgroup::Group;
use super::plan::{Plan, Report};

/// How long the keeper has for ending the build before it is ended itself.
const GRACE: Duration = Duration::from_secs(5);

/// How often the listener is asked whether to go on.
const TICK: Duration = Duration::from_millis(100);

/// Whether to end a running sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    No,
    Yes,
}

/// Hears what a sandbox prints, and says whether it may go on.
pub trait Listener {
    /// Gets a piece of what was printed.
    fn output(&mut self, piece: &[u8]) -> Stop;
    /// Called at least ten times a second.
    fn tick(&mut self) -> Stop;
}

/// A sandbox that has been started. Dropping it kills everything in it.
pub struct Running {
    keeper: Child,
    /// Dropped after the keeper is gone.
    group: Option<Group>,
    log: File,
    reports: ChildStdout,
}

/// Starts the plan's program in a sandbox of its own.
///
/// The calling thread must live until the sandbox has ended: the kernel kills the sandbox when that thread ends.
pub fn launch(plan: &Plan) -> io::Result<Running> {
    let mut keeper = Command::new("/proc/self/exe")
        .arg(ENTRY)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(explain_spawn)?;
    let (Some(mut stdin), Some(reports), Some(log)) =
        (keeper.stdin.take(), keeper.stdout.take(), keeper.stderr.take())
    else {
        return Err(io::Error::other("the child's pipes are missing"));
    };
    // It has started nothing before it has read its plan.
    let group = Group::for_limits(&plan.limits).filter(|group| group.add(keeper.id()).is_ok());
    let running = Running { keeper, group, log: File::from(OwnedFd::from(log)), reports };
    // A child that failed early says why on its report pipe, so a broken pipe here is no news.
    match stdin.write_all(&serde_json::to_vec(plan)?) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(running),
    }
}

fn explain_spawn(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(error.kind(), "/proc/self/exe is not there; mount /proc"),
        _ => error,
    }
}

impl Running {
    /// Listens until everything in the sandbox has ended: by itself, or because the listener wanted it to stop.
    pub fn listen(mut self, mut listener: impl Listener) -> io::Result<Vec<Report>> {
        let mut buffer = vec![0; 64 << 10];
        let mut asked: Option<Instant> = None;
        loop {
            let mut stop = listener.tick();
            if wait_readable(&self.log, TICK)? {
                match self.log.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) if asked.is_none() => {
                        if listener.output(&buffer[..count]) == Stop::Yes {
                            stop = Stop::Yes;
                        }
                    }
                    Ok(_) => (),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                    Err(error) => return Err(error),
                }
            }
            match (stop, asked) {
                (Stop::Yes, None) => {
                    self.ask_to_end()?;
                    asked = Some(Instant::now());
                }
                (_, Some(since)) if since.elapsed() > GRACE => self.keeper.kill()?,
                _ => (),
            }
        }
        // The log has ended, but a program may close its output long before it ends.
        self.wait(asked, listener)
    }

    fn wait(mut self, mut asked: Option<Instant>, mut listener: impl Listener) -> io::Result<Vec<Report>> {
        while !wait_readable(&self.reports, TICK)? {
            match asked {
                None if listener.tick() == Stop::Yes => {
                    self.ask_to_end()?;
                    asked = Some(Instant::now());
                }
                Some(since) if since.elapsed() > GRACE => self.keeper.kill()?,
                _ => (),
            }
        }
        let mut reports = Vec::new();
        for line in BufReader::new(&mut self.reports).lines() {
            reports.push(serde_json::from_str(&line?)?);
        }
        self.keeper.wait()?;
        if let Some(group) = &self.group {
            group.complete(&mut reports);
        }
        Ok(reports)
    }

    fn ask_to_end(&self) -> io::Result<()> {
        Ok(kill(Pid::from_raw(self.keeper.id() as i32), Signal::SIGTERM)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.keeper.try_wait(), Ok(Some(_))) {
            // Process 1 of the sandbox dies with the keeper, and the rest with process 1.
            let _ = self.keeper.kill();
            let _ = self.keeper.wait();
        }
    }
}

fn wait_readable(what: &impl AsFd, at_most: Duration) -> io::Result<bool> {
    let mut ends = [PollFd::new(what.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
    match poll(&mut ends, timeout) {
        Ok(count) => Ok(count > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
