//! `nix-env --query`: what is installed, or could be.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::{Map, Value as Json, json};
use zeval_evaluator::{Evaluator, Value, View};
use zeval_model::StorePath;

use super::{
    super::outcome::{Outcome, Stop, usage},
    Env,
    package::{Outputs, Package, compare_versions},
    select,
    xml::Xml,
};
use crate::derivations;

/// What is shown.
#[derive(Default)]
struct Shown {
    available: bool,
    status: bool,
    no_name: bool,
    attribute: bool,
    system: bool,
    drv_path: bool,
    out_path: bool,
    description: bool,
    compare: bool,
    meta: bool,
    xml: bool,
    json: bool,
    /// `-A`: only what is at this attribute.
    below: Option<String>,
}

impl Shown {
    fn parse(flags: &[String]) -> Outcome<Shown> {
        let mut shown = Shown::default();
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            match flag.as_str() {
                "--available" | "-a" => shown.available = true,
                "--installed" => shown.available = false,
                "--status" | "-s" => shown.status = true,
                "--no-name" => shown.no_name = true,
                "--attr-path" | "-P" => shown.attribute = true,
                "--system" => shown.system = true,
                "--drv-path" => shown.drv_path = true,
                "--out-path" => shown.out_path = true,
                "--description" => shown.description = true,
                "--compare-versions" | "-c" => shown.compare = true,
                "--meta" => shown.meta = true,
                "--xml" => shown.xml = true,
                "--json" => shown.json = true,
                "--attr" | "-A" => shown.below = flags.next().cloned(),
                flag => return usage(format!("unknown flag '{flag}'")),
            }
        }
        if shown.attribute && !shown.available {
            return usage("--attr-path(-P) only works with --available");
        }
        Ok(shown)
    }
}

/// `--query`
pub fn query(env: &mut Env<'_>) -> Outcome<()> {
    let shown = Shown::parse(&env.flags.clone())?;
    let profile = env.profile()?;
    let compares = shown.compare && !shown.json;
    let installed = match !shown.available || shown.status || compares {
        true => select::installed(env, &profile)?,
        false => Vec::new(),
    };
    let available = match shown.available || compares {
        true => select::available(env, shown.below.as_deref())?,
        false => Vec::new(),
    };
    let (candidates, others) =
        if shown.available { (available, &installed) } else { (installed.clone(), &available) };
    let arguments = env.arguments.clone();
    let mut packages = select::filter(env, &candidates, &arguments, false)?;
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    if shown.json {
        return print_json(env, &shown, &packages);
    }
    let mut in_profile = BTreeSet::new();
    for package in &installed {
        in_profile.insert(package.out_path(env.evaluator)?);
    }
    let mut table = Vec::new();
    let mut xml = Xml::new("items");
    for package in &packages {
        let done = match shown.xml {
            true => write_xml(env, &shown, package, others, &in_profile, &mut xml),
            false => columns(env, &shown, package, others, &in_profile).map(|columns| table.push(columns)),
        };
        match done {
            Err(Stop::Evaluation(failure)) if derivations::is_refusal(&failure) => {}
            done => done?,
        }
    }
    match shown.xml {
        true => print!("{}", xml.end()),
        false => print_table(&table),
    }
    Ok(())
}

/// Columns as wide as their widest entries.
fn print_table(rows: &[Vec<String>]) {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::new();
        for (index, text) in row.iter().enumerate() {
            let text = text.replace('\n', " ");
            line.push_str(&text);
            if index + 1 < row.len() {
                line.push_str(&" ".repeat(widths[index].saturating_sub(text.chars().count()) + 2));
            }
        }
        println!("{line}");
    }
}

