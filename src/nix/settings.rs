//! Nix's settings, as `nix.conf`, `NIX_CONFIG`, `--option` and flags of their names give them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use zeval_builder::store::Syncing;
use zeval_evaluator::{Settings, lint::Lint};

use super::settings_table::{FEATURES, Known, SETTINGS};

/// What values a setting takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Bool,
    /// A whole number, with `K`, `M`, `G` or `T` for sizes.
    Number,
    /// A number, or `auto`.
    Jobs,
    /// Words, to which `extra-NAME` adds.
    List,
    Text,
    /// `ignore`, `warn` or `fatal`
    Lint,
    /// `true`, `false` or `relaxed`
    Sandbox,
}

/// The values that were given, and what was wrong with some.
#[derive(Clone, Debug, Default)]
pub struct NixSettings {
    values: BTreeMap<&'static str, String>,
    /// To be shown before anything is done.
    warnings: Vec<String>,
    unknown: Vec<String>,
}

/// The setting of a name or of an older name; `true` for `extra-NAME`.
fn find(name: &str) -> Option<(&'static Known, bool)> {
    let known =
        |name: &str| SETTINGS.iter().find(|known| known.name == name || known.aliases.contains(&name));
    if let Some(known) = known(name) {
        return Some((known, false));
    }
    let known = known(name.strip_prefix("extra-")?)?;
    (known.kind == Kind::List).then_some((known, true))
}

/// Whether `--NAME` is a flag that sets a setting, and what it then needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SettingFlag {
    /// `--NAME VALUE`
    Value(String),
    /// `--NAME` or `--no-NAME`: the setting and its value.
    Fixed(&'static str, &'static str),
}

/// The setting that a flag without its dashes stands for.
pub fn flag(flag: &str) -> Option<SettingFlag> {
    if flag == "relaxed-sandbox" {
        return Some(SettingFlag::Fixed("sandbox", "relaxed"));
    }
    let is_switch = |known: &&'static Known| matches!(known.kind, Kind::Bool | Kind::Sandbox);
    if let Some((known, _)) = find(flag) {
        return Some(match is_switch(&known) {
            true => SettingFlag::Fixed(known.name, "true"),
            false => SettingFlag::Value(flag.to_owned()),
        });
    }
    let (known, _) = find(flag.strip_prefix("no-")?)?;
    is_switch(&known).then_some(SettingFlag::Fixed(known.name, "false"))
}

impl NixSettings {
    /// What configuration files and the environment say.
    pub fn from_environment() -> Result<NixSettings, String> {
        let mut settings = NixSettings::default();
        for file in configuration_files() {
            settings.read_file(&file, true)?;
        }
        if let Ok(text) = std::env::var("NIX_CONFIG") {
            settings.read_text(&text, "NIX_CONFIG", None)?;
        }
        if std::env::var("NIX_ABORT_ON_WARN").is_ok_and(|value| matches!(&*value, "1" | "true" | "yes")) {
            settings.values.insert("abort-on-warn", "true".into());
        }
        // What the environment says of the search path counts more than files do, and less than flags.
        if std::env::var_os("NIX_PATH").is_some() {
            settings.values.remove("nix-path");
        }
        Ok(settings)
    }

