//! The command line: what can be asked, and how it is explained.

#[cfg(test)]
mod book;
pub mod copy;
mod doc;
mod editor;
mod flake;
mod people;
pub mod store;
mod test;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use doc::Doc;
pub use editor::{Fmt, Lint};
pub use flake::{Develop, Flake, FlakeArgument, FlakeCommand, FlakeFlags, Run, Shell};
pub use people::{Completions, Doctor, Explain, Init, Man};
pub use test::Test;

/// Evaluates the Nix language and builds what it describes: without root, without a daemon, from one binary.
#[derive(Parser)]
#[command(version, about, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
pub struct Global {
    /// The folder that holds the store [default: /var/lib/zeval for root, else ~/.local/share/zeval]
    #[arg(long, global = true, env = "ZEVAL_STORE", value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Tell every call on the way to an error
    #[arg(long, global = true)]
    pub show_trace: bool,
    /// How errors in expressions are shown
    #[arg(long, global = true, value_enum, default_value_t = ErrorFormat::Human, value_name = "FORMAT")]
    pub error_format: ErrorFormat,
    /// How builds are shown [default: live on a terminal, else plain]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Show nothing but errors and results
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// How errors in expressions are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ErrorFormat {
    /// The place in your code, what was found, and a hint
    Human,
    /// As Nix prints them
    Nix,
    /// For programs: an object on a line
    Json,
}

/// How builds are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// What runs at the moment, redrawn in place
    Live,
    /// A line an event
    Plain,
    /// As Nix's internal-json, for programs such as nix-output-monitor
    InternalJson,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Build what an expression describes
    Build(Build),
    /// Print what completes commands in a shell
    Completions(Completions),
    /// Copy store paths to or from a binary cache, another store or another host
    Copy(copy::Copy),
    /// Look at what this machine lacks, and say how to mend it
    Doctor(Doctor),
    /// Print the reference of files, the standard library or the builtins
    Doc(Doc),
    /// Evaluate an expression and print its value
    Eval(Eval),
    /// Explain an error by its code
    Explain(Explain),
    /// Fetch every source that an expression is built from, for building without network
    Fetch(Fetch),
    /// Look at flakes, lock and check them
    Flake(Flake),
    /// Lay the text of expressions out as RFC 166 has it
    Fmt(Fmt),
    /// Write a small project to begin with
    Init(Init),
    /// Write the derivations of an expression and print their paths
    Instantiate(Instantiate),
    /// Look for what is surely wrong in expressions, or out of date, without evaluating them
    Lint(Lint),
    /// Print the log of a build
    Log(Log),
    /// Serve an editor as language server, on standard input and output
    Lsp,
    /// Print manual pages
    Man(Man),
    /// List what was built here
    History(History),
    /// List, check, add and update the pins of sources
    Pin(Pin),
    /// Evaluate expressions as they are typed
    Repl(Repl),
    /// Run a program of a flake
    Run(Run),
    /// Run a shell that has programs of flakes or expressions
    Shell(Shell),
    /// Run a shell that has the environment in which a derivation is built
    Develop(Develop),
    /// Serve the store as a binary cache, over HTTP
    Serve(copy::Serve),
    /// Look at the store and change it
    Store(store::Store),
    /// Run unit tests written in the language
    Test(Test),
    /// Compare built outputs with the hashes recorded beside an expression
    Verify(Verify),
    /// Say what changed between two derivations
    WhyRebuild(WhyRebuild),
}

/// What to evaluate.
#[derive(Args, Clone, Default)]
pub struct Source {
    /// The file or folder with the expression [default: the current folder's default.zx or default.nix], or a flake and
    /// what in it, as REF#ATTRIBUTE^OUTPUTS
    #[arg(index = 1, value_name = "FILE|REF")]
    pub file: Option<OsString>,
    /// Evaluate this text instead of a file
    #[arg(long, short = 'E', value_name = "TEXT", conflicts_with = "file")]
    pub expr: Option<OsString>,
    /// Take this attribute of it (a path like a.b; may be given several times)
    #[arg(long = "attr", short = 'A', value_name = "PATH")]
    pub attributes: Vec<String>,
    /// Which of both `file` is
    #[arg(skip)]
    pub kind: SourceKind,
    #[command(flatten)]
    pub given: Given,
    #[command(flatten)]
    pub language: Language,
    #[command(flatten)]
    pub flake: FlakeFlags,
}

/// Whether an operand is a file or a flake.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceKind {
    /// What it looks like.
    #[default]
    Either,
    /// A file or a folder with an expression.
    File,
    /// A flake, and what in it.
    Flake,
}

