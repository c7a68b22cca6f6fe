//! Who signed a commit.

use std::fs;

use super::command::Repository;
use crate::{
    Input, InputError, Result,
    fetch::{Fetcher, failed},
    scheme::public_keys,
};

/// Types of keys, as inputs and as OpenSSH name them.
const KEY_TYPES: [(&str, &str); 6] = [
    ("ssh-dsa", "ssh-dsa"),
    ("ssh-ecdsa", "ssh-ecdsa"),
    ("ssh-ecdsa-sk", "sk-ecdsa-sha2-nistp256@openssh.com"),
    ("ssh-ed25519", "ssh-ed25519"),
    ("ssh-ed25519-sk", "sk-ssh-ed25519@openssh.com"),
    ("ssh-rsa", "ssh-rsa"),
];

impl Fetcher {
    /// Refuses a commit that none of the input's keys has signed, if it names any. `None` stands for a work tree with
    /// changes, which nobody has signed.
    pub(super) fn verify_commit(&self, input: &Input, repository: Option<&Repository>) -> Result<()> {
        let keys = public_keys(&input.attrs)?;
        let wanted = crate::input::flag(&input.attrs, "verifyCommit")?.unwrap_or(!keys.is_empty());
        if !wanted {
            return Ok(());
        }
        let (Some(repository), Some(revision)) = (repository, input.revision_text()?) else {
            return Err(InputError::new(format!(
                "commit verification is required for Git repository '{}', but it's dirty",
                input.shown()
            )));
        };
        let mut signers = String::new();
        for (kind, key) in &keys {
            let Some((_, name)) = KEY_TYPES.iter().find(|(known, _)| known == kind) else {
                let known: String = KEY_TYPES.iter().map(|(known, _)| format!("  {known}\n")).collect();
                return Err(InputError::new(format!(
                    "Invalid SSH key type '{kind}' in publicKeys.\nPlease use one of:\n{known}"
                )));
            };
            signers += &format!("* {name} {key}\n");
        }
        let scratch = self.store.temporary_folder().map_err(failed)?;
        let file = scratch.path().join("signers");
        fs::write(&file, signers).map_err(failed)?;
        let setting = format!("gpg.ssh.allowedSignersFile={}", file.display());
        match repository.try_output(&["-c", &setting, "verify-commit", &revision])? {
            Some(_) => Ok(()),
            None => Err(InputError::new(format!(
                "Commit signature verification on commit {revision} failed: no key of 'publicKeys' has signed it"
            ))),
        }
    }
}
