//! `nix`: its commands for flakes and what they have, for stores, hashes and keys.

mod archive;
mod build;
mod config;
mod copy;
mod evaluate;
mod exchange;
mod flake;
mod hashes;
mod installables;
mod known;
mod objects;
mod path_info;
mod profile;
mod realisation;
mod registry;
mod search;
mod setup;
mod upkeep;
mod why_depends;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{IsTerminal, Read},
    process::ExitCode,
    sync::Arc,
};

use zeval_builder::store::Store;
use zeval_model::StorePath;

use super::{
    flags::{self, Common, INFO, Rest},
    outcome::{Outcome, end, fail, usage},
    place,
};

const HELP: &str = "Usage: nix COMMAND [FLAGS]

The commands of Nix for flakes and what they have:

  nix build, nix eval, nix run, nix shell, nix develop, nix print-dev-env, nix fmt
  nix flake archive|check|clone|info|init|lock|metadata|new|prefetch|prefetch-inputs|show|update
  nix profile add|diff-closures|history|list|remove|rollback|upgrade|wipe-history
  nix registry add|list|pin|remove|resolve
  nix derivation show, nix search, nix edit

Those for stores, hashes and keys:

  nix path-info, nix copy, nix log, nix why-depends
  nix config show|check
  nix store add|add-file|add-path|cat|copy-log|copy-sigs|delete|diff-closures|dump-path|gc|info|ls|
            make-content-addressed|optimise|path-from-hash-part|prefetch-file|repair|sign|verify
  nix realisation info
  nix hash  file|path|convert|to-base16|to-base32|to-base64|to-sri
  nix nar   cat|ls|pack
  nix key   generate-secret|convert-secret-to-public

They take Nix's flags. zeval's own commands tell more of errors and builds: see 'zeval --help'.
";

/// A command.
struct Entry {
    words: &'static [&'static str],
    /// Flags without value; those that mean the same stand together, apart by a bar.
    switches: &'static [&'static str],
    /// Flags with a value.
    valued: &'static [&'static str],
    run: fn(&Call) -> Outcome<()>,
}

/// Flags of every command, with those of [`setup`] for the commands that evaluate.
const SHARED: [&str; 5] = ["-L|--print-build-logs", "--offline", "--refresh", "--no-net", "--stdin"];
/// Whether JSON is laid out for people.
const LAYOUT: [&str; 2] = ["--pretty", "--no-pretty"];
const SOURCE: [&str; 2] = ["-f|--file", "--expr|-E"];
const COMMAND: &str = "-c|--command";
/// The first name of [`COMMAND`]: all behind it is the command.
const COMMAND_FLAG: &str = "-c";

const RECURSIVE: &str = "-r|--recursive";
const JSON: &str = "--json";
const PROFILE: &str = "--profile";
/// A variable and its value.
const SET: &str = "-s|--set-env-var";
/// What is used of the store, and the folder that is to be used instead.
const REDIRECT: &str = "--redirect";

