//! Which packages are meant: by name, by attribute, by expression, by store path, or of another profile.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use regex_automata::meta::Regex;
use zeval_evaluator::{ErrorKind, EvalError, Failure, Value, position::PosId};

use super::{
    super::{
        outcome::{Outcome, Stop, fail},
        place, profiles,
        realise::output_paths,
    },
    Env,
    package::{Package, compare_versions, split_name},
};
use crate::{
    derivations::{self, Unsuitable},
    evaluation::{self, Input},
};

/// Where packages come from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum From {
    /// By name, from the expression.
    #[default]
    Names,
    /// `-A`: at an attribute of the expression.
    Attributes,
    /// `-E`: functions that are given the expression.
    Functions,
    /// `--from-profile`: of another profile.
    Profile,
    /// Paths in the store.
    Paths,
}

/// A pattern for names, with or without a version, as in `hello-2.12` or `python.*`.
pub struct Selector {
    text: String,
    name: Option<Regex>,
    version: String,
    hits: usize,
}

impl Selector {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Outcome<Selector> {
        let (name, version) = split_name(text);
        let regex = match name.as_str() {
            "*" => None,
            name => match Regex::new(&format!("^(?:{name})$")) {
                Ok(regex) => Some(regex),
                Err(_) => return fail(format!("invalid regular expression '{name}'")),
            },
        };
        Ok(Selector { text: text.to_owned(), name: regex, version, hits: 0 })
    }

    /// Whether a package's name fits.
    pub fn matches(&self, package: &str) -> bool {
        let (name, version) = split_name(package);
        let fits = self.name.as_ref().is_none_or(|regex| regex.is_match(name.as_bytes()));
        fits && (self.version.is_empty() || self.version == version)
    }

    /// Whether a package's name fits, and counts that.
    pub fn hit(&mut self, package: &str) -> bool {
        let fits = self.matches(package);
        self.hits += usize::from(fits);
        fits
    }
}

/// All of them, or everything if there are none.
pub fn selectors(texts: &[String]) -> Outcome<Vec<Selector>> {
    match texts.is_empty() {
        true => Ok(vec![Selector::parse("*")?]),
        false => texts.iter().map(|text| Selector::parse(text)).collect(),
    }
}

/// Every pattern must have fitted something.
pub fn check_use(selectors: &[Selector], known: &[Package]) -> Outcome<()> {
    let unused = selectors.iter().find(|selector| selector.hits == 0 && selector.text != "*");
    let Some(selector) = unused else { return Ok(()) };
    let names: BTreeSet<String> = known.iter().map(|package| package.name_and_version().0).collect();
    let close = zeval_evaluator::suggest::closest(
        selector.text.as_bytes().into(),
        names.iter().map(|name| name.as_bytes().into()),
    );
    let message = format!("selector '{}' matches no derivations", selector.text);
    Err(Stop::Evaluation(EvalError::new(ErrorKind::Eval, PosId::NONE, message).suggest(close)))
}

/// The packages whose names fit; of those with the same name only the best, if wanted.
pub fn filter(
    env: &mut Env<'_>,
    packages: &[Package],
    texts: &[String],
    newest_only: bool,
) -> Outcome<Vec<Package>> {
    let mut selectors = selectors(texts)?;
    let mut chosen = Vec::new();
    let mut done = BTreeSet::new();
    for selector in &mut selectors {
        let mut matches = Vec::new();
        for (index, package) in packages.iter().enumerate() {
            if selector.hit(&package.name) {
                matches.push(index);
            }
        }
        if newest_only {
            matches = newest(env, packages, &matches)?;
        }
        chosen.extend(
            matches.into_iter().filter(|index| done.insert(*index)).map(|index| packages[index].clone()),
        );
    }
    check_use(&selectors, packages)?;
    Ok(chosen)
}

