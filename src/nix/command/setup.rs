//! What the commands for flakes and installables work with: Nix's flags as zeval's own commands have them.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, sync::Arc};

use zeval_builder::cancel::Cancellation;

use super::{
    super::{outcome::Outcome, outcome::Stop, realise::Lines, store::NixStore},
    Call,
};
use crate::{
    cli::{BuildFlags, ErrorFormat, FlakeArgument, FlakeFlags, Given, Global, Language, Source, SourceKind},
    commands::Context,
    evaluation::{Argument, ArgumentValue},
};

/// Flags of every command that evaluates; the first name of each is what [`Call::has`] knows it by.
pub const SWITCHES: [&str; 3] = ["--commit-lock-file", "--no-update-lock-file", "--no-write-lock-file"];

/// The same, with values.
pub const VALUED: [&str; 6] = [
    "--override-input",
    "--override-flake",
    "--update-input",
    "--inputs-from",
    "--reference-lock-file",
    "--output-lock-file",
];

/// Flags with two values.
pub const PAIRS: [&str; 2] = ["--override-input", "--override-flake"];

/// What a command of zeval's own is given.
pub struct Setup {
    pub context: Context,
    pub language: Language,
    pub flakes: FlakeFlags,
    pub build: BuildFlags,
    /// Where the store is while the command runs, if it is to be gone afterwards.
    _scratch: Option<tempfile::TempDir>,
}

impl Call {
    /// What the flags say, as zeval's own commands have it.
    pub fn setup(&self) -> Outcome<Setup> {
        let store = NixStore::new(&self.common, false).map_err(Stop::of)?;
        let scratch = store.folder().is_none().then(tempfile::tempdir).transpose()?;
        let folder = store.folder().or(scratch.as_ref().map(|scratch| scratch.path().to_owned()));
        let lines = Lines::new(self.common.verbosity, self.common.build_output, true);
        let settings = &self.common.settings;
        let global = Global {
            store: folder,
            show_trace: settings.is_on("show-trace") == Some(true),
            error_format: ErrorFormat::Nix,
            log_format: None,
            quiet: false,
        };
        let impure = settings.is_on("pure-eval") == Some(false);
        let language = Language {
            include: self.common.search_path.clone(),
            pure_eval: !impure,
            impure,
            restrict_eval: settings.is_on("restrict-eval") == Some(true),
            debugger: self.common.debugger,
            profile: self.common.profile(),
            option: settings.pairs(),
            ..Language::default()
        };
        let pairs = |name| self.all(name).map(str::to_owned).collect();
        let flakes = FlakeFlags {
            override_input: pairs("--override-input"),
            override_flake: pairs("--override-flake"),
            update_input: pairs("--update-input"),
            inputs_from: pairs("--inputs-from"),
            no_update_lock_file: self.has("--no-update-lock-file"),
            no_write_lock_file: self.has("--no-write-lock-file"),
            commit_lock_file: self.has("--commit-lock-file"),
            reference_lock_file: self.value("--reference-lock-file").map(Into::into),
            output_lock_file: self.value("--output-lock-file").map(Into::into),
            accept_flake_config: settings.is_on("accept-flake-config") == Some(true),
            refresh: self.has("--refresh"),
            ..FlakeFlags::default()
        };
        Ok(Setup {
            context: Context { global, view: Arc::new(lines), cancellation: Cancellation::new() },
            language,
            flakes,
            build: BuildFlags::default(),
            _scratch: scratch,
        })
    }
}

impl Setup {
    /// A flake as zeval's own commands are given it.
    pub fn flake(&self, reference: &str) -> FlakeArgument {
        FlakeArgument {
            reference: reference.to_owned(),
            flags: self.flakes.clone(),
            language: self.language.clone(),
        }
    }

    /// What an operand of `nix eval` and its like means: with `--file` or `--expr` an attribute path in that, else something
    /// in a flake.
    pub fn source(&self, call: &Call, operand: Option<&str>) -> Source {
        let mut source =
            Source { language: self.language.clone(), flake: self.flakes.clone(), ..Source::default() };
        let attributes = || operand.iter().map(|path| (*path).to_owned()).collect();
        if let Some(text) = call.value("--expr") {
            source.expr = Some(text.into());
            source.kind = SourceKind::File;
            source.attributes = attributes();
        } else if let Some(file) = call.value("-f") {
            source.file = Some(file.into());
            source.kind = SourceKind::File;
            source.attributes = attributes();
        } else {
            source.file = Some(operand.unwrap_or(".").into());
            source.kind = SourceKind::Flake;
            return source;
        }
        source.given = given(&call.common.arguments);
        source
    }
}

/// The arguments of functions as zeval's own commands are given them.
fn given(arguments: &[Argument]) -> Given {
    let mut given = Given::default();
    for Argument { name, value } in arguments {
        let (flags, value) = match value {
            ArgumentValue::Expression(text) => (&mut given.arg, OsString::from_vec(text.clone())),
            ArgumentValue::String(text) => (&mut given.argstr, OsString::from_vec(text.clone())),
            ArgumentValue::File(file) => (&mut given.argfile, file.clone().into_os_string()),
            ArgumentValue::Stdin => (&mut given.argfile, "/dev/stdin".into()),
        };
        flags.extend([OsString::from_vec(name.clone()), value]);
    }
    given
}
