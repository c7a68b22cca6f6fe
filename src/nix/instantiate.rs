//! `nix-instantiate`: evaluates, prints values or the paths of derivations.

use std::{ffi::OsString, io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use bstr::ByteSlice;
use zeval_evaluator::{
    ErrorKind, EvalError, Evaluator, Failure, Session, Symbol, Value, position::PosId, print, text::raw,
    with_large_stack,
};
use zeval_model::StorePath;

use super::{
    flags::{self, Common, Rest, TALKATIVE, WARN},
    store::NixStore,
};
use crate::{
    commands::Context,
    derivations::{self, Unsuitable},
    evaluation::{self, Input},
    measure, output,
};

const HELP: &str = "Usage: nix-instantiate [FLAGS] [FILE...]

Writes the derivations that Nix expressions describe to the store and prints their paths.

  -E, --expr               The operands are expressions, not files
  -A, --attr PATH          Take this attribute (may be given several times)
  -I, --include ENTRY      Look <NAME> up there: PATH or NAME=PATH
  --arg NAME EXPR          An argument of the function that the expression is
  --argstr NAME STRING     The same, as a string
  --arg-from-file NAME FILE, --arg-from-stdin NAME
  --eval                   Print the value instead: with --strict, --json, --xml, --no-location, --raw
  --read-write-mode        Let --eval write to the store
  --readonly-mode          Write nothing to the store
  --parse                  Print what was parsed instead
  --find-file              Print what <NAME> stands for, for each operand
  --add-root LINK          Make a link to the result that keeps it
  --option NAME VALUE      Set a setting of Nix; --NAME VALUE does the same
  --debugger               Stop at errors and builtins.break
  --show-trace             Tell every call on the way to an error
  --version
";

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Instantiate,
    Evaluate,
    Parse,
    FindFile,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    Plain,
    Json,
    Xml,
    Raw,
}

#[derive(Default)]
struct Options {
    mode: Mode,
    form: Form,
    /// `--parse` with or without another mode.
    expressions: bool,
    attributes: Vec<String>,
    strict: bool,
    no_location: bool,
    read_write: bool,
    root: Option<PathBuf>,
}

