//! Evaluation: code in an environment, to a value in weak head normal form.

pub mod call;
pub mod coerce;
pub mod compare;
mod delay;
mod difference;
pub mod error;
pub mod expect;
pub mod operators;
mod position;
pub mod select;
pub mod strings;
pub mod transient;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use error::{ErrorKind, EvalError, Failure, Kept, Result, Traced};

use crate::{
    debug::Debugger,
    ir::{self, Expr, mark::Marks},
    parallel::{MAIN, Need, Owner, Pool},
    position::PosId,
    profile::Profiler,
    session::Session,
    symbol::Symbol,
    value::{Claim, Env, Heap, Slot, Thunk, ThunkState, Value, thunk::Claimed},
};

/// One thread of evaluation: its memory and its place on the stack. What threads share is in [`Session`].
pub struct Evaluator {
    /// Where this thread allocates.
    pub heap: Heap,
    /// What all threads of the evaluation share.
    pub session: Arc<Session>,
    /// Where files are parsed.
    pub(crate) arena: bumpalo::Bump,
    /// Function calls under way.
    depth: u32,
    /// Calls of `tryEval` under way.
    pub(crate) tries: u32,
    max_depth: u32,
    /// The address below which the native stack must not grow; [`INTERRUPT`] makes the next check fail.
    stack_limit: Arc<AtomicUsize>,
    /// What `stack_limit` is as a rule.
    stack_end: usize,
    /// Whether calls of functions leave a trace in errors.
    pub(crate) trace_calls: bool,
    /// Who needs the thunk that was entered last.
    forced_at: PosId,
    /// What is counted for `--stats`.
    pub stats: Stats,
    /// Which thread this is.
    pub(crate) owner: Owner,
    /// Whether other threads may see the thunks that this one evaluates.
    pub(crate) is_shared: bool,
    /// The other threads, unless this one is to be alone.
    pub(crate) pool: Option<Arc<Pool>>,
    /// The debugger, if there is one.
    pub(crate) debugger: Option<Box<Debugger>>,
    /// The profiler, if there is one.
    pub(crate) profiler: Option<Box<Profiler>>,
}

/// Counts of what an evaluation did.
#[derive(Default, Clone, Copy, Debug)]
pub struct Stats {
    /// Functions called.
    pub calls: u64,
    /// Builtins called.
    pub builtin_calls: u64,
    /// Thunks evaluated.
    pub thunks: u64,
    /// `//` operations.
    pub updates: u64,
    /// Files evaluated.
    pub files: u64,
    /// What it took to read, parse and lower files.
    pub load_time: std::time::Duration,
}

impl Stats {
    /// Adds what another thread did.
    pub(crate) fn add(&mut self, other: &Stats) {
        self.calls += other.calls;
        self.builtin_calls += other.builtin_calls;
        self.thunks += other.thunks;
        self.updates += other.updates;
        self.files += other.files;
        self.load_time += other.load_time;
    }

    /// What was done since an earlier moment.
    pub(crate) fn since(&self, before: &Stats) -> Stats {
        Stats {
            calls: self.calls - before.calls,
            builtin_calls: self.builtin_calls - before.builtin_calls,
            thunks: self.thunks - before.thunks,
            updates: self.updates - before.updates,
            files: self.files - before.files,
            load_time: self.load_time - before.load_time,
        }
    }
}

/// The stack that an evaluating thread needs to nest 10,000 calls of any shape: reserved, not touched.
pub const STACK_SIZE: usize = 4 << 30;
/// What is left for code that does not check.
const STACK_RESERVE: usize = 1 << 20;

/// How many frames an error may have that a thunk remembers: each frame's thunk keeps a copy.
const REMEMBERED_TRACES: usize = 32;

/// What ends an evaluation: see [`Evaluator::interrupter`].
pub const INTERRUPT: usize = usize::MAX;

/// The address of the current stack frame, about.
#[inline(always)]
fn stack_address() -> usize {
    let marker = 0u8;
    std::ptr::from_ref(&marker).addr()
}

/// Runs `work` on a thread whose stack is large enough for deep recursion.
pub fn with_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, work)?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

impl Evaluator {
    /// A thread of evaluation; to be made on the thread that uses it, which [`with_large_stack`] made.
    pub fn new(session: Arc<Session>) -> Evaluator {
        let pool = session.settings.has_helpers().then(|| Pool::new(session.settings.jobs));
        Evaluator::of(session, MAIN, pool, STACK_SIZE)
    }

