//! The machine as it is, with the store where its paths say: what programs from the store are run in.
//!
//! Nothing is shut off here: this is for the user's own programs. Like the sandbox it is made by the running binary
//! executed anew, before it has a second thread.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chdir, chroot};
use serde::{Deserialize, Serialize};

use super::child::write_map;
use super::failure::{Failure, Step, user_namespace_hint};
use super::root::{bind_mount, detach_from_host, make_dirs, mount_tmpfs, restrict, show};

/// The hidden first argument; the second one is a [`View`] as JSON.
pub const VIEW_ENTRY: &str = "__view";

/// A program to be run in the view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// The folder with the store paths.
    pub store: PathBuf,
    /// The logical store: where they are to be seen.
    pub store_dir: PathBuf,
    /// An existing folder that the new root can be made at; nothing is left in it.
    pub mount_point: PathBuf,
    /// A path in the view, or a name to be looked up in its `PATH`.
    pub program: String,
    pub arguments: Vec<String>,
    /// Variables that differ from this process's own.
    pub variables: Vec<(String, String)>,
}

impl View {
    /// Becomes the program. Returns only if that fails.
    pub fn enter(&self) -> io::Error {
        match self.command() {
            Ok(mut command) => command.exec(),
            Err(error) => error,
        }
    }

    /// What runs the program.
    pub fn command(&self) -> io::Result<Command> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(VIEW_ENTRY).arg(serde_json::to_string(self)?);
        Ok(command)
    }
}

/// What `main` calls when its first argument is [`VIEW_ENTRY`], with the second one. Returns only an error's text.
pub fn view_main(text: &str) -> String {
    let view: View = match serde_json::from_str(text) {
        Ok(view) => view,
        Err(error) => return format!("cannot understand the view ({error})"),
    };
    match make(&view) {
        Ok(()) => {
            let mut command = Command::new(&view.program);
            command.args(&view.arguments).envs(view.variables.iter().map(|(name, value)| (name, value)));
            format!("cannot run '{}': {}", view.program, command.exec())
        }
        Err(Failure { step, errno, hint }) => {
            let hint = hint.map(|hint| format!("\n{hint}")).unwrap_or_default();
            format!("cannot {step}: {}{hint}", errno.desc())
        }
    }
}

fn make(view: &View) -> Result<(), Failure> {
    let here = std::env::current_dir().step(|| "tell the current folder".to_owned())?;
    let (user, group) = (Uid::effective(), Gid::effective());
    let mut flags = CloneFlags::CLONE_NEWNS;
    if !user.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).map_err(|errno| Failure {
        hint: user_namespace_hint(errno),
        ..Failure::new("make namespaces", errno)
    })?;
    if !user.is_root() {
        write_map("setgroups", "deny")?;
        write_map("uid_map", &format!("{user} {user} 1"))?;
        write_map("gid_map", &format!("{group} {group} 1"))?;
    }
    detach_from_host()?;
    let place = view.store_dir.as_path();
    if place.is_dir() {
        return mount_store(&view.store, place);
    }
    let root = &view.mount_point;
    mount_tmpfs(root, "mode=0755")?;
    for entry in fs::read_dir("/").step(|| "list /".to_owned())? {
        let entry = entry.step(|| "list /".to_owned())?;
        if entry.file_name() != "nix" || !place.starts_with("/nix") {
            show(&entry.path(), &root.join(entry.file_name()))?;
        }
    }
    let place = root.join(place.strip_prefix("/").unwrap_or(place));
    make_dirs(&place)?;
    mount_store(&view.store, &place)?;
    chroot(root).step(|| "make the new root the root".to_owned())?;
    chdir(&here).step(|| format!("enter {}", here.display()))
}

fn mount_store(store: &Path, place: &Path) -> Result<(), Failure> {
    bind_mount(store, place)?;
    restrict(place, MsFlags::MS_RDONLY)
}
