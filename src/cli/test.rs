//! The arguments of `zeval test`.

use std::ffi::OsString;

use clap::Args;

use super::{FlakeFlags, Given, Language};

/// `zeval test`
#[derive(Args)]
pub struct Test {
    /// Files with tests; folders, for the files *.test.zx, *.test.nix, test.zx, tests.zx, test.nix and tests.nix below them;
    /// or flakes, for their output `tests` or what stands behind a `#` [default: the current folder]
    #[arg(value_name = "FILE|FOLDER|REF")]
    pub operands: Vec<OsString>,
    /// Run the tests that this text holds, instead of files
    #[arg(long, short = 'E', value_name = "TEXT", conflicts_with = "operands")]
    pub expr: Option<OsString>,
    /// Take the tests at this attribute (a path like a.b; may be given several times)
    #[arg(long = "attr", short = 'A', value_name = "PATH")]
    pub attributes: Vec<String>,
    /// Run only tests whose name (as in lists.testReverse) matches this regular expression somewhere
    #[arg(long, short = 'n', value_name = "REGEX")]
    pub name: Option<String>,
    /// Show the tests that pass, too
    #[arg(long, short)]
    pub verbose: bool,
    /// Print the outcomes as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub given: Given,
    #[command(flatten)]
    pub language: Language,
    #[command(flatten)]
    pub flake: FlakeFlags,
}
