//! What is known of valid paths as text, written and read: `--dump-db`, `--load-db`, `--register-validity`.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{self, BufRead, Write as _},
};

use zeval_builder::store::{PathInfo, Store, now};
use zeval_model::{Algorithm, Hash, StorePath, ingest::hash_nar_of_path};

use super::{
    super::outcome::{Outcome, Stop, fail},
    Shop,
};

/// `--dump-db`
pub fn dump(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let store = shop.store()?;
    let paths: Vec<StorePath> = match shop.arguments.is_empty() {
        true => store.all_valid()?.into_iter().collect(),
        false => shop.paths(&store)?,
    };
    let infos = store.infos(&paths.iter().cloned().collect())?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for path in paths {
        let Some(info) = infos.get(&path) else { return fail(format!("path '{path}' is not valid")) };
        // Nobody reads on: that is no error of ours.
        let _ = out.write_all(registration(info).as_bytes());
    }
    let _ = out.flush();
    Ok(())
}

fn registration(info: &PathInfo) -> String {
    let mut text = format!("{}\n{}\n{}\n", info.path, info.nar_hash.to_base16(), info.nar_size);
    let deriver = info.deriver.as_ref().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "{deriver}\n{}", info.references.len());
    for reference in &info.references {
        let _ = writeln!(text, "{reference}");
    }
    text
}

/// `--load-db`
pub fn load(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    shop.no_arguments()?;
    read_all(&*shop.store()?, true)
}

/// `--register-validity`
pub fn register(shop: &mut Shop) -> Outcome<()> {
    let [_, hash_given] = shop.switches(["--reregister", "--hash-given"])?;
    shop.no_arguments()?;
    read_all(&*shop.store()?, hash_given)
}

fn read_all(store: &Store, hash_given: bool) -> Outcome<()> {
    let mut lines = io::stdin().lock().lines();
    let mut infos = Vec::new();
    while let Some(path) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        infos.push(read_one(store, &path, hash_given, &mut lines)?);
    }
    let paths: Vec<StorePath> = infos.iter().map(|info| info.path.clone()).collect();
    store.pin(&paths)?;
    store.register(&infos, &[])?;
    Ok(store.settle()?)
}

fn read_one(
    store: &Store,
    path: &str,
    hash_given: bool,
    lines: &mut impl Iterator<Item = io::Result<String>>,
) -> Outcome<PathInfo> {
    let mut line = || match lines.next() {
        Some(line) => line.map_err(Stop::from),
        None => fail("missing input"),
    };
    let path = StorePath::from_absolute(path)?;
    let given = match hash_given {
        true => {
            let hash = Hash::parse(&line()?, Some(Algorithm::Sha256))?;
            Some((hash, number(&line()?)?))
        }
        false => None,
    };
    let deriver = line()?;
    let deriver = if deriver.is_empty() { None } else { Some(StorePath::from_absolute(&deriver)?) };
    let mut references = BTreeSet::new();
    for _ in 0..number(&line()?)? {
        references.insert(StorePath::from_absolute(&line()?)?);
    }
    let (nar_hash, nar_size) = match given {
        Some(given) => given,
        None => {
            zeval_builder::store::canonicalise(&store.physical(&path)).map_err(Stop::of)?;
            hash_nar_of_path(&store.physical(&path), Algorithm::Sha256)?
        }
    };
    Ok(PathInfo {
        path,
        nar_hash,
        nar_size,
        references,
        deriver,
        registered: now(),
        content_address: None,
        signatures: BTreeSet::new(),
        ultimate: false,
    })
}

fn number(text: &str) -> Outcome<u64> {
    text.trim().parse().map_err(|_| Stop::of(format!("'{text}' is not a number")))
}