#[rustfmt::skip]
const COMMANDS: &[Entry] = &[
    Entry { words: &["build"], run: build::run, valued: &["-o|--out-link", PROFILE],
            switches: &["--no-link", "--dry-run", JSON, "--print-out-paths", "--rebuild"] },
    Entry { words: &["eval"], run: evaluate::eval, valued: &["--apply", "--write-to"],
            switches: &[JSON, "--raw", "--read-only", "--pretty", "--no-pretty"] },
    Entry { words: &["run"], run: evaluate::run, switches: &[], valued: &[] },
    Entry { words: &["shell"], run: evaluate::shell, switches: &[], valued: &[COMMAND] },
    Entry { words: &["env", "shell"], run: evaluate::shell, switches: &[], valued: &[COMMAND] },
    Entry { words: &["print-dev-env"], run: evaluate::print_environment, switches: &[JSON], valued: &[] },
    Entry { words: &["develop"], run: evaluate::develop,
            valued: &[COMMAND, "--phase", "-k|--keep-env-var|--keep", "-u|--unset-env-var|--unset", SET,
                      REDIRECT],
            switches: &["-i|--ignore-env|--ignore-environment", "--unpack", "--configure", "--build", "--check", "--install",
                        "--installcheck"] },
    Entry { words: &["fmt"], run: evaluate::format, switches: &[], valued: &[] },
    Entry { words: &["derivation", "show"], run: evaluate::show_derivations, switches: &[RECURSIVE], valued: &[] },
    Entry { words: &["flake", "archive"], run: flake::archive, switches: &[JSON, "--dry-run", "--no-check-sigs"], valued: &[] },
    Entry { words: &["flake", "check"], run: flake::check, switches: &["--no-build", "--all-systems", JSON], valued: &[] },
    Entry { words: &["flake", "clone"], run: flake::clone, switches: &[], valued: &["-f|--dest"] },
    Entry { words: &["flake", "info"], run: flake::metadata, switches: &[JSON], valued: &[] },
    Entry { words: &["flake", "init"], run: flake::init, switches: &[], valued: &["-t|--template"] },
    Entry { words: &["flake", "lock"], run: flake::lock, switches: &[], valued: &[] },
    Entry { words: &["flake", "metadata"], run: flake::metadata, switches: &[JSON], valued: &[] },
    Entry { words: &["flake", "new"], run: flake::new, switches: &[], valued: &["-t|--template"] },
    Entry { words: &["flake", "prefetch-inputs"], run: flake::prefetch_inputs, switches: &[], valued: &[] },
    Entry { words: &["flake", "prefetch"], run: flake::prefetch, switches: &[JSON], valued: &["-o|--out-link"] },
    Entry { words: &["flake", "show"], run: flake::show, switches: &["--legacy", "--all-systems", JSON], valued: &[] },
    Entry { words: &["flake", "update"], run: flake::update, switches: &[], valued: &["--flake"] },
    Entry { words: &["search"], run: search::run, switches: &[JSON], valued: &["-e|--exclude"] },
    Entry { words: &["edit"], run: search::edit, switches: &[], valued: &[] },
    Entry { words: &["config", "show"], run: config::show, switches: &[JSON], valued: &[] },
    Entry { words: &["config", "check"], run: config::check, switches: &[], valued: &[] },
    Entry { words: &["show-config"], run: config::show_config, switches: &[JSON], valued: &[] },
    Entry { words: &["doctor"], run: config::doctor, switches: &[], valued: &[] },
    Entry { words: &["profile", "add"], run: profile::add, switches: &[], valued: &[PROFILE, "--priority"] },
    Entry { words: &["profile", "install"], run: profile::install, switches: &[], valued: &[PROFILE, "--priority"] },
    Entry { words: &["profile", "diff-closures"], run: profile::diff_closures, switches: &[], valued: &[PROFILE] },
    Entry { words: &["profile", "history"], run: profile::history, switches: &[], valued: &[PROFILE] },
    Entry { words: &["profile", "list"], run: profile::list, switches: &[JSON], valued: &[PROFILE] },
    Entry { words: &["profile", "remove"], run: profile::remove, switches: &["--all"], valued: &[PROFILE, "--regex"] },
    Entry { words: &["profile", "rollback"], run: profile::rollback, switches: &["--dry-run"], valued: &[PROFILE, "--to"] },
    Entry { words: &["profile", "upgrade"], run: profile::upgrade, switches: &["--all"], valued: &[PROFILE, "--regex"] },
    Entry { words: &["profile", "wipe-history"], run: profile::wipe_history, switches: &["--dry-run"],
            valued: &[PROFILE, "--older-than"] },
    Entry { words: &["registry", "add"], run: registry::add, switches: &[], valued: &["--registry"] },
    Entry { words: &["registry", "list"], run: registry::list, switches: &[], valued: &[] },
    Entry { words: &["registry", "pin"], run: registry::pin, switches: &[], valued: &["--registry"] },
    Entry { words: &["registry", "remove"], run: registry::remove, switches: &[], valued: &["--registry"] },
    Entry { words: &["registry", "resolve"], run: registry::resolve, switches: &[], valued: &[] },
    Entry { words: &["path-info"], run: path_info::run, valued: &["--json-format"],
            switches: &[RECURSIVE, "-s|--size", "-S|--closure-size", "-h|--human-readable", "--sigs", JSON, "--all", "--derivation"] },
    Entry { words: &["copy"], run: copy::run, valued: &["--to", "--from"],
            switches: &[RECURSIVE, "--no-recursive", "--all", "--no-check-sigs", "-s|--substitute-on-destination", "--derivation"] },
    Entry { words: &["log"], run: objects::log, switches: &[], valued: &[] },
    Entry { words: &["store", "add"], run: objects::add, switches: &["--dry-run"],
            valued: &["-n|--name", "--mode", "--hash-algo"] },
    Entry { words: &["store", "add-file"], run: objects::add_file, switches: &["--dry-run"], valued: &["-n|--name"] },
    Entry { words: &["store", "add-path"], run: objects::add, switches: &["--dry-run"], valued: &["-n|--name"] },
    Entry { words: &["store", "cat"], run: objects::cat, switches: &[], valued: &[] },
    Entry { words: &["store", "ls"], run: objects::ls, switches: &["-l|--long", "-R|--recursive", "-d|--directory", JSON], valued: &[] },
    Entry { words: &["store", "dump-path"], run: objects::dump, switches: &[], valued: &[] },
    Entry { words: &["why-depends"], run: why_depends::run, switches: &["--all|-a", "--precise", "--derivation"], valued: &[] },
    Entry { words: &["nar", "ls"], run: archive::ls, switches: &["-l|--long", "-R|--recursive", "-d|--directory", JSON], valued: &[] },
    Entry { words: &["nar", "cat"], run: archive::cat, switches: &[], valued: &[] },
    Entry { words: &["nar", "pack"], run: objects::pack, switches: &[], valued: &[] },
    Entry { words: &["nar", "dump-path"], run: objects::pack, switches: &[], valued: &[] },
    Entry { words: &["store", "path-from-hash-part"], run: objects::from_hash_part, switches: &[], valued: &[] },
    Entry { words: &["store", "prefetch-file"], run: objects::prefetch, switches: &[JSON, "--executable", "--unpack"],
            valued: &["-n|--name", "--expected-hash", "--hash-type|--hash-algo"] },
    Entry { words: &["store", "diff-closures"], run: objects::diff_closures, switches: &[], valued: &[] },
    Entry { words: &["store", "gc"], run: upkeep::gc, switches: &["--dry-run"], valued: &["--max"] },
    Entry { words: &["store", "delete"], run: upkeep::delete, switches: &[RECURSIVE, "--ignore-liveness"], valued: &[] },
    Entry { words: &["store", "optimise"], run: upkeep::optimise, switches: &[], valued: &[] },
    Entry { words: &["store", "verify"], run: upkeep::verify, valued: &["-s|--substituter", "-n|--sigs-needed"],
            switches: &[RECURSIVE, "--all", "--no-contents", "--no-trust"] },
    Entry { words: &["store", "repair"], run: upkeep::repair, switches: &[RECURSIVE, "--all"], valued: &[] },
    Entry { words: &["store", "sign"], run: upkeep::sign, switches: &[RECURSIVE, "--all"], valued: &["-k|--key-file"] },
    Entry { words: &["store", "copy-log"], run: exchange::copy_log, switches: &[], valued: &["--to", "--from"] },
    Entry { words: &["store", "copy-sigs"], run: exchange::copy_signatures, switches: &[RECURSIVE, "--all"],
            valued: &["-s|--substituter"] },
    Entry { words: &["realisation", "info"], run: realisation::info, switches: &[JSON], valued: &[] },
    Entry { words: &["store", "make-content-addressed"], run: upkeep::make_content_addressed,
            switches: &[RECURSIVE, JSON], valued: &[] },
    Entry { words: &["store", "info"], run: upkeep::info, switches: &[JSON], valued: &[] },
    Entry { words: &["store", "ping"], run: upkeep::info, switches: &[JSON], valued: &[] },
    Entry { words: &["hash", "file"], run: hashes::file, switches: HASH_SWITCHES, valued: HASH_VALUED },
    Entry { words: &["hash", "path"], run: hashes::path, switches: HASH_SWITCHES, valued: HASH_VALUED },
    Entry { words: &["hash", "convert"], run: hashes::convert, switches: &[], valued: &["--to", "--from", "--hash-algo"] },
    Entry { words: &["hash", "to-base16"], run: hashes::to_base16, switches: &[], valued: &["--type"] },
    Entry { words: &["hash", "to-base32"], run: hashes::to_base32, switches: &[], valued: &["--type"] },
    Entry { words: &["hash", "to-base64"], run: hashes::to_base64, switches: &[], valued: &["--type"] },
    Entry { words: &["hash", "to-sri"], run: hashes::to_sri, switches: &[], valued: &["--type"] },
    Entry { words: &["key", "generate-secret"], run: hashes::generate_key, switches: &[], valued: &["--key-name"] },
    Entry { words: &["key", "convert-secret-to-public"], run: hashes::public_key, switches: &[], valued: &[] },
];

