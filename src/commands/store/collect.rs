//! What takes room and what keeps it: collecting, roots, deleting, sharing equal files.

use serde_json::json;
use zeval_builder::store::{CollectOptions, Collected, Limit, Saved, Sharing};

use super::{Context, Result, count_of, human, named, store_path};
use crate::{
    cli::store::{Delete, Gc, Roots},
    diagnostic::Failed,
    progress::bar,
};

/// `zeval store gc`
pub fn gc(context: &Context, arguments: &Gc) -> Result<()> {
    let store = context.store()?;
    let options = CollectOptions {
        dry_run: arguments.dry_run,
        keep_outputs: arguments.keep_outputs,
        keep_derivations: arguments.keep_derivations || !arguments.no_keep_derivations,
        older_than: arguments.older_than,
        limit: arguments.max_freed.map(Limit::Freed).or(arguments.max_free.map(Limit::Free)),
        only: None,
    };
    let bar = bar(&context.global, "removing", 0);
    let collected = store.collect(&options, &context.cancellation, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    print(context, &collected?, arguments.dry_run, arguments.json);
    Ok(())
}

/// `zeval store delete`
pub fn delete(context: &Context, arguments: &Delete) -> Result<()> {
    let store = context.store()?;
    let mut paths = named(&store, &arguments.paths, false)?;
    let mut pending: Vec<_> = paths.iter().cloned().collect();
    while let (true, Some(path)) = (arguments.referrers, pending.pop()) {
        for referrer in store.referrers(&path).map_err(Failed::other)? {
            if paths.insert(referrer.clone()) {
                pending.push(referrer);
            }
        }
    }
    for path in &paths {
        let mut referrers = store.referrers(path).map_err(Failed::other)?.into_iter();
        if let Some(referrer) = referrers.find(|referrer| !paths.contains(referrer)) {
            return Err(Failed::other(format!(
                "'{path}' cannot be deleted: '{referrer}' refers to it (--referrers deletes that, too)"
            )));
        }
    }
    let collected = store.delete(&paths, &context.cancellation)?;
    if let Some(left) = paths.iter().find(|path| !collected.paths.contains(path)) {
        return Err(Failed::other(format!("'{left}' was not deleted: it came to be needed just now")));
    }
    print(context, &collected, false, arguments.json);
    Ok(())
}

fn print(context: &Context, collected: &Collected, dry_run: bool, json: bool) {
    let Collected { paths, bytes, strays } = collected;
    if json {
        let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
        println!("{}", json!({ "paths": paths, "bytes": bytes, "strays": strays }));
        return;
    }
    if dry_run {
        paths.iter().for_each(|path| println!("{path}"));
    }
    if context.global.quiet {
        return;
    }
    let verb = if dry_run { "would be removed" } else { "removed" };
    let strays = match strays {
        0 => String::new(),
        count => format!(", and {count} left behind by interrupted work"),
    };
    eprintln!("{} {verb}, {}{strays}", count_of(paths.len(), "path"), human(*bytes));
}

/// `zeval store roots`
pub fn roots(context: &Context, arguments: &Roots) -> Result<()> {
    let store = context.store()?;
    for path in &arguments.add {
        let path = store_path(&store, path)?;
        println!("{}", store.register_root(&path).map_err(Failed::other)?.display());
    }
    for path in &arguments.remove {
        let path = store_path(&store, path)?;
        if !store.remove_root(&path).map_err(Failed::other)? {
            return Err(Failed::other(format!("'{path}' is no root that was added")));
        }
    }
    if !arguments.add.is_empty() || !arguments.remove.is_empty() {
        return Ok(());
    }
    let roots = store.all_roots().map_err(Failed::other)?;
    if arguments.json {
        let roots: serde_json::Map<_, _> =
            roots.into_iter().map(|(root, path)| (root, json!(path.to_string()))).collect();
        println!("{}", json!(roots));
        return Ok(());
    }
    for (root, path) in roots {
        println!("{root} -> {path}");
    }
    Ok(())
}

/// `zeval store optimise`
pub fn optimise(context: &Context, hard_links: bool, json: bool) -> Result<()> {
    let sharing = if hard_links { Sharing::HardLinks } else { Sharing::Blocks };
    let store = context.store()?;
    let bar = bar(&context.global, "sharing files", 0);
    let saved = store.optimise(sharing, &context.cancellation, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let saved = saved?;
    if json {
        let Saved { files, sharing_blocks, bytes } = saved;
        println!("{}", json!({ "files": files, "sharingBlocks": sharing_blocks, "bytes": bytes }));
    } else if !context.global.quiet {
        if saved.sharing_blocks > 0 {
            let files = count_of(saved.sharing_blocks as usize, "file");
            eprintln!(
                "{files} share their blocks on the disk with an equal one: {} saved",
                human(saved.bytes)
            );
        } else {
            let files = count_of(saved.files as usize, "file");
            eprintln!("{files} linked to an equal one: {} saved", human(saved.bytes));
        }
    }
    Ok(())
}
