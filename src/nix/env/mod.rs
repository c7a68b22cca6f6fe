//! `nix-env`: installs, upgrades and removes packages in a profile, and lists those that there are.

mod change;
mod environment;
mod generations;
mod package;
mod query;
mod select;
mod xml;

use std::{cell::RefCell, ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};

use zeval_builder::{build::BuildOptions, store::Store};
use zeval_evaluator::{Evaluator, Settings, Value, with_large_stack};
use zeval_model::StorePath;

use self::select::From;
use super::{
    flags::{self, Common, Rest},
    instantiate,
    outcome::{Outcome, Stop, end, fail, usage},
    profiles::{self, Profile},
    realise::{Realiser, Wanted},
    store::NixStore,
};
use crate::evaluation::{self, Input};

const HELP: &str = "Usage: nix-env OPERATION [FLAGS] [ARGUMENT...]

  -i, --install NAME...     Install packages by name; -A by attribute, -E by expression, or store paths
  -u, --upgrade [NAME...]   Take newer versions of what is installed: --lt, --leq, --eq, --always
  -e, --uninstall NAME...   Remove packages
  -q, --query [NAME...]     List what is installed, or with -a what is available: -P/--attr-path, -s/--status,
                            -c/--compare-versions, --system, --drv-path, --out-path, --description, --meta, --no-name,
                            --json, --xml, -A ATTRIBUTE
  --set PACKAGE             Make the profile that package
  --set-flag NAME VALUE PACKAGE...   priority, active or keep
  -S, --switch-profile LINK          Use another profile from now on
  -G, --switch-generation NUMBER, --rollback
  --list-generations, --delete-generations old|NUMBER...|+COUNT|DAYSd

  -p, --profile LINK        The profile to work on [default: ~/.nix-profile]
  -f, --file FILE           The expression with the packages [default: ~/.nix-defexpr]
  -A, --attr; -E, --from-expression; --from-profile LINK    What the arguments of -i and -u mean
  -P, --preserve-installed  Replace nothing of the same name
  -r, --remove-all          Remove everything else
  --force-name NAME, --system-filter SYSTEM, -b, --prebuilt-only, --dry-run
  -I, --arg, --argstr, --option, -j, -k, -K, -Q, -v, --version as of nix-instantiate
";

type Operation = fn(&mut Env<'_>) -> Outcome<()>;

const OPERATIONS: [(&str, Operation); 15] = [
    ("--install", change::install),
    ("-i", change::install),
    ("--upgrade", change::upgrade),
    ("-u", change::upgrade),
    ("--uninstall", change::uninstall),
    ("-e", change::uninstall),
    ("--query", query::query),
    ("-q", query::query),
    ("--set", change::set),
    ("--set-flag", change::set_flag),
    ("--list-generations", generations::list),
    ("--delete-generations", generations::delete),
    ("--rollback", generations::rollback),
    ("--switch-profile", generations::switch_profile),
    ("--switch-generation", generations::switch_generation),
];

/// What flags of `nix-env` as a whole say.
#[derive(Default)]
struct Options {
    profile: Option<PathBuf>,
    file: Option<OsString>,
    from: From,
    from_profile: Option<OsString>,
    force_name: Option<String>,
    system_filter: Option<String>,
    preserve_installed: bool,
    remove_all: bool,
    dry_run: bool,
}

/// What an operation works with.
struct Env<'e> {
    common: &'e Common,
    options: &'e Options,
    /// Flags of the operation, with their values as further ones.
    flags: Vec<String>,
    arguments: Vec<String>,
    evaluator: &'e mut Evaluator,
    nix_store: &'e NixStore,
    store: &'e Arc<Store>,
    build_options: &'e BuildOptions,
    /// The system that is built for.
    system: String,
    expression: Option<Value>,
}

