//! `zeval eval`: prints values.

use std::{
    fs,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use bstr::ByteSlice;
use zeval_evaluator::{
    ErrorKind, EvalError, Evaluator, Failure, Symbol, Value, View,
    eval::error::Traced,
    position::PosId,
    print::{
        self,
        forced::{self, Errors},
    },
    text::raw,
};

use super::{Context, Result, build_options};
use crate::{
    cli::{Eval, SourceKind},
    diagnostic::Failed,
    evaluation::{self, Input},
};

/// Runs the command.
pub fn run(context: &Context, arguments: &Eval) -> Result<()> {
    if let Some(path) = arguments.write_to.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(Failed::other(format!("'{}' is there already: it is not overwritten", path.display())));
    }
    let store = context.store()?;
    let options = build_options(&Default::default(), &arguments.source.language.option)?;
    let texts = context.evaluate(&arguments.source, &store, &options, |evaluator, value, given| {
        let value = match given {
            [] => value,
            // `nix eval` calls functions on the way to an attribute only.
            _ if arguments.source.kind == SourceKind::File => value,
            given => evaluation::auto_call(evaluator, value, given)?,
        };
        let value = applied(evaluator, value, arguments)?;
        output(evaluator, value, arguments)
    })?;
    let mut out = std::io::stdout().lock();
    for text in texts {
        // Nobody reads on: that is no error of ours.
        let _ = out.write_all(&text);
    }
    Ok(())
}

fn applied(evaluator: &mut Evaluator, value: Value, arguments: &Eval) -> std::result::Result<Value, Failure> {
    let Some(function) = &arguments.apply else { return Ok(value) };
    let function = evaluation::evaluate(evaluator, &Input::Expression(evaluation::bytes(function)))?;
    evaluator.apply(function, &[value], PosId::NONE)
}

fn output(
    evaluator: &mut Evaluator,
    value: Value,
    arguments: &Eval,
) -> std::result::Result<Vec<u8>, Failure> {
    if let Some(path) = &arguments.write_to {
        write(evaluator, value, path, PosId::NONE)?;
        return Ok(Vec::new());
    }
    if arguments.json && arguments.source.flake().is_some() {
        return Ok([evaluator.to_json_in_place(value)?, b"\n".to_vec()].concat());
    }
    if arguments.json {
        return Ok([evaluator.to_json(value, true)?, b"\n".to_vec()].concat());
    }
    if arguments.raw {
        return evaluator.to_raw(value, "while generating the eval command output");
    }
    if arguments.xml {
        let mut out = Vec::new();
        return evaluator.to_xml(value, arguments.strict, true, &mut out).map(|()| out);
    }
    // As `nix eval` has it: what fails inside of the value is printed there.
    let errors = if arguments.strict { Errors::Fail } else { Errors::FailOutermost };
    let is_nix = arguments.source.kind != SourceKind::Either;
    let text = match arguments.strict || is_nix || arguments.source.flake().is_some() {
        true => {
            let whole = forced::Options { depth: usize::MAX, lines: false, colours: false, errors };
            forced::value(evaluator, value, whole)?
        }
        false => print::shallow(evaluator.force(value)?),
    };
    Ok([&*raw::bytes(&text), b"\n"].concat())
}

/// Writes a string to a file, a set to a folder.
fn write(
    evaluator: &mut Evaluator,
    value: Value,
    path: &Path,
    pos: PosId,
) -> std::result::Result<(), Failure> {
    let failed = |action: &str, error: std::io::Error| {
        let message = format!("cannot {action} '{}': {error}", path.display());
        EvalError::new(ErrorKind::World, PosId::NONE, message)
    };
    let value = evaluator.force(value)?;
    match value.view() {
        View::String(text) => fs::write(path, text.bytes()).map_err(|error| failed("write", error)),
        View::Attrs(attrs) => {
            fs::create_dir(path).map_err(|error| failed("make the folder", error))?;
            for (name, slot) in attrs.flatten(&mut evaluator.heap).sorted() {
                let pos = attrs.position(name).unwrap_or(PosId::NONE);
                let file = member_path(path, name, pos)?;
                write(evaluator, slot.get(), &file, pos)
                    .traced(pos, || format!("while evaluating the attribute '{}'", print::attr_name(name)))?;
            }
            Ok(())
        }
        _ => {
            let found = zeval_evaluator::eval::expect::show_type(value);
            let message =
                format!("a string or a set of those is needed for '{}', but this is {found}", path.display());
            Err(EvalError::wrong_type(pos, message))
        }
    }
}

/// The file of an attribute: its name must be one that a file can have.
fn member_path(folder: &Path, name: Symbol, pos: PosId) -> std::result::Result<PathBuf, Failure> {
    let text = name.text();
    if text.is_empty() || text == "." || text == ".." || text.contains(&b'/') {
        let message = format!("no file can be called '{text}'");
        return Err(EvalError::eval(pos, message));
    }
    Ok(folder.join(std::ffi::OsStr::from_bytes(text.as_bytes())))
}
