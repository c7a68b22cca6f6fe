//! Errors, messages and the order of evaluation.

use super::Builtin;
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{ErrorKind, EvalError, Kept, Result, Trace},
    },
    position::PosId,
    print,
    symbol::known,
    value::{Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("throw", 1, 1, throw),
    Builtin::new("abort", 1, 1, abort),
    Builtin::new("tryEval", 1, 0, try_eval),
    Builtin::new("addErrorContext", 2, 0, add_error_context),
    Builtin::new("seq", 2, 1, seq),
    Builtin::new("deepSeq", 2, 1, deep_seq),
    Builtin::new("trace", 2, 1, trace),
    Builtin::new("traceVerbose", 2, 1, trace_verbose),
    Builtin::new("warn", 2, 1, warn),
    Builtin::new("break", 1, 0, stop),
];

fn message(
    evaluator: &mut Evaluator,
    value: Value,
    coercion: Coercion,
    pos: PosId,
    doing: &str,
) -> Result<String> {
    let text = evaluator.coerce(value, coercion, &mut None, pos, doing)?;
    Ok(crate::text::raw::text(text).into_owned())
}

fn throw(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the error message passed to builtin.throw";
    let text = message(evaluator, args[0], Coercion::INTERPOLATED, pos, doing)?;
    Err(EvalError::new(ErrorKind::Throw, PosId::NONE, text))
}

fn abort(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the error message passed to builtins.abort";
    let text = message(evaluator, args[0], Coercion::INTERPOLATED, pos, doing)?;
    let text = format!("evaluation aborted with the following error message: '{text}'");
    Err(EvalError::new(ErrorKind::Abort, PosId::NONE, text))
}

fn stop(evaluator: &mut Evaluator, args: &[Value], _: PosId) -> Result<Value> {
    evaluator.breakpoint()?;
    evaluator.force(args[0])
}

fn try_eval(evaluator: &mut Evaluator, args: &[Value], _: PosId) -> Result<Value> {
    let depth = evaluator.depth();
    evaluator.count_try(1);
    evaluator.tries += 1;
    let tried = evaluator.force(args[0]);
    evaluator.tries -= 1;
    evaluator.count_try(-1);
    let (value, success) = match tried {
        Ok(_) => (args[0].shared(), Value::TRUE),
        Err(error) if error.is_catchable() => {
            Kept::update(&error);
            (Value::FALSE, Value::FALSE)
        }
        Err(error) => return Err(error),
    };
    evaluator.reset_depth(depth);
    Ok(evaluator.attrs_from(&mut [(known().value, value), (known().success, success)]))
}

fn add_error_context(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    match evaluator.force(args[1]) {
        Ok(value) => Ok(value),
        Err(error) => {
            let doing = "while evaluating the error message passed to builtins.addErrorContext";
            let text = message(evaluator, args[0], Coercion::APPENDED, pos, doing)?;
            let mut error = error;
            error.traces.push(Trace { pos: PosId::NONE, text, always: true });
            Err(error)
        }
    }
}

fn seq(evaluator: &mut Evaluator, args: &[Value], _: PosId) -> Result<Value> {
    evaluator.force(args[0])?;
    evaluator.force(args[1])
}

fn deep_seq(evaluator: &mut Evaluator, args: &[Value], _: PosId) -> Result<Value> {
    evaluator.force_deep(args[0])?;
    evaluator.force(args[1])
}

/// What `trace` prints for a value: the text of a string, anything else as it would be printed.
fn shown(evaluator: &mut Evaluator, value: Value) -> Result<String> {
    Ok(match evaluator.force(value)?.view() {
        View::String(string) => crate::text::raw::text(string.bytes()).into_owned(),
        _ => print::shallow(value),
    })
}

fn trace(evaluator: &mut Evaluator, args: &[Value], _: PosId) -> Result<Value> {
    evaluator.main_only()?;
    let text = shown(evaluator, args[0])?;
    evaluator.session.say(&format!("trace: {text}"));
    if evaluator.session.settings.stops_at_trace {
        evaluator.breakpoint()?;
    }
    evaluator.force(args[1])
}

fn trace_verbose(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    if evaluator.session.settings.trace_verbose {
        return trace(evaluator, args, pos);
    }
    evaluator.force(args[1])
}

fn warn(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    evaluator.main_only()?;
    let doing = "while evaluating the first argument; the message passed to builtins.warn";
    let text = evaluator.expect_string(args[0], pos, doing)?.bytes();
    let text = crate::text::raw::text(text).into_owned();
    evaluator.session.say(&format!("evaluation warning: {text}"));
    let settings = &evaluator.session.settings;
    if settings.stops_at_trace || settings.stops_at_warn {
        evaluator.breakpoint()?;
    }
    if evaluator.session.settings.abort_on_warn {
        let message = "aborting to reveal stack trace of warning, as abort-on-warn is set";
        return Err(EvalError::new(ErrorKind::Abort, PosId::NONE, message));
    }
    evaluator.force(args[1])
}
