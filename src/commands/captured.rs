//! The environment that a derivation's setup makes, captured as data: variables and functions of bash.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use bstr::{BString, ByteSlice};
use serde_json::{Map, Value, json};
use zeval_builder::{
    build::{BuildOptions, Development},
    sandbox::View,
    store::Store,
};
use zeval_model::StorePath;

use super::{Context, Result, develop};
use crate::diagnostic::Failed;

/// A variable of bash.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    Exported(BString),
    Plain(BString),
    Array(Vec<BString>),
    Associative(BTreeMap<BString, BString>),
}

/// What bash knows once the derivation's setup was read.
pub struct Captured {
    variables: BTreeMap<String, Variable>,
    functions: BTreeMap<String, BString>,
    /// The files of structured attributes, by name.
    files: BTreeMap<String, Vec<u8>>,
    /// Where the outputs would be, and where somebody who builds by hand puts them.
    outputs: Vec<(String, String)>,
}

/// Variables that are the user's, or that a shell makes anew.
const LEFT_OUT: [&str; 17] = [
    "BASHOPTS",
    "HOME",
    "NIX_BUILD_TOP",
    "NIX_ENFORCE_PURITY",
    "NIX_LOG_FD",
    "NIX_REMOTE",
    "PPID",
    "SHELL",
    "SHELLOPTS",
    "SSL_CERT_FILE",
    "TEMP",
    "TEMPDIR",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "UID",
];

/// Reads the setup of a derivation in a clean environment; its inputs are built.
pub fn capture(context: &Context, store: &Store, drv: &StorePath, options: BuildOptions) -> Result<Captured> {
    let scratch = store.temporary_folder().map_err(Failed::other)?;
    let environment = develop::prepare(context, store, drv, options, scratch.path(), None)?;
    let dump = scratch.path().join("dump");
    let script = scratch.path().join("capture");
    let mut text = develop::declarations(&environment);
    text.extend_from_slice(SETUP.as_bytes());
    text.extend_from_slice(b"__zeval_dump > ");
    text.extend(develop::quoted(dump.as_os_str().as_encoded_bytes().as_bstr()));
    text.push(b'\n');
    develop::write(&script, &text)?;
    run(store, &environment, scratch.path(), &script)?;
    let dumped = fs::read(&dump).map_err(|error| {
        Failed::other(format!("the setup of '{drv}' ended before its environment was known: {error}"))
    })?;
    let (variables, functions) =
        read(&dumped).ok_or_else(|| Failed::other("what bash says makes no sense"))?;
    let here = std::env::current_dir().map_err(Failed::other)?.join("outputs");
    let outputs = outputs(store, drv)?;
    let outputs = outputs.into_iter().map(|(name, path)| (path, here.join(name).display().to_string()));
    let files = environment.files.into_iter().filter(|(name, _)| name.starts_with(".attrs.")).collect();
    Ok(Captured { variables, functions, files, outputs: outputs.collect() })
}

fn outputs(store: &Store, drv: &StorePath) -> Result<Vec<(String, String)>> {
    let read = store.derivation(drv).map_err(Failed::other)?;
    let path = |(name, output): (&String, &zeval_model::derivation::Output)| {
        Some((name.clone(), output.path()?.to_string()))
    };
    Ok(read.outputs.iter().filter_map(path).collect())
}

fn run(store: &Store, environment: &Development, folder: &Path, script: &Path) -> Result<()> {
    let builder = environment.builder.to_str_lossy().into_owned();
    let program = if builder.ends_with("/bash") { builder } else { develop::shell(environment)? };
    let mount_point = folder.join("root");
    fs::create_dir(&mount_point).map_err(Failed::other)?;
    let view = View {
        store: store.layout().store().to_owned(),
        store_dir: zeval_model::store_dir().into(),
        mount_point,
        program,
        arguments: vec![script.display().to_string()],
        variables: Vec::new(),
    };
    let status = view.command().and_then(|mut command| {
        // What the setup prints is no part of the answer.
        let to = std::io::stderr();
        let to = std::os::fd::AsFd::as_fd(&to).try_clone_to_owned()?;
        command.env_clear().env("PATH", "/path-not-set").env("HOME", "/homeless-shelter");
        command.env("TERM", "xterm-256color").stdout(to);
        command.status()
    });
    let status = status.map_err(|error| Failed::other(format!("cannot run '{}': {error}", view.program)))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failed::other(format!("the setup failed: {status}"))),
    }
}

