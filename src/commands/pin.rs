//! `zeval pin`: source pins, checked, added and brought up to date.

use serde_json::json;
use zeval_builder::{
    fetch::mirrors::{Mirrors, config_files},
    pins::{self, NewPin, Pin as SourcePin},
};

use super::{Context, Result};
use crate::{
    cli::{Pin, PinCommand},
    diagnostic::Failed,
};

/// How many addresses are asked at once.
const JOBS: usize = 8;

/// Runs the command.
pub fn run(context: &Context, arguments: &Pin) -> Result<()> {
    let store = context.store()?;
    let scratch = store.temporary_folder().map_err(Failed::other)?;
    let here = std::env::current_dir().map_err(Failed::other)?;
    let mirrors = Mirrors::of_machine(&config_files(&here)).map_err(Failed::other)?;
    let fetching = pins::Context {
        mirrors: &mirrors,
        scratch: scratch.path(),
        jobs: JOBS,
        observer: &*context.view,
        cancellation: &context.cancellation,
    };
    match &arguments.command {
        PinCommand::List { json } => list(arguments, *json),
        PinCommand::Check { names } => check_pins(&selected(arguments, names)?, &fetching),
        PinCommand::Add { addresses, name, version } => {
            let new = NewPin {
                addresses: addresses.clone(),
                name: name.clone(),
                version: version.clone(),
                ..NewPin::default()
            };
            let added = pins::add(&arguments.folder, &new, &fetching).map_err(Failed::other)?;
            println!("{}: {}", added.pin.path.display(), added.pin.hash.to_sri());
            warn(&added.failed);
            Ok(())
        }
        PinCommand::Update { name, version } => {
            let pin = pins::find(&arguments.folder, name).map_err(Failed::other)?;
            let updated = pins::update(&pin, version.as_deref(), &fetching).map_err(Failed::other)?;
            println!(
                "{} {} -> {}: {}",
                pin.name,
                updated.old.version,
                updated.new.version,
                updated.new.hash.to_sri()
            );
            for address in &updated.dropped {
                eprintln!("taken out, since it does not name the version: {address}");
            }
            warn(&updated.failed);
            Ok(())
        }
    }
}

fn selected(arguments: &Pin, names: &[String]) -> Result<Vec<SourcePin>> {
    let pins = match names {
        [] => pins::read_all(&arguments.folder),
        names => names.iter().map(|name| pins::find(&arguments.folder, name)).collect(),
    };
    pins.map_err(Failed::other)
}

fn list(arguments: &Pin, json: bool) -> Result<()> {
    let pins = selected(arguments, &[])?;
    if json {
        let pin = |pin: &SourcePin| {
            json!({
                "name": pin.name,
                "version": pin.version,
                "hash": pin.hash.to_sri(),
                "addresses": pin.addresses().collect::<Vec<_>>(),
            })
        };
        println!("{}", json!(pins.iter().map(pin).collect::<Vec<_>>()));
        return Ok(());
    }
    for pin in pins {
        println!("{} {} {}", pin.name, pin.version, pin.hash.to_sri());
    }
    Ok(())
}

/// Says of every address whether it has what its pin says. Fails if a pin has no address that does.
fn check_pins(pins: &[SourcePin], fetching: &pins::Context<'_>) -> Result<()> {
    let checks = pins::check(pins, fetching);
    for check in &checks {
        match &check.result {
            Ok(_) => println!("ok      {}: {}", check.pin.name, check.address),
            Err(error) => println!("failed  {}: {}: {error}", check.pin.name, check.address),
        }
    }
    let is_served =
        |pin: &&SourcePin| checks.iter().any(|check| check.pin.path == pin.path && check.result.is_ok());
    let unserved: Vec<&str> =
        pins.iter().filter(|pin| !is_served(pin)).map(|pin| pin.name.as_str()).collect();
    match unserved.is_empty() {
        true => Ok(()),
        false => Err(Failed::other(format!("no address has what is pinned: {}", unserved.join(", ")))),
    }
}

fn warn(failed: &[(String, zeval_builder::fetch::FetchError)]) {
    for (address, error) in failed {
        eprintln!("warning: {address} did not give the same: {error}");
    }
}
