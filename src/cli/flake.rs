//! The arguments of `zeval flake`, and those of every command that takes a flake.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{BuildFlags, Language, Source};

/// How the inputs of a flake are found.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Flake options")]
pub struct FlakeFlags {
    /// Let an input (a path like a/b) be something else; implies --no-write-lock-file
    #[arg(long, num_args = 2, value_names = ["INPUT", "REF"], action = clap::ArgAction::Append)]
    pub override_input: Vec<String>,
    /// Let a name or a flake be something else wherever registries count, this once
    #[arg(long, num_args = 2, value_names = ["FROM", "REF"], action = clap::ArgAction::Append)]
    pub override_flake: Vec<String>,
    /// Pin an input anew, as `flake update` does
    #[arg(long, value_name = "INPUT", hide = true)]
    pub update_input: Vec<String>,
    /// Look names up among the inputs of this flake first
    #[arg(long, value_name = "REF")]
    pub inputs_from: Vec<String>,
    /// Fail if the lock file would change
    #[arg(long)]
    pub no_update_lock_file: bool,
    /// Do not write a lock file that has changed
    #[arg(long)]
    pub no_write_lock_file: bool,
    /// Commit a lock file that has changed
    #[arg(long)]
    pub commit_lock_file: bool,
    /// Begin with this lock file instead of the flake's
    #[arg(long, value_name = "FILE")]
    pub reference_lock_file: Option<PathBuf>,
    /// Write the lock file there instead
    #[arg(long, value_name = "FILE")]
    pub output_lock_file: Option<PathBuf>,
    /// Look no names up in registries
    #[arg(long, alias = "no-registries")]
    pub no_use_registries: bool,
    /// Allow inputs in lock files that are known by their hash only
    #[arg(long)]
    pub allow_dirty_locks: bool,
    /// Take the settings that the flake asks for
    #[arg(long)]
    pub accept_flake_config: bool,
    /// Ask servers again, however young their last answers are
    #[arg(long)]
    pub refresh: bool,
}

/// `zeval flake`
#[derive(Args)]
pub struct Flake {
    #[command(subcommand)]
    pub command: FlakeCommand,
}

/// `zeval run`
#[derive(Args)]
pub struct Run {
    /// The flake and what in it
    #[arg(value_name = "REF", default_value = ".")]
    pub installable: String,
    /// Arguments of the program, behind `--`
    #[arg(last = true)]
    pub arguments: Vec<String>,
    #[command(flatten)]
    pub flags: FlakeFlags,
    #[command(flatten)]
    pub language: Language,
    #[command(flatten)]
    pub options: BuildFlags,
}

/// `zeval shell`
#[derive(Args)]
pub struct Shell {
    /// The flakes and what in them, or files with expressions
    #[arg(value_name = "FILE|REF", default_value = ".")]
    pub installables: Vec<String>,
    /// Run this command instead of a shell
    #[arg(long, short, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The command, too
    #[arg(last = true, conflicts_with = "command", value_name = "COMMAND")]
    pub last: Vec<String>,
    #[command(flatten)]
    pub flags: FlakeFlags,
    #[command(flatten)]
    pub language: Language,
    #[command(flatten)]
    pub options: BuildFlags,
}

/// `zeval develop`
#[derive(Args)]
pub struct Develop {
    #[command(flatten)]
    pub source: Source,
    /// Run this command instead of a shell
    #[arg(long, short, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Run this phase of the build, such as unpack, configure, build, check or install
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    pub phase: Option<String>,
    /// Unset the variables of the machine, but for a few that programs cannot do without
    #[arg(long, short)]
    pub ignore_env: bool,
    #[command(flatten)]
    pub options: BuildFlags,
}

/// A flake and how to treat it.
#[derive(Args, Clone, Default)]
pub struct FlakeArgument {
    /// The flake
    #[arg(value_name = "REF", default_value = ".")]
    pub reference: String,
    #[command(flatten)]
    pub flags: FlakeFlags,
    #[command(flatten)]
    pub language: Language,
}

/// What to do with a flake.
#[derive(Subcommand)]
pub enum FlakeCommand {
    /// Make a flake in the current folder from a template
    Init {
        /// The template: site, c-library, or one of a flake as REF#NAME [default: a flake with one greeting]
        #[arg(long, short, value_name = "REF")]
        template: Option<String>,
        #[command(flatten)]
        language: Language,
    },
    /// Make a flake in a new folder from a template
    New {
        /// The folder
        folder: PathBuf,
        /// The template: site, c-library, or one of a flake as REF#NAME [default: a flake with one greeting]
        #[arg(long, short, value_name = "REF")]
        template: Option<String>,
        #[command(flatten)]
        language: Language,
    },
    /// Print where a flake is, and its inputs
    #[command(alias = "info")]
    Metadata {
        #[command(flatten)]
        flake: FlakeArgument,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Add what is missing in the lock file
    Lock {
        #[command(flatten)]
        flake: FlakeArgument,
        /// Print the lock file
        #[arg(long)]
        json: bool,
    },
    /// Pin inputs as they are now
    Update {
        /// The inputs (paths like a/b) [default: all]
        inputs: Vec<String>,
        /// The flake
        #[arg(long, value_name = "REF", default_value = ".")]
        flake: String,
        #[command(flatten)]
        flags: FlakeFlags,
        #[command(flatten)]
        language: Language,
        /// Print the lock file
        #[arg(long)]
        json: bool,
    },
    /// Print what a flake has
    Show {
        #[command(flatten)]
        flake: FlakeArgument,
        /// Look into legacyPackages too
        #[arg(long)]
        legacy: bool,
        /// Show what is for other systems, too
        #[arg(long)]
        all_systems: bool,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Evaluate all that a flake has, and build its checks
    Check {
        #[command(flatten)]
        flake: FlakeArgument,
        #[command(flatten)]
        options: BuildFlags,
        /// Build nothing
        #[arg(long)]
        no_build: bool,
        /// Check what is for other systems, too
        #[arg(long)]
        all_systems: bool,
        /// Print what was checked as JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy the source of a flake, with its history if it has one, to a new folder
    Clone {
        #[command(flatten)]
        flake: FlakeArgument,
        /// The folder
        #[arg(long, short = 'f', value_name = "FOLDER")]
        dest: PathBuf,
    },
    /// Fetch a flake and all its inputs
    Archive {
        #[command(flatten)]
        flake: FlakeArgument,
        /// Fetch nothing, only say where everything would be
        #[arg(long)]
        dry_run: bool,
        /// Print where everything is as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch the source of a flake
    Prefetch {
        #[command(flatten)]
        flake: FlakeArgument,
        /// Make a link to it
        #[arg(long, short, value_name = "LINK")]
        out_link: Option<PathBuf>,
        /// Print what was fetched as JSON
        #[arg(long)]
        json: bool,
    },
}
