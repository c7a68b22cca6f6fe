//! What goes wrong in an evaluation: a kind, a message, where, and the frames on the way.

use std::sync::Mutex;

use crate::position::PosId;

/// A failed evaluation. Boxed, so that results stay two words.
pub type Failure = Box<EvalError>;

/// The result of evaluating.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What kind of error it is; `tryEval` catches the first two only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// `throw`, and a search path that has no such entry.
    Throw,
    /// `assert`
    Assertion,
    /// `abort`
    Abort,
    /// A value of the wrong type.
    Type,
    /// A variable that nothing binds.
    UndefinedVariable,
    /// An attribute that is not there.
    MissingAttribute,
    /// A function was called with the wrong arguments.
    MissingArgument,
    /// A value that needs itself.
    InfiniteRecursion,
    /// Calls nested too deeply.
    StackOverflow,
    /// A text that is not an expression.
    Syntax,
    /// Forbidden by pure or restricted evaluation.
    Restricted,
    /// A word that stands for one of a few things and is none of them; Nix then points to its help.
    Usage,
    /// The store, the file system or a build failed.
    World,
    /// The user wanted it to end.
    Interrupted,
    /// Anything else.
    Eval,
}

/// A failed evaluation.
#[derive(Clone, Debug)]
pub struct EvalError {
    /// The kind.
    pub kind: ErrorKind,
    /// The message, in Nix's words.
    pub message: String,
    /// Where.
    pub pos: PosId,
    /// Names that may have been meant.
    pub suggestions: Vec<String>,
    /// What the user can do, in zeval's words: no part of Nix's.
    pub advice: Vec<String>,
    /// What was being done, innermost first.
    pub traces: Vec<Trace>,
    /// The exit status that the failure asks for, as that of a failed build; usually 1.
    pub status: i32,
    /// Where those find it who force again what failed with it.
    pub(crate) kept: Option<&'static Kept>,
}

/// An error that values keep which failed with it. As in Nix there is one for all of them: what is added to it until it is
/// caught is told by whoever comes to one of these values later.
#[derive(Debug)]
pub struct Kept(Mutex<EvalError>);

impl Kept {
    /// Keeps an error, as it is by now, for a value that failed with it.
    pub(crate) fn keep(error: &mut EvalError) -> &'static Kept {
        if let Some(kept) = error.kept {
            Kept::update(error);
            return kept;
        }
        let kept: &'static Kept = Box::leak(Box::new(Kept(Mutex::new(error.clone()))));
        error.kept = Some(kept);
        kept
    }

    /// Notes all that was added to a kept error, which is caught.
    pub(crate) fn update(error: &EvalError) {
        if let Some(kept) = error.kept {
            *kept.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = error.clone();
        }
    }

    /// The error, to be raised again.
    pub(crate) fn again(&'static self) -> Failure {
        let mut error = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        error.kept = Some(self);
        Box::new(error)
    }
}

/// Something that was being done when the error happened.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Where.
    pub pos: PosId,
    /// What, as in "while evaluating the attribute 'x'".
    pub text: String,
    /// Shown even without `--show-trace`.
    pub always: bool,
}

impl EvalError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, pos: PosId, message: impl Into<String>) -> Failure {
        Box::new(EvalError {
            kind,
            message: message.into(),
            pos,
            suggestions: Vec::new(),
            advice: Vec::new(),
            traces: Vec::new(),
            status: 1,
            kept: None,
        })
    }

    /// A value of the wrong type.
    pub fn wrong_type(pos: PosId, message: impl Into<String>) -> Failure {
        EvalError::new(ErrorKind::Type, pos, message)
    }

    /// An error of no special kind.
    pub fn eval(pos: PosId, message: impl Into<String>) -> Failure {
        EvalError::new(ErrorKind::Eval, pos, message)
    }

    /// Whether `tryEval` catches it.
    pub fn is_catchable(&self) -> bool {
        matches!(self.kind, ErrorKind::Throw | ErrorKind::Assertion)
    }

    /// Adds what was being done around it. An empty text adds nothing.
    pub fn trace(mut self: Box<Self>, pos: PosId, text: impl Into<String>) -> Failure {
        let text = text.into();
        if !text.is_empty() {
            self.traces.push(Trace { pos, text, always: false });
        }
        self
    }

    /// Says where it happened.
    pub fn at(mut self: Box<Self>, pos: PosId) -> Failure {
        self.pos = pos;
        self
    }

    /// Adds names that may have been meant.
    pub fn suggest(mut self: Box<Self>, suggestions: Vec<String>) -> Failure {
        self.suggestions = suggestions;
        self
    }
}

/// Adds to the error of a result what was being done.
pub trait Traced<T> {
    /// See [`EvalError::trace`]; `text` is only made when there is an error.
    fn traced<S: Into<String>>(self, pos: PosId, text: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Traced<T> for Result<T> {
    #[inline(always)]
    fn traced<S: Into<String>>(self, pos: PosId, text: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.trace(pos, text()))
    }
}
