//! From expressions to the derivations that they stand for.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf, sync::Arc};

use zeval_builder::{build::BuildOptions, schedule::DrvOutput, store::Store};
use zeval_evaluator::{
    EvalError, Evaluator, Failure, Session, Settings, Symbol, Value,
    position::PosId,
    reads::Reads,
    value::context::{ContextElement, Derived},
    with_large_stack,
};
use zeval_inputs::lock::Locked;
use zeval_model::StorePath;

use super::announce::Announcer;
use super::{Context, Result};
use crate::{
    cli::{ErrorFormat, Given, Language, Source, SourceKind},
    derivations::{self, Unsuitable},
    diagnostic::Failed,
    evaluation::{self, Argument, ArgumentValue, Input},
    evaluation_cache,
    flakes::{
        self, Flakes, Installable, Outputs,
        select::{Search, output_names, select},
    },
    measure::Measure,
    nix::settings::NixSettings,
    store::EvaluationStore,
};

/// Features of the language that are on for our own commands: none changes what an expression without it means.
const FEATURES: [&str; 5] =
    ["ca-derivations", "blake3-hashes", "flakes", "fetch-tree", "dynamic-derivations"];

/// A derivation's output that was asked for.
#[derive(Clone, Debug)]
pub struct Target {
    /// The attribute it was found at, if it was found in a set.
    pub attribute: Option<String>,
    /// The attribute path on the command line whose value holds it; empty for the whole expression.
    pub selected: String,
    /// The output.
    pub wanted: DrvOutput,
}

impl Target {
    /// Where it is in the whole expression: the path that was selected and then the attribute in its value.
    pub fn place(&self) -> String {
        let attribute = self.attribute.as_deref().unwrap_or_default();
        match (self.selected.as_str(), attribute) {
            ("", place) | (place, "") => place.to_owned(),
            (selected, attribute) => format!("{selected}.{attribute}"),
        }
    }
}

impl Source {
    fn input(&self) -> Input {
        match (&self.expr, &self.file) {
            (Some(text), _) => Input::Expression(evaluation::bytes(text)),
            (None, Some(file)) if file == "-" => Input::Stdin,
            (None, Some(file)) => Input::File(file.clone()),
            (None, None) => Input::File(OsString::from(".")),
        }
    }

    /// The flake that is named instead of a file.
    pub fn flake(&self) -> Option<String> {
        let operand = match (&self.expr, &self.file) {
            (Some(_), _) => return None,
            (None, Some(file)) => file.clone(),
            (None, None) => OsString::from("."),
        };
        let is_flake = match self.kind {
            SourceKind::Either => flakes::is_flake(&operand),
            SourceKind::File => false,
            SourceKind::Flake => true,
        };
        is_flake.then(|| operand.to_string_lossy().into_owned())
    }
}

impl Given {
    /// The arguments, in any order.
    pub fn arguments(&self) -> Vec<Argument> {
        let pairs = |flags: &[OsString], make: fn(Vec<u8>) -> ArgumentValue| -> Vec<Argument> {
            let pair = |pair: &[OsString]| Argument {
                name: evaluation::bytes(&pair[0]),
                value: make(evaluation::bytes(&pair[1])),
            };
            flags.chunks_exact(2).map(pair).collect()
        };
        let file = |path: Vec<u8>| ArgumentValue::File(OsString::from_vec(path).into());
        [
            pairs(&self.arg, ArgumentValue::Expression),
            pairs(&self.argstr, ArgumentValue::String),
            pairs(&self.argfile, file),
        ]
        .concat()
    }
}

impl Language {
    /// How to evaluate; says what is wrong with settings.
    pub fn settings(&self, show_trace: bool) -> Settings {
        let extra = self.extra_experimental_features.iter().flat_map(|features| features.split_whitespace());
        let pure = self.pure_eval && !self.impure;
        let mut settings = Settings {
            pure,
            restricted: self.restrict_eval,
            search_path: evaluation::search_path(&self.include),
            show_trace,
            home: std::env::var_os("HOME").map(PathBuf::from),
            features: FEATURES.into_iter().chain(extra).map(str::to_owned).collect(),
            ..Settings::default()
        };
        let mut given = NixSettings::default();
        for pair in self.option.chunks_exact(2) {
            given.set(&pair[0], &pair[1]);
        }
        given.warnings().for_each(|warning| eprintln!("warning: {warning}"));
        given.apply(&mut settings);
        if settings.pure {
            settings.search_path.clear();
        }
        evaluation::use_code_cache(&mut settings);
        evaluation::use_threads(&mut settings, self.eval_jobs);
        settings
    }
}

