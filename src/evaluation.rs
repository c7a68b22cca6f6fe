//! Evaluating what the command line names: expressions, files, attribute paths and arguments.

use std::{
    ffi::OsString,
    io::Read,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use bstr::ByteSlice;
use zeval_evaluator::{
    ErrorKind, EvalError, Evaluator, Failure, Settings, Symbol, Value, View, canonical_path,
    code_cache::CodeCache,
    load::{Scope, current_folder},
    position::{Origin, PosId},
    search_path,
};

/// Where this program keeps what it can make again.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    Some(folder.filter(|folder| folder.is_absolute())?.join("zeval"))
}

/// Lets an evaluation keep compiled files under the user's cache folder.
pub fn use_code_cache(settings: &mut Settings) {
    let Some(folder) = cache_folder() else { return };
    // Another build of this program may mean something else by the same bytes.
    let build = std::fs::metadata("/proc/self/exe").ok().and_then(|program| {
        let modified = program.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{} {} {}", env!("CARGO_PKG_VERSION"), program.len(), modified.as_nanos()))
    });
    let Some(build) = build else { return };
    let salt = settings.code_salt(&build);
    settings.code_cache = Some(CodeCache::new(folder.join("code"), &salt));
}

/// Lets several threads evaluate: as many as wanted, else what ZEVAL_EVAL_JOBS says, else one a core. ZEVAL_EVAL_HELPED_FROM, in
/// bytes of values, is for tests: small evaluations have no helpers otherwise.
pub fn use_threads(settings: &mut Settings, wanted: Option<usize>) {
    let from_environment = |name: &str| std::env::var(name).ok()?.parse().ok();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    settings.jobs = wanted.or_else(|| from_environment("ZEVAL_EVAL_JOBS")).unwrap_or_else(cores).max(1);
    settings.helped_from = from_environment("ZEVAL_EVAL_HELPED_FROM").unwrap_or(settings.helped_from);
}

/// The search path: entries of the command line, then those of NIX_PATH.
pub fn search_path(included: &[OsString]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let environment = std::env::var_os("NIX_PATH").map(|path| bytes(&path)).unwrap_or_default();
    let included: Vec<Vec<u8>> = included.iter().map(|entry| bytes(entry)).collect();
    let entries = included.into_iter().chain(search_path::split(&environment));
    entries.filter(|entry| !entry.is_empty()).map(|entry| search_entry(&entry)).collect()
}

/// `PREFIX=PATH` or `PATH`, apart.
pub fn search_entry(entry: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match entry.split_once_str("=") {
        Some((prefix, path)) => (prefix.to_vec(), path.to_vec()),
        None => (Vec::new(), entry.to_vec()),
    }
}

/// What to evaluate.
#[derive(Clone, Debug)]
pub enum Input {
    /// `-E`
    Expression(Vec<u8>),
    /// The same, where relative paths start from this folder.
    ExpressionIn(Vec<u8>, PathBuf),
    /// Standard input.
    Stdin,
    /// A file or folder, or `<x>`.
    File(OsString),
}

/// `--arg` and `--argstr`
#[derive(Clone, Debug)]
pub struct Argument {
    /// The name of the function's argument.
    pub name: Vec<u8>,
    /// Its value.
    pub value: ArgumentValue,
}

/// The value of an argument.
#[derive(Clone, Debug)]
pub enum ArgumentValue {
    /// `--arg NAME EXPRESSION`
    Expression(Vec<u8>),
    /// `--argstr NAME STRING`
    String(Vec<u8>),
    /// `--arg-from-file NAME FILE`: the file's text.
    File(PathBuf),
    /// `--arg-from-stdin NAME`: the text on standard input.
    Stdin,
}

type Result<T> = std::result::Result<T, Failure>;

/// The folder that relative paths on the command line start from.
fn base() -> Result<Vec<u8>> {
    current_folder().map_err(|error| failure(format!("cannot tell the current folder: {error}")))
}

fn failure(message: impl Into<String>) -> Failure {
    EvalError::new(ErrorKind::World, PosId::NONE, message)
}

/// The value of an input.
pub fn evaluate(evaluator: &mut Evaluator, input: &Input) -> Result<Value> {
    let base = base()?;
    match input {
        Input::Expression(text) => {
            evaluator.evaluate_text(Origin::String, text.clone(), base.as_bstr(), Scope::default())
        }
        Input::ExpressionIn(text, folder) => {
            let folder = absolute(folder.as_os_str().as_bytes(), &base);
            evaluator.evaluate_text(Origin::String, text.clone(), folder.as_bstr(), Scope::default())
        }
        Input::Stdin => {
            evaluator.evaluate_text(Origin::Stdin, read_stdin()?, base.as_bstr(), Scope::default())
        }
        Input::File(path) => {
            let path = path.as_bytes();
            if let Some(name) = path.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")) {
                let path = evaluator.find_file(name)?;
                return evaluator.import_named(&path);
            }
            let absolute = absolute(path, &base);
            evaluator.import_named(&absolute)
        }
    }
}

