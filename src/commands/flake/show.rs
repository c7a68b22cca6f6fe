//! `zeval flake show`: what a flake has.

use serde_json::{Map, Value as Json};
use zeval_evaluator::{ErrorKind, EvalError, Evaluator, position::PosId};

use super::{
    Context,
    outputs::{Output, Result, needs_build},
    print_json,
};
use crate::cli::FlakeArgument;

/// What is shown.
pub struct Options {
    pub legacy: bool,
    pub all_systems: bool,
    pub json: bool,
    /// Whether the tree has colours, as Nix's always has.
    pub colours: bool,
}

impl Options {
    fn styled(&self, style: &str, text: &str) -> String {
        match self.colours {
            true => format!("{style}{text}{NORMAL}"),
            false => text.to_owned(),
        }
    }
}

const NORMAL: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32;1m";
const MAGENTA: &str = "\x1b[35;1m";

/// Kinds of outputs that have a set for each system, and in it a derivation or an app by name.
const BY_SYSTEM: [&str; 5] = ["apps", "checks", "devShells", "legacyPackages", "packages"];

/// Runs the command.
pub fn run(context: &Context, flake: &FlakeArgument, options: &Options) -> super::Result<()> {
    let no_builds = |settings: &mut zeval_evaluator::Settings| settings.import_from_derivation = false;
    let (language, flags) = (&flake.language, &flake.flags);
    let json =
        context.with_flakes(language, flags, &Default::default(), no_builds, |evaluator, flakes| {
            let reference = flakes.reference(&flake.reference)?;
            // The first line tells the hash of a folder.
            let locked = match reference.input.kind() {
                "git" => flakes.lock(evaluator, &reference)?,
                _ => flakes.lock_copied(evaluator, &reference)?,
            };
            let mut show = Show {
                options,
                system: flakes.system.clone(),
                warn: Box::new(|message: &str| flakes.inputs.settings().warn(message)),
                stage: Box::new(|text: &str| context.view.stage(text)),
            };
            let header = options.styled(BOLD, &locked.flake.locked.shown());
            // Nix evaluates nothing before it has said what it looks at.
            let outputs = flakes.outputs(evaluator, &locked).inspect_err(|_| show.line(&header))?;
            show.visit(evaluator, &Output::root(outputs), &header, "")
        })?;
    if options.json {
        print_json(&json);
    }
    Ok(())
}

struct Show<'s> {
    options: &'s Options,
    system: String,
    warn: Box<dyn Fn(&str) + 's>,
    stage: Box<dyn Fn(&str) + 's>,
}

/// What is done with an output, by where it is.
enum Shape {
    /// Its members are shown.
    Set,
    /// It is a derivation, for the system that its path names.
    Derivation,
    Jobs,
    Legacy,
    App,
    Template,
    /// Something of a kind that is only named.
    Other(&'static str, &'static str),
}

fn shape(path: &[&str]) -> Shape {
    match path {
        [] => Shape::Set,
        [
            "defaultPackage"
            | "devShell"
            | "formatter"
            | "nixosConfigurations"
            | "nixosModules"
            | "defaultApp"
            | "templates"
            | "overlays",
        ] => Shape::Set,
        ["checks" | "packages" | "devShells" | "apps"]
        | ["checks" | "packages" | "devShells" | "apps", _] => Shape::Set,
        ["defaultPackage" | "devShell" | "formatter", _] => Shape::Derivation,
        ["checks" | "packages" | "devShells", _, _] => Shape::Derivation,
        ["hydraJobs", ..] => Shape::Jobs,
        ["legacyPackages", ..] => Shape::Legacy,
        ["defaultApp", _] | ["apps", _, _] => Shape::App,
        ["defaultTemplate"] | ["templates", _] => Shape::Template,
        ["overlay"] | ["overlays", _] => Shape::Other("nixpkgs-overlay", "Nixpkgs overlay"),
        ["nixosConfigurations", _] => Shape::Other("nixos-configuration", "NixOS configuration"),
        ["nixosModule"] | ["nixosModules", _] => Shape::Other("nixos-module", "NixOS module"),
        _ => Shape::Other("unknown", "unknown"),
    }
}

