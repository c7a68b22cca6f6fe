//! The arguments of `zeval copy` and `zeval serve`.

use std::path::PathBuf;

use clap::Args;
use zeval_builder::cache::Compression;

/// `zeval copy`
#[derive(Args)]
pub struct Copy {
    /// Store paths, or links to them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where to: file:///FOLDER, http://, https:// (binary caches), local:///FOLDER (another store) or ssh://HOST
    #[arg(long, value_name = "URL", required_unless_present = "from")]
    pub to: Option<String>,
    /// Where from: file://, http://, https://, local:// or ssh://
    #[arg(long, value_name = "URL", conflicts_with = "to")]
    pub from: Option<String>,
    /// Leave out what the paths refer to
    #[arg(long)]
    pub no_recursive: bool,
    /// How archives are compressed: zstd, xz, bzip2 or none [default: zstd, or what the URL says]
    #[arg(long, value_name = "METHOD")]
    pub compression: Option<Compression>,
    /// How hard: for zstd 1 to 22, for xz 0 to 9
    #[arg(long, value_name = "N")]
    pub compression_level: Option<i32>,
    /// Sign with the secret key in this file
    #[arg(long, value_name = "FILE")]
    pub key_file: Vec<PathBuf>,
    /// Write the listings (.ls) of the files, too
    #[arg(long)]
    pub write_nar_listing: bool,
    /// Trust what this key signed
    #[arg(long, value_name = "NAME:KEY")]
    pub trusted_public_key: Vec<String>,
    /// Ask for no signatures
    #[arg(long)]
    pub no_check_sigs: bool,
    /// Print what was copied as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval serve`
#[derive(Args)]
pub struct Serve {
    /// The address to listen at; port 0 takes any that is free
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "ADDRESS:PORT")]
    pub listen: String,
    /// Sign with the secret key in this file
    #[arg(long, value_name = "FILE")]
    pub key_file: Vec<PathBuf>,
    /// What others are told: caches with lower numbers are asked first
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub priority: i64,
}
