//! `nix-prefetch-url`: fetches a file to the store and prints its hash.

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use zeval_builder::{
    cancel::Cancellation,
    events::{ActivityId, Silent},
    fetch::{FetchError, Mirrors, Transfer, mirrors::config_files},
    store::Store,
    unpack,
};
use zeval_model::{
    Algorithm, ContentAddress, ContentMethod, Hash, StorePath, ingest, store_path::References,
};

use super::{
    flags::{self, Common, INFO, Rest},
    nix_store::parse_algorithm,
    outcome::{Outcome, Stop, end, fail, usage},
    place,
};

const HELP: &str = "Usage: nix-prefetch-url [FLAGS] URL [HASH]

Fetches a file to the store and prints its hash.

  --type ALGORITHM   sha256 [default], sha512, sha1, md5 or blake3
  --print-path       Print the store path, too
  --unpack           Unpack the archive; the hash is that of the tree
  --executable       Make the file executable; the hash is that of its archive (NAR)
  --name NAME        What it is called in the store [default: the end of the URL]
";

#[derive(Default)]
struct Options {
    algorithm: Option<String>,
    print_path: bool,
    unpack: bool,
    executable: bool,
    name: Option<String>,
}

impl Options {
    fn take(&mut self, flag: &str, rest: &mut Rest) -> Result<bool, String> {
        let mut value = || rest.value(flag).map(|value| Some(value.to_string_lossy().into_owned()));
        match flag {
            "--type" => self.algorithm = value()?,
            "--name" => self.name = value()?,
            "--print-path" => self.print_path = true,
            "--unpack" => self.unpack = true,
            "--executable" => self.executable = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let print_path = std::env::var("PRINT_PATH").is_ok_and(|value| value == "1");
    let mut options = Options { print_path, ..Options::default() };
    let common = flags::read("nix-prefetch-url", HELP, arguments, &mut |flag, rest| options.take(flag, rest));
    match common {
        Ok(common) => end("nix-prefetch-url", run_with(&options, &common)),
        Err(code) => code,
    }
}

fn run_with(options: &Options, common: &Common) -> Outcome<()> {
    let words: Vec<String> = common.operands.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (url, expected) = match &words[..] {
        [] => return usage("you must specify a URL"),
        [url] => (url, None),
        [url, hash] => (url, Some(hash)),
        _ => return usage("too many arguments"),
    };
    let algorithm = options.algorithm.as_deref().map_or(Ok(Algorithm::Sha256), parse_algorithm)?;
    let expected = expected.map(|hash| Hash::parse(hash, Some(algorithm))).transpose()?;
    let wish = Wish {
        url,
        name: options.name.as_deref(),
        algorithm,
        expected,
        unpack: options.unpack,
        executable: options.executable,
    };
    let (path, hash) = prefetch(&*place::open(common)?, &wish)?;
    if !options.print_path && common.verbosity >= INFO {
        eprintln!("path is '{path}'");
    }
    match algorithm {
        Algorithm::Md5 => println!("{}", hash.to_base16()),
        _ => println!("{}", hash.to_nix32()),
    }
    if options.print_path {
        println!("{path}");
    }
    Ok(())
}

/// What to fetch.
pub struct Wish<'w> {
    pub url: &'w str,
    /// What it is called in the store, if not as the URL ends.
    pub name: Option<&'w str>,
    pub algorithm: Algorithm,
    pub expected: Option<Hash>,
    pub unpack: bool,
    pub executable: bool,
}

impl Wish<'_> {
    fn name(&self) -> Outcome<String> {
        if let Some(name) = self.name {
            return Ok(name.to_owned());
        }
        let end = self.url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        match end {
            "" => fail(format!("cannot figure out file name for '{}'", self.url)),
            end => Ok(end.to_owned()),
        }
    }

    fn method(&self) -> ContentMethod {
        if self.unpack || self.executable { ContentMethod::Nar } else { ContentMethod::Flat }
    }
}

/// Fetches something to the store, unless what is expected is there.
pub fn prefetch(store: &Store, wish: &Wish<'_>) -> Outcome<(StorePath, Hash)> {
    let name = wish.name()?;
    let method = wish.method();
    if let Some(hash) = wish.expected {
        let path = ContentAddress { method, hash }.store_path(&name, &References::none())?;
        store.pin([&path])?;
        if store.is_valid(&path)? {
            return Ok((path, hash));
        }
    }
    let scratch = store.temporary_folder()?;
    let file = scratch.path().join("fetched");
    fetch(store, wish, scratch.path(), &file)?;
    let made = finished(wish, scratch.path(), &file)?;
    let hash = ingest::hash_path(&made, method, wish.algorithm)?;
    if wish.expected.is_some_and(|expected| expected != hash) {
        return fail(format!("hash mismatch for '{}'", wish.url));
    }
    let path = store.adopt(&name, &made, method, wish.algorithm)?;
    store.settle()?;
    Ok((path, hash))
}

fn fetch(store: &Store, wish: &Wish<'_>, scratch: &Path, file: &Path) -> Outcome<()> {
    let here = std::env::current_dir().unwrap_or_default();
    let mirrors = Mirrors::of_machine(&config_files(&here)).map_err(Stop::of)?;
    let partial = store.layout().root().join("partial");
    let (observer, cancellation) = (Silent, Cancellation::new());
    let transfer = Transfer {
        name: wish.url,
        addresses: &[wish.url.to_owned()],
        expected: None,
        mirrors: &mirrors,
        partial: &partial,
        scratch,
        id: ActivityId::fresh(),
        observer: &observer,
        cancellation: &cancellation,
    };
    match transfer.run(file) {
        Ok(_) => Ok(()),
        Err(FetchError::NoAddressServes { attempts, .. }) => {
            let reason = attempts.into_iter().last().map(|attempt| attempt.reason.to_string());
            fail(format!("unable to download '{}': {}", wish.url, reason.unwrap_or_default()))
        }
        Err(error) => fail(error),
    }
}

/// What was fetched, as it goes to the store.
fn finished(wish: &Wish<'_>, scratch: &Path, file: &Path) -> Outcome<PathBuf> {
    if wish.unpack {
        let tree = scratch.join("tree");
        let options = unpack::Options::default();
        unpack::unpack(file, &tree, scratch, &options, &Cancellation::new()).map_err(Stop::of)?;
        return Ok(tree);
    }
    let mode = if wish.executable { 0o555 } else { 0o444 };
    fs::set_permissions(file, Permissions::from_mode(mode))?;
    Ok(file.to_owned())
}
