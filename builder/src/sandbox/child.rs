//! The process that makes the sandbox and becomes the build.
//!
//! Two processes: the *keeper*, started by zeval, makes the namespaces, and its child, process 1 of the new pid namespace,
//! makes the file system and executes the program. When process 1 ends the kernel ends all others of its namespace. When
//! zeval ends, the kernel tells the keeper, which kills process 1. So nothing survives, whatever the program does: that the
//! kernel kills process 1 should the keeper be killed itself is a wish that a program can take back.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{CString, NulError, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bstr::BString;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Gid, Pid, Uid};

use super::failure::{Failure, Step, user_namespace_hint};
use super::plan::{End, Limits, Plan, Process, Report, Surroundings};
use super::watch::Watch;
use super::{filter, order, own_program, root, scope, staging};

/// Runs as the child of a sandbox: the plan is on standard input, reports go to standard output, and standard error
/// becomes the program's standard output and error.
pub fn main() -> ! {
    let status = match keep() {
        Ok(()) => 0,
        Err(failure) => {
            report(&mut io::stdout(), &Report::from(failure));
            1
        }
    };
    std::process::exit(status)
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Report {
        Report::SetUpFailed { step: failure.step, errno: failure.errno as i32, hint: failure.hint }
    }
}

fn report(to: &mut impl Write, report: &Report) {
    // If nobody listens any more, nobody wants to know.
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _ = to.write_all(&line);
    }
}

/// The keeper's whole life.
fn keep() -> Result<(), Failure> {
    // Its own session: Ctrl-C on the terminal is for zeval, which then asks the keeper.
    unistd::setsid().step(|| "start a session".to_owned())?;
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).step(|| "read the plan".to_owned())?;
    let mut plan: Plan = serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("understand the plan ({error})"), Errno::EINVAL))?;
    unistd::chdir(&plan.base).step(|| format!("enter {}", plan.base.display()))?;
    if let Some((user, group)) = plan.identity.outside {
        staging::gather(&mut plan)?;
        become_user(user, group)?;
    }
    let is_host_root = Uid::effective().is_root();
    enter_namespaces(&plan)?;
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGTERM);
    awaited.add(Signal::SIGCHLD);
    awaited.thread_block().step(|| "block signals".to_owned())?;
    when_parent_ends(Signal::SIGTERM)?;
    if unistd::getppid() != Pid::from_raw(plan.parent) {
        return Err(Failure::new("start: zeval has ended", Errno::ESRCH));
    }
    if let Some(processors) = plan.limits.processors {
        confine(processors)?;
    }
    let mut watch = Watch::new(&plan.limits);
    let (lifeline_read, lifeline_write) =
        unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).step(|| "make a pipe".to_owned())?;
    let listing = match plan.surroundings.reversed_folders {
        true => Some(UnixStream::pair().step(|| "make a pair of sockets".to_owned())?),
        false => None,
    };
    // SAFETY: this process has one thread, so the child may do whatever the parent could.
    match unsafe { unistd::fork() }.step(|| "fork".to_owned())? {
        ForkResult::Child => {
            drop(lifeline_write);
            let listing = listing.map(|(ours, _)| ours);
            let Err(failure) = become_program(&plan, is_host_root, lifeline_read, listing);
            report(&mut io::stdout(), &Report::from(failure));
            std::process::exit(1)
        }
        ForkResult::Parent { child } => {
            drop(lifeline_read);
            close_log()?;
            let mut answerer = match listing {
                Some((_, theirs)) => {
                    let answerer = order::Answerer::new(theirs, &awaited);
                    Some(answerer.step(|| "wait for signals".to_owned())?)
                }
                None => None,
            };
            let end = wait_for(child, &awaited, &mut watch, answerer.as_mut())?;
            drop(lifeline_write);
            let usage =
                getrusage(UsageWho::RUSAGE_CHILDREN).step(|| "ask for the resources used".to_owned())?;
            let milliseconds = |time: nix::sys::time::TimeVal| time.tv_sec() * 1000 + time.tv_usec() / 1000;
            let cpu = milliseconds(usage.user_time()) + milliseconds(usage.system_time());
            report(
                &mut io::stdout(),
                &Report::Ended {
                    end,
                    cpu_milliseconds: cpu.unsigned_abs(),
                    peak_kibibytes: watch.peak_kibibytes().max(usage.max_rss().unsigned_abs()),
                    excess: watch.excess(),
                },
            );
            Ok(())
        }
    }
}

