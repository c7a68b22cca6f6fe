//! `zeval flake check`: whether everything in a flake is what it should be, and whether its checks build.

use serde_json::json;
use zeval_builder::schedule::{Builder, DrvOutput};
use zeval_evaluator::{EvalError, Evaluator, Failure, View, eval::expect::show_type, position::PosId};
use zeval_model::StorePath;

use super::{
    Context,
    outputs::{Output, Result},
    print_json,
};
use crate::{
    cli::{BuildFlags, FlakeArgument},
    commands::build_options,
    derivations,
    flakes::Outputs,
    flakes::select::output_names,
};

/// What is checked.
pub struct Options {
    pub build: bool,
    pub all_systems: bool,
    pub json: bool,
}

/// Outputs that others have agreed on, which nobody checks.
const COMMUNITY: [&str; 10] = [
    "lib",
    "darwinConfigurations",
    "darwinModules",
    "flakeModule",
    "flakeModules",
    "herculesCI",
    "homeConfigurations",
    "homeModule",
    "homeModules",
    "nixopsConfigurations",
];

/// Names that outputs had, and have now.
const DEPRECATED: [(&str, &str); 7] = [
    ("defaultPackage", "packages.<system>.default"),
    ("defaultApp", "apps.<system>.default"),
    ("defaultTemplate", "templates.default"),
    ("defaultBundler", "bundlers.<system>.default"),
    ("overlay", "overlays.default"),
    ("devShell", "devShells.<system>.default"),
    ("nixosModule", "nixosModules.default"),
];

/// Runs the command.
pub fn run(
    context: &Context,
    flake: &FlakeArgument,
    flags: &BuildFlags,
    options: &Options,
) -> super::Result<()> {
    let build_options = build_options(flags, &flake.language.option)?;
    let (language, lock_flags) = (&flake.language, &flake.flags);
    let adjust = |settings: &mut zeval_evaluator::Settings| settings.import_from_derivation = options.build;
    let keep_going = flags.keep_going;
    let (checked, wanted, failures, omitted) =
        context.with_flakes(language, lock_flags, &build_options, adjust, |evaluator, flakes| {
            let reference = flakes.reference(&flake.reference)?;
            let locked = flakes.lock(evaluator, &reference)?;
            let outputs = flakes.outputs(evaluator, &locked)?;
            let settings = flakes.inputs.settings();
            context.view.stage("evaluating flake...");
            let mut check = Check {
                options,
                system: flakes.system.clone(),
                keep_going,
                warn: Box::new(|message: &str| settings.warn(message)),
                stage: Box::new(|text: &str| context.view.stage(text)),
                checked: Vec::new(),
                wanted: Vec::new(),
                failures: Vec::new(),
                omitted: Vec::new(),
            };
            check.all(evaluator, &Output::root(outputs))?;
            Ok((check.checked, check.wanted, check.failures, check.omitted))
        })?;
    let count = failures.len();
    for failure in failures {
        context.tell(&failure.into());
    }
    if options.build && !wanted.is_empty() {
        let store = context.store()?;
        let builder = Builder::new(&store, build_options);
        let missing = builder.plan(&wanted)?.len();
        context.view.stage(&format!("running {missing} flake checks..."));
        builder.build(&wanted, &*context.view, &context.cancellation)?;
    }
    if options.json {
        let checked: Vec<_> =
            checked.iter().map(|(name, drv)| json!({ "attribute": name, "drvPath": drv })).collect();
        print_json(&json!(checked));
    }
    if count > 0 {
        let message = format!("{count} of the flake's outputs failed their checks");
        return Err(crate::diagnostic::Failed::other(message));
    }
    context.view.stage("all checks passed!");
    if !omitted.is_empty() && !context.global.quiet {
        eprintln!(
            "warning: The check omitted these incompatible systems: {}\nUse '--all-systems' to check all.",
            omitted.join(", ")
        );
    }
    Ok(())
}

