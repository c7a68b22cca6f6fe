//! `nix-store --query` and what else only looks: environments and logs.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _};

use zeval_builder::store::{Store, references_first};
use zeval_model::{Derivation, StorePath};

use super::{
    super::{
        outcome::{Outcome, fail, usage},
        place,
        realise::{Wanted, output_paths},
    },
    Shop,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Query {
    Outputs,
    Requisites,
    References,
    Referrers,
    ReferrersClosure,
    Deriver,
    ValidDerivers,
    Binding,
    Hash,
    Size,
    Tree,
    Graph,
    GraphMl,
    Resolve,
    Roots,
}

impl Query {
    fn of(flag: &str) -> Option<Query> {
        Some(match flag {
            "--outputs" => Query::Outputs,
            "--requisites" | "-R" => Query::Requisites,
            "--references" => Query::References,
            "--referrers" | "--referers" => Query::Referrers,
            "--referrers-closure" | "--referers-closure" => Query::ReferrersClosure,
            "--deriver" | "-d" => Query::Deriver,
            "--valid-derivers" => Query::ValidDerivers,
            "--binding" | "-b" => Query::Binding,
            "--hash" => Query::Hash,
            "--size" => Query::Size,
            "--tree" => Query::Tree,
            "--graph" => Query::Graph,
            "--graphml" => Query::GraphMl,
            "--resolve" => Query::Resolve,
            "--roots" => Query::Roots,
            _ => return None,
        })
    }
}

/// `--query`
pub fn query(shop: &mut Shop) -> Outcome<()> {
    let mut chosen = None;
    let mut binding = String::new();
    let (mut use_output, mut force, mut include_outputs) = (false, false, false);
    for flag in &shop.flags {
        match flag.as_str() {
            "--use-output" | "-u" => use_output = true,
            "--force-realise" | "--force-realize" | "-f" => force = true,
            "--include-outputs" => include_outputs = true,
            flag => {
                let Some(query) = Query::of(flag) else { return usage(format!("unknown flag '{flag}'")) };
                if query == Query::Binding {
                    if shop.arguments.is_empty() {
                        return usage("expected binding name");
                    }
                    binding = shop.arguments.remove(0).to_string_lossy().into_owned();
                }
                if chosen.is_some_and(|before| before != query) {
                    return usage(format!("query type '{flag}' conflicts with earlier flag"));
                }
                chosen = Some(query);
            }
        }
    }
    let store = shop.store()?;
    let query = chosen.unwrap_or(Query::Outputs);
    if force {
        let wanted: Vec<Wanted> =
            shop.arguments.iter().map(|word| place::wanted(&store, word)).collect::<Outcome<_>>()?;
        shop.realiser(&store)?.build(&wanted)?;
    }
    let all = Asked { store: &store, paths: shop.paths(&store)?, use_output, include_outputs };
    let mut out = String::new();
    let result = all.answer(query, &binding, &mut out);
    // What was found before an error is printed; nobody reads on: that is no error of ours.
    let _ = std::io::stdout().write_all(out.as_bytes());
    result
}

struct Asked<'s> {
    store: &'s Store,
    paths: Vec<StorePath>,
    use_output: bool,
    include_outputs: bool,
}

