//! `zeval run` and `zeval shell`: programs of flakes and expressions, run with the store where they look for it.

use std::{collections::BTreeMap, sync::Arc};

use zeval_builder::{
    sandbox::View,
    schedule::{Builder, DrvOutput},
    store::Store,
};
use zeval_evaluator::{
    Evaluator, Failure, Symbol, Value,
    eval::coerce::Coercion,
    position::PosId,
    text::version::parse_derivation_name,
    value::{
        Context as References,
        context::{ContextElement, Derived},
    },
};

use super::{
    Context, Result, build_options,
    targets::{Found, collect_outputs},
};
use crate::{
    cli::{BuildFlags, FlakeFlags, Language, Run, Shell, Source},
    diagnostic::Failed,
    flakes::{
        Flakes,
        select::{Search, select, string},
    },
};

/// What is to be run, and what must be built for it.
pub struct Program {
    path: Path,
    /// What must be built.
    pub needs: Vec<DrvOutput>,
}

/// Where a program is.
enum Path {
    /// Said by an app.
    Exact(String),
    /// `bin/NAME` of the first output that is built.
    Named(String),
}

/// `zeval run`
pub fn run(context: &Context, arguments: &Run) -> Result<()> {
    let program = find_program(context, arguments)?;
    let store = context.store()?;
    let built = build(context, &store, &arguments.options, &arguments.language, &program.needs)?;
    program.start(&store, &built, arguments.arguments.clone())
}

/// Finds the program that is meant.
pub fn find_program(context: &Context, arguments: &Run) -> Result<Program> {
    let (flags, language) = (&arguments.flags, &arguments.language);
    with_found(context, language, flags, &arguments.options, |evaluator, flakes| {
        let search = Search::first(&flakes.system, "apps", "defaultApp");
        let found = find(evaluator, flakes, &arguments.installable, &search)?;
        program(evaluator, &found)
    })
}

impl Program {
    /// Becomes the program, what it needs having been built.
    pub fn start(self, store: &Store, built: &[String], arguments: Vec<String>) -> Result<()> {
        let path = match self.path {
            Path::Exact(path) => path,
            Path::Named(name) => match built.first() {
                Some(output) => format!("{output}/bin/{name}"),
                None => name,
            },
        };
        enter(store, path, arguments, Vec::new())
    }
}

/// `zeval shell`
pub fn shell(context: &Context, arguments: &Shell) -> Result<()> {
    let store = context.store()?;
    let needs = wanted_by_shell(context, arguments, &store)?;
    let built = build(context, &store, &arguments.options, &arguments.language, &needs)?;
    enter_with(&store, &built, if arguments.last.is_empty() { &arguments.command } else { &arguments.last })
}

/// Becomes a command, or the user's shell if that is empty, with the programs of some outputs before all others.
pub fn enter_with(store: &Store, outputs: &[String], command: &[String]) -> Result<()> {
    let (shell, variables) = shell_finding(outputs);
    let command = match command.split_first() {
        Some((program, rest)) => (program.clone(), rest.to_vec()),
        None => (shell, Vec::new()),
    };
    enter(store, command.0, command.1, variables)
}

/// The user's shell, and the variables with which it finds the programs in store paths.
pub fn shell_finding(paths: &[String]) -> (String, Vec<(String, String)>) {
    let folders: Vec<String> = paths.iter().map(|path| format!("{path}/bin")).collect();
    let before = std::env::var("PATH").unwrap_or_default();
    let variables = vec![("PATH".to_owned(), [folders.join(":"), before].join(":"))];
    (std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned()), variables)
}

/// Runs a program with the store where it looks for it, and waits for its end.
pub fn run_in_view(store: &Store, program: String, variables: Vec<(String, String)>) -> Result<()> {
    let scratch = store.temporary_folder().map_err(Failed::other)?;
    let view = View {
        store: store.layout().store().to_owned(),
        store_dir: zeval_model::store_dir().into(),
        mount_point: scratch.path().to_owned(),
        program,
        arguments: Vec::new(),
        variables,
    };
    let status = view.command().and_then(|mut command| command.status());
    let status = status.map_err(|error| Failed::other(format!("cannot run '{}': {error}", view.program)))?;
    match status.code() {
        Some(0) | None => Ok(()),
        Some(code) => Err(Failed::Program(u8::try_from(code).unwrap_or(1))),
    }
}

