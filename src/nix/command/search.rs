//! `nix search`: the packages of a flake or an expression whose names or descriptions fit patterns.

use std::io::IsTerminal;

use regex_automata::{meta::Regex, util::syntax};
use serde_json::{Map, Value as Json, json};
use zeval_evaluator::{
    Evaluator, Failure, Symbol, Value, eval::expect, position::PosId, text::version::parse_derivation_name,
};

use super::{
    super::outcome::{Outcome, Stop, fail, usage},
    Call,
    installables::operands,
};
use crate::{commands::run::with_found, evaluation};

/// What is looked for, and what was found.
struct Search {
    wanted: Vec<Regex>,
    excluded: Vec<Regex>,
    found: Vec<Found>,
}

struct Found {
    path: String,
    name: String,
    version: String,
    description: String,
}

type Result<T> = std::result::Result<T, Failure>;

/// `nix search`
pub fn run(call: &Call) -> Outcome<()> {
    let mut words = operands(call).into_iter();
    let installable = words.next();
    let is_expression = call.value("-f").is_some() || call.value("--expr").is_some();
    let regex = |text: &str| {
        let syntax = syntax::Config::new().case_insensitive(true);
        Regex::builder()
            .syntax(syntax)
            .build(text)
            .map_err(|error| Stop::of(format!("invalid regex '{text}': {error}")))
    };
    let wanted: Vec<Regex> = words.map(|text| regex(&text)).collect::<Outcome<_>>()?;
    if wanted.is_empty() {
        return usage(
            "Must provide at least one regex! To match all packages, use 'nix search <installable> ^'.",
        );
    }
    let excluded = call.all("-e").map(regex).collect::<Outcome<_>>()?;
    let mut search = Search { wanted, excluded, found: Vec::new() };
    let installable = installable.unwrap_or_default();
    match is_expression {
        true => in_expression(call, &mut search, &installable)?,
        false => in_flake(call, &mut search, &installable)?,
    }
    search.tell(call)
}

fn in_flake(call: &Call, search: &mut Search, operand: &str) -> Outcome<()> {
    let setup = call.setup()?;
    with_found(&setup.context, &setup.language, &setup.flakes, &setup.build, |evaluator, flakes| {
        let installable = flakes.installable(operand)?;
        let locked = flakes.lock(evaluator, &installable.reference)?;
        let outputs = flakes.outputs(evaluator, &locked)?;
        let system = &flakes.system;
        let fragment = installable.fragment.as_str();
        let prefixes = [format!("packages.{system}"), format!("legacyPackages.{system}")];
        let mut paths: Vec<String> = match fragment {
            "" => prefixes.to_vec(),
            fragment => prefixes.iter().map(|prefix| format!("{prefix}.{fragment}")).collect(),
        };
        if !fragment.is_empty() {
            paths.push(fragment.to_owned());
        }
        let mut is_there = false;
        for path in &paths {
            if let Some(value) = at(evaluator, outputs, path)? {
                is_there = true;
                search.visit(evaluator, value, path, true)?;
                if !fragment.is_empty() {
                    break;
                }
            }
        }
        if !is_there {
            let shown: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
            let message = format!(
                "flake '{}' does not provide attribute {}",
                installable.reference.shown(),
                shown.join(", ")
            );
            return Err(zeval_evaluator::EvalError::eval(PosId::NONE, message));
        }
        Ok(())
    })?;
    Ok(())
}

/// What is at a path of attributes, if anything is.
fn at(evaluator: &mut Evaluator, root: Value, path: &str) -> Result<Option<Value>> {
    let mut value = evaluator.force(root)?;
    for name in evaluation::parse_path(path)? {
        let Some(next) = value.as_attrs().and_then(|attrs| attrs.get(Symbol::intern(name.as_bytes()))) else {
            return Ok(None);
        };
        value = evaluator.force(next)?;
    }
    Ok(Some(value))
}

fn in_expression(call: &Call, search: &mut Search, path: &str) -> Outcome<()> {
    let setup = call.setup()?;
    let mut source = setup.source(call, Some(path).filter(|path| !path.is_empty()));
    source.language.pure_eval = false;
    let store = setup.context.store()?;
    let options = crate::commands::build_options_in(&setup.build, &call.common.settings)?;
    let found = setup.context.evaluate(&source, &store, &options, |evaluator, value, given| {
        let mut part =
            Search { wanted: search.wanted.clone(), excluded: search.excluded.clone(), found: Vec::new() };
        let value = evaluation::auto_call(evaluator, value, given)?;
        part.visit(evaluator, value, path, true)?;
        Ok(part.found)
    })?;
    search.found.extend(found.into_iter().flatten());
    Ok(())
}

impl Search {
    fn visit(&mut self, evaluator: &mut Evaluator, value: Value, path: &str, is_first: bool) -> Result<()> {
        match self.look(evaluator, value, path, is_first) {
            Err(_) if path.starts_with("legacyPackages.") && !is_first => Ok(()),
            done => done,
        }
    }

