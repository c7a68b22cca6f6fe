//! Binary caches: written, read, served, and lying.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use zeval_builder::cache::serve::Server;
use zeval_builder::cache::{
    self, Cache, CacheError, CachedRealisation, Compression, CopyOptions, Substitution, Trust, UploadOptions,
};
use zeval_builder::cancel::Cancellation;
use zeval_builder::events::{Event, Silent};
use zeval_builder::schedule::{Builder, DrvOutput};
use zeval_builder::store::{Sharing, Store};
use zeval_model::signature::SecretKey;
use zeval_model::{Algorithm, ContentMethod, Hash, StorePath};

use crate::workshop::*;

pub const CASES: &[(&str, fn())] = &[
    ("a_closure_goes_to_a_folder_and_back", a_closure_goes_to_a_folder_and_back),
    ("a_cache_on_a_server_is_written_and_read", a_cache_on_a_server_is_written_and_read),
    ("a_server_that_takes_nothing_is_named", a_server_that_takes_nothing_is_named),
    ("what_a_cache_has_is_not_built", what_a_cache_has_is_not_built),
    ("what_nobody_trusts_or_is_damaged_is_built", what_nobody_trusts_or_is_damaged_is_built),
    (
        "what_was_signed_for_another_output_is_not_believed",
        what_was_signed_for_another_output_is_not_believed,
    ),
    ("a_store_is_served", a_store_is_served),
    ("damaged_files_are_taken_from_a_cache", damaged_files_are_taken_from_a_cache),
    ("an_export_is_imported", an_export_is_imported),
];

/// A path and one that it refers to.
fn closure(store: &Store) -> (StorePath, BTreeSet<StorePath>) {
    let dependency = store.add_text("dependency", b"text", &BTreeSet::new()).unwrap();
    let top = store.add_text("top", b"refers", &BTreeSet::from([dependency.clone()])).unwrap();
    (top.clone(), BTreeSet::from([dependency, top]))
}

fn upload(store: &Store, cache: &Cache, paths: &BTreeSet<StorePath>, options: &UploadOptions) -> usize {
    let cancellation = Cancellation::new();
    cache::copy_to(store, cache, paths, options, &cancellation, &|_, _| ()).unwrap().paths.len()
}

fn download(store: &Store, cache: &Cache, path: &StorePath) -> Result<usize, CacheError> {
    let paths = BTreeSet::from([path.clone()]);
    let options = CopyOptions::default();
    Ok(cache::copy_from(store, cache, &paths, &options, &Silent, &Cancellation::new())?.len())
}

fn cache_in(folder: &Path) -> Cache {
    Cache::new(&format!("file://{}", folder.display())).unwrap()
}

fn a_closure_goes_to_a_folder_and_back() {
    let shop = Workshop::new();
    let (top, paths) = closure(&shop.store);
    for compression in [Compression::None, Compression::Zstd, Compression::Xz, Compression::Bzip2] {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache_in(folder.path());
        let options = UploadOptions { compression, listings: true, ..UploadOptions::default() };
        assert_eq!(upload(&shop.store, &cache, &paths, &options), 2);
        assert_eq!(upload(&shop.store, &cache, &paths, &options), 0, "it is all there");
        let other = Workshop::new();
        assert_eq!(download(&other.store, &cache, &top).unwrap(), 2);
        assert_eq!(download(&other.store, &cache, &top).unwrap(), 0);
        for path in &paths {
            assert!(other.store.is_intact(path).unwrap());
            let (mut ours, theirs) = (shop.store.require(path).unwrap(), other.store.require(path).unwrap());
            ours.registered = theirs.registered;
            assert_eq!(ours, theirs);
        }
    }
}

/// A server of the files in a folder, which takes files when `takes` lets it; as many requests as come until it is dropped.
fn serve_folder(folder: &Path, takes: fn(usize) -> bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            // A client that goes away is no failure of the test's.
            let _ = answer(&stream.unwrap(), &folder, takes(number));
        }
    });
    address
}

fn answer(mut stream: &TcpStream, folder: &Path, takes: bool) -> std::io::Result<()> {
    let mut input = BufReader::new(stream);
    let mut head = String::new();
    while input.read_line(&mut head)? > 2 {}
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let file = folder.join(path.trim_start_matches('/'));
    let (status, body) = match (method, fs::read(&file)) {
        ("GET", Ok(body)) => ("200 OK", body),
        ("PUT", _) if takes => {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap()];
            input.read_exact(&mut body)?;
            fs::create_dir_all(file.parent().unwrap())?;
            fs::write(&file, body)?;
            ("201 Created", Vec::new())
        }
        ("PUT", _) => ("503 Service Unavailable", Vec::new()),
        _ => ("404 Not Found", Vec::new()),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}