impl Asked<'_> {
    fn answer(&self, query: Query, binding: &str, out: &mut String) -> Outcome<()> {
        let store = self.store;
        match query {
            Query::Outputs => {
                for path in &self.paths {
                    lines(out, known_outputs(store, path)?);
                }
            }
            Query::Requisites | Query::References | Query::Referrers | Query::ReferrersClosure => {
                lines(out, sorted(store, &self.related(query)?)?);
            }
            Query::Deriver => {
                for path in &self.paths {
                    let deriver = store.require(path)?.deriver;
                    let _ = match deriver {
                        Some(deriver) => writeln!(out, "{deriver}"),
                        None => writeln!(out, "unknown-deriver"),
                    };
                }
            }
            Query::ValidDerivers => {
                for path in &self.paths {
                    lines(out, valid_derivers(store, path)?);
                }
            }
            Query::Binding => {
                for path in &self.paths {
                    out.push_str(&bound(store, path, binding)?);
                    out.push('\n');
                }
            }
            Query::Hash | Query::Size => {
                for path in self.meant()? {
                    let info = store.require(&path)?;
                    let _ = match query {
                        Query::Hash => writeln!(out, "{}", info.nar_hash.to_prefixed_nix32()),
                        _ => writeln!(out, "{}", info.nar_size),
                    };
                }
            }
            Query::Tree => {
                let mut done = BTreeSet::new();
                for path in &self.paths {
                    tree(store, path, "", "", &mut done, out)?;
                }
            }
            Query::Graph => graph(store, self.meant()?.into_iter().collect(), out)?,
            Query::GraphMl => graph_ml(store, self.meant()?.into_iter().collect(), out)?,
            Query::Resolve => lines(out, self.paths.iter().cloned()),
            Query::Roots => self.roots(out)?,
        }
        Ok(())
    }

    /// The paths, or the outputs of those that are derivations if that is wanted.
    fn meant(&self) -> Outcome<Vec<StorePath>> {
        let mut meant = Vec::new();
        for path in &self.paths {
            match self.use_output {
                true => meant.extend(known_outputs(self.store, path)?),
                false => meant.push(path.clone()),
            }
        }
        Ok(meant)
    }

    fn related(&self, query: Query) -> Outcome<BTreeSet<StorePath>> {
        let mut found = BTreeSet::new();
        for path in self.meant()? {
            match query {
                Query::References => found.extend(self.store.require(&path)?.references),
                Query::Referrers => found.extend(referrers(self.store, &path)?),
                Query::ReferrersClosure => {
                    spread(&path, &mut found, |path| Ok(self.store.referrers(path)?.into_iter().collect()))?;
                }
                _ if self.include_outputs => spread(&path, &mut found, |path| self.required_by(path))?,
                _ => {
                    self.store.require(&path)?;
                    found.extend(self.store.closure(&BTreeSet::from([path]))?);
                }
            }
        }
        Ok(found)
    }

    fn required_by(&self, path: &StorePath) -> Outcome<Vec<StorePath>> {
        let mut all: Vec<StorePath> = self.store.require(path)?.references.into_iter().collect();
        if path.is_derivation() {
            all.extend(valid_outputs(self.store, path)?);
        }
        Ok(all)
    }

    fn roots(&self, out: &mut String) -> Outcome<()> {
        let mut kept_by = BTreeSet::new();
        for path in self.meant()? {
            spread(&path, &mut kept_by, |path| {
                let mut all: Vec<StorePath> = self.store.referrers(path)?.into_iter().collect();
                if path.is_derivation() && self.store.is_valid(path)? {
                    all.extend(valid_outputs(self.store, path)?);
                }
                Ok(all)
            })?;
        }
        for (root, path) in self.store.all_roots()? {
            if kept_by.contains(&path) {
                let _ = writeln!(out, "{root} -> {path}");
            }
        }
        Ok(())
    }
}

fn lines(out: &mut String, paths: impl IntoIterator<Item = StorePath>) {
    for path in paths {
        let _ = writeln!(out, "{path}");
    }
}

/// Adds all that is reached from a path, itself included.
fn spread(
    path: &StorePath,
    found: &mut BTreeSet<StorePath>,
    next: impl Fn(&StorePath) -> Outcome<Vec<StorePath>>,
) -> Outcome<()> {
    let mut pending = vec![path.clone()];
    while let Some(path) = pending.pop() {
        if found.insert(path.clone()) {
            pending.extend(next(&path)?);
        }
    }
    Ok(())
}

