//! `zeval repl`: evaluates expressions as they are typed.

mod commands;
mod complete;
mod debug;
mod input;
mod scope;
mod syntax;

use std::{cell::RefCell, ffi::OsString, io::IsTerminal, rc::Rc, sync::Arc};

use bstr::ByteSlice;
use zeval_builder::store::Store;
use zeval_evaluator::{
    ErrorKind, EvalError, Evaluator, Failure, Session, Symbol, Value,
    debug::Resume,
    eval::transient::Show,
    load,
    position::{Origin, PosId},
    print::forced::{self, Errors},
    with_large_stack,
};

pub use self::{commands::open_in_editor, debug::hook as debugger};
use self::{
    debug::Stopped,
    input::{Input, Line},
    scope::Scope,
    syntax::Kind,
};
use crate::{
    cli::Repl as Arguments,
    commands::{Context, Result, build_options},
    diagnostic::Failed,
    evaluation::{self, Argument},
    store::EvaluationStore,
};

/// What a line leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Line,
    Quit,
    /// The evaluation that the debugger stopped goes on.
    Resume(Resume),
}

/// Where attributes in scope came from, so that they can be loaded again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Loaded {
    File(OsString),
    Expression(String),
    Flake(String),
}

/// A session: what is in scope, and what evaluates.
struct Repl<'c> {
    context: &'c Context,
    store: Arc<Store>,
    evaluation_store: Arc<EvaluationStore>,
    evaluator: &'c mut Evaluator,
    scope: Scope,
    arguments: Vec<Argument>,
    loaded: Vec<Loaded>,
    /// The names that the last load brought.
    last_loaded: Vec<Symbol>,
    base: Vec<u8>,
    show_trace: bool,
    colours: bool,
    /// Where evaluation stopped, if this is the debugger.
    stopped: Option<Stopped>,
}

/// Why a line failed.
enum Problem {
    Evaluation(Failure),
    Other(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        Problem::Evaluation(failure)
    }
}

impl Problem {
    fn other(text: impl std::fmt::Display) -> Problem {
        Problem::Other(text.to_string())
    }
}

type Done<T = ()> = std::result::Result<T, Problem>;

/// Runs the command.
pub fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let store = context.store()?;
    let evaluation_store = Arc::new(EvaluationStore::new(
        Arc::clone(&store),
        build_options(&Default::default(), &arguments.language.option)?,
        context.view.clone(),
        context.cancellation.clone(),
    ));
    let mut settings = arguments.language.settings(context.wants_traces());
    if arguments.language.eval_jobs.is_none() {
        // One thread can give back what a line needed.
        settings.jobs = 1;
    }
    let inputs = context.inputs(&settings.features, &arguments.language.option, &store)?;
    let session = Session::new(settings, evaluation_store.clone());
    session.use_inputs(inputs);
    let done = with_large_stack(|| {
        let mut evaluator = Evaluator::new(session);
        crate::commands::interrupt_on_signals(&evaluator);
        if arguments.language.debugger {
            evaluator.set_debugger(debugger(context, &evaluation_store));
        }
        let mut repl = Repl::new(context, &evaluation_store, &mut evaluator);
        repl.arguments = arguments.given.arguments();
        let files = arguments.files.iter().cloned().map(Loaded::File);
        let expressions = arguments.expr.iter().cloned().map(Loaded::Expression);
        for source in files.chain(expressions) {
            let loaded = repl.load(source);
            repl.finish(loaded);
        }
        interact(repl).map(|_| ())
    });
    done.map_err(|error| Failed::other(format!("cannot start a thread to evaluate on: {error}")))?
        .map_err(Failed::other)
}

/// Reads and answers lines until the user leaves.
fn interact(repl: Repl<'_>) -> rustyline::Result<Option<Resume>> {
    let repl = Rc::new(RefCell::new(repl));
    let mut input = Input::new(Rc::clone(&repl))?;
    loop {
        let line = match input.read()? {
            Line::Text(line) => line,
            Line::Cancelled => continue,
            Line::End => break,
        };
        let mut repl = repl.borrow_mut();
        repl.get_ready();
        let done = repl.line(&line);
        let next = match &done {
            Ok(next) => *next,
            Err(_) => Next::Line,
        };
        repl.finish(done.map(|_| ()));
        match next {
            Next::Line => println!(),
            Next::Quit => break,
            Next::Resume(resume) => {
                input.save();
                return Ok(Some(resume));
            }
        }
    }
    input.save();
    Ok(None)
}

impl<'c> Repl<'c> {
    fn new(
        context: &'c Context,
        evaluation_store: &Arc<EvaluationStore>,
        evaluator: &'c mut Evaluator,
    ) -> Repl<'c> {
        Repl {
            context,
            store: Arc::clone(&evaluation_store.store),
            evaluation_store: Arc::clone(evaluation_store),
            evaluator,
            scope: Scope::default(),
            arguments: Vec::new(),
            loaded: Vec::new(),
            last_loaded: Vec::new(),
            base: load::current_folder().unwrap_or_else(|_| b"/".to_vec()),
            show_trace: context.global.show_trace,
            colours: std::io::stdout().is_terminal(),
            stopped: None,
        }
    }
}

