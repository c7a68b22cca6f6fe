//! The environment of a derivation, as the shell that `nix-shell` starts gets it: variables, and a script that it reads first.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use bstr::{BStr, ByteSlice};
use zeval_builder::build::Development;

use super::super::outcome::Outcome;

/// Variables of the user that `--pure` keeps.
const KEPT: [&str; 27] = [
    "HOME",
    "XDG_RUNTIME_DIR",
    "USER",
    "LOGNAME",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "PATH",
    "TERM",
    "IN_NIX_SHELL",
    "NIX_SHELL_PRESERVE_PROMPT",
    "TZ",
    "PAGER",
    "NIX_BUILD_SHELL",
    "SHLVL",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    // Where the store is, and so what a `nix-shell` in this one works with.
    "ZEVAL_STORE",
    "NIX_REMOTE",
];

/// What of the user's environment the shell sees.
pub fn of_user(pure: bool, keep: &[OsString]) -> BTreeMap<OsString, OsString> {
    let is_kept =
        |name: &OsStr| KEPT.iter().any(|kept| name == *kept) || keep.iter().any(|kept| name == *kept);
    let mut variables: BTreeMap<OsString, OsString> =
        std::env::vars_os().filter(|(name, _)| !pure || is_kept(name)).collect();
    if pure {
        // On NixOS, /etc/bashrc reads /etc/profile otherwise.
        variables.insert("__ETC_PROFILE_SOURCED".into(), "1".into());
    }
    variables
}

/// Puts the variables of a derivation over those of the user, and its files into the folder that is made for the shell.
pub fn add(
    variables: &mut BTreeMap<OsString, OsString>,
    development: &Development,
    folder: &Path,
) -> Outcome<()> {
    for (name, value) in &development.variables {
        variables.insert(OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec()));
    }
    for (name, text) in &development.files {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// What the script depends on.
pub struct Script<'s> {
    /// The folder that is to be removed at the end.
    pub folder: &'s Path,
    /// Whether that is done at the end only.
    pub keeps_folder: bool,
    /// The shell that reads it.
    pub shell: &'s str,
    /// Whether the folder that it is in is for the programs of the environment, too.
    pub shell_in_path: bool,
    pub pure: bool,
    /// Structured attributes, as declarations.
    pub declarations: Option<&'s [u8]>,
    /// What is run, then the shell ends.
    pub command: Option<&'s [u8]>,
}

impl Script<'_> {
    /// The script's text.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| text.extend_from_slice(part));
        let folder = quoted(self.folder.as_os_str().as_bytes());
        // The shell of a derivation need not find it.
        let remove = quoted(program("rm").as_os_str().as_bytes());
        add(&[b"_nix_shell_clean_tmpdir() { ", &remove, b" -rf ", &folder, b"; };\n"]);
        match self.keeps_folder {
            true => add(&[
                b"trap _nix_shell_clean_tmpdir EXIT\n",
                b"exitHooks+=(_nix_shell_clean_tmpdir); failureHooks+=(_nix_shell_clean_tmpdir)\n",
            ]),
            false => add(&[b"_nix_shell_clean_tmpdir\n"]),
        }
        if !self.pure {
            add(&[b"[ -n \"$PS1\" ] && [ -e ~/.bashrc ] && source ~/.bashrc\np=$PATH\n"]);
        }
        add(&[b"unset PATH\ndontAddDisableDepTrack=1\n", self.declarations.unwrap_or_default()]);
        add(&[b"\n[ -e $stdenv/setup ] && source $stdenv/setup\n"]);
        if !self.pure {
            add(&[b"PATH=$PATH${PATH:+:}$p; unset p\n"]);
        }
        let shell = quoted(self.shell.as_bytes());
        if let Some(parent) = Path::new(self.shell).parent().filter(|_| self.shell_in_path) {
            add(&[b"PATH=", &quoted(parent.as_os_str().as_bytes()), b"${PATH:+:}$PATH\n"]);
        }
        add(&[b"SHELL=", &shell, b"; BASH=", &shell, b"\nset +e\n"]);
        let colour: &[u8] = if nix::unistd::Uid::effective().is_root() { b"31" } else { b"32" };
        add(&[b"[ -n \"$PS1\" -a -z \"$NIX_SHELL_PRESERVE_PROMPT\" ] && "]);
        add(&[b"PS1='\\n\\[\\033[1;", colour, b"m\\][nix-shell:\\w]\\$\\[\\033[0m\\] '\n"]);
        add(&[b"if [ \"$(type -t runHook)\" = function ]; then runHook shellHook; fi\n"]);
        add(&[b"unset NIX_ENFORCE_PURITY; shopt -u nullglob; unset TZ\n"]);
        if let Some(zone) = std::env::var_os("TZ") {
            add(&[b"export TZ=", &quoted(zone.as_bytes()), b"\n"]);
        }
        add(&[b"shopt -s execfail\n"]);
        if let Some(command) = self.command {
            add(&[command, b"\nexit"]);
        }
        text
    }
}

/// A program of the machine by its whole path, if it is found.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    candidates.find(|file| file.is_absolute() && file.is_file()).unwrap_or_else(|| name.into())
}

/// As a shell reads one word.
pub fn quoted(text: &[u8]) -> Vec<u8> {
    [b"'", &BStr::new(text).replace("'", r"'\''")[..], b"'"].concat()
}
