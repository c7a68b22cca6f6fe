//! `nix-channel`: package sets that are followed by an address each, in a profile of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::Arc,
};

use bstr::ByteSlice;
use zeval_evaluator::{Evaluator, Failure, with_large_stack};

use super::{
    flags::{self, Common, Rest},
    instantiate,
    outcome::{Outcome, Stop, end, fail, usage},
    place,
    profiles::{self, Profile, replace_link},
    store::NixStore,
};
use crate::evaluation::{self, Input};

const HELP: &str = "Usage: nix-channel OPERATION

  --add URL [NAME]         Follow a channel
  --remove NAME            Follow it no more
  --list                   The channels that are followed
  --update [NAME...]       Fetch them, or those, and make them the packages of nix-env and <NAME>
  --rollback [GENERATION]  Take back the last --update
  --list-generations
";

/// What makes a package set of an archive; as Nix writes it.
const UNPACK: &str = "{ name, channelName, src }: derivation { builder = \"builtin:unpack-channel\"; system = \"builtin\"; \
                      inherit name channelName src; preferLocalBuild = true; }";

#[derive(Clone, Copy)]
enum Operation {
    Add,
    Remove,
    List,
    Update,
    Rollback,
    ListGenerations,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut operation = None;
    let mut take = |flag: &str, _: &mut Rest| {
        operation = Some(match flag {
            "--add" => Operation::Add,
            "--remove" => Operation::Remove,
            "--list" => Operation::List,
            "--update" => Operation::Update,
            "--rollback" => Operation::Rollback,
            "--list-generations" => Operation::ListGenerations,
            _ => return Ok(false),
        });
        Ok(true)
    };
    match flags::read("nix-channel", HELP, arguments, &mut take) {
        Ok(common) => end("nix-channel", operate(operation, common)),
        Err(code) => code,
    }
}

fn operate(operation: Option<Operation>, common: Common) -> Outcome<()> {
    let words: Vec<String> = common.operands.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (operation, &words[..]) {
        (None, _) => usage("no command specified"),
        (Some(Operation::Add), [url]) => add(&common, url, None),
        (Some(Operation::Add), [url, name]) => add(&common, url, Some(name)),
        (Some(Operation::Add), _) => usage("'--add' requires one or two arguments"),
        (Some(Operation::Remove), [name]) => remove(&common, name),
        (Some(Operation::Remove), _) => usage("'--remove' requires one argument"),
        (Some(Operation::List), []) => {
            read(&common)?.iter().for_each(|(name, url)| println!("{name} {url}"));
            Ok(())
        }
        (Some(Operation::List), _) => usage("'--list' expects no arguments"),
        (Some(Operation::Update), names) => {
            update(common, names.iter().map(|name| (*name).to_owned()).collect())
        }
        (Some(Operation::Rollback), [] | [_]) => {
            let number = match words.first().map(|word| word.parse()) {
                None => None,
                Some(Ok(number)) => Some(number),
                Some(Err(_)) => return usage("expected a generation number"),
            };
            profile()?.switch(number, false, |text| eprintln!("{text}"))
        }
        (Some(Operation::Rollback), _) => usage("'--rollback' has at most one argument"),
        (Some(Operation::ListGenerations), []) => {
            let profile = profile()?.link.into_os_string();
            install(&["--list-generations".into(), "--profile".into(), profile])
        }
        (Some(Operation::ListGenerations), _) => usage("'--list-generations' expects no arguments"),
    }
}

fn uses_xdg(common: &Common) -> bool {
    common.settings.is_on("use-xdg-base-directories") == Some(true)
}

fn in_home(name: &str) -> Outcome<PathBuf> {
    match std::env::var_os("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(name)),
        None => fail("no home folder is known: set HOME"),
    }
}

/// The file with the channels: a line each, the address and the name.
fn list_file(common: &Common) -> Outcome<PathBuf> {
    match profiles::state_folder().filter(|_| uses_xdg(common)) {
        Some(folder) => Ok(folder.join("channels")),
        None => in_home(".nix-channels"),
    }
}

/// The profile that holds what was fetched.
fn profile() -> Outcome<Profile> {
    match profiles::folder() {
        Some(folder) => Profile::at(&folder.join("channels")),
        None => fail("no home folder is known: set HOME"),
    }
}

/// The channels, by name.
fn read(common: &Common) -> Outcome<BTreeMap<String, String>> {
    let text = match fs::read_to_string(list_file(common)?) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let mut channels = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let url = words.next().unwrap_or_default().trim_end_matches('/').to_owned();
        let name = words.next().map_or_else(|| base_name(&url), str::to_owned);
        channels.insert(name, url);
    }
    Ok(channels)
}

fn write(common: &Common, channels: &BTreeMap<String, String>) -> Outcome<()> {
    let file = list_file(common)?;
    let text: String = channels.iter().map(|(name, url)| format!("{url} {name}\n")).collect();
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    fs::create_dir_all(file.parent().unwrap_or(&file))?;
    fs::write(&temporary, text)?;
    Ok(fs::rename(temporary, file)?)
}

fn base_name(url: &str) -> String {
    url.rsplit('/').next().unwrap_or_default().to_owned()
}

fn add(common: &Common, url: &str, name: Option<&str>) -> Outcome<()> {
    let has_scheme = url.contains("://") || url.starts_with("path:");
    if !has_scheme {
        return fail(format!("invalid channel URL '{url}'"));
    }
    let name = match name {
        Some(name) => name.to_owned(),
        None => base_name(url).trim_end_matches("-unstable").trim_end_matches("-stable").to_owned(),
    };
    let is_name = !name.is_empty()
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !is_name {
        return fail(format!("invalid channel identifier '{name}'"));
    }
    let mut channels = read(common)?;
    channels.insert(name, url.trim_end_matches('/').to_owned());
    write(common, &channels)
}

