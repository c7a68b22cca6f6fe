//! Who a build is, outside and inside.

use std::fs;

use nix::unistd::Uid;

use super::plan::Identity;

/// The user and group that every build sees itself as, Nix's.
const INSIDE_USER: u32 = 1000;
const INSIDE_GROUP: u32 = 100;

/// Users that exist on no machine, best first: Nix's automatic ones, its classic build users, and nobody. A container may
/// know few ids, so not all of them can be had everywhere.
const CANDIDATES: [u32; 3] = [872_415_232, 30_001, 65_534];

/// The identity of builds started by this process: `as_caller` lets them be root outside where this process is.
pub fn choose(as_caller: bool) -> Identity {
    let outside = if Uid::effective().is_root() && !as_caller { unused_user() } else { None };
    Identity { outside: outside.map(|id| (id, id)), inside_user: INSIDE_USER, inside_group: INSIDE_GROUP }
}

fn unused_user() -> Option<u32> {
    let ranges = mapped_ranges("/proc/self/uid_map");
    let group_ranges = mapped_ranges("/proc/self/gid_map");
    let is_mapped = |ranges: &[(u32, u32)], id: u32| {
        ranges.iter().any(|&(first, count)| id >= first && id - first < count)
    };
    CANDIDATES.into_iter().find(|&id| is_mapped(&ranges, id) && is_mapped(&group_ranges, id))
}

/// The ranges of ids of the current namespace: first id and count.
fn mapped_ranges(path: &str) -> Vec<(u32, u32)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let range = |line: &str| {
        let mut fields = line.split_whitespace();
        let first = fields.next()?.parse().ok()?;
        Some((first, fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(range).collect()
}
