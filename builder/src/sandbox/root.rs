//! The file system a sandboxed process sees, made from mounts.
//!
//! Runs in the child, in its own mount and pid namespaces, with the working folder at the plan's base.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, pivot_root};

use super::failure::{Failure, Step, proc_hint, user_namespace_hint};
use super::plan::{Bind, Plan};
use super::subtree;

const NONE: Option<&str> = None;

const DAMAGED_STORE: &str =
    "the store's database says that it is there; its files were removed by other means";

/// Device files taken from the host. Nothing else of its `/dev` is seen.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Makes the new root and enters it; the old one is gone afterwards.
///
/// `is_host_root`: the process is, outside its namespaces, uid 0; then what that user may change below `/proc` is covered.
pub fn enter(plan: &Plan, is_host_root: bool) -> Result<(), Failure> {
    let root = Root { at: plan.mount_point.clone() };
    detach_from_host()?;
    root.mount_skeleton()?;
    // The store may be below a folder that is bound.
    let (around, others): (Vec<&Bind>, Vec<&Bind>) =
        plan.binds.iter().partition(|bind| plan.store_dir.starts_with(&bind.target));
    around.into_iter().try_for_each(|bind| root.bind(bind))?;
    root.mount_store(plan)?;
    others.into_iter().try_for_each(|bind| root.bind(bind))?;
    root.make_devices()?;
    root.mount_proc(is_host_root)?;
    for (path, contents) in &plan.files {
        root.write_file(path, contents)?;
    }
    root.protect("etc")?;
    root.become_root()
}

/// Nothing mounted from here on is seen outside, and the other way round.
pub(super) fn detach_from_host() -> Result<(), Failure> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).map_err(|errno| Failure {
        hint: user_namespace_hint(errno),
        ..Failure::new("make the mounts private", errno)
    })
}

struct Root {
    at: PathBuf,
}

impl Root {
    /// Where an absolute path of the sandbox is while the root is being made.
    fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        self.at.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    fn mount_skeleton(&self) -> Result<(), Failure> {
        mount_tmpfs(&self.at, "mode=0750")?;
        ["dev", "proc", "etc"].iter().try_for_each(|folder| make_dir(&self.path(folder)))
    }

    /// The logical store: a writable folder for the outputs, with the closure mounted into it.
    fn mount_store(&self, plan: &Plan) -> Result<(), Failure> {
        // Mounts made from a read-only mount are read-only: one remount serves the whole closure.
        bind_mount(&plan.store, &plan.store)?;
        restrict(&plan.store, MsFlags::MS_RDONLY)?;
        let store = self.path(&plan.store_dir);
        make_dirs(&store)?;
        bind_mount(&plan.outputs, &store)?;
        restrict(&store, MsFlags::empty())?;
        plan.closure.iter().try_for_each(|name| {
            show(&plan.store.join(name), &store.join(name)).map(drop).map_err(|failure| Failure {
                hint: (failure.errno == Errno::ENOENT).then(|| DAMAGED_STORE.to_owned()),
                ..failure
            })
        })
    }

    fn bind(&self, bind: &Bind) -> Result<(), Failure> {
        let target = self.path(&bind.target);
        if show(&bind.source, &target)? == Shown::Link {
            return Ok(());
        }
        let found = fs::metadata(&target).step(|| format!("look at {}", target.display()))?;
        if found.file_type().is_char_device() {
            // It was asked for as such.
            return Ok(());
        }
        match bind.writable {
            true => restrict(&target, MsFlags::empty()),
            false => restrict_all(&target),
        }
    }