/// The arguments that functions are called with.
#[derive(Args, Clone, Default)]
pub struct Given {
    /// Give an argument of the function an expression as its value
    #[arg(long = "arg", num_args = 2, value_names = ["NAME", "EXPR"], action = clap::ArgAction::Append)]
    pub arg: Vec<OsString>,
    /// Give an argument of the function a string as its value
    #[arg(long = "argstr", num_args = 2, value_names = ["NAME", "STRING"], action = clap::ArgAction::Append)]
    pub argstr: Vec<OsString>,
    /// Give an argument of the function the text of a file as its value
    #[arg(long = "argfile", alias = "arg-from-file", num_args = 2, value_names = ["NAME", "FILE"],
        action = clap::ArgAction::Append)]
    pub argfile: Vec<OsString>,
}

/// How to evaluate.
#[derive(Args, Clone, Default)]
pub struct Language {
    /// Look <NAME> up there (PATH or NAME=PATH)
    #[arg(short = 'I', long = "include", value_name = "ENTRY")]
    pub include: Vec<OsString>,
    /// Refuse what is not pinned: files outside of the store, the environment, the time
    #[arg(long, overrides_with = "impure")]
    pub pure_eval: bool,
    /// Allow what is not pinned [default]
    #[arg(long, overrides_with = "pure_eval")]
    pub impure: bool,
    /// Refuse files outside of the store and the search path
    #[arg(long)]
    pub restrict_eval: bool,
    /// Stop at errors and at `builtins.break`, to look around
    #[arg(long)]
    pub debugger: bool,
    /// Measure what the evaluation spends its time on: folded stacks, or a picture if FILE ends in .svg
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Print counts and times of the evaluation to standard error, as JSON
    #[arg(long)]
    pub stats: bool,
    /// Evaluate on so many threads [default: ZEVAL_EVAL_JOBS, or one a core]
    #[arg(long, value_name = "N")]
    pub eval_jobs: Option<usize>,
    /// Evaluate even if an earlier evaluation read the same and told the derivations
    #[arg(long)]
    pub no_eval_cache: bool,
    /// Set one of Nix's settings
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"], action = clap::ArgAction::Append)]
    pub option: Vec<String>,
    /// Turn further experimental features of the language on
    #[arg(long, value_name = "FEATURES")]
    pub extra_experimental_features: Option<String>,
}

