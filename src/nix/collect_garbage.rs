//! `nix-collect-garbage`: deletes old generations of profiles, and what nothing needs.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use zeval_builder::{cancel::Cancellation, store::Limit};

use super::{
    flags::{self, Common, INFO, Rest},
    nix_store::{Collection, collect, collect_options, size},
    outcome::{Outcome, end, usage},
    place,
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
    let age = options.older_than.as_deref().map(days).transpose()?;
    let store = place::open(common)?;
    if options.delete_old || age.is_some() {
        for folder in [Some(store.layout().profiles()), own_profiles()].into_iter().flatten() {
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

/// `14d`
fn days(text: &str) -> Outcome<Duration> {
    const DAY: u64 = 24 * 60 * 60;
    let number =
        text.strip_suffix('d').and_then(|number| number.parse::<u64>().ok()).filter(|&days| days > 0);
    match number {
        Some(days) => Ok(Duration::from_secs(days * DAY)),
        None => usage(format!("invalid number of days specifier '{text}', expected something like '14d'")),
    }
}

/// Where Nix keeps the profiles of a user.
fn own_profiles() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    Some(state?.join("nix/profiles"))
}

/// Deletes the links of generations that are not current, and are older than `age` if one is given.
fn delete_generations(folder: &Path, age: Option<Duration>, dry_run: bool) -> Outcome<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut profiles: BTreeMap<String, Vec<(u64, PathBuf)>> = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            delete_generations(&path, age, dry_run)?;
        } else if let Some((profile, number)) = generation(&entry.file_name().to_string_lossy()) {
            profiles.entry(profile).or_default().push((number, path));
        }
    }
    for (profile, mut generations) in profiles {
        generations.sort();
        let current = fs::read_link(folder.join(&profile)).ok();
        let current = current.as_deref().and_then(Path::file_name);
        let mut newer_is_old_enough = false;
        for (number, link) in generations.iter().rev() {
            let modified = fs::symlink_metadata(link)?.modified()?;
            let is_old = age
                .is_none_or(|age| SystemTime::now().duration_since(modified).is_ok_and(|past| past >= age));
            // The generation that was current when the age began is kept.
            let doomed = is_old && (age.is_none() || newer_is_old_enough) && link.file_name() != current;
            newer_is_old_enough |= is_old;
            if doomed {
                let verb = if dry_run { "would remove" } else { "removing" };
                eprintln!("{verb} profile version {number}");
                if !dry_run {
                    fs::remove_file(link)?;
                }
            }
        }
    }
    Ok(())
}

/// `NAME-NUMBER-link`
fn generation(name: &str) -> Option<(String, u64)> {
    let (profile, number) = name.strip_suffix("-link")?.rsplit_once('-')?;
    Some((profile.to_owned(), number.parse().ok()?))
}