    fn make_devices(&self) -> Result<(), Failure> {
        for name in DEVICES {
            let (host, target) = (Path::new("/dev").join(name), self.path("dev").join(name));
            if name == "tty" && !host.exists() {
                continue;
            }
            make_empty_file(&target)?;
            bind_mount(&host, &target)?;
        }
        let links = [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "/dev/pts/ptmx"),
        ];
        for (name, target) in links {
            make_link(Path::new(target), &self.path("dev").join(name))?;
        }
        let shm = self.path("dev/shm");
        make_dir(&shm)?;
        mount_tmpfs(&shm, "mode=1777")?;
        let pts = self.path("dev/pts");
        make_dir(&pts)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        mount(Some("devpts"), &pts, Some("devpts"), flags, Some("newinstance,mode=0620,ptmxmode=0666"))
            .step(|| "mount /dev/pts".to_owned())
    }

    fn mount_proc(&self, is_host_root: bool) -> Result<(), Failure> {
        let proc = self.path("proc");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), &proc, Some("proc"), flags, NONE)
            .map_err(|errno| Failure { hint: proc_hint(errno), ..Failure::new("mount /proc", errno) })?;
        // They name the keyrings and keys of whoever started the build.
        for name in ["keys", "key-users"] {
            let path = proc.join(name);
            if path.exists() {
                bind_mount(&self.path("dev/null"), &path)?;
            }
        }
        // The kernel's settings belong to whoever is uid 0 outside, in whatever namespace that one is.
        if is_host_root {
            for name in ["sys", "sysrq-trigger", "irq", "bus"] {
                let path = proc.join(name);
                if path.exists() {
                    bind_mount(&path, &path)?;
                    restrict(&path, MsFlags::MS_RDONLY)?;
                }
            }
        }
        Ok(())
    }

    fn write_file(&self, inside: &Path, contents: &str) -> Result<(), Failure> {
        let path = self.path(inside);
        if let Some(parent) = path.parent() {
            make_dirs(parent)?;
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .and_then(|mut file| file.write_all(contents.as_bytes()))
            .step(|| format!("write {}", inside.display()))
    }

    /// Takes the permission to write a folder, as Nix does: programs look at it, though the mount decides.
    fn protect(&self, folder: &str) -> Result<(), Failure> {
        let path = self.path(folder);
        fs::set_permissions(&path, Permissions::from_mode(0o555)).step(|| format!("protect /{folder}"))
    }

    fn become_root(&self) -> Result<(), Failure> {
        chdir(&self.at).step(|| "enter the new root".to_owned())?;
        pivot_root(".", ".").step(|| "make the new root the root".to_owned())?;
        umount2(".", MntFlags::MNT_DETACH).step(|| "leave the old root".to_owned())?;
        chdir("/").step(|| "enter the root".to_owned())?;
        restrict(Path::new("/"), MsFlags::MS_RDONLY)
    }
}

/// How something of the host is seen inside.
#[derive(PartialEq, Eq)]
pub(super) enum Shown {
    Mounted,
    Link,
}

/// Lets `target` be what `source` is. A symbolic link cannot be a mount, so it is made anew.
pub(super) fn show(source: &Path, target: &Path) -> Result<Shown, Failure> {
    let metadata = fs::symlink_metadata(source).step(|| format!("look at {}", source.display()))?;
    if let Some(parent) = target.parent() {
        make_dirs(parent)?;
    }
    if metadata.is_symlink() {
        let link = fs::read_link(source).step(|| format!("read {}", source.display()))?;
        return make_link(&link, target).map(|()| Shown::Link);
    }
    if metadata.is_dir() {
        make_dir(target)?
    } else {
        make_empty_file(target)?
    }
    bind_mount(source, target).map(|()| Shown::Mounted)
}

pub(super) fn bind_mount(source: &Path, target: &Path) -> Result<(), Failure> {
    mount(Some(source), target, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .step(|| format!("mount {} on {}", source.display(), target.display()))
}

/// Adds restrictions to a mount; those it has already must be named again or the kernel refuses.
pub(super) fn restrict(target: &Path, access: MsFlags) -> Result<(), Failure> {
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | access;
    let present = statvfs(target).step(|| format!("look at the mount {}", target.display()))?.flags();
    if present.contains(FsFlags::ST_RDONLY) {
        flags |= MsFlags::MS_RDONLY;
    }
    if present.contains(FsFlags::ST_NOEXEC) {
        flags |= MsFlags::MS_NOEXEC;
    }
    mount(NONE, target, NONE, flags, NONE).step(|| format!("restrict the mount {}", target.display()))
}

/// Makes a mount read-only with all that is mounted below it.
fn restrict_all(target: &Path) -> Result<(), Failure> {
    match subtree::restrict(
        target,
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
    ) {
        Err(Errno::ENOSYS) => restrict(target, MsFlags::MS_RDONLY),
        result => result.step(|| format!("restrict the mounts below {}", target.display())),
    }
}

pub(super) fn mount_tmpfs(target: &Path, options: &str) -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options)).map_err(|errno| Failure {
        hint: user_namespace_hint(errno),
        ..Failure::new(format!("mount a tmpfs on {}", target.display()), errno)
    })
}

pub(super) fn make_dir(path: &Path) -> Result<(), Failure> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        result => result.step(|| format!("make the folder {}", path.display())),
    }
}

pub(super) fn make_dirs(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .step(|| format!("make the folder {}", path.display()))
}

fn make_empty_file(path: &Path) -> Result<(), Failure> {
    match OpenOptions::new().write(true).create_new(true).mode(0o444).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map(drop).step(|| format!("make the file {}", path.display())),
    }
}

fn make_link(link: &Path, at: &Path) -> Result<(), Failure> {
    symlink(link, at).step(|| format!("make the link {}", at.display()))
}
