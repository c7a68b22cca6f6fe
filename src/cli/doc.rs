//! The arguments of `zeval doc`.

use std::path::PathBuf;

use clap::Args;

/// `zeval doc`
#[derive(Args)]
pub struct Doc {
    /// Files whose documentation comments (`/** ... */`) to print, and folders, for the .zx and .nix files in them
    #[arg(value_name = "FILE|FOLDER", required_unless_present_any = ["std", "builtins"])]
    pub files: Vec<PathBuf>,
    /// Print the reference of the standard library
    #[arg(long, conflicts_with_all = ["files", "builtins"])]
    pub std: bool,
    /// Print the reference of the builtin functions
    #[arg(long, conflicts_with = "files")]
    pub builtins: bool,
    /// Print it as JSON instead of Markdown
    #[arg(long)]
    pub json: bool,
}
