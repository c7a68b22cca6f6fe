//! Where lines come from: a terminal with editing, history and completion, or a pipe.

use std::{
    cell::RefCell,
    io::{self, BufRead, IsTerminal},
    path::PathBuf,
    rc::Rc,
};

use rustyline::{
    CompletionType, Config, Editor, Helper,
    completion::{Completer, Pair},
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use super::{
    Repl, commands, complete,
    syntax::{self, Kind},
};

const PROMPT: &str = "zeval> ";
const DEBUG_PROMPT: &str = "debug> ";
const CONTINUATION: &str = "     > ";
const HISTORY: usize = 10_000;

/// What was read.
pub enum Line {
    /// A whole expression, definition or command, perhaps of several lines.
    Text(String),
    /// The user gave the line up.
    Cancelled,
    /// There is no more.
    End,
}

/// The source of lines.
pub enum Input<'c> {
    Terminal(Box<Terminal<'c>>),
    Pipe(Rc<RefCell<Repl<'c>>>),
}

/// A terminal with its line editor.
pub struct Terminal<'c> {
    editor: Editor<Assistant<'c>, FileHistory>,
    history: Option<PathBuf>,
    prompt: &'static str,
}

impl<'c> Input<'c> {
    /// The terminal if standard input is one.
    pub fn new(repl: Rc<RefCell<Repl<'c>>>) -> rustyline::Result<Input<'c>> {
        if !io::stdin().is_terminal() {
            return Ok(Input::Pipe(repl));
        }
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(HISTORY)?
            .history_ignore_dups(true)?
            .build();
        let mut editor = Editor::with_config(config)?;
        let prompt = prompt(&repl.borrow());
        editor.set_helper(Some(Assistant { repl }));
        let history = history_file();
        if let Some(file) = &history {
            // There is none before the first session ends.
            let _ = editor.load_history(file);
        }
        match prompt == DEBUG_PROMPT {
            true => println!("Type :? for help."),
            false => println!("zeval {}. Type :? for help.", env!("CARGO_PKG_VERSION")),
        }
        Ok(Input::Terminal(Box::new(Terminal { editor, history, prompt })))
    }

    /// The next line.
    pub fn read(&mut self) -> rustyline::Result<Line> {
        match self {
            Input::Terminal(terminal) => terminal.read(),
            Input::Pipe(repl) => Ok(read_pipe(&repl.borrow())?),
        }
    }

    /// Keeps the history.
    pub fn save(&mut self) {
        let Input::Terminal(terminal) = self else { return };
        let Some(file) = &terminal.history else { return };
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let saved = made.map_err(ReadlineError::from).and_then(|()| terminal.editor.save_history(file));
        if let Err(error) = saved {
            eprintln!("warning: the history cannot be kept in '{}': {error}", file.display());
        }
    }
}

impl Terminal<'_> {
    fn read(&mut self) -> rustyline::Result<Line> {
        match self.editor.readline(self.prompt) {
            Ok(line) => {
                self.editor.add_history_entry(&line)?;
                Ok(Line::Text(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Line::Cancelled),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(error),
        }
    }
}

fn prompt(repl: &Repl<'_>) -> &'static str {
    if repl.stopped.is_some() { DEBUG_PROMPT } else { PROMPT }
}

/// Reads lines until they are a whole, and shows them as a terminal would.
fn read_pipe(repl: &Repl<'_>) -> io::Result<Line> {
    let mut text = String::new();
    let mut stdin = io::stdin().lock();
    print!("{}", prompt(repl));
    loop {
        let mut line = String::new();
        if stdin.read_line(&mut line)? == 0 {
            println!();
            return Ok(if text.is_empty() { Line::End } else { Line::Text(text) });
        }
        print!("{line}");
        text.push_str(&line);
        if !is_incomplete(repl, text.trim_end()) {
            text.truncate(text.trim_end().len());
            return Ok(Line::Text(text));
        }
        print!("{CONTINUATION}");
    }
}

fn is_incomplete(repl: &Repl<'_>, text: &str) -> bool {
    let expression = match text.trim_start().strip_prefix(':') {
        Some(command) => commands::expression(command),
        None => Some(text),
    };
    expression.is_some_and(|text| syntax::kind(text, &repl.evaluator.parse_options()) == Kind::Incomplete)
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("zeval/repl-history"))
}

/// What the line editor asks while a line is typed.
pub struct Assistant<'c> {
    repl: Rc<RefCell<Repl<'c>>>,
}

impl Helper for Assistant<'_> {}

impl Highlighter for Assistant<'_> {}

impl Hinter for Assistant<'_> {
    type Hint = String;
}

impl Validator for Assistant<'_> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_incomplete(&self.repl.borrow(), context.input()) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Completer for Assistant<'_> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, candidates) = complete::candidates(&mut self.repl.borrow_mut(), &line[..at]);
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        Ok((start, candidates.into_iter().map(pair).collect()))
    }
}