/// What a command line says.
#[derive(Default)]
struct Line {
    chosen: Option<(Operation, &'static str)>,
    /// Whether several operations were named.
    clash: bool,
    options: Options,
    /// `--help` or `--version`
    shown: Option<String>,
}

impl Line {
    fn take(&mut self, flag: &str, rest: &mut Rest, flags: &RefCell<Vec<String>>) -> Result<bool, String> {
        let name = match flag {
            "-S" => "--switch-profile",
            "-G" => "--switch-generation",
            flag => flag,
        };
        if let Some((name, operation)) = OPERATIONS.iter().find(|(known, _)| *known == name) {
            self.clash |= self.chosen.is_some_and(|(before, _)| !std::ptr::fn_addr_eq(before, *operation));
            self.chosen = Some((*operation, name));
            return Ok(true);
        }
        let is_query = matches!(self.chosen, Some((_, "--query" | "-q")));
        let options = &mut self.options;
        let mut text = |flag: &str| rest.value(flag).map(|value| value.to_string_lossy().into_owned());
        match flag {
            "--help" | "--version" => drop(self.shown.get_or_insert_with(|| flag.to_owned())),
            "--attr" | "-A" if is_query => flags.borrow_mut().extend([flag.to_owned(), text(flag)?]),
            // Elsewhere it is a setting.
            "--system" if is_query => flags.borrow_mut().push(flag.to_owned()),
            "--attr" | "-A" => options.from = From::Attributes,
            "--from-expression" | "-E" => options.from = From::Functions,
            "--from-profile" => {
                options.from = From::Profile;
                options.from_profile = Some(text(flag)?.into());
            }
            "--profile" | "-p" => options.profile = Some(text(flag)?.into()),
            "--file" | "-f" => options.file = Some(text(flag)?.into()),
            "--force-name" => options.force_name = Some(text(flag)?),
            "--system-filter" => options.system_filter = Some(text(flag)?),
            "--preserve-installed" => options.preserve_installed = true,
            "-P" if !is_query => options.preserve_installed = true,
            "--remove-all" | "-r" => options.remove_all = true,
            // Nobody else needs to be asked whether a package is in a cache: what is not is built.
            "--prebuilt-only" | "-b" => {}
            "--dry-run" => options.dry_run = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut line = Line::default();
    let flags = RefCell::new(Vec::new());
    let common =
        flags::parse_leaving(arguments, &mut |flag, rest| line.take(flag, rest, &flags), &mut |flag, _| {
            // The operation knows it, or nobody.
            flags.borrow_mut().push(flag.to_owned());
            Ok(true)
        });
    if let Some(shown) = &line.shown {
        match shown.as_str() {
            "--help" => print!("{HELP}"),
            _ => super::print_version("nix-env"),
        }
        return ExitCode::SUCCESS;
    }
    let outcome = match (common, line.chosen) {
        (Err(message), _) => usage(message),
        _ if line.clash => usage("only one operation may be specified"),
        (_, None) => usage("no operation specified"),
        (Ok(common), Some((operation, _))) => {
            common.show_warnings();
            let flags = flags.take();
            match with_large_stack(|| operate(&common, &line.options, operation, flags)) {
                Ok(outcome) => outcome,
                Err(error) => fail(format!("cannot start a thread to evaluate on: {error}")),
            }
        }
    };
    end("nix-env", outcome)
}

fn operate(common: &Common, options: &Options, operation: Operation, flags: Vec<String>) -> Outcome<()> {
    let nix_store = Arc::new(NixStore::new(common, false).map_err(Stop::of)?);
    let opened = Arc::clone(nix_store.open()?);
    let mut evaluator = Evaluator::new(instantiate::session(common, &nix_store));
    let system = common.settings.text("system").map_or_else(|| Settings::default().system, str::to_owned);
    let mut env = Env {
        common,
        options,
        flags,
        arguments: common.operands.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        evaluator: &mut evaluator,
        nix_store: &nix_store,
        store: &opened.store,
        build_options: opened.options(),
        system,
        expression: None,
    };
    if options.dry_run {
        env.say("(dry run; not doing anything)");
    }
    operation(&mut env)
}

impl Env<'_> {
    /// The profile that is worked on.
    fn profile(&self) -> Outcome<Profile> {
        match &self.options.profile {
            Some(link) => Profile::at(link),
            None => profiles::default(self.uses_xdg()),
        }
    }

    fn uses_xdg(&self) -> bool {
        self.common.settings.is_on("use-xdg-base-directories") == Some(true)
    }

    /// The expression with the packages.
    fn expression(&mut self) -> Outcome<Value> {
        if let Some(value) = self.expression {
            return Ok(value);
        }
        let input = match &self.options.file {
            Some(file) => Input::File(file.clone()),
            None => {
                let folder = match self.uses_xdg() {
                    true => profiles::state_folder().map(|folder| folder.join("defexpr")),
                    false => std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".nix-defexpr")),
                };
                let Some(folder) = folder else {
                    return fail("no home folder is known: set HOME, or give --file");
                };
                select::default_expression(self, &folder)?
            }
        };
        let value = evaluation::evaluate(self.evaluator, &input)?;
        self.expression = Some(value);
        Ok(value)
    }

    /// Refuses what an operation without flags was given.
    fn no_flags(&self) -> Outcome<()> {
        match self.flags.first() {
            Some(flag) => usage(format!("unknown flag '{flag}'")),
            None => Ok(()),
        }
    }

    /// Writes the derivations that wait to be written.
    fn flush(&self) -> Outcome<()> {
        Ok(self.nix_store.flush()?)
    }

    fn realiser(&self) -> Realiser<'_> {
        Realiser::new(self.store, self.build_options.clone(), self.common)
    }

    fn announce(&self, wanted: &[Wanted]) -> Outcome<()> {
        self.flush()?;
        self.realiser().announce(wanted)
    }

    fn build(&self, wanted: &[Wanted]) -> Outcome<()> {
        self.flush()?;
        self.realiser().build(wanted)
    }

    /// Whether a cache has a path.
    fn is_substitutable(&self, path: &StorePath) -> bool {
        let Some(substitution) = &self.build_options.substitution else { return false };
        let cancellation = zeval_builder::cancel::Cancellation::new();
        substitution.caches.iter().any(|cache| matches!(cache.info(path, &cancellation), Ok(Some(_))))
    }

    fn say(&self, text: impl std::fmt::Display) {
        self.common.say(text);
    }

    fn warn(&self, text: impl std::fmt::Display) {
        self.common.warn(text);
    }
}
