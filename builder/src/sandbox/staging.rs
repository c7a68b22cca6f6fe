//! What the sandbox is made of, gathered where a lesser user may go.
//!
//! Root makes sandboxes as a user who is nobody, and that user may be kept out of the folders on the way to the store
//! (`mktemp -d` gives one that only its owner enters). So while the keeper is still root it mounts the store, the outputs
//! and all that the plan binds in one folder of its own, in a mount namespace that nobody else sees.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::chdir;

use super::failure::{Failure, Step};
use super::plan::Plan;
use super::root::{detach_from_host, mount_tmpfs, show};

/// Mounts what the plan names in a folder below its mount point, makes that the working folder, and lets the plan name
/// what is there. Changes nothing where root may not mount: then the folders' own permissions decide.
pub fn gather(plan: &mut Plan) -> Result<(), Failure> {
    match unshare(CloneFlags::CLONE_NEWNS) {
        Err(Errno::EPERM) => return Ok(()),
        result => result.step(|| "make a mount namespace".to_owned())?,
    }
    detach_from_host()?;
    mount_tmpfs(&plan.mount_point, "mode=0755")?;
    let stage = |name: String, source: &mut PathBuf| -> Result<(), Failure> {
        show(source, &plan.mount_point.join(&name))?;
        *source = PathBuf::from(name);
        Ok(())
    };
    stage("store".to_owned(), &mut plan.store)?;
    stage("outputs".to_owned(), &mut plan.outputs)?;
    for (index, bind) in plan.binds.iter_mut().enumerate() {
        stage(format!("bind-{index}"), &mut bind.source)?;
    }
    chdir(&plan.mount_point).step(|| "enter the staging folder".to_owned())?;
    plan.mount_point = PathBuf::from("root");
    fs::DirBuilder::new().mode(0o755).create(&plan.mount_point).step(|| "make the mount point".to_owned())
}
