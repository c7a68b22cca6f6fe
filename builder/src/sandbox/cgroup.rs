//! Control groups (version 2) for builds with limits, where this process was given a group that it may divide: a service or scope
//! of systemd with `Delegate=yes`, a container's own, or all of them to root.
//!
//! The kernel then keeps the limits at every moment. Elsewhere `Watch` does, four times a second.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::{End, Excess, Limits, Report};

/// What limits need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Microseconds over which the use of processors is counted.
const PERIOD: u64 = 100_000;

/// How long the kernel may take to end all processes of a group.
const PATIENCE: Duration = Duration::from_secs(2);

/// A group that may be divided.
#[derive(Debug)]
struct Divided {
    folder: PathBuf,
}

/// The group of one sandbox, removed with all its processes when dropped.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
}

impl Group {
    /// A group for a sandbox with these limits; nothing where it has none that need one, or where there can be no groups.
    pub fn for_limits(limits: &Limits) -> Option<Group> {
        static OURS: OnceLock<Option<Divided>> = OnceLock::new();
        if limits.memory.is_none() && limits.processors.is_none() {
            return None;
        }
        OURS.get_or_init(|| divide(&own_folder()?).ok()).as_ref()?.make(limits).ok()
    }

    /// Puts a process into it; what that starts is in it, too.
    pub fn add(&self, process: u32) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.procs"), process.to_string())
    }

    /// Completes what the keeper reported: the kernel saw more than it did, and may have ended it as well.
    pub fn complete(&self, reports: &mut Vec<Report>) {
        let out_of_memory = self.count("memory.events", "oom_kill") > 0;
        if out_of_memory && !reports.iter().any(|report| matches!(report, Report::Ended { .. })) {
            let end = End::Signalled(nix::libc::SIGKILL);
            reports.push(Report::Ended { end, cpu_milliseconds: 0, peak_kibibytes: 0, excess: None });
        }
        for report in reports {
            if let Report::Ended { peak_kibibytes, excess, .. } = report {
                *peak_kibibytes = self.number("memory.peak").map_or(*peak_kibibytes, |bytes| bytes >> 10);
                if out_of_memory {
                    excess.get_or_insert(Excess::Memory);
                }
            }
        }
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// A number of a file with a name and a number a line.
    fn count(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        let since = Instant::now();
        // Busy until the last process is gone.
        while fs::remove_dir(&self.folder).is_err() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Divided {
    fn make(&self, limits: &Limits) -> io::Result<Group> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = Group { folder: self.folder.join(format!("zeval-{}-{number}", std::process::id())) };
        fs::create_dir(&group.folder)?;
        let set = |file: &str, value: String| fs::write(group.folder.join(file), value);
        set("pids.max", limits.processes.to_string())?;
        if let Some(memory) = limits.memory {
            set("memory.max", memory.to_string())?;
            set("memory.oom.group", "1".to_owned())?;
            // Not every kernel swaps.
            let _ = set("memory.swap.max", "0".to_owned());
        }
        if let Some(processors) = limits.processors {
            set("cpu.max", format!("{} {PERIOD}", processors as u64 * PERIOD))?;
        }
        Ok(group)
    }
}

/// The folder of the group that this process is in.
fn own_folder() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    folder_of(&groups, &mounts)
}

/// The same from the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn folder_of(groups: &str, mounts: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = fields.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Path::new(at).join(below))
    })
}

/// Makes groups below `folder` possible, for the group that this process is in.
fn divide(folder: &Path) -> io::Result<Divided> {
    let words = |file: &str| -> io::Result<Vec<String>> {
        let text = fs::read_to_string(folder.join(file))?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    };
    let has_all = |words: &[String]| CONTROLLERS.iter().all(|name| words.iter().any(|word| word == name));
    if !has_all(&words("cgroup.controllers")?) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "a controller is missing"));
    }
    remove_left_behind(folder);
    if !has_all(&words("cgroup.subtree_control")?) {
        let own = std::process::id().to_string();
        // A group with groups in it may have no processes of its own. Others than this one are not ours to move.
        if words("cgroup.procs")? == [own.clone()] {
            let leaf = folder.join(format!("zeval-{own}"));
            fs::create_dir(&leaf)?;
            fs::write(leaf.join("cgroup.procs"), own)?;
        }
        fs::write(
            folder.join("cgroup.subtree_control"),
            CONTROLLERS.map(|name| format!("+{name}")).join(" "),
        )?;
    }
    Ok(Divided { folder: folder.to_owned() })
}

/// Removes the groups of processes that were killed: no process is in them.
fn remove_left_behind(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("zeval-") {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "24 1 0:22 / /proc rw - proc proc rw\n\
                          30 24 0:26 /user.slice /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_group_of_a_process_is_found() {
        let found = folder_of("1:cpu:/x\n0::/user.slice/a.scope\n", MOUNTS);
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/a.scope")));
        assert_eq!(folder_of("0::/system.slice\n", MOUNTS), None, "another part is mounted");
        assert_eq!(folder_of("1:cpu:/x\n", MOUNTS), None);
        assert_eq!(folder_of("0::/\n", "24 1 0:22 / /proc rw - proc proc rw\n"), None);
    }

    /// A folder with the files that the kernel would make. It cannot refuse anything.
    fn folder(controllers: &str, processes: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in
            [("cgroup.controllers", controllers), ("cgroup.subtree_control", ""), ("cgroup.procs", processes)]
        {
            fs::write(folder.path().join(file), text).unwrap();
        }
        folder
    }

    #[test]
    fn limits_are_written_and_what_the_kernel_counted_is_read() {
        let own = std::process::id().to_string();
        let folder = folder("cpuset cpu io memory pids", &own);
        let divided = divide(folder.path()).unwrap();
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(read("cgroup.subtree_control"), "+cpu +memory +pids");
        assert_eq!(read(&format!("zeval-{own}/cgroup.procs")), own);

        let limits = Limits { processes: 50, memory: Some(1 << 20), processors: Some(3) };
        let group = divided.make(&limits).unwrap();
        let of_group = |file: &str| fs::read_to_string(group.folder.join(file)).unwrap();
        assert_eq!(of_group("pids.max"), "50");
        assert_eq!(of_group("memory.max"), "1048576");
        assert_eq!(of_group("cpu.max"), "300000 100000");
        group.add(7).unwrap();
        assert_eq!(of_group("cgroup.procs"), "7");

        fs::write(group.folder.join("memory.peak"), "4096\n").unwrap();
        fs::write(group.folder.join("memory.events"), "oom 1\noom_kill 2\n").unwrap();
        let mut reports = Vec::new();
        group.complete(&mut reports);
        let [Report::Ended { peak_kibibytes, excess, .. }] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!((*peak_kibibytes, *excess), (4, Some(Excess::Memory)));
        fs::remove_dir_all(&group.folder).unwrap();
    }

    #[test]
    fn groups_without_controllers_are_not_divided() {
        let folder = folder("hugetlb", "1");
        assert!(divide(folder.path()).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("cgroup.subtree_control")).unwrap(), "");
    }
}
