//! A store of one's own and derivations to build in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use bstr::BString;
use zeval_builder::build::BuildOptions;
use zeval_builder::cancel::Cancellation;
use zeval_builder::events::{Event, Observer};
use zeval_builder::sandbox::Bind;
use zeval_builder::schedule::{Builder, Built, DrvOutput, RealiseError};
use zeval_builder::store::Store;
use zeval_model::derivation::HashCache;
use zeval_model::{Algorithm, ContentMethod, Derivation, Hash, InputOutputs, Output, StorePath};

use crate::helper;

/// Where builds find this program.
const HELPER: &str = "/test/helper";

/// This program where every user may read it, whatever the permissions of the folder it was made in. The processes that a
/// test starts share the copy of theirs: they end without tidying up.
static READABLE_SELF: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = copy_folder();
    let copy = folder.join("helper");
    if !copy.exists() {
        fs::create_dir_all(&folder).unwrap();
        let partial = folder.join(std::process::id().to_string());
        fs::copy(std::env::current_exe().unwrap(), &partial).unwrap();
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(partial, &copy).unwrap();
    }
    copy
});

fn copy_folder() -> PathBuf {
    let own = if crate::is_child() { std::os::unix::process::parent_id() } else { std::process::id() };
    std::env::temp_dir().join(format!("zeval-builds-{own}"))
}

/// Removes the copy of this program, after all tests.
pub fn remove_copy() {
    if let Err(error) = fs::remove_dir_all(copy_folder()) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    }
}

/// A store in a temporary folder.
pub struct Workshop {
    // Removed after the store is closed.
    pub store: Store,
    pub options: BuildOptions,
    pub dir: Scratch,
}

/// A temporary folder that may hold a store, whose files are write-protected. Only its owner may enter it, which must not
/// keep the sandbox's user out.
pub struct Scratch(Option<PathBuf>);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(Some(tempfile::tempdir().unwrap().keep()))
    }

    /// Somebody else's, which is not removed.
    pub fn borrowed() -> Scratch {
        Scratch(None)
    }

    pub fn path(&self) -> &Path {
        self.0.as_deref().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.0.iter().for_each(|folder| zeval_builder::store::remove_tree(folder).unwrap());
    }
}

impl Workshop {
    pub fn new() -> Workshop {
        Workshop::at(Scratch::new())
    }

    pub fn at(dir: Scratch) -> Workshop {
        let store = Store::open(dir.path()).unwrap();
        Workshop { store, options: options(), dir }
    }

    /// Writes a derivation to the store.
    pub fn add(&self, mut drv: Derivation) -> StorePath {
        let hashes = HashCache::new(|path: &StorePath| self.store.read_derivation(path));
        let instantiated = drv.instantiate(&hashes).unwrap();
        self.store.write_derivations(std::slice::from_ref(&instantiated)).unwrap();
        instantiated.path
    }

    pub fn build(&self, drv: &StorePath) -> Result<StorePath, RealiseError> {
        self.build_output(drv, "out")
    }

    pub fn build_output(&self, drv: &StorePath, output: &str) -> Result<StorePath, RealiseError> {
        let wanted = DrvOutput { drv: drv.clone(), output: output.to_owned() };
        Ok(self.build_all(&[wanted], &Recorder::default())?.remove(0).path)
    }

    pub fn build_all(
        &self,
        wanted: &[DrvOutput],
        observer: &dyn Observer,
    ) -> Result<Vec<Built>, RealiseError> {
        Builder::new(&self.store, self.options.clone()).build(wanted, observer, &Cancellation::new())
    }

    /// Builds `out` and reads it.
    pub fn read(&self, drv: &StorePath) -> String {
        let path = self.build(drv).unwrap_or_else(|error| panic!("{error}"));
        fs::read_to_string(self.store.physical(&path)).unwrap()
    }

    pub fn references(&self, path: &StorePath) -> BTreeSet<StorePath> {
        self.store.require(path).unwrap().references
    }
}

