//! Evaluations that leave nothing behind in a process that goes on: the lines of a repl.

use bstr::BStr;

use super::{Evaluator, error::Result};
use crate::{load::Scope, position::Origin, print::forced, value::Value};

/// How to print a value. It cannot keep it.
pub type Show = fn(&mut Evaluator, Value, forced::Options) -> Result<String>;

impl Evaluator {
    /// Does work that leaves no values behind, and gives back the memory that it took if nothing that was there before
    /// refers to it now: a thunk that was evaluated, a file that was imported.
    ///
    /// What the evaluator knows (values at hand before, imported files) stays; of what `work` is given or makes, nothing may be
    /// kept elsewhere. Where others evaluate, debug or measure as well, memory stays.
    fn transient<T: 'static>(&mut self, work: impl FnOnce(&mut Evaluator) -> Result<T>) -> Result<T> {
        let is_alone = self.pool.is_none() && self.debugger.is_none() && self.profiler.is_none();
        let Some(region) = is_alone.then(|| self.heap.open_region()).flatten() else { return work(self) };
        let imports =
            |evaluator: &Evaluator| evaluator.session.imports.read().map_or(0, |imports| imports.len());
        let imported = imports(self);
        let done = work(self);
        let is_garbage = done.is_ok() && imports(self) == imported;
        #[expect(unsafe_code, reason = "see the safety comment")]
        // SAFETY: values are referred to by other values, by the table of imports, by errors, and by what `work` keeps, which is
        // nothing.
        unsafe {
            self.heap.close_region(region, is_garbage);
        }
        done
    }

    /// Evaluates an expression from anywhere and prints its value.
    pub fn evaluate_shown(
        &mut self,
        text: Vec<u8>,
        base: &BStr,
        scope: Scope<'_>,
        show: Show,
        options: forced::Options,
    ) -> Result<String> {
        self.transient(|evaluator| {
            let value = evaluator.evaluate_text(Origin::String, text, base, scope)?;
            show(evaluator, value, options)
        })
    }
}
