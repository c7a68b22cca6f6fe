//! Makes the environment of a profile: one tree of links to all that is installed, and a manifest that says what that is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use zeval_evaluator::{print, text::raw};
use zeval_model::StorePath;

use super::{
    super::{
        instantiate,
        outcome::{Outcome, fail},
        profiles::Profile,
        realise::Wanted,
    },
    Env,
    package::Package,
};
use crate::evaluation::{self, Input};

/// What makes the tree; as Nix writes it, so that its environments have the same derivations.
const BUILDER: &str = r#"{ derivations, manifest }: derivation {
  name = "user-environment";
  system = "builtin";
  builder = "builtin:buildenv";
  inherit manifest;
  derivations = map (d:
    [ (d.meta.active or "true") (d.meta.priority or 5) (builtins.length d.outputs) ]
    ++ map (output: builtins.getAttr output d) d.outputs) derivations;
  preferLocalBuild = true;
  allowSubstitutes = false;
}"#;

/// What has to be there before packages can be installed.
pub fn wanted(env: &mut Env<'_>, packages: &[Package]) -> Outcome<Vec<Wanted>> {
    let mut all = Vec::new();
    for package in packages {
        match package.drv(env.evaluator)? {
            Some(drv) => {
                env.flush()?;
                let outputs = env.store.derivation(&drv)?.outputs.into_keys().collect();
                all.push(Wanted::Outputs { drv, outputs });
            }
            None => all.push(Wanted::Path(package.out_path(env.evaluator)?)),
        }
    }
    Ok(all)
}

/// Builds packages and the environment of them, and makes that the current generation of a profile.
pub fn install(env: &mut Env<'_>, packages: &[Package], profile: &Profile) -> Outcome<()> {
    let wanted = wanted(env, packages)?;
    env.build(&wanted)?;
    let mut references = BTreeSet::new();
    let mut entries = Vec::new();
    for package in packages {
        entries.push(entry(env, package, &mut references)?);
    }
    let manifest = match entries.is_empty() {
        true => "[ ]".to_owned(),
        false => format!("[ {} ]", entries.join(" ")),
    };
    for path in &references {
        if !env.store.keeps(path)? {
            return fail(format!("path '{path}' is not valid"));
        }
    }
    let path = env.store.add_text("env-manifest.nix", &raw::bytes(&manifest), &references)?;
    let expression =
        format!("({BUILDER}) {{ manifest = builtins.storePath \"{path}\"; derivations = {manifest}; }}");
    let value =
        evaluation::evaluate(env.evaluator, &Input::Expression(raw::bytes(&expression).into_owned()))?;
    let drvs = instantiate::derivations_in(env.evaluator, value, &[])?;
    env.flush()?;
    let [(drv, _)] = &drvs[..] else { return fail("the environment is not one derivation") };
    let drv = StorePath::from_absolute(drv)?;
    let outputs = BTreeSet::from(["out".to_owned()]);
    env.build(&[Wanted::Outputs { drv: drv.clone(), outputs }])?;
    let output = super::super::realise::output_paths(env.store, &drv)?.into_iter().find_map(|(_, path)| path);
    let Some(output) = output else { return fail(format!("'{drv}' has no output")) };
    profile.advance(env.store, &output)
}

/// A package in a manifest: as a derivation's set that needs no evaluation.
fn entry(env: &mut Env<'_>, package: &Package, references: &mut BTreeSet<StorePath>) -> Outcome<String> {
    let outputs = package.installed_outputs(env.evaluator)?;
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    let quoted = |env: &mut Env<'_>, text: &str| {
        let value = env.evaluator.heap.string(text.as_bytes());
        print::for_eval(value)
    };
    attributes.insert("type".to_owned(), "\"derivation\"".to_owned());
    attributes.insert("name".to_owned(), quoted(env, &package.name));
    let system = package.system(env.evaluator)?;
    if !system.is_empty() {
        attributes.insert("system".to_owned(), quoted(env, &system));
    }
    let out_path = package.out_path(env.evaluator)?;
    attributes.insert("outPath".to_owned(), format!("\"{out_path}\""));
    if env.common.settings.is_on("keep-env-derivations") == Some(true)
        && let Some(drv) = package.drv(env.evaluator)?
    {
        attributes.insert("drvPath".to_owned(), format!("\"{drv}\""));
        references.insert(drv);
    }
    let mut names = String::new();
    for (name, path) in outputs {
        let Some(path) = path else {
            return fail(format!("the output '{name}' of '{}' is not known", package.name));
        };
        let _ = write!(names, "{} ", quoted(env, &name));
        attributes.insert(name, format!("{{ outPath = \"{path}\"; }}"));
        references.insert(path);
    }
    attributes.insert("outputs".to_owned(), format!("[ {names}]"));
    let mut meta = String::new();
    for (name, value) in package.metas(env.evaluator)? {
        if let Some(value) = value {
            let value = env.evaluator.force_deep(value)?;
            let _ = write!(meta, "{} = {}; ", attribute(&name), print::for_eval(value));
        }
    }
    attributes.insert("meta".to_owned(), format!("{{ {meta}}}"));
    let text: String =
        attributes.iter().map(|(name, value)| format!("{} = {value}; ", attribute(name))).collect();
    Ok(format!("{{ {text}}}"))
}

fn attribute(name: &str) -> String {
    print::attr_name(zeval_evaluator::Symbol::intern(name.as_bytes())).to_string()
}
