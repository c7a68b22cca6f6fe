//! The flags that all of Nix's older commands share, and what they mean for an evaluation.

use std::{collections::VecDeque, ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};

use bstr::ByteSlice;
use zeval_builder::cancel::Cancellation;
use zeval_evaluator::Settings;

use super::{
    outcome::{end, usage},
    realise::Lines,
    settings::{NixSettings, SettingFlag, flag},
    store::NixStore,
};
use crate::{
    evaluation::{self, Argument, ArgumentValue},
    inputs::EvaluationInputs,
};

/// How much is said: as Nix counts.
pub const WARN: i32 = 1;
pub const INFO: i32 = 3;
pub const TALKATIVE: i32 = 4;
const DEBUG: i32 = 6;

/// What the shared flags and the environment say.
pub struct Common {
    pub settings: NixSettings,
    pub arguments: Vec<Argument>,
    pub search_path: Vec<OsString>,
    /// How much is said: 0 is errors only, 3 what is usual.
    pub verbosity: i32,
    /// `--readonly-mode`, or what the command makes of its mode.
    pub read_only: bool,
    pub gc_warning: bool,
    pub debugger: bool,
    /// Whether what builders print is shown.
    pub build_output: bool,
    /// What is no flag, in order.
    pub operands: Vec<OsString>,
}

/// The arguments that are still to be looked at.
pub struct Rest {
    arguments: VecDeque<OsString>,
}

impl Rest {
    /// The values of a flag of the command's own.
    pub fn value(&mut self, flag: &str) -> Result<OsString, String> {
        self.arguments.pop_front().ok_or_else(|| format!("'{flag}' requires an argument"))
    }

    /// All that is left.
    pub fn all(&mut self) -> Vec<OsString> {
        std::mem::take(&mut self.arguments).into()
    }

    fn values<const N: usize>(&mut self, flag: &str) -> Result<[OsString; N], String> {
        if self.arguments.len() < N {
            let found = self.arguments.len();
            return Err(format!("flag '{flag}' requires {N} argument(s), but only {found} were given"));
        }
        Ok(std::array::from_fn(|_| self.arguments.pop_front().unwrap_or_default()))
    }

    /// `-vj2` as `-v -j 2`, as Nix reads flags of one letter.
    fn split_letters(&mut self, argument: &str) -> bool {
        let Some(letters) =
            argument.strip_prefix('-').filter(|rest| rest.len() > 1 && !rest.starts_with('-'))
        else {
            return false;
        };
        if !letters.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return false;
        }
        let end = letters.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(letters.len());
        if end < letters.len() {
            self.arguments.push_front(letters[end..].into());
        }
        for letter in letters[..end].chars().rev() {
            self.arguments.push_front(format!("-{letter}").into());
        }
        true
    }
}

/// Takes a command's own flags: `false` if it is none of them.
pub type OwnFlags<'f> = dyn FnMut(&str, &mut Rest) -> Result<bool, String> + 'f;

/// Reads a command line.
pub fn parse(arguments: &[OsString], own: &mut OwnFlags<'_>) -> Result<Common, String> {
    parse_leaving(arguments, own, &mut |_, _| Ok(false))
}

/// Reads the command line of a command called `program`; `--help`, `--version` and errors end it. Warnings are shown.
pub fn read(
    program: &str,
    help: &str,
    arguments: &[OsString],
    own: &mut OwnFlags<'_>,
) -> Result<Common, ExitCode> {
    let mut shown = None;
    let common = parse(arguments, &mut |flag, rest| match flag {
        "--help" | "--version" => {
            shown.get_or_insert(flag == "--help");
            Ok(true)
        }
        flag => own(flag, rest),
    });
    match shown {
        Some(true) => print!("{help}"),
        Some(false) => super::print_version(program),
        None => {
            let common = common.map_err(|message| end(program, usage(message)))?;
            common.show_warnings();
            return Ok(common);
        }
    }
    Err(ExitCode::SUCCESS)
}

/// As [`parse`]; flags that nobody knows go to `left`.
pub fn parse_leaving(
    arguments: &[OsString],
    own: &mut OwnFlags<'_>,
    left: &mut OwnFlags<'_>,
) -> Result<Common, String> {
    let mut common = Common {
        settings: NixSettings::from_environment()?,
        arguments: Vec::new(),
        search_path: Vec::new(),
        verbosity: INFO,
        read_only: false,
        gc_warning: true,
        debugger: false,
        build_output: true,
        operands: Vec::new(),
    };
    if let Ok(path) = std::env::var("NIX_PATH") {
        let entries: Vec<String> = zeval_evaluator::search_path::split(path.as_bytes())
            .iter()
            .map(|entry| entry.to_str_lossy().into())
            .collect();
        common.settings.set_default("nix-path", &entries.join(" "));
    }
    let mut rest = Rest { arguments: arguments.iter().cloned().collect() };
    while let Some(argument) = rest.arguments.pop_front() {
        let text = argument.to_string_lossy().into_owned();
        if text == "--" {
            // Nix goes on to read flags, too.
            continue;
        } else if !text.starts_with('-') || text == "-" {
            common.operands.push(argument);
        } else if !rest.split_letters(&text)
            && !own(&text, &mut rest)?
            && !common.take(&text, &mut rest)?
            && !left(&text, &mut rest)?
        {
            return Err(format!("unrecognised flag '{text}'"));
        }
    }
    Ok(common)
}

