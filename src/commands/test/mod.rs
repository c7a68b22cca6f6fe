//! `zeval test`: runs unit tests written in the language.

mod files;
mod find;
mod judge;
mod report;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::Instant,
};

use regex_automata::meta::Regex;
use zeval_evaluator::{ErrorKind, EvalError, Evaluator, Failure, Symbol, Value};

use self::{
    find::{Found, find},
    judge::{Outcome, judge},
    report::{Report, Tested},
};
use super::{Context, Result, build_options};
use crate::{
    cli::{Source, SourceKind, Test},
    diagnostic::Failed,
    evaluation,
    flakes::{
        self,
        select::{Search, select},
    },
};

/// Runs the command.
pub fn run(context: &Context, arguments: &Test) -> Result<()> {
    let wanted =
        match &arguments.name {
            Some(pattern) => Some(Regex::new(pattern).map_err(|error| {
                Failed::other(format!("'{pattern}' is not a regular expression: {error}"))
            })?),
            None => None,
        };
    let report = Report::new(context, arguments);
    let runner = Runner { context, arguments, wanted, report };
    runner.run_all()?;
    runner.report.finish()
}

/// A flake as it is referred to: a plain name would be one of the registry, but a folder of that name is meant if it is there.
fn reference(operand: &OsStr) -> String {
    let text = operand.to_string_lossy();
    match Path::new(operand).is_dir() && !text.starts_with(['/', '.']) {
        true => format!("./{text}"),
        false => text.into_owned(),
    }
}

struct Runner<'c> {
    context: &'c Context,
    arguments: &'c Test,
    wanted: Option<Regex>,
    report: Report<'c>,
}

impl Runner<'_> {
    fn run_all(&self) -> Result<()> {
        if self.arguments.expr.is_some() {
            return self.source("«string»", None);
        }
        let here = [OsString::from(".")];
        let operands = if self.arguments.operands.is_empty() { &here[..] } else { &self.arguments.operands };
        for operand in operands {
            if flakes::is_flake(operand) {
                let name = reference(operand);
                self.keep_going(&name, self.flake(&name))?;
                continue;
            }
            for file in files::below(operand)? {
                self.source(&file.to_string_lossy(), Some(file.clone().into_os_string()))?;
            }
        }
        Ok(())
    }

    /// Runs what a file or `-E` has; what is wrong with it as a whole is a failure beside those of tests.
    fn source(&self, name: &str, file: Option<OsString>) -> Result<()> {
        let arguments = self.arguments;
        let source = Source {
            file,
            expr: arguments.expr.clone(),
            attributes: arguments.attributes.clone(),
            kind: SourceKind::Either,
            given: arguments.given.clone(),
            language: arguments.language.clone(),
            flake: arguments.flake.clone(),
        };
        let store = self.context.store()?;
        let work = |evaluator: &mut Evaluator, value: Value, given: &[(Symbol, Value)]| {
            let value = evaluation::auto_call(evaluator, value, given)?;
            self.tests(evaluator, name, value)
        };
        let options = build_options(&Default::default(), &arguments.language.option)?;
        let done = self.context.evaluate(&source, &store, &options, work);
        self.keep_going(name, done.map(drop))
    }

    fn flake(&self, name: &str) -> Result<()> {
        let Test { language, flake, attributes, given, .. } = self.arguments;
        if !attributes.is_empty() || !given.arguments().is_empty() {
            return Err(Failed::other(
                "'--attr', '--arg' and '--argstr' do not go with a flake: write 'REF#ATTRIBUTE'",
            ));
        }
        let work = |evaluator: &mut Evaluator, flakes: &flakes::Flakes| {
            let installable = flakes.installable(name)?;
            let locked = flakes.lock(evaluator, &installable.reference)?;
            let outputs = flakes.outputs(evaluator, &locked)?;
            let paths = Search::tests().paths(&installable.fragment);
            let found = select(evaluator, outputs, &paths, &installable.reference.shown())?;
            self.tests(evaluator, name, found.value)
        };
        let options = build_options(&Default::default(), &language.option)?;
        self.context.with_flakes(language, flake, &options, |_| (), work)
    }

    /// Reports an error in an expression and goes on with what else there is to test.
    fn keep_going(&self, name: &str, done: Result<()>) -> Result<()> {
        match done {
            Err(Failed::Evaluation(error)) => {
                let outcome = Outcome::Error(error);
                self.report.add(
                    name,
                    Tested { name: String::new(), pos: Default::default(), outcome, seconds: 0.0 },
                );
                Ok(())
            }
            other => other,
        }
    }

    /// Runs the tests that a value holds, each on its own.
    fn tests(&self, evaluator: &mut Evaluator, file: &str, value: Value) -> std::result::Result<(), Failure> {
        for Found { name, pos, test } in find(evaluator, value)? {
            if self.wanted.as_ref().is_some_and(|wanted| !wanted.is_match(&name)) {
                continue;
            }
            if self.context.cancellation.is_cancelled() {
                return Err(EvalError::new(ErrorKind::Interrupted, pos, "interrupted"));
            }
            let start = Instant::now();
            let outcome = judge(evaluator, test)?;
            self.report.add(file, Tested { name, pos, outcome, seconds: start.elapsed().as_secs_f64() });
        }
        Ok(())
    }
}
