//! `nix-instantiate`: evaluates, prints values or the paths of derivations.

use std::{ffi::OsString, io::Write, process::ExitCode, sync::Arc};

use bstr::ByteSlice;
use zeval_evaluator::{
    Evaluator, Failure, Session, Settings, Symbol, Value, View,
    position::PosId,
    print,
    store::{PathsOnly, Store},
    with_large_stack,
};

use crate::evaluation::{self, Argument, ArgumentValue, Input};

#[derive(Default)]
struct Options {
    inputs: Vec<Input>,
    attributes: Vec<String>,
    arguments: Vec<Argument>,
    search_path: Vec<OsString>,
    features: Vec<String>,
    evaluate: bool,
    strict: bool,
    json: bool,
    xml: bool,
    no_location: bool,
    raw: bool,
    parse: bool,
    show_trace: bool,
    pure: bool,
    restricted: bool,
    find_file: bool,
    expression: bool,
    max_call_depth: Option<u32>,
    stats: bool,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}\nTry 'nix-instantiate --help' for more information.");
            return ExitCode::FAILURE;
        }
    };
    match with_large_stack(|| evaluate(&options)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: cannot start a thread to evaluate on: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[OsString]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    let mut files: Vec<OsString> = Vec::new();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        let mut value = |flag: &str| {
            rest.next()
                .cloned()
                .ok_or_else(|| format!("flag '{flag}' requires 1 argument(s), but only 0 were given"))
        };
        match &*text {
            "--eval" | "--eval-only" => options.evaluate = true,
            "--strict" => options.strict = true,
            "--json" => options.json = true,
            "--xml" => options.xml = true,
            "--no-location" => options.no_location = true,
            "--raw" => options.raw = true,
            "--parse" | "--parse-only" => options.parse = true,
            "--show-trace" => options.show_trace = true,
            "--pure-eval" => options.pure = true,
            "--impure" => options.pure = false,
            "--restrict-eval" => options.restricted = true,
            "--find-file" => options.find_file = true,
            "--read-write-mode" | "--readonly-mode" | "--quiet" | "--indirect" => {}
            "--stats" => options.stats = true,
            "-E" | "--expr" => options.expression = true,
            "-A" | "--attr" => options.attributes.push(value(&text)?.to_string_lossy().into_owned()),
            "-I" | "--include" => options.search_path.push(value(&text)?),
            "--arg" | "--argstr" => {
                let name = evaluation::bytes(&value(&text)?);
                let given = evaluation::bytes(&value(&text)?);
                let value = match &*text {
                    "--arg" => ArgumentValue::Expression(given),
                    _ => ArgumentValue::String(given),
                };
                options.arguments.push(Argument { name, value });
            }
            "--option" => {
                let name = value(&text)?.to_string_lossy().into_owned();
                let given = value(&text)?.to_string_lossy().into_owned();
                set_option(&mut options, &name, &given)?;
            }
            "--extra-experimental-features" | "--experimental-features" => {
                let features = value(&text)?.to_string_lossy().into_owned();
                options.features.extend(features.split_whitespace().map(str::to_owned));
            }
            "--max-call-depth" => {
                let depth = value(&text)?.to_string_lossy().into_owned();
                set_option(&mut options, "max-call-depth", &depth)?;
            }
            "-" => files.push(OsString::from("-")),
            flag if flag.starts_with('-') => return Err(format!("unrecognised flag '{flag}'")),
            _ => files.push(argument.clone()),
        }
    }
    options.inputs = inputs(files, options.expression);
    Ok(options)
}

fn set_option(options: &mut Options, name: &str, value: &str) -> Result<(), String> {
    match name {
        "pure-eval" => options.pure = value == "true",
        "restrict-eval" => options.restricted = value == "true",
        "experimental-features" | "extra-experimental-features" => {
            options.features.extend(value.split_whitespace().map(str::to_owned));
        }
        "max-call-depth" => {
            let depth =
                value.parse().map_err(|_| format!("setting 'max-call-depth' has invalid value '{value}'"))?;
            options.max_call_depth = Some(depth);
        }
        _ => {}
    }
    Ok(())
}

fn inputs(files: Vec<OsString>, expressions: bool) -> Vec<Input> {
    if files.is_empty() && !expressions {
        return vec![Input::File(OsString::from("./default.nix"))];
    }
    files
        .into_iter()
        .map(|file| match file.to_str() {
            Some("-") => Input::Stdin,
            _ if expressions => Input::Expression(evaluation::bytes(&file)),
            _ => Input::File(file),
        })
        .collect()
}

