//! Formats every file below the given paths in memory, and says how many stay as they are, whether a second time changes
//! anything, and what fails.
//!
//! `cargo run --profile fast -p zeval-editor --example format -- PATH...`

use std::{fs, path::Path, time::Instant};

use zeval_editor::{files, format::format};

enum Outcome {
    NotText,
    Failed(String),
    Unchanged,
    Changed,
    Unstable,
}

fn main() {
    let mut paths = Vec::new();
    for path in std::env::args_os().skip(1) {
        paths.extend(files::below(Path::new(&path)).expect("a readable folder"));
    }
    let begin = Instant::now();
    let outcomes = files::for_each(&paths, |path| outcome(path)).expect("threads");
    let (mut unchanged, mut changed, mut rest) = (0, 0, 0);
    for (path, outcome) in paths.iter().zip(outcomes) {
        let path = path.display();
        match outcome {
            Outcome::NotText => println!("{path}: not UTF-8"),
            Outcome::Failed(error) => println!("{path}: {error}"),
            Outcome::Unstable => println!("{path}: changes when formatted again"),
            Outcome::Unchanged => {
                unchanged += 1;
                continue;
            }
            Outcome::Changed => {
                changed += 1;
                if std::env::var_os("LIST").is_some() {
                    println!("{path}: changed");
                }
                continue;
            }
        }
        rest += 1;
    }
    println!(
        "{} files in {:.1?}: {unchanged} unchanged, {changed} changed, {rest} otherwise",
        paths.len(),
        begin.elapsed()
    );
}

fn outcome(path: &Path) -> Outcome {
    let Ok(text) = fs::read_to_string(path) else { return Outcome::NotText };
    let once = match format(&text) {
        Ok(once) => once,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    match format(&once) {
        Ok(twice) if twice != once => Outcome::Unstable,
        Err(error) => Outcome::Failed(format!("again: {error}")),
        _ if once == text => Outcome::Unchanged,
        _ => Outcome::Changed,
    }
}
