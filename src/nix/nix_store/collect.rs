//! What takes room: collecting garbage, deleting paths, sharing equal files.

use zeval_builder::{
    cancel::Cancellation,
    store::{CollectOptions, Collected, Limit, Sharing, Store, StoreError},
};

use super::{
    super::outcome::{Outcome, Stop, usage},
    Shop,
};
use crate::commands::store::human;

/// What to collect, and how much to say of it.
pub struct Collection {
    pub options: CollectOptions,
    pub quiet: bool,
}

/// Collects, and says what Nix says.
pub fn collect(store: &Store, collection: &Collection) -> Outcome<()> {
    let say = |text: &str| {
        if !collection.quiet {
            eprintln!("{text}");
        }
    };
    say("finding garbage collector roots...");
    if collection.options.only.is_none() {
        say("deleting garbage...");
    }
    let collected = match store.collect(&collection.options, &Cancellation::new(), |_, _| ()) {
        Ok(collected) => collected,
        Err(StoreError::Kept { path, .. }) => {
            let text = format!(
                "Cannot delete path '{path}' since it is still alive. To find out why, use: nix-store --query --roots \
                 and nix-store --query --referrers"
            );
            Stop::of(text).tell("nix-store", false);
            println!("0 store paths deleted, {} freed", human(0));
            return Err(Stop::Silent(1));
        }
        Err(error) => return Err(error.into()),
    };
    for path in &collected.paths {
        say(&format!("deleting '{path}'"));
    }
    if let Some(Limit::Freed(limit)) = collection.options.limit
        && collected.bytes >= limit
    {
        say(&format!("deleted more than {limit} bytes; stopping"));
    }
    say("deleting unused links...");
    say(&format!("note: hard linking is currently saving {}", human(store.shared_bytes()?)));
    print_freed(&collected);
    Ok(())
}

fn print_freed(collected: &Collected) {
    println!("{} store paths deleted, {} freed", collected.paths.len(), human(collected.bytes));
}

/// `--gc`
pub fn gc(shop: &mut Shop) -> Outcome<()> {
    let mut wish = None;
    let mut limit = None;
    let mut flags = shop.flags.iter();
    while let Some(flag) = flags.next() {
        match flag.as_str() {
            "--print-roots" | "--print-live" | "--print-dead" => wish = Some(flag.clone()),
            "--max-freed" => limit = Some(size(flags.next().map_or("", String::as_str))?),
            flag => return usage(format!("bad sub-operation '{flag}' in GC")),
        }
    }
    shop.no_arguments()?;
    if wish.is_some() && limit.is_some() {
        return usage(
            "option --max-freed cannot be combined with --print-live, --print-dead, or --print-roots",
        );
    }
    let store = shop.store()?;
    let mut options = shop.collect_options();
    match wish.as_deref() {
        None => {
            options.limit = limit.map(Limit::Freed);
            collect(&store, &Collection { options, quiet: shop.common.verbosity < super::INFO })
        }
        Some("--print-roots") => {
            for (root, path) in store.all_roots()? {
                println!("\"{root}\" -> {path}");
            }
            Ok(())
        }
        Some(wish) => {
            shop.say("finding garbage collector roots...");
            shop.say("determining live/dead paths...");
            options.dry_run = true;
            let dead = store.collect(&options, &Cancellation::new(), |_, _| ())?;
            let dead: std::collections::BTreeSet<_> = dead.paths.into_iter().collect();
            match wish {
                "--print-dead" => dead.iter().for_each(|path| println!("{path}")),
                _ => store.all_valid()?.difference(&dead).for_each(|path| println!("{path}")),
            }
            Ok(())
        }
    }
}

/// A number with a unit, as Nix reads sizes.
pub fn size(text: &str) -> Outcome<u64> {
    let upper = text.to_ascii_uppercase();
    let (digits, factor) = match upper.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => match unit {
            'K' => (&upper[..at], 1 << 10),
            'M' => (&upper[..at], 1 << 20),
            'G' => (&upper[..at], 1 << 30),
            'T' => (&upper[..at], 1_u64 << 40),
            unit => return usage(format!("invalid unit specifier '{unit}'")),
        },
        _ => (&upper[..], 1),
    };
    let number: u64 = digits.parse().map_err(|_| Stop::Usage(format!("'{text}' is not an integer")))?;
    Ok(number.saturating_mul(factor))
}

impl Shop {
    fn collect_options(&self) -> CollectOptions {
        collect_options(&self.common.settings)
    }
}

/// What settings say of what is garbage.
pub fn collect_options(settings: &crate::nix::settings::NixSettings) -> CollectOptions {
    CollectOptions {
        keep_outputs: settings.is_on("keep-outputs").unwrap_or(false),
        keep_derivations: settings.is_on("keep-derivations").unwrap_or(true),
        ..CollectOptions::default()
    }
}

/// `--delete`
pub fn delete(shop: &mut Shop) -> Outcome<()> {
    // What is alive is needed: Nix's flag to delete it nevertheless is taken and changes nothing.
    shop.switches(["--ignore-liveness"])?;
    let store = shop.store()?;
    let only = shop.paths(&store)?.into_iter().collect();
    let options = CollectOptions { only: Some(only), keep_derivations: false, ..CollectOptions::default() };
    collect(&store, &Collection { options, quiet: shop.common.verbosity < super::INFO })
}

/// `--optimise`
pub fn optimise(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    shop.no_arguments()?;
    let saved = shop.store()?.optimise(Sharing::HardLinks, &Cancellation::new(), &|_, _| ())?;
    shop.say(format!("{} freed by hard-linking {} files", human(saved.bytes), saved.files));
    Ok(())
}