fn settings(options: &Options) -> Settings {
    let mut settings = Settings {
        pure: options.pure,
        restricted: options.restricted,
        search_path: evaluation::search_path(&options.search_path),
        show_trace: options.show_trace,
        home: std::env::var_os("HOME").map(Into::into),
        features: options.features.clone(),
        ..Settings::default()
    };
    settings.max_call_depth = options.max_call_depth.unwrap_or(settings.max_call_depth);
    evaluation::use_code_cache(&mut settings);
    settings
}

fn evaluate(options: &Options) -> ExitCode {
    let store: Arc<dyn Store> = Arc::new(PathsOnly::default());
    let session = Session::new(settings(options), store);
    let mut evaluator = Evaluator::new(session);
    for input in &options.inputs {
        if let Err(error) = one(&mut evaluator, options, input) {
            eprint!("{}", super::errors::render(&error, options.show_trace));
            return ExitCode::from(error.status as u8);
        }
    }
    if options.stats {
        eprintln!("{:?} heap {}", evaluator.stats, evaluator.heap.allocated());
    }
    ExitCode::SUCCESS
}

fn one(evaluator: &mut Evaluator, options: &Options, input: &Input) -> Result<(), Failure> {
    let root = evaluation::evaluate(evaluator, input)?;
    let given = evaluation::arguments(evaluator, &options.arguments)?;
    let default = [String::new()];
    let paths = if options.attributes.is_empty() { &default } else { &options.attributes[..] };
    for path in paths {
        let value = evaluation::select(evaluator, root, path, &given)?;
        if options.evaluate {
            print_value(evaluator, options, value)?;
        } else {
            print_derivations(evaluator, value, &given)?;
        }
    }
    Ok(())
}

fn print_value(evaluator: &mut Evaluator, options: &Options, value: Value) -> Result<(), Failure> {
    let value = if options.strict { evaluator.force_deep(value)? } else { evaluator.force(value)? };
    let text = if options.json {
        let text = evaluator.to_json(value, options.strict)?;
        [text, b"\n".to_vec()].concat()
    } else if options.xml {
        evaluator.to_xml(value, options.strict, !options.no_location)?
    } else if options.raw {
        evaluator.to_raw(value)?
    } else {
        format!("{}\n", print::for_eval(value)).into_bytes()
    };
    let _ = std::io::stdout().write_all(&text);
    Ok(())
}

/// Prints the `.drv` paths of a derivation, or of all derivations in a set or list.
fn print_derivations(
    evaluator: &mut Evaluator,
    value: Value,
    given: &[(Symbol, Value)],
) -> Result<(), Failure> {
    let value = evaluation::auto_call(evaluator, value, given)?;
    match value.view() {
        View::Attrs(attrs) if evaluator.is_derivation(attrs)? => {
            let path = attrs.get(Symbol::intern(b"drvPath")).unwrap_or(Value::NULL);
            let path = evaluator.expect_string(
                path,
                PosId::NONE,
                "while evaluating the 'drvPath' attribute of a derivation",
            )?;
            let mut text = path.bytes().to_vec();
            if let Some(output) = attrs.get(Symbol::intern(b"outputName")) {
                let output = evaluator.expect_string(
                    output,
                    PosId::NONE,
                    "while evaluating the output name of a derivation",
                )?;
                if output.bytes() != b"out" {
                    text.push(b'!');
                    text.extend_from_slice(output.bytes());
                }
            }
            println!("{}", text.as_bstr());
        }
        View::Attrs(attrs) => {
            let recurse = Symbol::intern(b"recurseForDerivations");
            for (_, slot) in attrs.flatten(&mut evaluator.heap).sorted() {
                let member = evaluator.force_slot(slot)?;
                let wanted = match member.view() {
                    View::Attrs(inner) => {
                        evaluator.is_derivation(inner)?
                            || matches!(inner.get(recurse), Some(value) if evaluator.expect_bool(value, PosId::NONE, "")?)
                    }
                    _ => false,
                };
                if wanted {
                    print_derivations(evaluator, member, given)?;
                }
            }
        }
        View::List(list) => {
            for element in list.iter() {
                print_derivations(evaluator, element, given)?;
            }
        }
        _ => {
            let message = "expression does not evaluate to a derivation (or a set or list of those)";
            return Err(zeval_evaluator::EvalError::wrong_type(PosId::NONE, message));
        }
    }
    Ok(())
}
