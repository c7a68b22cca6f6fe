//! `nix-shell`: a shell, a command or a script in the environment of a derivation, whose inputs are built.

mod environment;
mod script;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io::IsTerminal,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
};

use bstr::ByteSlice;
use regex_automata::meta::Regex;
use zeval_builder::{
    build::{Places, development},
    sandbox::View,
    store::Store,
};
use zeval_evaluator::{Evaluator, Failure, Symbol, Value, with_large_stack};
use zeval_model::StorePath;

use super::{
    flags::{self, Common, Rest, WARN},
    instantiate,
    outcome::{Outcome, Stop, end, fail, usage},
    place,
    realise::{Realiser, Wanted, output_paths},
    store::NixStore,
};
use crate::evaluation::{self, Input};

pub use environment::quoted;

const HELP: &str = "Usage: nix-shell [FLAGS] [FILE]
       nix-shell [FLAGS] -p PACKAGE...

Builds the inputs of a derivation (of shell.nix or default.nix, if no file is given) and starts a shell in its environment.

  -p, --packages           The operands are packages of <nixpkgs>, for an environment of their own
  -E, --expr               The operand is an expression, not a file
  -A, --attr PATH          Take this attribute
  --run COMMAND            Run this and end
  --command COMMAND        The same in an interactive shell, which stays if the command ends with 'return'
  --pure                   Leave most of the user's environment out
  --keep NAME              A variable that --pure keeps
  --exclude REGEX          Do not build the inputs whose derivation matches
  --dry-run                Say what would be built
  -i INTERPRETER           In the lines '#! nix-shell' of a script: what runs it
  -I, --arg, --argstr, --option, -j, -k, -K, -Q, -v, --version as of nix-instantiate
";

#[derive(Default)]
struct Options {
    packages: bool,
    expressions: bool,
    attributes: Vec<String>,
    /// What is run, and then the shell ends.
    command: Option<Vec<u8>>,
    /// Whether nobody is to type to the shell, even at a terminal.
    not_interactive: bool,
    pure: bool,
    keep: Vec<OsString>,
    exclude: Vec<String>,
    dry_run: bool,
    /// The script that is run, with its arguments.
    script: Option<Script>,
}

struct Script {
    file: PathBuf,
    arguments: Vec<OsString>,
}

