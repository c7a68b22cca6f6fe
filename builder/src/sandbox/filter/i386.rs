//! The same refusals for the calls of 32-bit programs, which an x86-64 kernel runs as well.
//!
//! The library that compiles the other filters knows no 32-bit architecture, so these are written out. Numbers are those of
//! Linux's `arch/x86/entry/syscalls/syscall_32.tbl`.

use nix::errno::Errno;
use nix::libc;
use seccompiler::{BpfProgram, sock_filter};

/// `AUDIT_ARCH_I386`.
const ARCHITECTURE: u32 = 0x4000_0003;
/// Where `struct seccomp_data` has the call's number, the architecture and the low half of the first argument.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_IF_BITS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

const fn load(offset: u32) -> sock_filter {
    instruction(LOAD, 0, 0, offset)
}

const fn refuse(errno: Errno) -> sock_filter {
    instruction(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32)
}

const ALLOW: sock_filter = instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);

/// Keyrings, tracing, mounts, modules, other kernels, clocks and the rest that the filter for 64 bits refuses.
const REFUSED: &[u32] = &[
    21,  // mount
    22,  // umount
    25,  // stime
    26,  // ptrace
    51,  // acct
    52,  // umount2
    74,  // sethostname
    79,  // settimeofday
    87,  // swapon
    88,  // reboot
    101, // ioperm
    103, // syslog
    110, // iopl
    111, // vhangup
    113, // vm86old
    115, // swapoff
    121, // setdomainname
    123, // modify_ldt
    124, // adjtimex
    128, // init_module
    129, // delete_module
    131, // quotactl
    166, // vm86
    169, // nfsservctl
    217, // pivot_root
    253, // lookup_dcookie
    264, // clock_settime
    283, // kexec_load
    286, // add_key
    287, // request_key
    288, // keyctl
    310, // unshare
    336, // perf_event_open
    338, // fanotify_init
    342, // open_by_handle_at
    343, // clock_adjtime
    346, // setns
    347, // process_vm_readv
    348, // process_vm_writev
    350, // finit_module
    357, // bpf
    374, // userfaultfd
    404, // clock_settime64
    405, // clock_adjtime64
    428, // open_tree
    429, // move_mount
    430, // fsopen
    431, // fsconfig
    432, // fsmount
    433, // fspick
    438, // pidfd_getfd
    442, // mount_setattr
    467, // open_tree_attr
];

/// Extended attributes: set, lset, fset, get, lget, fget, and setxattrat and getxattrat; file_setattr.
const ATTRIBUTES: &[u32] = &[226, 227, 228, 229, 230, 231, 463, 464, 469];

/// clone3, openat2 and io_uring_setup.
const NOT_THERE: &[u32] = &[435, 437, 425];

/// Which argument of a call is a file's mode.
const MODES: &[(u32, u32)] = &[
    (8, 1),   // creat
    (14, 1),  // mknod
    (15, 1),  // chmod
    (94, 1),  // fchmod
    (297, 2), // mknodat
    (306, 2), // fchmodat
    (452, 2), // fchmodat2
];

/// Which arguments of a call are flags that may say to make a file, and its mode.
const CREATING: &[(u32, u32, u32)] = &[
    (5, 1, 2),   // open
    (295, 2, 3), // openat
];

const IOCTL: u32 = 54;
const SOCKET: u32 = 359;
const SOCKET_CALL: u32 = 102;
const CLONE: u32 = 120;

/// Lets 32-bit calls pass, at the start of a filter that is for others.
pub fn pass() -> [sock_filter; 3] {
    [load(ARCHITECTURE_AT), instruction(JUMP_IF_EQUAL, 0, 1, ARCHITECTURE), ALLOW]
}

/// The filter for 32-bit calls; lets others pass.
pub fn program() -> BpfProgram {
    const SPECIAL_BITS: u32 = libc::S_ISUID | libc::S_ISGID;
    let argument = |index: u32| load(ARGUMENTS + 8 * index);
    let mut program =
        vec![load(ARCHITECTURE_AT), instruction(JUMP_IF_EQUAL, 1, 0, ARCHITECTURE), ALLOW, load(NUMBER)];
    let mut simple = |calls: &[u32], errno: Errno| {
        for &call in calls {
            program.extend([instruction(JUMP_IF_EQUAL, 0, 1, call), refuse(errno)]);
        }
    };
    simple(REFUSED, Errno::EPERM);
    simple(ATTRIBUTES, Errno::ENOTSUP);
    simple(NOT_THERE, Errno::ENOSYS);
    // From here on each part loads the call's number anew, since it loads arguments.
    let mut if_bits = |call: u32, argument_and_bits: &[(u32, u32)]| {
        let mut part: Vec<sock_filter> = Vec::new();
        for (index, &(number, bits)) in argument_and_bits.iter().enumerate() {
            // Without the bits, over what is left of the part: two instructions for each further condition, and the refusal.
            let over = 2 * (argument_and_bits.len() - index - 1) + 1;
            part.extend([argument(number), instruction(JUMP_IF_BITS, 0, over as u8, bits)]);
        }
        part.push(refuse(Errno::EPERM));
        program.extend([load(NUMBER), instruction(JUMP_IF_EQUAL, 0, part.len() as u8, call)]);
        program.extend(part);
    };
    for &(call, mode) in MODES {
        if_bits(call, &[(mode, SPECIAL_BITS)]);
    }
    for &(call, flags, mode) in CREATING {
        for making in super::MAKING_FILES {
            if_bits(call, &[(flags, making), (mode, SPECIAL_BITS)]);
        }
    }
    if_bits(CLONE, &[(0, libc::CLONE_NEWUSER as u32)]);
    for request in super::SETTING_FLAGS {
        program.extend([
            load(NUMBER),
            instruction(JUMP_IF_EQUAL, 0, 3, IOCTL),
            argument(1),
            instruction(JUMP_IF_EQUAL, 0, 1, request),
            refuse(Errno::ENOTSUP),
        ]);
    }
    let allowed = super::FAMILIES;
    program.extend([
        load(NUMBER),
        instruction(JUMP_IF_EQUAL, 0, allowed.len() as u8 + 2, SOCKET),
        argument(0),
    ]);
    for (index, &family) in allowed.iter().enumerate() {
        program.push(instruction(JUMP_IF_EQUAL, (allowed.len() - index) as u8, 0, family));
    }
    program.push(refuse(Errno::EAFNOSUPPORT));
    // Its arguments are in memory, where a filter cannot look; programs that know `socket` try that first.
    const MAKE_SOCKET: u32 = 1;
    program.extend([
        load(NUMBER),
        instruction(JUMP_IF_EQUAL, 0, 3, SOCKET_CALL),
        argument(0),
        instruction(JUMP_IF_EQUAL, 0, 1, MAKE_SOCKET),
        refuse(Errno::ENOSYS),
    ]);
    program.push(ALLOW);
    program
}
