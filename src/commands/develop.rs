//! `zeval develop`: a shell, a command or a phase in the environment in which a derivation is built.

use std::{
    collections::BTreeMap,
    fs,
    io::IsTerminal,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
};

use bstr::{BStr, ByteSlice};
use zeval_builder::{
    build::{BuildOptions, Development, Places, development},
    sandbox::View,
    schedule::{Builder, DrvOutput},
    store::Store,
};
use zeval_model::StorePath;

use super::{
    Context, Result, build_options,
    run::{find, with_found},
    targets::collect_outputs,
};
use crate::{cli::Develop, diagnostic::Failed, flakes::select::Search};

/// Variables of the machine that `--ignore-env` keeps.
const KEPT: [&str; 8] = ["HOME", "USER", "LOGNAME", "DISPLAY", "TERM", "TZ", "PAGER", "SHELL"];

/// What to do in the environment: a phase, a command, or nothing, for a shell that a person types to.
#[derive(Default)]
pub struct Wanted<'a> {
    /// The phase to run, with or without `Phase` at its end.
    pub phase: Option<&'a str>,
    /// The command and its arguments.
    pub command: &'a [String],
    /// What of the machine's environment there is.
    pub outside: Outside,
    /// What is used in the place of store paths.
    pub redirects: Vec<Redirect>,
}

/// A folder that is used in the place of a store path.
pub struct Redirect {
    /// How the user calls what is at the store path.
    pub what: String,
    pub from: String,
    pub to: String,
}

impl Redirect {
    /// Changes a text that sets an environment accordingly.
    fn apply(&self, text: &mut Vec<u8>) {
        let Redirect { what, from, to } = self;
        match text.contains_str(from) {
            true => eprintln!("redirecting '{from}' to '{to}'"),
            false => eprintln!("warning: '{what}' (path '{from}') is not used by this build environment"),
        }
        *text = text.replace(from, to);
    }
}

/// What of the environment of the machine there is beside that of the derivation.
#[derive(Clone, Default)]
pub struct Outside {
    /// Whether most of it is left out.
    pub ignored: bool,
    /// What is kept nevertheless.
    pub keep: Vec<String>,
    /// What is left out in any case.
    pub unset: Vec<String>,
    /// What is set.
    pub set: Vec<(String, String)>,
}

impl Outside {
    /// Changes the environment of a command accordingly.
    pub fn apply(&self, command: &mut Command) {
        if self.ignored {
            let is_kept = |name: &std::ffi::OsStr| {
                KEPT.iter().any(|kept| name == *kept) || self.keep.iter().any(|kept| name == kept.as_str())
            };
            command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_kept(name)));
        }
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
    }
}

impl Wanted<'_> {
    fn is_interactive(&self) -> bool {
        self.command.is_empty() && self.phase.is_none()
    }
}

/// Runs the command; its exit status is that of what was run.
pub fn run(context: &Context, arguments: &Develop) -> Result<()> {
    let drv = derivation(context, arguments)?;
    let options = build_options(&arguments.options, &arguments.source.language.option)?;
    let wanted = Wanted {
        phase: arguments.phase.as_deref(),
        command: &arguments.command,
        outside: Outside { ignored: arguments.ignore_env, ..Outside::default() },
        redirects: Vec::new(),
    };
    let store = context.store()?;
    enter(context, &store, &drv, options, &wanted)
}

