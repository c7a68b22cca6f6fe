//! Installables: what the operands of `nix build` and its like name, as store paths and outputs of derivations.

use std::collections::BTreeSet;

use zeval_builder::{schedule::DrvOutput, store::Store};
use zeval_evaluator::value::context::ContextElement;
use zeval_evaluator::{Evaluator, Failure, Value, View, eval::coerce::Coercion, position::PosId};
use zeval_model::StorePath;

use super::{
    super::{
        outcome::{Outcome, Stop, fail},
        place,
        realise::{Wanted, output_paths},
    },
    Call,
    setup::Setup,
};
use crate::{
    commands::{
        announce::Announcer,
        build_options_in,
        run::{find, with_found},
        targets::{Found, Target, collect_outputs},
    },
    flakes::{Outputs, select::Search},
};

/// What one operand means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// A path that needs no build.
    Path(StorePath),
    /// Outputs of a derivation, in their order.
    Outputs { drv: StorePath, outputs: Vec<String> },
}

impl Meant {
    /// One output.
    pub fn of(output: &DrvOutput) -> Meant {
        Meant::Outputs { drv: output.drv.clone(), outputs: vec![output.output.clone()] }
    }

    /// The outputs that must be built.
    fn outputs(&self) -> impl Iterator<Item = DrvOutput> {
        let (drv, outputs) = match self {
            Meant::Path(path) => (path, &[][..]),
            Meant::Outputs { drv, outputs } => (drv, &outputs[..]),
        };
        outputs.iter().map(|output| DrvOutput { drv: drv.clone(), output: output.clone() })
    }

    /// The same, as what builds it wants it.
    pub fn wanted(&self) -> Wanted {
        match self {
            Meant::Path(path) => Wanted::Path(path.clone()),
            Meant::Outputs { drv, outputs } => {
                Wanted::Outputs { drv: drv.clone(), outputs: outputs.iter().cloned().collect() }
            }
        }
    }

    /// Where the outputs are, with their names, as far as that is known.
    pub fn paths(&self, store: &Store) -> Outcome<Vec<(String, StorePath)>> {
        let Meant::Outputs { drv, outputs } = self else {
            let Meant::Path(path) = self else { return Ok(Vec::new()) };
            return Ok(vec![("out".to_owned(), path.clone())]);
        };
        let known = output_paths(store, drv)?;
        let mut paths = Vec::new();
        for name in outputs {
            match known.iter().find(|(known, _)| known == name) {
                Some((_, Some(path))) => paths.push((name.clone(), path.clone())),
                Some((_, None)) => {}
                None => return fail(format!("derivation '{drv}' does not have output '{name}'")),
            }
        }
        Ok(paths)
    }

    /// The path itself, or the derivation.
    pub fn top(&self) -> &StorePath {
        match self {
            Meant::Path(path) | Meant::Outputs { drv: path, .. } => path,
        }
    }
}

/// What the operands of a command mean; without any, the flake of the current folder, or all of `--file` and `--expr`.
pub fn meant(call: &Call, setup: &Setup, store: &Store, operands: &[String]) -> Outcome<Vec<Meant>> {
    meant_as_found(call, setup, store, operands, None)
}

/// The same; the announcer hears of each as soon as it is known.
pub fn meant_as_found(
    call: &Call,
    setup: &Setup,
    store: &Store,
    operands: &[String],
    announcer: Option<&Announcer<'_>>,
) -> Outcome<Vec<Meant>> {
    if call.value("--expr").is_some() || call.value("-f").is_some() {
        return of_expression(call, setup, operands);
    }
    let default = [".".to_owned()];
    let operands = if operands.is_empty() && !call.has("--all") { &default[..] } else { operands };
    let mut all: Vec<Option<Meant>> = Vec::new();
    for operand in operands {
        all.push(in_store(store, operand)?);
    }
    let flakes: Vec<&String> =
        operands.iter().zip(&all).filter(|(_, found)| found.is_none()).map(|(operand, _)| operand).collect();
    let mut found = of_flakes(setup, &flakes, announcer)?.into_iter();
    Ok(all.into_iter().filter_map(|known| known.or_else(|| found.next())).collect())
}

/// What an operand means that is a path in the store, or a link to one.
pub fn in_store(store: &Store, operand: &str) -> Outcome<Option<Meant>> {
    let (path, outputs) = Outputs::split(operand);
    if !path.contains('/') {
        return Ok(None);
    }
    let is_link = || std::path::Path::new(path).is_symlink();
    if !zeval_model::store_path::is_in_store(path.as_bytes()) && !is_link() {
        return Ok(None);
    }
    let Ok(path) = place::store_path(store, path.as_ref()) else { return Ok(None) };
    if !path.is_derivation() || outputs == Outputs::Default {
        return Ok(Some(Meant::Path(path)));
    }
    let outputs = match outputs {
        Outputs::Named(names) => names,
        _ => store.derivation(&path)?.outputs.into_keys().collect(),
    };
    Ok(Some(Meant::Outputs { drv: path, outputs }))
}

