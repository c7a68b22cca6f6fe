//! The parts of the machine that zeval needs, each looked at on its own.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit},
        statvfs::{FsFlags, Statvfs, statvfs},
    },
    unistd::Uid,
};
use zeval_builder::sandbox::View;

use super::{Check, State};

const GIB: u64 = 1 << 30;
/// With less free space than this a build of the toolchain ends early; with less than the second hardly anything builds.
const ENOUGH_SPACE: u64 = 10 * GIB;
const LEAST_SPACE: u64 = GIB;
/// Files that a process must be able to have open: builds at once, each with pipes and logs.
const OPEN_FILES: u64 = 1024;
/// Processes that a user must be able to have: a build may have thousands.
const PROCESSES: u64 = 4096;
/// Memory that evaluating a large package set takes.
const MEMORY: u64 = 2 * GIB;

/// All of them; `store` is the folder of the store, if one is known.
pub fn all(store: Option<&Path>) -> Vec<Check> {
    let mut checks = vec![namespaces()];
    match store {
        Some(folder) => checks.extend(folder_checks(folder)),
        None => checks.push(
            Check::new("store", State::Bad, "no folder is known")
                .with_remedy("set HOME or ZEVAL_STORE, or give --store DIR"),
        ),
    }
    checks.extend([temporary(), clock(), proc(), limits(), memory(), overcommit(), cgroups(), git()]);
    checks
}

/// Makes the namespaces and mounts of `zeval run` and runs a program there.
fn namespaces() -> Check {
    const NAME: &str = "user namespaces";
    let tried = || -> io::Result<std::process::Output> {
        let (store, mount_point) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let view = View {
            store: store.path().to_owned(),
            store_dir: zeval_model::store_dir().into(),
            mount_point: mount_point.path().to_owned(),
            program: "true".into(),
            arguments: Vec::new(),
            variables: Vec::new(),
        };
        view.command()?.stdin(Stdio::null()).output()
    };
    match tried() {
        Ok(output) if output.status.success() => {
            let who = if Uid::effective().is_root() { " (as root: none are needed)" } else { "" };
            Check::new(NAME, State::Good, format!("a sandbox can be made{who}"))
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let (found, remedy) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
            let found = found.trim_start_matches("error: ").to_owned();
            Check::new(NAME, State::Bad, format!("no sandbox can be made: {found}")).with_remedy(remedy)
        }
        Err(error) => Check::new(NAME, State::Bad, format!("no sandbox can be tried: {error}"))
            .with_remedy("set TMPDIR to a folder that can be written"),
    }
}

/// The nearest folder above that is there.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"))
}

fn folder_checks(folder: &Path) -> Vec<Check> {
    let place = existing(folder);
    let name = folder.display();
    let writable = match tempfile::tempfile_in(place) {
        Ok(_) => Check::new("store", State::Good, format!("{name}")),
        Err(error) => Check::new("store", State::Bad, format!("{name} cannot be written: {error}"))
            .with_remedy("give another folder with --store DIR or ZEVAL_STORE"),
    };
    let mut checks = vec![writable];
    match statvfs(place) {
        Ok(found) => checks.extend([space(&found, place), no_exec("store's file system", &found, place)]),
        Err(errno) => checks.push(Check::new("space", State::Warning, format!("cannot be told: {errno}"))),
    }
    checks
}

fn space(found: &Statvfs, place: &Path) -> Check {
    let free = found.blocks_available() * found.fragment_size();
    let files = found.files_available();
    let state = match free {
        _ if found.files() > 0 && files < 10_000 => State::Bad,
        ..LEAST_SPACE => State::Bad,
        LEAST_SPACE..ENOUGH_SPACE => State::Warning,
        _ => State::Good,
    };
    let found = format!("{:.1} GiB free at {}", free as f64 / GIB as f64, place.display());
    Check::new("space", state, found)
        .with_remedy("zeval store gc removes what no link keeps; or put the store elsewhere with ZEVAL_STORE")
}

