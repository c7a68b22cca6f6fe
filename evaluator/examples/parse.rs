//! Parses every `.nix` file under the given paths, says what fails and how fast it went.
//!
//! `cargo run --release -p zeval-evaluator --example parse -- [--print] PATH...`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bumpalo::Bump;
use zeval_evaluator::syntax::{self, ParseOptions};

fn main() {
    let thread = std::thread::Builder::new().stack_size(2 << 30).spawn(run);
    thread.expect("a thread with a large stack").join().expect("no panic");
}

fn run() {
    let mut files = Vec::new();
    for path in std::env::args().skip(1) {
        collect(Path::new(&path), &mut files);
    }
    let sources: Vec<_> = files.iter().map(|file| fs::read(file).expect("a readable file")).collect();
    let mut failed = 0;
    let mut times = Vec::new();
    for round in 0..5 {
        let mut arena = Bump::new();
        let begin = Instant::now();
        for (file, source) in files.iter().zip(&sources) {
            arena.reset();
            if let Err(error) = syntax::parse(source, &arena, &ParseOptions::default())
                && round == 0
            {
                failed += 1;
                println!("{}:{}: {error}", file.display(), error.pos);
            }
        }
        times.push(begin.elapsed());
    }
    let bytes: usize = sources.iter().map(Vec::len).sum();
    let best = times.iter().min().copied().unwrap_or(Duration::ZERO);
    let speed = bytes as f64 / 1e6 / best.as_secs_f64();
    println!(
        "{} files, {failed} failed, {:.1} MB in {best:.1?}: {speed:.0} MB/s",
        files.len(),
        bytes as f64 / 1e6
    );
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_symlink() {
        return;
    }
    if path.is_dir() {
        let mut entries: Vec<_> =
            fs::read_dir(path).expect("a readable folder").flatten().map(|e| e.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| collect(entry, files));
    } else if path.extension().is_some_and(|extension| extension == "nix") {
        files.push(path.to_owned());
    }
}