    fn look(&mut self, evaluator: &mut Evaluator, value: Value, path: &str, is_first: bool) -> Result<()> {
        let value = evaluator.force(value)?;
        let Some(attrs) = value.as_attrs() else {
            if is_first {
                let found = expect::show_type(value);
                let message = format!("'{path}' is not an attribute set but {found}");
                return Err(zeval_evaluator::EvalError::wrong_type(PosId::NONE, message));
            }
            return Ok(());
        };
        if evaluator.is_derivation(attrs)? {
            return self.package(evaluator, value, path);
        }
        let depth = path.split('.').count();
        let is_in = |set: &str| path == set || path.starts_with(&format!("{set}."));
        let recurses = is_first
            || (is_in("legacyPackages") || is_in("packages")) && depth <= 2
            || is_in("legacyPackages") && {
                match attrs.get(Symbol::intern(b"recurseForDerivations")) {
                    Some(wanted) => evaluator.expect_bool(
                        wanted,
                        PosId::NONE,
                        "while evaluating 'recurseForDerivations'",
                    )?,
                    None => false,
                }
            };
        if recurses {
            for (name, slot) in attrs.flatten(&mut evaluator.heap).sorted() {
                let name = zeval_evaluator::print::attr_name(name).to_string();
                let inner = if path.is_empty() { name } else { format!("{path}.{name}") };
                self.visit(evaluator, slot.get(), &inner, false)?;
            }
        }
        Ok(())
    }

    fn package(&mut self, evaluator: &mut Evaluator, value: Value, path: &str) -> Result<()> {
        let get =
            |value: Value, name: &[u8]| value.as_attrs().and_then(|attrs| attrs.get(Symbol::intern(name)));
        let name = match get(value, b"name") {
            Some(name) => crate::flakes::select::string(evaluator, name)?,
            None => String::new(),
        };
        let description = match get(value, b"meta") {
            Some(meta) => {
                let meta = evaluator.force(meta)?;
                match get(meta, b"description") {
                    Some(text) => crate::flakes::select::string(evaluator, text)?.replace('\n', " "),
                    None => String::new(),
                }
            }
            None => String::new(),
        };
        let (name, version) = parse_derivation_name(name.as_bytes());
        let (name, version) =
            (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(version).into_owned());
        let texts = [path, &name, &description];
        let fits = |regex: &Regex| texts.iter().any(|text| regex.is_match(text.as_bytes()));
        if !self.excluded.iter().any(fits) && self.wanted.iter().all(fits) {
            self.found.push(Found { path: path.to_owned(), name, version, description });
        }
        Ok(())
    }

    fn tell(&self, call: &Call) -> Outcome<()> {
        if call.has("--json") {
            let entry = |found: &Found| {
                let json = json!({ "description": found.description, "pname": found.name, "version": found.version });
                (found.path.clone(), json)
            };
            let all: Map<String, Json> = self.found.iter().map(entry).collect();
            println!("{}", Json::Object(all));
            return Ok(());
        }
        if self.found.is_empty() {
            return fail("no results for the given search term(s)!");
        }
        let has_colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        for (index, found) in self.found.iter().enumerate() {
            if index > 0 {
                println!();
            }
            let version =
                if found.version.is_empty() { String::new() } else { format!(" ({})", found.version) };
            match has_colours {
                true => println!("* \x1b[0;1m{}\x1b[0m{version}", self.marked(&found.path, "\x1b[0;1m")),
                false => println!("* {}{version}", found.path),
            }
            if !found.description.is_empty() {
                match has_colours {
                    true => println!("  {}", self.marked(&found.description, "\x1b[0m")),
                    false => println!("  {}", found.description),
                }
            }
        }
        Ok(())
    }

    /// A text with what fits in green; `after` is what the rest of it looks like.
    fn marked(&self, text: &str, after: &str) -> String {
        let mut is_marked = vec![false; text.len()];
        for regex in &self.wanted {
            for found in regex.find_iter(text.as_bytes()) {
                is_marked[found.range()].fill(true);
            }
        }
        let mut out = String::new();
        let mut before = false;
        for (at, c) in text.char_indices() {
            if is_marked[at] != before {
                out.push_str(if before { after } else { "\x1b[32;1m" });
                before = !before;
            }
            out.push(c);
        }
        if before {
            out.push_str(after);
        }
        out
    }
}

/// `nix edit`: opens the place that a package says it is defined at.
pub fn edit(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let words = operands(call);
    let operand = words.first().map(String::as_str);
    let source = setup.source(call, operand);
    let store = setup.context.store()?;
    let options = crate::commands::build_options_in(&setup.build, &call.common.settings)?;
    let found = setup.context.evaluate(&source, &store, &options, |evaluator, value, given| {
        let value = evaluation::auto_call(evaluator, value, given)?;
        match at(evaluator, value, "meta.position")? {
            Some(position) => Ok(Some(crate::flakes::select::string(evaluator, position)?)),
            None => Ok(None),
        }
    })?;
    let Some(position) = found.into_iter().flatten().next() else {
        return fail(format!("cannot find position information for '{}'", operand.unwrap_or(".")));
    };
    let Some((file, line)) =
        position.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)))
    else {
        return fail(format!("cannot parse 'meta.position' attribute '{position}'"));
    };
    let below = std::path::Path::new(file).strip_prefix(zeval_model::store_dir());
    let file = below.map_or_else(|_| file.into(), |below| store.layout().store().join(below));
    crate::repl::open_in_editor(&file, line).map_err(Stop::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_marked() {
        let wanted = vec![Regex::new("oo").unwrap_or_else(|_| unreachable!())];
        let search = Search { wanted, excluded: Vec::new(), found: Vec::new() };
        assert_eq!(search.marked("foo", "-"), "f\x1b[32;1moo-");
        assert_eq!(search.marked("oob", "-"), "\x1b[32;1moo-b");
    }
}
