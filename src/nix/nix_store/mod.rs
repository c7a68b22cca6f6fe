//! `nix-store`: one operation on the store a run.

mod add;
mod collect;
mod query;
mod realise;
mod registrations;
mod serve;
mod validity;

use std::{ffi::OsString, io::IsTerminal, io::Read, path::PathBuf, process::ExitCode, sync::Arc};

use zeval_builder::store::Store;
use zeval_model::StorePath;

use super::{
    flags::{self, Common, INFO, Rest},
    outcome::{Outcome, end, usage},
    place,
};

pub use add::{existing, fresh_key, name_of, parse_algorithm};
pub use collect::{Collection, collect, collect_options, size};
pub use validity::needs_no_repair;

const HELP: &str = "Usage: nix-store OPERATION [FLAGS] [PATH...]

  -r, --realise PATH...       Make paths valid: --dry-run, --check, --repair, --ignore-unknown, --add-root LINK
  -q, --query PATH...         --outputs, -R/--requisites, --references, --referrers, --referrers-closure, -d/--deriver,
                              --valid-derivers, -b/--binding NAME, --hash, --size, --tree, --graph, --graphml, --resolve,
                              --roots; with -u/--use-output, -f/--force-realise, --include-outputs
  -A, --add FILE...           Add files
  --add-fixed ALGORITHM FILE...   The same, by a hash of your choice: --recursive
  --print-fixed-path ALGORITHM HASH NAME
  --dump FILE, --restore FILE Write and read archives (NAR)
  --export PATH..., --import  Write and read paths with what is known of them
  --serve                     Give and, with --write, take paths over ssh, as Nix's ssh:// asks for it
  --check-validity PATH...    Whether paths are valid: --print-invalid
  --verify                    --check-contents, --repair
  --verify-path PATH..., --repair-path PATH...
  --gc                        --print-roots, --print-live, --print-dead, --max-freed BYTES
  --delete PATH...            --ignore-liveness
  --optimise                  Make equal files hard links of each other
  --dump-db, --load-db, --register-validity
  --print-env DERIVATION      The environment of a build, for a shell
  -l, --read-log PATH...      What builds printed
  --generate-binary-cache-key NAME SECRET-FILE PUBLIC-FILE
  --init, --version
";

type Operation = fn(&mut Shop) -> Outcome<()>;

/// The operations by their flags.
const OPERATIONS: [(&str, Operation); 33] = [
    ("--realise", realise::realise),
    ("--realize", realise::realise),
    ("-r", realise::realise),
    ("--add", add::add),
    ("-A", add::add),
    ("--add-fixed", add::add_fixed),
    ("--print-fixed-path", add::print_fixed_path),
    ("--delete", collect::delete),
    ("--query", query::query),
    ("-q", query::query),
    ("--print-env", query::print_env),
    ("--read-log", query::read_log),
    ("-l", query::read_log),
    ("--dump-db", registrations::dump),
    ("--load-db", registrations::load),
    ("--register-validity", registrations::register),
    ("--check-validity", validity::check),
    ("--gc", collect::gc),
    ("--dump", add::dump),
    ("--restore", add::restore),
    ("--export", add::export),
    ("--import", add::import),
    ("--init", validity::init),
    ("--verify", validity::verify),
    ("--verify-path", validity::verify_path),
    ("--repair-path", validity::repair_path),
    ("--optimise", collect::optimise),
    ("--optimize", collect::optimise),
    ("--generate-binary-cache-key", add::generate_key),
    ("--version", version),
    ("--help", help),
    ("--serve", serve::serve),
    ("--print-fixed", add::print_fixed_path),
];

/// What an operation works with.
pub struct Shop {
    common: Common,
    /// Flags of the operation, with their values as further ones.
    flags: Vec<String>,
    arguments: Vec<OsString>,
    root: Option<PathBuf>,
    no_output: bool,
    /// Links made by `--add-root`.
    roots: usize,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    end("nix-store", parse_and_run(arguments))
}

fn parse_and_run(arguments: &[OsString]) -> Outcome<()> {
    let mut chosen: Option<(Operation, &str)> = None;
    let mut clash = false;
    let mut from_stdin = false;
    let mut root = None;
    let mut no_output = false;
    let mut left = Vec::new();
    let mut own = |flag: &str, rest: &mut Rest| {
        if let Some((name, operation)) = OPERATIONS.iter().find(|(name, _)| *name == flag) {
            clash |= chosen.is_some_and(|(before, _)| !std::ptr::fn_addr_eq(before, *operation));
            chosen = Some((*operation, *name));
            return Ok(true);
        }
        match flag {
            "--add-root" => root = Some(PathBuf::from(rest.value(flag)?)),
            "--stdin" => from_stdin = !std::io::stdin().is_terminal(),
            "--indirect" => {}
            "--no-output" => no_output = true,
            // Elsewhere these are shared flags.
            "--repair" => left.push(flag.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    };
    let mut unknown = Vec::new();
    let common = flags::parse_leaving(arguments, &mut own, &mut |flag, rest| {
        unknown.push(flag.to_owned());
        if matches!(flag, "--max-freed" | "--max-links" | "--max-atime") {
            unknown.push(rest.value(flag)?.to_string_lossy().into_owned());
        }
        Ok(true)
    });
    let mut common = match common {
        Ok(common) => common,
        Err(message) => return usage(message),
    };
    if clash {
        return usage("only one operation may be specified");
    }
    let Some((operation, name)) = chosen else { return usage("no operation specified") };
    left.extend(unknown);
    common.show_warnings();
    let mut arguments = std::mem::take(&mut common.operands);
    if from_stdin && !matches!(name, "--import" | "--restore") {
        let mut words = String::new();
        std::io::stdin().read_to_string(&mut words)?;
        arguments.extend(words.split_whitespace().map(OsString::from));
    }
    operation(&mut Shop { common, flags: left, arguments, root, no_output, roots: 0 })
}

impl Shop {
    fn store(&self) -> Outcome<Arc<Store>> {
        place::open(&self.common)
    }

    /// The store paths that the arguments name.
    fn paths(&self, store: &Store) -> Outcome<Vec<StorePath>> {
        self.arguments.iter().map(|word| place::store_path(store, word)).collect()
    }

    /// Refuses flags that are not among those known; tells for each of those whether it was given.
    fn switches<const N: usize>(&self, known: [&str; N]) -> Outcome<[bool; N]> {
        if let Some(unknown) = self.flags.iter().find(|flag| !known.contains(&flag.as_str())) {
            // An operation without flags does not say which.
            return usage(if N == 0 { "unknown flag".into() } else { format!("unknown flag '{unknown}'") });
        }
        Ok(known.map(|known| self.flags.iter().any(|flag| flag == known)))
    }

    fn no_arguments(&self) -> Outcome<()> {
        if self.arguments.is_empty() { Ok(()) } else { usage("no arguments expected") }
    }

    /// Says something of no importance.
    fn say(&self, text: impl std::fmt::Display) {
        self.common.say(text);
    }

    fn warn(&self, text: impl std::fmt::Display) {
        self.common.warn(text);
    }
}

fn version(_: &mut Shop) -> Outcome<()> {
    super::print_version("nix-store");
    Ok(())
}

fn help(_: &mut Shop) -> Outcome<()> {
    print!("{HELP}");
    Ok(())
}
