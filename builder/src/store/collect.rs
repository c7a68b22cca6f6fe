//! Removing what nothing keeps, beside running builds.
//!
//! What is dead is found on a picture of the graph. It is then removed some thousand paths at a time: with the gate closed,
//! what was pinned or linked to meanwhile is spared, the rest made invalid, and its files moved out of the way; with the gate
//! open again, the files are removed. Killed anywhere, files without a valid path are left, which the next collection
//! removes. That nothing is certain of them is on disk before: after a power cut, a path that seems valid is looked at.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeval_model::{Derivation, StorePath};

use super::database::Graph;
use super::locks::is_lock_file;
use super::pins::ClosedGate;
use super::roots::Root;
use super::{IoContext, Store, StoreError, now, processes, remove_tree};
use crate::cancel::Cancellation;

/// How many paths are taken while others wait to pin.
const BATCH: usize = 4096;

/// For how many of those it is recorded at once that they are about to go. Each time costs a sync of the database: long on a
/// busy disk.
const BATCHES_DOUBTED: usize = 16;

/// What to remove of what is dead.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// Removes nothing, and says what would be.
    pub dry_run: bool,
    /// Keeps what derivations that are kept were built to.
    pub keep_outputs: bool,
    /// Keeps the derivations that made what is kept.
    pub keep_derivations: bool,
    /// Keeps what became valid more recently than this.
    pub older_than: Option<Duration>,
    pub limit: Option<Limit>,
    /// Removes only these, and fails if one of them is kept.
    pub only: Option<BTreeSet<StorePath>>,
}

impl Default for CollectOptions {
    fn default() -> CollectOptions {
        CollectOptions {
            dry_run: false,
            keep_outputs: false,
            keep_derivations: true,
            older_than: None,
            limit: None,
            only: None,
        }
    }
}

/// When to stop early.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// When this many bytes have been freed.
    Freed(u64),
    /// When the file system has this many bytes free.
    Free(u64),
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    pub paths: Vec<StorePath>,
    /// Bytes of their NARs.
    pub bytes: u64,
    /// Files that belonged to no valid path, left by what was killed.
    pub strays: usize,
}

