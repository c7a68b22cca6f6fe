//! `nix-build`: evaluates, builds and makes links to the results.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use zeval_builder::{build::Check, schedule::DrvOutput};
use zeval_evaluator::{Evaluator, Failure, with_large_stack};
use zeval_model::StorePath;

use super::{
    flags::{self, Common, Rest},
    instantiate,
    outcome::{Outcome, Stop, end, fail},
    place,
    realise::{Realiser, Wanted, output_paths},
    store::NixStore,
};
use crate::evaluation::{self, Input};

const HELP: &str = "Usage: nix-build [FLAGS] [FILE...]

Builds the derivations that Nix expressions describe (default.nix, if no file is given), makes links to their outputs and prints
the outputs' paths.

  -E, --expr               The operands are expressions, not files
  -A, --attr PATH          Take this attribute (may be given several times)
  -o, --out-link LINK      What the links are called [default: result]
  --no-out-link            Make no links
  --drv-link LINK, --add-drv-link   Make links to the derivations, too
  --dry-run                Say what would be built
  --check                  Build again and compare
  --repair                 Build what is damaged again
  -I, --arg, --argstr, --option, -j, -k, -K, -Q, -v, --version as of nix-instantiate
";

#[derive(Default)]
struct Options {
    expressions: bool,
    attributes: Vec<String>,
    out_link: Option<OsString>,
    no_out_link: bool,
    drv_link: Option<OsString>,
    dry_run: bool,
    check: bool,
    repair: bool,
}

impl Options {
    fn take(&mut self, flag: &str, rest: &mut Rest) -> Result<bool, String> {
        match flag {
            "-E" | "--expr" => self.expressions = true,
            "-A" | "--attr" => self.attributes.push(rest.value(flag)?.to_string_lossy().into_owned()),
            "-o" | "--out-link" => self.out_link = Some(rest.value(flag)?),
            "--no-out-link" | "--no-link" => self.no_out_link = true,
            "--drv-link" => self.drv_link = Some(rest.value(flag)?),
            "--add-drv-link" => self.drv_link = Some("derivation".into()),
            "--dry-run" => self.dry_run = true,
            "--check" => self.check = true,
            "--repair" => self.repair = true,
            "--indirect" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut options = Options::default();
    let common = flags::read("nix-build", HELP, arguments, &mut |flag, rest| options.take(flag, rest));
    let common = match common {
        Ok(common) => common,
        Err(code) => return code,
    };
    let show_trace = common.evaluation().show_trace;
    match with_large_stack(|| build(&options, common)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(stop)) => stop.tell("nix-build", show_trace),
        Err(error) => end("nix-build", fail(format!("cannot start a thread to evaluate on: {error}"))),
    }
}

/// A derivation and its output, as they were asked for.
struct Asked {
    drv: StorePath,
    output: String,
}

fn build(options: &Options, mut common: Common) -> Outcome<()> {
    let nix_store = Arc::new(NixStore::new(&common, false).map_err(Stop::of)?);
    let operands = std::mem::take(&mut common.operands);
    let mut asked = Vec::new();
    let mut inputs = Vec::new();
    for input in instantiate::inputs(operands, options.expressions) {
        match named_derivation(&nix_store, &input)? {
            Some(found) => asked.extend(found),
            None => inputs.push(input),
        }
    }
    let only_looks_or_compares = options.dry_run || options.check || options.repair;
    if let (Ok(opened), false) = (nix_store.open(), only_looks_or_compares) {
        let realiser = Realiser::new(&opened.store, opened.options().clone(), &common);
        realiser.build_while(|announcer| {
            let tell = |drv: &str, output: &str| {
                if let Ok(drv) = StorePath::from_absolute(drv) {
                    // A failure is told once all is evaluated, as in Nix.
                    let _ = announcer.found(opened, DrvOutput { drv, output: output.to_owned() });
                }
            };
            asked.extend(evaluate(options, &common, &nix_store, &inputs, &tell)?);
            nix_store.flush()?;
            Ok(wanted(&asked))
        })?;
        return link_and_print(options, &realiser, &asked);
    }
    asked.extend(evaluate(options, &common, &nix_store, &inputs, &|_, _| ())?);
    nix_store.flush()?;
    let opened = nix_store.open()?;
    let mut realiser = Realiser::new(&opened.store, opened.options().clone(), &common);
    let wanted = wanted(&asked);
    realiser.announce(&wanted)?;
    if options.dry_run {
        return Ok(());
    }
    realiser.options.check = Check::Wanted;
    realiser.options.repair = options.repair;
    realiser.build(&wanted)?;
    link_and_print(options, &realiser, &asked)
}

fn wanted(asked: &[Asked]) -> Vec<Wanted> {
    let outputs = |asked: &Asked| Wanted::Outputs {
        drv: asked.drv.clone(),
        outputs: BTreeSet::from([asked.output.clone()]),
    };
    let mut wanted: Vec<Wanted> = asked.iter().map(outputs).collect();
    wanted.dedup();
    wanted
}

/// What an operand stands for that is a derivation in the store, with or without names of outputs.
fn named_derivation(store: &NixStore, input: &Input) -> Outcome<Option<Vec<Asked>>> {
    let Input::File(word) = input else { return Ok(None) };
    let text = word.to_string_lossy();
    if !text.split('!').next().is_some_and(|path| path.ends_with(".drv")) {
        return Ok(None);
    }
    let store = &store.open()?.store;
    match place::wanted(store, word) {
        Ok(Wanted::Outputs { drv, outputs }) => {
            let mut outputs: Vec<String> = outputs.into_iter().collect();
            if !text.contains('!') && outputs.iter().any(|output| output == "out") {
                outputs = vec!["out".into()];
            }
            Ok(Some(outputs.into_iter().map(|output| Asked { drv: drv.clone(), output }).collect()))
        }
        _ => Ok(None),
    }
}

fn evaluate(
    options: &Options,
    common: &Common,
    store: &Arc<NixStore>,
    inputs: &[Input],
    tell: &dyn Fn(&str, &str),
) -> Result<Vec<Asked>, Stop> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let mut evaluator = Evaluator::new(instantiate::session(common, store));
    let mut asked = Vec::new();
    for input in inputs {
        for (drv, output) in found(options, common, &mut evaluator, input, tell)? {
            asked.push(Asked { drv: StorePath::from_absolute(&drv)?, output });
        }
    }
    Ok(asked)
}