/// Reads the setup, and defines what writes down all that bash knows, with zero bytes between.
const SETUP: &str = r#"
unset BASH_ENV
export IN_NIX_SHELL=impure dontAddDisableDepTrack=1
if [ -n "${NIX_ATTRS_SH_FILE-}" ] && [ -e "$NIX_ATTRS_SH_FILE" ]; then source "$NIX_ATTRS_SH_FILE"; fi
if [ -n "${stdenv-}" ] && [ -e "$stdenv/setup" ]; then source "$stdenv/setup"; fi
set +e +u
__zeval_dump() {
  local __zeval_name __zeval_kind __zeval_key
  while IFS= read -r __zeval_name; do
    case $__zeval_name in __zeval_*) continue ;; esac
    __zeval_kind=$(declare -p "$__zeval_name" 2> /dev/null) || continue
    __zeval_kind=${__zeval_kind#declare -}
    __zeval_kind=${__zeval_kind%% *}
    printf '%s\0%s\0' "$__zeval_kind" "$__zeval_name"
    case $__zeval_kind in
      x | -) printf '%s\0' "${!__zeval_name}" ;;
      a | A)
        local -n __zeval_ref=$__zeval_name
        printf '%s\0' "${#__zeval_ref[@]}"
        for __zeval_key in "${!__zeval_ref[@]}"; do printf '%s\0%s\0' "$__zeval_key" "${__zeval_ref[$__zeval_key]}"; done
        unset -n __zeval_ref ;;
    esac
  done < <(compgen -v)
  while IFS= read -r __zeval_name; do
    [ "$__zeval_name" = __zeval_dump ] || printf 'f\0%s\0%s\0' "$__zeval_name" "$(declare -f "$__zeval_name")"
  done < <(compgen -A function)
}
"#;

/// Whether a variable is bash's own.
fn is_of_shell(name: &str) -> bool {
    const NAMES: [&str; 17] = [
        "_",
        "DIRSTACK",
        "EUID",
        "FUNCNAME",
        "HISTCMD",
        "HOSTNAME",
        "GROUPS",
        "PIPESTATUS",
        "PWD",
        "RANDOM",
        "SHLVL",
        "SECONDS",
        "EPOCHREALTIME",
        "EPOCHSECONDS",
        "SRANDOM",
        "LINENO",
        "BASH",
    ];
    name.starts_with("BASH_") || name.starts_with("COMP_") || NAMES.contains(&name)
}

type Everything = (BTreeMap<String, Variable>, BTreeMap<String, BString>);

/// What was written down.
fn read(dumped: &[u8]) -> Option<Everything> {
    let mut parts = dumped.split(|&byte| byte == 0);
    let (mut variables, mut functions) = (BTreeMap::new(), BTreeMap::new());
    loop {
        let kind = parts.next()?;
        if kind.is_empty() {
            // Behind the last zero byte is nothing.
            return parts.next().is_none().then_some((variables, functions));
        }
        let name = parts.next()?.to_str().ok()?.to_owned();
        let variable = match kind {
            b"f" => {
                let text = parts.next()?;
                let body = text.split_once_str("{").map_or(text, |(_, body)| body);
                let body = body.strip_suffix(b"}").unwrap_or(body);
                functions.insert(name, body.into());
                continue;
            }
            b"x" => Variable::Exported(parts.next()?.into()),
            b"-" => Variable::Plain(parts.next()?.into()),
            b"a" | b"A" => {
                let count: usize = parts.next()?.to_str().ok()?.parse().ok()?;
                let mut pairs = Vec::new();
                for _ in 0..count {
                    pairs.push((BString::from(parts.next()?), BString::from(parts.next()?)));
                }
                match kind {
                    b"A" => Variable::Associative(pairs.into_iter().collect()),
                    _ => Variable::Array(pairs.into_iter().map(|(_, value)| value).collect()),
                }
            }
            // Numbers and what is read-only have no place in an environment.
            _ => continue,
        };
        if !is_of_shell(&name) {
            variables.insert(name, variable);
        }
    }
}

fn text(value: &BString) -> Value {
    json!(value.to_str_lossy())
}