const HASH_SWITCHES: &[&str] = &["--sri", "--base16", "--base32", "--base64"];
const HASH_VALUED: &[&str] = &["--type|--algo", "--format"];

/// What a command works with.
struct Call {
    common: Common,
    /// The switches that were given, by the first of their names.
    switches: BTreeSet<&'static str>,
    /// The values that were given, by the first of their names.
    values: Vec<(&'static str, String)>,
    /// The words that name the command.
    words: &'static [&'static str],
    /// What stands behind `--` or is the command of `--command`: not looked into.
    tail: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    end("nix", parse_and_run(arguments))
}

fn parse_and_run(arguments: &[OsString]) -> Outcome<()> {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some(at) = words.iter().position(|word| COMMANDS.iter().any(|entry| entry.words[0] == *word)) else {
        return without_command(&words);
    };
    if words.get(at + 1).is_some_and(|word| word == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let groups: Vec<&Entry> = COMMANDS.iter().filter(|entry| entry.words[0] == words[at]).collect();
    let entry = match groups[..] {
        [entry] if entry.words.len() == 1 => entry,
        _ => sub_command(&words[at], words.get(at + 1), &groups)?,
    };
    let (before, after) = (&arguments[..at], &arguments[at + entry.words.len()..]);
    let mut rest: Vec<OsString> = before.iter().chain(after).cloned().collect();
    let mut tail = Vec::new();
    if entry.evaluates()
        && let Some(end) = rest.iter().position(|word| word == "--")
    {
        tail = texts(rest.split_off(end).into_iter().skip(1));
    }
    let mut switches = BTreeSet::new();
    let mut values = Vec::new();
    let common = flags::parse(&rest, &mut |flag, rest: &mut Rest| {
        if let Some(name) = entry.switch(flag) {
            switches.insert(name);
        } else if known(entry.valued, flag) == Some(COMMAND_FLAG) {
            tail = texts(rest.all());
        } else if let Some(name) = entry.valued(flag) {
            let is_pair = name == REDIRECT || entry.valued.contains(&SET) && name == "-s";
            let count = if setup::PAIRS.contains(&name) || is_pair { 2 } else { 1 };
            for given in 0..count {
                let value = rest.value(flag).map_err(|_| {
                    format!("flag '{flag}' requires {count} argument(s), but only {given} were given")
                })?;
                values.push((name, value.to_string_lossy().into_owned()));
            }
        } else {
            return Ok(false);
        }
        Ok(true)
    });
    let mut common = match common {
        Ok(common) => common,
        Err(message) => return usage(message),
    };
    if entry.evaluates() {
        common.build_output = switches.contains("-L");
        if values.iter().any(|(name, _)| *name == "-f") && entry.words[0] != "flake" {
            common.settings.set_default("pure-eval", "false");
        }
    }
    if switches.contains("--offline") || switches.contains("--no-net") {
        common.settings.set("tarball-ttl", &u32::MAX.to_string());
        common.settings.set("substitute", "false");
    }
    if switches.contains("--refresh") {
        common.settings.set("tarball-ttl", "0");
    }
    if switches.contains("--stdin") {
        let mut words = String::new();
        std::io::stdin().read_to_string(&mut words)?;
        common.operands.extend(words.split_whitespace().map(OsString::from));
    }
    common.show_warnings();
    (entry.run)(&Call { common, switches, values, words: entry.words, tail })
}

fn texts(words: impl IntoIterator<Item = OsString>) -> Vec<String> {
    words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

impl Entry {
    /// Whether the command may evaluate: its operands are flakes, or attributes of an expression.
    fn evaluates(&self) -> bool {
        let groups = [
            "build",
            "eval",
            "run",
            "shell",
            "env",
            "develop",
            "fmt",
            "derivation",
            "flake",
            "profile",
            "registry",
            "search",
            "edit",
            "print-dev-env",
            "realisation",
        ];
        let others =
            ["verify", "sign", "make-content-addressed", "repair", "delete", "copy-log", "copy-sigs"];
        groups.contains(&self.words[0])
            || matches!(self.words, ["path-info" | "copy"])
            || matches!(self.words, ["store", command] if others.contains(command))
    }

    /// The first name of a switch of the command.
    fn switch(&self, flag: &str) -> Option<&'static str> {
        let shared = || known(&SHARED, flag).or(known(&setup::SWITCHES, flag));
        let layout = || self.switches.contains(&JSON).then(|| known(&LAYOUT, flag)).flatten();
        known(self.switches, flag).or_else(|| self.evaluates().then(shared).flatten()).or_else(layout)
    }

    /// The first name of a flag of the command that has a value.
    fn valued(&self, flag: &str) -> Option<&'static str> {
        let is_expression = self.evaluates() && !matches!(self.words[0], "flake" | "registry");
        let source = || is_expression.then(|| known(&SOURCE, flag)).flatten();
        let shared = || self.evaluates().then(|| known(&setup::VALUED, flag)).flatten();
        known(self.valued, flag).or_else(source).or_else(shared)
    }
}