pub fn options() -> BuildOptions {
    let mut sandbox_paths = vec![bind(&READABLE_SELF, Path::new(HELPER))];
    sandbox_paths.extend(libraries().into_iter().map(|library| bind(&library.0, &library.1)));
    BuildOptions { sandbox_paths, timeout: Some(Duration::from_secs(60)), ..BuildOptions::default() }
}

fn bind(source: &Path, target: &Path) -> Bind {
    Bind { source: source.to_owned(), target: target.to_owned(), writable: false }
}

/// The dynamic loader and the libraries of this program: where they are, and where they are looked for.
fn libraries() -> Vec<(PathBuf, PathBuf)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let files: BTreeSet<PathBuf> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| path.contains(".so"))
        .map(PathBuf::from)
        .collect();
    let mut all: Vec<_> = files.into_iter().map(|path| (path.clone(), path)).collect();
    if let Some(loader) = loader() {
        all.push((loader.canonicalize().unwrap(), loader));
    }
    all
}

/// The interpreter that this program's ELF header names, if it is dynamic.
fn loader() -> Option<PathBuf> {
    let program = fs::read(std::env::current_exe().unwrap()).unwrap();
    let head = &program[..program.len().min(4096)];
    let start = head.windows(4).position(|window| window == b"/lib")?;
    let length = head[start..].iter().position(|&byte| byte == 0)?;
    Some(PathBuf::from(String::from_utf8(head[start..start + length].to_vec()).unwrap()))
}

/// A derivation that runs these commands of the helper.
pub fn derivation(name: &str, output: Output, commands: &[&str]) -> Derivation {
    let mut args = vec![BString::from(helper::ENTRY)];
    args.extend(commands.iter().map(|command| BString::from(*command)));
    Derivation {
        name: name.to_owned(),
        outputs: BTreeMap::from([("out".to_owned(), output)]),
        platform: BString::from(format!("{}-linux", std::env::consts::ARCH)),
        builder: BString::from(HELPER),
        args,
        ..Derivation::default()
    }
}

pub fn input_addressed(name: &str, commands: &[&str]) -> Derivation {
    derivation(name, Output::Deferred, commands)
}

pub fn floating(name: &str, algorithm: Algorithm, commands: &[&str]) -> Derivation {
    derivation(name, Output::Floating { method: ContentMethod::Nar, algorithm }, commands)
}

pub fn fixed(name: &str, content: &str, commands: &[&str]) -> Derivation {
    let hash = Hash::of(Algorithm::Sha256, content.as_bytes());
    derivation(name, Output::fixed(ContentMethod::Flat, hash, name, "out").unwrap(), commands)
}

/// Makes an output of another derivation an input and its path, or what stands for it, a variable.
pub fn with_input(mut drv: Derivation, variable: &str, input: &StorePath, value: &str) -> Derivation {
    drv.input_derivations.insert(input.clone(), InputOutputs::of("out"));
    with_variable(drv, variable, value)
}

pub fn with_variable(mut drv: Derivation, name: &str, value: &str) -> Derivation {
    drv.env.insert(BString::from(name), BString::from(value));
    drv
}

/// How many processes of this machine have `text` in an argument.
pub fn processes_with(text: &str) -> usize {
    let arguments = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.ok()?.path().join("cmdline")).ok();
    let processes = fs::read_dir("/proc").unwrap().filter_map(arguments);
    processes
        .filter(|arguments| arguments.split(|&byte| byte == 0).any(|word| word == text.as_bytes()))
        .count()
}

/// Remembers what happened.
#[derive(Default)]
pub struct Recorder(pub Mutex<Vec<Event>>);

impl Recorder {
    /// The names of the derivations that were begun, in order.
    pub fn started(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let started = events.iter().filter_map(|event| match event {
            Event::Started { name, .. } => Some(name.clone()),
            _ => None,
        });
        started.collect()
    }
}

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}
