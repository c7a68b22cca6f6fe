//! Tells the builder what is wanted while the evaluation that finds it still goes on.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use zeval_builder::schedule::{DrvOutput, Wants};
use zeval_evaluator::{EvalError, Failure, position::PosId};

use crate::store::EvaluationStore;

/// To write a derivation to the store alone costs as much as to write a hundred together.
const INTERVAL: Duration = Duration::from_millis(50);

/// Gathers what is found for a moment, and then tells it.
pub struct Announcer<'a> {
    wants: &'a Wants<'a>,
    waiting: Mutex<Vec<(Arc<EvaluationStore>, DrvOutput)>>,
}

/// Lets `find` announce what it finds, which is told at the latest a moment later, however long the rest takes.
pub fn announcing<T>(wants: &Wants<'_>, find: impl FnOnce(&Announcer<'_>) -> T) -> T {
    let announcer = &Announcer { wants, waiting: Mutex::default() };
    std::thread::scope(|scope| {
        let (finding, end) = mpsc::channel::<()>();
        let tell = move || {
            while end.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                announcer.tell();
            }
        };
        // Without a thread more, all is told at the end.
        let _ = std::thread::Builder::new().spawn_scoped(scope, tell);
        let found = find(announcer);
        drop(finding);
        found
    })
}

impl Announcer<'_> {
    /// Takes what an evaluation found, whose derivations `store` has or is about to write. Fails where there is no use in finding
    /// more: then the builder knows why.
    pub fn found(&self, store: &Arc<EvaluationStore>, wanted: DrvOutput) -> Result<(), Failure> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((Arc::clone(store), wanted));
        match self.wants.is_of_use() {
            true => Ok(()),
            false => Err(EvalError::eval(PosId::NONE, "what was found before cannot be built".to_owned())),
        }
    }

    fn tell(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let Some((store, _)) = waiting.first() else { return };
        // What cannot be written fails again at the end of the evaluation, and is told then.
        if store.flush().is_ok() {
            self.wants.add(waiting.into_iter().map(|(_, wanted)| wanted).collect());
        }
    }
}