/// Builds the inputs of a derivation and does what is wanted in its environment.
pub fn enter(
    context: &Context,
    store: &Store,
    drv: &StorePath,
    options: BuildOptions,
    wanted: &Wanted<'_>,
) -> Result<()> {
    let scratch = store.temporary_folder().map_err(Failed::other)?;
    let here = std::env::current_dir().map_err(Failed::other)?;
    let environment = prepare(context, store, drv, options, scratch.path(), Some(&here.join("outputs")))?;
    let script = scratch.path().join("rc");
    let mut text = rc(&environment, wanted);
    wanted.redirects.iter().for_each(|redirect| redirect.apply(&mut text));
    write(&script, &text)?;
    let shell = shell(&environment)?;
    let mount_point = scratch.path().join("root");
    fs::create_dir(&mount_point).map_err(Failed::other)?;
    let is_interactive = wanted.is_interactive();
    let view = View {
        store: store.layout().store().to_owned(),
        store_dir: zeval_model::store_dir().into(),
        mount_point,
        program: shell.clone(),
        arguments: match is_interactive {
            true => vec!["--rcfile".to_owned(), script.display().to_string()],
            false => vec![script.display().to_string()],
        },
        variables: variables(shell, &script, is_interactive),
    };
    let status = view.command().and_then(|mut command| {
        wanted.outside.apply(&mut command);
        command.status()
    });
    let status = status.map_err(|error| Failed::other(format!("cannot run '{}': {error}", view.program)))?;
    drop(scratch);
    match status.code().or(status.signal().map(|signal| 128 + signal)) {
        Some(0) | None => Ok(()),
        Some(code) => Err(Failed::Program(u8::try_from(code).unwrap_or(1))),
    }
}

/// Builds the inputs of a derivation, and puts the files of its environment into the folder for what is temporary.
pub fn prepare(
    context: &Context,
    store: &Store,
    drv: &StorePath,
    options: BuildOptions,
    folder: &Path,
    outputs: Option<&Path>,
) -> Result<Development> {
    let built = build_inputs(context, store, options, drv)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let environment = development(store, drv, &built, &Places { build: folder, outputs }, cores);
    let environment = environment.map_err(Failed::other)?;
    for (name, text) in &environment.files {
        write(&folder.join(name), text)?;
    }
    Ok(environment)
}

/// A shell that reads its commands from a file or a pipe takes what it reads first from a variable.
fn variables(shell: String, script: &Path, is_interactive: bool) -> Vec<(String, String)> {
    let mut variables = vec![("SHELL".to_owned(), shell)];
    if is_interactive && !std::io::stdin().is_terminal() {
        variables.push(("BASH_ENV".to_owned(), script.display().to_string()));
    }
    variables
}

/// The derivation that is to be worked on.
pub fn derivation(context: &Context, arguments: &Develop) -> Result<StorePath> {
    let source = &arguments.source;
    let operand = source.flake();
    let targets = match operand {
        Some(flake) => {
            with_found(context, &source.language, &source.flake, &arguments.options, |evaluator, flakes| {
                let found = find(evaluator, flakes, &flake, &Search::environments(&flakes.system))?;
                collect_outputs(evaluator, &found)
            })?
        }
        None => {
            let options = build_options(&arguments.options, &source.language.option)?;
            context.targets(source, &context.store()?, &options)?
        }
    };
    let mut derivations: Vec<&StorePath> = targets.iter().map(|target| &target.wanted.drv).collect();
    derivations.dedup();
    match derivations.as_slice() {
        [drv] => Ok((*drv).clone()),
        several => Err(Failed::other(format!(
            "one derivation is needed, and this holds {}: choose one with '--attr'",
            several.len()
        ))),
    }
}

/// Makes all inputs of a derivation valid.
fn build_inputs(
    context: &Context,
    store: &Store,
    options: BuildOptions,
    drv: &StorePath,
) -> Result<BTreeMap<(StorePath, String), StorePath>> {
    let inputs = store.derivation(drv).map_err(Failed::other)?.input_derivations;
    let wanted: Vec<DrvOutput> = inputs
        .iter()
        .flat_map(|(drv, wanted)| {
            wanted.outputs.iter().map(|output| DrvOutput { drv: drv.clone(), output: output.clone() })
        })
        .collect();
    let built = Builder::new(store, options).build(&wanted, &*context.view, &context.cancellation)?;
    Ok(built.into_iter().map(|built| ((built.drv, built.output), built.path)).collect())
}

