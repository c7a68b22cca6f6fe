//! Tells the builder what is wanted while the evaluation that finds it still goes on.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use zeval_builder::schedule::{DrvOutput, Wants};
use zeval_evaluator::{EvalError, Failure, position::PosId};

use crate::store::EvaluationStore;

/// To write a derivation to the store alone costs as much as to write a hundred together.
const INTERVAL: Duration = Duration::from_millis(50);

/// Gathers what is found for a moment, and then tells it.
pub struct Announcer<'a> {
    wants: &'a Wants<'a>,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    found: Vec<DrvOutput>,
    since: Instant,
}

impl<'a> Announcer<'a> {
    /// One that has told nothing.
    pub fn new(wants: &'a Wants<'a>) -> Announcer<'a> {
        Announcer { wants, waiting: Mutex::new(Waiting { found: Vec::new(), since: Instant::now() }) }
    }

    /// Takes what an evaluation found, whose derivations `store` has or is about to write. Fails where there is no use in finding
    /// more: then the builder knows why.
    pub fn found(&self, store: &EvaluationStore, wanted: DrvOutput) -> Result<(), Failure> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.found.push(wanted);
        if waiting.since.elapsed() < INTERVAL {
            return Ok(());
        }
        waiting.since = Instant::now();
        let failed = |message: String| EvalError::eval(PosId::NONE, message);
        store.flush().map_err(|error| failed(error.to_string()))?;
        match self.wants.add(std::mem::take(&mut waiting.found)) {
            true => Ok(()),
            false => Err(failed("what was found before cannot be built".to_owned())),
        }
    }
}
