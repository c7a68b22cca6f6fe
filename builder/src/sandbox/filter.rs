//! The system calls a build may not make.
//!
//! Two kinds are refused. What would leave marks that a store path cannot hold (setuid bits, extended attributes), as Nix
//! does; and doors of the kernel that no build needs and that have let programs out of namespaces before.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
mod i386;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters, in the order to load them; the strictest answer of all counts.
pub fn programs() -> Result<Vec<BpfProgram>, seccompiler::Error> {
    let mut programs = vec![
        compile(refused_for_good(), Errno::EPERM)?,
        compile(special_mode_bits()?, Errno::EPERM)?,
        compile(marks_of_files()?, Errno::ENOTSUP)?,
        compile(not_there(), Errno::ENOSYS)?,
        compile(other_families()?, Errno::EAFNOSUPPORT)?,
    ];
    if cfg!(target_arch = "x86_64") {
        // What was compiled for x86-64 ends a program that makes a call of another architecture.
        programs.iter_mut().for_each(|program| drop(program.splice(0..0, i386::pass())));
        programs.push(without_x32());
        programs.push(i386::program());
    }
    Ok(programs)
}

/// Loads the filters for this process and what it executes. Needs no-new-privileges, which this also sets.
pub fn load() -> Result<(), seccompiler::Error> {
    programs()?.iter().try_for_each(|program| seccompiler::apply_filter(program))
}

fn compile(rules: Rules, errno: Errno) -> Result<BpfProgram, seccompiler::Error> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    let refuse = SeccompAction::Errno(errno as u32);
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?.try_into()?)
}

fn always(calls: &[i64]) -> Rules {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

/// Keyrings, tracing, mounts, modules, other kernels, clocks, and what exploits of the kernel have grown from.
fn refused_for_good() -> Rules {
    // The same number on every architecture, since Linux 6.15; libc has no name for it yet.
    const OPEN_TREE_ATTR: i64 = 467;
    let mut rules = always(&[
        libc::SYS_acct,
        libc::SYS_add_key,
        libc::SYS_adjtimex,
        libc::SYS_bpf,
        libc::SYS_clock_adjtime,
        libc::SYS_clock_settime,
        libc::SYS_delete_module,
        libc::SYS_fanotify_init,
        libc::SYS_finit_module,
        libc::SYS_init_module,
        libc::SYS_kexec_file_load,
        libc::SYS_kexec_load,
        libc::SYS_keyctl,
        libc::SYS_lookup_dcookie,
        libc::SYS_mount,
        libc::SYS_move_mount,
        libc::SYS_mount_setattr,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_open_tree,
        OPEN_TREE_ATTR,
        libc::SYS_nfsservctl,
        libc::SYS_open_by_handle_at,
        libc::SYS_perf_event_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pivot_root,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_quotactl,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_setdomainname,
        libc::SYS_sethostname,
        libc::SYS_setns,
        libc::SYS_settimeofday,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_syslog,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_userfaultfd,
        libc::SYS_vhangup,
    ]);
    #[cfg(target_arch = "x86_64")]
    rules.extend(always(&[libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_modify_ldt]));
    rules
}

/// Families of sockets that a network namespace shuts in, or that stay in this machine's kernel: any other (vsock to the one who
/// runs a virtual machine, Bluetooth) leads out. The numbers are those of 32-bit programs, too.
const FAMILIES: [u32; 4] =
    [libc::AF_UNIX as u32, libc::AF_INET as u32, libc::AF_INET6 as u32, libc::AF_NETLINK as u32];

fn other_families() -> Result<Rules, seccompiler::Error> {
    let is_other = |family: &u32| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(*family))
    };
    let conditions = FAMILIES.iter().map(is_other).collect::<Result<Vec<_>, _>>()?;
    Ok(BTreeMap::from([(libc::SYS_socket, vec![SeccompRule::new(conditions)?])]))
}

/// Newer calls whose arguments are in memory where a filter cannot look: programs fall back to the older ones.
/// `clone3` and `openat2` could otherwise do what is refused of `clone` and `open`.
fn not_there() -> Rules {
    always(&[libc::SYS_clone3, libc::SYS_openat2, libc::SYS_io_uring_setup])
}

