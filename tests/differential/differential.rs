//! Compares zeval with C++ Nix on expressions at random: values, exit statuses and messages.
//!
//!     cargo run --profile fast --example differential -- --seconds 3600 --seed 1 --oracle 'COMMAND'
//!
//! where `COMMAND sh SCRIPT` runs a shell script that finds Nix's `nix-instantiate`, in the current folder, which is below
//! the folder for temporary files. What differs is made smaller and saved. `--record FILE` writes down cases in which both
//! agree instead: the test `fuzz` compares with those when there is no Nix.

mod compare;
mod generate;
mod reduce;
mod run;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use compare::{Difference, difference, signature};
use run::{Mode, Outcome, Program};
use serde_json::json;

/// Expressions that are run together.
const BATCH: u64 = 100;
/// Steps of making one case smaller.
const ROUNDS: usize = 12;
/// Variants of a case that Nix is asked about in a step.
const ASKED: usize = 6;
/// Longer expressions are not recorded.
const RECORDED_LENGTH: usize = 160;

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("error: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match Session::new(arguments).and_then(Session::run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

const USAGE: &str = "usage: differential --oracle COMMAND [--seconds N] [--seed N] [--zeval FILE] [--save FOLDER] [--record FILE --count N]";

struct Arguments {
    oracle: Vec<String>,
    seconds: u64,
    seed: u64,
    zeval: PathBuf,
    save: PathBuf,
    record: Option<PathBuf>,
    count: usize,
    mode: Mode,
}

impl Arguments {
    fn parse() -> Result<Arguments, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        // target/PROFILE/examples/differential
        let folder = program.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        let mut arguments = Arguments {
            oracle: Vec::new(),
            seconds: 60,
            seed: 1,
            zeval: folder.join("zeval"),
            save: folder.join("differential"),
            record: None,
            count: 400,
            mode: Mode::File,
        };
        let mut given = std::env::args().skip(1);
        while let Some(flag) = given.next() {
            let value = given.next().ok_or(format!("{flag} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|error| format!("{flag}: {error}"));
            match flag.as_str() {
                "--oracle" => arguments.oracle = value.split_whitespace().map(str::to_owned).collect(),
                "--seconds" => arguments.seconds = number()?,
                "--seed" => arguments.seed = number()?,
                "--zeval" => arguments.zeval = value.into(),
                "--save" => arguments.save = value.into(),
                "--record" => arguments.record = Some(value.into()),
                "--mode" => {
                    arguments.mode = Mode::named(&value).ok_or(format!("'{value}' is no mode"))?;
                }
                "--count" => arguments.count = number()? as usize,
                _ => return Err(format!("'{flag}' is no flag")),
            }
        }
        if !arguments.zeval.exists() {
            return Err(format!(
                "'{}' is not there: build zeval first, or give --zeval",
                arguments.zeval.display()
            ));
        }
        Ok(arguments)
    }
}

struct Session {
    arguments: Arguments,
    zeval: Program,
    nix: Program,
    folder: tempfile::TempDir,
    counts: HashMap<Difference, usize>,
    /// The shortest case of each kind, by signature.
    cases: HashMap<String, Case>,
}

/// A case that differs.
struct Case {
    number: usize,
    expression: String,
    kind: Difference,
    ours: Outcome,
    theirs: Outcome,
}

impl Session {
    fn new(arguments: Arguments) -> io::Result<Session> {
        let command = format!("{} nix-instantiate", arguments.zeval.display());
        let zeval = Program { around: Vec::new(), command, mode: arguments.mode };
        let nix = Program {
            around: arguments.oracle.clone(),
            command: "nix-instantiate".to_owned(),
            mode: arguments.mode,
        };
        let folder = tempfile::Builder::new().prefix("zeval-differential").tempdir()?;
        fs::create_dir_all(&arguments.save)?;
        let (counts, cases) = Default::default();
        Ok(Session { arguments, zeval, nix, folder, counts, cases })
    }

    /// Whether there was no difference.
    fn run(mut self) -> io::Result<bool> {
        if self.arguments.record.is_some() {
            return self.record();
        }
        let start = Instant::now();
        let end = Duration::from_secs(self.arguments.seconds);
        let mut seed = self.arguments.seed.wrapping_mul(1 << 32);
        let mut run = 0;
        while start.elapsed() < end {
            let expressions: Vec<String> = (seed..seed + BATCH).map(generate::expression).collect();
            for (expression, (ours, theirs)) in expressions.iter().zip(self.evaluate(&expressions)?) {
                if let Some(kind) = difference(&ours, &theirs) {
                    self.differs(expression, kind, &ours, &theirs)?;
                }
            }
            seed += BATCH;
            run += BATCH;
            eprint!("\r{run} expressions in {} s; {}", start.elapsed().as_secs(), self.summary());
        }
        eprintln!();
        self.reduce_all()?;
        println!("{run} expressions: {}", self.summary());
        Ok(self.counts.keys().all(|kind| *kind == Difference::Printing))
    }

    fn summary(&self) -> String {
        let kinds = [Difference::Status, Difference::Value, Difference::Text, Difference::Printing];
        let counts = kinds.map(|kind| {
            format!("{} {}", self.counts.get(&kind).copied().unwrap_or(0), format!("{kind:?}").to_lowercase())
        });
        format!("differing: {}; of {} kinds", counts.join(", "), self.cases.len())
    }

    fn evaluate(&self, expressions: &[String]) -> io::Result<Vec<(Outcome, Outcome)>> {
        let folder = self.folder.path().join("batch");
        let ours = self.zeval.run(&folder, expressions)?;
        let theirs = self.nix.run(&folder, expressions)?;
        Ok(ours.into_iter().zip(theirs).collect())
    }

    fn differs(
        &mut self,
        expression: &str,
        kind: Difference,
        ours: &Outcome,
        theirs: &Outcome,
    ) -> io::Result<()> {
        *self.counts.entry(kind).or_default() += 1;
        let signature = signature(kind, ours, theirs);
        let number = self.cases.len() + 1;
        let known = self.cases.get(&signature);
        if known.is_some_and(|known| known.expression.len() <= expression.len()) {
            return Ok(());
        }
        let number = known.map_or(number, |known| known.number);
        let (expression, ours, theirs) = (expression.to_owned(), ours.clone(), theirs.clone());
        let case = Case { number, expression, kind, ours, theirs };
        self.save(&case)?;
        self.cases.insert(signature, case);
        Ok(())
    }

    fn save(&self, case: &Case) -> io::Result<()> {
        let name = format!("{}-{:04}.txt", format!("{:?}", case.kind).to_lowercase(), case.number);
        let side =
            |outcome: &Outcome| format!("status {}\n{}{}", outcome.status, outcome.output, outcome.errors);
        let (ours, theirs) = (side(&case.ours), side(&case.theirs));
        let text = format!("{}\n\n=== zeval: {ours}\n=== Nix: {theirs}", case.expression);
        fs::write(self.arguments.save.join(name), text)
    }

    /// Makes the cases smaller: at the end, when the shortest of each kind is known.
    fn reduce_all(&self) -> io::Result<()> {
        for case in self.cases.values() {
            self.save(&self.reduced(case)?)?;
        }
        Ok(())
    }

    /// The smallest expression found that differs in the same way.
    fn reduced(&self, case: &Case) -> io::Result<Case> {
        let Case { number, kind, .. } = *case;
        let (mut expression, mut ours, mut theirs) =
            (case.expression.clone(), case.ours.clone(), case.theirs.clone());
        for _ in 0..ROUNDS {
            let candidates = self.promising(reduce::candidates(&expression), &ours)?;
            let outcomes = self.evaluate(&candidates)?;
            let smaller = candidates.into_iter().zip(outcomes).find(|(_, (a, b))| {
                difference(a, b) == Some(kind) && a.status == ours.status && b.status == theirs.status
            });
            match smaller {
                Some((text, outcomes)) => (expression, (ours, theirs)) = (text, outcomes),
                None => break,
            }
        }
        Ok(Case { number, expression, kind, ours, theirs })
    }

    /// Some of the candidates that do with us what the whole does: Nix takes longer to ask.
    fn promising(&self, candidates: Vec<String>, ours: &Outcome) -> io::Result<Vec<String>> {
        let outcomes = self.zeval.run(&self.folder.path().join("batch"), &candidates)?;
        let message = |outcome: &Outcome| {
            let line = outcome.errors.lines().rev().find(|line| line.contains("error:")).unwrap_or_default();
            line.split(['\'', '"', ';', ':']).take(2).collect::<String>()
        };
        let wanted = (ours.status, message(ours));
        let alike = candidates
            .into_iter()
            .zip(outcomes)
            .filter(|(_, found)| (found.status, message(found)) == wanted);
        let mut alike: Vec<String> = alike.map(|(text, _)| text).collect();
        let step = alike.len().div_ceil(ASKED).max(1);
        alike = alike.into_iter().step_by(step).collect();
        Ok(alike)
    }

    /// Writes down cases in which both agree, in two different folders: one a line, as JSON.
    fn record(self) -> io::Result<bool> {
        let mut lines = String::new();
        let mut count = 0;
        let mut seed = self.arguments.seed.wrapping_mul(1 << 32);
        while count < self.arguments.count {
            let expressions: Vec<String> = (seed..seed + BATCH)
                .map(generate::expression)
                .filter(|expression| expression.len() <= RECORDED_LENGTH)
                .collect();
            seed += BATCH;
            let theirs = self.nix.run(&self.folder.path().join("batch"), &expressions)?;
            let ours = self.zeval.run(&self.folder.path().join("another-folder"), &expressions)?;
            for (expression, (ours, theirs)) in expressions.iter().zip(ours.into_iter().zip(theirs)) {
                if ours != theirs || theirs.status == run::TIMED_OUT || count >= self.arguments.count {
                    continue;
                }
                count += 1;
                let Outcome { status, output, errors } = theirs;
                let line =
                    json!({ "expression": expression, "status": status, "output": output, "errors": errors });
                lines.push_str(&format!("{line}\n"));
            }
        }
        match &self.arguments.record {
            Some(file) => fs::write(file, lines).map(|()| true),
            None => Ok(true),
        }
    }
}