impl Captured {
    /// As `nix print-dev-env --json` has it.
    pub fn to_json(&self) -> Value {
        let variable = |variable: &Variable| match variable {
            Variable::Exported(value) => json!({ "type": "exported", "value": text(value) }),
            Variable::Plain(value) => json!({ "type": "var", "value": text(value) }),
            Variable::Array(values) => {
                json!({ "type": "array", "value": values.iter().map(text).collect::<Vec<_>>() })
            }
            Variable::Associative(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| (key.to_str_lossy().into_owned(), text(value)));
                json!({ "type": "associative", "value": entries.collect::<Map<_, _>>() })
            }
        };
        let variables: Map<String, Value> =
            self.variables.iter().map(|(name, value)| (name.clone(), variable(value))).collect();
        let functions: Map<String, Value> =
            self.functions.iter().map(|(name, body)| (name.clone(), text(body))).collect();
        let mut json = json!({ "bashFunctions": functions, "variables": variables });
        if !self.files.is_empty() {
            let files = self.files.iter().map(|(name, text)| (name.clone(), json!(text.to_str_lossy())));
            json["structuredAttrs"] = Value::Object(files.collect());
        }
        json
    }

    /// A script that makes the same of another shell, which keeps what it has of programs and data.
    pub fn to_script(&self) -> Vec<u8> {
        let mut script = b"unset shellHook\n".to_vec();
        for name in ["PATH", "XDG_DATA_DIRS"] {
            script.extend(format!("{name}=${{{name}:-}}\nnix_saved_{name}=\"${name}\"\n").into_bytes());
        }
        let left_out: BTreeSet<&str> = LEFT_OUT.into_iter().collect();
        for (name, variable) in self.variables.iter().filter(|(name, _)| !left_out.contains(name.as_str())) {
            variable.declare(name, &mut script);
        }
        for (name, body) in &self.functions {
            script.extend([name.as_bytes(), b" ()\n{\n", body, b"}\n"].concat());
        }
        for name in ["PATH", "XDG_DATA_DIRS"] {
            let saved = format!("nix_saved_{name}");
            script.extend(format!("{name}=\"${name}${{{saved}:+:${saved}}}\"\n").into_bytes());
        }
        script.extend_from_slice(b"export NIX_BUILD_TOP=\"$(mktemp -d -t nix-shell.XXXXXX)\"\n");
        for name in ["TMP", "TMPDIR", "TEMP", "TEMPDIR"] {
            script.extend(format!("export {name}=\"$NIX_BUILD_TOP\"\n").into_bytes());
        }
        for (name, text) in &self.files {
            let variable = if name.ends_with(".json") { "NIX_ATTRS_JSON_FILE" } else { "NIX_ATTRS_SH_FILE" };
            let quoted = develop::quoted(text.as_bstr());
            script.extend(
                [b"printf '%s' ", &quoted[..], b" > \"$NIX_BUILD_TOP\"/", name.as_bytes(), b"\n"].concat(),
            );
            script.extend(format!("export {variable}=\"$NIX_BUILD_TOP/{name}\"\n").into_bytes());
        }
        script.extend_from_slice(b"eval \"${shellHook:-}\"\n\n");
        self.outputs.iter().fold(script, |script, (path, place)| script.replace(path, place))
    }
}

impl Variable {
    fn declare(&self, name: &str, script: &mut Vec<u8>) {
        let quoted = |text: &BString| develop::quoted(text.as_bstr());
        match self {
            Variable::Exported(value) | Variable::Plain(value) => {
                script.extend([name.as_bytes(), b"=", &quoted(value), b"\n"].concat());
                if matches!(self, Variable::Exported(_)) {
                    script.extend([b"export ", name.as_bytes(), b"\n"].concat());
                }
            }
            Variable::Array(values) => {
                script.extend([b"declare -a ", name.as_bytes(), b"=("].concat());
                values.iter().for_each(|value| script.extend([&quoted(value)[..], b" "].concat()));
                script.extend_from_slice(b")\n");
            }
            Variable::Associative(entries) => {
                script.extend([b"declare -A ", name.as_bytes(), b"=("].concat());
                for (key, value) in entries {
                    script.extend([b"[", &quoted(key)[..], b"]=", &quoted(value), b" "].concat());
                }
                script.extend_from_slice(b")\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bash_wrote_down_is_read() {
        let (variables, functions) =
            read(b"x\0A\0it's\0r\0R\0a\0C\x001\x000\0one\0f\0g\0g () \n{ \n    true\n}\0").unwrap();
        assert_eq!(variables["A"], Variable::Exported("it's".into()));
        assert_eq!(variables["C"], Variable::Array(vec!["one".into()]));
        assert!(!variables.contains_key("R"));
        assert_eq!(functions["g"], " \n    true\n");
        assert!(read(b"x\0A").is_none());
    }
}