fn no_exec(name: &'static str, found: &Statvfs, place: &Path) -> Check {
    match found.flags().contains(FsFlags::ST_NOEXEC) {
        false => Check::new(name, State::Good, "programs may be run"),
        true => Check::new(
            name,
            State::Bad,
            format!("{} is mounted noexec: nothing built can run", place.display()),
        )
        .with_remedy(format!("mount -o remount,exec {}; or put it elsewhere", place.display())),
    }
}

fn temporary() -> Check {
    const NAME: &str = "temporary folder";
    let folder = std::env::temp_dir();
    match (tempfile::tempfile_in(&folder), statvfs(&folder)) {
        (Err(error), _) => {
            Check::new(NAME, State::Bad, format!("{} cannot be written: {error}", folder.display()))
                .with_remedy("set TMPDIR to a folder that can be written")
        }
        (_, Ok(found)) => no_exec(NAME, &found, &folder),
        (_, Err(errno)) => Check::new(NAME, State::Warning, format!("cannot be told: {errno}")),
    }
}

/// A clock before this program was made is wrong: certificates seem not to be valid yet, and caches look stale.
fn clock() -> Check {
    let now = SystemTime::now();
    let made = fs::metadata("/proc/self/exe").and_then(|found| found.modified()).unwrap_or(UNIX_EPOCH);
    match now + Duration::from_secs(24 * 60 * 60) < made {
        false => Check::new("clock", State::Good, "not before this program was made"),
        true => Check::new("clock", State::Bad, "before this program was made: certificates seem invalid")
            .with_remedy("set the clock: timedatectl set-ntp true, or date -s"),
    }
}

fn proc() -> Check {
    match Path::new("/proc/self/ns/mnt").exists() {
        true => Check::new("/proc", State::Good, "mounted"),
        false => Check::new("/proc", State::Bad, "not mounted").with_remedy("mount -t proc proc /proc"),
    }
}

fn limits() -> Check {
    const NAME: &str = "limits";
    let soft = |resource| getrlimit(resource).map_or(u64::MAX, |(soft, _)| soft);
    let (files, processes) = (soft(Resource::RLIMIT_NOFILE), soft(Resource::RLIMIT_NPROC));
    let shown = |limit| if limit == u64::MAX { "unlimited".to_owned() } else { format!("{limit}") };
    let found = format!("{} open files, {} processes", shown(files), shown(processes));
    let state = if files < OPEN_FILES || processes < PROCESSES { State::Warning } else { State::Good };
    Check::new(NAME, state, found)
        .with_remedy(format!("ulimit -n {OPEN_FILES}; ulimit -u {PROCESSES}; or /etc/security/limits.conf"))
}

fn memory() -> Check {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map(|kib| kib << 10);
    let Some(free) = free else { return Check::new("memory", State::Warning, "cannot be told") };
    let state = if free < MEMORY { State::Warning } else { State::Good };
    Check::new("memory", state, format!("{:.1} GiB available", free as f64 / GIB as f64))
        .with_remedy("large package sets need more: give fewer --eval-jobs and --max-jobs, or add swap")
}

/// Evaluation reserves address space that it does not use: a kernel that refuses that ends it.
fn overcommit() -> Check {
    const NAME: &str = "address space";
    match fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default().trim() {
        "2" => Check::new(NAME, State::Warning, "vm.overcommit_memory=2: large reservations may be refused")
            .with_remedy("sysctl -w vm.overcommit_memory=0"),
        _ => Check::new(NAME, State::Good, "may be reserved"),
    }
}

fn cgroups() -> Check {
    match fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        Ok(controllers) if !controllers.trim().is_empty() => {
            Check::new("cgroups", State::Good, format!("version 2: {}", controllers.trim()))
        }
        _ => Check::new("cgroups", State::Good, "no version 2 here; --max-memory and its like work without"),
    }
}

fn git() -> Check {
    match Command::new("git").arg("--version").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            Check::new("git", State::Good, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Check::new("git", State::Warning, "not found: flakes and sources from git cannot be fetched")
            .with_remedy("install git"),
    }
}
