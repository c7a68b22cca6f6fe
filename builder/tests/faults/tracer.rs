//! Follows the system calls of a process and its threads.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What the process is about to do, or has done.
pub enum Call<'a> {
    /// It is about to change something in a file system.
    Write,
    /// It has synced a file or folder.
    Synced(&'a Path),
    /// It has synced a file system.
    SyncedAll,
}

/// What is to become of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Next {
    GoOn,
    Kill,
}

/// What a system call does, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    SyncFile,
    SyncAll,
    Other,
}

fn kind(number: i64, flags: u64) -> Kind {
    const WRITES: [i64; 24] = [
        libc::SYS_write,
        libc::SYS_pwrite64,
        libc::SYS_writev,
        libc::SYS_pwritev,
        libc::SYS_pwritev2,
        libc::SYS_copy_file_range,
        libc::SYS_sendfile,
        libc::SYS_ftruncate,
        libc::SYS_truncate,
        libc::SYS_fallocate,
        libc::SYS_rename,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_unlink,
        libc::SYS_unlinkat,
        libc::SYS_rmdir,
        libc::SYS_mkdir,
        libc::SYS_mkdirat,
        libc::SYS_link,
        libc::SYS_linkat,
        libc::SYS_symlink,
        libc::SYS_symlinkat,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
    ];
    match number {
        libc::SYS_fsync | libc::SYS_fdatasync => Kind::SyncFile,
        libc::SYS_syncfs | libc::SYS_sync => Kind::SyncAll,
        libc::SYS_openat if flags & libc::O_CREAT as u64 != 0 => Kind::Write,
        number if WRITES.contains(&number) => Kind::Write,
        _ => Kind::Other,
    }
}

/// Runs a command to its end, or until `observe` wants it killed. The command waits for something on its standard input first.
pub fn trace(command: &mut Command, observe: &mut dyn FnMut(Call<'_>) -> Next) {
    let mut child = command.spawn().unwrap();
    let first = Pid::from_raw(child.id() as i32);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(first, options).unwrap();
    ptrace::interrupt(first).unwrap();
    child.stdin.take().unwrap().write_all(b"go").unwrap();
    // What each thread is in the middle of.
    let mut inside: HashMap<Pid, (Kind, u64)> = HashMap::new();
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::__WALL)) {
        let (thread, signal) = match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                inside.remove(&pid);
                if pid == first { break } else { continue }
            }
            WaitStatus::PtraceSyscall(thread) => {
                let Ok(registers) = ptrace::getregs(thread) else { continue };
                let next = match inside.remove(&thread) {
                    Some((kind, file)) => leave(thread, kind, file, registers.rax as i64, observe),
                    None => {
                        // `openat` has its flags in the third place.
                        let kind = kind(registers.orig_rax as i64, registers.rdx);
                        inside.insert(thread, (kind, registers.rdi));
                        let is_write = kind == Kind::Write && !writes_elsewhere(thread, &registers);
                        if is_write { observe(Call::Write) } else { Next::GoOn }
                    }
                };
                if next == Next::Kill {
                    let _ = nix::sys::signal::kill(first, Signal::SIGKILL);
                    // The rest is their ends.
                    continue;
                }
                (thread, None)
            }
            WaitStatus::Stopped(thread, Signal::SIGSTOP | Signal::SIGTRAP) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::PtraceEvent(thread, ..) => (thread, None),
            _ => continue,
        };
        let _ = ptrace::syscall(thread, signal);
    }
    let _ = child.wait();
}

fn leave(thread: Pid, kind: Kind, file: u64, result: i64, observe: &mut dyn FnMut(Call<'_>) -> Next) -> Next {
    match kind {
        Kind::SyncFile if result == 0 => {
            opened(thread, file).map_or(Next::GoOn, |path| observe(Call::Synced(&path)))
        }
        Kind::SyncAll if result == 0 => observe(Call::SyncedAll),
        _ => Next::GoOn,
    }
}

fn opened(thread: Pid, file: u64) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{thread}/fd/{file}")).ok()
}

/// Whether a plain write goes to a pipe, or to the notes that are no part of the store.
fn writes_elsewhere(thread: Pid, registers: &libc::user_regs_struct) -> bool {
    let takes_file =
        [libc::SYS_write, libc::SYS_pwrite64, libc::SYS_writev].contains(&(registers.orig_rax as i64));
    let is_elsewhere =
        |path: PathBuf| path.extension().is_some_and(|end| end == "notes") || !path.is_absolute();
    takes_file && opened(thread, registers.rdi).is_none_or(is_elsewhere)
}