    fn read_file(&mut self, path: &Path, may_be_missing: bool) -> Result<(), String> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(_) if may_be_missing => return Ok(()),
            Err(_) => return Err(format!("file '{}' not found", path.display())),
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        self.read_text(&text, &path.display().to_string(), path.parent())
    }

    fn read_text(&mut self, text: &str, origin: &str, folder: Option<&Path>) -> Result<(), String> {
        for line in text.lines() {
            let code = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = code.split_whitespace().collect();
            match words[..] {
                [] => {}
                [directive @ ("include" | "!include"), file] => {
                    let folder = folder.unwrap_or(Path::new("/"));
                    self.read_file(&folder.join(file), directive == "!include")?;
                }
                [name, "=", ref values @ ..] => self.set(name, &values.join(" ")),
                _ => return Err(format!("syntax error in configuration line '{line}' in \"{origin}\"")),
            }
        }
        Ok(())
    }

    /// Sets a setting; what is wrong with it becomes a warning.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.try_set(name, value) {
            Err(problem) if find(name).is_none() => self.unknown.push(problem),
            Err(problem) => self.warnings.push(problem),
            Ok(()) => {}
        }
    }

    /// Sets a setting, unless its name or value cannot be.
    pub fn try_set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let (known, extra) = find(name).ok_or_else(|| format!("unknown setting '{name}'"))?;
        if let Some(problem) = problem(known, name, value) {
            return Err(problem);
        }
        if known.name == "warn-short-path-literals" {
            let message =
                "'warn-short-path-literals' is deprecated, use 'lint-short-path-literals = warn' instead";
            self.warnings.push(message.into());
            if is_true(value) {
                self.values.insert("lint-short-path-literals", "warn".into());
            }
        }
        if known.name == "experimental-features" {
            let mut unknown: Vec<&str> =
                value.split_whitespace().filter(|feature| !FEATURES.contains(feature)).collect();
            unknown.sort_unstable();
            self.warnings
                .extend(unknown.iter().map(|feature| format!("unknown experimental feature '{feature}'")));
        }
        let before = self.values.get(known.name).filter(|_| extra);
        let value = before.map_or_else(|| value.to_owned(), |before| format!("{before} {value}"));
        self.values.insert(known.name, value);
        Ok(())
    }

    /// What was wrong with what was given, in the order in which Nix says it.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.warnings.iter().chain(&self.unknown).map(String::as_str)
    }

    /// All that was given, as `--option` is given it: names and values by turns.
    pub fn pairs(&self) -> Vec<String> {
        let known = |name: &str, value: &str| match name {
            // Of the others was warned already.
            "experimental-features" => {
                let known = value.split_whitespace().filter(|feature| FEATURES.contains(feature));
                known.collect::<Vec<_>>().join(" ")
            }
            _ => value.to_owned(),
        };
        self.values.iter().flat_map(|(name, value)| [(*name).to_owned(), known(name, value)]).collect()
    }

    /// Adds to a list what was there before `extra-NAME` was given.
    pub fn set_default(&mut self, name: &'static str, value: &str) {
        self.values.entry(name).or_insert_with(|| value.to_owned());
    }

    /// Changes how to evaluate as far as a setting was given.
    pub fn apply(&self, settings: &mut Settings) {
        let switches = [
            ("pure-eval", &mut settings.pure),
            ("restrict-eval", &mut settings.restricted),
            ("show-trace", &mut settings.show_trace),
            ("trace-verbose", &mut settings.trace_verbose),
            ("abort-on-warn", &mut settings.abort_on_warn),
            ("ignore-try", &mut settings.ignore_try),
            ("debugger-on-trace", &mut settings.stops_at_trace),
            ("debugger-on-warn", &mut settings.stops_at_warn),
            ("trace-function-calls", &mut settings.trace_calls),
            ("trace-import-from-derivation", &mut settings.trace_import_from_derivation),
            ("allow-import-from-derivation", &mut settings.import_from_derivation),
        ];
        settings.allowed_uris.extend(self.words("allowed-uris"));
        for (name, switch) in switches {
            *switch = self.is_on(name).unwrap_or(*switch);
        }
        let system =
            ["eval-system", "system"].iter().find_map(|name| self.text(name).filter(|s| !s.is_empty()));
        if let Some(system) = system {
            settings.system = system.to_owned();
        }
        if let Some(depth) = self.number("max-call-depth") {
            settings.max_call_depth = depth;
        }
        settings.features.extend(self.words("experimental-features"));
        let lint = |name, lint: &mut Lint| {
            *lint = self.text(name).and_then(Lint::from_name).unwrap_or(*lint);
        };
        lint("lint-url-literals", &mut settings.lints.url_literals);
        lint("lint-absolute-path-literals", &mut settings.lints.absolute_paths);
        lint("lint-short-path-literals", &mut settings.lints.short_paths);
    }

    /// For what of a store the disk is to be waited for.
    pub fn syncing(&self) -> Syncing {
        let usual = Syncing::default();
        Syncing {
            paths: self.is_on("fsync-store-paths").unwrap_or(usual.paths),
            metadata: self.is_on("fsync-metadata").unwrap_or(usual.metadata),
        }
    }

    /// A setting that is on or off.
    pub fn is_on(&self, name: &str) -> Option<bool> {
        self.values.get(name).map(|value| is_true(value))
    }

    /// A setting as it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A number, without unit.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// The words of a setting.
    pub fn words(&self, name: &str) -> Vec<String> {
        self.text(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }
}

fn is_true(value: &str) -> bool {
    matches!(value, "true" | "yes" | "1")
}

fn problem(known: &Known, name: &str, value: &str) -> Option<String> {
    let is_bool = is_true(value) || matches!(value, "false" | "no" | "0");
    let is_number = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty();
    let valid = match known.kind {
        Kind::Bool => is_bool,
        Kind::Sandbox => is_bool || value == "relaxed",
        Kind::Number => is_number(value.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(value)),
        Kind::Jobs => is_number(value) || value == "auto",
        Kind::Lint => matches!(value, "ignore" | "warn" | "fatal"),
        Kind::Text if known.name == "store" => super::store::is_location(value),
        Kind::List | Kind::Text => true,
    };
    let invalid = format!("setting '{name}' has invalid value '{value}'");
    (!valid).then(|| match known.kind {
        Kind::Bool | Kind::Sandbox => format!("Boolean {invalid}"),
        Kind::Lint => {
            format!("option '{name}' has invalid value '{value}' (expected 'ignore', 'warn', or 'fatal')")
        }
        Kind::Text => format!("Cannot parse Nix store '{value}'"),
        Kind::Jobs => format!("configuration setting '{name}' should be 'auto' or an integer"),
        _ => invalid,
    })
}

/// Where configuration is read from: the system's, then the user's, the least important first.
fn configuration_files() -> Vec<PathBuf> {
    let system = std::env::var_os("NIX_CONF_DIR").map_or_else(|| PathBuf::from("/etc/nix"), PathBuf::from);
    let mut files = vec![system.join("nix.conf")];
    if let Some(given) = std::env::var_os("NIX_USER_CONF_FILES") {
        let mut user: Vec<PathBuf> = std::env::split_paths(&given).collect();
        user.reverse();
        files.extend(user);
        return files;
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let own = own.or_else(|| home.map(|home| home.join(".config")));
    let shared = std::env::var_os("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
    let mut folders: Vec<PathBuf> = own.into_iter().chain(std::env::split_paths(&shared)).collect();
    folders.reverse();
    files.extend(folders.into_iter().map(|folder| folder.join("nix/nix.conf")));
    files
}