impl Context {
    /// Whether errors are to tell of every call: our own reports find the user's code among them.
    pub fn wants_traces(&self) -> bool {
        self.global.show_trace || self.global.error_format != ErrorFormat::Nix
    }

    /// Works with an evaluator that can be interrupted, and is debugged or measured if that is wanted.
    pub fn evaluating<T>(
        &self,
        language: &Language,
        store: &Arc<EvaluationStore>,
        measure: &Measure,
        session: Arc<Session>,
        work: impl FnOnce(&mut Evaluator) -> T,
    ) -> T {
        let mut evaluator = Evaluator::new(session);
        super::interrupt_on_signals(&evaluator);
        if language.debugger {
            evaluator.set_debugger(crate::repl::debugger(self, store));
        }
        measure.watch(&mut evaluator, work)
    }

    /// Evaluates a source and does something with each value that its attribute paths select.
    pub fn evaluate<T: Send>(
        &self,
        source: &Source,
        store: &Arc<Store>,
        options: &BuildOptions,
        then: impl Fn(&mut Evaluator, Value, &[(Symbol, Value)]) -> std::result::Result<T, Failure> + Send + Sync,
    ) -> Result<Vec<T>> {
        if let Some(flake) = source.flake() {
            let work = |evaluator: &mut Evaluator, found: &Found| then(evaluator, found.value, &[]);
            return Ok(vec![self.evaluate_flake(source, &flake, options, work)?]);
        }
        let settings = source.language.settings(self.wants_traces());
        let then = |evaluator: &mut Evaluator, _: &Arc<EvaluationStore>, value, given: &[_]| {
            then(evaluator, value, given)
        };
        self.evaluate_file(source, settings, store, options, then, |_| ())
    }

    /// The same for a source that is no flake; `finish` gets what the evaluation leaves.
    fn evaluate_file<T: Send>(
        &self,
        source: &Source,
        settings: Settings,
        store: &Arc<Store>,
        options: &BuildOptions,
        then: impl Fn(
            &mut Evaluator,
            &Arc<EvaluationStore>,
            Value,
            &[(Symbol, Value)],
        ) -> std::result::Result<T, Failure>
        + Send
        + Sync,
        finish: impl FnOnce(&Session) + Send,
    ) -> Result<Vec<T>> {
        let store = Arc::new(EvaluationStore::new(
            Arc::clone(store),
            options.clone(),
            self.view.clone(),
            self.cancellation.clone(),
        ));
        let inputs = self.inputs(&settings.features, &source.language.option, &store.store)?;
        let measure = Measure::new(source.language.profile.clone(), source.language.stats);
        let session = Session::new(settings, measure.store(store.clone()));
        session.use_inputs(inputs);
        let results = with_large_stack(|| {
            self.evaluating(&source.language, &store, &measure, session, |evaluator| {
                let root = evaluation::evaluate(evaluator, &source.input())?;
                let given = evaluation::arguments(evaluator, &source.given.arguments())?;
                let whole = [String::new()];
                let paths = if source.attributes.is_empty() { &whole[..] } else { &source.attributes };
                let mut results = Vec::with_capacity(paths.len());
                for path in paths {
                    let value = evaluation::select(evaluator, root, path, &given)?;
                    results.push(then(evaluator, &store, value, &given)?);
                }
                finish(&evaluator.session);
                Ok::<_, Failure>(results)
            })
        });
        let results = results
            .map_err(|error| Failed::other(format!("cannot start a thread to evaluate on: {error}")))?;
        store.flush().map_err(Failed::other)?;
        Ok(results?)
    }

    /// Finds what is meant in a flake and does something with it.
    fn evaluate_flake<T: Send>(
        &self,
        source: &Source,
        flake: &str,
        options: &BuildOptions,
        work: impl FnOnce(&mut Evaluator, &Found) -> std::result::Result<T, Failure> + Send,
    ) -> Result<T> {
        check_flake_flags(source, flake)?;
        self.with_flakes(
            &source.language,
            &source.flake,
            options,
            |_| (),
            |evaluator, flakes| {
                let installable = flakes.installable(flake)?;
                let locked = flakes.lock(evaluator, &installable.reference)?;
                let found = find_in_flake(evaluator, flakes, &installable, &locked)?;
                work(evaluator, &found)
            },
        )
    }

