//! `zeval pin`: source pins, checked, added and brought up to date.

use serde_json::json;
use zeval_builder::{
    fetch::{
        FetchError, Reason,
        mirrors::{Mirrors, config_files},
    },
    pins::{self, AddressCheck, NewPin, Pin as SourcePin},
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
        PinCommand::Check { names, json } => check_pins(&selected(arguments, names)?, &fetching, *json),
        PinCommand::Add { addresses, name, version, file, licence, homepage, signature } => {
            let new = NewPin {
                addresses: addresses.clone(),
                name: name.clone(),
                version: version.clone(),
                file: file.clone(),
                licence: licence.clone(),
                homepage: homepage.clone(),
                signature: signature.clone(),
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

/// What an address gave.
fn verdict(check: &AddressCheck<'_>) -> (&'static str, Option<String>) {
    let Err(error) = &check.result else { return ("ok", None) };
    let reason = match error {
        FetchError::NoAddressServes { attempts, .. } => attempts.first().map(|attempt| &attempt.reason),
        _ => None,
    };
    match reason {
        Some(reason @ Reason::WrongHash(_)) => ("wrong hash", Some(reason.to_string())),
        Some(reason @ Reason::Absent(_)) => ("absent", Some(reason.to_string())),
        Some(Reason::Failed(reason)) => ("failed", Some(reason.clone())),
        None => ("failed", Some(error.to_string())),
    }
}

/// Says of every address whether it has what its pin says, and why not. Fails if a pin has no address that does.
fn check_pins(pins: &[SourcePin], fetching: &pins::Context<'_>, json: bool) -> Result<()> {
    let checks = pins::check(pins, fetching);
    match json {
        true => println!("{}", json!(checks.iter().map(as_json).collect::<Vec<_>>())),
        false => print_table(&checks),
    }
    let is_served =
        |pin: &&SourcePin| checks.iter().any(|check| check.pin.path == pin.path && check.result.is_ok());
    let unserved: Vec<String> = pins.iter().filter(|pin| !is_served(pin)).map(full_name).collect();
    match unserved.is_empty() {
        true => Ok(()),
        false => Err(Failed::other(format!("no address has what is pinned: {}", unserved.join(", ")))),
    }
}

fn full_name(pin: &SourcePin) -> String {
    format!("{} {}", pin.name, pin.version)
}

fn as_json(check: &AddressCheck<'_>) -> serde_json::Value {
    let (result, reason) = verdict(check);
    json!({
        "name": check.pin.name,
        "version": check.pin.version,
        "address": check.address,
        "result": result,
        "reason": reason,
    })
}

/// A line an address: what it gave, of which pin, where, and why not.
fn print_table(checks: &[AddressCheck<'_>]) {
    let width = checks.iter().map(|check| full_name(check.pin).len()).max().unwrap_or(0);
    for check in checks {
        let (result, reason) = verdict(check);
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        println!("{result:<10}  {:<width$}  {}{reason}", full_name(check.pin), check.address);
    }
    let good = checks.iter().filter(|check| check.result.is_ok()).count();
    println!("{good} of {} addresses give what is pinned", checks.len());
}

fn warn(failed: &[(String, zeval_builder::fetch::FetchError)]) {
    for (address, error) in failed {
        eprintln!("warning: {address} did not give the same: {error}");
    }
}
