//! Files to store paths and back, archives, exports and keys.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use zeval_builder::cancel::Cancellation;
use zeval_model::{
    Algorithm, ContentAddress, ContentMethod, Hash, nar, signature::SecretKey, store_path::References,
    tree::Modes,
};

use super::{
    super::outcome::{Outcome, Stop, fail, usage},
    Shop,
};

/// The file that an argument names, which must be there.
pub fn existing(word: &std::ffi::OsStr) -> Outcome<PathBuf> {
    let path = std::path::absolute(word)?;
    match path.symlink_metadata() {
        Ok(_) => Ok(path),
        // Nix has the slash twice.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fail(format!("path '/{}' does not exist", path.display()))
        }
        Err(error) => fail(format!("getting status of '{}': {error}", path.display())),
    }
}

pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `--add`
pub fn add(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let store = shop.store()?;
    for word in &shop.arguments {
        let path = existing(word)?;
        let added = store.add_path(&name_of(&path), &path, ContentMethod::Nar, Algorithm::Sha256)?;
        println!("{added}");
    }
    Ok(store.settle()?)
}

/// `--add-fixed`
pub fn add_fixed(shop: &mut Shop) -> Outcome<()> {
    let [recursive] = shop.switches(["--recursive"])?;
    let Some((algorithm, files)) = shop.arguments.split_first() else {
        return usage("first argument must be hash algorithm");
    };
    let algorithm = parse_algorithm(&algorithm.to_string_lossy())?;
    let method = if recursive { ContentMethod::Nar } else { ContentMethod::Flat };
    let store = shop.store()?;
    for word in files {
        let path = existing(word)?;
        if !recursive && path.is_dir() {
            return fail("read of 4096 bytes: Is a directory");
        }
        println!("{}", store.add_path(&name_of(&path), &path, method, algorithm)?);
    }
    Ok(store.settle()?)
}

/// An algorithm's name; any other word is an error of the command line.
pub fn parse_algorithm(name: &str) -> Outcome<Algorithm> {
    name.parse().map_err(|error: zeval_model::hash::HashError| Stop::Usage(error.to_string()))
}

/// `--print-fixed-path`
pub fn print_fixed_path(shop: &mut Shop) -> Outcome<()> {
    let [recursive] = shop.switches(["--recursive"])?;
    let words: Vec<String> = shop.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let [algorithm, hash, name] = &words[..] else {
        return usage("'--print-fixed-path' requires three arguments");
    };
    let method = if recursive { ContentMethod::Nar } else { ContentMethod::Flat };
    let hash = Hash::parse(hash, Some(parse_algorithm(algorithm)?))?;
    println!("{}", ContentAddress { method, hash }.store_path(name, &References::none())?);
    Ok(())
}

/// `--dump`
pub fn dump(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let [word] = &shop.arguments[..] else { return usage("only one argument allowed") };
    let path = match Path::new(word).starts_with(zeval_model::store_dir()) {
        true => {
            let store = shop.store()?;
            let (path, below) = crate::commands::store::split(&store, word.as_ref())?;
            store.physical(&path).join(below.trim_start_matches('/'))
        }
        false => existing(word)?,
    };
    Ok(nar::dump_path(&path, io::stdout().lock())?)
}

/// `--restore`
pub fn restore(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let [word] = &shop.arguments[..] else { return usage("only one argument allowed") };
    let path = Path::new(word);
    if path.symlink_metadata().is_ok() {
        return fail(format!("path '{}' already exists", path.display()));
    }
    Ok(nar::restore(io::stdin().lock(), path, Modes::Umask)?)
}

/// `--export`
pub fn export(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let store = shop.store()?;
    let paths: BTreeSet<_> = shop.paths(&store)?.into_iter().collect();
    let mut output = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    store.export(&paths, &mut output)?;
    Ok(output.flush()?)
}

/// `--import`
pub fn import(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    shop.no_arguments()?;
    let store = shop.store()?;
    let imported = store.import(io::stdin().lock(), &Cancellation::new()).map_err(|error| match error {
        zeval_builder::store::StoreError::BadExport(_) => {
            Stop::of("input doesn't look like something created by 'nix-store --export'")
        }
        error => Stop::of(error),
    })?;
    imported.iter().for_each(|path| println!("{path}"));
    Ok(store.settle()?)
}

/// `--generate-binary-cache-key`
pub fn generate_key(shop: &mut Shop) -> Outcome<()> {
    shop.switches([])?;
    let [name, secret, public] = &shop.arguments[..] else { return usage("three arguments expected") };
    let key = fresh_key(&name.to_string_lossy())?;
    fs::write(public, key.public_key().to_string())?;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(secret)?;
    Ok(file.write_all(key.to_string().as_bytes())?)
}

/// A key that nobody has.
pub fn fresh_key(name: &str) -> Outcome<SecretKey> {
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(SecretKey::from_seed(name, &seed))
}
