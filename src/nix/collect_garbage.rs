//! `nix-collect-garbage`: deletes old generations of profiles, and what nothing needs.

use std::{collections::BTreeSet, ffi::OsString, fs, io, path::Path, process::ExitCode, time::Duration};

use zeval_builder::{cancel::Cancellation, store::Limit};

use super::{
    flags::{self, Common, INFO, Rest},
    nix_store::{Collection, collect, collect_options, size},
    outcome::{Outcome, end, usage},
    place,
    profiles::{self, Doomed, Profile},
};

const HELP: &str = "Usage: nix-collect-garbage [FLAGS]

  -d, --delete-old           Delete the old generations of profiles
  --delete-older-than DAYSd  Delete the generations of profiles that are older
  --max-freed BYTES          Stop when so much has been freed
  --dry-run                  Only say how many paths would be deleted
";

#[derive(Default)]
struct Options {
    delete_old: bool,
    older_than: Option<String>,
    max_freed: Option<String>,
    dry_run: bool,
}

impl Options {
    fn take(&mut self, flag: &str, rest: &mut Rest) -> Result<bool, String> {
        let mut value = || rest.value(flag).map(|value| Some(value.to_string_lossy().into_owned()));
        match flag {
            "-d" | "--delete-old" => self.delete_old = true,
            "--delete-older-than" => self.older_than = value()?,
            "--max-freed" => self.max_freed = value()?,
            "--dry-run" => self.dry_run = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let common =
        flags::read("nix-collect-garbage", HELP, arguments, &mut |flag, rest| options.take(flag, rest));
    match common {
        Ok(common) => end("nix-collect-garbage", run_with(&options, &common)),
        Err(code) => code,
    }
}

fn run_with(options: &Options, common: &Common) -> Outcome<()> {
    if let Some(operand) = common.operands.first() {
        return usage(format!("unexpected argument '{}'", operand.to_string_lossy()));
    }
    let limit = options.max_freed.as_deref().map(size).transpose()?.map(Limit::Freed);
    let age = options.older_than.as_deref().map(profiles::days).transpose()?;
    let store = place::open(common)?;
    if options.delete_old || age.is_some() {
        for folder in [Some(store.layout().profiles()), profiles::folder()].into_iter().flatten() {
            delete_generations(&folder, age, options.dry_run)?;
        }
    }
    let mut options_of_collection = collect_options(&common.settings);
    options_of_collection.limit = limit;
    if !options.dry_run {
        return collect(
            &store,
            &Collection { options: options_of_collection, quiet: common.verbosity < INFO },
        );
    }
    options_of_collection.dry_run = true;
    if common.verbosity >= INFO {
        eprintln!("finding garbage collector roots...\ndetermining live/dead paths...");
    }
    let dead = store.collect(&options_of_collection, &Cancellation::new(), |_, _| ())?;
    println!("{} store paths would be deleted", dead.paths.len());
    Ok(())
}

/// Deletes the generations that are not current, and are older than `age` if one is given, of all profiles in a folder and
/// those below it.
fn delete_generations(folder: &Path, age: Option<Duration>, dry_run: bool) -> Outcome<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            delete_generations(&entry.path(), age, dry_run)?;
        } else if let Some((profile, _)) = profiles::numbered(&entry.file_name().to_string_lossy()) {
            found.insert(profile);
        }
    }
    let doomed = age.map_or(Doomed::Old, Doomed::OlderThan);
    for profile in found {
        Profile::at(&folder.join(profile))?.delete(&doomed, dry_run, |text| eprintln!("{text}"))?;
    }
    Ok(())
}
