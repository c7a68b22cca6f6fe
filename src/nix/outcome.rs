//! How a command under Nix's name ends: its error texts and exit statuses.

use std::{fmt, process::ExitCode};

use zeval_builder::store::StoreError;
use zeval_evaluator::Failure;

use super::errors;
use crate::diagnostic::Failed;

/// Why a command stopped.
pub enum Stop {
    /// The command line makes no sense.
    Usage(String),
    /// An error in words, and the exit status.
    Failed { text: String, status: u8 },
    /// An error in an expression.
    Evaluation(Failure),
    /// All was said.
    Silent(u8),
}

pub type Outcome<T> = Result<T, Stop>;

/// An error about the command line.
pub fn usage<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Stop::Usage(text.into()))
}

/// An error in words.
pub fn fail<T>(text: impl fmt::Display) -> Outcome<T> {
    Err(Stop::of(text))
}

impl Stop {
    /// An error in words, with the usual status.
    pub fn of(error: impl fmt::Display) -> Stop {
        Stop::Failed { text: error.to_string(), status: 1 }
    }

    /// Says what is wrong as Nix does, and gives the exit status. `program` is what `--help` is offered of.
    pub fn tell(&self, program: &str, show_trace: bool) -> ExitCode {
        match self {
            Stop::Usage(text) => {
                eprintln!("{}Try '{program} --help' for more information.", errors::message(text));
                ExitCode::FAILURE
            }
            Stop::Failed { text, status } => {
                eprint!("{}", errors::message(text));
                ExitCode::from(*status)
            }
            Stop::Evaluation(error) => {
                crate::output::tell(&errors::render(program, error, show_trace));
                ExitCode::from(error.status as u8)
            }
            Stop::Silent(status) => ExitCode::from(*status),
        }
    }
}

/// Ends a command.
pub fn end(program: &str, outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.tell(program, false),
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Evaluation(failure)
    }
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Stop {
        match failed {
            Failed::Evaluation(error) => Stop::Evaluation(error),
            Failed::Build { text, status } => Stop::Failed { text, status },
            Failed::Other(text) => Stop::of(text),
            Failed::Program(status) => Stop::Silent(status),
            Failed::Cancelled => Stop::Failed { text: "interrupted by the user".into(), status: 1 },
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        match error {
            StoreError::NotValid(path) => Stop::of(format!("path '{path}' is not valid")),
            error => Stop::of(error),
        }
    }
}

/// Errors that are only their text here.
macro_rules! in_words {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Stop {
            fn from(error: $error) -> Stop {
                Stop::of(error)
            }
        })*
    };
}

in_words!(
    std::io::Error,
    zeval_builder::cache::CacheError,
    zeval_evaluator::store::StoreError,
    zeval_model::derivation::DerivationError,
    zeval_model::hash::HashError,
    zeval_model::signature::SignatureError,
    zeval_model::store_path::StorePathError,
    zeval_model::tree::TreeError,
);
