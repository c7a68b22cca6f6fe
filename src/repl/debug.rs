//! The debugger: a repl among the frames of an evaluation that stopped.

use std::sync::Arc;

use zeval_evaluator::{
    debug::{Frame, Hook, Level, Resume, Stop},
    ir::mark::What,
    position::PosId,
    print,
};

use super::{Done, Next, Repl, failure, interact};
use crate::{commands::Context, store::EvaluationStore};

/// What `:?` tells besides.
pub const HELP: &str = "\
In the debugger:

  :bt, :backtrace         Show what is under way, innermost first
  :st [n]                 Show a frame and its variables, and go there
  :env                    Show the variables of the current frame
  :s, :step               Go on to the next expression
  :c, :continue           Go on to the next error or builtins.break
  :q, :quit               End the evaluation";

/// Where evaluation stopped.
pub struct Stopped {
    /// What happened.
    title: String,
    pos: PosId,
    /// The frames, innermost first.
    frames: Vec<Frame>,
    /// Which of them the user looks at.
    selected: usize,
}

/// Whether a name is that of a command of the debugger.
pub fn is_command(name: &str) -> bool {
    matches!(name, "bt" | "backtrace" | "st" | "env" | "s" | "step" | "c" | "continue")
}

/// What takes over when an evaluation stops.
pub fn hook(context: &Context, store: &Arc<EvaluationStore>) -> Hook {
    let context = context.clone();
    let store = Arc::clone(store);
    Arc::new(move |evaluator, stop, frames| {
        let innermost = frames.last().map_or(PosId::NONE, |frame| frame.mark.pos);
        let (title, pos) = match stop {
            Stop::Error(error) => {
                crate::output::tell(&context.shown(error, context.global.show_trace));
                (format!("error: {}", error.message), if error.pos.is_some() { error.pos } else { innermost })
            }
            Stop::Break => {
                eprintln!("breakpoint reached at {}", print::position(innermost));
                ("breakpoint reached".into(), innermost)
            }
            Stop::Step => {
                eprint!("{}", place(innermost));
                ("step".into(), innermost)
            }
        };
        let frames: Vec<Frame> = frames.iter().rev().copied().collect();
        let mut repl = Repl::new(&context, &store, evaluator);
        repl.stopped = Some(Stopped { title, pos, frames, selected: 0 });
        repl.bind_frame();
        match interact(repl) {
            Ok(resume) => resume.unwrap_or(Resume::Quit),
            Err(error) => {
                eprintln!("error: cannot read what is typed: {error}");
                Resume::Quit
            }
        }
    })
}

/// A place with the code around it.
fn place(pos: PosId) -> String {
    print::excerpt(pos, 2, 7)
}

impl Repl<'_> {
    pub(super) fn debug_command(&mut self, name: &str, rest: &str) -> Done<Next> {
        match name {
            "bt" | "backtrace" => self.backtrace(),
            "st" => self.select(rest)?,
            "env" => self.show_variables(),
            "s" | "step" => return Ok(Next::Resume(Resume::Step)),
            _ => return Ok(Next::Resume(Resume::Continue)),
        }
        Ok(Next::Line)
    }

    fn backtrace(&self) {
        let Some(stopped) = &self.stopped else { return };
        println!("0: {}\n{}", stopped.title, place(stopped.pos));
        for (index, frame) in stopped.frames.iter().enumerate() {
            // The parts of an expression say no more than the whole; but all can be gone to.
            if frame.mark.what != What::Expression {
                println!("{}: {}\n{}", index + 1, frame.title(), place(frame.mark.pos));
            }
        }
    }

    fn select(&mut self, wanted: &str) -> Done {
        let Some(stopped) = &mut self.stopped else { return Ok(()) };
        if !wanted.is_empty() {
            let index: usize =
                wanted.parse().map_err(|_| failure(format!("'{wanted}' is not the number of a frame")))?;
            if index > stopped.frames.len() {
                return Err(failure(format!("there are only {} frames", stopped.frames.len())));
            }
            stopped.selected = index;
        }
        let (selected, title, pos) = match stopped.selected.checked_sub(1).map(|index| stopped.frames[index])
        {
            None => (0, stopped.title.clone(), stopped.pos),
            Some(frame) => (stopped.selected, frame.title(), frame.mark.pos),
        };
        println!("{selected}: {title}\n{}", place(pos));
        self.bind_frame();
        self.show_variables();
        Ok(())
    }

    fn levels(&mut self) -> Vec<Level> {
        let Some(stopped) = &self.stopped else { return Vec::new() };
        let frame = stopped.frames.get(stopped.selected.saturating_sub(1)).copied();
        frame.map_or_else(Vec::new, |frame| frame.levels(self.evaluator))
    }

    /// Brings the variables of the selected frame into scope.
    pub(super) fn bind_frame(&mut self) {
        let levels = self.levels();
        self.scope.clear();
        // What a `with` has counts less than what is bound, and outer levels less than inner ones.
        let (withs, bound): (Vec<Level>, Vec<Level>) = levels.into_iter().partition(|level| level.is_with);
        for level in withs.into_iter().rev().chain(bound.into_iter().rev()) {
            for (name, value) in level.variables {
                self.scope.bind(name, value);
            }
        }
    }

    fn show_variables(&mut self) {
        const SHOWN: usize = 20;
        for (index, level) in self.levels().into_iter().enumerate() {
            let kind = if level.is_with { " (with)" } else { "" };
            println!("level {index}{kind}:");
            let more = level.variables.len().saturating_sub(SHOWN);
            for (name, value) in level.variables.into_iter().take(SHOWN) {
                println!("  {} = {}", print::attr_name(name), print::for_error(self.evaluator, value));
            }
            if more > 0 {
                println!("  ... and {more} more");
            }
        }
    }
}