    /// A thread that helps another one.
    pub(crate) fn helper(
        session: Arc<Session>,
        pool: Arc<Pool>,
        owner: Owner,
        stack_size: usize,
    ) -> Evaluator {
        let mut evaluator = Evaluator::of(session, owner, Some(pool), stack_size);
        evaluator.is_shared = true;
        evaluator
    }

    fn of(session: Arc<Session>, owner: Owner, pool: Option<Arc<Pool>>, stack_size: usize) -> Evaluator {
        let stack_end = stack_address().saturating_sub(stack_size - STACK_RESERVE);
        Evaluator {
            heap: Heap::new(),
            arena: bumpalo::Bump::new(),
            depth: 0,
            tries: 0,
            max_depth: session.settings.max_call_depth,
            stack_limit: Arc::new(AtomicUsize::new(stack_end)),
            stack_end,
            trace_calls: session.settings.show_trace,
            session,
            forced_at: PosId::NONE,
            stats: Stats::default(),
            owner,
            is_shared: false,
            pool,
            debugger: None,
            profiler: None,
        }
    }

    /// Evaluates code.
    pub fn eval(&mut self, expr: &'static Expr, env: &'static Env) -> Result<Value> {
        let (mut expr, mut env) = (expr, env);
        loop {
            return match expr {
                Expr::Value(value) => self.force(*value),
                Expr::Local(variable) => self.force_slot_at(env.slot(variable.slot), variable.pos),
                Expr::Outer(variable) => {
                    self.force_slot_at(env.ancestor(1).slot(variable.slot), variable.pos)
                }
                Expr::Distant { depth, slot, pos } => {
                    self.force_slot_at(env.ancestor((*depth).into()).slot(*slot), *pos)
                }
                Expr::Select(select) => self.select(select, env),
                Expr::Call(call) => self.call(call, env),
                Expr::Apply(call) => self.apply_code(call, env),
                Expr::If(branch) => {
                    let condition = self.condition(
                        &branch.condition,
                        env,
                        branch.pos,
                        "while evaluating a branch condition",
                    )?;
                    expr = if condition { &branch.then } else { &branch.otherwise };
                    continue;
                }
                Expr::Let(bindings) => {
                    self.bind(bindings, env);
                    expr = &bindings.body;
                    continue;
                }
                Expr::LetEnv(bindings) => {
                    env = self.heap.env(Some(env), bindings.size as usize);
                    self.bind(bindings, env);
                    expr = &bindings.body;
                    continue;
                }
                Expr::Lambda(lambda) => Ok(self.heap.closure(lambda, env)),
                Expr::Attrs(attrs) => self.attrs(attrs, env),
                Expr::RecAttrs(attrs) => self.rec_attrs(attrs, env),
                Expr::List(list) => Ok(self.list(list.elements, env)),
                Expr::With(variable) => self.with_variable(variable, env),
                Expr::SelectPath(select) => self.select_path(select, env),
                Expr::HasAttr(has) => self.has_attr(has, env),
                Expr::Assert(assert) => {
                    self.assert(assert, env)?;
                    expr = &assert.body;
                    continue;
                }
                Expr::Not(not) => {
                    let context = "in the argument of the not operator";
                    Ok(Value::bool(!self.condition(&not.operand, env, not.pos, context)?))
                }
                Expr::And(op) => {
                    let left = "in the left operand of the AND (&&) operator";
                    let right = "in the right operand of the AND (&&) operator";
                    let value = self.condition(&op.left, env, op.pos, left)?
                        && self.condition(&op.right, env, op.pos, right)?;
                    Ok(Value::bool(value))
                }
                Expr::Or(op) => {
                    let left = "in the left operand of the OR (||) operator";
                    let right = "in the right operand of the OR (||) operator";
                    let value = self.condition(&op.left, env, op.pos, left)?
                        || self.condition(&op.right, env, op.pos, right)?;
                    Ok(Value::bool(value))
                }
                Expr::Implies(op) => {
                    let left = "in the left operand of the IMPL (->) operator";
                    let right = "in the right operand of the IMPL (->) operator";
                    let value = !self.condition(&op.left, env, op.pos, left)?
                        || self.condition(&op.right, env, op.pos, right)?;
                    Ok(Value::bool(value))
                }
                Expr::Equal(op) => Ok(Value::bool(self.equal_operands(op, env)?)),
                Expr::NotEqual(op) => Ok(Value::bool(!self.equal_operands(op, env)?)),
                Expr::Less(op) => self.less(op, env),
                Expr::Add(op) => self.add(op, env),
                Expr::Subtract(op) => self.subtract(op, env),
                Expr::Multiply(op) => self.multiply(op, env),
                Expr::Divide(op) => self.divide(op, env),
                Expr::Update(op) => self.update(op, env),
                Expr::Concat(op) => self.concat_lists(op, env),
                Expr::Interpolation(parts) => self.interpolate(parts, env),
                Expr::PathInterpolation(parts) => self.interpolate_path(parts, env),
                Expr::Position(pos) => Ok(self.position_value(*pos)),
                Expr::Marked(mark) => self.marked(mark, env),
                Expr::Unread(unread) => {
                    expr = unread.code(&self.session.globals, &mut self.heap);
                    continue;
                }
            };
        }
    }

