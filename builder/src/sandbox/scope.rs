//! Keeps a build that has the machine's network from the sockets without a file ("abstract") that belong to that network, by
//! which programs of the machine take orders from one another.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;

/// `struct landlock_ruleset_attr` of `linux/landlock.h`.
#[repr(C)]
struct Rules {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET` and `LANDLOCK_SCOPE_SIGNAL`.
const SCOPED: u64 = 1 | 2;

/// Leaves this process, and what it starts, the abstract sockets that they make themselves. Needs no-new-privileges. Linux before
/// 6.12, or without Landlock, cannot do it: then this does nothing.
pub fn shut_in() {
    let rules = Rules { files: 0, network: 0, scoped: SCOPED };
    // SAFETY: the structure lives during the call, which reads it; the size is the structure's.
    let made =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rules, size_of::<Rules>(), 0) };
    let Ok(rules) = Errno::result(made) else { return };
    // SAFETY: passes no pointers; the descriptor was made above, and is closed once.
    unsafe {
        libc::syscall(libc::SYS_landlock_restrict_self, rules, 0);
        libc::close(rules as libc::c_int);
    }
}
