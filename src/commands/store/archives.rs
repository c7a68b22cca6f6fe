//! Files to store paths and back: adding, archives, exports, and paths made from contents.

use std::{
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use serde_json::json;
use zeval_model::{
    ContentAddress, ContentMethod, Hash, ingest, nar, store_dir, store_path::References, tree::Modes,
};

use super::{Context, Result, split};
use crate::{
    cli::store::{Add, Paths},
    diagnostic::Failed,
};

/// `zeval store add`
pub fn add(context: &Context, arguments: &Add) -> Result<()> {
    let is_stdin = arguments.path == Path::new("-");
    let name = match (&arguments.name, arguments.path.file_name()) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) if !is_stdin => name.to_string_lossy().into_owned(),
        _ => return Err(Failed::other("say with --name what it is to be called")),
    };
    let (method, algorithm) = (arguments.mode, arguments.hash_algo);
    if is_stdin {
        return add_text(context, &name, arguments);
    }
    if arguments.dry_run {
        let hash = ingest::hash_path(&arguments.path, method, algorithm).map_err(Failed::other)?;
        return print_path(&name, ContentAddress { method, hash });
    }
    let store = context.store()?;
    let path = store.add_path(&name, &arguments.path, method, algorithm).map_err(Failed::other)?;
    store.settle().map_err(Failed::other)?;
    println!("{path}");
    Ok(())
}

fn add_text(context: &Context, name: &str, arguments: &Add) -> Result<()> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(Failed::other)?;
    if arguments.dry_run {
        let hash = Hash::of(zeval_model::Algorithm::Sha256, &text);
        return print_path(name, ContentAddress { method: ContentMethod::Text, hash });
    }
    let store = context.store()?;
    println!("{}", store.add_text(name, &text, &Default::default()).map_err(Failed::other)?);
    store.settle().map_err(Failed::other)
}

fn print_path(name: &str, address: ContentAddress) -> Result<()> {
    println!("{}", address.store_path(name, &References::none()).map_err(Failed::other)?);
    Ok(())
}

/// `zeval store dump`
pub fn dump(context: &Context, path: &Path) -> Result<()> {
    let files = match path.starts_with(store_dir()) {
        true => {
            let store = context.store()?;
            let (path, below) = split(&store, path)?;
            store.physical(&path).join(below.trim_start_matches('/'))
        }
        false => path.to_owned(),
    };
    nar::dump_path(&files, io::stdout().lock()).map_err(Failed::other)
}

/// `zeval store restore`
pub fn restore(destination: &Path) -> Result<()> {
    nar::restore(io::stdin().lock(), destination, Modes::Umask).map_err(Failed::other)
}

/// `zeval store export`
pub fn export(context: &Context, paths: &Paths) -> Result<()> {
    let store = context.store()?;
    let paths = paths.find(&store)?;
    let mut output = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    store.export(&paths, &mut output).map_err(Failed::other)?;
    output.flush().map_err(Failed::other)
}

/// `zeval store import`
pub fn import(context: &Context) -> Result<()> {
    let store = context.store()?;
    for path in store.import(io::stdin().lock(), &context.cancellation).map_err(Failed::other)? {
        println!("{path}");
    }
    store.settle().map_err(Failed::other)
}

/// `zeval store make-content-addressed`
pub fn make_content_addressed(context: &Context, paths: &Paths, json: bool) -> Result<()> {
    let store = context.store()?;
    // What refers to a path must be rewritten with it.
    let closure = store.closure(&paths.find(&store)?).map_err(Failed::other)?;
    let made = store.make_content_addressed(&closure, &context.cancellation).map_err(Failed::other)?;
    store.settle().map_err(Failed::other)?;
    if json {
        let rewrites: serde_json::Map<_, _> =
            made.iter().map(|(from, to)| (from.to_string(), json!(to.to_string()))).collect();
        println!("{}", json!({ "rewrites": rewrites }));
        return Ok(());
    }
    for (from, to) in made {
        println!("{from} -> {to}");
    }
    Ok(())
}