    /// Evaluates an expression that the debugger or the profiler asked for.
    #[cold]
    fn marked(&mut self, mark: &'static ir::mark::Mark, env: &'static Env) -> Result<Value> {
        match self.profiler {
            Some(_) => self.profiled(mark, env),
            None if self.session.settings.trace_calls => self.told(mark, env),
            None => self.debugged(mark, env),
        }
    }

    /// Evaluates a call, and tells when it begins and ends.
    fn told(&mut self, mark: &'static ir::mark::Mark, env: &'static Env) -> Result<Value> {
        let place = crate::print::position(mark.pos);
        let tell = |evaluator: &Evaluator, verb: &str| {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let time = time.map_or(0, |time| time.as_nanos());
            evaluator.session.say(&format!("function-trace {verb} {place} at {time}"));
        };
        tell(self, "entered");
        let result = self.eval(&mark.body, env);
        tell(self, "exited");
        result
    }

    /// Whose marks code that is loaded now is to have.
    pub(crate) fn marks(&self) -> Marks {
        match (&self.profiler, &self.debugger) {
            (Some(_), _) => Marks::Profiler,
            (None, Some(_)) => Marks::Debugger,
            (None, None) if self.session.settings.trace_calls => Marks::Calls,
            (None, None) => Marks::None,
        }
    }

    /// The value of a word: evaluates it if it is a thunk that has not been.
    #[inline(always)]
    pub fn force(&mut self, value: Value) -> Result<Value> {
        self.force_at(value, PosId::NONE)
    }

    /// The same where errors can tell which expression needed the value.
    #[inline(always)]
    pub fn force_at(&mut self, value: Value, pos: PosId) -> Result<Value> {
        if !value.is_thunk() {
            return Ok(value);
        }
        let thunk = value.thunk();
        match thunk.value() {
            Some(value) => Ok(value),
            None => self.force_thunk(thunk, pos),
        }
    }

    /// The value in a slot; the slot is left with it, so that the next look finds it directly.
    #[inline(always)]
    pub fn force_slot(&mut self, slot: &'static Slot) -> Result<Value> {
        self.force_slot_at(slot, PosId::NONE)
    }

    /// The same where errors can tell which expression needed the value.
    #[inline(always)]
    pub fn force_slot_at(&mut self, slot: &'static Slot, pos: PosId) -> Result<Value> {
        let value = slot.get();
        if !value.is_thunk() {
            return Ok(value);
        }
        let forced = self.force_at(value, pos)?;
        // See [`Value::shared`].
        if !forced.is_list() {
            slot.set(forced);
        }
        Ok(forced)
    }

    #[inline(never)]
    fn force_thunk(&mut self, thunk: &'static Thunk, pos: PosId) -> Result<Value> {
        self.check_stack(PosId::NONE)?;
        let (result, claimed) = match thunk.claim(self.owner, self.is_shared) {
            Claim::Code(expr, env, claimed) => {
                self.stats.thunks += 1;
                self.forced_at = pos;
                (self.eval(expr, env), claimed)
            }
            Claim::Apply(function, argument, claimed) => {
                self.stats.thunks += 1;
                self.forced_at = pos;
                (self.apply_closure(function, argument, pos), claimed)
            }
            Claim::Applied(applied, word, claimed) => {
                self.stats.thunks += 1;
                self.forced_at = pos;
                (self.apply_applied(applied, word, pos), claimed)
            }
            Claim::Done(value) => return Ok(value),
            Claim::Failed(kept) => return Err(kept.again()),
            Claim::Busy(owner) if owner == self.owner => return Err(infinite_recursion(pos)),
            Claim::Busy(_) => return self.wait_and_force(thunk, pos),
        };
        match result {
            Ok(value) => {
                if thunk.finish(value, self.is_shared) {
                    self.wake_waiting();
                }
                Ok(value)
            }
            Err(error) => Err(self.thunk_failed(thunk, claimed, error)),
        }
    }

