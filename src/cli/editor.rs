//! The arguments of the commands that work on the text of expressions: `zeval fmt`, `zeval lint`, `zeval lsp`.

use std::path::PathBuf;

use clap::Args;

/// `zeval fmt`
#[derive(Args)]
pub struct Fmt {
    /// Files; folders, for every .zx and .nix file below them that git does not ignore; or - for standard input, whose text
    /// is printed formatted [default: the current folder]
    #[arg(value_name = "FILE|FOLDER")]
    pub paths: Vec<PathBuf>,
    /// Write nothing: list the files that are not formatted, and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,
    /// Write nothing: show what would change
    #[arg(long)]
    pub diff: bool,
    /// Print the files that were changed, or with --check would be, as JSON
    #[arg(long, conflicts_with = "diff")]
    pub json: bool,
}

/// `zeval lint`
#[derive(Args)]
pub struct Lint {
    /// Files; folders, for every .zx and .nix file below them that git does not ignore; or - for standard input
    /// [default: the current folder]
    #[arg(value_name = "FILE|FOLDER")]
    pub paths: Vec<PathBuf>,
    /// Mend what can be mended without changing what an expression means
    #[arg(long)]
    pub fix: bool,
    /// Look only for these (codes or names; may be given several times, or with commas)
    #[arg(long, value_name = "LINT", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Do not look for these
    #[arg(long, value_name = "LINT", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// List the lints, and what each looks for
    #[arg(long)]
    pub list: bool,
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}
