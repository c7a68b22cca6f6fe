//! The helpers: what is offered to them, how many run, and who waits for whom.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{MAIN, Need, Owner, given_up};
use crate::{
    eval::{Evaluator, Stats, error::Result},
    session::Session,
    value::{Heap, Thunk, Value},
};

/// A helper's stack: what nests deeper is left to the main thread.
const STACK_SIZE: usize = 512 << 20;
/// Offers that may be open at a time; more would not be looked at soon.
const OPEN_OFFERS: usize = 64;
/// Threads for each that may run: the others wait for values that another one is evaluating.
const THREADS_PER_JOB: usize = 4;
/// How long the helper that looks for work waits before it looks again: at first, and after it has found none many times.
const SCOUTING: (Duration, Duration) = (Duration::from_micros(20), Duration::from_micros(320));
/// How often a thread that waits looks whether its thunk is finished, which it may not have been told, and whether the user wants
/// it to stop.
const PATIENCE: Duration = Duration::from_millis(2);

/// Values that somebody offered.
pub(crate) struct Batch {
    need: Need,
    values: Vec<Value>,
    /// How many, from the start, nobody has taken.
    left: AtomicUsize,
}

/// The helpers of an evaluation.
pub(crate) struct Pool {
    /// Threads that may run at a time, the main one among them.
    jobs: usize,
    /// Whether an offer would be taken.
    hungry: AtomicBool,
    state: Mutex<State>,
    /// Something was offered, or another helper may run.
    work: Condvar,
    /// A thunk that somebody waits for was finished or given up.
    finished: Condvar,
    /// How large the main thread's heap was when it offered something last.
    size: AtomicUsize,
}

#[derive(Default)]
struct State {
    offers: VecDeque<Arc<Batch>>,
    /// Helpers that exist.
    threads: usize,
    /// Helpers with nothing to do.
    idle: usize,
    /// Whether one of them looks for work from time to time.
    has_scout: bool,
    /// How long it waits now.
    scouting: Duration,
    /// Helpers that evaluate.
    running: usize,
    /// Whether the main thread waits for something else than a thunk.
    main_is_away: bool,
    /// For which thunk each thread waits: the main one and the helpers.
    waits: Vec<Option<&'static Thunk>>,
    /// Helpers that are to stop waiting and give up.
    given_up: Vec<bool>,
    /// The heaps of those that neither evaluate nor will soon: who begins to, the main thread too, takes one of these. So there are
    /// no more heaps than threads that run at a time, and each is large enough for what large heaps have.
    heaps: Vec<Heap>,
    /// What the helpers did.
    stats: Stats,
}

impl Pool {
    /// A pool for this many threads, the main one among them. Helpers start when they are needed.
    pub fn new(jobs: usize) -> Arc<Pool> {
        Arc::new(Pool {
            jobs,
            hungry: AtomicBool::new(true),
            state: Mutex::new(State {
                waits: vec![None],
                given_up: vec![false],
                scouting: SCOUTING.0,
                ..State::default()
            }),
            work: Condvar::new(),
            finished: Condvar::new(),
            size: AtomicUsize::new(0),
        })
    }

    /// A heap for a thread that begins to evaluate, or goes on.
    fn take_heap(&self, state: &mut State) -> Heap {
        state.heaps.pop().unwrap_or_else(|| Heap::beside(self.size.load(Ordering::Relaxed)))
    }

