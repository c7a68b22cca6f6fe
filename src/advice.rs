//! What to do about errors that people meet often, beyond what the evaluator itself advises.

use bstr::ByteSlice;
use zeval_evaluator::{ErrorKind, EvalError, builtins, suggest::closest};

/// What may help; `None` where the message says it all.
pub fn of(error: &EvalError) -> Option<String> {
    let message = error.message.as_str();
    match error.kind {
        ErrorKind::Syntax => of_syntax(message).map(str::to_owned),
        ErrorKind::UndefinedVariable => of_builtin(message),
        ErrorKind::Type => of_type(message).map(str::to_owned),
        ErrorKind::InfiniteRecursion => Some(
            "a value was needed to compute itself; `--show-trace` tells by which way, `zeval explain Z0106` the usual causes"
                .to_owned(),
        ),
        ErrorKind::StackOverflow => {
            Some("the recursion has no end, or is too long: `zeval explain Z0107`".to_owned())
        }
        ErrorKind::MissingArgument if message.contains("has an argument without a value") => {
            Some("give it: --arg NAME EXPR, or --argstr NAME STRING".to_owned())
        }
        ErrorKind::MissingArgument if message.contains("unexpected argument") => {
            Some("a function that takes any further arguments has `...` in its pattern".to_owned())
        }
        _ => None,
    }
}

fn of_syntax(message: &str) -> Option<&'static str> {
    let advice = match () {
        () if message.contains("unexpected ','") => {
            "commas are for the arguments of functions: elements of a list are separated by blanks, bindings end in ';'"
        }
        () if message.contains("expecting ';'") => "the binding before this lacks its ';'",
        () if message.contains("end of file, expecting 'else'") => "every `if` has an `else`",
        () if message.contains("unexpected end of file, expecting '.' or '='") => {
            "a `let` wants `in` after its bindings"
        }
        () if ["'}'", "')'", "']'"].iter().any(|close| message.ends_with(&format!("expecting {close}"))) => {
            "something that was opened before this is not closed"
        }
        () if message.contains("unexpected end of file") => "the text ends before the expression does",
        () if message.contains("unexpected ':', expecting '.' or '='") => {
            "a binding is written `name = value;`"
        }
        () if message.contains("already defined") => "remove one of the two definitions",
        () if message.contains("duplicate formal") => "each argument has its own name",
        () if message.starts_with("invalid integer") => "integers have 64 bits",
        () if message.contains("trailing slash") => "leave the '/' at its end out",
        () if message.contains("dynamic attributes not allowed in inherit") => {
            "write `${name} = value;`: `inherit` takes names only"
        }
        () => return None,
    };
    Some(advice)
}

fn of_type(message: &str) -> Option<&'static str> {
    let advice = match () {
        () if message.starts_with("cannot coerce an integer")
            || message.starts_with("cannot coerce a float") =>
        {
            "nothing becomes a string by itself: write `toString x`, or `${toString x}` in a string"
        }
        () if message.starts_with("cannot coerce a set") => {
            "a set becomes a string by `outPath` or `__toString`; to look at it, `builtins.toJSON`"
        }
        () if message.starts_with("cannot coerce a function") => {
            "it may lack an argument: functions are called by `f x`"
        }
        () if message.starts_with("cannot add a string to an integer") => {
            "write `toString` before the integer"
        }
        () if message.starts_with("attempt to call something which is not a function") => {
            "perhaps a ';', an operator or parentheses are missing: two values side by side are a call"
        }
        () => return None,
    };
    Some(advice)
}

/// A variable that is called as a builtin is, or nearly so.
fn of_builtin(message: &str) -> Option<String> {
    let name = message.strip_prefix("undefined variable '")?.trim_end_matches('\'');
    if builtins::members().any(|member| member == name) {
        return Some(format!("it is a builtin: write builtins.{name}"));
    }
    let members: Vec<&str> = builtins::members().collect();
    let near = closest(name.as_bytes().as_bstr(), members.iter().map(|member| member.as_bytes().as_bstr()));
    // Short names are near to everything.
    let first = near.first().filter(|_| name.len() > 4)?;
    Some(format!("did you mean builtins.{first}?"))
}
