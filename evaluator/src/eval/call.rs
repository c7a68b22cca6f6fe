//! Calling functions: closures of several arguments, builtins, partial applications and functors.

use super::{
    Evaluator,
    error::{ErrorKind, EvalError, Failure, Result, Traced},
    stack_overflow,
};
use crate::{
    builtins::{Builtin, MAX_ARITY},
    ir::{self, Expr, Lambda, Pattern},
    position::PosId,
    value::{Attrs, Closure, Env, Partial, Slot, Thunk, Value, View, thunk::Applied},
};

/// Functions that take more arguments than this are rare.
const FEW_ARGUMENTS: usize = 6;

/// The arguments of a call: expressions that may be delayed, or values.
trait Arguments: Copy {
    fn len(self) -> usize;
    /// The argument, evaluated or not.
    fn delayed(self, index: usize, evaluator: &mut Evaluator) -> Value;
    /// The argument evaluated. A variable is needed at `pos`, by what is called, and not where it is written.
    fn needed(self, index: usize, evaluator: &mut Evaluator, pos: PosId) -> Result<Value>;
    /// The word by which an argument was had that turned out to be `value`.
    fn word(self, index: usize, value: Value, evaluator: &Evaluator) -> Value;
    /// What to keep of an argument that was found to be a list: see [`Value::shared`].
    fn list(self, index: usize, list: Value, evaluator: &mut Evaluator) -> Value;
}

#[derive(Clone, Copy)]
struct Expressions {
    exprs: &'static [Expr],
    env: &'static Env,
}

impl Arguments for Expressions {
    #[inline(always)]
    fn len(self) -> usize {
        self.exprs.len()
    }
    #[inline(always)]
    fn delayed(self, index: usize, evaluator: &mut Evaluator) -> Value {
        evaluator.delay(&self.exprs[index], self.env)
    }
    #[inline(always)]
    fn needed(self, index: usize, evaluator: &mut Evaluator, pos: PosId) -> Result<Value> {
        match &self.exprs[index] {
            Expr::Local(variable) => evaluator.force_slot_at(self.env.slot(variable.slot), pos),
            Expr::Outer(variable) => evaluator.force_slot_at(self.env.ancestor(1).slot(variable.slot), pos),
            Expr::Distant { depth, slot, .. } => {
                evaluator.force_slot_at(self.env.ancestor((*depth).into()).slot(*slot), pos)
            }
            expr => evaluator.eval(expr, self.env),
        }
    }
    #[inline(always)]
    fn word(self, index: usize, value: Value, evaluator: &Evaluator) -> Value {
        evaluator.word(value, &self.exprs[index], self.env)
    }
    fn list(self, index: usize, list: Value, evaluator: &mut Evaluator) -> Value {
        match &self.exprs[index] {
            variable @ (Expr::Local(_) | Expr::Outer(_) | Expr::Distant { .. }) => {
                evaluator.delay(variable, self.env)
            }
            Expr::Value(_) => list,
            _ => evaluator.heap.thunk(Thunk::of_list(list)),
        }
    }
}