impl Store {
    /// Removes what no root, no running process and no young path needs. `progress` is told how many of how many paths
    /// have been looked at.
    pub fn collect(
        &self,
        options: &CollectOptions,
        cancellation: &Cancellation,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Collected, StoreError> {
        let graph = self.database.graph()?;
        let gate = self.close_gate()?;
        let pins = self.living_pins(&gate)?;
        drop(gate);
        let live = self.live(&graph, &pins, options)?;
        let mut dead: BTreeSet<usize> = (0..graph.nodes.len()).collect();
        dead.retain(|index| !live.contains(index));
        if let Some(only) = &options.only {
            if let Some(kept) = only.iter().find(|path| self.is_kept(&graph, &dead, path)) {
                return Err(StoreError::Kept { path: kept.clone(), by: self.keeper(&graph, kept, &pins)? });
            }
            let is_wanted = |index: &usize| only.contains(&graph.nodes[*index].path);
            for (index, node) in graph.nodes.iter().enumerate() {
                if let (false, Some(kept)) =
                    (is_wanted(&index), node.references.iter().find(|to| is_wanted(to)))
                {
                    let by = format!("'{}' refers to it", node.path);
                    return Err(StoreError::Kept { path: graph.nodes[*kept].path.clone(), by });
                }
            }
            dead.retain(is_wanted);
        }
        let order = graph.referrers_first(&dead);
        let mut collected = Collected::default();
        for (batch, nodes) in order.chunks(BATCH).enumerate() {
            if batch % BATCHES_DOUBTED == 0 && !options.dry_run {
                let doubted = order[batch * BATCH..].iter().take(BATCH * BATCHES_DOUBTED);
                self.database.doubt(doubted.map(|&index| &graph.nodes[index].path))?;
            }
            progress(batch * BATCH, order.len());
            if cancellation.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            if self.take_batch(&graph, nodes, options, &pins, &mut collected)? == Next::Stop {
                break;
            }
        }
        progress(order.len(), order.len());
        if options.only.is_none() && options.limit.is_none() {
            self.remove_strays(options.dry_run, &mut collected)?;
            if !options.dry_run {
                self.remove_lonely_links()?;
            }
        }
        Ok(collected)
    }

    /// Removes `paths`, which nothing may keep: not even each other's referrers outside of `paths`.
    pub fn delete(
        &self,
        paths: &BTreeSet<StorePath>,
        cancellation: &Cancellation,
    ) -> Result<Collected, StoreError> {
        let only = Some(paths.clone());
        // Derivations and outputs do not keep each other here: who deletes by name means it.
        let options = CollectOptions { only, keep_derivations: false, ..CollectOptions::default() };
        self.collect(&options, cancellation, |_, _| ())
    }

    fn is_kept(&self, graph: &Graph, dead: &BTreeSet<usize>, path: &StorePath) -> bool {
        graph.by_path.get(path).is_some_and(|index| !dead.contains(index))
    }

    /// In words, what keeps `path`.
    fn keeper(
        &self,
        graph: &Graph,
        path: &StorePath,
        pins: &HashSet<StorePath>,
    ) -> Result<String, StoreError> {
        let reaches = |start: &StorePath| {
            let start = graph.by_path.get(start).copied();
            start.is_some_and(|start| {
                graph.closure([start]).iter().any(|&index| graph.nodes[index].path == *path)
            })
        };
        for Root { link, path: root } in self.roots()? {
            if reaches(&root) {
                return Ok(format!("the link {} keeps it", link.display()));
            }
        }
        for (used, process) in processes::used(self.layout.store()) {
            if reaches(&used) {
                return Ok(format!("the process {process} uses it"));
            }
        }
        if pins.iter().any(reaches) {
            return Ok("a running zeval uses it".to_owned());
        }
        Ok("a running zeval may need it for what it builds".to_owned())
    }

    /// What must stay.
    fn live(
        &self,
        graph: &Graph,
        pins: &HashSet<StorePath>,
        options: &CollectOptions,
    ) -> Result<BTreeSet<usize>, StoreError> {
        let find = |path: &StorePath| graph.by_path.get(path).copied();
        let mut roots: BTreeSet<usize> = self.roots()?.iter().filter_map(|root| find(&root.path)).collect();
        roots.extend(processes::used(self.layout.store()).keys().filter_map(find));
        if let Some(age) = options.older_than {
            let oldest = now() - i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            roots.extend((0..graph.nodes.len()).filter(|&index| graph.nodes[index].registered > oldest));
        }
        let mut live = self.pinned_closure(graph, pins);
        live.extend(graph.closure(roots));
        // Derivers and outputs lead to further ones.
        let mut fresh = live.clone();
        while !fresh.is_empty() {
            let mut found = BTreeSet::new();
            for &index in &fresh {
                let node = &graph.nodes[index];
                if options.keep_derivations {
                    found.extend(node.deriver.as_ref().and_then(find));
                }
                if options.keep_outputs && node.path.is_derivation() {
                    found.extend(self.outputs(graph, &node.path));
                }
            }
            fresh = graph.closure(found).difference(&live).copied().collect();
            live.extend(&fresh);
        }
        Ok(live)
    }

    /// What running processes rely on: what they pinned, and the outputs of all derivations that leads to.
    fn pinned_closure(&self, graph: &Graph, pins: &HashSet<StorePath>) -> BTreeSet<usize> {
        let find = |path: &StorePath| graph.by_path.get(path).copied();
        let mut live = graph.closure(pins.iter().filter_map(find));
        let mut found: BTreeSet<usize> = BTreeSet::new();
        for path in pins.iter().filter(|path| path.is_derivation() && !graph.by_path.contains_key(*path)) {
            // One that is about to be written: only what it was built to before is known.
            found.extend(graph.realisations.get(path).into_iter().flatten().filter_map(find));
        }
        for &index in &live {
            if graph.nodes[index].path.is_derivation() {
                found.extend(self.outputs(graph, &graph.nodes[index].path));
            }
        }
        live.extend(graph.closure(found));
        live
    }

    /// The valid outputs of a valid derivation.
    fn outputs(&self, graph: &Graph, drv: &StorePath) -> Vec<usize> {
        let known = self.derivation(drv).map(|drv: Derivation| {
            drv.outputs.values().filter_map(|output| output.path().cloned()).collect::<Vec<_>>()
        });
        let realised = graph.realisations.get(drv).into_iter().flatten().cloned();
        let all = known.unwrap_or_default().into_iter().chain(realised);
        all.filter_map(|path| graph.by_path.get(&path).copied()).collect()
    }

    fn take_batch(
        &self,
        graph: &Graph,
        nodes: &[usize],
        options: &CollectOptions,
        known_pins: &HashSet<StorePath>,
        collected: &mut Collected,
    ) -> Result<Next, StoreError> {
        let mut chosen = Vec::new();
        let mut next = Next::GoOn;
        let mut bytes = collected.bytes;
        for &index in nodes {
            if self.is_enough(options.limit, bytes)? {
                next = Next::Stop;
                break;
            }
            bytes += graph.nodes[index].nar_size;
            chosen.push(index);
        }
        let chosen = chosen.into_iter();
        if options.dry_run {
            collected.bytes = bytes;
            collected.paths.extend(chosen.map(|index| graph.nodes[index].path.clone()));
            return Ok(next);
        }
        let gate = self.close_gate()?;
        let spared = self.spared(graph, known_pins, &gate)?;
        let doomed: Vec<&StorePath> =
            chosen.filter(|index| !spared.contains(index)).map(|index| &graph.nodes[index].path).collect();
        let deleted = self.database.delete(doomed)?;
        let trash = self.temporary_folder()?;
        for path in &deleted {
            self.move_out(&self.physical(path), trash.path())?;
        }
        drop(gate);
        remove_tree(trash.path()).doing("remove what is in", trash.path())?;
        collected.bytes += deleted.iter().map(|path| graph.nodes[graph.by_path[path]].nar_size).sum::<u64>();
        collected.paths.extend(deleted);
        Ok(next)
    }

    fn is_enough(&self, limit: Option<Limit>, bytes: u64) -> Result<bool, StoreError> {
        Ok(match limit {
            None => false,
            Some(Limit::Freed(limit)) => bytes >= limit,
            Some(Limit::Free(limit)) => self.free_bytes()? >= limit,
        })
    }

    /// The bytes that are free on the store's file system for us.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let store = self.layout.store();
        let status = nix::sys::statvfs::statvfs(store).doing("ask for the free space of", store)?;
        Ok(status.blocks_available() * status.fragment_size())
    }

