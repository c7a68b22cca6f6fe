//! `zeval build`: makes the outputs of derivations valid and links to them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use zeval_builder::{
    build::{BuildError, BuildOptions, Check},
    events::ActivityKind,
    schedule::{Builder, Built, DrvOutput, RealiseError},
    store::Store,
};

use super::{Context, Result, announce::announcing, build_options, compare, targets::Target};
use crate::{
    cli::{Build, Source},
    diagnostic::Failed,
    progress::Traced,
};

/// Runs the command.
pub fn run(context: &Context, arguments: &Build) -> Result<()> {
    let Some(file) = &arguments.trace else { return build(context, arguments) };
    let traced = Arc::new(Traced::new(context.view.clone()));
    let result = build(&Context { view: traced.clone(), ..context.clone() }, arguments);
    // A failed build is the one to look at.
    traced.write(file).map_err(Failed::Other).and(result)
}

fn build(context: &Context, arguments: &Build) -> Result<()> {
    let store = context.store()?;
    let options = build_options(&arguments.options, &arguments.source.language.option)?;
    let builder = Builder::new(&store, options.clone());
    if arguments.dry_run {
        let mut wanted = Vec::new();
        for source in sources(arguments) {
            wanted.extend(outputs(&context.targets(&source, &store, &options)?));
        }
        return dry_run(context, &builder, &wanted, arguments.json);
    }
    let mut targets = Vec::new();
    let built = builder.build_while(&*context.view, &context.cancellation, |wants| {
        for source in sources(arguments) {
            let found = announcing(wants, |announcer| {
                context.targets_as_found(&source, &store, &options, Some(announcer))
            })?;
            let is_of_use = wants.add(outputs(&found));
            targets.extend(found);
            if !is_of_use {
                break;
            }
        }
        Ok::<_, Failed>(outputs(&targets))
    })?;
    let wanted = outputs(&targets);
    if arguments.check {
        check(context, &store, BuildOptions { vary: arguments.vary, ..options }, &wanted)?;
    }
    if !arguments.no_link {
        link(&store, &targets, &built, arguments.out_link.as_deref())?;
    }
    print(&store, &targets, &built, arguments.json);
    Ok(())
}

/// The operands, each with all that was said of how to evaluate it.
fn sources(arguments: &Build) -> Vec<Source> {
    let more =
        arguments.more.iter().map(|file| Source { file: Some(file.clone()), ..arguments.source.clone() });
    std::iter::once(arguments.source.clone()).chain(more).collect()
}

fn outputs(targets: &[Target]) -> Vec<DrvOutput> {
    targets.iter().map(|target| target.wanted.clone()).collect()
}

fn check(context: &Context, store: &Store, options: BuildOptions, wanted: &[DrvOutput]) -> Result<()> {
    let again = BuildOptions { check: Check::Wanted, ..options };
    let result = Builder::new(store, again).build(wanted, &*context.view, &context.cancellation);
    if let Err(RealiseError::Failed { failures, .. }) = &result {
        failures.iter().for_each(|failure| explain(store, &failure.error));
    }
    result?;
    if !context.global.quiet {
        eprintln!("built again and compared: no difference");
    }
    Ok(())
}

/// Shows where what was built again differs, and calls `diffoscope` where there is one.
fn explain(store: &Store, error: &BuildError) {
    let BuildError::Differs { path, kept: Some(kept), .. } = error else { return };
    let before = store.physical(path);
    match compare::trees(&before, kept) {
        Ok(differences) => {
            eprintln!("{path} differs:");
            differences.iter().for_each(|difference| eprintln!("  {difference}"));
        }
        Err(error) => eprintln!("warning: cannot compare {path} with {}: {error}", kept.display()),
    }
    let mut diffoscope = std::process::Command::new("diffoscope");
    diffoscope.args(["--max-text-report-size", "50000"]).arg(&before).arg(kept);
    // Where there is none, what was said must do; its status only says again that there are differences.
    if let Ok(mut running) = diffoscope.stdout(std::io::stderr()).spawn() {
        drop(running.wait());
    }
}

fn dry_run(context: &Context, builder: &Builder<'_>, wanted: &[DrvOutput], json: bool) -> Result<()> {
    let planned = builder.plan(wanted)?;
    if json {
        let planned: Vec<_> =
            planned.iter().map(|planned| json!({ "drvPath": planned.drv.to_string() })).collect();
        println!("{}", json!(planned));
        return Ok(());
    }
    if planned.is_empty() && !context.global.quiet {
        eprintln!("nothing to do: everything is there");
    }
    for (kind, verb) in
        [(ActivityKind::Fetch, "fetch"), (ActivityKind::Unpack, "unpack"), (ActivityKind::Build, "build")]
    {
        for planned in planned.iter().filter(|planned| planned.kind == kind) {
            println!("{verb} {}", planned.drv);
        }
    }
    Ok(())
}

/// The names of the links: `result` for a single output, `result-NAME` for the members of a set, else numbered.
fn link(store: &Store, targets: &[Target], built: &[Built], base: Option<&Path>) -> Result<()> {
    let base = base.unwrap_or(Path::new("result"));
    for (index, (target, built)) in targets.iter().zip(built).enumerate() {
        let suffix = match (&target.attribute, targets.len()) {
            (_, 1) if built.output == "out" => String::new(),
            (_, 1) => format!("-{}", built.output),
            (Some(attribute), _) => format!("-{attribute}"),
            (None, _) if index == 0 => String::new(),
            (None, _) => format!("-{}", index + 1),
        };
        let mut name = base.as_os_str().to_owned();
        name.push(suffix.replace('/', "-"));
        store.add_root(&PathBuf::from(name), &built.path).map_err(Failed::other)?;
    }
    Ok(())
}

fn print(store: &Store, targets: &[Target], built: &[Built], json: bool) {
    if !json {
        for built in built {
            println!("{}", built.path);
        }
        return;
    }
    let results: Vec<_> = targets
        .iter()
        .zip(built)
        .map(|(target, built)| {
            json!({
                "attribute": target.attribute,
                "drvPath": built.drv.to_string(),
                "output": built.output,
                "path": built.path.to_string(),
                "physicalPath": store.physical(&built.path),
            })
        })
        .collect();
    println!("{}", json!(results));
}