impl Options {
    fn take(&mut self, flag: &str, rest: &mut Rest) -> Result<bool, String> {
        match flag {
            "-p" | "--packages" => self.packages = true,
            "-E" | "--expr" => self.expressions = true,
            "-A" | "--attr" => self.attributes.push(rest.value(flag)?.to_string_lossy().into_owned()),
            "--run" | "--command" => {
                self.not_interactive = flag == "--run";
                self.command = Some(evaluation::bytes(&rest.value(flag)?));
            }
            "--pure" => self.pure = true,
            "--impure" => self.pure = false,
            "--keep" => self.keep.push(rest.value(flag)?),
            "--exclude" => self.exclude.push(rest.value(flag)?.to_string_lossy().into_owned()),
            "--dry-run" => self.dry_run = true,
            "-i" if self.script.is_some() => {
                let interpreter = rest.value(flag)?;
                self.not_interactive = true;
                self.command = self.script.as_ref().map(|script| script.command(&interpreter));
            }
            "-o" | "--out-link" | "--drv-link" | "--add-root" => drop(rest.value(flag)?),
            "--no-out-link" | "--no-link" | "--add-drv-link" | "--indirect" | "--check" | "--run-env" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Script {
    /// What the shell is to run.
    fn command(&self, interpreter: &OsString) -> Vec<u8> {
        let interpreter = interpreter.as_bytes();
        let mut command = b"exec ".to_vec();
        if interpreter.contains_str("perl") {
            // Perl would run what the script's first line says, unless its own name tells otherwise.
            command.extend_from_slice(b"-a PERL ");
        }
        command.extend_from_slice(interpreter);
        if interpreter.contains_str("ruby") {
            // Ruby looks for its own name in the first line; a file that is loaded has none to look for.
            command.extend_from_slice(b" -e 'load(ARGV.shift)' --");
        }
        for word in
            [self.file.as_os_str()].into_iter().chain(self.arguments.iter().map(|word| word.as_os_str()))
        {
            command.push(b' ');
            command.extend(quoted(word.as_bytes()));
        }
        command
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    end("nix-shell", parse_and_run(arguments))
}

fn parse_and_run(arguments: &[OsString]) -> Outcome<()> {
    let mut options = Options::default();
    let mut given = arguments.to_vec();
    if let Some((file, rest)) = arguments.split_first()
        && let Some(said) = script::arguments(Path::new(file), "nix-shell")?
    {
        options.script = Some(Script { file: file.into(), arguments: rest.to_vec() });
        given = said;
    }
    let common = flags::read("nix-shell", HELP, &given, &mut |flag, rest| options.take(flag, rest));
    let common = match common {
        Ok(common) => common,
        Err(ExitCode::SUCCESS) => return Ok(()),
        Err(_) => return Err(Stop::Silent(1)),
    };
    if options.packages && options.expressions {
        return usage("'-p' and '-E' are mutually exclusive");
    }
    say_where_we_are(&options, arguments)?;
    let ready = match with_large_stack(|| prepare(&options, common)) {
        Ok(ready) => ready?,
        Err(error) => return fail(format!("cannot start a thread to evaluate on: {error}")),
    };
    match ready {
        Some(ready) => ready.enter(&options),
        None => Ok(()),
    }
}

/// Expressions may ask for the variable IN_NIX_SHELL, so that it must be there before anything is evaluated.
fn say_where_we_are(options: &Options, arguments: &[OsString]) -> Outcome<()> {
    const VARIABLE: &str = "IN_NIX_SHELL";
    let wanted = if options.pure { "pure" } else { "impure" };
    if std::env::var_os(VARIABLE).is_some_and(|said| said == wanted) {
        return Ok(());
    }
    let error = Command::new("/proc/self/exe").arg("nix-shell").args(arguments).env(VARIABLE, wanted).exec();
    fail(format!("cannot run this program again: {error}"))
}

/// All that is needed is built.
struct Ready {
    store: Arc<Store>,
    drv: StorePath,
    built: BTreeMap<(StorePath, String), StorePath>,
    shell: Shell,
    cores: usize,
}

struct Shell {
    program: String,
    /// Whether the folder that it is in is for the programs of the environment, too.
    is_in_path: bool,
}

/// Evaluates, and builds what the shell needs; nothing is to be entered if it was only to be said what is built.
fn prepare(options: &Options, mut common: Common) -> Outcome<Option<Ready>> {
    let nix_store = Arc::new(NixStore::new(&common, false).map_err(Stop::of)?);
    let operands = std::mem::take(&mut common.operands);
    let mut evaluator = Evaluator::new(instantiate::session(&common, &nix_store));
    let drv = derivation(options, &common, &nix_store, &mut evaluator, operands)?;
    let named = std::env::var("NIX_BUILD_SHELL").ok().filter(|shell| !shell.is_empty());
    let from_packages = match named {
        Some(_) => None,
        None => shell_of_packages(&mut evaluator, &common),
    };
    nix_store.flush()?;
    drop(evaluator);
    let opened = nix_store.open()?;
    let store = Arc::clone(&opened.store);
    let mut wanted = inputs(options, &store, &drv)?;
    wanted.extend(
        from_packages
            .iter()
            .map(|drv| Wanted::Outputs { drv: drv.clone(), outputs: BTreeSet::from(["out".to_owned()]) }),
    );
    let realiser = Realiser::new(&store, opened.options().clone(), &common);
    realiser.announce(&wanted)?;
    if options.dry_run {
        return Ok(None);
    }
    realiser.build(&wanted)?;
    let mut built = BTreeMap::new();
    let inputs = store.derivation(&drv)?.input_derivations;
    // What was excluded has its place nevertheless.
    for drv in inputs.keys().chain(&from_packages) {
        for (output, path) in output_paths(&store, drv)? {
            built.extend(path.map(|path| ((drv.clone(), output), path)));
        }
    }
    let of_packages = from_packages.and_then(|drv| built.get(&(drv, "out".to_owned())).cloned());
    let shell = match (named, of_packages) {
        (Some(program), _) => Shell { is_in_path: program.contains('/'), program },
        (None, Some(path)) => Shell { program: format!("{path}/bin/bash"), is_in_path: true },
        (None, None) => {
            let found = environment::program("bash");
            if !found.is_absolute() {
                return fail("no bash was found: install one, or name it in the variable NIX_BUILD_SHELL");
            }
            Shell { program: found.display().to_string(), is_in_path: false }
        }
    };
    Ok(Some(Ready { store, drv, built, shell, cores: opened.options().cores }))
}

/// The one derivation that is meant.
fn derivation(
    options: &Options,
    common: &Common,
    nix_store: &Arc<NixStore>,
    evaluator: &mut Evaluator,
    operands: Vec<OsString>,
) -> Outcome<StorePath> {
    let mut drvs = Vec::new();
    let mut inputs = Vec::new();
    for input in expressions(options, common, operands)? {
        match stored(nix_store, &input)? {
            Some(drv) => drvs.push(drv),
            None => inputs.push(input),
        }
    }
    for input in &inputs {
        for path in found(options, common, evaluator, input)? {
            drvs.push(StorePath::from_absolute(&path)?);
        }
    }
    match drvs.len() {
        1 => Ok(drvs.remove(0)),
        _ => usage("nix-shell requires a single derivation"),
    }
}

/// A derivation that an operand names itself.
fn stored(nix_store: &NixStore, input: &Input) -> Outcome<Option<StorePath>> {
    let Input::File(word) = input else { return Ok(None) };
    if !word.as_bytes().ends_with(b".drv") {
        return Ok(None);
    }
    let store = &nix_store.open()?.store;
    match place::store_path(store, word) {
        Ok(path) if path.is_derivation() && store.is_valid(&path)? => Ok(Some(path)),
        _ => Ok(None),
    }
}

/// What is to be evaluated.
fn expressions(options: &Options, common: &Common, operands: Vec<OsString>) -> Outcome<Vec<Input>> {
    if options.packages {
        let mut text =
            b"{...}@args: with import <nixpkgs> args; (pkgs.runCommandCC or pkgs.runCommand) \"shell\" \
                         { buildInputs = [ "
                .to_vec();
        for operand in &operands {
            text.extend([b"(", operand.as_bytes(), b") "].concat());
        }
        text.extend_from_slice(b"]; } \"\"");
        return Ok(vec![Input::Expression(text)]);
    }
    let base = options.script.as_ref().and_then(|script| script.file.parent()).unwrap_or(Path::new(""));
    if options.expressions {
        let from_script =
            common.settings.is_on("nix-shell-shebang-arguments-relative-to-script") != Some(false);
        let expression = |text: OsString| match from_script {
            true => Input::ExpressionIn(evaluation::bytes(&text), base.to_owned()),
            false => Input::Expression(evaluation::bytes(&text)),
        };
        return Ok(operands.into_iter().map(expression).collect());
    }
    if operands.is_empty() {
        if !SHELL_FILES.iter().chain(&DEFAULT_FILES).any(|file| base.join(file).exists()) {
            return fail(
                "no argument specified and no 'shell.nix' or 'default.nix' file found in the working directory",
            );
        }
        let here = if base == Path::new("") { Path::new(".") } else { base };
        return Ok(vec![Input::File(resolved(common, here)?)]);
    }
    let file = |operand: OsString| match operand.as_bytes() {
        b"-" => Ok(Input::Stdin),
        name if name.starts_with(b"<") && name.ends_with(b">") => Ok(Input::File(operand)),
        _ => Ok(Input::File(resolved(common, &base.join(operand))?)),
    };
    operands.into_iter().map(file).collect()
}

const SHELL_FILES: [&str; 2] = ["shell.zx", "shell.nix"];
const DEFAULT_FILES: [&str; 2] = ["default.zx", "default.nix"];

/// The file that a folder stands for: the one for shells, if there is one.
fn resolved(common: &Common, path: &Path) -> Outcome<OsString> {
    if !path.is_dir() {
        return Ok(path.into());
    }
    let find = |names: &[&str]| names.iter().map(|name| path.join(name)).find(|file| file.exists());
    let own = find(&SHELL_FILES);
    if let Some(file) = &own {
        if common.settings.is_on("nix-shell-always-looks-for-shell-nix") != Some(false) {
            return Ok(file.into());
        }
        if common.verbosity >= WARN {
            eprintln!(
                "warning: Skipping '{}', because the setting 'nix-shell-always-looks-for-shell-nix' is disabled. This is a \
                 deprecated behavior. Consider enabling 'nix-shell-always-looks-for-shell-nix'.",
                std::path::absolute(file)?.display()
            );
        }
    }
    match find(&DEFAULT_FILES) {
        Some(file) => Ok(file.into()),
        None => fail(format!(
            "neither 'shell.nix' nor 'default.nix' found in '{}'",
            path.canonicalize()?.display()
        )),
    }
}

/// The derivations of an input; functions that have the argument `inNixShell` are told.
fn found(
    options: &Options,
    common: &Common,
    evaluator: &mut Evaluator,
    input: &Input,
) -> Result<Vec<String>, Failure> {
    let given = evaluation::arguments(evaluator, &common.arguments)?;
    let root = evaluation::evaluate(evaluator, input)?;
    let for_root = with_shell(evaluator, root, &given);
    let whole = [String::new()];
    let paths = if options.attributes.is_empty() { &whole[..] } else { &options.attributes[..] };
    let mut all = Vec::new();
    for path in paths {
        let value = evaluation::select(evaluator, root, path, &for_root)?;
        let for_value = with_shell(evaluator, value, &given);
        let derivations = instantiate::derivations_in(evaluator, value, &for_value)?;
        all.extend(derivations.into_iter().map(|(path, _)| path));
    }
    Ok(all)
}

fn with_shell(evaluator: &mut Evaluator, value: Value, given: &[(Symbol, Value)]) -> Vec<(Symbol, Value)> {
    let name = Symbol::intern(b"inNixShell");
    let mut all = given.to_vec();
    let value = evaluator.force(value).unwrap_or(value);
    let pattern = value.next_parameter().and_then(|parameter| parameter.pattern.as_ref());
    if pattern.is_some_and(|pattern| pattern.formals.iter().any(|formal| formal.name == name)) {
        all.retain(|(other, _)| *other != name);
        all.push((name, Value::TRUE));
    }
    all
}

/// The derivation of `bashInteractive` in <nixpkgs>; without it the machine's own will do.
fn shell_of_packages(evaluator: &mut Evaluator, common: &Common) -> Option<StorePath> {
    let mut found = || -> Result<String, Stop> {
        evaluator.find_file(b"nixpkgs")?;
        let input = Input::Expression(b"(import <nixpkgs> {}).bashInteractive".to_vec());
        let value = evaluation::evaluate(evaluator, &input)?;
        let derivations = instantiate::derivations_in(evaluator, value, &[])?;
        match &derivations[..] {
            [(path, _)] => Ok(path.clone()),
            _ => fail("the 'bashInteractive' attribute in <nixpkgs> did not evaluate to a derivation"),
        }
    };
    let has_packages = common.search_path.iter().any(|entry| entry.as_bytes().contains_str("nixpkgs"))
        || common.settings.text("nix-path").is_some_and(|path| path.contains("nixpkgs"));
    match found() {
        Ok(path) => StorePath::from_absolute(&path).ok(),
        Err(stop) => {
            // Who names no packages at all wants none.
            if has_packages {
                let _ = stop.tell("nix-shell", common.evaluation().show_trace);
            }
            if common.verbosity >= flags::INFO {
                eprintln!("uses bash from your environment");
            }
            None
        }
    }
}

/// The inputs of a derivation that are to be there.
fn inputs(options: &Options, store: &Store, drv: &StorePath) -> Outcome<Vec<Wanted>> {
    let mut excluded = Vec::new();
    for pattern in &options.exclude {
        let regex =
            Regex::new(pattern).map_err(|error| Stop::of(format!("invalid regex '{pattern}': {error}")))?;
        excluded.push(regex);
    }
    let read = store.derivation(drv)?;
    let mut wanted = Vec::new();
    for (input, chosen) in read.input_derivations {
        if !excluded.iter().any(|regex| regex.is_match(input.to_string().as_bytes())) {
            wanted.push(Wanted::Outputs { drv: input, outputs: chosen.outputs.into_iter().collect() });
        }
    }
    wanted.extend(read.input_sources.into_iter().map(Wanted::Path));
    Ok(wanted)
}

impl Ready {
    /// Becomes the shell.
    fn enter(self, options: &Options) -> Outcome<()> {
        let folder = tempfile::Builder::new().prefix("nix-shell-").tempdir()?;
        let about = |build: &Path| {
            let places = Places { build, outputs: None };
            development(&self.store, &self.drv, &self.built, &places, self.cores).map_err(Stop::of)
        };
        let mut development = about(folder.path())?;
        // A script takes the place of the shell, so that nothing could remove the folder after it: without files there need be none.
        let keeps_folder = options.script.is_none() || !development.files.is_empty();
        if !keeps_folder {
            development = about(&std::env::temp_dir())?;
        }
        let mut variables = environment::of_user(options.pure, &options.keep);
        environment::add(&mut variables, &development, folder.path())?;
        if development.files.contains_key(".attrs.sh") {
            // A builder finds its outputs in the file; people are used to variables.
            for (name, path) in output_paths(&self.store, &self.drv)? {
                variables.extend(path.map(|path| (name.into(), path.to_string().into())));
            }
        }
        let command = match (&options.command, &options.script) {
            // The shell stays, to remove the files.
            (Some(command), Some(_)) if keeps_folder => Some([b"(", &command[..], b")"].concat()),
            (command, _) => command.clone(),
        };
        let interactive =
            !options.not_interactive && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let script = environment::Script {
            folder: folder.path(),
            keeps_folder,
            shell: &self.shell.program,
            shell_in_path: self.shell.is_in_path,
            pure: options.pure,
            declarations: development.files.get(".attrs.sh").map(Vec::as_slice),
            command: command.as_deref(),
        };
        let rc = folder.path().join("rc");
        std::fs::write(&rc, script.text())?;
        let mut arguments = vec![rc.display().to_string()];
        if interactive {
            arguments.insert(0, "--rcfile".to_owned());
        }
        let view = View {
            store: self.store.layout().store().to_owned(),
            store_dir: zeval_model::store_dir().into(),
            mount_point: self.store.layout().temporary(),
            program: self.shell.program.clone(),
            arguments,
            variables: Vec::new(),
        };
        let mut command = view.command()?;
        command.env_clear().envs(&variables);
        zeval_builder::store::end_sessions();
        // The shell removes it.
        let folder = folder.keep();
        let error = command.exec();
        let _ = std::fs::remove_dir_all(folder);
        fail(format!("cannot run '{}': {error}", self.shell.program))
    }
}