/// See [`Evaluator::delayed`].
#[derive(Clone, Copy)]
pub enum Delayed {
    /// A plain function.
    Closure(&'static Closure),
    /// Any other.
    Other(&'static Applied),
}

impl Arguments for &[Value] {
    #[inline(always)]
    fn len(self) -> usize {
        self.len()
    }
    #[inline(always)]
    fn delayed(self, index: usize, _: &mut Evaluator) -> Value {
        self[index]
    }
    #[inline(always)]
    fn needed(self, index: usize, evaluator: &mut Evaluator, pos: PosId) -> Result<Value> {
        evaluator.force_at(self[index], pos)
    }
    #[inline(always)]
    fn word(self, index: usize, value: Value, _: &Evaluator) -> Value {
        if value.is_list() { self[index] } else { value }
    }
    fn list(self, index: usize, _: Value, _: &mut Evaluator) -> Value {
        self[index]
    }
}

impl Evaluator {
    #[inline(always)]
    pub(super) fn call(&mut self, call: &'static ir::Call, env: &'static Env) -> Result<Value> {
        let function = self.eval(&call.function, env)?;
        self.apply_arguments(function, Expressions { exprs: call.arguments, env }, call.pos)
    }

    pub(super) fn apply_code(&mut self, call: &'static ir::Call, env: &'static Env) -> Result<Value> {
        let pos = self.forced_at;
        let function = self.eval(&call.function, env)?;
        self.apply_arguments(function, Expressions { exprs: call.arguments, env }, pos)
    }

    /// Applies a function to arguments; a call from a builtin, as a rule without position.
    pub fn apply(&mut self, function: Value, arguments: &[Value], pos: PosId) -> Result<Value> {
        let function = self.force_at(function, pos)?;
        self.apply_arguments(function, arguments, pos)
    }

    /// The value of a thunk that `map` and its like made.
    pub(super) fn apply_closure(
        &mut self,
        closure: &'static Closure,
        argument: Value,
        pos: PosId,
    ) -> Result<Value> {
        if closure.lambda.parameters.len() == 1 {
            self.enter(pos)?;
            let result = self.call_closure(closure, &[argument][..], 0, pos);
            self.leave();
            return result;
        }
        let arguments = self.heap.slots(1, |_, _| argument);
        let function = self.heap.closure(closure.lambda, closure.env);
        Ok(self.heap.partial(function, arguments))
    }

    /// The value of a thunk of a function that is applied to many values.
    pub(super) fn apply_applied(
        &mut self,
        applied: &'static Applied,
        word: Value,
        pos: PosId,
    ) -> Result<Value> {
        let function = self.force(applied.function())?;
        match applied.arguments(word) {
            (Some(name), value) => self.apply_arguments(function, &[name.value(), value][..], pos),
            (None, value) => self.apply_arguments(function, &[value][..], pos),
        }
    }

    /// A function that is going to be applied to many values when they are needed, one by one.
    pub fn delayed(&mut self, function: Value) -> Delayed {
        match function.peek().as_closure() {
            Some(closure) => Delayed::Closure(closure),
            None => Delayed::Other(self.heap.object(Applied::to_each(function))),
        }
    }

    /// A word for such a function applied to a value.
    pub fn delay_apply(&mut self, function: Delayed, argument: Value) -> Value {
        self.heap.thunk(match function {
            Delayed::Closure(closure) => Thunk::apply(closure, argument),
            Delayed::Other(applied) => Thunk::applied(applied, argument),
        })
    }

    /// A word for a function applied to several arguments, to be computed when needed.
    pub fn delay_apply_all(&mut self, function: Value, arguments: &[Value]) -> Value {
        let env = self.heap.env(None, arguments.len() + 1);
        env.slot(0).set(function);
        for (index, argument) in arguments.iter().enumerate() {
            env.slot(index as u32 + 1).set(*argument);
        }
        let code = self.session.application(arguments.len());
        self.heap.thunk(Thunk::code(code, env))
    }

    fn apply_arguments<A: Arguments>(
        &mut self,
        mut function: Value,
        arguments: A,
        pos: PosId,
    ) -> Result<Value> {
        self.enter(pos)?;
        let mut next = 0;
        while next < arguments.len() {
            let left = arguments.len() - next;
            function = match function.view() {
                View::Closure(closure) => {
                    let takes = closure.lambda.parameters.len();
                    if left < takes {
                        let given = self.rest(arguments, next);
                        next = arguments.len();
                        self.heap.partial(function, given)
                    } else {
                        let result = self.call_closure(closure, arguments, next, pos)?;
                        next += takes;
                        result
                    }
                }
                View::Builtin(id) => {
                    let builtin = id.builtin();
                    let takes = builtin.arity as usize;
                    if left < takes {
                        let given = self.rest(arguments, next);
                        next = arguments.len();
                        self.heap.partial(function, given)
                    } else {
                        let mut values = [Value::NULL; MAX_ARITY];
                        for index in 0..takes {
                            let needed = builtin.needs_next(&values[..index]);
                            values[index] = self.argument(needed, arguments, next + index);
                        }
                        next += takes;
                        self.call_builtin(builtin, &values[..takes], pos)?
                    }
                }
                View::Partial(partial) => self.apply_partial(partial, arguments, &mut next, pos)?,
                View::Attrs(attrs) if attrs.find(crate::symbol::known().functor).is_some() => {
                    let argument = arguments.delayed(next, self);
                    next += 1;
                    self.functor(attrs, function, argument, pos)?
                }
                _ => return Err(self.not_a_function(function, pos)),
            };
        }
        self.depth -= 1;
        Ok(function)
    }

    /// Counts a call; the count goes down only where a call succeeds, and is set back where an error is caught.
    #[inline(always)]
    pub(crate) fn enter(&mut self, pos: PosId) -> Result<()> {
        if self.is_deep() {
            return Err(stack_overflow(pos));
        }
        self.depth += 1;
        self.check_stack(pos)
    }

    /// Whether no call may begin now. As Nix counts, `max-call-depth` calls and one more may be under way.
    #[inline(always)]
    pub(super) fn is_deep(&self) -> bool {
        self.depth > self.max_depth
    }

    /// Ends what [`Evaluator::enter`] began, if it succeeded.
    #[inline(always)]
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// The number of calls under way, to be given to [`Evaluator::reset_depth`] where an error is caught.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// After an error was caught: the calls that it left are not under way any more.
    pub fn reset_depth(&mut self, depth: u32) {
        self.depth = depth;
    }

    fn rest<A: Arguments>(&mut self, arguments: A, next: usize) -> &'static [Slot] {
        let slots = self.heap.slots(arguments.len() - next, |_, _| Value::NULL);
        for (index, slot) in slots.iter().enumerate() {
            slot.set(arguments.delayed(next + index, self));
        }
        slots
    }

    /// An argument of a builtin. One that it is sure to evaluate is evaluated now, which saves the thunk; if that fails, the
    /// builtin meets the error where it evaluates the argument, so that nothing can tell the difference.
    #[inline(always)]
    fn argument<A: Arguments>(&mut self, needed: bool, arguments: A, at: usize) -> Value {
        if !needed {
            return arguments.delayed(at, self);
        }
        match arguments.needed(at, self, PosId::NONE) {
            Ok(value) => arguments.word(at, value, self),
            Err(error) => self.fail_later(error),
        }
    }

    #[cold]
    pub(super) fn fail_later(&mut self, mut error: Failure) -> Value {
        self.heap.thunk(Thunk::failed(super::error::Kept::keep(&mut error)))
    }

    #[inline(always)]
    fn call_builtin(&mut self, builtin: &'static Builtin, arguments: &[Value], pos: PosId) -> Result<Value> {
        self.stats.builtin_calls += 1;
        // As in Nix, a builtin has no place: the frame of its call has.
        match (builtin.function)(self, arguments, PosId::NONE) {
            Ok(value) => Ok(value),
            Err(error) if builtin.is_traced() => {
                Err(error.trace(pos, format!("while calling the '{}' builtin", builtin.name)))
            }
            Err(error) => Err(error),
        }
    }

    fn apply_partial<A: Arguments>(
        &mut self,
        partial: &'static Partial,
        arguments: A,
        next: &mut usize,
        pos: PosId,
    ) -> Result<Value> {
        let takes = match partial.function.view() {
            View::Closure(closure) => closure.lambda.parameters.len(),
            View::Builtin(id) => id.builtin().arity as usize,
            _ => unreachable!("only closures and builtins are partially applied"),
        };
        let wanted = (takes - partial.arguments.len()).min(arguments.len() - *next);
        let mut few = [Value::NULL; FEW_ARGUMENTS];
        let mut many = Vec::new();
        let given = partial.arguments.len() + wanted;
        let all = match few.get_mut(..given) {
            Some(few) => few,
            None => {
                many.resize(given, Value::NULL);
                &mut many[..]
            }
        };
        let (before, now) = all.split_at_mut(partial.arguments.len());
        before.iter_mut().zip(partial.arguments).for_each(|(value, slot)| *value = slot.get());
        for value in now {
            *value = arguments.delayed(*next, self);
            *next += 1;
        }
        if all.len() < takes {
            let slots = self.heap.slots(all.len(), |_, index| all[index]);
            return Ok(self.heap.partial(partial.function, slots));
        }
        match partial.function.view() {
            View::Closure(closure) => self.call_closure(closure, &*all, 0, pos),
            View::Builtin(id) => self.call_builtin(id.builtin(), all, pos),
            _ => unreachable!("see above"),
        }
    }

    fn functor(
        &mut self,
        attrs: &'static Attrs,
        function: Value,
        argument: Value,
        pos: PosId,
    ) -> Result<Value> {
        let name = crate::symbol::known().functor;
        let functor = attrs.get(name).unwrap_or(Value::NULL);
        let own = attrs.position(name).unwrap_or_default();
        let applied = self.apply(functor, &[function, argument], own);
        applied.traced(pos, || "while calling a functor (an attribute set with a '__functor' attribute)")
    }

    #[cold]
    fn not_a_function(&mut self, value: Value, pos: PosId) -> Failure {
        let shown = crate::print::for_error(self, value);
        let message = format!(
            "attempt to call something which is not a function but {}: {shown}",
            super::expect::show_type(value)
        );
        EvalError::new(ErrorKind::Type, pos, message)
    }

    /// Calls a function that gets all its arguments, taken from `first` on.
    #[inline(always)]
    fn call_closure<A: Arguments>(
        &mut self,
        closure: &'static Closure,
        arguments: A,
        first: usize,
        pos: PosId,
    ) -> Result<Value> {
        let lambda = closure.lambda;
        self.stats.calls += 1;
        let env = match lambda.parameters {
            [parameter] => self.bind_one(closure, parameter, arguments, first, pos)?,
            parameters => self.bind_each(closure, parameters, arguments, first, pos)?,
        };
        let mark = self.heap.mark_after(env, lambda.size as usize);
        match self.eval(&lambda.body, env) {
            Ok(value) => {
                self.heap.take_back(env, mark);
                Ok(value)
            }
            Err(error) => Err(self.trace_call(error, lambda, pos)),
        }
    }

    /// The environment of a call of a function of one argument. It is made after the argument, so that it is the last
    /// object of the heap when the body begins.
    #[inline(always)]
    fn bind_one<A: Arguments>(
        &mut self,
        closure: &'static Closure,
        parameter: &'static ir::Parameter,
        arguments: A,
        first: usize,
        pos: PosId,
    ) -> Result<&'static Env> {
        let lambda = closure.lambda;
        let Some(pattern) = &parameter.pattern else {
            let (value, _) = self.plain_argument(parameter, arguments, first, true);
            let env = self.heap.env(Some(closure.env), lambda.size as usize);
            env.slot(0).set(value);
            return Ok(env);
        };
        let value = match arguments.needed(first, self, parameter.pos) {
            Ok(value) => arguments.word(first, value, self),
            Err(error) => return Err(from_call_site(error, pos)),
        };
        let env = self.heap.env(Some(closure.env), lambda.size as usize);
        let whole = self.match_pattern(lambda, parameter, pattern, value, env, pos)?;
        env.slot(0).set(whole);
        Ok(env)
    }

