//! The book, read by a test: its links lead somewhere, and its commands are commands of this program.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use clap::{Parser as _, error::ErrorKind};

use super::Cli;

fn pages() -> HashMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src");
    let files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the book").map(|entry| entry.expect("an entry").path()).collect();
    let pages = files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "md"));
    pages
        .map(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read_to_string(file).expect("a page"))
        })
        .collect()
}

/// The lines of a page that are no code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence && !line.starts_with("    ")
    })
}

/// The anchor that mdBook gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

fn anchors(page: &str) -> HashSet<String> {
    prose(page)
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// The targets of `[text](target)` in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src");
    let mut broken = Vec::new();
    for (name, page) in &pages {
        for target in prose(page).flat_map(targets).filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { name.as_str() } else { file };
            let is_there = match pages.get(file) {
                Some(page) => anchor.is_empty() || anchors(page).contains(anchor),
                None => folder.join(file).exists(),
            };
            if !is_there {
                broken.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_summary() {
    let pages = pages();
    let summary = &pages["SUMMARY.md"];
    let missing: Vec<&String> = pages
        .keys()
        .filter(|name| *name != "SUMMARY.md" && !summary.contains(&format!("({name})")))
        .collect();
    assert!(missing.is_empty(), "pages that the summary does not name: {missing:?}");
}

#[test]
fn commands_are_commands() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, page) in &pages() {
        for command in commands(page) {
            let words = words(&command);
            count += 1;
            // A command that is only named needs no arguments, and so does a flag at its end.
            let is_named =
                |kind| matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand);
            if let Err(error) = Cli::try_parse_from(&words)
                && error.exit_code() != 0
                && !is_named(error.kind())
                && !words
                    .last()
                    .is_some_and(|word| word.starts_with('-') && error.kind() == ErrorKind::InvalidValue)
            {
                wrong.push(format!(
                    "{name}: {command}\n    {}",
                    error.to_string().lines().next().unwrap_or_default()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "commands that zeval does not understand:\n{}", wrong.join("\n"));
    assert!(count > 100, "only {count} commands were found in the book");
}

/// The commands of a page: lines of code, and code in sentences. `...` stands for what is left out: such are no commands.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced || line.starts_with("    ") {
            found.push(line.trim().trim_start_matches("$ ").to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    // What comes under Nix's names is not parsed by these definitions.
    let is_other = |line: &str| ["zeval nix", "zeval ARGUMENTS"].iter().any(|other| line.starts_with(other));
    let is_command = |line: &String| line.starts_with("zeval ") && !line.contains("...") && !is_other(line);
    found.into_iter().filter(is_command).collect()
}

/// The words of a command up to what the shell does with it; words that stand for numbers become some.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut is_word = false;
    for letter in command.chars().chain([' ']) {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => (quote, is_word) = (Some(letter), true),
            (None, '#') if word.is_empty() => break,
            (None, '|' | '&' | ';' | '>' | '<') => {
                // The number of a file descriptor, as in `2>&1`.
                word = word.trim_end_matches(|digit: char| digit.is_ascii_digit()).to_owned();
                break;
            }
            (None, ' ') if is_word || !word.is_empty() => {
                words.push(std::mem::take(&mut word));
                is_word = false;
            }
            (None, ' ') => {}
            (None, letter) => word.push(letter),
        }
    }
    if !word.is_empty() || is_word {
        words.push(word);
    }
    for word in &mut words {
        match word.as_str() {
            "N" | "SECONDS" | "BYTES" | "PORT" => *word = "1".into(),
            "SIZE" => *word = "1G".into(),
            "SHELL" => *word = "bash".into(),
            _ => {}
        }
    }
    words
}
