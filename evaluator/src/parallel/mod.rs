//! Evaluation on several threads: what is sure to be needed is offered, and helpers evaluate it before it is.
//!
//! One thread, the main one, evaluates as it would alone. Where it is about to need several values (the attributes of a
//! derivation, the elements of a list that becomes a string) it offers them, and goes through them itself. A helper takes an
//! offered value from the other end and evaluates what thunks it needs, so that the main thread finds them done, or waits for
//! the rest of one that is under way. A helper's results are values of pure expressions, so nobody can tell who made them:
//!
//! - What can be told (a message, a fetch, an error) a helper leaves to the main thread: it gives the offered value up,
//!   and every thunk on the way is as it was before. So messages come once and in order, and the error is that of one thread.
//! - What an import needs a helper has built, so that several such builds run at once; should one fail, the main thread tells it.
//!   While the main thread waits for a build, helpers look for others, however small the evaluation is.
//! - A thread's stack is one chain of values that need each other, since a thread that waits does nothing else. Threads that
//!   wait for each other in a circle thus have met an infinite recursion; a helper in the circle gives up, and the main
//!   thread finds the recursion by itself, with all its frames.
//!
//! What remains to be told apart: errors that print a value may find more of it evaluated, and the nesting of calls starts anew
//! in a helper.
mod pool;

use std::sync::Arc;

use zeval_model::StorePath;

pub(crate) use pool::Pool;

use crate::{
    eval::{
        Evaluator, Stats,
        error::{ErrorKind, EvalError, Failure, Result},
    },
    position::PosId,
    symbol::known,
    value::{List, Slot, Thunk, Value, View, context::Built},
};

/// Which thread evaluates a thunk: 0 is the main one.
pub(crate) type Owner = usize;

/// The main thread.
pub(crate) const MAIN: Owner = 0;

/// What an offered value is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To be evaluated.
    Value,
    /// To be coerced to a string.
    Text,
}

/// Values offered to helpers, for as long as this lives.
pub struct Offer {
    pool: Arc<Pool>,
    batch: Arc<pool::Batch>,
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.pool.withdraw(&self.batch);
    }
}

impl Evaluator {
    /// Offers values that this thread is going to evaluate, in their order, to helpers with nothing to do.
    #[inline]
    pub(crate) fn offer(
        &mut self,
        need: Need,
        values: impl ExactSizeIterator<Item = &'static Slot>,
    ) -> Option<Offer> {
        match &self.pool {
            Some(pool) if values.len() > 1 && pool.is_hungry() => {
                self.offer_to_pool(need, values.map(Slot::get))
            }
            _ => None,
        }
    }

    #[cold]
    fn offer_to_pool(&mut self, need: Need, values: impl Iterator<Item = Value>) -> Option<Offer> {
        let values: Vec<Value> = values.map(Value::peek).filter(|value| is_work(*value)).collect();
        let pool = self.pool.clone()?;
        if values.len() < 2 {
            return None;
        }
        let batch = match self.is_too_small() {
            // Nobody takes it, unless a build has to be waited for.
            true => pool.open(need, values),
            false => {
                self.is_shared = true;
                pool.offer(&self.session, need, values, self.heap.allocated())
            }
        };
        Some(Offer { pool, batch })
    }

    /// Whether the evaluation is not worth other threads yet.
    fn is_too_small(&self) -> bool {
        !self.is_shared && self.heap.allocated() < self.session.settings.helped_from
    }

    /// Evaluates an offered value as far as it is needed; what goes wrong will go wrong again where it is needed.
    pub(crate) fn help(&mut self, value: Value, need: Need) {
        let _ = self.need(value, need);
        self.reset_depth(0);
    }