fn found(
    options: &Options,
    common: &Common,
    evaluator: &mut Evaluator,
    input: &Input,
    tell: &dyn Fn(&str, &str),
) -> Result<Vec<(String, String)>, Failure> {
    let given = evaluation::arguments(evaluator, &common.arguments)?;
    let root = evaluation::evaluate(evaluator, input)?;
    let whole = [String::new()];
    let paths = if options.attributes.is_empty() { &whole[..] } else { &options.attributes[..] };
    let mut all = Vec::new();
    for path in paths {
        let value = evaluation::select(evaluator, root, path, &given)?;
        all.extend(instantiate::derivations_as_found(evaluator, value, &given, tell)?);
    }
    Ok(all)
}

/// The first derivation's link has the plain name, that of the others a number; outputs but `out` are named.
fn link_and_print(options: &Options, realiser: &Realiser<'_>, asked: &[Asked]) -> Outcome<()> {
    let store = realiser.store;
    let base = options.out_link.clone().unwrap_or_else(|| "result".into());
    let mut numbers: HashMap<&StorePath, usize> = HashMap::new();
    let mut printed = Vec::new();
    for Asked { drv, output } in asked {
        let next = numbers.len();
        let number = *numbers.entry(drv).or_insert(next);
        let numbered = |base: &OsString| {
            let mut name = base.clone();
            if number > 0 {
                name.push(format!("-{}", number + 1));
            }
            name
        };
        let known = output_paths(store, drv)?;
        let path = known.into_iter().find(|(name, _)| name == output).and_then(|(_, path)| path);
        let Some(path) = path else {
            return fail(format!("derivation '{drv}' does not have output '{output}'"));
        };
        if let Some(link) = &options.drv_link {
            store.add_root(&PathBuf::from(numbered(link)), drv)?;
        }
        if !options.no_out_link {
            let mut name = numbered(&base);
            if output != "out" {
                name.push(format!("-{output}"));
            }
            store.add_root(&PathBuf::from(name), &path)?;
        }
        printed.push(path);
    }
    printed.iter().for_each(|path| println!("{path}"));
    Ok(())
}