pub fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text)
        .map_err(|error| Failed::other(format!("cannot write '{}': {error}", path.display())))
}

/// The shell: bash, since the phases of builds are written for it.
pub fn shell(environment: &Development) -> Result<String> {
    if let Ok(shell) = std::env::var("NIX_BUILD_SHELL") {
        return Ok(shell);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join("bash"));
    let found: Option<PathBuf> = candidates.find(|file| file.is_file());
    if let Some(file) = found {
        return Ok(file.display().to_string());
    }
    let builder = environment.builder.to_str_lossy();
    match builder.ends_with("/bash") {
        true => Ok(builder.into_owned()),
        false => {
            Err(Failed::other("no bash was found: install one, or name it in the variable NIX_BUILD_SHELL"))
        }
    }
}

/// What the shell reads first.
fn rc(environment: &Development, wanted: &Wanted<'_>) -> Vec<u8> {
    let mut text = b"unset BASH_ENV\n".to_vec();
    if wanted.is_interactive() {
        text.extend_from_slice(
            b"[ -n \"$PS1\" ] && [ -e ~/.bashrc ] && source ~/.bashrc\nshopt -u expand_aliases\n",
        );
    }
    text.extend_from_slice(b"zeval_path=$PATH\nunset PATH\n");
    text.extend(declarations(environment));
    text.extend_from_slice(BEGIN.as_bytes());
    if let Some(phase) = wanted.phase {
        let phase = phase.strip_suffix("Phase").unwrap_or(phase);
        let phase = quoted(format!("{phase}Phase").as_str().into());
        text.extend_from_slice(b"foundMakefile=1\nrunHook ");
        text.extend_from_slice(&phase);
        text.push(b'\n');
    } else if !wanted.command.is_empty() {
        text.extend_from_slice(b"exec");
        for word in wanted.command {
            text.push(b' ');
            text.extend_from_slice(&quoted(word.as_str().into()));
        }
        text.push(b'\n');
    } else {
        text.extend_from_slice(b"shopt -s expand_aliases\nPS1='\\[\\e[1m\\]develop\\[\\e[0m\\]:\\w\\$ '\n");
    }
    text
}

/// The variables, as a shell sets them.
pub fn declarations(environment: &Development) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in &environment.variables {
        if is_name(name.as_bstr()) {
            text.extend_from_slice(b"export ");
            text.extend_from_slice(name);
            text.push(b'=');
            text.extend_from_slice(&quoted(value.as_bstr()));
            text.push(b'\n');
        }
    }
    text
}

/// Brings in what the environment of a package set (its `stdenv`) defines, and what the derivation asks for; the programs
/// of the machine stay within reach, behind those of the derivation.
const BEGIN: &str = r#"export IN_NIX_SHELL=impure dontAddDisableDepTrack=1
if [ -n "${NIX_ATTRS_SH_FILE-}" ] && [ -e "$NIX_ATTRS_SH_FILE" ]; then source "$NIX_ATTRS_SH_FILE"; fi
if [ -n "${stdenv-}" ] && [ -e "$stdenv/setup" ]; then source "$stdenv/setup"; fi
set +e +u
export PATH="${PATH:+$PATH:}$zeval_path"
unset zeval_path
if ! declare -F runHook > /dev/null; then
  runHook() {
    if declare -F "$1" > /dev/null; then "$1"
    elif [ -n "${!1-}" ]; then eval "${!1}"
    else echo "this derivation has no '$1'" >&2; return 1
    fi
  }
fi
eval "${shellHook:-}"
"#;

/// Whether a shell can have a variable of this name.
fn is_name(name: &BStr) -> bool {
    name.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

pub fn quoted(text: &BStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    quoted.extend_from_slice(&text.replace("'", r"'\''"));
    quoted.push(b'\'');
    quoted
}
