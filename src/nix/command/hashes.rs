//! `nix hash` and `nix key`

use std::io::Read;

use zeval_model::{Algorithm, ContentMethod, Hash, ingest, signature::SecretKey};

use super::{
    super::{
        hash::Notation,
        nix_store::{existing, fresh_key, parse_algorithm},
        outcome::{Outcome, usage},
    },
    Call,
};

pub fn file(call: &Call) -> Outcome<()> {
    print(call, ContentMethod::Flat)
}

pub fn path(call: &Call) -> Outcome<()> {
    print(call, ContentMethod::Nar)
}

fn print(call: &Call, method: ContentMethod) -> Outcome<()> {
    let algorithm = call.value("--type").map_or(Ok(Algorithm::Sha256), parse_algorithm)?;
    let switch = ["--base16", "--base32", "--base64"].into_iter().find(|switch| call.has(switch));
    let name = switch.map(|switch| switch.trim_start_matches('-')).or(call.value("--format"));
    let notation = named(call, name.unwrap_or("sri"))?;
    for operand in &call.common.operands {
        println!("{}", notation.write(&ingest::hash_path(&existing(operand)?, method, algorithm)?));
    }
    Ok(())
}

fn named(call: &Call, name: &str) -> Outcome<Notation> {
    if name == "base32" && call.words == ["hash", "convert"] {
        call.warn("\"base32\" is a deprecated alias for hash format \"nix32\".");
    }
    match Notation::of(name) {
        Some(notation) => Ok(notation),
        None => usage(format!("unknown hash format '{name}', expect 'base16', 'base32', 'base64', or 'sri'")),
    }
}

pub fn convert(call: &Call) -> Outcome<()> {
    let notation = named(call, call.value("--to").unwrap_or("sri"))?;
    write_all(call, call.value("--hash-algo"), notation)
}

fn to(call: &Call, notation: Notation) -> Outcome<()> {
    call.warn(
        "The old format conversion subcommands of `nix hash` were deprecated in favor of `nix hash convert`.",
    );
    write_all(call, call.value("--type"), notation)
}

pub fn to_base16(call: &Call) -> Outcome<()> {
    to(call, Notation::Base16)
}

pub fn to_base32(call: &Call) -> Outcome<()> {
    to(call, Notation::Nix32)
}

pub fn to_base64(call: &Call) -> Outcome<()> {
    to(call, Notation::Base64)
}

pub fn to_sri(call: &Call) -> Outcome<()> {
    to(call, Notation::Sri)
}

fn write_all(call: &Call, algorithm: Option<&str>, notation: Notation) -> Outcome<()> {
    let algorithm = algorithm.map(parse_algorithm).transpose()?;
    for operand in &call.common.operands {
        println!("{}", notation.write(&Hash::parse(&operand.to_string_lossy(), algorithm)?));
    }
    Ok(())
}

pub fn generate_key(call: &Call) -> Outcome<()> {
    let Some(name) = call.value("--key-name") else {
        return usage("required argument '--key-name' is missing");
    };
    print!("{}", fresh_key(name)?);
    Ok(())
}

pub fn public_key(_: &Call) -> Outcome<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let key: SecretKey = text.trim().parse()?;
    print!("{}", key.public_key());
    Ok(())
}