    /// The derivations that a source stands for, written to the store.
    pub fn targets(
        &self,
        source: &Source,
        store: &Arc<Store>,
        options: &BuildOptions,
    ) -> Result<Vec<Target>> {
        self.targets_as_found(source, store, options, None)
    }

    /// The same, told one by one as they are found, besides: of several, the first can be built before the last is evaluated.
    pub fn targets_as_found(
        &self,
        source: &Source,
        store: &Arc<Store>,
        options: &BuildOptions,
        announcer: Option<&Announcer<'_>>,
    ) -> Result<Vec<Target>> {
        match source.flake() {
            Some(flake) => self.targets_of_flake(source, &flake, store, options),
            None => self.targets_of_file(source, store, options, announcer),
        }
    }

    /// The derivations that a flake stands for: as they were found before, if nothing that was read then has changed.
    fn targets_of_flake(
        &self,
        source: &Source,
        flake: &str,
        store: &Store,
        options: &BuildOptions,
    ) -> Result<Vec<Target>> {
        check_flake_flags(source, flake)?;
        let mut kept = None;
        let found = self.with_flakes(
            &source.language,
            &source.flake,
            options,
            |settings| settings.records_reads = !source.language.no_eval_cache,
            |evaluator, flakes| {
                let installable = flakes.installable(flake)?;
                let locked = flakes.lock(evaluator, &installable.reference)?;
                let settings = &evaluator.session.settings;
                let entry = evaluation_cache::Entry::of_flake(
                    source,
                    &installable,
                    &locked,
                    flakes.fetcher()?,
                    settings,
                    store,
                );
                let entry = entry.map_err(flakes::failed)?;
                if let Some(targets) = entry.as_ref().and_then(|entry| entry.get(store)) {
                    return Ok(targets);
                }
                let found = find_in_flake(evaluator, flakes, &installable, &locked)?;
                let targets = collect_outputs(evaluator, &found)?;
                kept = entry.zip(evaluator.session.reads.as_deref().and_then(Reads::to_bytes));
                Ok(targets)
            },
        )?;
        let targets = chosen(source, vec![found])?;
        if let Some((entry, reads)) = kept {
            entry.put(&targets, &reads);
        }
        Ok(targets)
    }

    /// The same for a source that is no flake: as it was found before, if nothing that was read then has changed.
    fn targets_of_file(
        &self,
        source: &Source,
        store: &Arc<Store>,
        options: &BuildOptions,
        announcer: Option<&Announcer<'_>>,
    ) -> Result<Vec<Target>> {
        let mut settings = source.language.settings(self.wants_traces());
        let entry = evaluation_cache::Entry::of_file(source, &source.input(), &settings, store);
        if let Some(targets) = entry.as_ref().and_then(|entry| entry.get(store)) {
            return Ok(targets);
        }
        settings.records_reads = entry.is_some();
        let mut reads = None;
        let finish = |session: &Session| reads = session.reads.as_deref().and_then(Reads::to_bytes);
        let collect = |evaluator: &mut Evaluator, store: &Arc<EvaluationStore>, value, given: &[_]| {
            collect(evaluator, value, given, |target| match announcer {
                Some(announcer) => announcer.found(store, target.wanted.clone()),
                None => Ok(()),
            })
        };
        let found = self.evaluate_file(source, settings, store, options, collect, finish)?;
        let targets = chosen(source, found)?;
        if let (Some(entry), Some(reads)) = (entry, reads) {
            entry.put(&targets, &reads);
        }
        Ok(targets)
    }
}

/// Flakes have their own ways to name attributes and arguments.
fn check_flake_flags(source: &Source, flake: &str) -> Result<()> {
    if !source.attributes.is_empty() {
        return Err(Failed::other(format!(
            "'--attr' does not go with a flake: write '{}#{}'",
            flake.split('#').next().unwrap_or(flake),
            source.attributes[0]
        )));
    }
    if !source.given.arguments().is_empty() {
        return Err(Failed::other("'--arg' and '--argstr' are incompatible with flakes"));
    }
    Ok(())
}

/// What is meant in a locked flake.
fn find_in_flake(
    evaluator: &mut Evaluator,
    flakes: &Flakes,
    meant: &Installable,
    locked: &Locked,
) -> std::result::Result<Found, Failure> {
    let outputs = flakes.outputs(evaluator, locked)?;
    let paths = Search::packages(&flakes.system).paths(&meant.fragment);
    let found = select(evaluator, outputs, &paths, &meant.reference.shown())?;
    Ok(Found { attribute: found.attribute, value: found.value, outputs: meant.outputs.clone() })
}