/// Those that refer to a path, itself included if it does.
fn referrers(store: &Store, path: &StorePath) -> Outcome<BTreeSet<StorePath>> {
    let mut all = store.referrers(path)?;
    if store.info(path)?.is_some_and(|info| info.references.contains(path)) {
        all.insert(path.clone());
    }
    Ok(all)
}

/// In Nix's order: what is referred to comes first.
pub fn sorted(store: &Store, paths: &BTreeSet<StorePath>) -> Outcome<Vec<StorePath>> {
    let infos = store.infos(paths)?;
    let mut order: Vec<StorePath> = paths.iter().filter(|path| !infos.contains_key(*path)).cloned().collect();
    order.extend(references_first(&infos));
    Ok(order)
}

/// The outputs of a derivation; any other path is its own.
fn known_outputs(store: &Store, path: &StorePath) -> Outcome<Vec<StorePath>> {
    if !path.is_derivation() {
        return Ok(vec![path.clone()]);
    }
    let mut all = BTreeSet::new();
    for (_, output) in output_paths(store, path)? {
        let Some(output) = output else {
            return usage(
                "Cannot use output path of floating content-addressing derivation until we know what it is (e.g. by \
                 building it)",
            );
        };
        all.insert(output);
    }
    Ok(all.into_iter().collect())
}

fn valid_outputs(store: &Store, drv: &StorePath) -> Outcome<Vec<StorePath>> {
    let mut valid = Vec::new();
    for (_, path) in output_paths(store, drv)? {
        if let Some(path) = path
            && store.is_valid(&path)?
        {
            valid.push(path);
        }
    }
    Ok(valid)
}

/// The valid derivations that have the path as an output.
fn valid_derivers(store: &Store, path: &StorePath) -> Outcome<BTreeSet<StorePath>> {
    let mut all: BTreeSet<StorePath> = store.realised_by(path)?.into_iter().map(|(drv, _)| drv).collect();
    all.extend(store.info(path)?.and_then(|info| info.deriver));
    let mut valid = BTreeSet::new();
    for drv in all {
        if store.is_valid(&drv)? {
            valid.insert(drv);
        }
    }
    Ok(valid)
}

/// The derivation, or the one that the path was made by.
fn deriver(store: &Store, path: &StorePath) -> Outcome<StorePath> {
    if path.is_derivation() {
        return Ok(path.clone());
    }
    match store.require(path)?.deriver {
        Some(deriver) => Ok(deriver),
        None => fail(format!("deriver of path '{path}' is not known")),
    }
}

fn bound(store: &Store, path: &StorePath, name: &str) -> Outcome<String> {
    let drv = deriver(store, path)?;
    let read: Derivation = store.derivation(&drv)?;
    match read.env.iter().find(|(known, _)| known.as_slice() == name.as_bytes()) {
        Some((_, value)) => Ok(value.to_string()),
        None => fail(format!("derivation '{drv}' has no environment binding named '{name}'")),
    }
}

fn tree(
    store: &Store,
    path: &StorePath,
    first: &str,
    rest: &str,
    done: &mut BTreeSet<StorePath>,
    out: &mut String,
) -> Outcome<()> {
    if !done.insert(path.clone()) {
        let _ = writeln!(out, "{first}{path} [...]");
        return Ok(());
    }
    let _ = writeln!(out, "{first}{path}");
    let references = sorted(store, &store.require(path)?.references)?;
    for (index, reference) in references.iter().enumerate() {
        let is_last = index + 1 == references.len();
        let (first, below) = if is_last { ("└───", "    ") } else { ("├───", "│   ") };
        tree(store, reference, &format!("{rest}{first}"), &format!("{rest}{below}"), done, out)?;
    }
    Ok(())
}

