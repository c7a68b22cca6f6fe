//! `zeval flake`: everything about flakes but building them.

pub mod check;
pub mod copy;
pub mod metadata;
mod outputs;
pub mod show;
pub mod template;

use std::{collections::BTreeSet, io::IsTerminal};

use zeval_inputs::lock::LockOptions;

use super::{Context, Result};
use crate::{
    cli::{Flake, FlakeArgument, FlakeCommand, FlakeFlags, Language},
    flakes::{Flakes, input_path},
};

/// Runs the command.
pub fn run(context: &Context, arguments: &Flake) -> Result<()> {
    match &arguments.command {
        FlakeCommand::Init { template, language } => {
            template::make(context, template.as_deref(), std::path::Path::new("."), language)
        }
        FlakeCommand::New { folder, template, language } => {
            template::make(context, template.as_deref(), folder, language)
        }
        FlakeCommand::Metadata { flake, json } => metadata::run(context, flake, *json, has_colours()),
        FlakeCommand::Lock { flake, json } => {
            let missing = |options: &mut LockOptions| options.fail_on_unlocked = true;
            lock(context, &flake.reference, &flake.flags, &flake.language, *json, missing)
        }
        FlakeCommand::Update { inputs, flake, flags, language, json } => {
            let mut updates = BTreeSet::new();
            for input in inputs {
                updates.insert(input_path(input)?);
            }
            let update = |options: &mut LockOptions| {
                options.recreate = updates.is_empty();
                options.updates = updates;
            };
            lock(context, flake, flags, language, *json, update)
        }
        FlakeCommand::Show { flake, legacy, all_systems, json } => show::run(
            context,
            flake,
            &show::Options {
                legacy: *legacy,
                all_systems: *all_systems,
                json: *json,
                colours: has_colours(),
            },
        ),
        FlakeCommand::Check { flake, options, no_build, all_systems, json } => {
            let wanted = check::Options { build: !no_build, all_systems: *all_systems, json: *json };
            check::run(context, flake, options, &wanted)
        }
        FlakeCommand::Clone { flake, dest } => copy::clone(context, flake, dest),
        FlakeCommand::Archive { flake, dry_run, json } => copy::archive(context, flake, *dry_run, *json),
        FlakeCommand::Prefetch { flake, out_link, json } => {
            copy::prefetch(context, flake, out_link.as_deref(), *json)
        }
    }
}

/// Whether standard output shows colours.
fn has_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// `zeval flake lock` and `update`: what servers said earlier does not count.
pub fn lock(
    context: &Context,
    reference: &str,
    flags: &FlakeFlags,
    language: &Language,
    json: bool,
    adjust: impl FnOnce(&mut LockOptions) + Send,
) -> Result<()> {
    let flags = FlakeFlags { refresh: true, ..flags.clone() };
    let text = context.with_flakes(
        language,
        &flags,
        &Default::default(),
        |_| (),
        |evaluator, flakes| {
            let reference = flakes.reference(reference)?;
            let mut options = flakes.options()?;
            adjust(&mut options);
            // These commands are there to write it.
            options.write = !flags.no_write_lock_file;
            Ok(flakes.lock_with(evaluator, &reference, &options)?.lock_file.to_text().0)
        },
    )?;
    if json {
        println!("{text}");
    }
    Ok(())
}

impl Context {
    /// Evaluates with the flake that a command was given.
    fn with_flake<T: Send>(
        &self,
        flake: &FlakeArgument,
        work: impl FnOnce(
            &mut zeval_evaluator::Evaluator,
            &Flakes,
        ) -> std::result::Result<T, zeval_evaluator::Failure>
        + Send,
    ) -> Result<T> {
        self.with_flakes(&flake.language, &flake.flags, &Default::default(), |_| (), work)
    }
}

/// Prints JSON: in one line, unless a person reads it.
fn print_json(json: &serde_json::Value) {
    match std::io::stdout().is_terminal() {
        true => println!("{json:#}"),
        false => println!("{json}"),
    }
}