/// Extended attributes, and the file system's own flags and projects of files and folders.
fn marks_of_files() -> Result<Rules, seccompiler::Error> {
    let mut rules = extended_attributes();
    for request in SETTING_FLAGS {
        let is_request = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request.into())?;
        rules.entry(libc::SYS_ioctl).or_default().push(SeccompRule::new(vec![is_request])?);
    }
    Ok(rules)
}

/// `FS_IOC_SETFLAGS`, `FS_IOC_SETVERSION`, both of them of 32-bit programs, and `FS_IOC_FSSETXATTR` of `linux/fs.h`;
/// `FS_IOC_ENABLE_VERITY` and `FS_IOC_SET_ENCRYPTION_POLICY`.
const SETTING_FLAGS: [u32; 7] =
    [0x4008_6602, 0x4008_7602, 0x4004_6602, 0x4004_7602, 0x401c_5820, 0x4080_6685, 0x800c_6613];

fn extended_attributes() -> Rules {
    // Numbers of the `*xattrat` calls (Linux 6.13) and of the call for flags of files (6.17), the same on every architecture;
    // libc has no names for them yet.
    const SETXATTRAT: i64 = 463;
    const GETXATTRAT: i64 = 464;
    const FILE_SETATTR: i64 = 469;
    always(&[
        libc::SYS_getxattr,
        libc::SYS_lgetxattr,
        libc::SYS_fgetxattr,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        SETXATTRAT,
        GETXATTRAT,
        FILE_SETATTR,
    ])
}

/// Flags of `open` that make a file, with or without a name; the second without those that it has in common with others.
const MAKING_FILES: [u32; 2] = [libc::O_CREAT as u32, (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32];

/// Giving a file a setuid or setgid bit, and making a user namespace by `clone`.
fn special_mode_bits() -> Result<Rules, seccompiler::Error> {
    const FCHMODAT2: i64 = 452;
    let mut rules = Rules::new();
    for bit in [libc::S_ISUID, libc::S_ISGID] {
        let mut refuse_mode = |call: i64, argument: u8| -> Result<(), seccompiler::Error> {
            let rule = SeccompRule::new(vec![has_bits(argument, bit)?])?;
            rules.entry(call).or_default().push(rule);
            Ok(())
        };
        refuse_mode(libc::SYS_fchmod, 1)?;
        refuse_mode(libc::SYS_fchmodat, 2)?;
        refuse_mode(FCHMODAT2, 2)?;
        refuse_mode(libc::SYS_mknodat, 2)?;
        #[cfg(target_arch = "x86_64")]
        {
            refuse_mode(libc::SYS_chmod, 1)?;
            refuse_mode(libc::SYS_mknod, 1)?;
            refuse_mode(libc::SYS_creat, 1)?;
        }
        for making in MAKING_FILES {
            let creating = |flags: u8, mode: u8| -> Result<SeccompRule, seccompiler::Error> {
                Ok(SeccompRule::new(vec![has_bits(flags, making)?, has_bits(mode, bit)?])?)
            };
            rules.entry(libc::SYS_openat).or_default().push(creating(2, 3)?);
            #[cfg(target_arch = "x86_64")]
            rules.entry(libc::SYS_open).or_default().push(creating(1, 2)?);
        }
    }
    let new_user_namespace = SeccompRule::new(vec![has_bits(0, libc::CLONE_NEWUSER as u32)?])?;
    rules.insert(libc::SYS_clone, vec![new_user_namespace]);
    Ok(rules)
}

fn has_bits(argument: u8, bits: u32) -> Result<SeccompCondition, seccompiler::Error> {
    let bits = u64::from(bits);
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits)?)
}

/// The x32 calls share x86-64's architecture word but have numbers of their own, which the other filters do not know.
fn without_x32() -> BpfProgram {
    const X32_BIT: u32 = 0x4000_0000;
    const LOAD_CALL_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let instruction = |code, jt, jf, k| seccompiler::sock_filter { code, jt, jf, k };
    vec![
        instruction(LOAD_CALL_NUMBER, 0, 0, 0),
        instruction(JUMP_IF_AT_LEAST, 0, 1, X32_BIT),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | Errno::ENOSYS as u32),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
