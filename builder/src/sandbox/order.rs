//! Folders that list their files in another order, to find builds that depend on the usual one.
//!
//! What asks the kernel for the entries of a folder is answered by the keeper: it asks for them itself, by the same open file,
//! and turns their order round. It does so call by call. So a folder is reversed as a whole if one call tells all of it, and
//! in pieces else (a call of glibc tells about a thousand entries); `seekdir` into the middle of a piece may miss some.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::uio::{RemoteIoVec, process_vm_writev};
use nix::unistd::{Pid, Whence, lseek};
use seccompiler::sock_filter;

use super::failure::{Failure, Step};

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64`.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// The most bytes of entries that one call is given, whatever it asks for.
const MOST: usize = 1 << 20;

/// Lets the keeper answer from now on, and all that this process executes; tells the keeper by `to`.
pub fn hand_over(to: &UnixStream) -> Result<(), Failure> {
    let step = || "let folders be listed in another order (it needs Linux 5.9)".to_owned();
    let listener = install().step(step)?;
    let descriptors = [listener.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"x")], &rights, MsgFlags::empty(), None)
        .map(drop)
        .step(step)
}

/// Answers what a sandbox asks, on the keeper's side. The keeper can have no other thread for that: in a process whose children
/// get a namespace of their own, the kernel makes none.
pub struct Answerer {
    signals: SignalFd,
    source: Source,
}

enum Source {
    /// The sandbox has yet to say how it asks.
    Promised(UnixStream),
    Listener(OwnedFd),
    /// It never will, or nobody is left who could.
    Gone,
}

impl Answerer {
    /// `from` is the other end of what [`hand_over`] gets; `signals` are blocked.
    pub fn new(from: UnixStream, signals: &SigSet) -> Result<Answerer, Errno> {
        let signals = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Answerer { signals, source: Source::Promised(from) })
    }

    /// Answers until one of the signals comes, which it gives, or the time is over.
    pub fn next_signal(&mut self, at_most: Duration) -> Result<Option<Signal>, Errno> {
        let since = Instant::now();
        loop {
            let left = at_most.saturating_sub(since.elapsed());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut ends = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match &self.source {
                Source::Promised(stream) => ends.push(PollFd::new(stream.as_fd(), PollFlags::POLLIN)),
                Source::Listener(listener) => ends.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN)),
                Source::Gone => (),
            }
            match poll(&mut ends, timeout) {
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
                Ok(0) => return Ok(None),
                Ok(_) => (),
            }
            let events: Vec<PollFlags> =
                ends.iter().map(|end| end.revents().unwrap_or(PollFlags::POLLHUP)).collect();
            if events[0].contains(PollFlags::POLLIN)
                && let Some(signal) = self.signals.read_signal()?
            {
                return Ok(Signal::try_from(signal.ssi_signo.cast_signed()).ok());
            }
            if let Some(events) = events.get(1).filter(|events| !events.is_empty()) {
                self.attend(*events);
            }
        }
    }

    fn attend(&mut self, events: PollFlags) {
        match &self.source {
            Source::Promised(stream) => self.source = receive(stream).map_or(Source::Gone, Source::Listener),
            Source::Listener(listener) if events.contains(PollFlags::POLLIN) => answer_one(listener),
            Source::Listener(_) | Source::Gone => self.source = Source::Gone,
        }
    }
}

/// A filter that asks whoever holds what it gives about calls that list folders.
fn install() -> Result<OwnedFd, Errno> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const ARCHITECTURE_AT: u32 = 4;
    const NUMBER_AT: u32 = 0;
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let ask = libc::SECCOMP_RET_USER_NOTIF;
    let program = [
        instruction(LOAD, 0, 0, ARCHITECTURE_AT),
        instruction(JUMP_IF_EQUAL, 0, 3, ARCHITECTURE),
        instruction(LOAD, 0, 0, NUMBER_AT),
        instruction(JUMP_IF_EQUAL, 0, 1, libc::SYS_getdents64 as u32),
        instruction(RETURN, 0, 0, ask),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    /// `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        length: libc::c_ushort,
        instructions: *const sock_filter,
    }
    let program = Program { length: program.len() as libc::c_ushort, instructions: program.as_ptr() };
    let load = |flags: libc::c_ulong| {
        // SAFETY: the program and its instructions live during the call, which copies them.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        };
        Errno::result(result)
    };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Older kernels let a signal end the wait for an answer; see `answer_one`.
    let listener = load(flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV).or_else(|_| load(flags))?;
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(listener as RawFd) })
}

