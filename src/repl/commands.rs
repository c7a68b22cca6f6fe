//! What begins with a colon.

use std::{ffi::OsString, io::Write, path::PathBuf, process::Command};

use zeval_builder::schedule::{Builder, Built, DrvOutput};
use zeval_evaluator::{
    Symbol, Value, View,
    doc::{self, Documentation},
    eval::{expect::show_type, transient::Show},
    position::{Origin, PosId},
    print::{self, forced},
};
use zeval_model::StorePath;

use super::{Done, Loaded, Next, Problem, Repl, debug, failure};
use crate::{
    commands::{develop, run},
    derivations,
    diagnostic::Failed,
};

const HELP: &str = "\
The following commands are available:

  <expr>                  Evaluate an expression and print its value
  <x> = <expr>            Bind a variable
  :a, :add <expr>         Bring the attributes of a set into scope
  :b, :build <expr>       Build a derivation
  :bl <expr>              Build a derivation and make links to its outputs
  :doc <expr>             Show what is written about a function
  :e, :edit <expr>        Open a file, or where a function or package is defined
  :l, :load <path>        Load a file and bring its attributes into scope
  :lf, :load-flake <ref>  Load a flake and bring its attributes into scope
  :ll, :last-loaded       Show the names that the last load brought
  :log <expr>             Show the log of a derivation's build
  :p, :print <expr>       Evaluate and print a value as deep as it goes; a string without quotes
  :q, :quit               Leave
  :r, :reload             Load all files again
  :sh <expr>              Build what a derivation needs, then a shell in its environment
  :t, :type <expr>        Show the type of a value
  :te, :trace [bool]      Show every call on the way to an error, or not
  :u <expr>               Build a derivation, then a shell that finds its programs
  :?, :help               Show this";

/// The names of all commands, for completion.
pub const NAMES: [&str; 30] = [
    "a",
    "add",
    "b",
    "build",
    "bl",
    "doc",
    "e",
    "edit",
    "l",
    "load",
    "lf",
    "load-flake",
    "ll",
    "last-loaded",
    "log",
    "p",
    "print",
    "q",
    "quit",
    "r",
    "reload",
    "sh",
    "t",
    "type",
    "te",
    "trace",
    "trace-enable",
    "u",
    "?",
    "help",
];

/// The expression that a command without its colon takes, if it takes one.
pub fn expression(command: &str) -> Option<&str> {
    let (name, rest) = split(command);
    match name {
        "a" | "add" | "b" | "build" | "bl" | "doc" | "e" | "edit" | "log" | "p" | "print" | "sh" | "t"
        | "type" | "u" => Some(rest),
        _ => None,
    }
}

fn split(command: &str) -> (&str, &str) {
    let command = command.trim();
    let end = command.find(char::is_whitespace).unwrap_or(command.len());
    (&command[..end], command[end..].trim())
}

/// That a shell ended with another status than 0 is no problem of the repl's.
fn ended(done: crate::commands::Result<()>) -> Done {
    match done {
        Ok(()) | Err(Failed::Program(_)) => Ok(()),
        Err(Failed::Evaluation(error)) => Err(Problem::Evaluation(error)),
        Err(Failed::Build { text, .. } | Failed::Other(text)) => Err(Problem::Other(text)),
        Err(Failed::Cancelled) => Err(Problem::other("interrupted")),
    }
}

