//! Why a sandbox cannot be made on this machine, and how to mend it.

use std::fs;

use nix::errno::Errno;

/// A step of the set-up that failed.
#[derive(Debug)]
pub struct Failure {
    pub step: String,
    pub errno: Errno,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(step: impl Into<String>, errno: Errno) -> Failure {
        Failure { step: step.into(), errno, hint: None }
    }
}

/// Attaches the step to a system call's error.
pub trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(step(), errno))
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step(), Errno::from_raw(error.raw_os_error().unwrap_or(0))))
    }
}

/// What stands in the way of user namespaces, found by looking at the kernel's settings.
pub fn user_namespace_hint(errno: Errno) -> Option<String> {
    let is_zero = |path: &str| setting(path).as_deref() == Some("0");
    if is_zero("/proc/sys/kernel/unprivileged_userns_clone") {
        return Some(mend(
            "the kernel setting kernel.unprivileged_userns_clone forbids user namespaces",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ));
    }
    if is_zero("/proc/sys/user/max_user_namespaces") || errno == Errno::ENOSPC {
        return Some(mend(
            "the kernel setting user.max_user_namespaces allows no (more) user namespaces",
            "sysctl -w user.max_user_namespaces=15000",
        ));
    }
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return Some(mend(
            "AppArmor restricts user namespaces of ordinary programs (Ubuntu 23.10 and later)",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ));
    }
    match errno {
        Errno::ENOSYS | Errno::EINVAL => Some("this kernel was built without user namespaces".to_owned()),
        Errno::EPERM => Some(
            "a container's seccomp profile, or a chroot, forbids user namespaces here; with Docker or Podman add \
             --security-opt seccomp=unconfined --security-opt systempaths=unconfined (or --privileged); \
             out of a chroot use pivot_root instead"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Why `/proc` cannot be mounted anew although we are root in our namespace.
pub fn proc_hint(errno: Errno) -> Option<String> {
    (errno == Errno::EPERM).then(|| {
        "parts of /proc are covered here, as containers do, and then the kernel refuses a new /proc; with Docker or \
         Podman add --security-opt systempaths=unconfined (or --privileged)"
            .to_owned()
    })
}

fn mend(cause: &str, command: &str) -> String {
    format!("{cause}; as root: {command}")
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