fn columns(
    env: &mut Env<'_>,
    shown: &Shown,
    package: &Package,
    others: &[Package],
    in_profile: &BTreeSet<StorePath>,
) -> Outcome<Vec<String>> {
    let mut columns = Vec::new();
    if shown.status {
        columns.push(status(env, package, in_profile)?);
    }
    if shown.attribute {
        columns.push(package.attribute.clone());
    }
    if !shown.no_name {
        columns.push(package.name.clone());
    }
    if shown.compare {
        let (sign, version) = compared(package, others);
        columns.push(format!("{sign} {version}"));
    }
    if shown.system {
        columns.push(package.system(env.evaluator)?);
    }
    if shown.drv_path {
        let drv = package.drv(env.evaluator)?;
        columns.push(drv.map_or_else(|| "-".to_owned(), |drv| drv.to_string()));
    }
    if shown.out_path {
        columns.push(paths(&package.outputs(env.evaluator, true)?));
    }
    if shown.description {
        columns.push(package.meta_text(env.evaluator, "description")?);
    }
    Ok(columns)
}

/// `dev=PATH;PATH`
fn paths(outputs: &Outputs) -> String {
    let shown = outputs.iter().filter_map(|(name, path)| {
        let path = path.as_ref()?;
        Some(if name == "out" { path.to_string() } else { format!("{name}={path}") })
    });
    shown.collect::<Vec<_>>().join(";")
}

/// Whether it is installed, present, and to be had from a cache.
fn status(env: &mut Env<'_>, package: &Package, in_profile: &BTreeSet<StorePath>) -> Outcome<String> {
    let path = package.out_path(env.evaluator)?;
    let is_present = env.store.is_valid(&path)?;
    let is_to_be_had = !is_present && env.is_substitutable(&path);
    let letter = |letter: char, is_so: bool| if is_so { letter } else { '-' };
    let letters =
        [letter('I', in_profile.contains(&path)), letter('P', is_present), letter('S', is_to_be_had)];
    Ok(letters.iter().collect())
}

/// How a version compares with those of the others, from their point of view: `<` if one of them is newer.
fn compared(package: &Package, others: &[Package]) -> (char, String) {
    let (name, version) = package.name_and_version();
    let mut found: Option<(Ordering, String)> = None;
    for other in others {
        let (its_name, its_version) = other.name_and_version();
        if its_name != name {
            continue;
        }
        let order = compare_versions(&version, &its_version);
        let is_better = match (&found, order) {
            (_, Ordering::Less) => true,
            (Some((Ordering::Less, _)), _) => false,
            (_, Ordering::Equal) => true,
            (Some((Ordering::Equal, _)), Ordering::Greater) => false,
            (Some((Ordering::Greater, before)), Ordering::Greater) => {
                compare_versions(before, &its_version) == Ordering::Less
            }
            (None, Ordering::Greater) => true,
        };
        if is_better {
            found = Some((order, its_version));
        }
    }
    match found {
        None => ('-', "?".to_owned()),
        Some((Ordering::Less, version)) => ('<', version),
        Some((Ordering::Equal, version)) => ('=', version),
        Some((Ordering::Greater, version)) => ('>', version),
    }
}

fn print_json(env: &mut Env<'_>, shown: &Shown, packages: &[Package]) -> Outcome<()> {
    let mut all = Map::new();
    for package in packages {
        match as_json(env, shown, package) {
            Err(Stop::Evaluation(failure)) if derivations::is_refusal(&failure) => {}
            entry => drop(all.insert(package.attribute.clone(), entry?)),
        }
    }
    println!("{:#}", Json::Object(all));
    Ok(())
}

fn as_json(env: &mut Env<'_>, shown: &Shown, package: &Package) -> Outcome<Json> {
    let (name, version) = package.name_and_version();
    let outputs = package.outputs(env.evaluator, shown.out_path)?;
    let outputs: Map<String, Json> = outputs
        .into_iter()
        .map(|(name, path)| (name, path.map_or(Json::Null, |path| json!(path.to_string()))))
        .collect();
    let mut entry = json!({
        "name": package.name,
        "pname": name,
        "version": version,
        "system": package.system(env.evaluator)?,
        "outputName": package.output_name(env.evaluator)?,
        "outputs": outputs,
    });
    if shown.drv_path
        && let Some(drv) = package.drv(env.evaluator)?
    {
        entry["drvPath"] = json!(drv.to_string());
    }
    if shown.meta {
        let mut metas = Map::new();
        for (name, value) in package.metas(env.evaluator)? {
            let value = match value {
                Some(value) => {
                    let text = env.evaluator.to_json(value, true)?;
                    serde_json::from_slice(&text).map_err(Stop::of)?
                }
                None => {
                    env.warn(format!("derivation '{}' has invalid meta attribute '{name}'", package.name));
                    Json::Null
                }
            };
            metas.insert(name, value);
        }
        entry["meta"] = Json::Object(metas);
    }
    Ok(entry)
}