impl Show<'_> {
    /// Shows an output behind `header`; its members get `prefix` before them.
    fn visit(
        &mut self,
        evaluator: &mut Evaluator,
        output: &Output,
        header: &str,
        prefix: &str,
    ) -> Result<Json> {
        let mut json = Map::new();
        let path: Vec<&str> = output.path.iter().map(String::as_str).collect();
        (self.stage)(&format!("evaluating '{}'...", output.name()));
        let done = match shape(&path) {
            Shape::Set => self.members(evaluator, output, header, prefix, &mut json),
            Shape::Derivation if !self.is_for_us(path[1]) => {
                self.omit(output, header, "omitted", " (use '--all-systems' to show)");
                Ok(())
            }
            Shape::Derivation => {
                let done = match output.is_derivation(evaluator) {
                    Ok(true) => self.derivation(evaluator, output, header, &mut json),
                    Ok(false) => {
                        (self.warn)(&format!("{}.name is not a derivation", output.name()));
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                self.unless_built(done, output, header)
            }
            Shape::Jobs => {
                let done = match output.is_derivation(evaluator) {
                    Ok(true) => self.derivation(evaluator, output, header, &mut json),
                    Ok(false) => self.members(evaluator, output, header, prefix, &mut json),
                    Err(error) => Err(error),
                };
                self.unless_built(done, output, header)
            }
            Shape::Legacy => {
                // Much of what is there may be broken.
                let _ = self.legacy(evaluator, output, header, prefix, &mut json);
                Ok(())
            }
            Shape::App => self.app(evaluator, output, header, &mut json),
            Shape::Template => {
                let Some(description) = output.text(evaluator, "description")? else {
                    let message = format!("attribute '{}.description' does not exist", output.name());
                    return Err(EvalError::eval(PosId::NONE, message));
                };
                self.line(&format!("{header}: template: {}", self.options.styled(BOLD, &description)));
                json.insert("type".to_owned(), "template".into());
                json.insert("description".to_owned(), description.into());
                Ok(())
            }
            Shape::Other(kind, words) => {
                self.line(&format!("{header}: {}", self.options.styled(MAGENTA, words)));
                json.insert("type".to_owned(), kind.into());
                Ok(())
            }
        };
        done?;
        Ok(Json::Object(json))
    }

    /// A line of the tree, shown at once: what comes may take long, or fail.
    fn line(&self, line: &str) {
        if !self.options.json {
            println!("{line}");
        }
    }

    fn is_for_us(&self, system: &str) -> bool {
        self.options.all_systems || system == self.system
    }

    fn omit(&mut self, output: &Output, header: &str, why: &str, remedy: &str) {
        match self.options.json {
            true => (self.warn)(&format!("{} {why}{remedy}", output.name())),
            false => self.line(&format!("{header} {}{remedy}", self.options.styled(MAGENTA, why))),
        }
    }

    /// Takes a failure for want of a build for what it is.
    fn unless_built(&mut self, done: Result<()>, output: &Output, header: &str) -> Result<()> {
        match done {
            Err(failure) if needs_build(&failure) => {
                self.omit(output, header, "omitted due to use of import from derivation", "");
                Ok(())
            }
            other => other,
        }
    }

    fn members(
        &mut self,
        evaluator: &mut Evaluator,
        output: &Output,
        header: &str,
        prefix: &str,
        json: &mut Map<String, Json>,
    ) -> Result<()> {
        self.line(header);
        let mut shown = Vec::new();
        for member in output.members(evaluator)? {
            if has_content(evaluator, &member)? {
                shown.push(member);
            }
        }
        for (index, member) in shown.iter().enumerate() {
            let (branch, below) =
                if index + 1 == shown.len() { ("└───", "    ") } else { ("├───", "│   ") };
            let name = member.path.last().cloned().unwrap_or_default();
            let header =
                self.options.styled(GREEN, &format!("{prefix}{branch}")) + &self.options.styled(BOLD, &name);
            let value = self.visit(evaluator, member, &header, &format!("{prefix}{below}"))?;
            json.insert(name, value);
        }
        Ok(())
    }

    fn derivation(
        &mut self,
        evaluator: &mut Evaluator,
        output: &Output,
        header: &str,
        json: &mut Map<String, Json>,
    ) -> Result<()> {
        let name = output.text(evaluator, "name")?.unwrap_or_default();
        let path: Vec<&str> = output.path.iter().map(String::as_str).collect();
        let kind = match path.as_slice() {
            ["devShell", _] | ["devShells", _, ..] => "development environment",
            ["checks", _, _] | ["hydraJobs", ..] => "derivation",
            _ => "package",
        };
        if self.options.json {
            let description = output.description(evaluator)?.unwrap_or_default();
            json.insert("type".to_owned(), "derivation".into());
            json.insert("name".to_owned(), name.as_str().into());
            json.insert("description".to_owned(), description.into());
        }
        self.line(&format!("{header}: {kind} '{name}'"));
        Ok(())
    }

    fn legacy(
        &mut self,
        evaluator: &mut Evaluator,
        output: &Output,
        header: &str,
        prefix: &str,
        json: &mut Map<String, Json>,
    ) -> Result<()> {
        if output.path.len() == 1 {
            return self.members(evaluator, output, header, prefix, json);
        }
        if !self.options.legacy {
            self.omit(output, header, "omitted", " (use '--legacy' to show)");
            return Ok(());
        }
        if !self.is_for_us(&output.path[1]) {
            self.omit(output, header, "omitted", " (use '--all-systems' to show)");
            return Ok(());
        }
        let done = match output.is_derivation(evaluator) {
            Ok(true) => self.derivation(evaluator, output, header, json),
            Ok(false) if output.path.len() <= 2 => self.members(evaluator, output, header, prefix, json),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        self.unless_built(done, output, header)
    }

    fn app(
        &mut self,
        evaluator: &mut Evaluator,
        output: &Output,
        header: &str,
        json: &mut Map<String, Json>,
    ) -> Result<()> {
        let kind = output.text(evaluator, "type")?;
        let description = output.description(evaluator)?;
        if kind.as_deref() != Some("app") {
            return Err(EvalError::eval(PosId::NONE, "not an app definition"));
        }
        let shown = description.as_deref().unwrap_or("no description");
        self.line(&format!("{header}: app: {}", self.options.styled(BOLD, shown)));
        json.insert("type".to_owned(), "app".into());
        if let Some(description) = description {
            json.insert("description".to_owned(), description.into());
        }
        Ok(())
    }
}

/// Whether there is anything in an output: sets that a framework made and left empty are not worth a line. What cannot be
/// evaluated is; what cannot be fetched is an error.
fn has_content(evaluator: &mut Evaluator, output: &Output) -> Result<bool> {
    let path: Vec<&str> = output.path.iter().map(String::as_str).collect();
    let is_container = match path.as_slice() {
        [kind] | [kind, _] if BY_SYSTEM.contains(kind) => true,
        ["formatter" | "nixosConfigurations" | "nixosModules" | "overlays"] => true,
        _ => false,
    };
    if !is_container {
        return Ok(true);
    }
    let members = match output.members(evaluator) {
        Err(error) if matches!(error.kind, ErrorKind::World | ErrorKind::Interrupted) => return Err(error),
        Err(_) => return Ok(true),
        Ok(members) => members,
    };
    for member in &members {
        if has_content(evaluator, member)? {
            return Ok(true);
        }
    }
    Ok(false)
}
