//! Flakes: locking, with the evaluator reading what they say.

use std::{collections::BTreeMap, os::unix::ffi::OsStrExt, path::Path, sync::Arc};

use super::{EvaluationInputs, failure, tree};
use zeval_evaluator::{
    Evaluator, Failure,
    flake::{FlakeFile, InputSpec},
    inputs::{LockedFlake, LockedSource},
    position::PosId,
};
use zeval_inputs::{
    Fetcher, FlakeRef, InputError, Settings,
    lock::{self, FlakeDescription, FlakeInput, FlakeReader, LockError, LockOptions, Locked, parse_path},
    reference::{Reading, path::FLAKE_FILES},
};

/// Why a flake could not be locked or read.
type FlakeFailure = LockError<Failure>;

/// The failure of an evaluation that locking led to.
fn evaluator_failure(error: FlakeFailure, pos: PosId) -> Failure {
    match error {
        LockError::Input(error) => failure(error).at(pos),
        LockError::Language(error, traces) => {
            traces.into_iter().fold(error, |error, text| error.trace(PosId::NONE, text))
        }
    }
}

/// Reads flakes by evaluating them.
struct Reader<'a> {
    evaluator: &'a mut Evaluator,
    fetcher: &'a Arc<Fetcher>,
}

impl FlakeReader for Reader<'_> {
    type Error = Failure;

    fn read(
        &mut self,
        folder: &Path,
        prefix: &[String],
        shown: &str,
    ) -> Result<FlakeDescription, FlakeFailure> {
        let language = |error: Failure| LockError::Language(error, Vec::new());
        super::in_place::register(&self.evaluator.session, self.fetcher, folder);
        let has = |file: &&str| self.fetcher.physical(&folder.join(file)).exists();
        let name = FLAKE_FILES.into_iter().find(has).unwrap_or("flake.nix");
        let file = folder.join(name);
        let said = self.evaluator.read_flake(file.as_os_str().as_bytes(), folder.as_os_str().as_bytes());
        let said = said.map_err(language)?;
        Ok(describe(&self.fetcher.settings, said, prefix, shown)?)
    }
}

/// What a flake says, its references read.
fn describe(
    settings: &Settings,
    said: FlakeFile,
    prefix: &[String],
    shown: &str,
) -> Result<FlakeDescription, InputError> {
    let inputs = inputs(settings, said.inputs, prefix)?;
    if !said.has_outputs {
        return Err(InputError::new(format!("flake '{shown}' lacks attribute 'outputs'")));
    }
    if let Some((name, place)) = said.unsupported {
        let message = format!("flake '{shown}' has an unsupported attribute '{name}', at {place}");
        return Err(InputError::new(message));
    }
    let wishes = said.settings.into_iter().map(|(name, setting)| (name, setting.to_text()));
    Ok(FlakeDescription { description: said.description, inputs, own: said.own, settings: wishes.collect() })
}

fn inputs(
    settings: &Settings,
    specs: BTreeMap<String, InputSpec>,
    prefix: &[String],
) -> Result<BTreeMap<String, FlakeInput>, InputError> {
    let mut inputs = BTreeMap::new();
    for (name, spec) in specs {
        let input = input(settings, &name, spec, prefix)?;
        inputs.insert(name, input);
    }
    Ok(inputs)
}

fn input(
    settings: &Settings,
    name: &str,
    mut spec: InputSpec,
    prefix: &[String],
) -> Result<FlakeInput, InputError> {
    let is_flake = spec.is_flake.unwrap_or(true);
    if spec.is_implied {
        let reference = FlakeRef::parse(settings, name, Reading { is_flake: true, ..Reading::default() })?;
        return Ok(FlakeInput { reference: Some(reference), ..FlakeInput::default() });
    }
    let follows = spec.follows.as_deref().map(parse_path).transpose()?;
    let overrides = inputs(settings, spec.inputs, prefix)?;
    let reference = if spec.attrs.contains_key("type") {
        let reference = FlakeRef::from_attrs(settings, &spec.attrs);
        Some(reference.map_err(|error| error.trace("while evaluating flake input"))?)
    } else {
        spec.attrs.remove("url");
        if let Some(name) = spec.attrs.keys().next() {
            let place = &spec.place;
            return Err(InputError::new(format!("unexpected flake input attribute '{name}', at {place}")));
        }
        let reading = Reading { allow_missing: true, is_flake, keep_relative: true, ..Reading::default() };
        spec.url.as_deref().map(|url| FlakeRef::parse(settings, url, reading)).transpose()?
    };
    if reference.is_some() && follows.is_some() {
        return Err(InputError::new(format!(
            "flake input has both a flake reference and a follows attribute, at {}",
            spec.place
        )));
    }
    let follows = follows.map(|path| [prefix, &path].concat());
    Ok(FlakeInput { reference, is_plain: !is_flake, follows, overrides })
}

/// Locks a flake.
pub fn lock(
    inputs: &EvaluationInputs,
    evaluator: &mut Evaluator,
    reference: &FlakeRef,
    options: &LockOptions,
) -> Result<Locked, Failure> {
    let fetcher = inputs.fetcher().map_err(|error| failure(error).at(PosId::NONE))?;
    let mut reader = Reader { evaluator, fetcher };
    lock::lock(fetcher, &mut reader, reference, options)
        .map_err(|error| evaluator_failure(error, PosId::NONE))
}

/// A locked flake, for the evaluator to call.
pub fn evaluator_flake(locked: &Locked) -> Result<LockedFlake, Failure> {
    let sources = locked.sources.iter().map(|source| {
        Ok(LockedSource {
            node: source.name.clone(),
            folder: source.folder.clone(),
            tree: tree(source.store_path.clone(), &source.input)?,
            is_changed: source.is_root && locked.is_changed,
        })
    });
    let sources: Result<Vec<_>, InputError> = sources.collect();
    let sources = sources.map_err(|error| failure(error).at(PosId::NONE))?;
    Ok(LockedFlake { lock_file: locked.lock_file.to_text().0, sources })
}

/// `builtins.getFlake`
pub(super) fn of_builtin(
    inputs: &EvaluationInputs,
    evaluator: &mut Evaluator,
    reference: &str,
    pos: PosId,
) -> Result<LockedFlake, Failure> {
    let fail = |error: InputError| failure(error).at(pos);
    let parsed = FlakeRef::parse(&inputs.settings, reference, Reading::BUILTIN).map_err(fail)?;
    let pure = evaluator.session.settings.pure;
    if pure && !parsed.input.is_locked(&inputs.settings) {
        return Err(fail(InputError::new(format!(
            "cannot call 'getFlake' on unlocked flake reference '{reference}', at {} (use --impure to override)",
            zeval_evaluator::flake::place(pos)
        ))));
    }
    let options = LockOptions {
        update: false,
        write: false,
        use_registries: !pure && inputs.settings.use_registries,
        allow_unlocked: !pure,
        ..LockOptions::default()
    };
    evaluator_flake(&lock(inputs, evaluator, &parsed, &options)?)
}