fn read_stdin() -> Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .map_err(|error| failure(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

/// An input as `--parse` prints it.
pub fn parsed(evaluator: &mut Evaluator, input: &Input) -> Result<Vec<u8>> {
    let base = base()?;
    match input {
        Input::Expression(text) | Input::ExpressionIn(text, _) => {
            evaluator.parsed(Origin::String, text.clone(), base.as_bstr())
        }
        Input::Stdin => evaluator.parsed(Origin::Stdin, read_stdin()?, base.as_bstr()),
        Input::File(path) => {
            let path = evaluator.resolve(&absolute(path.as_bytes(), &base), PosId::NONE)?;
            let file = PathBuf::from(std::ffi::OsStr::from_bytes(&path));
            let text = std::fs::read(evaluator.session.physical(&path))
                .map_err(|error| failure(format!("cannot read '{}': {error}", file.display())))?;
            let folder = file.parent().map(|folder| bytes(folder.as_os_str())).unwrap_or_default();
            evaluator.parsed(Origin::File(file), text, folder.as_bstr())
        }
    }
}

fn absolute(path: &[u8], base: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { canonical_path(path) } else { canonical_path(&[base, b"/", path].concat()) }
}

/// The arguments given on the command line, delayed as far as they are expressions.
pub fn arguments(evaluator: &mut Evaluator, given: &[Argument]) -> Result<Vec<(Symbol, Value)>> {
    let base = base()?;
    let mut values: Vec<(Symbol, Value)> = Vec::new();
    for argument in given {
        let name = Symbol::intern(&argument.name);
        let value = match &argument.value {
            ArgumentValue::String(text) => evaluator.heap.string(text),
            ArgumentValue::File(path) => {
                let text = std::fs::read(path)
                    .map_err(|error| failure(format!("cannot read '{}': {error}", path.display())))?;
                evaluator.heap.string(&text)
            }
            ArgumentValue::Stdin => evaluator.heap.string(&read_stdin()?),
            ArgumentValue::Expression(text) => {
                evaluator.evaluate_text(Origin::String, text.clone(), base.as_bstr(), Scope::default())?
            }
        };
        values.retain(|(other, _)| *other != name);
        values.push((name, value));
    }
    Ok(values)
}

/// Calls a function whose arguments all have defaults or are given, as Nix does before it looks into a value.
pub fn auto_call(evaluator: &mut Evaluator, value: Value, given: &[(Symbol, Value)]) -> Result<Value> {
    let value = evaluator.force(value)?;
    match value.view() {
        View::Attrs(attrs) => {
            let Some(functor) = attrs.get(Symbol::intern(b"__functor")) else { return Ok(value) };
            let called = evaluator.apply(functor, &[value], PosId::NONE)?;
            auto_call(evaluator, called, given)
        }
        View::Closure(_) | View::Partial(_) => {
            let pattern = value.next_parameter().and_then(|parameter| parameter.pattern.as_ref());
            let Some(pattern) = pattern else { return Ok(value) };
            let mut passed: Vec<(Symbol, Value)> = Vec::new();
            if pattern.ellipsis {
                passed.extend_from_slice(given);
            } else {
                for formal in pattern.formals {
                    match given.iter().find(|(name, _)| *name == formal.name) {
                        Some(argument) => passed.push(*argument),
                        None if formal.default.is_some() => {}
                        None => return Err(missing_argument(formal)),
                    }
                }
            }
            let passed = evaluator.attrs_from(&mut passed);
            evaluator.apply(value, &[passed], PosId::NONE)
        }
        _ => Ok(value),
    }
}

fn missing_argument(formal: &zeval_evaluator::ir::Formal) -> Failure {
    let name = formal.name.text();
    let message = format!(
        "cannot evaluate a function that has an argument without a value ('{name}')\nNix attempted to evaluate a function as a top level expression; in\nthis case it must have its arguments supplied either by default\nvalues, or passed explicitly with '--arg' or '--argstr'. See\nhttps://nix.dev/manual/nix/stable/language/syntax.html#functions."
    );
    EvalError::new(ErrorKind::MissingArgument, formal.pos, message)
}

/// Walks an attribute path such as `a."b.c".0`, calling functions on the way; what is found is not called.
pub fn select(
    evaluator: &mut Evaluator,
    value: Value,
    path: &str,
    given: &[(Symbol, Value)],
) -> Result<Value> {
    let mut value = value;
    for name in parse_path(path)? {
        value = auto_call(evaluator, value, given)?;
        let step = evaluator.force(value)?;
        let wrong = |wanted: &str| {
            let found = zeval_evaluator::eval::expect::show_type(step);
            failure(format!(
                "the expression selected by the selection path '{path}' should be {wanted} but is {found}"
            ))
        };
        if let Ok(index) = name.parse::<u32>() {
            let View::List(list) = step.view() else { return Err(wrong("a list")) };
            value = list.iter().nth(index as usize).ok_or_else(|| {
                failure(format!("list index {index} in selection path '{path}' is out of range"))
            })?;
            continue;
        }
        let View::Attrs(attrs) = step.view() else { return Err(wrong("a set")) };
        if name.is_empty() {
            return Err(failure(format!("empty attribute name in selection path '{path}'")));
        }
        value = attrs.get(Symbol::intern(name.as_bytes())).ok_or_else(|| {
            let names = attrs.flatten(&mut evaluator.heap);
            let names = names.keys.symbols().iter().map(|symbol| symbol.text());
            let suggestions = zeval_evaluator::suggest::closest(name.as_bytes().as_bstr(), names);
            failure(format!("attribute '{name}' in selection path '{path}' not found")).suggest(suggestions)
        })?;
    }
    evaluator.force(value)
}

/// The names of an attribute path.
pub fn parse_path(path: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => names.push(std::mem::take(&mut name)),
            '"' => loop {
                match characters.next() {
                    Some('"') => break,
                    Some(quoted) => name.push(quoted),
                    None => {
                        return Err(failure(format!("missing closing quote in selection path '{path}'")));
                    }
                }
            },
            other => name.push(other),
        }
    }
    if !name.is_empty() {
        names.push(name);
    }
    Ok(names)
}

/// The bytes of an argument.
pub fn bytes(argument: &std::ffi::OsStr) -> Vec<u8> {
    argument.to_owned().into_vec()
}