fn receive(from: &UnixStream) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message =
        recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC).ok()?;
    let mut descriptors = message.cmsgs().ok()?.filter_map(|part| match part {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel made this descriptor for us with the message.
    descriptors.next().map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn answer_one(listener: &OwnedFd) {
    // SAFETY: all zeros is a value of this C structure, and what the kernel asks for.
    let mut question: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills in the structure, which lives during the call.
    let received =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut question) };
    if received != 0 {
        // Whoever asked is gone.
        return;
    }
    let mut answer = libc::seccomp_notif_resp {
        id: question.id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    let listed = list(listener, &question);
    match &listed {
        // The kernel's own answer is better than none.
        None => (),
        Some(Listed { result: Ok(bytes), .. }) => (answer.val, answer.flags) = (*bytes as i64, 0),
        Some(Listed { result: Err(errno), .. }) => (answer.error, answer.flags) = (-(*errno as i32), 0),
    }
    // SAFETY: the kernel reads the structure, which lives during the call.
    let sent = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    if sent != 0
        && let Some(Listed { folder, before, .. }) = listed
    {
        // A signal ended the wait. The call is made again, and must find the folder where it was.
        let _ = lseek(&folder, before, Whence::SeekSet);
    }
}

/// What a call was given.
struct Listed {
    folder: File,
    /// Where the folder was read before.
    before: i64,
    result: Result<usize, Errno>,
}

/// Makes the call that was asked about, and gives its caller the entries in the other order.
fn list(listener: &OwnedFd, question: &libc::seccomp_notif) -> Option<Listed> {
    let caller = Pid::from_raw(question.pid.cast_signed());
    let [descriptor, target, size, ..] = question.data.args;
    let folder = File::from(open_of(caller, descriptor as RawFd)?);
    let before = lseek(&folder, 0, Whence::SeekCur).ok()?;
    let mut entries = vec![0u8; (size as u32 as usize).min(MOST)];
    // SAFETY: the kernel writes at most so many bytes to the buffer, which lives during the call.
    let read = unsafe {
        libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), entries.as_mut_ptr(), entries.len())
    };
    let result = Errno::result(read).map(|bytes| bytes as usize);
    let Ok(bytes) = result else { return Some(Listed { folder, before, result }) };
    let reversed = reverse(&entries[..bytes]);
    let gave = is_waiting(listener, question.id) && give(caller, target, &reversed);
    if !gave {
        lseek(&folder, before, Whence::SeekSet).ok()?;
        return None;
    }
    Some(Listed { folder, before, result })
}

/// The same open file that a process has.
fn open_of(process: Pid, descriptor: RawFd) -> Option<OwnedFd> {
    /// So that it need not be the first thread of its process that asks; Linux before 6.9 knows no other.
    const PIDFD_THREAD: libc::c_int = libc::O_EXCL;
    // SAFETY: passes no pointers; what succeeds gives a new descriptor that nobody else has.
    let new = |number, first: libc::c_int, second: libc::c_int| unsafe {
        let result = libc::syscall(number, first, second, 0);
        Errno::result(result).ok().map(|new| OwnedFd::from_raw_fd(new as RawFd))
    };
    let process = process.as_raw();
    let of_process =
        new(libc::SYS_pidfd_open, process, PIDFD_THREAD).or_else(|| new(libc::SYS_pidfd_open, process, 0))?;
    new(libc::SYS_pidfd_getfd, of_process.as_raw_fd(), descriptor)
}

/// Whether the caller still waits: else its number may be another's by now.
fn is_waiting(listener: &OwnedFd, question: u64) -> bool {
    // SAFETY: the kernel reads the number, which lives during the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const question) == 0 }
}

fn give(process: Pid, target: u64, bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let Ok(base) = usize::try_from(target) else { return false };
    let remote = [RemoteIoVec { base, len: bytes.len() }];
    process_vm_writev(process, &[IoSlice::new(bytes)], &remote).is_ok_and(|count| count == bytes.len())
}

/// Entries (`struct linux_dirent64`) in the other order. The marks by which one goes on from a place stay with the places.
fn reverse(entries: &[u8]) -> Vec<u8> {
    const MARK: std::ops::Range<usize> = 8..16;
    const LENGTH: std::ops::Range<usize> = 16..18;
    let mut parts = Vec::new();
    let mut rest = entries;
    while let Some(length) = rest.get(LENGTH) {
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        if length < LENGTH.end || length > rest.len() {
            break;
        }
        let (part, after) = rest.split_at(length);
        parts.push(part);
        rest = after;
    }
    if !rest.is_empty() {
        // No kernel says so.
        return entries.to_vec();
    }
    let marks: Vec<&[u8]> = parts.iter().map(|part| &part[MARK]).collect();
    let mut reversed = Vec::with_capacity(entries.len());
    for (part, mark) in parts.iter().rev().zip(marks) {
        let start = reversed.len();
        reversed.extend_from_slice(part);
        reversed[start..][MARK].copy_from_slice(mark);
    }
    reversed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(inode: u64, mark: u64, name: &str) -> Vec<u8> {
        let length = (19 + name.len() + 1).next_multiple_of(8);
        let mut entry = [inode.to_ne_bytes(), mark.to_ne_bytes()].concat();
        entry.extend((length as u16).to_ne_bytes());
        entry.push(8);
        entry.extend(name.as_bytes());
        entry.resize(length, 0);
        entry
    }

    #[test]
    fn entries_change_places_and_marks_do_not() {
        let usual = [entry(1, 10, "."), entry(2, 20, "a-longer-name"), entry(3, 30, "c")].concat();
        let expected = [entry(3, 10, "c"), entry(2, 20, "a-longer-name"), entry(1, 30, ".")].concat();
        assert_eq!(reverse(&usual), expected);
        assert_eq!(reverse(&[]), Vec::<u8>::new());
        assert_eq!(reverse(&usual[..30]), &usual[..30]);
    }
}