impl Repl<'_> {
    /// Forgets interruptions and failures of earlier lines.
    fn get_ready(&mut self) {
        self.evaluator.clear_interruption();
        self.evaluator.reset_depth(0);
        self.evaluator.set_show_trace(self.show_trace || self.context.wants_traces());
        self.context.cancellation.flag().store(false, std::sync::atomic::Ordering::Relaxed);
    }

    /// Writes to the store what a line made, and says what went wrong.
    fn finish(&mut self, done: Done) {
        let flushed = self.evaluation_store.flush().map_err(Problem::other);
        for problem in [done.err(), flushed.err()].into_iter().flatten() {
            match problem {
                Problem::Evaluation(error) if error.kind == ErrorKind::Interrupted => {
                    eprintln!("error: {}", error.message);
                }
                Problem::Evaluation(error) => {
                    crate::output::tell(&self.context.shown(&error, self.show_trace))
                }
                Problem::Other(text) => eprintln!("error: {text}"),
            }
        }
    }

    fn line(&mut self, line: &str) -> Done<Next> {
        if let Some(command) = line.trim_start().strip_prefix(':') {
            return self.command(command);
        }
        match syntax::kind(line, &self.evaluator.parse_options()) {
            Kind::Nothing => {}
            Kind::Definitions => self.define(line)?,
            Kind::Expression | Kind::Incomplete => {
                self.show(line, forced::value, 1)?;
            }
        }
        Ok(Next::Line)
    }

    fn define(&mut self, text: &str) -> Done {
        let base = self.base.clone();
        let scope = self.scope.as_load_scope();
        let set = self.evaluator.evaluate_definitions(text.as_bytes().to_vec(), base.as_bstr(), scope)?;
        let Some(set) = set.as_attrs() else { return Ok(()) };
        for (name, slot) in set.flatten(&mut self.evaluator.heap).iter() {
            self.scope.bind(name, slot.get());
        }
        Ok(())
    }

    /// The value of an expression, evaluated to its outermost part.
    fn evaluate(&mut self, text: &str) -> std::result::Result<Value, Failure> {
        let base = self.base.clone();
        let scope = self.scope.as_load_scope();
        self.evaluator.evaluate_text(Origin::String, text.as_bytes().to_vec(), base.as_bstr(), scope)
    }

    /// Prints the value of an expression, of which nothing stays in memory.
    fn show(&mut self, text: &str, show: Show, depth: usize) -> Done {
        let base = self.base.clone();
        let options = self.options(depth);
        let scope = self.scope.as_load_scope();
        let text = text.as_bytes().to_vec();
        let mut shown = self.evaluator.evaluate_shown(text, base.as_bstr(), scope, show, options)?;
        shown.push('\n');
        crate::output::print(&shown);
        Ok(())
    }

    fn options(&self, depth: usize) -> forced::Options {
        forced::Options { depth, lines: true, colours: self.colours, errors: Errors::FailOutermost }
    }

    /// Brings the attributes of a set into scope, and remembers to do so again.
    fn load(&mut self, source: Loaded) -> Done {
        if !self.loaded.contains(&source) {
            self.loaded.push(source.clone());
        }
        let value = match &source {
            Loaded::File(path) => {
                evaluation::evaluate(self.evaluator, &evaluation::Input::File(path.clone()))?
            }
            Loaded::Expression(text) => self.evaluate(text)?,
            Loaded::Flake(reference) => self.flake(reference)?,
        };
        let given = evaluation::arguments(self.evaluator, &self.arguments)?;
        let value = evaluation::auto_call(self.evaluator, value, &given)?;
        self.add(value)
    }

    fn flake(&mut self, reference: &str) -> Done<Value> {
        let is_path = reference.starts_with(['.', '/', '~']);
        let absolute = match is_path {
            true => {
                let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
                let path = std::path::Path::new(path).canonicalize().map_err(Problem::other)?;
                if fragment.is_empty() { path.display().to_string() } else { reference.to_owned() }
            }
            false => reference.to_owned(),
        };
        let argument = self.evaluator.heap.string(absolute.as_bytes());
        let function = self.evaluate("builtins.getFlake")?;
        Ok(self.evaluator.apply(function, &[argument], PosId::NONE)?)
    }

    /// Brings the attributes of a set into scope.
    fn add(&mut self, value: Value) -> Done {
        let doing = "while evaluating an attribute set to be merged in the global scope";
        let set = self.evaluator.expect_attrs(value, PosId::NONE, doing)?;
        let members = set.flatten(&mut self.evaluator.heap).sorted();
        self.last_loaded = members.iter().map(|(name, _)| *name).collect();
        for (name, slot) in members {
            self.scope.bind(name, slot.get());
        }
        println!("Added {} variables.", self.last_loaded.len());
        const SHOWN: usize = 20;
        let names: Vec<String> = self
            .last_loaded
            .iter()
            .take(SHOWN)
            .map(|name| zeval_evaluator::print::attr_name(*name))
            .collect();
        if !names.is_empty() {
            println!("{}", names.join(", "));
        }
        if let more @ 1.. = self.last_loaded.len().saturating_sub(SHOWN) {
            println!("... and {more} more; view with :ll");
        }
        Ok(())
    }
}

/// An error of the repl's own.
fn failure(message: impl Into<String>) -> Problem {
    Problem::Evaluation(EvalError::eval(PosId::NONE, message))
}