/// Root becomes a user who is nobody: in the namespaces to come even uid 0 would keep what it owns outside.
fn become_user(user: u32, group: u32) -> Result<(), Failure> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    unistd::setgroups(&[]).step(|| "leave root's groups".to_owned())?;
    unistd::setresgid(group, group, group).step(|| format!("become group {group}"))?;
    unistd::setresuid(user, user, user).step(|| format!("become user {user}"))?;
    // Else our own files below /proc belong to root and we could not write the maps of ids.
    prctl::set_dumpable(true).step(|| "own /proc/self".to_owned())
}

fn enter_namespaces(plan: &Plan) -> Result<(), Failure> {
    let (user, group) = (Uid::effective(), Gid::effective());
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if !plan.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).map_err(|errno| Failure {
        hint: user_namespace_hint(errno),
        ..Failure::new("make namespaces", errno)
    })?;
    write_map("setgroups", "deny")?;
    write_map("uid_map", &format!("{} {user} 1", plan.identity.inside_user))?;
    write_map("gid_map", &format!("{} {group} 1", plan.identity.inside_group))
}

pub(super) fn write_map(name: &str, text: &str) -> Result<(), Failure> {
    fs::write(Path::new("/proc/self").join(name), text).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Failure {
            hint: user_namespace_hint(errno),
            ..Failure::new(format!("write /proc/self/{name}"), errno)
        }
    })
}

/// Must come after the last change of user or capabilities, which would take it back.
fn when_parent_ends(signal: Signal) -> Result<(), Failure> {
    prctl::set_pdeathsig(signal).step(|| "ask to be told of the parent's end".to_owned())
}

/// The log's pipe ends when the build's last process ends, so the keeper must not hold it.
fn close_log() -> Result<(), Failure> {
    let null = open_null()?;
    unistd::dup2_stderr(&null).step(|| "close the log".to_owned())
}

fn open_null() -> Result<File, Failure> {
    OpenOptions::new().read(true).write(true).open("/dev/null").step(|| "open /dev/null".to_owned())
}

/// Waits for process 1 of the namespace, which is gone only after all others are; kills it on SIGTERM, or when it uses more
/// than it may.
fn wait_for(
    child: Pid,
    awaited: &SigSet,
    watch: &mut Watch,
    mut answerer: Option<&mut order::Answerer>,
) -> Result<End, Failure> {
    const LOOK: Duration = Duration::from_millis(250);
    loop {
        let signal = match &mut answerer {
            Some(answerer) => answerer.next_signal(LOOK),
            None => next_signal(awaited, LOOK),
        };
        let signal = signal.step(|| "wait for a signal".to_owned())?;
        if signal == Some(Signal::SIGTERM) || (signal.is_none() && watch.look().is_some()) {
            // It may have ended by itself meanwhile; then this fails and the next SIGCHLD is already there.
            let _ = kill(child, Signal::SIGKILL);
            continue;
        }
        match waitpid(child, Some(nix::sys::wait::WaitPidFlag::WNOHANG))
            .step(|| "wait for the build".to_owned())?
        {
            WaitStatus::Exited(_, status) => return Ok(End::Exited(status)),
            WaitStatus::Signaled(_, signal, _) => return Ok(End::Signalled(signal as i32)),
            _ => (),
        }
    }
}

