//! `nix eval`, `run`, `shell`, `develop`, `fmt` and `derivation show`: what is evaluated, and programs from it.

use std::io::Write;

use serde_json::{Map, Value, json};
use zeval_builder::store::Store;

use super::{
    super::outcome::{Outcome, fail, usage},
    Call,
    build::realise,
    installables::{Meant, meant, operands, too_many},
    setup::Setup,
};
use crate::{
    cli::{Develop, Eval, Run},
    commands::{
        self,
        develop::{Outside, Redirect},
    },
};

pub fn eval(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let operands = operands(call);
    if let Some(more) = operands.get(1) {
        return too_many(more);
    }
    let arguments = Eval {
        source: setup.source(call, operands.first().map(String::as_str)),
        json: call.has("--json"),
        raw: call.has("--raw"),
        xml: false,
        strict: false,
        apply: call.value("--apply").map(Into::into),
        write_to: call.value("--write-to").map(Into::into),
    };
    Ok(commands::eval::run(&setup.context, &arguments)?)
}

pub fn run(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let mut operands = operands(call).into_iter();
    let installable = operands.next().unwrap_or_else(|| ".".to_owned());
    let arguments = operands.chain(call.tail.iter().cloned()).collect();
    start(call, setup, installable, arguments)
}

/// Builds what a program needs, and becomes it.
fn start(call: &Call, setup: Setup, installable: String, arguments: Vec<String>) -> Outcome<()> {
    let run = Run {
        installable,
        arguments,
        flags: setup.flakes.clone(),
        language: setup.language.clone(),
        options: setup.build.clone(),
    };
    let store = setup.context.store()?;
    let program = commands::run::find_program(&setup.context, &run)?;
    let needs: Vec<Meant> = program.needs.iter().map(Meant::of).collect();
    realise(call, &setup, &store, &needs)?;
    let mut built = Vec::new();
    for need in &needs {
        built.extend(need.paths(&store)?.into_iter().map(|(_, path)| path.to_string()));
    }
    Ok(program.start(&store, &built, run.arguments)?)
}

/// `nix fmt`: the formatter of a flake, run with the arguments.
pub fn format(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let arguments = operands(call).into_iter().chain(call.tail.iter().cloned()).collect();
    let system = crate::commands::settings(&setup.language.option)?;
    let system =
        system.text("system").map_or_else(|| zeval_evaluator::Settings::default().system, str::to_owned);
    start(call, setup, format!(".#.formatter.{system}"), arguments)
}

pub fn shell(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let store = setup.context.store()?;
    let meant = meant(call, &setup, &store, &operands(call))?;
    realise(call, &setup, &store, &meant)?;
    let mut paths = Vec::new();
    for meant in &meant {
        paths.extend(meant.paths(&store)?.into_iter().map(|(_, path)| path.to_string()));
    }
    Ok(commands::run::enter_with(&store, &paths, &call.tail)?)
}

pub fn develop(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let operands = operands(call);
    if let Some(more) = operands.get(1) {
        return too_many(more);
    }
    let phases = ["--unpack", "--configure", "--build", "--check", "--install", "--installcheck"];
    let phase = phases.into_iter().find(|flag| call.has(flag)).map(|flag| match flag {
        "--installcheck" => "installCheck".to_owned(),
        flag => flag.trim_start_matches('-').to_owned(),
    });
    let phase = phase.or(call.value("--phase").map(|phase| phase.trim_end_matches("Phase").to_owned()));
    let develop = develop_of(&setup, call, operands.first());
    let drv = commands::develop::derivation(&setup.context, &develop)?;
    let options = commands::build_options(&setup.build, &setup.language.option)?;
    let outside = outside(call)?;
    let store = setup.context.store()?;
    let redirects = redirects(call, &setup, &store)?;
    let wanted =
        commands::develop::Wanted { phase: phase.as_deref(), command: &call.tail, outside, redirects };
    Ok(commands::develop::enter(&setup.context, &store, &drv, options, &wanted)?)
}

/// What is worked on, as zeval's own command has it.
fn develop_of(setup: &Setup, call: &Call, operand: Option<&String>) -> Develop {
    Develop {
        source: setup.source(call, operand.map(String::as_str)),
        command: Vec::new(),
        phase: None,
        ignore_env: false,
        options: setup.build.clone(),
    }
}

/// Store paths in whose place folders are used.
fn redirects(call: &Call, setup: &Setup, store: &Store) -> Outcome<Vec<Redirect>> {
    let pairs: Vec<String> = call.all("--redirect").map(str::to_owned).collect();
    let mut all = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let to = std::path::absolute(&pair[1])?.display().to_string();
        for meant in meant(call, setup, store, &pair[..1])? {
            let paths = meant.paths(store)?.into_iter();
            all.extend(paths.map(|(_, from)| Redirect {
                what: pair[0].clone(),
                from: from.to_string(),
                to: to.clone(),
            }));
        }
    }
    Ok(all)
}

/// What flags say of the user's environment.
fn outside(call: &Call) -> Outcome<Outside> {
    let all = |name| call.all(name).map(str::to_owned).collect();
    let ignored = call.has("-i");
    if !ignored && call.value("-k").is_some() {
        return usage("--keep-env-var does not make sense without --ignore-env");
    }
    let pairs: Vec<&str> = call.all("-s").collect();
    let set = pairs.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    Ok(Outside { ignored, keep: all("-k"), unset: all("-u"), set })
}

/// `nix print-dev-env`
pub fn print_environment(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let operands = operands(call);
    if let Some(more) = operands.get(1) {
        return too_many(more);
    }
    let develop = develop_of(&setup, call, operands.first());
    let drv = commands::develop::derivation(&setup.context, &develop)?;
    let options = commands::build_options(&setup.build, &setup.language.option)?;
    let store = setup.context.store()?;
    let captured = commands::captured::capture(&setup.context, &store, &drv, options)?;
    match call.has("--json") {
        true => println!("{}", captured.to_json()),
        false => std::io::stdout().write_all(&captured.to_script())?,
    }
    Ok(())
}

/// `nix derivation show`
pub fn show_derivations(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let store = setup.context.store()?;
    let tops = meant(call, &setup, &store, &operands(call))?;
    let mut drvs: std::collections::BTreeSet<_> = tops.iter().map(|meant| meant.top().clone()).collect();
    if call.has("-r") {
        drvs = store.closure(&drvs)?;
    }
    let mut all = Map::new();
    for drv in drvs {
        match drv.is_derivation() {
            true => {
                let derivation = store.derivation(&drv)?;
                all.insert(drv.base_name().to_owned(), derivation.to_json());
            }
            false if call.has("-r") => {}
            false => return fail(format!("path '{drv}' is not a store derivation")),
        }
    }
    println!("{}", json!({ "derivations": Value::Object(all), "version": 4 }));
    Ok(())
}