fn remove(common: &Common, name: &str) -> Outcome<()> {
    let mut channels = read(common)?;
    channels.remove(name);
    write(common, &channels)?;
    let link = profile()?.link.into_os_string();
    install(&["--profile".into(), link, "--uninstall".into(), name.into()])
}

/// Runs `nix-env`, as which this program knows how to change a profile.
fn install(arguments: &[OsString]) -> Outcome<()> {
    let status = Command::new("/proc/self/exe").arg("nix-env").args(arguments).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(Stop::Silent(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
    }
}

fn update(common: Common, names: BTreeSet<String>) -> Outcome<()> {
    let channels = read(&common)?;
    if let Some(unknown) = names.iter().find(|name| !channels.contains_key(*name)) {
        return fail(format!("no channel is called '{unknown}': see 'nix-channel --list'"));
    }
    let link = profile()?.link;
    let store = place::open(&common)?;
    let fetched = match with_large_stack(|| fetch(common, &channels, &names)) {
        Ok(fetched) => fetched?,
        Err(error) => return fail(format!("cannot start a thread to evaluate on: {error}")),
    };
    let mut expressions = Vec::new();
    for (name, url) in &channels {
        let titled = format!("{name}{}", version_in(url));
        expressions.push(match fetched.get(name) {
            Some(file) => format!(
                "f: f {{ name = \"{titled}\"; channelName = \"{name}\"; src = builtins.storePath \"{file}\"; }}"
            ),
            None => {
                let target = fs::read_link(store.physical(&place::store_path(&store, link.as_os_str())?).join(name))?;
                let path = place::store_path(&store, target.as_os_str())?;
                format!(
                    "f: rec {{ name = \"{titled}\"; type = \"derivation\"; outputs = [ \"out\" ]; system = \"builtin\"; outPath = \
                     builtins.storePath \"{path}\"; out = {{ inherit outPath; }}; }}"
                )
            }
        });
    }
    eprintln!("unpacking {} channels...", expressions.len());
    let folder = tempfile::tempdir()?;
    let unpack = folder.path().join("unpack-channel.nix");
    fs::write(&unpack, UNPACK)?;
    let mut arguments: Vec<OsString> =
        vec!["--profile".into(), link.clone().into(), "--file".into(), unpack.into()];
    arguments.extend(["--install", "--remove-all", "--from-expression", "--quiet"].map(OsString::from));
    arguments.extend(expressions.into_iter().map(OsString::from));
    install(&arguments)?;
    replace_link(&link, &in_home(".nix-defexpr")?.join("channels"))
}

/// What `<NAME>` stands for where no search path is set: the channels that were fetched. Their links lead into the store by
/// its logical name.
pub fn search_entries() -> Vec<Vec<u8>> {
    let folder = in_home(".nix-defexpr/channels").ok().and_then(|folder| folder.canonicalize().ok());
    let mut entries = Vec::new();
    for entry in folder.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
        if let Ok(target) = fs::read_link(entry.path()) {
            entries.push([entry.file_name().as_bytes(), b"=", target.as_os_str().as_bytes()].concat());
        }
    }
    entries.sort();
    entries
}

/// The version at the end of an address, with the dash before it.
fn version_in(url: &str) -> String {
    let name = base_name(url);
    let starts = |at: &usize| name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let at = name.match_indices('-').map(|(at, _)| at).find(starts);
    at.map_or_else(String::new, |at| name[at..].to_owned())
}

/// Fetches the archives of channels into the store; gives their paths.
fn fetch(
    mut common: Common,
    channels: &BTreeMap<String, String>,
    names: &BTreeSet<String>,
) -> Outcome<BTreeMap<String, String>> {
    // What was fetched lately may be old.
    common.settings.set("tarball-ttl", "0");
    let nix_store = Arc::new(NixStore::new(&common, false).map_err(Stop::of)?);
    let mut evaluator = Evaluator::new(instantiate::session(&common, &nix_store));
    let mut fetched = BTreeMap::new();
    for (name, url) in channels.iter().filter(|(name, _)| names.is_empty() || names.contains(*name)) {
        let is_archive = [".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"].iter().any(|end| url.ends_with(end));
        let path = match is_archive {
            true => file(&mut evaluator, url, &base_name(url))?,
            false => match file(&mut evaluator, &format!("{url}/nixexprs.tar.xz"), "nixexprs.tar.xz") {
                Ok(path) => path,
                Err(_) => file(&mut evaluator, &format!("{url}/nixexprs.tar.bz2"), "nixexprs.tar.bz2")?,
            },
        };
        fetched.insert(name.clone(), path);
    }
    nix_store.flush()?;
    Ok(fetched)
}

fn file(evaluator: &mut Evaluator, url: &str, name: &str) -> Result<String, Failure> {
    let text = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    let expression = format!("builtins.fetchurl {{ url = \"{}\"; name = \"{}\"; }}", text(url), text(name));
    let value = evaluation::evaluate(evaluator, &Input::Expression(expression.into_bytes()))?;
    let value = evaluator.force(value)?;
    let path = value.as_string().map(|path| path.bytes().to_str_lossy().into_owned());
    Ok(path.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_addresses() {
        assert_eq!(version_in("https://example.org/nixos-20.09"), "-20.09");
        assert_eq!(version_in("https://example.org/nixpkgs-unstable"), "");
        assert_eq!(version_in("file:///a-1/b"), "");
    }
}
