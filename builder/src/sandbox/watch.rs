//! Looks at what the processes of a sandbox use together, and says when that is more than they may.
//!
//! The keeper is not in the sandbox's process namespace, but in its mount namespace: once process 1 has entered the new root,
//! the keeper's `/proc` is the sandbox's too, which holds its processes and no others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sysconf};

use super::plan::{Excess, Limits};

/// Watches one sandbox.
#[derive(Debug)]
pub struct Watch {
    /// The device of the `/proc` of the machine.
    outside: Option<u64>,
    limits: Limits,
    page_size: u64,
    /// Bytes.
    peak: u64,
    excess: Option<Excess>,
}

impl Watch {
    /// To be called before the sandbox has a root of its own.
    pub fn new(limits: &Limits) -> Watch {
        let page_size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, i64::unsigned_abs);
        Watch { outside: proc_device(), limits: limits.clone(), page_size, peak: 0, excess: None }
    }

    /// The limit that was found to be passed, if one was.
    pub fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// The most memory that was seen in use.
    pub fn peak_kibibytes(&self) -> u64 {
        self.peak >> 10
    }

    /// Looks, and says whether a limit is passed now or was before.
    pub fn look(&mut self) -> Option<Excess> {
        if proc_device() == self.outside {
            return self.excess;
        }
        let processes = processes();
        let mut memory = shared_files();
        for process in &processes {
            memory += self.own_memory(process);
        }
        self.peak = self.peak.max(memory);
        // Some of the limit is threads, which are not seen here.
        if processes.len() as u64 > self.limits.processes - self.limits.processes / 8 {
            self.excess.get_or_insert(Excess::Processes);
        }
        if self.limits.memory.is_some_and(|limit| memory > limit) {
            // What processes still share since they parted was counted for each.
            let exact: u64 = processes.iter().map(|process| self.share_of_memory(process)).sum();
            if self.limits.memory.is_some_and(|limit| exact + shared_files() > limit) {
                self.excess.get_or_insert(Excess::Memory);
            }
        }
        self.excess
    }

    /// Bytes of memory that is no file's; what it shares with its parent is among them.
    fn own_memory(&self, process: &Path) -> u64 {
        let Ok(text) = fs::read_to_string(process.join("statm")) else { return 0 };
        let mut pages = text.split(' ').skip(1).map(|number| number.parse::<u64>().unwrap_or(0));
        let (resident, of_files) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
        resident.saturating_sub(of_files) * self.page_size
    }

    /// Bytes of memory that is no file's, what is shared by several counted in parts.
    fn share_of_memory(&self, process: &Path) -> u64 {
        let Ok(text) = fs::read_to_string(process.join("smaps_rollup")) else { return 0 };
        let kibibytes =
            text.lines().find_map(|line| line.strip_prefix("Pss_Anon:")?.split_whitespace().next());
        match kibibytes.and_then(|number| number.parse::<u64>().ok()) {
            Some(kibibytes) => kibibytes << 10,
            None => self.own_memory(process),
        }
    }
}

fn proc_device() -> Option<u64> {
    fs::metadata("/proc").map(|found| found.dev()).ok()
}

/// The folders of the sandbox's processes.
fn processes() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let is_process = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_process).collect()
}

/// Bytes of the files in `/dev/shm`, which are in memory.
fn shared_files() -> u64 {
    statvfs("/dev/shm").map_or(0, |found| (found.blocks() - found.blocks_free()) * found.fragment_size())
}