impl Common {
    fn take(&mut self, text: &str, rest: &mut Rest) -> Result<bool, String> {
        match text {
            "-v" | "--verbose" => self.verbosity += 1,
            "--quiet" => self.verbosity = (self.verbosity - 1).max(0),
            "--debug" => self.verbosity = DEBUG,
            "-Q" | "--no-build-output" => self.build_output = false,
            "--print-build-logs" | "-L" | "--repair" => {}
            "-K" | "--keep-failed" => self.settings.set("keep-failed", "true"),
            "-k" | "--keep-going" => self.settings.set("keep-going", "true"),
            "--readonly-mode" => self.read_only = true,
            "--no-gc-warning" => self.gc_warning = false,
            "--debugger" => self.debugger = true,
            "--impure" => {
                self.settings.set("pure-eval", "false");
            }
            "-I" | "--include" => {
                let [entry] = rest.values(text)?;
                self.search_path.push(entry);
            }
            "--arg" | "--argstr" | "--arg-from-file" => {
                let [name, value] = rest.values(text)?;
                let value = match text {
                    "--arg" => ArgumentValue::Expression(evaluation::bytes(&value)),
                    "--argstr" => ArgumentValue::String(evaluation::bytes(&value)),
                    _ => ArgumentValue::File(value.into()),
                };
                self.argument(&name, value);
            }
            "--arg-from-stdin" => {
                let [name] = rest.values(text)?;
                self.argument(&name, ArgumentValue::Stdin);
            }
            "--option" => {
                let [name, value] = rest.values::<2>(text)?;
                self.settings.set(&name.to_string_lossy(), &value.to_string_lossy());
            }
            "-j" => self.setting("max-jobs", text, rest)?,
            "--log-format" => {
                let [format] = rest.values(text)?;
                let format = format.to_string_lossy();
                let known = [
                    "raw",
                    "raw-with-logs",
                    "internal-json",
                    "bar",
                    "bar-with-logs",
                    "multiline",
                    "multiline-with-logs",
                ];
                if !known.contains(&&*format) {
                    return Err(format!("option 'log-format' has an invalid value '{format}'"));
                }
            }
            "--eval-store" => drop(rest.values::<1>(text)?),
            "--override-flake" => drop(rest.values::<2>(text)?),
            _ => return self.setting_flag(text, rest),
        }
        Ok(true)
    }

    fn argument(&mut self, name: &std::ffi::OsStr, value: ArgumentValue) {
        self.arguments.push(Argument { name: evaluation::bytes(name), value });
    }

    fn setting_flag(&mut self, text: &str, rest: &mut Rest) -> Result<bool, String> {
        let Some(name) = text.strip_prefix("--") else { return Ok(false) };
        match flag(name) {
            Some(SettingFlag::Value(name)) => self.setting(&name, text, rest)?,
            Some(SettingFlag::Fixed(name, value)) => self.settings.set(name, value),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// A setting given by a flag of its name, where a value that cannot be is an error.
    fn setting(&mut self, name: &str, text: &str, rest: &mut Rest) -> Result<(), String> {
        let [value] = rest.values(text)?;
        self.settings.try_set(name, &value.to_string_lossy())
    }

    /// Shows what was wrong with settings.
    pub fn show_warnings(&self) {
        if self.verbosity >= WARN {
            for warning in self.settings.warnings() {
                eprintln!("warning: {warning}");
            }
        }
    }

    /// How to evaluate.
    pub fn evaluation(&self) -> Settings {
        let home = std::env::var_os("HOME").map(Into::into);
        let mut settings = Settings { home, library: false, ..Settings::default() };
        self.settings.apply(&mut settings);
        settings.search_path = if settings.pure { Vec::new() } else { self.lookup_path() };
        evaluation::use_code_cache(&mut settings);
        evaluation::use_threads(&mut settings, None);
        settings
    }

    /// Sources that come from elsewhere, fetched into a store.
    pub fn inputs(&self, store: &Arc<NixStore>, quiet: bool) -> EvaluationInputs {
        let given = &self.settings;
        let mut settings = crate::inputs::settings(&given.words("experimental-features"));
        crate::inputs::apply(given, &mut settings);
        if quiet {
            settings.warn = Arc::new(|_| ());
        }
        let store = Arc::clone(store);
        let open = Box::new(move || match store.open() {
            Ok(opened) => Ok(Arc::clone(&opened.store)),
            Err(error) => Err(error.to_string()),
        });
        let lines = Lines::new(self.verbosity, self.build_output, false);
        EvaluationInputs::new(settings, open, Arc::new(lines), Cancellation::new()).trusting(given)
    }

    /// Says something of no importance, unless less is to be said.
    pub fn say(&self, text: impl std::fmt::Display) {
        if self.verbosity >= INFO {
            eprintln!("{text}");
        }
    }

    /// Warns, unless only errors are to be told.
    pub fn warn(&self, text: impl std::fmt::Display) {
        if self.verbosity >= WARN {
            eprintln!("warning: {text}");
        }
    }

    /// The file that the setting `eval-profiler` asks for.
    pub fn profile(&self) -> Option<PathBuf> {
        self.settings.text("eval-profiler").filter(|profiler| *profiler != "disabled")?;
        Some(self.settings.text("eval-profile-file").unwrap_or("nix.profile").into())
    }

    fn lookup_path(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let included = self.search_path.iter().map(|entry| evaluation::bytes(entry));
        let set = match self.settings.text("nix-path") {
            Some(_) => self.settings.words("nix-path").into_iter().map(String::into_bytes).collect(),
            None if self.settings.is_on("restrict-eval") == Some(true) => Vec::new(),
            None => super::channel::search_entries(),
        };
        included.chain(set).map(|entry| evaluation::search_entry(&entry)).collect()
    }
}
