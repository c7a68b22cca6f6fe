//! Archives: what Nix 2.34.8 writes of a tree, what it refuses and in which words, and round trips.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use proptest::prelude::*;
use zeval_model::ingest::{hash_nar_of_path, hash_path};
use zeval_model::nar::{self, Reader, Writer};
use zeval_model::store_path::{References, content_path};
use zeval_model::tree::{Event, FileType, Modes, TreeError, TreeSource};
use zeval_model::{Algorithm, ContentMethod};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/nar").join(name)
}

/// The tree whose archive is tests/data/nar/tree.nar. It has names that sort differently as bytes, as git sorts and as
/// text, one that is not UTF-8, and every kind of file.
fn make_tree(parent: &Path) -> PathBuf {
    let root = parent.join("tree");
    for directory in ["dir/sub", "empty", "a"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let not_utf8 = std::ffi::OsString::from_vec(b"dir/\xff\xfe".to_vec());
    for (name, content) in [
        (Path::new("f"), "hi\n"),
        (Path::new("exe"), "x"),
        (Path::new("dir/a-b"), "z\n"),
        (Path::new("a.b"), "y\n"),
        (Path::new("a/file"), "q\n"),
        (Path::new("a0"), "w\n"),
        (Path::new(&not_utf8), "e\n"),
        (Path::new("dir/B"), "\n"),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    fs::set_permissions(root.join("exe"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../nowhere", root.join("link")).unwrap();
    symlink("a", root.join("dir/l")).unwrap();
    root
}

fn dump(path: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    nar::dump_path(path, &mut archive).unwrap();
    archive
}

/// Reads an archive to its end, contents included.
fn read_all(archive: &[u8]) -> Result<Vec<(Event, Vec<u8>)>, TreeError> {
    let mut reader = Reader::new(archive);
    let mut events = Vec::new();
    while let Some(event) = reader.next_event()? {
        let mut contents = Vec::new();
        if let Event::Regular { .. } = event {
            reader.contents().read_to_end(&mut contents)?;
        }
        events.push((event, contents));
    }
    Ok(events)
}

fn skip_through(archive: &[u8]) -> Result<(), TreeError> {
    let mut reader = Reader::new(archive);
    while reader.next_event()?.is_some() {}
    Ok(())
}

#[test]
fn a_tree_is_archived_as_by_nix() {
    let folder = tempfile::tempdir().unwrap();
    let tree = make_tree(folder.path());
    let archive = dump(&tree);
    assert_eq!(archive.as_bstr(), fs::read(data("tree.nar")).unwrap().as_bstr());
    let (hash, size) = hash_nar_of_path(&tree, Algorithm::Sha256).unwrap();
    assert_eq!(hash.to_base16(), "8092ea71acf13ab009061f2e4e491d24ac0290921d93c1ae3c57765afb909e99");
    assert_eq!(size, archive.len() as u64);
}

/// `nix store add --mode METHOD --hash-algo ALGORITHM`.
#[test]
fn content_addressed_paths_are_those_of_nix() {
    use Algorithm::{Blake3, Md5, Sha1, Sha256, Sha512};
    use ContentMethod::{Flat, Git, Nar, Text};
    let folder = tempfile::tempdir().unwrap();
    let tree = make_tree(folder.path());
    for (file, method, algorithm, expected) in [
        ("f", Flat, Sha256, "hrbblgbxbvz8al5a8l85i8giajyajiwj-f"),
        ("f", Nar, Sha256, "ab3li50xq0nl4q5lxdyinb8w8y13my9s-f"),
        ("f", Git, Sha256, "m6is8ycgswmf2i7asga07wd6pg1zarps-f"),
        ("f", Text, Sha256, "pxlr4d0c269bdcgwycbry1yvqifv5knw-f"),
        ("exe", Flat, Sha1, "8z4wnh934sn8n7mwawn1n1fhrsz13r23-exe"),
        ("exe", Nar, Sha1, "2jwk7f4ph5fldihxfwkzfg298zd8m6kw-exe"),
        ("exe", Git, Sha1, "qab8w0gmvhsxpqdphy1spaa3026y5vxa-exe"),
        ("link", Git, Sha1, "zwg9anz33awvjh5qviy06c6jqb2pinqm-link"),
        ("", Git, Sha1, "x8m5wm46ank2mk7f05ijirf4p6ld4rxk-tree"),
        ("", Git, Sha256, "242d63adx5z9c7wmg81dg6avvmks0vwy-tree"),
        ("", Nar, Md5, "8vfig2cfhysj3pfk8xmnhcni68w2a31a-tree"),
        ("", Nar, Sha1, "qkrvlx22fwp7wbbccsc9w22i4zccc23x-tree"),
        ("", Nar, Sha256, "05xsvl0lqv28mpb84amhsqyyp9fdaggv-tree"),
        ("", Nar, Sha512, "vmcddkpznnxn0zfbq2n8hcczyfxpqa3k-tree"),
        ("", Nar, Blake3, "c9zia1xaffz4bfjyng7xb3lp8wz59bvq-tree"),
    ] {
        let hash = hash_path(&tree.join(file), method, algorithm).unwrap();
        let name = if file.is_empty() { "tree" } else { file };
        let path = content_path(method, &hash, name, &References::none()).unwrap();
        assert_eq!(path.base_name(), expected);
    }
    let git = hash_path(&tree, Git, Sha1).unwrap();
    assert_eq!(git.to_base16(), "bd13b1d404e13d86b58196fd622783886edd0983");
    let empty = hash_path(&tree.join("empty"), Git, Sha1).unwrap();
    assert_eq!(empty.to_base16(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

#[test]
fn flat_hashes_are_of_regular_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let tree = make_tree(folder.path());
    for (file, found) in [("link", "symlink"), ("dir", "directory")] {
        let error = hash_path(&tree.join(file), ContentMethod::Flat, Algorithm::Sha256).unwrap_err();
        assert!(error.to_string().contains(&format!("{file}' is a {found}")), "{error}");
    }
    let error = hash_path(&tree.join("none"), ContentMethod::Flat, Algorithm::Sha256).unwrap_err();
    assert!(error.to_string().ends_with("none': No such file or directory"), "{error}");
}

#[test]
fn refuses_what_nix_refuses_in_its_words() {
    let messages = fs::read_to_string(data("refused/messages.tsv")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(messages.lines().count() >= 40);
    for line in messages.lines() {
        let (name, message) = line.split_once('\t').unwrap();
        let message = message.replace("\\0", "\0");
        let archive = fs::read(data(&format!("refused/{name}.nar"))).unwrap();
        assert_eq!(read_all(&archive).unwrap_err().to_string(), message, "{name}");
        assert_eq!(skip_through(&archive).unwrap_err().to_string(), message, "{name}, skipping contents");
        let destination = folder.path().join(name);
        let error = nar::restore(archive.as_slice(), &destination, Modes::Umask).unwrap_err();
        assert_eq!(error.to_string(), message, "{name}, restoring");
    }
}

#[test]
fn accepts_the_largest_that_nix_accepts() {
    for name in ["deep-63", "name-255", "target-4095"] {
        let archive = fs::read(data(&format!("{name}.nar"))).unwrap();
        read_all(&archive).unwrap();
        let folder = tempfile::tempdir().unwrap();
        nar::restore(archive.as_slice(), &folder.path().join("x"), Modes::Umask).unwrap();
        assert_eq!(dump(&folder.path().join("x")), archive);
    }
}

#[test]
fn every_truncation_is_refused() {
    let archive = fs::read(data("tree.nar")).unwrap();
    for length in 0..archive.len() {
        assert!(matches!(read_all(&archive[..length]), Err(TreeError::UnexpectedEnd)), "{length}");
    }
}

#[test]
fn reading_stops_at_the_end() {
    let mut archive = fs::read(data("tree.nar")).unwrap();
    archive.extend_from_slice(b"more");
    let mut reader = Reader::new(archive.as_slice());
    while reader.next_event().unwrap().is_some() {}
    assert_eq!(reader.into_inner(), b"more");
}

/// Events that no archive can hold: restoring trusts no source.
struct Forged(Vec<Event>);

impl TreeSource for Forged {
    fn next_event(&mut self) -> Result<Option<Event>, TreeError> {
        Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
    }

    fn contents(&mut self) -> &mut dyn Read {
        Box::leak(Box::new(std::io::empty()))
    }
}

#[test]
fn restoring_stays_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let start = |name: &[u8]| Event::DirectoryStart { name: name.into() };
    let file = |name: &[u8]| Event::Regular { name: name.into(), executable: false, size: 0 };
    let link =
        |name: &[u8]| Event::Symlink { name: name.into(), target: outside.as_os_str().as_bytes().into() };
    let attacks = [
        vec![start(b""), file(b"../outside/pwned")],
        vec![start(b""), start(b".."), start(b"outside"), file(b"pwned")],
        vec![start(b""), file(outside.join("pwned").as_os_str().as_bytes())],
        vec![start(b""), link(b"l"), start(b"l"), file(b"pwned")],
        vec![start(b""), link(b"l"), file(b"l/pwned")],
        vec![start(b""), link(b"l"), file(b"l")],
        vec![start(b""), file(b"x"), file(b"x")],
        vec![file(b"pwned")],
        vec![start(b""), Event::DirectoryEnd, Event::DirectoryEnd],
        vec![start(b""), Event::DirectoryEnd, file(b"outside/pwned")],
        vec![start(b"")],
    ];
    for (number, attack) in attacks.into_iter().enumerate() {
        let destination = folder.path().join(format!("destination{number}"));
        let result = zeval_model::tree::restore(&mut Forged(attack), &destination, Modes::Umask);
        assert!(result.is_err(), "attack {number}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn restoring_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let destination = folder.path().join("destination");
    symlink(&outside, &destination).unwrap();
    let archive = fs::read(data("tree.nar")).unwrap();
    let error = nar::restore(archive.as_slice(), &destination, Modes::Umask).unwrap_err();
    assert!(error.to_string().ends_with("destination': File exists"), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn store_modes_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().join("x");
    let archive = fs::read(data("tree.nar")).unwrap();
    nar::restore(archive.as_slice(), &destination, Modes::Store).unwrap();
    for (file, mode) in [("", 0o555), ("f", 0o444), ("exe", 0o555), ("dir/sub", 0o555), ("link", 0o777)] {
        let metadata = fs::symlink_metadata(destination.join(file)).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (mode, 1), "{file}");
    }
    assert_eq!(dump(&destination), archive);
    for directory in ["", "a", "dir", "dir/sub", "empty"] {
        fs::set_permissions(destination.join(directory), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_filter_sees_paths_and_types_and_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let tree = make_tree(folder.path());
    nix::unistd::mkfifo(&tree.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut seen = Vec::new();
    let mut archive = Vec::new();
    let mut filter = |path: &Path, kind: FileType| {
        seen.push((path.strip_prefix(&tree).unwrap().to_owned(), kind.name()));
        Ok(!matches!(path.file_name().unwrap().as_bytes(), b"dir" | b"fifo" | b"a0"))
    };
    nar::dump_path_filtered(&tree, &mut archive, &mut filter).unwrap();
    let seen: Vec<_> = seen.iter().map(|(path, kind)| (path.to_str().unwrap(), *kind)).collect();
    assert_eq!(
        seen,
        [
            ("a", "directory"),
            ("a/file", "regular"),
            ("a.b", "regular"),
            ("a0", "regular"),
            ("dir", "directory"),
            ("empty", "directory"),
            ("exe", "regular"),
            ("f", "regular"),
            ("fifo", "unknown"),
            ("link", "symlink"),
        ]
    );
    let without = folder.path().join("without");
    nar::restore(archive.as_slice(), &without, Modes::Umask).unwrap();
    fs::remove_file(tree.join("fifo")).unwrap();
    fs::remove_file(tree.join("a0")).unwrap();
    fs::remove_dir_all(tree.join("dir")).unwrap();
    assert_eq!(archive, dump(&tree));
}

#[test]
fn unsupported_files_and_failing_filters_end_the_dump() {
    let folder = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = nar::dump_path(folder.path(), Vec::new()).unwrap_err();
    assert!(error.to_string().ends_with("fifo' has an unsupported type"), "{error}");
    let mut filter = |_: &Path, _: FileType| Err("no".into());
    let error = nar::dump_path_filtered(folder.path(), Vec::new(), &mut filter).unwrap_err();
    assert!(matches!(error, TreeError::Filter(cause) if cause.to_string() == "no"));
}

/// A tree in memory.
#[derive(Clone, Debug)]
enum Tree {
    Regular { executable: bool, contents: Vec<u8> },
    Symlink(BString),
    Directory(BTreeMap<BString, Tree>),
}

impl Tree {
    fn write(&self, name: &BStr, writer: &mut Writer<Vec<u8>>) -> Result<(), TreeError> {
        match self {
            Tree::Regular { executable, contents } => {
                writer.regular(name, *executable, contents.len() as u64, &mut contents.as_slice())
            }
            Tree::Symlink(target) => writer.symlink(name, target.as_ref()),
            Tree::Directory(entries) => {
                writer.start_directory(name)?;
                for (name, tree) in entries {
                    tree.write(name.as_ref(), writer)?;
                }
                writer.end_directory()
            }
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let name = prop::collection::vec(any::<u8>(), 1..6)
        .prop_filter("not a file name", |name| zeval_model::tree::is_valid_name(name));
    let target = prop::collection::vec(1..=255u8, 1..20);
    let leaf = prop_oneof![
        (any::<bool>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(executable, contents)| Tree::Regular { executable, contents }),
        target.prop_map(|target| Tree::Symlink(target.into())),
        Just(Tree::Regular { executable: false, contents: vec![7; 200_000] }),
    ];
    leaf.prop_recursive(5, 30, 6, move |inner| {
        prop::collection::btree_map(name.clone().prop_map(BString::from), inner, 0..6)
            .prop_map(Tree::Directory)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn archives_survive_reading_and_the_file_system(tree in trees()) {
        let mut writer = Writer::new(Vec::new());
        tree.write(BStr::new(b""), &mut writer).unwrap();
        let archive = writer.finish().unwrap();
        let mut copied = Vec::new();
        nar::copy(&mut Reader::new(archive.as_slice()), &mut copied).unwrap();
        prop_assert!(copied == archive);
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("x");
        nar::restore(archive.as_slice(), &destination, Modes::Umask).unwrap();
        prop_assert!(dump(&destination) == archive);
    }

    #[test]
    fn damaged_archives_do_not_panic(position in 0..2700usize, value in any::<u8>()) {
        let mut archive = fs::read(data("tree.nar")).unwrap();
        archive[position] = value;
        if let Ok(events) = read_all(&archive) {
            // What is accepted must be canonical.
            let mut copied = Vec::new();
            nar::copy(&mut Reader::new(archive.as_slice()), &mut copied).unwrap();
            prop_assert!(copied == archive);
            prop_assert!(!events.is_empty());
        }
    }
}

/// The words of an archive, each with its length and padding.
fn words(archive: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = archive;
    while let Some((length, _)) = rest.split_at_checked(8) {
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let (word, after) = rest.split_at(8 + length.next_multiple_of(8));
        words.push(word.to_vec());
        rest = after;
    }
    words
}

fn word(text: &[u8]) -> Vec<u8> {
    let mut word = (text.len() as u64).to_le_bytes().to_vec();
    word.extend_from_slice(text);
    word.resize(word.len().next_multiple_of(8), 0);
    word
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    /// Words moved about, left out, repeated and replaced: what is accepted is canonical, and nothing is written outside.
    #[test]
    fn archives_with_their_words_in_disorder(
        changes in proptest::collection::vec((any::<usize>(), any::<usize>(), 0..6u8), 1..5),
        cut in proptest::option::of(any::<usize>()),
    ) {
        let strange: [&[u8]; 9] = [b"..", b".", b"", b"../x", b"/etc", b"a\0b", b"symlink", b")", b"directory"];
        let mut words = words(&fs::read(data("tree.nar")).unwrap());
        for (from, to, what) in changes {
            let (from, to) = (from % words.len(), to % words.len());
            match what {
                0 => words.swap(from, to),
                1 => drop(words.remove(from)),
                2 => words.insert(to, words[from].clone()),
                3 => words[to] = words[from].clone(),
                4 => words[from] = word(strange[to % strange.len()]),
                _ => {
                    let length = words[from].len();
                    words[from][to % length] ^= 0x41;
                }
            }
        }
        let mut archive = words.concat();
        archive.truncate(cut.map_or(archive.len(), |cut| cut % archive.len()));
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let restored = nar::restore(archive.as_slice(), &inner.join("x"), Modes::Umask).is_ok();
        prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        prop_assert!(fs::read_dir(&inner).unwrap().count() <= 1);
        if restored {
            prop_assert!(archive.starts_with(&dump(&inner.join("x"))));
        }
    }
}

#[test]
fn a_tree_that_is_copied_is_archived_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    fs::create_dir(&root).unwrap();
    // Around the sizes of buffers.
    for size in [0, 1, 7, 8, 1000, 32_000, 40_000, 65_535, 65_536, 65_600, 130_000, 131_072, 131_073, 500_000]
    {
        fs::write(root.join(format!("{size:07}")), vec![size as u8; size]).unwrap();
    }
    let mut everything = zeval_model::tree::everything;
    let mut walker = zeval_model::tree::Walker::new(&root, &mut everything);
    let mut tee = nar::Tee::new(&mut walker, Vec::new());
    zeval_model::tree::restore(&mut tee, &folder.path().join("copy"), Modes::Umask).unwrap();
    let archive = tee.finish().unwrap();
    assert!(archive == dump(&root));
    assert!(archive == dump(&folder.path().join("copy")));
}

#[test]
fn writers_refuse_disorder() {
    let mut nothing = std::io::empty();
    let mut writer = Writer::new(Vec::new());
    assert!(writer.regular(BStr::new("named"), false, 0, &mut nothing).is_err());
    writer.start_directory(BStr::new("")).unwrap();
    writer.symlink(BStr::new("b"), BStr::new("x")).unwrap();
    for name in ["a", "b", "", ".", "..", "c/d", "c\0"] {
        assert!(writer.symlink(BStr::new(name), BStr::new("x")).is_err(), "{name}");
    }
    assert!(writer.symlink(BStr::new("c"), BStr::new("")).is_err());
    assert!(writer.regular(BStr::new("d"), false, 1, &mut nothing).is_err());
    let mut writer = Writer::new(Vec::new());
    writer.start_directory(BStr::new("")).unwrap();
    assert!(writer.finish().is_err());
}
