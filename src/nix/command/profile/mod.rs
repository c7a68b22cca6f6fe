//! `nix profile`: what a user has installed from flakes, expressions and the store.

mod add;
mod history;
mod manifest;

use std::{io::IsTerminal, path::Path};

use regex_automata::meta::Regex;
use zeval_builder::store::Store;
use zeval_model::StorePath;

use self::manifest::{Element, Manifest, Unbuildable, shown};
use super::{
    super::{
        outcome::{Outcome, Stop, usage},
        place,
        profiles::{self, Profile},
        realise,
    },
    Call,
};

pub use add::{add, install, upgrade};
pub use history::{diff_closures, history, rollback, wipe_history};

/// The profile that is worked on.
pub fn profile(call: &Call) -> Outcome<Profile> {
    match call.value("--profile") {
        Some(link) => Profile::at(Path::new(link)),
        None => profiles::default(call.common.settings.is_on("use-xdg-base-directories") == Some(true)),
    }
}

/// What is in the generation that a link leads to.
fn read(store: &Store, link: &Path) -> Outcome<Manifest> {
    match place::store_path(store, link.as_os_str()) {
        Ok(path) => Manifest::read(store, &store.physical(&path)),
        Err(_) => Ok(Manifest::default()),
    }
}

/// Makes a manifest the current generation.
fn update(store: &Store, profile: &Profile, manifest: &Manifest) -> Result<(), Unbuildable> {
    let path: StorePath = manifest.build(store)?;
    Ok(profile.advance(store, &path)?)
}

/// An error in words.
fn plain(error: Unbuildable) -> Stop {
    match error {
        Unbuildable::Tree(error) => Stop::of(realise::conflict(&error)),
        Unbuildable::Other(stop) => stop,
    }
}

/// `nix profile list`
pub fn list(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let manifest = read(&store, &profile(call)?.link)?;
    if call.has("--json") {
        println!("{}", manifest.to_json());
        return Ok(());
    }
    let (bold, red, plain) = colours();
    for (index, (name, element)) in manifest.elements.iter().enumerate() {
        if index > 0 {
            println!();
        }
        let mark = if element.active { String::new() } else { format!(" {red}(inactive){plain}") };
        println!("Name:               {bold}{name}{plain}{mark}");
        if let Some(source) = &element.source {
            println!("Flake attribute:    {}{}", source.attribute, shown(&source.outputs));
            println!("Original flake URL: {}", source.original);
            println!("Locked flake URL:   {}", source.locked);
        }
        let paths: Vec<String> = element.paths.iter().map(StorePath::to_string).collect();
        println!("Store paths:        {}", paths.join(" "));
    }
    Ok(())
}

/// Bold, red, and back, if anybody sees it.
fn colours() -> (&'static str, &'static str, &'static str) {
    match std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => ("\x1b[1m", "\x1b[31;1m", "\x1b[0m"),
        false => ("", "", ""),
    }
}

/// Which elements of a profile are meant.
enum Matcher {
    All,
    Name(String),
    Pattern(String, Box<Regex>),
    Path(StorePath),
}

impl Matcher {
    fn fits(&self, name: &str, element: &Element) -> bool {
        match self {
            Matcher::All => true,
            Matcher::Name(wanted) => name == wanted,
            Matcher::Pattern(_, regex) => regex.is_match(element.identifier().as_bytes()),
            Matcher::Path(path) => element.paths.contains(path),
        }
    }

    /// What is said of one that fits nothing.
    fn unused(&self) -> String {
        match self {
            Matcher::All => "There are no packages in the profile.".to_owned(),
            Matcher::Name(name) => {
                format!("Package name '{name}' does not match any packages in the profile.")
            }
            Matcher::Pattern(text, _) => {
                format!("Regex '{text}' does not match any packages in the profile.")
            }
            Matcher::Path(path) => format!("Store path '{path}' does not match any packages in the profile."),
        }
    }
}

/// Those that flags and operands name.
fn matchers(call: &Call) -> Outcome<Vec<Matcher>> {
    let mut matchers = Vec::new();
    if call.has("--all") {
        matchers.push(Matcher::All);
    }
    for text in call.all("--regex") {
        let regex = Regex::new(&format!("^(?:{text})$"))
            .map_err(|error| Stop::of(format!("invalid regular expression '{text}': {error}")))?;
        matchers.push(Matcher::Pattern(text.to_owned(), Box::new(regex)));
    }
    for operand in &call.common.operands {
        let text = operand.to_string_lossy().into_owned();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return usage(format!("'nix profile' no longer supports indices ('{text}')"));
        }
        matchers.push(match StorePath::from_absolute(&text) {
            Ok(path) => Matcher::Path(path),
            Err(_) => Matcher::Name(text),
        });
    }
    if matchers.is_empty() {
        return usage("No packages specified.");
    }
    Ok(matchers)
}

/// The names of the elements that are meant; says which matchers fit none.
fn matching(call: &Call, manifest: &Manifest, matchers: &[Matcher]) -> Vec<String> {
    for matcher in matchers {
        if !manifest.elements.iter().any(|(name, element)| matcher.fits(name, element)) {
            call.warn(matcher.unused());
        }
    }
    let fits =
        |(name, element): &(&String, &Element)| matchers.iter().any(|matcher| matcher.fits(name, element));
    manifest.elements.iter().filter(fits).map(|(name, _)| name.clone()).collect()
}

/// `nix profile remove`
pub fn remove(call: &Call) -> Outcome<()> {
    let store = call.store()?;
    let profile = profile(call)?;
    let matchers = matchers(call)?;
    let _lock = profile.lock()?;
    let mut manifest = read(&store, &profile.link)?;
    let names = matching(call, &manifest, &matchers);
    if names.is_empty() {
        call.warn("No packages to remove. Use 'nix profile list' to see the current profile.");
        return Ok(());
    }
    for name in &names {
        if let Some(element) = manifest.elements.remove(name) {
            call.say(format!("removing '{}'", element.identifier()));
        }
    }
    call.say(format!("removed {} packages, kept {} packages", names.len(), manifest.elements.len()));
    update(&store, &profile, &manifest).map_err(plain)
}