fn without_command(words: &[String]) -> Outcome<()> {
    if words.iter().any(|word| word == "--version") {
        super::print_version("nix");
        return Ok(());
    }
    if words.iter().any(|word| word == "--help" || word == "help") {
        print!("{HELP}");
        return Ok(());
    }
    match words.iter().find(|word| !word.starts_with('-')) {
        Some(word) => usage(format!("'{word}' is not a recognised command")),
        None => usage("no subcommand specified"),
    }
}

const SUB_COMMANDS: &str = "sub-commands:";
/// How long lines of text are at the most.
const WIDTH: usize = 58;

fn sub_command<'e>(group: &str, word: Option<&String>, entries: &[&'e Entry]) -> Outcome<&'e Entry> {
    let Some(word) = word.filter(|word| !word.starts_with('-')) else {
        let known = entries.iter().map(|entry| entry.words[1]).filter(|word| *word != "install");
        let names: Vec<String> = known.map(|word| format!("· {word}")).collect();
        let names = names.join("\n  ");
        let first = format!("nix {group} requires a sub-command. Available");
        // Nix breaks lines.
        let between = if first.len() + SUB_COMMANDS.len() <= WIDTH { " " } else { "\n" };
        return usage(format!("{first}{between}{SUB_COMMANDS}\n\n  {names}"));
    };
    match entries.iter().find(|entry| entry.words[1] == *word) {
        Some(entry) => Ok(entry),
        None => usage(format!("'{word}' is not a recognised command")),
    }
}

