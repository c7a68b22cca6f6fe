//! What is made from the definition of the command line: completions for shells, manual pages, and the page of each command.

use std::{fs, io::Write as _};

use clap::CommandFactory as _;

use zeval_model::{Algorithm, Hash};

use super::Result;
use crate::{
    cli::{Cli, Completions, Man},
    diagnostic::Failed,
};

/// `zeval completions`
pub fn completions(arguments: &Completions) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "zeval", &mut text);
    let _ = std::io::stdout().write_all(&text);
    Ok(())
}

/// `zeval man`
pub fn man(arguments: &Man) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    if let Some(folder) = &arguments.folder {
        let failed =
            |error| Failed::other(format!("cannot write manual pages to '{}': {error}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        return clap_mangen::generate_to(Cli::command(), folder).map_err(failed);
    }
    for name in &arguments.command {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| Failed::other(format!("there is no command '{name}'")))?;
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(Failed::other)?;
    let _ = std::io::stdout().write_all(&text);
    Ok(())
}

/// `zeval --version --json`: what this program was built from.
pub fn version() -> String {
    let lock = Hash::of(Algorithm::Sha256, include_bytes!("../../Cargo.lock"));
    let object = serde_json::json!({
        "name": "zeval",
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("ZEVAL_COMMIT"),
        "lock": lock.to_sri(),
        "system": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "static": cfg!(target_feature = "crt-static"),
        "optimised": !cfg!(debug_assertions),
        "language": "Nix 2.34.8",
        "formatter": format!("nixfmt_rs {}", zeval_editor::format::VERSION),
    });
    format!("{object}\n")
}