    /// What came to be needed since the picture was taken.
    fn spared(
        &self,
        graph: &Graph,
        known_pins: &HashSet<StorePath>,
        gate: &ClosedGate,
    ) -> Result<BTreeSet<usize>, StoreError> {
        let mut pins = self.living_pins(gate)?;
        pins.retain(|pin| !known_pins.contains(pin));
        let mut spared = self.pinned_closure(graph, &pins);
        let roots = self.roots()?;
        spared.extend(graph.closure(roots.iter().filter_map(|root| graph.by_path.get(&root.path).copied())));
        Ok(spared)
    }

    /// Moves a file or folder that is no valid path's to `trash`.
    fn move_out(&self, place: &Path, trash: &Path) -> Result<(), StoreError> {
        let to = trash.join(place.file_name().unwrap_or_default());
        let moved = match fs::rename(place, &to) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // A folder that may not be written may not be moved to another one.
                let writable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(place, writable).and_then(|()| fs::rename(place, &to))
            }
            result => result,
        };
        match moved {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.doing("move out of the store", place),
        }
    }

    /// Removes files in the store's folder that belong to no valid path and that nobody is about to make one.
    fn remove_strays(&self, dry_run: bool, collected: &mut Collected) -> Result<(), StoreError> {
        let folder = self.layout.store();
        let valid = self.database.all_valid()?;
        let mut strays: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder).doing("read", folder)? {
            let entry = entry.doing("read", folder)?;
            let name = entry.file_name().into_string().ok().and_then(|n| StorePath::from_base_name(&n).ok());
            if name.is_some_and(|path| !valid.contains(&path)) {
                strays.push(entry.path());
            }
        }
        for batch in strays.chunks(BATCH) {
            let gate = self.close_gate()?;
            let pins = self.living_pins(&gate)?;
            let trash = self.temporary_folder()?;
            for place in batch {
                let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let path = StorePath::from_base_name(name)?;
                if pins.contains(&path) || self.is_valid(&path)? {
                    continue;
                }
                collected.strays += 1;
                if !dry_run {
                    self.move_out(place, trash.path())?;
                }
            }
            drop(gate);
            remove_tree(trash.path()).doing("remove what is in", trash.path())?;
        }
        Ok(())
    }

    /// Removes files kept for sharing that no store path shares any more.
    fn remove_lonely_links(&self) -> Result<(), StoreError> {
        let folder = self.layout.links();
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        for entry in entries {
            let file = entry.doing("read", &folder)?.path();
            if fs::symlink_metadata(&file).is_ok_and(|found| found.nlink() == 1) {
                match fs::remove_file(&file) {
                    // Another collector was faster.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                    result => result.doing("remove", &file)?,
                }
            }
        }
        Ok(())
    }

    /// Every root with what it keeps: links by their place, lock files by theirs, and processes by their number.
    pub fn all_roots(&self) -> Result<BTreeMap<String, StorePath>, StoreError> {
        let mut all = BTreeMap::new();
        for Root { link, path } in self.roots()? {
            match is_lock_file(&link) {
                false => drop(all.insert(link.display().to_string(), path)),
                // It pins many, and not all of them need have been fetched.
                true if self.is_valid(&path)? => {
                    all.insert(format!("{}: {}", link.display(), path.base_name()), path);
                }
                true => (),
            }
        }
        for (path, process) in processes::used(self.layout.store()) {
            if self.is_valid(&path)? {
                all.insert(format!("process {process}: {}", path.base_name()), path);
            }
        }
        Ok(all)
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}