/// `zeval build`
#[derive(Args)]
pub struct Build {
    /// More of the same
    #[arg(index = 2, value_name = "FILE|REF", conflicts_with = "expr")]
    pub more: Vec<OsString>,
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub options: BuildFlags,
    /// Where the links to the results go [default: ./result, and ./result-NAME for the members of a set]
    #[arg(long, short, value_name = "LINK")]
    pub out_link: Option<PathBuf>,
    /// Make no links to the results
    #[arg(long)]
    pub no_link: bool,
    /// Print what would be built, and build nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write what ran when to this file, for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Build again what is built already, and compare bit for bit
    #[arg(long)]
    pub check: bool,
    /// With --check: build again where all is otherwise that must not matter
    #[arg(long, requires = "check")]
    pub vary: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval fetch`
#[derive(Args)]
pub struct Fetch {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub options: BuildFlags,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval history`
#[derive(Args)]
pub struct History {
    /// Only paths whose name contains this
    pub name: Option<String>,
    /// At most so many, the latest first
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    pub limit: usize,
    /// Tell also from what: the derivation, and the outputs and sources that it was built from
    #[arg(long)]
    pub inputs: bool,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval why-rebuild`
#[derive(Args)]
pub struct WhyRebuild {
    /// A derivation: its path, a path that it made, a link to one, or a file with an expression
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// Another one
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Print the changes as JSON
    #[arg(long)]
    pub json: bool,
}

/// How to build.
#[derive(Args, Clone, Default)]
pub struct BuildFlags {
    /// Builds at the same time [default: the number of cores]
    #[arg(long, short = 'j', value_name = "N")]
    pub max_jobs: Option<usize>,
    /// Cores that one build may use [default: all]
    #[arg(long, value_name = "N")]
    pub cores: Option<usize>,
    /// Go on with what does not depend on a failure
    #[arg(long, short)]
    pub keep_going: bool,
    /// Keep the folder of a failed build
    #[arg(long, short = 'K')]
    pub keep_failed: bool,
    /// Seconds that a build may take
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Memory that the processes of one build may use together, such as 4G; a build that uses more is stopped
    #[arg(long, value_name = "SIZE", value_parser = store::size)]
    pub max_memory: Option<u64>,
    /// Processors that one build may keep busy, whatever it starts
    #[arg(long, value_name = "N")]
    pub max_cpu: Option<usize>,
    /// Processes and threads that one build may have; a build that nearly has so many is stopped [default: 8192]
    #[arg(long, value_name = "N")]
    pub max_processes: Option<u64>,
    /// Take outputs from this binary cache instead of building them [default: substituters of nix.conf]
    #[arg(long, value_name = "URL")]
    pub substituter: Vec<String>,
    /// Trust what this key signed, beside trusted-public-keys of nix.conf
    #[arg(long, value_name = "NAME:KEY")]
    pub trusted_public_key: Vec<String>,
    /// Take nothing from binary caches
    #[arg(long)]
    pub no_substitute: bool,
    /// Show a file or folder of the machine to every build (TARGET or TARGET=SOURCE): a hole in the sandbox
    #[arg(long, value_name = "PATH")]
    pub sandbox_path: Vec<String>,
    /// Let derivations with __noChroot see the machine's files and its network (like sandbox = relaxed): a hole in the sandbox
    #[arg(long)]
    pub allow_no_chroot: bool,
    /// Run this program after each build, with DRV_PATH and OUT_PATHS
    #[arg(long, value_name = "PROGRAM")]
    pub post_build_hook: Option<PathBuf>,
    /// Seconds that a build may print nothing
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_silent_time: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

/// `zeval eval`
#[derive(Args)]
pub struct Eval {
    #[command(flatten)]
    pub source: Source,
    /// Print the value as JSON
    #[arg(long)]
    pub json: bool,
    /// Print a string without quotes and escapes
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// Print the value as XML
    #[arg(long, conflicts_with_all = ["json", "raw"])]
    pub xml: bool,
    /// Evaluate all that the value holds
    #[arg(long)]
    pub strict: bool,
    /// Apply this function to the value first
    #[arg(long, value_name = "FUNCTION")]
    pub apply: Option<OsString>,
    /// Write the value there instead of printing it: a string becomes a file, a set a folder
    #[arg(long, value_name = "PATH", conflicts_with_all = ["json", "raw", "xml"])]
    pub write_to: Option<PathBuf>,
}

/// `zeval instantiate`
#[derive(Args)]
pub struct Instantiate {
    #[command(flatten)]
    pub source: Source,
    /// Print the paths as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval log`
#[derive(Args)]
pub struct Log {
    /// A store path, a derivation, a result link, a file with an expression, or the name of what was built, such as gcc
    pub path: PathBuf,
}

/// `zeval pin`
#[derive(Args)]
pub struct Pin {
    /// The folder that holds the pins
    #[arg(long, default_value = "seeds", value_name = "FOLDER")]
    pub folder: PathBuf,
    #[command(subcommand)]
    pub command: PinCommand,
}

/// What to do with pins.
#[derive(Subcommand)]
pub enum PinCommand {
    /// Print the pins
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask every address whether it still has what is pinned
    Check {
        /// The pins [default: all]
        names: Vec<String>,
        /// Print what every address gave as JSON
        #[arg(long)]
        json: bool,
    },
    /// Pin what some addresses have, the first one deciding
    Add {
        /// Where it is: upstream's own addresses and mirrors
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// What it is called [default: as the address tells]
        #[arg(long)]
        name: Option<String>,
        /// Which version it is [default: as the address tells]
        #[arg(long, id = "pinned-version", value_name = "VERSION")]
        version: Option<String>,
        /// What the file is called in the store [default: as the address tells]
        #[arg(long, value_name = "FILE")]
        file: Option<String>,
        /// Its licence, as SPDX writes it
        #[arg(long, value_name = "EXPRESSION")]
        licence: Option<String>,
        /// Where upstream presents it
        #[arg(long, value_name = "ADDRESS")]
        homepage: Option<String>,
        /// Where upstream's own signature of the file is
        #[arg(long, value_name = "ADDRESS")]
        signature: Option<String>,
    },
    /// Pin another version, or what the addresses have now
    Update {
        /// The pin
        name: String,
        /// The version [default: the same]
        version: Option<String>,
    },
}

/// `zeval repl`
#[derive(Args)]
pub struct Repl {
    /// Files and folders to load first: the attributes of their sets become variables
    #[arg(value_name = "FILE")]
    pub files: Vec<OsString>,
    /// Load the attributes of this expression's set, too
    #[arg(long, short = 'E', value_name = "TEXT")]
    pub expr: Vec<String>,
    #[command(flatten)]
    pub given: Given,
    #[command(flatten)]
    pub language: Language,
}

/// `zeval verify`
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub options: BuildFlags,
    /// Write the hashes instead of comparing them
    #[arg(long)]
    pub record: bool,
    /// The file that records the hashes [default: beside FILE, with .hashes.toml for its ending]
    #[arg(long, value_name = "FILE")]
    pub hashes: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