/// Attribute paths in what `--file` or `--expr` gives.
fn of_expression(call: &Call, setup: &Setup, operands: &[String]) -> Outcome<Vec<Meant>> {
    let options = build_options_in(&setup.build, &call.common.settings)?;
    let store = setup.context.store()?;
    let whole = [String::new()];
    let mut all = Vec::new();
    for operand in if operands.is_empty() { &whole[..] } else { operands } {
        let (path, outputs) = Outputs::split(operand);
        let source = setup.source(call, Some(path).filter(|path| !path.is_empty()));
        let mut drvs: Vec<Meant> = Vec::new();
        for target in setup.context.targets(&source, &store, &options)? {
            add(&mut drvs, target.wanted);
        }
        for meant in &mut drvs {
            choose(&store, meant, &outputs)?;
        }
        all.extend(drvs);
    }
    Ok(all)
}

/// Lets a derivation stand for the outputs that were named behind `^`.
fn choose(store: &Store, meant: &mut Meant, wanted: &Outputs) -> Outcome<()> {
    let Meant::Outputs { drv, outputs } = meant else { return Ok(()) };
    match wanted {
        Outputs::Default => {}
        Outputs::Named(names) => *outputs = names.clone(),
        Outputs::All => *outputs = store.derivation(drv)?.outputs.into_keys().collect(),
    }
    Ok(())
}

/// Adds an output to those of the same derivation.
fn add(all: &mut Vec<Meant>, output: DrvOutput) {
    for meant in all.iter_mut() {
        if let Meant::Outputs { drv, outputs } = meant
            && *drv == output.drv
        {
            if !outputs.contains(&output.output) {
                outputs.push(output.output);
            }
            return;
        }
    }
    all.push(Meant::Outputs { drv: output.drv, outputs: vec![output.output] });
}

fn of_flakes(setup: &Setup, operands: &[&String], announcer: Option<&Announcer<'_>>) -> Outcome<Vec<Meant>> {
    if operands.is_empty() {
        return Ok(Vec::new());
    }
    let found =
        with_found(&setup.context, &setup.language, &setup.flakes, &setup.build, |evaluator, flakes| {
            let search = Search::packages(&flakes.system);
            let mut all = Vec::new();
            for operand in operands {
                let found = find(evaluator, flakes, operand, &search)?;
                let meant = of_found(evaluator, &found)?;
                if let Some(announcer) = announcer {
                    // A failure is told once all is evaluated, as in Nix.
                    let mut tell = |output| drop(announcer.found(&flakes.store, output));
                    meant.outputs().for_each(&mut tell);
                }
                all.push(meant);
            }
            Ok(all)
        })?;
    Ok(found)
}

/// What was found in a flake: a path, or outputs of a derivation.
pub fn of_found(evaluator: &mut Evaluator, found: &Found) -> Result<Meant, Failure> {
    match opaque(evaluator, found.value)? {
        Some(path) => Ok(Meant::Path(path)),
        None => outputs(evaluator, found),
    }
}

/// The outputs of a derivation in a flake: in the order of their names, unless they were named.
fn outputs(evaluator: &mut Evaluator, found: &Found) -> Result<Meant, Failure> {
    let mut targets: Vec<Target> = collect_outputs(evaluator, found)?;
    let Some(drv) = targets.first().map(|target| target.wanted.drv.clone()) else {
        let message = format!("flake output attribute '{}' has no outputs", found.attribute);
        return Err(zeval_evaluator::EvalError::eval(PosId::NONE, message));
    };
    targets.sort_by(|one, other| one.wanted.output.cmp(&other.wanted.output));
    let names: BTreeSet<String> = targets.into_iter().map(|target| target.wanted.output).collect();
    Ok(Meant::Outputs { drv, outputs: names.into_iter().collect() })
}

/// The store path that a path, or a text that refers to nothing but it, stands for.
fn opaque(evaluator: &mut Evaluator, value: Value) -> Result<Option<StorePath>, Failure> {
    let value = evaluator.force(value)?;
    let mut references = None;
    match value.view() {
        View::Path(_) => {
            evaluator.coerce(value, Coercion::INTERPOLATED, &mut references, PosId::NONE, "")?;
        }
        View::String(text) => references = text.context,
        _ => return Ok(None),
    }
    let references: Vec<&ContextElement> = references.iter().flat_map(|all| all.iter()).collect();
    match references[..] {
        [ContextElement::Opaque(path)] => Ok(Some(path.clone())),
        _ => Ok(None),
    }
}

/// The operands as texts.
pub fn operands(call: &Call) -> Vec<String> {
    call.common.operands.iter().map(|operand| operand.to_string_lossy().into_owned()).collect()
}

/// An error for an operand too many.
pub fn too_many<T>(operand: &str) -> Outcome<T> {
    Err(Stop::Usage(format!("unexpected argument '{operand}'")))
}
