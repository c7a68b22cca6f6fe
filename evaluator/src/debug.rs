//! The debugger's side of an evaluation: the frames under way, and where it stops.
//!
//! Code is lowered with marks only if a debugger was set ([`Evaluator::set_debugger`]); without, nothing here is ever run.

use std::sync::Arc;

use crate::{
    Symbol, Value,
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Result},
    },
    ir::mark::{Mark, What},
    position::PosId,
    value::Env,
};

/// An expression under way.
#[derive(Clone, Copy)]
pub struct Frame {
    /// The expression.
    pub mark: &'static Mark,
    env: &'static Env,
}

/// Why evaluation stopped.
#[derive(Clone, Copy)]
pub enum Stop<'s> {
    /// An error that nobody has handled yet.
    Error(&'s EvalError),
    /// `builtins.break`
    Break,
    /// A step was asked for.
    Step,
}

/// How evaluation goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    /// Up to the next error or `builtins.break`.
    Continue,
    /// Up to the next expression.
    Step,
    /// Not at all.
    Quit,
}

/// Talks to the user; the frames come innermost last.
pub type Hook = Arc<dyn Fn(&mut Evaluator, Stop<'_>, &[Frame]) -> Resume + Send + Sync>;

/// What the evaluator keeps for the debugger.
pub(crate) struct Debugger {
    hook: Hook,
    frames: Vec<Frame>,
    stepping: bool,
    /// The error under way was shown already.
    reported: bool,
    /// How many `tryEval`s are under way.
    tries: i32,
}

/// Variables that were bound together.
pub struct Level {
    /// What binds them: nothing special, or a `with`.
    pub is_with: bool,
    /// Their names and values, evaluated or not.
    pub variables: Vec<(Symbol, Value)>,
}

impl Evaluator {
    /// Lets `hook` take over at errors and breakpoints of code that is loaded from now on.
    pub fn set_debugger(&mut self, hook: Hook) {
        let debugger = Debugger { hook, frames: Vec::new(), stepping: false, reported: false, tries: 0 };
        self.debugger = Some(Box::new(debugger));
        // What is watched happens in the order of one thread.
        self.pool = None;
    }

    /// Evaluates a marked expression under the debugger.
    #[inline(never)]
    pub(crate) fn debugged(&mut self, mark: &'static Mark, env: &'static Env) -> Result<Value> {
        let Some(debugger) = &mut self.debugger else { return self.eval(&mark.body, env) };
        debugger.frames.push(Frame { mark, env });
        debugger.reported = false;
        let stepped = if debugger.stepping { self.stop(Stop::Step) } else { Ok(()) };
        let result = stepped.and_then(|()| self.eval(&mark.body, env));
        let result = result.or_else(|error| {
            self.check_stack(PosId::NONE)?;
            if self.is_new(&error) {
                self.stop(Stop::Error(&error))?;
            }
            Err(error)
        });
        if let Some(debugger) = &mut self.debugger {
            debugger.frames.pop();
        }
        result
    }

    /// Whether to stop at an error: not again on its way up, and not where it is wanted to be caught.
    fn is_new(&mut self, error: &EvalError) -> bool {
        let ignores_tries = self.session.settings.ignore_try;
        let Some(debugger) = &mut self.debugger else { return false };
        let caught = ignores_tries && debugger.tries > 0 && error.is_catchable();
        let new = !debugger.reported && !caught && error.kind != ErrorKind::Interrupted;
        debugger.reported |= new;
        new
    }

    /// A `tryEval` begins or ends.
    pub(crate) fn count_try(&mut self, change: i32) {
        if let Some(debugger) = &mut self.debugger {
            debugger.tries += change;
        }
    }

    /// `builtins.break`
    pub(crate) fn breakpoint(&mut self) -> Result<()> {
        if self.debugger.is_some() { self.stop(Stop::Break) } else { Ok(()) }
    }

    /// Hands over to the user. What they evaluate meanwhile is not debugged.
    fn stop(&mut self, stop: Stop<'_>) -> Result<()> {
        let Some(mut debugger) = self.debugger.take() else { return Ok(()) };
        let depth = self.depth();
        let resume = (debugger.hook)(self, stop, &debugger.frames);
        self.reset_depth(depth);
        self.clear_interruption();
        debugger.stepping = resume == Resume::Step;
        self.debugger = Some(debugger);
        match resume {
            Resume::Quit => Err(EvalError::new(ErrorKind::Interrupted, PosId::NONE, "ended by the user")),
            _ => Ok(()),
        }
    }
}

impl Frame {
    /// The variables that the expression sees, innermost first; a name may come more than once.
    pub fn levels(&self, evaluator: &mut Evaluator) -> Vec<Level> {
        let mut levels = Vec::new();
        let mut scope = self.mark.scope;
        while let Some(current) = scope {
            let value = |name: &crate::ir::mark::DebugName| {
                let value = self.env.ancestor(self.mark.frame - name.frame).slot(name.slot).get();
                (!value.is_unset()).then_some((name.name, value))
            };
            let variables = current.names.iter().filter_map(value).collect();
            levels.push(Level { is_with: false, variables });
            scope = current.outer;
        }
        for with in self.mark.withs {
            let set = self.env.ancestor(with.depth).slot(with.slot).get();
            // One that cannot be evaluated, or is being evaluated, has no names to offer.
            let Some(set) = evaluator.force(set).ok().and_then(|set| set.as_attrs()) else { continue };
            let members = set.flatten(&mut evaluator.heap).sorted();
            let variables = members.into_iter().map(|(name, slot)| (name, slot.get())).collect();
            levels.push(Level { is_with: true, variables });
        }
        levels
    }

    /// What it is, as in "while calling a function".
    pub fn title(&self) -> String {
        match self.mark.what {
            What::File => "while evaluating a file".into(),
            What::Function(Some(name)) => format!("while calling '{}'", name.shown()),
            What::Function(None) => "while calling anonymous lambda".into(),
            What::Call => "while evaluating a call".into(),
            What::Builtin(name) => format!("while calling the '{name}' builtin"),
            What::Expression => "while evaluating an expression".into(),
        }
    }
}