/// The outputs of the files and flakes that are named, in their order.
fn wanted_by_shell(context: &Context, arguments: &Shell, store: &Arc<Store>) -> Result<Vec<DrvOutput>> {
    let is_file = |installable: &&String| std::path::Path::new(installable).is_file();
    let (files, flakes): (Vec<&String>, Vec<&String>) = arguments.installables.iter().partition(is_file);
    let (flags, language) = (&arguments.flags, &arguments.language);
    let mut wanted = BTreeMap::new();
    for file in files {
        let source = Source {
            file: Some(file.into()),
            language: language.clone(),
            flake: flags.clone(),
            ..Source::default()
        };
        let options = build_options(&arguments.options, &language.option)?;
        wanted.insert(file, context.targets(&source, store, &options)?);
    }
    if !flakes.is_empty() {
        let found = with_found(context, language, flags, &arguments.options, |evaluator, all| {
            let search = Search::packages(&all.system);
            let mut targets = Vec::new();
            for flake in &flakes {
                let found = find(evaluator, all, flake, &search)?;
                targets.push(collect_outputs(evaluator, &found)?);
            }
            Ok(targets)
        })?;
        wanted.extend(flakes.into_iter().zip(found));
    }
    let targets = arguments.installables.iter().filter_map(|installable| wanted.remove(installable));
    Ok(targets.flatten().map(|target| target.wanted).collect())
}

pub fn with_found<T: Send>(
    context: &Context,
    language: &Language,
    flags: &FlakeFlags,
    options: &BuildFlags,
    work: impl FnOnce(&mut Evaluator, &Flakes) -> std::result::Result<T, Failure> + Send,
) -> Result<T> {
    context.with_flakes(language, flags, &build_options(options, &language.option)?, |_| (), work)
}

pub fn find(
    evaluator: &mut Evaluator,
    flakes: &Flakes,
    text: &str,
    search: &Search,
) -> std::result::Result<Found, Failure> {
    let installable = flakes.installable(text)?;
    let locked = flakes.lock(evaluator, &installable.reference)?;
    let outputs = flakes.outputs(evaluator, &locked)?;
    let paths = search.paths(&installable.fragment);
    let found = select(evaluator, outputs, &paths, &installable.reference.shown())?;
    Ok(Found { attribute: found.attribute, value: found.value, outputs: installable.outputs })
}

/// The program that an app or a derivation stands for.
fn program(evaluator: &mut Evaluator, found: &Found) -> std::result::Result<Program, Failure> {
    let attribute = &found.attribute;
    let doing = format!("while evaluating the flake output '{attribute}'");
    let attrs = evaluator.expect_attrs(found.value, PosId::NONE, &doing)?;
    let get = |name: &str| attrs.get(Symbol::intern(name.as_bytes()));
    let kind = get("type").map(|kind| string(evaluator, kind)).transpose()?;
    if kind.as_deref() == Some("app") {
        let mut references = None;
        let program = get("program").unwrap_or(Value::NULL);
        let path = evaluator.coerce(program, Coercion::APPENDED, &mut references, PosId::NONE, &doing)?;
        let path = Path::Exact(String::from_utf8_lossy(path).into_owned());
        return Ok(Program { path, needs: needs(references) });
    }
    let targets = collect_outputs(evaluator, found)?;
    let main = match get("meta") {
        Some(meta) => {
            let meta = evaluator.expect_attrs(meta, PosId::NONE, &doing)?;
            meta.get(Symbol::intern(b"mainProgram"))
        }
        None => None,
    };
    let name = match main.or(get("pname")) {
        Some(name) => string(evaluator, name)?,
        None => {
            let name = string(evaluator, get("name").unwrap_or(Value::NULL))?;
            String::from_utf8_lossy(parse_derivation_name(name.as_bytes()).0).into_owned()
        }
    };
    let needs = targets.into_iter().map(|target| target.wanted).collect();
    Ok(Program { path: Path::Named(name), needs })
}

/// The outputs that a text refers to.
fn needs(references: Option<&'static References>) -> Vec<DrvOutput> {
    let elements = references.iter().flat_map(|references| references.iter());
    let output = |element: &ContextElement| match element {
        ContextElement::Built(built) => match &*built.derivation {
            Derived::Opaque(drv) => Some(DrvOutput { drv: drv.clone(), output: built.output.clone() }),
            Derived::Built(_) => None,
        },
        _ => None,
    };
    elements.filter_map(output).collect()
}

fn build(
    context: &Context,
    store: &Store,
    options: &BuildFlags,
    language: &Language,
    needs: &[DrvOutput],
) -> Result<Vec<String>> {
    let builder = Builder::new(store, build_options(options, &language.option)?);
    let built = builder.build(needs, &*context.view, &context.cancellation)?;
    Ok(built.into_iter().map(|built| built.path.to_string()).collect())
}

/// Becomes a program.
fn enter(
    store: &Store,
    program: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
) -> Result<()> {
    let layout = store.layout();
    let view = View {
        store: layout.store().to_owned(),
        store_dir: zeval_model::store_dir().into(),
        mount_point: layout.temporary(),
        program,
        arguments,
        variables,
    };
    let program = view.program.clone();
    zeval_builder::store::end_sessions();
    Err(Failed::other(format!("cannot run '{program}': {}", view.enter())))
}
