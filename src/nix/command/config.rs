//! `nix config`: the settings, and whether what they lead to works.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use zeval_builder::build::BuildOptions;
use zeval_evaluator::Settings;

use super::{
    super::{
        outcome::{Outcome, Stop, fail, usage},
        settings::{Kind, NixSettings},
        settings_table::{Known, SETTINGS},
        store,
    },
    Call,
};

/// What settings are that nobody sets, as Nix has them: a line `NAME = VALUE` each.
const DEFAULTS: &str = include_str!("../settings_defaults.txt");

/// What settings are that nobody sets; what depends on the machine is told of this one.
fn defaults() -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<&str, String> = DEFAULTS
        .lines()
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, value)| (name, value.trim().to_owned()))
        .collect();
    let options = BuildOptions::default();
    let words =
        |words: &std::collections::BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(" ");
    all.insert("max-jobs", options.jobs.to_string());
    all.insert("cores", "0".to_owned());
    all.insert("system", Settings::default().system);
    all.insert("system-features", words(&options.features.iter().cloned().collect()));
    for empty in ["nix-path", "substituters", "trusted-public-keys", "sandbox-paths", "extra-platforms"] {
        all.insert(empty, String::new());
    }
    all.insert("store", "auto".to_owned());
    all
}

/// A setting's value, if it has one here.
fn value<'v>(
    settings: &'v NixSettings,
    defaults: &'v BTreeMap<&str, String>,
    known: &Known,
) -> Option<&'v str> {
    settings.text(known.name).or_else(|| defaults.get(known.name).map(String::as_str))
}

/// `nix show-config`
pub fn show_config(call: &Call) -> Outcome<()> {
    call.warn("'show-config' is a deprecated alias for 'config show'");
    show(call)
}

/// `nix config show`
pub fn show(call: &Call) -> Outcome<()> {
    let settings = &call.common.settings;
    let defaults = defaults();
    if let [name] = &call.common.operands[..] {
        if call.has("--json") {
            return usage("'--json' is not supported when specifying a setting name");
        }
        let name = name.to_string_lossy();
        let known = SETTINGS.iter().find(|known| known.name == name || known.aliases.contains(&&*name));
        return match known.and_then(|known| value(settings, &defaults, known)) {
            Some(value) => {
                println!("{value}");
                Ok(())
            }
            None => fail(format!("could not find setting '{name}'")),
        };
    }
    let mut all = Map::new();
    for known in SETTINGS {
        let Some(text) = value(settings, &defaults, known) else { continue };
        if call.has("--json") {
            let default = defaults.get(known.name).map(|default| as_json(known.kind, default));
            let entry = json!({ "aliases": known.aliases, "defaultValue": default, "value": as_json(known.kind, text) });
            all.insert(known.name.to_owned(), entry);
        } else {
            println!("{} = {text}", known.name);
        }
    }
    if call.has("--json") {
        call.print_json(&Value::Object(all));
    }
    Ok(())
}

fn as_json(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Bool => json!(matches!(text, "true" | "yes" | "1")),
        Kind::Number | Kind::Jobs => text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number)),
        Kind::List => json!(text.split_whitespace().collect::<Vec<_>>()),
        Kind::Text | Kind::Lint | Kind::Sandbox => json!(text),
    }
}

/// `nix doctor`
pub fn doctor(call: &Call) -> Outcome<()> {
    call.warn("'doctor' is a deprecated alias for 'config check'");
    check(call)
}

/// `nix config check`
pub fn check(call: &Call) -> Outcome<()> {
    let place = store::location(&call.common).unwrap_or_else(|| "local".to_owned());
    call.say(format!("Running checks against store uri: {place}"));
    let opened = call.store()?;
    let mut is_well = true;
    let mut tell = |passed: bool, text: String| {
        is_well &= passed;
        println!("[{}] {text}", if passed { "PASS" } else { "FAIL" });
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs: Vec<_> = std::env::split_paths(&path)
        .filter_map(|folder| folder.join("nix-env").canonicalize().ok())
        .collect();
    programs.sort();
    programs.dedup();
    let paths = programs.iter().map(|program| format!("\n  {}", program.display())).collect::<String>();
    match programs.len() {
        0 | 1 => tell(true, "PATH contains only one nix version.".to_owned()),
        _ => tell(false, format!("Multiple versions of nix found in PATH:{paths}\n")),
    }
    tell(true, "All profiles are gcroots.".to_owned());
    let writable = opened.temporary_folder();
    let text = writable.as_ref().err().map_or_else(
        || "The store can be written to.".to_owned(),
        |error| format!("The store cannot be written to: {error}"),
    );
    tell(writable.is_ok(), text);
    match is_well {
        true => Ok(()),
        false => Err(Stop::Silent(2)),
    }
}