/// The next of the signals, or nothing if none comes in time.
fn next_signal(awaited: &SigSet, at_most: Duration) -> nix::Result<Option<Signal>> {
    let at_most = libc::timespec {
        tv_sec: at_most.as_secs() as libc::time_t,
        tv_nsec: at_most.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the set and the time live during the call; nothing is asked to be written.
    let result = unsafe { libc::sigtimedwait(awaited.as_ref(), std::ptr::null_mut(), &raw const at_most) };
    match Errno::result(result) {
        Ok(number) => Signal::try_from(number).map(Some),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Leaves this process, and what it starts, so many processors; sandboxes that run at once take different ones.
fn confine(processors: usize) -> Result<(), Failure> {
    let step = || "choose processors".to_owned();
    let own = Pid::from_raw(0);
    let allowed = sched_getaffinity(own).step(step)?;
    let all: Vec<usize> =
        (0..CpuSet::count()).filter(|&number| allowed.is_set(number).unwrap_or(false)).collect();
    let first = unistd::getpid().as_raw().unsigned_abs() as usize;
    let mut chosen = CpuSet::new();
    for offset in 0..processors.clamp(1, all.len()) {
        chosen.set(all[(first + offset) % all.len()]).step(step)?;
    }
    sched_setaffinity(own, &chosen).step(step)
}

/// The life of process 1 until it is the program.
fn become_program(
    plan: &Plan,
    is_host_root: bool,
    lifeline: OwnedFd,
    listing: Option<UnixStream>,
) -> Result<Infallible, Failure> {
    unistd::setsid().step(|| "start a session".to_owned())?;
    when_parent_ends(Signal::SIGKILL)?;
    ensure_keeper_lives(&lifeline)?;
    // What is reported from now on must not reach the program.
    let reports =
        io::stdout().as_fd().try_clone_to_owned().step(|| "duplicate the report pipe".to_owned())?;
    let mut reports = File::from(reports);
    umask(Mode::from_bits_truncate(plan.surroundings.umask));
    unistd::sethostname(&plan.surroundings.host_name).step(|| "set the host name".to_owned())?;
    set_domain_name("(none)")?;
    if !plan.network {
        bring_loopback_up()?;
    }
    root::enter(plan, is_host_root)?;
    unistd::dup2_stdin(open_null()?).step(|| "close standard input".to_owned())?;
    unistd::chdir(&plan.process.directory).step(|| format!("enter {}", plan.process.directory.display()))?;
    limit_resources(&plan.limits)?;
    set_personality(&plan.process, &plan.surroundings)?;
    let command = Command::new(&plan.process)?;
    if own_program::is_meant_by(Path::new(&OsStr::from_bytes(&plan.process.program))) {
        let step = format!("execute the builder {}, which leads to zeval itself", plan.process.program);
        return Err(Failure::new(step, Errno::EPERM));
    }
    reset_signals()?;
    unistd::dup2_stdout(io::stderr()).step(|| "join standard output and error".to_owned())?;
    close_inherited(&reports);
    drop_capabilities();
    prctl::set_no_new_privs().step(|| "renounce new privileges".to_owned())?;
    if plan.network {
        scope::shut_in();
    }
    let handed_over = listing.map_or(Ok(()), |listing| order::hand_over(&listing));
    if let Err(failure) = handed_over.and_then(|()| load_filter()).and_then(|()| command.execute()) {
        report(&mut reports, &Report::from(failure));
    }
    std::process::exit(1)
}

fn ensure_keeper_lives(lifeline: &OwnedFd) -> Result<(), Failure> {
    let mut ends = [PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
    poll(&mut ends, PollTimeout::ZERO).step(|| "look after the keeper".to_owned())?;
    match ends[0].revents() {
        Some(events) if events.contains(PollFlags::POLLHUP) => {
            Err(Failure::new("start: the keeper has ended", Errno::ESRCH))
        }
        _ => Ok(()),
    }
}

fn set_domain_name(name: &str) -> Result<(), Failure> {
    // SAFETY: the pointer and the length are those of one live string, which the kernel copies.
    let result = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    Errno::result(result).map(drop).step(|| "set the domain name".to_owned())
}

/// A new network namespace has a loopback interface that is down.
fn bring_loopback_up() -> Result<(), Failure> {
    let step = || "bring the loopback interface up".to_owned();
    // SAFETY: no pointers are passed.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    let socket = Errno::result(socket).step(step)?;
    // SAFETY: all zeros is a value of this C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: `SIOCSIFFLAGS` reads an `ifreq`, which lives here; the socket was opened above and is closed once.
    let result = unsafe {
        let result = libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request);
        libc::close(socket);
        result
    };
    Errno::result(result).map(drop).step(step)
}

/// The same limits everywhere, as far as the hard ones allow: what programs deduce from them (the longest command line,
/// the number of open files) must not depend on the machine.
fn limit_resources(limits: &Limits) -> Result<(), Failure> {
    const STACK: u64 = 8 << 20;
    const OPEN_FILES: u64 = 4096;
    let step = || "set resource limits".to_owned();
    setrlimit(Resource::RLIMIT_CORE, 0, 0).step(step)?;
    for (resource, soft) in [(Resource::RLIMIT_STACK, STACK), (Resource::RLIMIT_NOFILE, OPEN_FILES)] {
        let (_, hard) = getrlimit(resource).step(step)?;
        setrlimit(resource, soft.min(hard), hard).step(step)?;
    }
    // Counted in the user namespace, and so for this sandbox alone (before Linux 5.14: for the user).
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).step(step)?;
    let processes = limits.processes.min(hard);
    setrlimit(Resource::RLIMIT_NPROC, processes, processes).step(step)?;
    Ok(())
}

/// Addresses that do not change from run to run unless they are to, and a 32-bit machine's name where one is asked for, as in Nix.
fn set_personality(process: &Process, surroundings: &Surroundings) -> Result<(), Failure> {
    /// Of `linux/personality.h`.
    const PER_LINUX32: libc::c_int = 0x0008;
    let mut persona = Persona::empty();
    persona.set(Persona::ADDR_NO_RANDOMIZE, !surroundings.random_addresses);
    persona.set(Persona::UNAME26, surroundings.old_kernel);
    if process.personality_32bit {
        persona |= Persona::from_bits_retain(PER_LINUX32);
    }
    personality::set(persona).map(drop).step(|| "set the personality".to_owned())
}

/// Default actions and an empty mask, as a program started from a shell has them.
fn reset_signals() -> Result<(), Failure> {
    const LAST_SIGNAL: libc::c_int = 64;
    const SIZE_OF_MASK: usize = 8;
    // The kernel's `struct sigaction` on a 64-bit machine; all zeros is the default action.
    let default = [0u64; 4];
    for signal in 1..=LAST_SIGNAL {
        // The C library would refuse those that it keeps for itself, but a caller may have left even them ignored.
        // SAFETY: no handler is installed; the structure lives during the call. It fails for SIGKILL and SIGSTOP, which
        // need no change.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, 0usize, SIZE_OF_MASK) };
    }
    SigSet::empty().thread_set_mask().step(|| "unblock signals".to_owned())
}

/// No program can gain what the namespace's root could do, whatever it executes.
fn drop_capabilities() {
    const LAST_CAPABILITY: libc::c_ulong = 63;
    for capability in 0..=LAST_CAPABILITY {
        // SAFETY: passes no pointers. It fails for numbers that the kernel does not know.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Nothing but the standard streams passes to the program, whatever our own starter left open.
fn close_inherited(reports: &File) {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: only marks descriptors to be closed on execution. Linux before 5.11 does not know it; everything that this
    // program opens is marked already.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    debug_assert!(reports.as_raw_fd() > 2);
}

fn load_filter() -> Result<(), Failure> {
    filter::load()
        .map_err(|error| Failure::new(format!("load the system call filter ({error})"), Errno::last()))
}

/// How the last step begins; the builder's path follows.
pub const EXECUTING: &str = "execute the builder ";

/// The program in the form that `execve` takes, so that nothing is left to do after the filter is loaded.
struct Command {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    fn new(process: &Process) -> Result<Command, Failure> {
        let all = |texts: &[BString]| texts.iter().map(c_string).collect::<Result<Vec<_>, _>>();
        let make = || -> Result<Command, NulError> {
            Ok(Command {
                program: c_string(&process.program)?,
                arguments: all(&process.arguments)?,
                environment: all(&process.environment)?,
            })
        };
        make().map_err(|_| {
            Failure::new("pass the builder, an argument or a variable, which has a NUL byte", Errno::EINVAL)
        })
    }

    fn execute(&self) -> Result<(), Failure> {
        let program = self.program.to_string_lossy().into_owned();
        match unistd::execve(&self.program, &self.arguments, &self.environment) {
            Ok(never) => match never {},
            Err(errno) => Err(Failure {
                hint: execution_hint(errno, Path::new(&program)),
                ..Failure::new(format!("{EXECUTING}{program}"), errno)
            }),
        }
    }
}

fn c_string(bytes: &BString) -> Result<CString, NulError> {
    CString::new(bytes.to_vec())
}

fn execution_hint(errno: Errno, program: &Path) -> Option<String> {
    match errno {
        Errno::ENOENT if program.exists() => Some(
            "it is there, but the interpreter or loader that it names is not: the sandbox has only what the derivation \
             refers to (no /bin/sh, no /lib64)"
                .to_owned(),
        ),
        Errno::ENOENT => Some(
            "no such file in the sandbox, which holds only the store paths that the derivation refers to".to_owned(),
        ),
        Errno::E2BIG => Some(
            "the kernel takes no variable or argument above 128 KiB, and no more than 2 MiB of all; `passAsFile` and \
             `__structuredAttrs` put such into files"
                .to_owned(),
        ),
        Errno::EACCES => Some("it is not executable".to_owned()),
        Errno::ENOEXEC => Some("it is no program for this machine".to_owned()),
        _ => None,
    }
}