/// What was found for each attribute path, in one list.
fn chosen(source: &Source, found: Vec<Vec<Target>>) -> Result<Vec<Target>> {
    // One answer a path; none was given if the answer is for the whole.
    let selected = source.attributes.iter().cloned().chain(std::iter::once(String::new()));
    let targets: Vec<Target> = found
        .into_iter()
        .zip(selected)
        .flat_map(|(targets, selected)| {
            targets.into_iter().map(move |target| Target { selected: selected.clone(), ..target })
        })
        .collect();
    if targets.is_empty() {
        return Err(Failed::other("the expression holds no derivation: nothing to do"));
    }
    Ok(targets)
}

/// What was found in a flake.
pub struct Found {
    pub attribute: String,
    pub value: Value,
    pub outputs: Outputs,
}

/// The outputs of a derivation of a flake that are meant.
pub fn collect_outputs(
    evaluator: &mut Evaluator,
    found: &Found,
) -> std::result::Result<Vec<Target>, Failure> {
    let value = evaluator.force(found.value)?;
    let attribute = &found.attribute;
    let is_derivation = match value.as_attrs() {
        Some(attrs) => evaluator.is_derivation(attrs)?,
        None => false,
    };
    if let Some(targets) = text_targets(value) {
        return Ok(targets);
    }
    if !is_derivation {
        let message = format!(
            "expected flake output attribute '{attribute}' to be a derivation or path but found {}: {}",
            zeval_evaluator::eval::expect::show_type(value),
            zeval_evaluator::print::for_error(evaluator, value)
        );
        return Err(EvalError::wrong_type(PosId::NONE, message));
    }
    let path = derivations::drv_path(evaluator, value)?;
    let drv = StorePath::from_absolute(&path)
        .map_err(|error| EvalError::eval(PosId::NONE, format!("'{path}' is not a derivation: {error}")))?;
    let names = output_names(evaluator, value, &found.outputs)?;
    let several = names.len() > 1;
    let target = |output: String| Target {
        attribute: several.then(|| output.clone()),
        selected: String::new(),
        wanted: DrvOutput { drv: drv.clone(), output },
    };
    Ok(names.into_iter().map(target).collect())
}

/// What a text such as `"${package}"` stands for: the one output that it refers to.
fn text_targets(value: Value) -> Option<Vec<Target>> {
    let context: Vec<_> = value.as_string()?.context?.iter().collect();
    let [ContextElement::Built(built)] = context.as_slice() else { return None };
    let Derived::Opaque(drv) = &*built.derivation else { return None };
    let wanted = DrvOutput { drv: drv.clone(), output: built.output.clone() };
    Some(vec![Target { attribute: None, selected: String::new(), wanted }])
}

/// The derivations that a value holds; `tell` hears of each as soon as it is known.
fn collect(
    evaluator: &mut Evaluator,
    value: Value,
    given: &[(Symbol, Value)],
    tell: impl Fn(&Target) -> std::result::Result<(), Failure>,
) -> std::result::Result<Vec<Target>, Failure> {
    let found = derivations::find(evaluator, value, given).map_err(|unsuitable| match unsuitable {
        Unsuitable::Failure(failure) => failure,
        Unsuitable::NotDerivations(value) => {
            let found = zeval_evaluator::eval::expect::show_type(value);
            let message =
                format!("expected a derivation, or a set or list of derivations, but found {found}");
            EvalError::wrong_type(PosId::NONE, message)
        }
    })?;
    let _offer = evaluator.offer_derivations(found.iter().map(|found| found.value));
    let target = |found: derivations::Found| {
        let path = derivations::drv_path(evaluator, found.value)?;
        let drv = StorePath::from_absolute(&path).map_err(|error| {
            EvalError::eval(PosId::NONE, format!("'{path}' is not a derivation: {error}"))
        })?;
        let output = derivations::output_name(evaluator, found.value)?.unwrap_or_else(|| "out".to_owned());
        let attribute = Some(found.attribute).filter(|attribute| !attribute.is_empty());
        let target = Target { attribute, selected: String::new(), wanted: DrvOutput { drv, output } };
        tell(&target)?;
        Ok(target)
    };
    found.into_iter().map(target).collect()
}