    /// Whether an offer would be taken.
    #[inline(always)]
    pub fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Relaxed)
    }

    /// What the helpers did so far.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many helpers may run.
    fn allowed(&self, state: &State) -> usize {
        if state.waits[MAIN].is_some() || state.main_is_away { self.jobs } else { self.jobs - 1 }
    }

    fn update_hunger(&self, state: &State) {
        let has_room = state.running < self.allowed(state) && state.offers.len() < OPEN_OFFERS;
        let has_thread = state.idle > 0 || state.threads < self.jobs * THREADS_PER_JOB;
        self.hungry.store(has_room && has_thread, Ordering::Relaxed);
    }

    /// Takes an offer without having anybody look at it. It must be withdrawn.
    pub fn open(&self, need: Need, values: Vec<Value>) -> Arc<Batch> {
        let batch = Arc::new(Batch { need, left: AtomicUsize::new(values.len()), values });
        let mut state = self.lock();
        state.offers.push_back(Arc::clone(&batch));
        self.update_hunger(&state);
        batch
    }

    /// Takes an offer of a thread whose heap is of that size. It must be withdrawn.
    pub fn offer(
        self: &Arc<Self>,
        session: &Arc<Session>,
        need: Need,
        values: Vec<Value>,
        size: usize,
    ) -> Arc<Batch> {
        self.size.fetch_max(size, Ordering::Relaxed);
        let batch = Arc::new(Batch { need, left: AtomicUsize::new(values.len()), values });
        let mut state = self.lock();
        state.offers.push_back(Arc::clone(&batch));
        if state.threads == 0 {
            self.start(&mut state, session);
        }
        batch
    }

    /// Lets others evaluate while a thread waits for something that is no thunk.
    pub fn away<T>(self: &Arc<Self>, waiting: Owner, session: &Arc<Session>, wait: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        match waiting {
            MAIN => state.main_is_away = true,
            _ => state.running -= 1,
        }
        self.rouse(&mut state, session);
        drop(state);
        let result = wait();
        let mut state = self.lock();
        match waiting {
            MAIN => state.main_is_away = false,
            _ => state.running += 1,
        }
        self.update_hunger(&state);
        result
    }

    /// Ends an offer: what has not been taken stays with whoever offered it.
    pub fn withdraw(&self, batch: &Arc<Batch>) {
        let mut state = self.lock();
        state.offers.retain(|open| !Arc::ptr_eq(open, batch));
        self.update_hunger(&state);
    }

    /// Has another helper look for work, if one may run.
    fn rouse(self: &Arc<Self>, state: &mut State, session: &Arc<Session>) {
        if state.running < self.allowed(state) && !state.has_scout {
            if state.idle > 0 {
                self.work.notify_one();
            } else if state.threads < self.jobs * THREADS_PER_JOB {
                self.start(state, session);
            }
        }
        self.update_hunger(state);
    }

    fn start(self: &Arc<Self>, state: &mut State, session: &Arc<Session>) {
        let owner = state.threads + 1;
        let (pool, session) = (Arc::clone(self), Arc::clone(session));
        let thread = std::thread::Builder::new().name(format!("eval-{owner}")).stack_size(STACK_SIZE);
        // Without another thread, this one does everything.
        if thread.spawn(move || pool.work(owner, session)).is_ok() {
            state.threads += 1;
            state.waits.push(None);
            state.given_up.push(false);
        }
    }

    fn work(self: Arc<Self>, owner: Owner, session: Arc<Session>) {
        // A helper that ended in the middle would leave thunks that nobody finishes.
        let _abort = AbortOnPanic;
        let mut evaluator = Evaluator::helper(Arc::clone(&session), Arc::clone(&self), owner, STACK_SIZE);
        let mut state = self.lock();
        loop {
            let Some((value, need)) = self.take(&mut state) else {
                state = self.rest(state);
                continue;
            };
            state.running += 1;
            evaluator.heap = self.take_heap(&mut state);
            self.rouse(&mut state, &session);
            drop(state);
            let before = evaluator.stats;
            evaluator.help(value, need);
            state = self.lock();
            state.heaps.push(std::mem::take(&mut evaluator.heap));
            state.running -= 1;
            state.given_up[owner] = false;
            state.stats.add(&evaluator.stats.since(&before));
        }
    }

    /// Rests a helper that found nothing to do. One helper at a time looks again soon, by the clock: to be woken for each offer
    /// would cost whoever offers more than most offers are worth, and those that last are still open then.
    fn rest<'p>(&'p self, mut state: MutexGuard<'p, State>) -> MutexGuard<'p, State> {
        let is_scout = !state.has_scout && state.running < self.allowed(&state);
        state.idle += 1;
        state.has_scout |= is_scout;
        self.update_hunger(&state);
        state = match is_scout {
            true => {
                let wait = state.scouting;
                state.scouting = (2 * wait).min(SCOUTING.1);
                self.work.wait_timeout(state, wait).map_or_else(|e| e.into_inner().0, |(state, _)| state)
            }
            false => self.work.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
        };
        state.idle -= 1;
        state.has_scout &= !is_scout;
        state
    }

    fn take(&self, state: &mut State) -> Option<(Value, Need)> {
        if state.running >= self.allowed(state) {
            return None;
        }
        // The oldest offer is the one of the largest values.
        while let Some(batch) = state.offers.front() {
            let left = batch.left.load(Ordering::Relaxed);
            if left == 0 {
                state.offers.pop_front();
                continue;
            }
            batch.left.store(left - 1, Ordering::Relaxed);
            let value = batch.values[left - 1];
            if batch.need == Need::Value && !value.peek().is_thunk() {
                continue;
            }
            let need = batch.need;
            state.scouting = SCOUTING.0;
            return Some((value, need));
        }
        None
    }

    /// Waits until a thunk that another thread evaluates is finished or given up; others may use `heap` meanwhile, and another one
    /// may be in its place then. `is_stopped` tells whether the user wants the waiting to end.
    ///
    /// # Errors
    /// If a helper is to give up.
    pub fn wait(
        self: &Arc<Self>,
        thunk: &'static Thunk,
        waiting: Owner,
        heap: &mut Heap,
        session: &Arc<Session>,
        is_stopped: impl Fn() -> bool,
    ) -> Result<()> {
        let mut state = self.lock();
        state.heaps.push(std::mem::take(heap));
        if waiting != MAIN {
            state.running -= 1;
        }
        let result = loop {
            let Some(owner) = thunk.await_owner() else { break Ok(()) };
            if state.given_up[waiting] || is_stopped() {
                break Err(given_up());
            }
            state.waits[waiting] = Some(thunk);
            if state.closes_circle(waiting) {
                if waiting != MAIN {
                    break Err(given_up());
                }
                // Whom the main thread waits for is a helper, and waits too.
                state.given_up[owner] = true;
                self.finished.notify_all();
            }
            self.rouse(&mut state, session);
            let (guard, _) =
                self.finished.wait_timeout(state, PATIENCE).unwrap_or_else(|poisoned| poisoned.into_inner());
            state = guard;
        };
        state.waits[waiting] = None;
        *heap = self.take_heap(&mut state);
        if waiting != MAIN {
            state.running += 1;
        }
        self.update_hunger(&state);
        result
    }

    /// To be called when a thunk that somebody waits for was finished or given up.
    pub fn wake(&self) {
        // With the lock, so that nobody is between looking at the thunk and waiting.
        let _state = self.lock();
        self.finished.notify_all();
    }
}

impl State {
    /// For whom a thread waits. One that has not noticed yet that its thunk is finished does not.
    fn waits_for(&self, thread: Owner) -> Option<Owner> {
        self.waits[thread]?.await_owner()
    }

    /// Whether following who waits for whom leads back to the start.
    fn closes_circle(&self, start: Owner) -> bool {
        let mut thread = start;
        for _ in 0..self.waits.len() {
            match self.waits_for(thread) {
                Some(next) if next == start => return true,
                Some(next) => thread = next,
                None => return false,
            }
        }
        false
    }
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        std::process::abort();
    }
}
