//! `builtin:fetchurl` as a derivation asks for it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use bstr::BString;
use zeval_model::{Algorithm, Hash, nar};

use super::Place;
use super::server::{Server, status};
use crate::builtin::Request;
use crate::events::ActivityId;
use crate::fetch::{Error, run};

fn fetch(place: &Place, variables: &[(&str, &str)]) -> Result<(), Error> {
    let env: BTreeMap<BString, BString> =
        variables.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let request = Request {
        id: ActivityId::fresh(),
        name: "thing",
        env: &env,
        output: &place.path("out"),
        store_dir: &place.path("store"),
        scratch: &place.path("scratch"),
        observer: &place.events,
        cancellation: &place.cancellation,
    };
    run(&request)
}

#[test]
fn addresses_come_from_urls_then_url() {
    let missing = Server::new(|_, stream| status(stream, "404 Not Found"));
    let good = Server::of(b"content");
    let place = Place::new();
    let urls = format!("{} {}", missing.url("/a"), missing.url("/b"));
    let hash = Hash::of(Algorithm::Sha256, b"content");
    let [base16, sri] = [hash.to_base16(), hash.to_sri()];
    fetch(
        &place,
        &[("urls", &urls), ("url", &good.url("/c")), ("outputHash", &sri), ("outputHashMode", "flat")],
    )
    .unwrap();
    assert_eq!(place.out(), b"content");
    fs::remove_file(place.path("out")).unwrap();
    fetch(&place, &[("url", &good.url("/c")), ("outputHash", &base16), ("outputHashAlgo", "sha256")])
        .unwrap();
    assert_eq!(place.out(), b"content");
    assert!(matches!(fetch(&place, &[("outputHash", &sri)]), Err(Error::NoAddress { .. })));
    assert!(matches!(fetch(&place, &[("url", "x"), ("outputHash", "y")]), Err(Error::BadHash { .. })));
}

#[test]
fn executables_and_nars_are_checked_address_by_address() {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("d")).unwrap();
    fs::write(tree.path().join("d/file"), "x").unwrap();
    let mut packed = Vec::new();
    nar::dump_path(tree.path(), &mut packed).unwrap();
    let packed_hash = Hash::of(Algorithm::Sha256, &packed).to_sri();
    let compressed: &'static [u8] = Vec::leak(zstd::encode_all(&packed[..], 1).unwrap());
    let run_file = tree.path().join("run");
    fs::write(&run_file, "#!").unwrap();
    fs::set_permissions(&run_file, fs::Permissions::from_mode(0o755)).unwrap();
    let mut run_nar = Vec::new();
    nar::dump_path(&run_file, &mut run_nar).unwrap();
    let run_hash = Hash::of(Algorithm::Sha256, &run_nar).to_sri();

    let lying = Server::of(b"something else");
    let place = Place::new();
    let good = Server::of(compressed);
    let urls = format!("{} {}", lying.url("/a"), good.url("/a"));
    let common = [("urls", urls.as_str()), ("outputHashMode", "recursive")];
    fetch(&place, &[&common[..], &[("unpack", "1"), ("outputHash", &packed_hash)]].concat()).unwrap();
    assert_eq!(fs::read(place.path("out/d/file")).unwrap(), b"x");

    let place = Place::new();
    let good = Server::of(b"#!");
    let urls = format!("{} {}", lying.url("/a"), good.url("/a"));
    let common = [("urls", urls.as_str()), ("outputHashMode", "recursive"), ("executable", "1")];
    fetch(&place, &[&common[..], &[("outputHash", &run_hash)]].concat()).unwrap();
    assert_eq!(fs::metadata(place.path("out")).unwrap().permissions().mode() & 0o777, 0o555);

    let place = Place::new();
    let urls = lying.url("/a");
    let lies = [
        ("urls", urls.as_str()),
        ("outputHashMode", "recursive"),
        ("unpack", "1"),
        ("outputHash", &packed_hash),
    ];
    let error = fetch(&place, &lies).unwrap_err().to_string();
    assert!(error.contains("no NAR"), "{error}");
    assert!(!place.path("out").exists());
}

#[test]
fn a_file_of_the_logical_store_is_read_where_the_store_is() {
    let place = Place::new();
    let name = "1017cjpgpdg6f0vvqhcby1c8v2jyn7i8-a=b?c";
    fs::create_dir_all(place.path("store")).unwrap();
    fs::write(place.path("store").join(name), "content").unwrap();
    let hash = Hash::of(Algorithm::Sha256, b"content").to_sri();
    let url = format!("file://{}/{name}", zeval_model::store_dir());
    fetch(&place, &[("url", &url), ("outputHash", &hash), ("outputHashMode", "flat")]).unwrap();
    assert_eq!(place.out(), b"content");
}
