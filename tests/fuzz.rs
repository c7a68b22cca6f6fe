//! Expressions at random, without Nix at hand: none crashes or hangs, and recorded ones still give what Nix gave.
//! `tests/differential` compares with Nix itself and records.

#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/run.rs"]
#[allow(dead_code, reason = "the comparison with Nix uses more of it")]
mod run;

use std::path::Path;

use run::{Mode, Outcome, Program, TIMED_OUT};
use serde_json::Value as Json;

/// How many new expressions a run of the tests tries.
const COUNT: u64 = 400;

fn zeval() -> Program {
    let command = format!("{} nix-instantiate", env!("CARGO_BIN_EXE_zeval"));
    Program { around: Vec::new(), command, mode: Mode::File }
}

/// Runs expressions in a folder that is removed afterwards.
fn evaluate(expressions: &[String]) -> Vec<Outcome> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    zeval().run(&folder.path().join("batch"), expressions).expect("zeval runs")
}

#[test]
fn nothing_crashes_or_hangs() {
    // Other expressions in every run, and the seed to find them again in the message.
    let start = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |time| time.as_secs() << 20);
    let expressions: Vec<String> = (start..start + COUNT).map(generate::expression).collect();
    for (index, outcome) in evaluate(&expressions).iter().enumerate() {
        let expression = &expressions[index];
        let seed = start + index as u64;
        assert_ne!(outcome.status, TIMED_OUT, "seed {seed} does not end: {expression}");
        assert!(
            matches!(outcome.status, 0 | 1),
            "seed {seed}: status {}: {expression}\n{}",
            outcome.status,
            outcome.errors
        );
        let is_error = outcome.errors.lines().any(|line| line.starts_with("error:"));
        assert_eq!(outcome.status == 1, is_error, "seed {seed}: {expression}\n{}", outcome.errors);
        assert_eq!(outcome.status == 0, !outcome.output.is_empty(), "seed {seed}: {expression}");
    }
}

#[test]
fn a_seed_gives_one_expression() {
    assert_eq!(generate::expression(7), generate::expression(7));
    let different: std::collections::HashSet<String> = (0..100).map(generate::expression).collect();
    assert!(different.len() > 80, "only {} of 100 differ", different.len());
}

#[test]
fn recorded_expressions_give_what_nix_gave() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/recorded.jsonl");
    let text = std::fs::read_to_string(file).expect("the recorded cases");
    let cases: Vec<Json> =
        text.lines().map(|line| serde_json::from_str(line).expect("a recorded case")).collect();
    let field = |case: &Json, name: &str| case[name].as_str().expect("a recorded text").to_owned();
    let expressions: Vec<String> = cases.iter().map(|case| field(case, "expression")).collect();
    let mut wrong = Vec::new();
    for (case, ours) in cases.iter().zip(evaluate(&expressions)) {
        let status = case["status"].as_i64().expect("a recorded status") as i32;
        let nix = Outcome { status, output: field(case, "output"), errors: field(case, "errors") };
        if ours != nix {
            wrong.push(format!("{}\n=== zeval: {ours:#?}\n=== Nix: {nix:#?}", field(case, "expression")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}