impl Repl<'_> {
    /// Does what a command without its colon says.
    pub(super) fn command(&mut self, command: &str) -> Done<Next> {
        let (name, rest) = split(command);
        match name {
            "q" | "quit" => return Ok(Next::Quit),
            "?" | "help" if self.stopped.is_some() => println!("{HELP}\n\n{}", debug::HELP),
            "?" | "help" => println!("{HELP}"),
            "a" | "add" => {
                let value = self.evaluate(rest)?;
                self.add(value)?;
            }
            "b" | "build" => self.build(rest, false)?,
            "bl" => self.build(rest, true)?,
            "doc" => self.document(rest)?,
            "e" | "edit" => self.edit(rest)?,
            "l" | "load" => self.load(Loaded::File(OsString::from(rest)))?,
            "lf" | "load-flake" => self.load(Loaded::Flake(rest.to_owned()))?,
            "ll" | "last-loaded" => {
                self.last_loaded.iter().for_each(|name| println!("{}", print::attr_name(*name)));
            }
            "log" => self.log(rest)?,
            "p" | "print" => self.print_whole(rest)?,
            "r" | "reload" => self.reload()?,
            "t" | "type" => self.show(rest, |_, value, _| Ok(show_type(value)), 0)?,
            "te" | "trace" | "trace-enable" => self.trace(rest)?,
            _ if self.stopped.is_some() && debug::is_command(name) => return self.debug_command(name, rest),
            "sh" => self.environment_shell(rest)?,
            "u" => self.shell_with(rest)?,
            "i" => {
                let hint =
                    "there are no profiles to install into: ':bl' builds and keeps a link to the result";
                return Err(failure(hint));
            }
            _ => return Err(failure(format!("unknown command ':{name}'"))),
        }
        Ok(Next::Line)
    }

    fn print_whole(&mut self, text: &str) -> Done {
        let show: Show = |evaluator, value, options| match value.view() {
            View::String(string) => Ok(zeval_evaluator::text::raw::text(string.bytes()).into_owned()),
            _ => forced::value(evaluator, value, options),
        };
        self.show(text, show, usize::MAX)
    }

    fn trace(&mut self, wanted: &str) -> Done {
        self.show_trace = match wanted {
            "" => !self.show_trace,
            "true" => true,
            "false" => false,
            other => return Err(failure(format!("unexpected argument '{other}' to :te"))),
        };
        let verb = if self.show_trace { "showing" } else { "not showing" };
        println!("{verb} error traces");
        Ok(())
    }

    pub(super) fn reload(&mut self) -> Done {
        self.scope.clear();
        self.evaluator.forget_files();
        for source in self.loaded.clone() {
            match &source {
                Loaded::File(path) => println!("Loading \"{}\"...", path.display()),
                Loaded::Expression(text) => println!("Loading '{text}'..."),
                Loaded::Flake(reference) => println!("Loading flake '{reference}'..."),
            }
            self.load(source)?;
        }
        Ok(())
    }

    /// The derivation that an expression gives.
    fn derivation(&mut self, text: &str) -> Done<StorePath> {
        let value = self.evaluate(text)?;
        let is_derivation = match value.as_attrs() {
            Some(attrs) => self.evaluator.is_derivation(attrs)?,
            None => false,
        };
        if !is_derivation {
            return Err(failure("expression does not evaluate to a derivation, so I can't build it"));
        }
        let path = derivations::drv_path(self.evaluator, value)?;
        StorePath::from_absolute(&path).map_err(Problem::other)
    }

    /// Builds all outputs of a derivation.
    fn build_outputs(&mut self, text: &str) -> Done<Vec<Built>> {
        let drv = self.derivation(text)?;
        self.evaluation_store.flush().map_err(Problem::other)?;
        let derivation = self.store.derivation(&drv).map_err(Problem::other)?;
        let wanted: Vec<DrvOutput> = derivation
            .outputs
            .keys()
            .map(|output| DrvOutput { drv: drv.clone(), output: output.clone() })
            .collect();
        let builder = Builder::new(&self.store, self.evaluation_store.options().clone());
        builder.build(&wanted, &*self.context.view, &self.context.cancellation).map_err(Problem::other)
    }

    fn build(&mut self, text: &str, links: bool) -> Done {
        let built = self.build_outputs(text)?;
        println!("\nThis derivation produced the following outputs:");
        for built in built {
            println!("  {} -> {}", built.output, built.path);
            if links {
                let link = PathBuf::from(format!("repl-result-{}", built.output));
                self.store.add_root(&link, &built.path).map_err(Problem::other)?;
                println!("  {} <- {}", built.output, link.display());
            }
        }
        Ok(())
    }

    /// `:sh`: a shell in the environment in which a derivation is built.
    fn environment_shell(&mut self, text: &str) -> Done {
        let drv = self.derivation(text)?;
        self.evaluation_store.flush().map_err(Problem::other)?;
        let options = self.evaluation_store.options().clone();
        let wanted = develop::Wanted::default();
        ended(develop::enter(self.context, &self.store, &drv, options, &wanted))
    }

    /// `:u`: a shell that finds the programs of a derivation.
    fn shell_with(&mut self, text: &str) -> Done {
        let built: Vec<String> =
            self.build_outputs(text)?.into_iter().map(|built| built.path.to_string()).collect();
        let (program, variables) = run::shell_finding(&built);
        ended(run::run_in_view(&self.store, program, variables))
    }

    fn log(&mut self, text: &str) -> Done {
        let drv = self.derivation(text)?;
        match self.store.read_log(&drv).map_err(Problem::other)? {
            // Nobody reads on: that is no error of ours.
            Some(log) => drop(std::io::stdout().write_all(&log)),
            None => return Err(failure(format!("build log of '{drv}' is not available"))),
        }
        Ok(())
    }

    fn document(&mut self, text: &str) -> Done {
        let mut value = self.evaluate(text)?;
        if let Some(functor) = value.as_attrs().and_then(|set| set.get(Symbol::intern(b"__functor"))) {
            value = self.evaluator.apply(functor, &[value], PosId::NONE)?;
        }
        match doc::of(value) {
            Some(Documentation::Builtin(doc)) => {
                println!("Synopsis: builtins.{} {}\n\n{}", doc.name, doc.arguments, doc.text);
            }
            Some(Documentation::Function { name, pos, text }) => {
                match name {
                    Some(name) => println!("Function {}\n… defined at {}", name.text(), print::position(pos)),
                    None => println!("Function defined at {}", print::position(pos)),
                }
                if let Some(text) = text {
                    println!("\n{}", text.trim_end());
                }
            }
            None => return Err(failure("value does not have documentation")),
        }
        Ok(())
    }

    fn edit(&mut self, text: &str) -> Done {
        let value = self.evaluate(text)?;
        let Some((file, line)) = self.place(value)? else {
            return Err(failure(format!("package '{text}' has no source location information")));
        };
        open_in_editor(&file, line).map_err(failure)?;
        self.reload()
    }

    /// The file and line that a value is to be edited at.
    fn place(&mut self, value: Value) -> Done<Option<(PathBuf, usize)>> {
        if let View::Path(path) = value.view() {
            return Ok(Some((PathBuf::from(path.to_string()), 0)));
        }
        if let Some(attrs) = value.as_attrs() {
            let Some(meta) = attrs.get(Symbol::intern(b"meta")) else { return Ok(None) };
            let meta = self.evaluator.expect_attrs(meta, PosId::NONE, "while evaluating the metadata")?;
            let Some(position) = meta.get(Symbol::intern(b"position")) else { return Ok(None) };
            let doing = "while evaluating the position of a package";
            let text = self.evaluator.expect_string(position, PosId::NONE, doing)?;
            let text = String::from_utf8_lossy(text.bytes()).into_owned();
            let Some((file, line)) = text.rsplit_once(':') else { return Ok(None) };
            return Ok(Some((PathBuf::from(file), line.parse().unwrap_or(0))));
        }
        let Some(Documentation::Function { pos, .. }) = doc::of(value) else { return Ok(None) };
        let place = pos.place();
        Ok(place.and_then(|place| match &place.source.origin {
            Origin::File(path) => Some((path.clone(), place.line)),
            _ => None,
        }))
    }
}

/// Opens a file in the user's editor, at a line if that is known, and waits for its end.
pub fn open_in_editor(file: &std::path::Path, line: usize) -> Result<(), String> {
    let editor = std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).unwrap_or("vi".into());
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("vi"));
    command.args(words);
    let takes_line = ["vi", "emacs", "nano", "kak", "hx", "micro"].iter().any(|known| editor.contains(known));
    if takes_line && line > 0 {
        command.arg(format!("+{line}"));
    }
    let status = command.arg(file).status();
    let status = status.map_err(|error| format!("cannot start the editor '{editor}': {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("the editor '{editor}' failed: {status}")),
    }
}