fn write_xml(
    env: &mut Env<'_>,
    shown: &Shown,
    package: &Package,
    others: &[Package],
    in_profile: &BTreeSet<StorePath>,
    xml: &mut Xml,
) -> Outcome<()> {
    let (name, version) = package.name_and_version();
    let mut attributes = vec![("attrPath", package.attribute.clone()), ("name", package.name.clone())];
    attributes.extend([("pname", name), ("version", version)]);
    if shown.status {
        let letters = status(env, package, in_profile)?;
        for (name, letter) in [("installed", 'I'), ("valid", 'P'), ("substitutable", 'S')] {
            attributes.push((name, if letters.contains(letter) { "1" } else { "0" }.to_owned()));
        }
    }
    if shown.compare {
        let (sign, version) = compared(package, others);
        if sign != '-' {
            attributes.extend([("versionDiff", sign.to_string()), ("maxComparedVersion", version)]);
        }
    }
    let system = package.system(env.evaluator)?;
    if !system.is_empty() {
        attributes.push(("system", system));
    }
    if shown.drv_path
        && let Some(drv) = package.drv(env.evaluator)?
    {
        attributes.push(("drvPath", drv.to_string()));
    }
    attributes.push(("outputName", package.output_name(env.evaluator)?));
    if shown.description {
        let text = package.meta_text(env.evaluator, "description")?;
        if !text.is_empty() {
            attributes.push(("description", text));
        }
    }
    let outputs = package.outputs(env.evaluator, shown.out_path)?;
    let metas = match shown.meta {
        true => package.metas(env.evaluator)?,
        false => Default::default(),
    };
    let mut inner = Vec::new();
    for (name, value) in metas {
        match value {
            Some(value) => inner.push((name, env.evaluator.force_deep(value)?)),
            None => env.warn(format!("derivation '{}' has invalid meta attribute '{name}'", package.name)),
        }
    }
    xml.open("item", &attributes);
    for (name, path) in outputs {
        let mut attributes = vec![("name", name)];
        attributes.extend(path.map(|path| ("path", path.to_string())));
        xml.empty("output", &attributes);
    }
    for (name, value) in inner {
        write_meta(env.evaluator, xml, name, value);
    }
    xml.close("item");
    Ok(())
}

fn write_meta(evaluator: &mut Evaluator, xml: &mut Xml, name: String, value: Value) {
    let text =
        |value: Value| value.as_string().map(|text| String::from_utf8_lossy(text.bytes()).into_owned());
    let (kind, shown) = match value.view() {
        View::String(_) => ("string", text(value).unwrap_or_default()),
        View::Int(number) => ("int", number.to_string()),
        View::Float(number) => ("float", number.to_string()),
        View::Bool(is_so) => ("bool", is_so.to_string()),
        View::List(list) => {
            xml.open("meta", &[("name", name), ("type", "strings".to_owned())]);
            list.iter().filter_map(text).for_each(|text| xml.empty("string", &[("value", text)]));
            xml.close("meta");
            return;
        }
        View::Attrs(set) => {
            xml.open("meta", &[("name", name), ("type", "strings".to_owned())]);
            for (name, slot) in set.flatten(&mut evaluator.heap).sorted() {
                if let Some(value) = text(slot.get()) {
                    xml.empty("string", &[("type", name.text().to_string()), ("value", value)]);
                }
            }
            xml.close("meta");
            return;
        }
        _ => return,
    };
    xml.empty("meta", &[("name", name), ("type", kind.to_owned()), ("value", shown)]);
}