/// The first name of a flag that is among those known.
fn known(flags: &[&'static str], flag: &str) -> Option<&'static str> {
    let found = flags.iter().find(|names| names.split('|').any(|name| name == flag))?;
    found.split('|').next()
}

impl Call {
    fn has(&self, switch: &str) -> bool {
        self.switches.contains(switch)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag that may be given several times.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn store(&self) -> Outcome<Arc<Store>> {
        place::open(&self.common)
    }

    fn operand(&self) -> Outcome<&OsString> {
        match &self.common.operands[..] {
            [one] => Ok(one),
            [] => usage("more arguments are required"),
            [_, more, ..] => usage(format!("unexpected argument '{}'", more.to_string_lossy())),
        }
    }

    /// The store paths that the operands name: themselves, or what flakes and expressions describe.
    fn named(&self, store: &Store) -> Outcome<Vec<StorePath>> {
        let words = &self.common.operands;
        let is_expression = self.value("-f").or(self.value("--expr")).is_some();
        if !is_expression && !words.iter().any(|word| crate::flakes::is_flake(word)) {
            return words.iter().map(|word| place::store_path(store, word)).collect();
        }
        let setup = self.setup()?;
        let meant = installables::meant(self, &setup, store, &installables::operands(self))?;
        if self.has("--derivation") {
            return Ok(meant.iter().map(|meant| meant.top().clone()).collect());
        }
        match self.words {
            ["copy"] => build::realise(self, &setup, store, &meant)?,
            _ => build::announce(self, &setup, store, &meant)?,
        }
        let mut paths = Vec::new();
        for meant in &meant {
            paths.extend(meant.paths(store)?.into_iter().map(|(_, path)| path));
        }
        Ok(paths)
    }

    /// The valid paths that the operands name, with their closures if `recursive`.
    fn paths(&self, store: &Store, recursive: bool) -> Outcome<BTreeSet<StorePath>> {
        if self.has("--all") {
            return Ok(store.all_valid()?);
        }
        let mut paths = BTreeSet::new();
        for path in self.named(store)? {
            if !store.is_valid(&path)? {
                // What is to be built was told already.
                if self.common.operands.iter().all(|word| !crate::flakes::is_flake(word)) {
                    self.say(format!("don't know how to build these paths:\n  {path}"));
                }
                return fail(format!("path '{path}' is not valid"));
            }
            paths.insert(path);
        }
        match recursive {
            true => Ok(store.closure(&paths)?),
            false => Ok(paths),
        }
    }

    fn say(&self, text: impl std::fmt::Display) {
        self.common.say(text);
    }

    fn warn(&self, text: impl std::fmt::Display) {
        self.common.warn(text);
    }

    /// Prints JSON: laid out for people if they are to read it.
    fn print_json(&self, value: &serde_json::Value) {
        let stdout = std::io::stdout();
        let is_pretty = self.has("--pretty") || !self.has("--no-pretty") && stdout.is_terminal();
        let text = if is_pretty { format!("{value:#}\n") } else { format!("{value}\n") };
        // Nobody reads on: that is no error of ours.
        let _ = std::io::Write::write_all(&mut stdout.lock(), text.as_bytes());
    }
}