/// The best of those with the same name: for this system, then by priority, then by version.
fn newest(env: &mut Env<'_>, packages: &[Package], indices: &[usize]) -> Outcome<Vec<usize>> {
    let mut best: BTreeMap<String, usize> = BTreeMap::new();
    let mut several = BTreeSet::new();
    for &index in indices {
        let package = &packages[index];
        let (name, version) = package.name_and_version();
        let Some(&other) = best.get(&name) else {
            best.insert(name, index);
            continue;
        };
        let rival = &packages[other];
        let this = &env.system;
        let (system, system_of_rival) = (package.system(env.evaluator)?, rival.system(env.evaluator)?);
        let fits = (system == *this).cmp(&(system_of_rival == *this));
        let priority = rival.priority(env.evaluator)?.cmp(&package.priority(env.evaluator)?);
        let newer = compare_versions(&version, &rival.name_and_version().1);
        match fits.then(priority).then(newer) {
            std::cmp::Ordering::Greater => {
                several.remove(&rival.name);
                best.insert(name, index);
            }
            std::cmp::Ordering::Equal => drop(several.insert(package.name.clone())),
            std::cmp::Ordering::Less => {}
        }
    }
    for &index in best.values().filter(|&&index| several.contains(&packages[index].name)) {
        let name = &packages[index].name;
        env.warn(format!("there are multiple derivations named '{name}'; using the first one"));
    }
    Ok(best.into_values().collect())
}

/// The packages that arguments name.
pub fn meant(
    env: &mut Env<'_>,
    from: From,
    arguments: &[String],
    newest_only: bool,
) -> Outcome<Vec<Package>> {
    match from {
        From::Names => {
            let all = available(env, None)?;
            filter(env, &all, arguments, newest_only)
        }
        From::Attributes => {
            let mut all = Vec::new();
            for argument in arguments {
                all.extend(available(env, Some(argument))?);
            }
            Ok(all)
        }
        From::Functions => {
            let set = env.expression()?;
            let mut all = Vec::new();
            for argument in arguments {
                let function =
                    evaluation::evaluate(env.evaluator, &Input::Expression(argument.clone().into_bytes()))?;
                let value = env.evaluator.apply(function, &[set], PosId::NONE)?;
                all.extend(found(env, value)?);
            }
            Ok(all)
        }
        From::Profile => {
            let profile = env.options.from_profile.clone().unwrap_or_default();
            let profile = profiles::Profile::at(Path::new(&profile))?;
            let all = installed(env, &profile)?;
            filter(env, &all, arguments, newest_only)
        }
        From::Paths => arguments.iter().map(|argument| of_path(env, argument)).collect(),
    }
}

fn of_path(env: &Env<'_>, argument: &str) -> Outcome<Package> {
    let path = place::store_path(env.store, OsStr::new(argument))?;
    let name = path.name().strip_suffix(".drv").unwrap_or(path.name()).to_owned();
    if !path.is_derivation() {
        return Ok(Package::stored(name, None, [("out".to_owned(), Some(path))].into()));
    }
    let outputs = output_paths(env.store, &path)?.into_iter().collect();
    Ok(Package::stored(name, Some(path), outputs))
}

/// All packages of the expression, or those at an attribute of it.
pub fn available(env: &mut Env<'_>, attribute: Option<&str>) -> Outcome<Vec<Package>> {
    let root = env.expression()?;
    let given = evaluation::arguments(env.evaluator, &env.common.arguments)?;
    let value = evaluation::select(env.evaluator, root, attribute.unwrap_or_default(), &given)?;
    let mut all = found(env, value)?;
    if let Some(attribute) = attribute {
        for package in &mut all {
            package.attribute = match package.attribute.is_empty() {
                true => attribute.to_owned(),
                false => format!("{attribute}.{}", package.attribute),
            };
        }
    }
    if let Some(wanted) = env.options.system_filter.clone().filter(|wanted| wanted != "*") {
        let mut fitting = Vec::new();
        for package in all {
            if package.system(env.evaluator)? == wanted {
                fitting.push(package);
            }
        }
        all = fitting;
    }
    Ok(all)
}

/// The packages that a value holds; those that fail by `throw` or `assert` are left out.
fn found(env: &mut Env<'_>, value: Value) -> Outcome<Vec<Package>> {
    let given = evaluation::arguments(env.evaluator, &env.common.arguments)?;
    let found = derivations::find_what_evaluates(env.evaluator, value, &given);
    let found = found.map_err(Unsuitable::told)?;
    let mut all = Vec::new();
    for found in found {
        match Package::of_set(env.evaluator, found.attribute, found.value) {
            Err(failure) if derivations::is_refusal(&failure) => {}
            package => all.push(package?),
        }
    }
    Ok(all)
}

