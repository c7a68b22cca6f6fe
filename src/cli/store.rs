//! The arguments of `zeval store`, `zeval copy` and `zeval serve`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

/// `zeval store`
#[derive(Args)]
pub struct Store {
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// Store paths. Each may be written as `/nix/store/HASH-NAME`, as its folder in the physical store, or as a link to it.
#[derive(Args, Clone)]
pub struct Paths {
    /// Store paths, or links to them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// And all that they refer to, directly or not
    #[arg(long, short)]
    pub recursive: bool,
}

/// What to do with a store.
#[derive(Subcommand)]
pub enum StoreCommand {
    /// Add a file or folder, and print its store path
    Add(Add),
    /// Print what is known of paths
    PathInfo(PathInfo),
    /// List a file or folder in the store
    Ls(Ls),
    /// Print a file in the store
    Cat {
        /// A path in the store
        path: PathBuf,
    },
    /// See whether files are those that were registered, and whether paths are trusted
    Verify(Verify),
    /// Make damaged paths whole: from a binary cache, or by building them again
    Repair(Repair),
    /// Remove what nothing needs
    Gc(Gc),
    /// List what keeps paths from being collected
    Roots(Roots),
    /// Remove paths that nothing needs
    Delete(Delete),
    /// Show by which references one path depends on another
    WhyDepends(WhyDepends),
    /// Show how the packages of two closures differ
    DiffClosures(DiffClosures),
    /// Draw the references between paths
    Graph(Graph),
    /// Write the archive (NAR) of a file or folder
    Dump {
        /// Any file or folder, in the store or not
        path: PathBuf,
    },
    /// Unpack an archive (NAR) from standard input
    Restore {
        /// Where to: must not exist
        destination: PathBuf,
    },
    /// Write paths with what is known of them, as `nix-store --export`
    Export(Paths),
    /// Add paths that `export` or `nix-store --export` wrote, from standard input
    Import,
    /// Let equal files share their blocks on the disk where the file system can, else make them hard links of each other
    Optimise {
        /// Make hard links, whatever the file system can
        #[arg(long)]
        hard_links: bool,
        /// Print what was saved as JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign paths
    Sign(Sign),
    /// Make a pair of keys: the secret one in a file, the public one printed
    GenerateKey {
        /// What the key is called, such as cache.example.org-1
        name: String,
        /// The file for the secret key
        file: PathBuf,
    },
    /// Copy paths to paths that are made from their contents
    MakeContentAddressed {
        #[command(flatten)]
        paths: Paths,
        /// Print which became which as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print where the store is and what it holds
    Info {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// `zeval store add`
#[derive(Args)]
pub struct Add {
    /// The file or folder; `-` for a text on standard input
    pub path: PathBuf,
    /// The name in the store [default: the file's]
    #[arg(long, short)]
    pub name: Option<String>,
    /// What is hashed: nar, flat, text or git
    #[arg(long, default_value = "nar", value_name = "METHOD")]
    pub mode: zeval_model::ContentMethod,
    /// By which algorithm: sha256, blake3, sha512, sha1 or md5
    #[arg(long, alias = "algo", default_value = "sha256", value_name = "ALGORITHM")]
    pub hash_algo: zeval_model::Algorithm,
    /// Print the path it would have, and add nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `zeval store path-info`
#[derive(Args)]
pub struct PathInfo {
    /// Store paths, or links to them
    #[arg(value_name = "PATH", required_unless_present = "all")]
    pub paths: Vec<PathBuf>,
    /// And all that they refer to, directly or not
    #[arg(long, short)]
    pub recursive: bool,
    /// All paths of the store
    #[arg(long)]
    pub all: bool,
    /// Print the size of each path's archive
    #[arg(long, short)]
    pub size: bool,
    /// Print the size of each path's closure
    #[arg(long, short = 'S')]
    pub closure_size: bool,
    /// Print sizes for people
    #[arg(long = "human-readable")]
    pub human_readable: bool,
    /// Print signatures
    #[arg(long)]
    pub sigs: bool,
    /// Print all that is known as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store ls`
#[derive(Args)]
pub struct Ls {
    /// A path in the store
    pub path: PathBuf,
    /// Print kinds and sizes
    #[arg(long, short)]
    pub long: bool,
    /// List what is in folders, too
    #[arg(long, short = 'R')]
    pub recursive: bool,
    /// Print the listing as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store verify`
#[derive(Args)]
pub struct Verify {
    /// Store paths [default: all]
    pub paths: Vec<PathBuf>,
    /// And all that they refer to
    #[arg(long, short)]
    pub recursive: bool,
    /// Only see whether files are there
    #[arg(long)]
    pub no_contents: bool,
    /// Do not ask who vouches for paths
    #[arg(long)]
    pub no_trust: bool,
    /// Trust what this key signed beside trusted-public-keys of nix.conf
    #[arg(long = "trusted-public-key", alias = "trusted-key", value_name = "NAME:KEY")]
    pub trusted_key: Vec<String>,
    /// Print what is wrong as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store repair`
#[derive(Args)]
pub struct Repair {
    /// Store paths
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Take them from this cache [default: those of the settings, then build again]
    #[arg(long, value_name = "URL")]
    pub from: Vec<String>,
}

/// `zeval store gc`
#[derive(Args)]
pub struct Gc {
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Stop when this much has been freed, such as 10G
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with = "max_free")]
    pub max_freed: Option<u64>,
    /// Stop when the disk has this much free, such as 50G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_free: Option<u64>,
    /// Keep what derivations that are kept were built to
    #[arg(long)]
    pub keep_outputs: bool,
    /// Keep the derivations of what is kept: this is the default
    #[arg(long, overrides_with = "no_keep_derivations")]
    pub keep_derivations: bool,
    /// Remove the derivations of what is kept, too
    #[arg(long)]
    pub no_keep_derivations: bool,
    /// Remove only what was added longer ago than this, such as 30d or 12h
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<Duration>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store roots`
#[derive(Args)]
pub struct Roots {
    /// Keep this path until it is removed with --remove
    #[arg(long, value_name = "PATH")]
    pub add: Vec<PathBuf>,
    /// Keep this path no longer
    #[arg(long, value_name = "PATH")]
    pub remove: Vec<PathBuf>,
    /// Print the roots as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store delete`
#[derive(Args)]
pub struct Delete {
    /// Store paths
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// And all that refers to them
    #[arg(long)]
    pub referrers: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store why-depends`
#[derive(Args)]
pub struct WhyDepends {
    /// The path that depends
    pub path: PathBuf,
    /// What it depends on
    pub dependency: PathBuf,
    /// Show every way, not only the shortest
    #[arg(long, short)]
    pub all: bool,
    /// Print the steps as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store diff-closures`
#[derive(Args)]
pub struct DiffClosures {
    /// A store path
    pub before: PathBuf,
    /// Another one
    pub after: PathBuf,
    /// Print the differences as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store graph`
#[derive(Args)]
pub struct Graph {
    /// Store paths, whose closures are drawn
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Draw a picture (SVG) instead of writing the language of Graphviz
    #[arg(long, conflicts_with = "json")]
    pub svg: bool,
    /// Print the references as JSON
    #[arg(long)]
    pub json: bool,
}

/// `zeval store sign`
#[derive(Args)]
pub struct Sign {
    #[command(flatten)]
    pub paths: Paths,
    /// The file with the secret key
    #[arg(long, short, value_name = "FILE")]
    pub key_file: PathBuf,
}

/// A number of bytes: `10G`, `1.5M`, `4096`.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, exponent) = match text
        .trim_end_matches(['B', 'i'])
        .split_at_checked(text.trim_end_matches(['B', 'i']).len().saturating_sub(1))
    {
        Some((number, "K" | "k")) => (number, 1),
        Some((number, "M")) => (number, 2),
        Some((number, "G")) => (number, 3),
        Some((number, "T")) => (number, 4),
        _ => (text, 0),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{text}' is no size: write 4096, 100M or 1.5G"))?;
    Ok((number * 1024_f64.powi(exponent)) as u64)
}

/// A time span: `30d`, `12h`, `45m`, `10s`.
pub fn age(text: &str) -> Result<Duration, String> {
    let malformed = || format!("'{text}' is no time: write 30d, 12h, 45m or 10s");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(malformed)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(malformed()),
    };
    let number: u64 = number.parse().map_err(|_| malformed())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("1.5G"), Ok(3 << 29));
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert!(size("x").is_err() && size("").is_err());
        assert_eq!(age("2d"), Ok(Duration::from_secs(172_800)));
        assert!(age("2").is_err() && age("").is_err() && age("é").is_err());
    }
}
