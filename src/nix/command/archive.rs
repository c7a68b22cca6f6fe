//! Archives in files: `nix nar ls` and `nix nar cat`.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::{Component, Path},
};

use serde_json::{Value, json};
use zeval_builder::cache::listing::listing;
use zeval_model::{
    nar::Reader,
    tree::{Event, TreeSource},
};

use super::{
    super::outcome::{Outcome, fail, usage},
    Call,
};

type Archive = Reader<BufReader<File>>;

/// The archive and the path in it, as its parts, that the operands name.
fn opened(call: &Call) -> Outcome<(Archive, Vec<String>)> {
    let [file, path] = &call.common.operands[..] else {
        return match call.common.operands.get(2) {
            Some(more) => usage(format!("unexpected argument '{}'", more.to_string_lossy())),
            None => usage("more arguments are required"),
        };
    };
    let Ok(archive) = File::open(file) else {
        return fail(format!("opening NAR file \"{}\": No such file or directory", file.to_string_lossy()));
    };
    let parts = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
        _ => None,
    });
    Ok((Reader::new(BufReader::with_capacity(64 * 1024, archive)), parts.collect()))
}

/// `nix nar ls`
pub fn ls(call: &Call) -> Outcome<()> {
    let (mut archive, parts) = opened(call)?;
    let mut found = &listing(&mut archive)?;
    for part in &parts {
        found = &found["entries"][part];
    }
    if found.is_null() {
        return fail(format!("path '«unknown»/{}' does not exist", parts.join("/")));
    }
    let mut out = String::new();
    match (call.has("--json"), found["entries"].as_object()) {
        (true, _) => out = format!("{}\n", if call.has("-R") { found.clone() } else { shallow(found) }),
        (false, Some(_)) if !call.has("-d") => print_folder(call, found, ".", &mut out),
        (false, Some(_)) => print_entry(call, found, ".", &mut out),
        (false, None) => print_entry(call, found, parts.last().map_or("", String::as_str), &mut out),
    }
    // Nobody reads on: that is no error of ours.
    let _ = io::stdout().write_all(out.as_bytes());
    Ok(())
}

/// A folder with its entries, but not what is in them.
fn shallow(found: &Value) -> Value {
    let Some(entries) = found["entries"].as_object() else { return found.clone() };
    let names: serde_json::Map<_, _> = entries.keys().map(|name| (name.clone(), json!({}))).collect();
    json!({ "type": "directory", "entries": names })
}

fn print_folder(call: &Call, folder: &Value, shown: &str, out: &mut String) {
    for (name, entry) in folder["entries"].as_object().into_iter().flatten() {
        let shown = format!("{shown}/{name}");
        print_entry(call, entry, &shown, out);
        if call.has("-R") {
            print_folder(call, entry, &shown, out);
        }
    }
}

fn print_entry(call: &Call, entry: &Value, shown: &str, out: &mut String) {
    if !call.has("-l") {
        out.push_str(&format!("{shown}\n"));
        return;
    }
    let (mode, target) = match (entry["type"].as_str(), entry["target"].as_str(), &entry["executable"]) {
        (Some("directory"), ..) => ("dr-xr-xr-x", String::new()),
        (_, Some(target), _) => ("lrwxrwxrwx", format!(" -> {target}")),
        (.., Value::Bool(true)) => ("-r-xr-xr-x", String::new()),
        _ => ("-r--r--r--", String::new()),
    };
    let size = entry["size"].as_u64().unwrap_or(0);
    out.push_str(&format!("{mode} {size:>20} {shown}{target}\n"));
}

/// `nix nar cat`
pub fn cat(call: &Call) -> Outcome<()> {
    let (mut archive, wanted) = opened(call)?;
    let mut folders: Vec<String> = Vec::new();
    while let Some(event) = archive.next_event()? {
        match event {
            // The root has no name.
            Event::DirectoryStart { name } => folders.push(name.to_string()),
            Event::DirectoryEnd => drop(folders.pop()),
            Event::Symlink { .. } => (),
            Event::Regular { name, .. } => {
                let name = name.to_string();
                let place = folders.iter().chain([&name]).filter(|part| !part.is_empty());
                if place.eq(&wanted) {
                    io::copy(archive.contents(), &mut io::stdout().lock())?;
                    return Ok(());
                }
            }
        }
    }
    fail(format!("NAR does not contain regular file '/{}'", wanted.join("/")))
}