fn graph(store: &Store, mut pending: BTreeSet<StorePath>, out: &mut String) -> Outcome<()> {
    const COLOURS: [&str; 6] = ["black", "red", "green", "blue", "magenta", "burlywood"];
    let mut colours = COLOURS.iter().cycle();
    let mut done = BTreeSet::new();
    out.push_str("digraph G {\n");
    while let Some(path) = pending.pop_first() {
        if !done.insert(path.clone()) {
            continue;
        }
        let name = path.base_name();
        let _ = writeln!(
            out,
            "\"{name}\" [label = \"{}\", shape = box, style = filled, fillcolor = \"#ff0000\"];",
            path.name()
        );
        for reference in store.require(&path)?.references {
            if reference != path {
                let colour = colours.next().unwrap_or(&COLOURS[0]);
                let from = reference.base_name();
                let _ = writeln!(out, "\"{from}\" -> \"{name}\" [color = \"{colour}\"];");
                pending.insert(reference);
            }
        }
    }
    out.push_str("}\n");
    Ok(())
}

fn graph_ml(store: &Store, mut pending: BTreeSet<StorePath>, out: &mut String) -> Outcome<()> {
    out.push_str(
        "<?xml version='1.0' encoding='utf-8'?>\n\
         <graphml xmlns='http://graphml.graphdrawing.org/xmlns'\n\
         \u{20}   xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'\n\
         \u{20}   xsi:schemaLocation='http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd'>\n\
         <key id='narSize' for='node' attr.name='narSize' attr.type='long'/>\
         <key id='name' for='node' attr.name='name' attr.type='string'/>\
         <key id='type' for='node' attr.name='type' attr.type='string'/>\
         <graph id='G' edgedefault='directed'>\n",
    );
    let mut done = BTreeSet::new();
    while let Some(path) = pending.pop_first() {
        if !done.insert(path.clone()) {
            continue;
        }
        let info = store.require(&path)?;
        let (kind, label) = match path.is_derivation() {
            true => ("derivation", symbolic_name(path.name().trim_end_matches(".drv"))),
            false => ("output-path", symbolic_name(path.name())),
        };
        let name = path.base_name();
        let _ = write!(
            out,
            "  <node id=\"{name}\">\n    <data key=\"narSize\">{}</data>\n    <data key=\"name\">{label}</data>\n    \
             <data key=\"type\">{kind}</data>\n  </node>\n",
            info.nar_size
        );
        for reference in info.references {
            if reference != path {
                let _ = writeln!(out, "  <edge source=\"{name}\" target=\"{}\"/>", reference.base_name());
                pending.insert(reference);
            }
        }
    }
    out.push_str("</graph>\n</graphml>\n");
    Ok(())
}

/// A name up to its first dash, which is what Nix shows since names come without the hash.
fn symbolic_name(name: &str) -> &str {
    name.find('-').map_or("", |dash| &name[..=dash])
}

/// `--print-env`
pub fn print_env(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let [word] = &shop.arguments[..] else {
        return usage("'--print-env' requires one derivation store path");
    };
    let store = shop.store()?;
    let drv = store.derivation(&place::store_path(&store, word)?)?;
    let mut out = Vec::new();
    for (name, value) in &drv.env {
        let _ = writeln!(out, "export {name}; {name}={}\n", quoted(&value.to_string()));
    }
    let arguments: Vec<String> = drv.args.iter().map(ToString::to_string).collect();
    let _ = writeln!(out, "export _args; _args={}", quoted(&arguments.join(" ")));
    let _ = std::io::stdout().write_all(&out);
    Ok(())
}

/// As a shell reads it as one word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `--read-log`
pub fn read_log(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let store = shop.store()?;
    for path in shop.paths(&store)? {
        let drv = match path.is_derivation() {
            true => Some(path.clone()),
            false => store.info(&path)?.and_then(|info| info.deriver),
        };
        let log = drv.as_ref().map(|drv| store.read_log(drv)).transpose()?.flatten();
        let Some(log) = log else {
            return fail(format!("build log of derivation '{path}' is not available"));
        };
        let _ = std::io::stdout().write_all(&log);
    }
    Ok(())
}