fn a_cache_on_a_server_is_written_and_read() {
    let shop = Workshop::new();
    let (top, mut paths) = closure(&shop.store);
    paths.insert(add_large(&shop.store));
    let folder = tempfile::tempdir().unwrap();
    // Now and then it is too busy.
    let cache = Cache::new(&serve_folder(folder.path(), |number| number % 5 != 3)).unwrap();
    let options = UploadOptions { listings: true, ..UploadOptions::default() };
    assert_eq!(upload(&shop.store, &cache, &paths, &options), 3);
    assert_eq!(upload(&shop.store, &cache, &paths, &options), 0, "it is all there");
    let other = Workshop::new();
    assert_eq!(download(&other.store, &cache, &top).unwrap(), 2);
    for path in &paths {
        download(&other.store, &cache, path).unwrap();
        assert!(other.store.is_intact(path).unwrap());
    }
    cache::write_log(&shop.store, &cache, &top, b"a log", &Cancellation::new()).unwrap();
    assert_eq!(cache.read_log(&top, &Cancellation::new()).unwrap().unwrap(), b"a log");
}

fn a_server_that_takes_nothing_is_named() {
    let shop = Workshop::new();
    let (_, paths) = closure(&shop.store);
    let cache = Cache::new("http://127.0.0.1:9/cache").unwrap();
    let options = UploadOptions::default();
    let error = cache::copy_to(&shop.store, &cache, &paths, &options, &Cancellation::new(), &|_, _| ());
    assert!(error.unwrap_err().to_string().contains("http://127.0.0.1:9/cache"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    let cache = Cache::new(&serve_folder(folder.path(), |_| false)).unwrap();
    let error = cache::copy_to(&shop.store, &cache, &paths, &options, &Cancellation::new(), &|_, _| ());
    let text = error.unwrap_err().to_string();
    assert!(text.contains(&cache.url) && text.contains("503 Service Unavailable"), "{text}");
}

/// A path that is compressed in several pieces.
fn add_large(store: &Store) -> StorePath {
    let file = tempfile::NamedTempFile::new().unwrap();
    let numbers = (0..5_000_000_u64).map(|number| number / 3);
    fs::write(file.path(), numbers.flat_map(u64::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    store.add_path("large", file.path(), ContentMethod::Nar, Algorithm::Sha256).unwrap()
}

/// A store with a derivation built and uploaded, and signed by `key`; an input of it that nothing at run time needs is not.
fn built_and_uploaded(folder: &Path, key: &SecretKey) -> (Workshop, StorePath, StorePath) {
    let shop = Workshop::new();
    let top = add_derivations(&shop);
    let built = shop.build(&top).unwrap();
    let keys = vec![key.clone()];
    let options = UploadOptions { keys, ..UploadOptions::default() };
    upload(&shop.store, &cache_in(folder), &BTreeSet::from([built.clone()]), &options);
    (shop, top, built)
}

fn add_derivations(shop: &Workshop) -> StorePath {
    let base = shop.add(input_addressed("base", &["write $out base"]));
    let path = shop.store.derivation(&base).unwrap().outputs["out"].path().unwrap().to_string();
    let middle =
        with_input(floating("middle", Algorithm::Sha256, &["copy $base $out"]), "base", &base, &path);
    let middle = shop.add(middle);
    let stand_in = zeval_model::derivation::downstream_placeholder(&middle, "out").unwrap();
    shop.add(with_input(
        floating("top", Algorithm::Sha256, &["copy $middle $out"]),
        "middle",
        &middle,
        &stand_in,
    ))
}

fn build_with(substitution: Substitution) -> (Workshop, Recorder) {
    let mut shop = Workshop::new();
    shop.options.substitution = Some(Arc::new(substitution));
    let drv = add_derivations(&shop);
    let recorder = Recorder::default();
    let wanted = [DrvOutput { drv, output: "out".to_owned() }];
    Builder::new(&shop.store, shop.options.clone())
        .build(&wanted, &recorder, &Cancellation::new())
        .unwrap_or_else(|error| panic!("{error}"));
    (shop, recorder)
}

fn warnings(recorder: &Recorder) -> String {
    let events = recorder.0.lock().unwrap();
    let warnings = events.iter().filter_map(|event| match event {
        Event::Warning { text } => Some(format!("{text}\n")),
        _ => None,
    });
    warnings.collect()
}

fn what_a_cache_has_is_not_built() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::from_seed("test-1", &[7; 32]);
    let (_shop, _, built) = built_and_uploaded(folder.path(), &key);
    let trust = Trust { keys: vec![key.public_key()], require_signatures: true };
    let nowhere = Cache::new("file:///nowhere/at/all").unwrap();
    let caches = vec![nowhere, cache_in(folder.path())];
    let (shop, recorder) = build_with(Substitution { caches, trust });
    assert_eq!(recorder.started(), ["top"], "only fetched");
    assert!(shop.store.is_intact(&built).unwrap());
    assert!(warnings(&recorder).contains("/nowhere/at/all"), "{}", warnings(&recorder));
}

fn what_nobody_trusts_or_is_damaged_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::from_seed("test-1", &[7; 32]);
    let (_shop, _, built) = built_and_uploaded(folder.path(), &key);
    let caches = vec![cache_in(folder.path())];
    let (_, recorder) = build_with(Substitution { caches: caches.clone(), trust: Trust::default() });
    assert_eq!(recorder.started(), ["base", "middle", "top"], "the realisation's key is not trusted");

    let trust = Trust { keys: vec![key.public_key()], require_signatures: true };
    for archive in fs::read_dir(folder.path().join("nar")).unwrap() {
        let archive = archive.unwrap().path();
        let mut bytes = fs::read(&archive).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(archive, bytes).unwrap();
    }
    let (shop, recorder) = build_with(Substitution { caches: caches.clone(), trust: trust.clone() });
    assert_eq!(recorder.started(), ["top", "base", "middle", "top"], "fetched in vain, then built");
    assert!(warnings(&recorder).contains("what the cache"), "{}", warnings(&recorder));
    assert!(shop.store.is_intact(&built).unwrap());

    fs::write(folder.path().join(format!("{}.narinfo", built.hash_part())), "nonsense").unwrap();
    let (_, recorder) = build_with(Substitution { caches, trust });
    assert_eq!(recorder.started(), ["base", "middle", "top"]);
    assert!(warnings(&recorder).contains("nonsense"), "{}", warnings(&recorder));
}

fn what_was_signed_for_another_output_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::from_seed("test-1", &[7; 32]);
    let (_shop, _, built) = built_and_uploaded(folder.path(), &key);
    let mut other = CachedRealisation::new(&Hash::of(Algorithm::Sha256, b"other"), "out", built);
    other.sign(&key);
    for file in fs::read_dir(folder.path().join("realisations")).unwrap() {
        fs::write(file.unwrap().path(), other.to_json()).unwrap();
    }
    let trust = Trust { keys: vec![key.public_key()], require_signatures: true };
    let (_, recorder) = build_with(Substitution { caches: vec![cache_in(folder.path())], trust });
    assert_eq!(recorder.started(), ["base", "middle", "top"]);
    assert!(warnings(&recorder).contains("it is about"), "{}", warnings(&recorder));
}

fn a_store_is_served() {
    let shop = Workshop::new();
    let (top, paths) = closure(&shop.store);
    let drv = add_derivations(&shop);
    let built = shop.build(&drv).unwrap();
    let key = SecretKey::from_seed("test-1", &[7; 32]);
    let store = Arc::new(Store::open(shop.dir.path()).unwrap());
    let server = Server::bind(store, "127.0.0.1:0", vec![key.clone()], 30).unwrap();
    let cancellation = Cancellation::new();
    let cache = Cache::new(&format!("http://{}", server.address().unwrap())).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| server.run(&cancellation).unwrap());
        let cache = cache.clone().open(&Cancellation::new()).unwrap();
        assert_eq!(cache.priority, 30);
        let other = Workshop::new();
        assert_eq!(download(&other.store, &cache, &top).unwrap(), 2);
        assert!(paths.iter().all(|path| other.store.is_intact(path).unwrap()));
        let nothing = StorePath::from_base_name("00000000000000000000000000000000-nothing").unwrap();
        assert!(matches!(download(&other.store, &cache, &nothing), Err(CacheError::Absent { .. })));
        let trust = Trust { keys: vec![key.public_key()], require_signatures: true };
        let (other, recorder) = build_with(Substitution { caches: vec![cache], trust });
        assert_eq!(recorder.started(), ["top"]);
        assert!(other.store.is_intact(&built).unwrap());
        cancellation.cancel();
    });
}

