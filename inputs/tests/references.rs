//! Flake references are read and written as Nix does: every case of references.txt.

use std::sync::{Arc, Mutex};

use zeval_inputs::{FlakeRef, Settings, reference::Reading};
use zeval_model::input::to_json;

struct Case<'a> {
    reference: &'a str,
    expected: Vec<&'a str>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(expected) => {
                cases.last_mut().expect("a case begins with its reference").expected.push(expected)
            }
            None => cases.push(Case { reference: line, expected: Vec::new() }),
        }
    }
    cases
}

/// What this program makes of a reference, written as the file of cases is.
fn outcome(reference: &str) -> Vec<String> {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let heard = warnings.clone();
    let mut settings = Settings::new("/nonexistent".into());
    settings.features = vec!["flakes".into(), "nix-command".into()];
    settings.warn = Arc::new(move |text| heard.lock().expect("no panic").push(format!("! {text}")));
    let mut lines = match FlakeRef::parse(&settings, reference, Reading::BUILTIN) {
        Err(error) => return vec![format!("error: {error}")],
        Ok(parsed) => {
            let text = parsed.to_text().unwrap_or_else(|error| format!("error: {error}"));
            vec![format!("= {}", to_json(&parsed.to_attrs())), format!(": {text}")]
        }
    };
    lines.append(&mut warnings.lock().expect("no panic"));
    lines
}

#[test]
fn references_are_read_as_by_nix() {
    let cases = cases(include_str!("references.txt"));
    assert!(cases.len() > 90, "{} cases", cases.len());
    let mut problems = String::new();
    for Case { reference, expected } in cases {
        let outcome = outcome(reference);
        if outcome != expected {
            problems += &format!(
                "{reference}\n  Nix:   {}\n  zeval: {}\n",
                expected.join("\n         "),
                outcome.join("\n         ")
            );
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}
