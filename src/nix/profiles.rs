//! Profiles: a link to the current one of numbered generations, each of which keeps a store path.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use zeval_builder::store::Store;
use zeval_model::StorePath;

use super::outcome::{Outcome, Stop, fail, usage};

/// A profile, by the path of its link.
#[derive(Clone, Debug)]
pub struct Profile {
    pub link: PathBuf,
}

/// One state of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    pub number: u64,
    pub link: PathBuf,
    /// When it was made.
    pub time: SystemTime,
}

/// Which generations are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doomed {
    /// All but the current one.
    Old,
    /// Those of these numbers.
    Numbers(Vec<u64>),
    /// All but the current one and this number, less one, of those before it.
    AllBut(u64),
    /// What was not current any more so long ago.
    OlderThan(Duration),
}

impl Doomed {
    /// `old`, `+5`, `30d`, or numbers.
    pub fn parse(words: &[String]) -> Outcome<Doomed> {
        if let [word] = words {
            if word == "old" {
                return Ok(Doomed::Old);
            }
            if let Some(count) = word.strip_prefix('+') {
                return match count.parse() {
                    Ok(0) => {
                        fail("Must keep at least one generation, otherwise the current one would be deleted")
                    }
                    Ok(count) => Ok(Doomed::AllBut(count)),
                    Err(_) => usage(format!("invalid number of generations '{word}'")),
                };
            }
            if word.contains('d') {
                return Ok(Doomed::OlderThan(days(word)?));
            }
        }
        let number = |word: &String| match word.parse() {
            Ok(number) => Ok(number),
            Err(_) => usage(format!("invalid generation number '{word}'")),
        };
        Ok(Doomed::Numbers(words.iter().map(number).collect::<Outcome<_>>()?))
    }
}

/// `14d`
pub fn days(text: &str) -> Outcome<Duration> {
    const DAY: u64 = 24 * 60 * 60;
    let number =
        text.strip_suffix('d').and_then(|number| number.parse::<u64>().ok()).filter(|&days| days > 0);
    match number {
        Some(days) => Ok(Duration::from_secs(days * DAY)),
        None => usage(format!("invalid number of days specifier '{text}', expected something like '14d'")),
    }
}

/// Where a user's state of Nix is kept.
pub fn state_folder() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    Some(state?.join("nix"))
}

/// Where the profiles of a user are kept.
pub fn folder() -> Option<PathBuf> {
    Some(state_folder()?.join("profiles"))
}

/// The link in the home folder that leads to the profile which is used when none is named.
fn link_in_home(xdg: bool) -> Outcome<PathBuf> {
    let link = match xdg {
        true => state_folder().map(|folder| folder.join("profile")),
        false => std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".nix-profile")),
    };
    link.ok_or_else(|| Stop::of("no home folder is known: set HOME, or name a profile with --profile"))
}

/// The profile that is used when none is named. `xdg` is the setting `use-xdg-base-directories`.
pub fn default(xdg: bool) -> Outcome<Profile> {
    let link = link_in_home(xdg)?;
    if fs::symlink_metadata(&link).is_err() {
        let Some(folder) = folder() else { return fail("no home folder is known: set HOME") };
        fs::create_dir_all(&folder)?;
        replace_link(&folder.join("profile"), &link)?;
    }
    match fs::read_link(&link) {
        Ok(target) => Ok(Profile { link: link.parent().unwrap_or(Path::new("/")).join(target) }),
        // A folder, or a file: whatever it is, it is none of ours.
        Err(_) => Ok(Profile { link }),
    }
}

/// Lets the link in the home folder lead to another profile.
pub fn switch_default(xdg: bool, to: &Path) -> Outcome<()> {
    let to = std::path::absolute(to)?;
    replace_link(&to, &link_in_home(xdg)?)
}

