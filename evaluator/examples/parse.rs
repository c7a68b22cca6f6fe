//! Parses every `.nix` file under the given paths, says what fails and how fast it went.
//!
//! `cargo run --release -p zeval-evaluator --example parse -- PATH...`; with `--print FILE...` each file's expression, as
//! `nix-instantiate --parse` has it

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bstr::ByteSlice;
use bumpalo::Bump;
use zeval_evaluator::syntax::error::SyntaxErrorKind;
use zeval_evaluator::syntax::print::PathBase;
use zeval_evaluator::syntax::{self, ParseOptions};

fn main() {
    let thread = std::thread::Builder::new().stack_size(2 << 30).spawn(run);
    thread.expect("a thread with a large stack").join().expect("no panic");
}

fn run() {
    let mut files = Vec::new();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "--print") {
        return arguments[1..].iter().for_each(|file| print(Path::new(file)));
    }
    for path in arguments {
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

/// Prints a file's expression or its error, each ended by NUL and line feed.
fn print(file: &Path) {
    let source = fs::read(file).expect("a readable file");
    let folder = file.parent().expect("a folder").as_os_str().as_encoded_bytes();
    let base = PathBase { folder: folder.as_bstr(), home: b"/root".as_bstr() };
    let mut line = match syntax::parse(&source, &Bump::new(), &ParseOptions::default()) {
        Ok(ast) => syntax::print::expression(&ast, base),
        Err(error) => {
            let first = match &error.kind {
                SyntaxErrorKind::DuplicateAttribute { first, .. } => format!(" at {first}"),
                _ => String::new(),
            };
            [format!("error@{} ", error.pos).as_bytes(), &error.message(), first.as_bytes()].concat()
        }
    };
    line.extend_from_slice(b"\0\n");
    std::io::stdout().write_all(&line).expect("an open standard output");
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