fn damaged_files_are_taken_from_a_cache() {
    let shop = Workshop::new();
    let (top, paths) = closure(&shop.store);
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_in(folder.path());
    upload(&shop.store, &cache, &paths, &UploadOptions::default());
    shop.store.optimise(Sharing::HardLinks, &Cancellation::new(), &|_, _| ()).unwrap();
    let place = shop.store.physical(&top);
    zeval_builder::store::remove_tree(&place).unwrap();
    fs::write(&place, "other").unwrap();
    assert!(!shop.store.is_intact(&top).unwrap());
    cache::repair_from(&shop.store, &cache, &top, &Silent, &Cancellation::new()).unwrap();
    assert!(shop.store.is_intact(&top).unwrap());
}

fn an_export_is_imported() {
    let shop = Workshop::new();
    let (_, paths) = closure(&shop.store);
    let mut export = Vec::new();
    shop.store.export(&paths, &mut export).unwrap();
    let other = Workshop::new();
    let imported = other.store.import(&export[..], &Cancellation::new()).unwrap();
    assert_eq!(imported.len(), 2);
    for path in &paths {
        assert!(other.store.is_intact(path).unwrap());
        assert_eq!(
            other.store.require(path).unwrap().content_address,
            shop.store.require(path).unwrap().content_address
        );
    }
    for end in (0..export.len()).step_by(7) {
        assert!(Workshop::new().store.import(&export[..end], &Cancellation::new()).is_err(), "{end}");
    }
}
