//! What `--profile` and `--stats` measure of an evaluation, and where it goes.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value as Json, json};
use zeval_evaluator::{
    Evaluator, Symbol,
    profile::Profiler,
    store::{Filter, Source, Store, StoreError},
    value::context::Built,
};
use zeval_model::{
    Derivation,
    derivation::Instantiated,
    store_path::{References, StorePath},
};

/// What is measured.
pub struct Measure {
    profile: Option<PathBuf>,
    stats: bool,
    start: Instant,
    times: Arc<StoreTimes>,
}

impl Measure {
    /// Measures from now on.
    pub fn new(profile: Option<PathBuf>, stats: bool) -> Measure {
        Measure { profile, stats, start: Instant::now(), times: Arc::default() }
    }

    /// The store to evaluate with: what it does is timed if that is wanted.
    pub fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self.stats {
            true => Arc::new(TimedStore { store, times: Arc::clone(&self.times) }),
            false => store,
        }
    }

    /// Evaluates, and writes down what was measured.
    pub fn watch<T>(&self, evaluator: &mut Evaluator, work: impl FnOnce(&mut Evaluator) -> T) -> T {
        if self.profile.is_some() {
            evaluator.set_profiler(Profiler::default());
        }
        let result = work(evaluator);
        if let Some(file) = &self.profile {
            write_profile(evaluator, file);
        }
        if self.stats {
            eprintln!("{:#}", self.stats(evaluator));
        }
        result
    }

    fn stats(&self, evaluator: &Evaluator) -> Json {
        let counts = evaluator.total_stats();
        let total = self.start.elapsed();
        let store = self.times.total();
        let evaluation = total.saturating_sub(store).saturating_sub(counts.load_time);
        json!({
            "time": {
                "total": seconds(total),
                "evaluate": seconds(evaluation),
                "parse": seconds(counts.load_time),
                "store": seconds(store),
                "cpu": seconds(cpu_time()),
            },
            "files": counts.files,
            "calls": counts.calls,
            "builtinCalls": counts.builtin_calls,
            "thunks": counts.thunks,
            "attributeSets": evaluator.heap.sets(),
            "merges": counts.updates,
            "names": Symbol::count(),
            "bytes": evaluator.heap.allocated(),
            "residentBytes": resident_bytes(),
            "store": self.times.counts(),
        })
    }
}

/// Counts in the form and with the names of Nix's `NIX_SHOW_STATS`, as far as they mean the same here.
pub fn nix_stats(evaluator: &Evaluator) -> Json {
    let counts = evaluator.total_stats();
    let cpu = seconds(cpu_time());
    json!({
        "cpuTime": cpu,
        "gc": { "heapSize": evaluator.heap.allocated(), "totalBytes": evaluator.heap.allocated() },
        "nrFunctionCalls": counts.calls,
        "nrOpUpdates": counts.updates,
        "nrPrimOpCalls": counts.builtin_calls,
        "nrThunks": counts.thunks,
        "sets": { "number": evaluator.heap.sets() },
        "symbols": { "number": Symbol::count() },
        "time": { "cpu": cpu },
    })
}

/// Writes what the profiler measured.
pub fn write_profile(evaluator: &mut Evaluator, file: &Path) {
    let Some(profile) = evaluator.take_profile() else { return };
    let is_picture = file.extension().is_some_and(|ending| ending == "svg");
    let title = format!("zeval: {:.1} ms of evaluation", profile.total().as_secs_f64() * 1e3);
    let text = if is_picture { profile.svg(&title) } else { profile.folded() };
    match std::fs::write(file, text) {
        Ok(()) => eprintln!("{title}, profiled in {}", file.display()),
        Err(error) => eprintln!("warning: the profile cannot be written to '{}': {error}", file.display()),
    }
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

/// What this process used of the processors so far.
fn cpu_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let times = [usage.user_time(), usage.system_time()];
    times.iter().map(|time| Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()) as u64)).sum()
}

/// The most memory that this process had.
fn resident_bytes() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss() * 1024)
}

/// How often each operation of the store was asked for, and how long it took.
#[derive(Default)]
struct StoreTimes {
    sources: Operation,
    texts: Operation,
    derivations: Operation,
    reads: Operation,
    builds: Operation,
    lookups: Operation,
}

#[derive(Default)]
struct Operation {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Operation {
    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

impl StoreTimes {
    fn all(&self) -> [(&'static str, &Operation); 6] {
        [
            ("sourcesAdded", &self.sources),
            ("textsAdded", &self.texts),
            ("derivationsAdded", &self.derivations),
            ("derivationsRead", &self.reads),
            ("builds", &self.builds),
            ("lookups", &self.lookups),
        ]
    }

    fn total(&self) -> Duration {
        self.all().iter().map(|(_, operation)| operation.elapsed()).sum()
    }

    fn counts(&self) -> Json {
        let entry = |(name, operation): (&'static str, &Operation)| {
            let count = operation.count.load(Ordering::Relaxed);
            (name.to_owned(), json!({ "count": count, "time": seconds(operation.elapsed()) }))
        };
        Json::Object(self.all().into_iter().map(entry).collect())
    }
}

/// A store whose operations are timed.
struct TimedStore {
    store: Arc<dyn Store>,
    times: Arc<StoreTimes>,
}

impl Store for TimedStore {
    fn add_source<'f>(
        &self,
        source: &Source<'_>,
        filter: &'f mut Filter<'f>,
    ) -> Result<StorePath, StoreError> {
        self.times.sources.time(|| self.store.add_source(source, filter))
    }

    fn add_text(
        &self,
        name: &str,
        contents: &[u8],
        references: &References,
    ) -> Result<StorePath, StoreError> {
        self.times.texts.time(|| self.store.add_text(name, contents, references))
    }

    fn add_derivation(&self, derivation: &Derivation, instantiated: &Instantiated) -> Result<(), StoreError> {
        self.times.derivations.time(|| self.store.add_derivation(derivation, instantiated))
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Derivation, StoreError> {
        self.times.reads.time(|| self.store.read_derivation(path))
    }

    fn realise(&self, wanted: &[&Built]) -> Result<Vec<StorePath>, StoreError> {
        self.times.builds.time(|| self.store.realise(wanted))
    }

    fn references(&self, path: &StorePath) -> Vec<StorePath> {
        self.times.lookups.time(|| self.store.references(path))
    }

    fn physical(&self, logical: &Path) -> PathBuf {
        self.store.physical(logical)
    }

    fn is_valid(&self, path: &StorePath) -> bool {
        self.times.lookups.time(|| self.store.is_valid(path))
    }
}