struct Check<'c> {
    options: &'c Options,
    system: String,
    keep_going: bool,
    warn: Box<dyn Fn(&str) + 'c>,
    stage: Box<dyn Fn(&str) + 'c>,
    /// Derivations that were evaluated: their names and paths.
    checked: Vec<(String, String)>,
    /// What is to be built.
    wanted: Vec<DrvOutput>,
    failures: Vec<Failure>,
    /// Systems whose outputs were passed over.
    omitted: Vec<String>,
}

fn wrong(message: String) -> Failure {
    EvalError::eval(PosId::NONE, message)
}

impl Check<'_> {
    fn all(&mut self, evaluator: &mut Evaluator, outputs: &Output) -> Result<()> {
        let mut members = outputs.members_as_met(evaluator)?;
        // As Nix does: jobs first.
        members.sort_by_key(|member| member.path[0] != "hydraJobs");
        for member in members {
            let name = member.path[0].clone();
            let done = self.output(evaluator, &member, &name);
            self.note(
                done.map_err(|error| {
                    error.trace(member.pos, format!("while checking flake output '{name}'"))
                }),
            )?;
        }
        Ok(())
    }

    /// Says what is checked now.
    fn stage(&self, what: &str) {
        (self.stage)(&format!("checking {what}..."));
    }

    /// Goes on after a failure if that is wanted.
    fn note(&mut self, done: Result<()>) -> Result<()> {
        match done {
            Err(failure) if self.keep_going => {
                self.failures.push(failure);
                Ok(())
            }
            other => other,
        }
    }

    fn output(&mut self, evaluator: &mut Evaluator, output: &Output, name: &str) -> Result<()> {
        self.stage(&format!("flake output '{name}'"));
        evaluator.force_at(output.value, output.pos)?;
        if let Some((old, new)) = DEPRECATED.iter().find(|(old, _)| *old == name) {
            (self.warn)(&format!("flake output attribute '{old}' is deprecated; use '{new}' instead"));
        }
        match name {
            "checks" | "packages" | "devShells" => {
                self.by_system(evaluator, output, |check, evaluator, output| {
                    check.each(evaluator, output, Check::derivation)
                })
            }
            "apps" => self.by_system(evaluator, output, |check, evaluator, output| {
                check.each(evaluator, output, Check::app)
            }),
            "bundlers" => self.by_system(evaluator, output, |check, evaluator, output| {
                check.each(evaluator, output, Check::bundler)
            }),
            "formatter" | "defaultPackage" | "devShell" => {
                self.by_system(evaluator, output, |check, evaluator, output| {
                    let done = check.derivation(evaluator, output);
                    check.note(done)
                })
            }
            "defaultApp" => self.by_system(evaluator, output, |check, evaluator, output| {
                let done = check.app(evaluator, output);
                check.note(done)
            }),
            "defaultBundler" => self.by_system(evaluator, output, |check, evaluator, output| {
                let done = check.bundler(evaluator, output);
                check.note(done)
            }),
            "legacyPackages" => self.by_system(evaluator, output, |_, _, _| Ok(())),
            "overlay" => self.overlay(evaluator, output),
            "overlays" => self.each(evaluator, output, Check::overlay),
            "nixosModule" => Ok(()),
            "nixosModules" => self.each(evaluator, output, |check, evaluator, output| {
                check.stage(&format!("NixOS module '{}'", output.name()));
                let doing = format!("while checking the NixOS module '{}'", output.name());
                evaluator
                    .force_at(output.value, output.pos)
                    .map_err(|error| error.trace(output.pos, doing))?;
                Ok(())
            }),
            "nixosConfigurations" => self.each(evaluator, output, Check::configuration),
            "hydraJobs" => self.jobs(evaluator, output),
            "defaultTemplate" => self.template(evaluator, output),
            "templates" => self.each(evaluator, output, Check::template),
            _ => {
                if !COMMUNITY.contains(&name) {
                    (self.warn)(&format!("unknown flake output '{name}'"));
                }
                Ok(())
            }
        }
    }

    fn by_system(
        &mut self,
        evaluator: &mut Evaluator,
        output: &Output,
        check: impl Fn(&mut Self, &mut Evaluator, &Output) -> Result<()>,
    ) -> Result<()> {
        for member in members(evaluator, output)? {
            let system = &member.path[1];
            if !system.contains('-') {
                let message = format!(
                    "'{system}' is not a valid system type, at {}",
                    zeval_evaluator::flake::place(member.pos)
                );
                self.note(Err(wrong(message)))?;
            }
            if !self.options.all_systems && *system != self.system {
                if !self.omitted.contains(system) {
                    self.omitted.push(system.clone());
                }
                continue;
            }
            check(self, evaluator, &member)?;
        }
        Ok(())
    }

    fn each(
        &mut self,
        evaluator: &mut Evaluator,
        output: &Output,
        check: impl Fn(&mut Self, &mut Evaluator, &Output) -> Result<()>,
    ) -> Result<()> {
        for member in members(evaluator, output)? {
            let done = check(self, evaluator, &member);
            self.note(done)?;
        }
        Ok(())
    }

    fn derivation(&mut self, evaluator: &mut Evaluator, output: &Output) -> Result<()> {
        self.stage(&format!("derivation {}", output.name()));
        let name = output.name();
        let mut evaluate = || -> Result<String> {
            if !output.is_derivation(evaluator)? {
                return Err(wrong(format!("flake attribute '{name}' is not a derivation")));
            }
            let value = evaluator.force(output.value)?;
            let path = derivations::drv_path(evaluator, value)?;
            if output.path[0] == "checks" && output.path[1] == self.system {
                let drv = StorePath::from_absolute(&path).map_err(|error| wrong(error.to_string()))?;
                for output in output_names(evaluator, value, &Outputs::All)? {
                    self.wanted.push(DrvOutput { drv: drv.clone(), output });
                }
            }
            Ok(path)
        };
        let path = evaluate()
            .map_err(|error| error.trace(output.pos, format!("while checking the derivation '{name}'")))?;
        (self.stage)(&format!("derivation evaluated to {path}"));
        self.checked.push((name, path));
        Ok(())
    }

    fn app(&mut self, evaluator: &mut Evaluator, output: &Output) -> Result<()> {
        self.stage(&format!("app '{}'", output.name()));
        let name = output.name();
        let mut evaluate = || -> Result<()> {
            let lacks = |what: &str| wrong(format!("app '{name}' lacks attribute '{what}'"));
            output.text(evaluator, "type")?.ok_or_else(|| lacks("type"))?;
            output.text(evaluator, "program")?.ok_or_else(|| lacks("program"))?;
            match output.member(evaluator, "meta")? {
                None => (self.warn)(&format!("app '{name}' lacks attribute 'meta'")),
                Some(meta) => {
                    if meta.text(evaluator, "description")?.is_none() {
                        (self.warn)(&format!("app '{name}' lacks attribute 'meta.description'"));
                    }
                }
            }
            only(evaluator, output, &["type", "program", "meta"], "app")
        };
        evaluate()
            .map_err(|error| error.trace(output.pos, format!("while checking the app definition '{name}'")))
    }

    fn overlay(&mut self, evaluator: &mut Evaluator, output: &Output) -> Result<()> {
        self.stage(&format!("overlay '{}'", output.name()));
        let mut evaluate = || -> Result<()> {
            let value = evaluator.force_at(output.value, output.pos)?;
            let View::Closure(_) = value.view() else {
                return Err(wrong(format!("overlay is not a function, but {} instead", show_type(value))));
            };
            let parameter = value.next_parameter();
            let is_final = parameter.is_some_and(|parameter| {
                let name = parameter.name.map(|name| name.text().to_string()).unwrap_or_default();
                parameter.pattern.is_none() && matches!(name.as_str(), "final" | "_" | "_final")
            });
            match is_final {
                true => Ok(()),
                false => Err(wrong("overlay does not take an argument named 'final'".to_owned())),
            }
        };
        evaluate().map_err(|error| {
            error.trace(output.pos, format!("while checking the overlay '{}'", output.name()))
        })
    }

    fn bundler(&mut self, evaluator: &mut Evaluator, output: &Output) -> Result<()> {
        self.stage(&format!("bundler '{}'", output.name()));
        let value = evaluator.force_at(output.value, output.pos)?;
        match value.view() {
            View::Closure(_) => Ok(()),
            _ => Err(wrong("bundler must be a function".to_owned())
                .trace(output.pos, format!("while checking the template '{}'", output.name()))),
        }
    }

    fn configuration(&mut self, evaluator: &mut Evaluator, output: &Output) -> Result<()> {
        self.stage(&format!("NixOS configuration '{}'", output.name()));
        let mut evaluate = || -> Result<()> {
            let mut found = output.clone();
            for name in ["config", "system", "build", "toplevel"] {
                found = found.member(evaluator, name)?.ok_or_else(|| {
                    wrong(format!(
                        "attribute '{name}' in selection path 'config.system.build.toplevel' not found"
                    ))
                })?;
            }
            match found.is_derivation(evaluator)? {
                true => Ok(()),
                false => {
                    Err(wrong("attribute 'config.system.build.toplevel' is not a derivation".to_owned()))
                }
            }
        };
        let doing = format!("while checking the NixOS configuration '{}'", output.name());
        evaluate().map_err(|error| error.trace(output.pos, doing))
    }

    fn jobs(&mut self, evaluator: &mut Evaluator, output: &Output) -> Result<()> {
        self.stage(&format!("Hydra job '{}'", output.name()));
        let doing = || format!("while checking the Hydra jobset '{}'", output.name());
        let mut evaluate = || -> Result<()> {
            if output.is_derivation(evaluator)? {
                return Err(wrong("jobset should not be a derivation at top-level".to_owned()));
            }
            for member in members(evaluator, output)? {
                let done = match member.is_derivation(evaluator)? {
                    true => {
                        self.stage(&format!("Hydra job '{}'", member.name()));
                        self.derivation(evaluator, &member)
                    }
                    false => self.jobs(evaluator, &member),
                };
                self.note(done)?;
            }
            Ok(())
        };
        evaluate().map_err(|error| error.trace(output.pos, doing()))
    }

    fn template(&mut self, evaluator: &mut Evaluator, output: &Output) -> Result<()> {
        self.stage(&format!("template '{}'", output.name()));
        let name = output.name();
        let mut evaluate = || -> Result<()> {
            let lacks = |what: &str| wrong(format!("template '{name}' lacks attribute '{what}'"));
            let path = output.member(evaluator, "path")?.ok_or_else(|| lacks("path"))?;
            let path = evaluator.coerce_to_path(path.value, &mut None, path.pos, "")?;
            if !evaluator.session.physical(path).exists() {
                let path = String::from_utf8_lossy(path);
                return Err(wrong(format!("template '{name}' refers to a non-existent path '{path}'")));
            }
            output.text(evaluator, "description")?.ok_or_else(|| lacks("description"))?;
            only(evaluator, output, &["path", "description", "welcomeText"], "template")
        };
        evaluate().map_err(|error| error.trace(output.pos, format!("while checking the template '{name}'")))
    }
}

/// The members of what must be a set.
fn members(evaluator: &mut Evaluator, output: &Output) -> Result<Vec<Output>> {
    evaluator.expect_attrs(output.value, output.pos, "")?;
    output.members_as_met(evaluator)
}

/// Refuses attributes that do not belong there.
fn only(evaluator: &mut Evaluator, output: &Output, allowed: &[&str], kind: &str) -> Result<()> {
    for member in output.members_as_met(evaluator)? {
        let name = member.path.last().map(String::as_str).unwrap_or_default();
        if !allowed.contains(&name) {
            let message = format!("{kind} '{}' has unsupported attribute '{name}'", output.name());
            return Err(wrong(message));
        }
    }
    Ok(())
}