    /// An argument that is bound to a name, evaluated if that is the first thing the function does and those before it (which
    /// it needs before) could be. Tells whether this one could.
    #[inline(always)]
    fn plain_argument<A: Arguments>(
        &mut self,
        parameter: &'static ir::Parameter,
        arguments: A,
        index: usize,
        is_reached: bool,
    ) -> (Value, bool) {
        let Some(pos) = parameter.needed_at.filter(|_| is_reached) else {
            return (arguments.delayed(index, self), true);
        };
        match arguments.needed(index, self, pos) {
            Ok(value) if value.is_list() => (arguments.list(index, value, self), true),
            Ok(value) => (value, true),
            Err(error) => (self.fail_later(error), false),
        }
    }

    #[inline(always)]
    fn bind_each<A: Arguments>(
        &mut self,
        closure: &'static Closure,
        parameters: &'static [ir::Parameter],
        arguments: A,
        first: usize,
        pos: PosId,
    ) -> Result<&'static Env> {
        let lambda = closure.lambda;
        let size = lambda.size as usize;
        if let [one, two] = parameters
            && one.pattern.is_none()
            && two.pattern.is_none()
        {
            let (one, is_there) = self.plain_argument(one, arguments, first, true);
            let (two, _) = self.plain_argument(two, arguments, first + 1, is_there);
            let env = self.heap.env(Some(closure.env), size);
            env.slot(0).set(one);
            env.slot(1).set(two);
            return Ok(env);
        }
        let env = self.heap.env(Some(closure.env), size);
        let mut is_reached = true;
        for (index, parameter) in parameters.iter().enumerate() {
            let value = match &parameter.pattern {
                None => {
                    let (value, is_there) =
                        self.plain_argument(parameter, arguments, first + index, is_reached);
                    is_reached &= is_there;
                    value
                }
                Some(pattern) => match arguments.needed(first + index, self, parameter.pos) {
                    Ok(value) => {
                        let value = arguments.word(first + index, value, self);
                        self.match_pattern(lambda, parameter, pattern, value, env, pos)?
                    }
                    Err(error) => return Err(from_call_site(error, pos)),
                },
            };
            env.slot(index as u32).set(value);
        }
        Ok(env)
    }

    #[cold]
    fn trace_call(&mut self, error: Failure, lambda: &'static Lambda, pos: PosId) -> Failure {
        if !self.trace_calls {
            return error;
        }
        let name = match lambda.name {
            Some(name) => format!("'{}'", name.shown()),
            None => "anonymous lambda".into(),
        };
        let own = lambda.parameters.last().map_or(PosId::NONE, |parameter| parameter.pos);
        let error = error.trace(own, format!("while calling {name}"));
        if pos.is_some() { error.trace(pos, "from call site") } else { error }
    }

    /// Binds the attributes that a pattern names; gives the set for the `@` name.
    fn match_pattern(
        &mut self,
        lambda: &'static Lambda,
        parameter: &'static ir::Parameter,
        pattern: &'static Pattern,
        value: Value,
        env: &'static Env,
        pos: PosId,
    ) -> Result<Value> {
        let Some(attrs) = value.as_attrs() else {
            let context = "while evaluating the value passed for the lambda argument";
            let error = self.wrong_type(value, "a set").trace(parameter.pos, context);
            return Err(from_call_site(error, pos));
        };
        // An `@` name may be used by the defaults, which are delayed and so see it in time.
        let mut found = 0;
        for (index, formal) in pattern.formals.iter().enumerate() {
            let bound = match attrs.find_near(formal.name, &formal.hint) {
                Some(slot) => {
                    found += 1;
                    slot.get().shared()
                }
                None => match &formal.default {
                    Some(default) => self.delay(default, env),
                    None => return Err(missing_argument(lambda, parameter, formal, pos)),
                },
            };
            env.slot(pattern.base + index as u32).set(bound);
        }
        if !pattern.ellipsis {
            let given = attrs.flatten(&mut self.heap);
            if found < given.len() {
                return Err(self.unexpected_argument(lambda, parameter, pattern, attrs, pos));
            }
        }
        Ok(value)
    }

    #[cold]
    fn unexpected_argument(
        &mut self,
        lambda: &'static Lambda,
        parameter: &'static ir::Parameter,
        pattern: &'static Pattern,
        attrs: &'static Attrs,
        pos: PosId,
    ) -> Failure {
        let flat = attrs.flatten(&mut self.heap);
        let is_formal = |name| pattern.formals.iter().any(|formal| formal.name == name);
        let unexpected = flat.iter().map(|(name, _)| name).find(|&name| !is_formal(name));
        let Some(unexpected) = unexpected else {
            return EvalError::eval(pos, "an argument that the function does not take");
        };
        let names = pattern.formals.iter().map(|formal| formal.name.text());
        let message = format!(
            "function '{}' called with unexpected argument '{}'",
            lambda.shown_name(),
            unexpected.shown()
        );
        let error = EvalError::new(ErrorKind::MissingArgument, parameter.pos, message)
            .suggest(crate::suggest::closest(unexpected.text(), names));
        error.trace(pos, "from call site")
    }
}

#[cold]
fn missing_argument(
    lambda: &'static Lambda,
    parameter: &'static ir::Parameter,
    formal: &'static ir::Formal,
    pos: PosId,
) -> Failure {
    let message = format!(
        "function '{}' called without required argument '{}'",
        lambda.shown_name(),
        formal.name.text()
    );
    EvalError::new(ErrorKind::MissingArgument, parameter.pos, message).trace(pos, "from call site")
}

#[cold]
fn from_call_site(error: Failure, pos: PosId) -> Failure {
    if pos.is_some() { error.trace(pos, "from call site") } else { error }
}

impl Lambda {
    /// The name for messages.
    pub fn shown_name(&self) -> String {
        let shown = |name: crate::Symbol| crate::text::raw::text(name.text()).into_owned();
        self.name.map_or_else(|| "anonymous lambda".into(), shown)
    }
}