    fn need(&mut self, value: Value, need: Need) -> Result<()> {
        self.check_stack(PosId::NONE)?;
        let value = self.force(value)?;
        match (need, value.view()) {
            (Need::Text, View::List(list)) => {
                // From the end: whoever needs the list begins at its start.
                for slot in list.slots().iter().rev() {
                    self.need(slot.get(), need)?;
                }
            }
            (Need::Text, View::Attrs(attrs)) if attrs.find(known().to_string).is_none() => {
                if let Some(out_path) = attrs.get(known().out_path) {
                    self.need(out_path, need)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Offers what is going to be instantiated, in this order.
    pub fn offer_derivations(&mut self, values: impl Iterator<Item = Value>) -> Option<Offer> {
        match &self.pool {
            Some(pool) if pool.is_hungry() => self.offer_to_pool(Need::Text, values),
            _ => None,
        }
    }

    /// Has the store build what is wanted while helpers evaluate on.
    pub(crate) fn realise(&mut self, wanted: &[&Built], pos: PosId) -> Result<Vec<StorePath>> {
        let session = self.session.clone();
        let owner = self.owner;
        let build = || match owner {
            MAIN => session
                .store
                .realise(wanted)
                .map_err(|error| EvalError::new(ErrorKind::World, pos, error.to_string())),
            _ => session.store.realise_ahead(wanted).ok_or_else(given_up),
        };
        match self.pool.clone() {
            Some(pool) => {
                self.is_shared = true;
                pool.away(owner, &session, build)
            }
            None => build(),
        }
    }

    /// To be called before something is done that can be told from outside: a helper leaves it to the main thread.
    pub(crate) fn main_only(&self) -> Result<()> {
        if self.owner == MAIN { Ok(()) } else { Err(given_up()) }
    }
}

impl Evaluator {
    /// The value of a thunk that another thread is evaluating.
    #[cold]
    pub(crate) fn wait_and_force(&mut self, thunk: &'static Thunk, pos: PosId) -> Result<Value> {
        let Some(pool) = self.pool.clone() else { unreachable!("another thread is in a pool") };
        let session = self.session.clone();
        let mut heap = std::mem::take(&mut self.heap);
        let result = pool.wait(thunk, self.owner, &mut heap, &session, || self.is_stopped());
        self.heap = heap;
        result?;
        // Finished, or given up: then it is this thread's turn.
        self.force_at(thunk.as_value(), pos)
    }

    /// Tells those who wait that a thunk was finished or given up.
    #[cold]
    pub(crate) fn wake_waiting(&self) {
        if let Some(pool) = &self.pool {
            pool.wake();
        }
    }

    /// What this thread and its helpers did.
    pub fn total_stats(&self) -> Stats {
        let mut stats = self.stats;
        if let Some(pool) = &self.pool {
            stats.add(&pool.stats());
        }
        stats
    }
}

/// Whether a value holds something to evaluate, as far as can be told at a glance.
fn is_work(value: Value) -> bool {
    match value.view() {
        View::Thunk(_) => true,
        View::List(list) => list.iter().any(|element| element.peek().is_thunk()),
        View::Attrs(attrs) => attrs.get(known().out_path).is_some_and(|path| path.peek().is_thunk()),
        _ => false,
    }
}

/// A function applied to each element of a list, of which all results are needed.
pub(crate) struct Applications {
    function: Value,
    list: &'static List,
    pos: PosId,
    /// The results as thunks, if they were offered to helpers.
    offered: Option<(&'static [Slot], Offer)>,
}

/// Shorter lists are not worth a thunk for each element.
const WORTHWHILE_LIST: usize = 4;

impl Evaluator {
    /// Applies a function to each element, with the help of threads that have nothing to do.
    #[inline]
    pub(crate) fn apply_to_each(&mut self, function: Value, list: &'static List, pos: PosId) -> Applications {
        let is_offered =
            list.len() >= WORTHWHILE_LIST && self.pool.as_ref().is_some_and(|pool| pool.is_hungry());
        let offered = if is_offered { self.offer_applications(function, list) } else { None };
        Applications { function, list, pos, offered }
    }

    #[cold]
    fn offer_applications(
        &mut self,
        function: Value,
        list: &'static List,
    ) -> Option<(&'static [Slot], Offer)> {
        let function = self.delayed(function);
        let results = self.heap.slots(list.len(), |_, _| Value::NULL);
        for (slot, element) in results.iter().zip(list.iter()) {
            slot.set(self.delay_apply(function, element));
        }
        let offer = self.offer_to_pool(Need::Value, results.iter().map(Slot::get))?;
        Some((results, offer))
    }
}

impl Applications {
    /// The result for an element.
    #[inline(always)]
    pub(crate) fn get(&self, evaluator: &mut Evaluator, index: usize) -> Result<Value> {
        match &self.offered {
            Some((results, _)) => evaluator.force_slot(&results[index]),
            None => evaluator.apply(self.function, &[self.list.slots()[index].get()], self.pos),
        }
    }
}

/// Why a helper does not go on.
#[cold]
fn given_up() -> Failure {
    EvalError::new(ErrorKind::Interrupted, PosId::NONE, "left to the main thread")
}