/// Keeps others from changing a profile.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Profile {
    /// The profile at that path.
    pub fn at(link: &Path) -> Outcome<Profile> {
        Ok(Profile { link: std::path::absolute(link)? })
    }

    fn name(&self) -> String {
        self.link.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn parent(&self) -> &Path {
        self.link.parent().unwrap_or(Path::new("/"))
    }

    /// Keeps others from changing the profile as long as what this gives lives.
    pub fn lock(&self) -> Outcome<Lock> {
        fs::create_dir_all(self.parent())?;
        let mut name = self.link.clone().into_os_string();
        name.push(".lock");
        let path = PathBuf::from(name);
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            // Who had it before may have removed it meanwhile.
            let is_there = fs::metadata(&path).is_ok_and(|there| {
                file.metadata().is_ok_and(|mine| (mine.dev(), mine.ino()) == (there.dev(), there.ino()))
            });
            if is_there {
                return Ok(Lock { path, _file: file });
            }
        }
    }

    /// The generations, oldest first, and the number of the current one.
    pub fn generations(&self) -> Outcome<(Vec<Generation>, Option<u64>)> {
        let mut all = Vec::new();
        let entries = match fs::read_dir(self.parent()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((all, None)),
            entries => entries?,
        };
        let profile = self.name();
        for entry in entries {
            let entry = entry?;
            let Some((name, number)) = numbered(&entry.file_name().to_string_lossy()) else { continue };
            if name == profile {
                let time = entry.metadata()?.modified()?;
                all.push(Generation { number, link: entry.path(), time });
            }
        }
        all.sort_by_key(|generation| generation.number);
        let current = fs::read_link(&self.link).ok();
        let current =
            current.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let current = current.and_then(|name| numbered(&name)).filter(|(name, _)| *name == profile);
        Ok((all, current.map(|(_, number)| number)))
    }

    /// Makes a path the current generation: a new one, unless it is that of the last already.
    pub fn advance(&self, store: &Store, path: &StorePath) -> Outcome<()> {
        fs::create_dir_all(self.parent())?;
        let (generations, _) = self.generations()?;
        let last = generations.last();
        let is_last =
            last.is_some_and(|last| fs::read_link(&last.link).is_ok_and(|at| at == store.physical(path)));
        let number = match last {
            Some(last) if is_last => last.number,
            Some(last) => last.number + 1,
            None => 1,
        };
        store.add_root(&self.generation(number), path)?;
        self.switch_to(number)
    }

    fn generation(&self, number: u64) -> PathBuf {
        self.parent().join(format!("{}-{number}-link", self.name()))
    }

    /// Makes a generation the current one.
    fn switch_to(&self, number: u64) -> Outcome<()> {
        let generation = self.generation(number);
        replace_link(Path::new(generation.file_name().unwrap_or_default()), &self.link)
    }

    /// Goes to a generation, or to the one before the current one; tells `say` of it.
    pub fn switch(&self, wanted: Option<u64>, dry_run: bool, say: impl Fn(String)) -> Outcome<()> {
        let _lock = self.lock()?;
        let (generations, current) = self.generations()?;
        let found = generations.iter().rev().find(|generation| match (wanted, current) {
            (Some(wanted), _) => generation.number == wanted,
            (None, Some(current)) => generation.number < current,
            (None, None) => true,
        });
        let Some(found) = found else {
            return match wanted {
                Some(wanted) => fail(format!("profile version {wanted} does not exist")),
                None => {
                    let current = current.unwrap_or_default();
                    fail(format!("no profile version older than the current ({current}) exists"))
                }
            };
        };
        let from = current.map_or_else(|| "unknown".to_owned(), |current| current.to_string());
        say(format!("switching profile from version {from} to {}", found.number));
        match dry_run {
            true => Ok(()),
            false => self.switch_to(found.number),
        }
    }

    /// Deletes generations, newest first where they are found by their age; tells `say` of each.
    pub fn delete(&self, doomed: &Doomed, dry_run: bool, say: impl Fn(String)) -> Outcome<()> {
        let _lock = self.lock()?;
        let (generations, current) = self.generations()?;
        for generation in chosen(doomed, &generations, current, &self.link)? {
            let verb = if dry_run { "would remove" } else { "removing" };
            say(format!("{verb} profile version {}", generation.number));
            if !dry_run {
                fs::remove_file(&generation.link)?;
            }
        }
        Ok(())
    }
}

fn chosen<'g>(
    doomed: &Doomed,
    generations: &'g [Generation],
    current: Option<u64>,
    link: &Path,
) -> Outcome<Vec<&'g Generation>> {
    let is_current = |generation: &&Generation| Some(generation.number) == current;
    let is_old = |generation: &&Generation| !is_current(generation);
    Ok(match doomed {
        Doomed::Old => generations.iter().filter(is_old).collect(),
        Doomed::Numbers(numbers) => {
            if current.is_some_and(|current| numbers.contains(&current)) {
                return fail(format!("cannot delete current version of profile \"{}\"", link.display()));
            }
            generations.iter().filter(|generation| numbers.contains(&generation.number)).collect()
        }
        Doomed::AllBut(count) => {
            let count = usize::try_from(*count).unwrap_or(usize::MAX).saturating_sub(1);
            let before = generations.iter().rev().skip_while(is_old).skip(1);
            before.skip(count).collect()
        }
        Doomed::OlderThan(age) => {
            let begin = SystemTime::now().checked_sub(*age).unwrap_or(SystemTime::UNIX_EPOCH);
            // The generation that was current when the age began is kept.
            let old = generations.iter().rev().skip_while(|generation| generation.time >= begin).skip(1);
            old.filter(is_old).collect()
        }
    })
}

/// `NAME-NUMBER-link`
pub fn numbered(name: &str) -> Option<(String, u64)> {
    let (profile, number) = name.strip_suffix("-link")?.rsplit_once('-')?;
    Some((profile.to_owned(), number.parse().ok()?))
}

/// Makes a link in one step, whether there is one or not.
pub fn replace_link(target: &Path, link: &Path) -> Outcome<()> {
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut name = link.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = link.with_file_name(name);
    let _ = fs::remove_file(&temporary);
    symlink(target, &temporary)?;
    Ok(fs::rename(&temporary, link)?)
}