/// The packages of a profile.
pub fn installed(env: &mut Env<'_>, profile: &profiles::Profile) -> Outcome<Vec<Package>> {
    let folder = profile_folder(env, profile);
    if folder.join("manifest.json").symlink_metadata().is_ok() {
        let at = profile.link.display();
        return fail(format!(
            "profile \"{at}\" is incompatible with 'nix-env'; please use 'nix profile' instead"
        ));
    }
    let Ok(manifest) = fs::read_link(folder.join("manifest.nix")) else { return Ok(Vec::new()) };
    let manifest = place::store_path(env.store, manifest.as_os_str())?;
    let text = fs::read(env.store.physical(&manifest))?;
    let value = evaluation::evaluate(env.evaluator, &Input::Expression(text))?;
    let found = derivations::find(env.evaluator, value, &[]).map_err(|unsuitable| match unsuitable {
        Unsuitable::Failure(failure) => Stop::Evaluation(failure),
        Unsuitable::NotDerivations(_) => Stop::of(format!("'{manifest}' is no manifest of a profile")),
    })?;
    let packages: Result<Vec<Package>, Failure> =
        found.into_iter().map(|found| Package::of_set(env.evaluator, found.attribute, found.value)).collect();
    Ok(packages?)
}

/// Where the files of a profile's current generation are.
pub fn profile_folder(env: &Env<'_>, profile: &profiles::Profile) -> PathBuf {
    match place::store_path(env.store, profile.link.as_os_str()) {
        Ok(path) => env.store.physical(&path),
        Err(_) => profile.link.clone(),
    }
}

/// The expression that is used when none is named: what is in the folder `.nix-defexpr`, a package set for each of its entries.
pub fn default_expression(env: &Env<'_>, folder: &Path) -> Outcome<Input> {
    if folder.is_file() || DEFAULT_FILES.iter().any(|file| folder.join(file).exists()) {
        return Ok(Input::File(folder.into()));
    }
    let mut sets = BTreeMap::new();
    gather(env, folder, &mut sets)?;
    let mut text = b"{ _combineChannels = [ ]; ".to_vec();
    for (name, path) in sets {
        text.push(b'"');
        text.extend(escaped(name.as_bytes()));
        text.extend_from_slice(b"\" = import (/. + \"");
        text.extend(escaped(path.as_os_str().as_bytes()));
        text.extend_from_slice(b"\"); ");
    }
    text.push(b'}');
    Ok(Input::Expression(text))
}

const DEFAULT_FILES: [&str; 2] = ["default.zx", "default.nix"];

/// As a string of the language has it.
pub fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b'"' | b'\\' | b'$') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

/// Expressions in a folder and those below it, by the names that they get in the set.
fn gather(env: &Env<'_>, folder: &Path, sets: &mut BTreeMap<String, PathBuf>) -> Outcome<()> {
    let (_, physical) = resolved(env, folder);
    let entries = match fs::read_dir(&physical) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names.into_iter().filter(|name| name != "manifest.nix") {
        let (logical, file) = resolved(env, &physical.join(&name));
        let is_file = file.is_file() && [".nix", ".zx"].iter().any(|end| name.ends_with(end));
        if is_file || DEFAULT_FILES.iter().any(|default| file.join(default).exists()) {
            let name = name.trim_end_matches(".nix").trim_end_matches(".zx").to_owned();
            if sets.contains_key(&name) {
                env.warn(format!(
                    "name collision in input Nix expressions, skipping '{}'",
                    logical.display()
                ));
                continue;
            }
            sets.insert(name, logical);
        } else if file.is_dir() {
            gather(env, &file, sets)?;
        }
    }
    Ok(())
}

/// A path with its links followed, also those into the store: as the evaluator names it, and where its files are.
fn resolved(env: &Env<'_>, path: &Path) -> (PathBuf, PathBuf) {
    match crate::commands::store::logical(env.store, path) {
        Ok(logical) => {
            let below = logical.strip_prefix(zeval_model::store_dir()).unwrap_or(&logical);
            let physical = env.store.layout().store().join(below);
            match fs::read_link(&physical) {
                Ok(target) if target.starts_with(zeval_model::store_dir()) => resolved(env, &target),
                _ => (logical, physical),
            }
        }
        Err(_) => {
            let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            (real.clone(), real)
        }
    }
}
