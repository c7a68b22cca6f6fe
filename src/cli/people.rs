//! The arguments of the commands that help people begin, look around and find what is wrong.

use std::path::PathBuf;

use clap::Args;

/// `zeval completions`
#[derive(Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `zeval doctor`
#[derive(Args)]
pub struct Doctor {
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval explain`
#[derive(Args)]
pub struct Explain {
    /// The number (Z0104) or name (eval::type) of an error, the name of a lint, or the exit status of a failed build
    /// [default: list all]
    pub code: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval init`
#[derive(Args)]
pub struct Init {
    /// Where to
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// `zeval man`
#[derive(Args)]
pub struct Man {
    /// The command whose page to print, such as: store gc [default: zeval itself]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands there instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub folder: Option<PathBuf>,
}