impl Options {
    fn take(&mut self, flag: &str, rest: &mut Rest) -> Result<bool, String> {
        match flag {
            "--eval" | "--eval-only" => self.mode = Mode::Evaluate,
            "--parse" | "--parse-only" if self.mode == Mode::Instantiate => self.mode = Mode::Parse,
            "--parse" | "--parse-only" | "--indirect" | "--dry-run" => {}
            "--find-file" => self.mode = Mode::FindFile,
            "--json" => self.form = Form::Json,
            "--xml" => self.form = Form::Xml,
            "--raw" => self.form = Form::Raw,
            "--strict" => self.strict = true,
            "--no-location" => self.no_location = true,
            "--read-write-mode" => self.read_write = true,
            "-E" | "--expr" => self.expressions = true,
            "-A" | "--attr" => self.attributes.push(rest.value(flag)?.to_string_lossy().into_owned()),
            "--add-root" => self.root = Some(rest.value(flag)?.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let common = flags::read("nix-instantiate", HELP, arguments, &mut |flag, rest| options.take(flag, rest));
    let common = match common {
        Ok(common) => common,
        Err(code) => return code,
    };
    let read_only = common.read_only || options.mode != Mode::Instantiate && !options.read_write;
    let store = match NixStore::new(&common, read_only) {
        Ok(store) => Arc::new(store),
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    };
    match with_large_stack(|| Run { options, common, store, roots: 0 }.all()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: cannot start a thread to evaluate on: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A session as the shared flags want it.
pub fn session(common: &Common, store: &Arc<NixStore>) -> Arc<Session> {
    let mut settings = common.evaluation();
    settings.tell_files = common.verbosity >= TALKATIVE;
    let quiet = common.verbosity < WARN;
    let messages = move |message: &str| {
        if !quiet || message.starts_with("trace: ") {
            let shown = match message.split_once(WARNING) {
                Some(("", text)) => super::errors::aligned(WARNING, text),
                _ => message.to_owned(),
            };
            output::tell(&format!("{}\n", super::errors::expand_tabs(&shown)));
        }
    };
    let session = Session::with_messages(settings, store.clone(), Box::new(messages));
    session.use_inputs(Arc::new(common.inputs(store, quiet)));
    if common.verbosity >= TALKATIVE {
        eprintln!("evaluating file '«nix-internal»/derivation-internal.nix'");
    }
    session
}

/// The derivations that a value holds, each with the output that it stands for.
pub fn derivations_in(
    evaluator: &mut Evaluator,
    value: Value,
    given: &[(Symbol, Value)],
) -> Result<Vec<(String, String)>, Failure> {
    derivations_as_found(evaluator, value, given, &|_, _| ())
}

/// The same; `tell` hears of each as soon as it is known.
pub fn derivations_as_found(
    evaluator: &mut Evaluator,
    value: Value,
    given: &[(Symbol, Value)],
    tell: &dyn Fn(&str, &str),
) -> Result<Vec<(String, String)>, Failure> {
    let found = derivations::find(evaluator, value, given).map_err(Unsuitable::told)?;
    let mut all = Vec::new();
    let _offer = evaluator.offer_derivations(found.iter().map(|found| found.value));
    for found in found {
        let path = derivations::drv_path(evaluator, found.value)?;
        let Some(output) = derivations::output_name(evaluator, found.value)? else {
            let message = format!("derivation '{path}' lacks an 'outputName' attribute");
            return Err(EvalError::eval(PosId::NONE, message));
        };
        tell(&path, &output);
        all.push((path, output));
    }
    Ok(all)
}

struct Run {
    options: Options,
    common: Common,
    store: Arc<NixStore>,
    /// Links made by `--add-root`.
    roots: usize,
}

/// What `builtins.warn` says begins so.
const WARNING: &str = "evaluation warning: ";

impl Run {
    fn all(mut self) -> ExitCode {
        let show_trace = self.common.evaluation().show_trace;
        let session = session(&self.common, &self.store);
        let mut evaluator = Evaluator::new(session);
        // What was printed stays printed when something fails later, and comes after the messages.
        let mut out = Vec::new();
        let profile = self.common.profile();
        if profile.is_some() {
            evaluator.set_profiler(zeval_evaluator::profile::Profiler::default());
        }
        let result = self.debug(&mut evaluator).and_then(|()| self.inputs(&mut evaluator, &mut out));
        let result = result.and_then(|()| self.store.flush().map_err(|error| world(error.to_string())));
        let status = match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::tell(&super::errors::render("nix-instantiate", &error, show_trace));
                ExitCode::from(error.status as u8)
            }
        };
        // Nobody reads on: that is no error of ours.
        let _ = std::io::stdout().write_all(&out);
        if let Some(file) = profile {
            measure::write_profile(&mut evaluator, &file);
        }
        show_stats(&evaluator);
        status
    }

    /// Lets the debugger take over where evaluation stops, if that is wanted.
    fn debug(&self, evaluator: &mut Evaluator) -> Result<(), Failure> {
        if self.common.debugger {
            let store = self.store.open().map_err(|error| world(error.to_string()))?;
            let context = Context::under_nix_name(self.common.evaluation().show_trace);
            evaluator.set_debugger(crate::repl::debugger(&context, store));
        }
        Ok(())
    }

    fn inputs(&mut self, evaluator: &mut Evaluator, out: &mut Vec<u8>) -> Result<(), Failure> {
        let operands = std::mem::take(&mut self.common.operands);
        if self.options.mode == Mode::FindFile {
            for operand in operands {
                let path = evaluator.find_file(&evaluation::bytes(&operand))?;
                out.extend_from_slice(&path);
                out.push(b'\n');
            }
            return Ok(());
        }
        for input in inputs(operands, self.options.expressions) {
            match self.options.mode {
                Mode::Parse => {
                    out.extend(evaluation::parsed(evaluator, &input)?);
                    out.push(b'\n');
                }
                _ => self.input(evaluator, &input, out)?,
            }
        }
        Ok(())
    }

    fn input(&mut self, evaluator: &mut Evaluator, input: &Input, out: &mut Vec<u8>) -> Result<(), Failure> {
        let given = evaluation::arguments(evaluator, &self.common.arguments)?;
        let root = evaluation::evaluate(evaluator, input)?;
        let whole = [String::new()];
        let paths = match &self.options.attributes[..] {
            [] => whole.to_vec(),
            given => given.to_vec(),
        };
        for path in paths {
            let value = evaluation::select(evaluator, root, &path, &given)?;
            match self.options.mode {
                Mode::Evaluate => self.print_value(evaluator, value, &given, out)?,
                _ => self.print_derivations(evaluator, value, &given, out)?,
            }
        }
        Ok(())
    }

    fn print_value(
        &self,
        evaluator: &mut Evaluator,
        value: Value,
        given: &[(Symbol, Value)],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let strict = self.options.strict;
        let value = match given {
            [] => evaluator.force(value)?,
            given => evaluation::auto_call(evaluator, value, given)?,
        };
        match self.options.form {
            Form::Json => {
                out.extend(evaluator.to_json(value, strict)?);
                out.push(b'\n');
            }
            Form::Xml => evaluator.to_xml(value, strict, !self.options.no_location, out)?,
            Form::Raw => {
                out.extend(evaluator.to_raw(value, "while generating the nix-instantiate output")?);
            }
            Form::Plain => {
                let value = if strict { evaluator.force_deep(value)? } else { value };
                out.extend_from_slice(&raw::bytes(&print::for_eval(value)));
                out.push(b'\n');
            }
        }
        Ok(())
    }

    /// Prints the paths of the derivations that a value holds.
    fn print_derivations(
        &mut self,
        evaluator: &mut Evaluator,
        value: Value,
        given: &[(Symbol, Value)],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        for (mut path, output) in derivations_in(evaluator, value, given)? {
            match self.options.root.clone() {
                Some(link) => path = self.add_root(&path, link)?,
                None if self.common.gc_warning => {
                    self.common.gc_warning = false;
                    if self.common.verbosity >= WARN {
                        let warning = "warning: you did not specify '--add-root'; the result might be removed by \
                                       the garbage collector";
                        eprintln!("{warning}");
                    }
                }
                None => {}
            }
            out.extend_from_slice(path.as_bytes());
            if output != "out" {
                out.extend_from_slice(format!("!{output}").as_bytes());
            }
            out.push(b'\n');
        }
        Ok(())
    }

    /// Makes the link that keeps a derivation; gives the link's path.
    fn add_root(&mut self, path: &str, link: PathBuf) -> Result<String, Failure> {
        self.roots += 1;
        let link = std::path::absolute(&link).map_err(|error| world(error.to_string()))?;
        let mut name = link.into_os_string();
        if self.roots > 1 {
            name.push(format!("-{}", self.roots));
        }
        let link = PathBuf::from(name);
        let path = StorePath::from_absolute(path).map_err(|error| world(error.to_string()))?;
        let store = self.store.open().map_err(|error| world(error.to_string()))?;
        store.flush().map_err(|error| world(error.to_string()))?;
        store.store.add_root(&link, &path).map_err(|error| world(error.to_string()))?;
        Ok(link.as_os_str().as_encoded_bytes().to_str_lossy().into_owned())
    }
}

/// `NIX_SHOW_STATS`
fn show_stats(evaluator: &Evaluator) {
    if std::env::var_os("NIX_SHOW_STATS").is_none_or(|wanted| wanted == "0") {
        return;
    }
    let text = format!("{:#}\n", measure::nix_stats(evaluator));
    match std::env::var_os("NIX_SHOW_STATS_PATH") {
        Some(file) => {
            if let Err(error) = std::fs::write(&file, text) {
                eprintln!("warning: cannot write '{}': {error}", file.display());
            }
        }
        None => eprint!("{text}"),
    }
}

fn world(message: String) -> Failure {
    EvalError::new(ErrorKind::World, PosId::NONE, message)
}

/// What the operands stand for: standard input comes first, and without any the folder's `default.nix` is meant.
pub fn inputs(operands: Vec<OsString>, expressions: bool) -> Vec<Input> {
    let (stdin, operands): (Vec<OsString>, Vec<OsString>) =
        operands.into_iter().partition(|operand| operand == "-");
    let mut inputs: Vec<Input> = stdin.iter().take(1).map(|_| Input::Stdin).collect();
    if inputs.is_empty() && operands.is_empty() && !expressions {
        return vec![Input::File(OsString::from("./default.nix"))];
    }
    inputs.extend(operands.into_iter().map(|operand| match expressions {
        true => Input::Expression(evaluation::bytes(&operand)),
        false => Input::File(operand),
    }));
    inputs
}
