//! Whether paths are what they should be, who vouches for them, and making damaged ones whole.

use std::{collections::BTreeSet, fs, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use serde_json::json;
use zeval_builder::store::{Fault, VerifyOptions};
use zeval_model::signature::SecretKey;

use super::{Context, Result, count_of, named};
use crate::commands::repair;
use crate::{
    cli::store::{Repair, Sign, Verify},
    diagnostic::Failed,
    progress::bar,
};

/// `zeval store verify`
pub fn verify(context: &Context, arguments: &Verify) -> Result<()> {
    let store = context.store()?;
    let paths: Vec<_> = match arguments.paths.is_empty() {
        true => store.all_valid().map_err(Failed::other)?.into_iter().collect(),
        false => named(&store, &arguments.paths, arguments.recursive)?.into_iter().collect(),
    };
    let keys = crate::commands::trust(&arguments.trusted_key)?.keys;
    let options =
        VerifyOptions { contents: !arguments.no_contents, trusted: (!arguments.no_trust).then_some(keys) };
    let bar = bar(&context.global, "verifying", paths.len());
    let faults = store.verify(&paths, &options, &context.cancellation, &|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let faults = faults?;
    if arguments.json {
        let faults: Vec<_> = faults
            .iter()
            .map(|(path, fault)| json!({ "path": path.to_string(), "fault": fault.name() }))
            .collect();
        println!("{}", json!({ "verified": paths.len(), "faults": faults }));
    }
    if faults.is_empty() {
        if !context.global.quiet && !arguments.json {
            eprintln!("{} verified: all as it should be", count_of(paths.len(), "path"));
        }
        return Ok(());
    }
    let mut text = format!("faults in {} of {}:", faults.len(), count_of(paths.len(), "path"));
    for (path, fault) in &faults {
        text.push_str(&format!("\n  {path}: {}", describe(*fault)));
    }
    Err(Failed::other(text))
}

fn describe(fault: Fault) -> &'static str {
    match fault {
        Fault::Missing => "its files are missing (zeval store repair)",
        Fault::Modified => "its files were modified (zeval store repair)",
        Fault::Untrusted => "no trusted key signed it",
    }
}

/// `zeval store sign`
pub fn sign(context: &Context, arguments: &Sign) -> Result<()> {
    let store = context.store()?;
    let key = secret_key(&arguments.key_file)?;
    let paths = arguments.paths.find(&store)?;
    for path in &paths {
        let info = store.require(path).map_err(Failed::other)?;
        let signature = key.sign(info.fingerprint().as_bytes());
        store.add_signatures(path, &BTreeSet::from([signature])).map_err(Failed::other)?;
    }
    if !context.global.quiet {
        eprintln!("signed {} as {}", count_of(paths.len(), "path"), key.name);
    }
    Ok(())
}

/// Reads a secret key's file.
pub fn secret_key(file: &Path) -> Result<SecretKey> {
    let failed = |error: &dyn std::fmt::Display| Failed::other(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| failed(&error))?;
    text.trim().parse().map_err(|error| failed(&error))
}

/// `zeval store generate-key`
pub fn generate_key(name: &str, file: &Path) -> Result<()> {
    if name.is_empty() || name.contains([':', '\n']) {
        return Err(Failed::other("a key's name is not empty and has no colon"));
    }
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed)).map_err(Failed::other)?;
    let key = SecretKey::from_seed(name, &seed);
    // Never over a key that somebody may have signed with.
    let write = || {
        let mut output = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        std::io::Write::write_all(&mut output, key.to_string().as_bytes())
    };
    write().map_err(|error: std::io::Error| Failed::other(format!("{}: {error}", file.display())))?;
    println!("{}", key.public_key());
    Ok(())
}

/// `zeval store repair`
pub fn repair(context: &Context, arguments: &Repair) -> Result<()> {
    let store = context.store()?;
    for path in named(&store, &arguments.paths, false)? {
        if store.is_intact(&path).map_err(Failed::other)? {
            if !context.global.quiet {
                eprintln!("{path} is whole");
            }
            continue;
        }
        repair::repair(context, &store, &path, &arguments.from)?;
        if !context.global.quiet {
            eprintln!("{path} was repaired");
        }
    }
    Ok(())
}