    /// Whether this evaluates ahead what the main thread is going to need.
    pub(crate) fn is_helper(&self) -> bool {
        self.owner != MAIN
    }

    #[cold]
    fn thunk_failed(&mut self, thunk: &'static Thunk, claimed: Claimed, mut error: Failure) -> Failure {
        // What a helper meets, the main thread is to meet by itself, but for what is caught: that is remembered as the main thread
        // would have, or each failing `tryEval` would be evaluated twice.
        let is_told = !self.is_helper() || self.tries > 0;
        let is_memoised = is_told && error.is_catchable() && error.traces.len() < REMEMBERED_TRACES;
        let is_awaited = match is_memoised {
            // Whoever catches the error may come here again.
            true => thunk.fail(Kept::keep(&mut error), self.is_shared),
            false => thunk.restore(claimed, self.is_shared),
        };
        if is_awaited {
            self.wake_waiting();
        }
        error
    }

    /// An error rather than a crash when the native stack is nearly used up.
    #[inline(always)]
    pub(crate) fn check_stack(&self, pos: PosId) -> Result<()> {
        if stack_address() < self.stack_limit.load(Ordering::Relaxed) {
            return Err(self.stopped(pos));
        }
        Ok(())
    }

    /// Whether someone asked to stop: the next check of the stack will fail.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stack_limit.load(Ordering::Relaxed) == INTERRUPT
    }

    /// Why the check of the stack failed: there is none left, or someone asked to stop.
    #[cold]
    fn stopped(&self, pos: PosId) -> Failure {
        if self.stack_limit.swap(self.stack_end, Ordering::Relaxed) == INTERRUPT {
            return EvalError::new(ErrorKind::Interrupted, PosId::NONE, "interrupted by the user");
        }
        stack_overflow(pos)
    }

    /// Changes whether errors tell of every call on the way.
    pub fn set_show_trace(&mut self, show_trace: bool) {
        self.trace_calls = show_trace;
    }

    /// Where another thread or a signal handler stores [`INTERRUPT`] to have the evaluation under way fail.
    pub fn interrupter(&self) -> Arc<AtomicUsize> {
        self.stack_limit.clone()
    }

    /// Forgets an interruption that came too late.
    pub fn clear_interruption(&self) {
        self.stack_limit.store(self.stack_end, Ordering::Relaxed);
    }

    #[inline(always)]
    fn bind(&mut self, bindings: &'static ir::Let, env: &'static Env) {
        for (index, expr) in bindings.bindings.iter().enumerate() {
            let value = self.delay(expr, env);
            env.slot(bindings.base + index as u32).set(value);
        }
    }

    fn list(&mut self, elements: &'static [Expr], env: &'static Env) -> Value {
        let slots = self.heap.slots(elements.len(), |_, _| Value::NULL);
        for (slot, element) in slots.iter().zip(elements) {
            slot.set(self.delay(element, env));
        }
        self.heap.list_of(slots)
    }

    #[inline(always)]
    fn condition(
        &mut self,
        expr: &'static Expr,
        env: &'static Env,
        pos: PosId,
        context: &'static str,
    ) -> Result<bool> {
        let value = self.eval(expr, env);
        match value {
            Ok(value) if value == Value::TRUE => Ok(true),
            Ok(value) if value == Value::FALSE => Ok(false),
            other => self.not_a_condition(other, pos, context),
        }
    }

    #[cold]
    fn not_a_condition(&mut self, value: Result<Value>, pos: PosId, context: &'static str) -> Result<bool> {
        value.and_then(|value| self.expect_bool(value, pos, "")).traced(pos, || context)
    }

    fn assert(&mut self, assert: &'static ir::Assert, env: &'static Env) -> Result<()> {
        let context = "in the condition of the assert statement";
        if self.condition(&assert.condition, env, assert.pos, context)? {
            return Ok(());
        }
        let text = self.parsed_form(assert);
        if let Expr::Equal(op) = &assert.condition {
            let doing = || format!("while evaluating the condition of the assertion '{text}'");
            for slot in assert.bound.0..assert.bound.1 {
                env.slot(slot).set(Value::UNSET);
            }
            self.explain_difference(op, env).traced(assert.pos, doing)?;
        }
        let message = format!("assertion '{text}' failed");
        Err(EvalError::new(ErrorKind::Assertion, assert.pos, message))
    }

    /// The condition of an assertion as Nix prints it.
    #[cold]
    fn parsed_form(&self, assert: &ir::Assert) -> String {
        use std::os::unix::ffi::OsStrExt;
        let place = assert.pos.place();
        let folder = match place.as_ref().map(|place| &place.source.origin) {
            Some(crate::position::Origin::File(path)) => {
                path.parent().map(|folder| folder.as_os_str().as_bytes())
            }
            _ => None,
        };
        // A text is as if it were a file of the current folder.
        let here = std::env::current_dir().unwrap_or_default();
        let folder = folder.unwrap_or(here.as_os_str().as_bytes());
        let home = self.session.settings.home.as_ref().map(|home| home.as_os_str().as_bytes());
        let base =
            crate::syntax::print::PathBase { folder: folder.into(), home: home.unwrap_or(b"~").into() };
        crate::text::raw::text(&crate::syntax::print::source(assert.text, base)).into_owned()
    }

    /// A set from a few attributes without positions; names must differ.
    pub fn attrs_from(&mut self, entries: &mut [(Symbol, Value)]) -> Value {
        entries.sort_unstable_by_key(|entry| entry.0);
        let keys = self.heap.shared_keys(entries.iter().map(|entry| (entry.0, PosId::NONE)));
        self.heap.attrs(keys, |_, index| entries[index].1)
    }
}

