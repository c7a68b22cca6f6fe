//! `zeval eval`: prints values.

use std::io::Write;

use zeval_evaluator::print;

use super::{Context, Result};
use crate::{cli::Eval, evaluation};

/// Runs the command.
pub fn run(context: &Context, arguments: &Eval) -> Result<()> {
    let store = context.store()?;
    let texts =
        context.evaluate(&arguments.source, &store, &Default::default(), |evaluator, value, given| {
            let value = match given {
                [] => value,
                given => evaluation::auto_call(evaluator, value, given)?,
            };
            if arguments.json {
                return Ok([evaluator.to_json(value, true)?, b"\n".to_vec()].concat());
            }
            if arguments.raw {
                return evaluator.to_raw(value, "while generating the eval command output");
            }
            let value =
                if arguments.strict { evaluator.force_deep(value)? } else { evaluator.force(value)? };
            Ok(format!("{}\n", print::shallow(value)).into_bytes())
        })?;
    let mut out = std::io::stdout().lock();
    for text in texts {
        // Nobody reads on: that is no error of ours.
        let _ = out.write_all(&text);
    }
    Ok(())
}