/// Where the function stands whose call a thunk of `map` and its like delays.
fn unevaluated_call(value: Value) -> PosId {
    match value.peek().view() {
        crate::value::View::Thunk(thunk) => match thunk.state() {
            ThunkState::Apply(function, _) => function.lambda.parameters[0].pos,
            ThunkState::Applied(applied) => applied.own_position(),
            // What [`Evaluator::delay_apply_all`] made: the function is in the first slot.
            ThunkState::Code(Expr::Apply(_), env) => env.slot(0).get().own_position(),
            _ => PosId::NONE,
        },
        _ => PosId::NONE,
    }
}

/// Whether forcing a value may tell where it was needed.
#[inline(always)]
pub(super) fn needs_position(value: Value) -> bool {
    match value.thunk().state() {
        ThunkState::Busy(_) | ThunkState::Apply(..) | ThunkState::Applied(_) => true,
        ThunkState::Code(expr, _) => matches!(expr, Expr::Apply(_)),
        ThunkState::Done(_) | ThunkState::Failed(_) => false,
    }
}

#[cold]
fn infinite_recursion(pos: PosId) -> Failure {
    EvalError::new(ErrorKind::InfiniteRecursion, pos, "infinite recursion encountered")
}

#[cold]
pub(crate) fn stack_overflow(pos: PosId) -> Failure {
    EvalError::new(ErrorKind::StackOverflow, pos, "stack overflow; max-call-depth exceeded")
}

impl Evaluator {
    /// Evaluates a value and all that it holds; what was seen on the way is not looked at again.
    pub fn force_deep(&mut self, value: Value) -> Result<Value> {
        let mut seen = rustc_hash::FxHashSet::default();
        self.force_deep_unseen(value, &mut seen)
    }

    fn force_deep_unseen(&mut self, value: Value, seen: &mut rustc_hash::FxHashSet<usize>) -> Result<Value> {
        let pos = unevaluated_call(value);
        self.enter(pos)?;
        let value = self.force_at(value, pos)?;
        match value.view() {
            crate::value::View::Attrs(attrs) if seen.insert(value.address()) => {
                let flat = attrs.flatten(&mut self.heap);
                let positions = flat.keys.positions();
                let _offer = self.offer(Need::Value, flat.slots.iter());
                for ((name, slot), pos) in flat.iter().zip(positions) {
                    let member = slot.get();
                    self.force_deep_unseen(member, seen).traced(*pos, || {
                        format!("while evaluating the attribute '{}'", crate::print::attr_name(name))
                    })?;
                }
            }
            crate::value::View::List(list) if seen.insert(value.address()) => {
                let _offer = self.offer(Need::Value, list.slots().iter());
                for (index, element) in list.iter().enumerate() {
                    self.force_deep_unseen(element, seen)
                        .traced(PosId::NONE, || format!("while evaluating list element at index {index}"))?;
                }
            }
            _ => {}
        }
        self.leave();
        Ok(value)
    }
}
