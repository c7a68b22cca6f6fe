//! `nix registry`: what names of flakes stand for.

use std::{fs, path::PathBuf};

use zeval_inputs::{
    FlakeRef, Settings,
    reference::Reading,
    registry::{Entry, Kind, Registry, UseRegistries},
};

use super::{
    super::outcome::{Outcome, Stop, usage},
    Call,
    installables::{operands, too_many},
    setup::Setup,
};
use crate::flakes::{Flakes, failed};

type Result<T> = std::result::Result<T, zeval_evaluator::Failure>;

pub fn list(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let lines = with_flakes(&setup, |flakes| {
        let mut lines = Vec::new();
        for registry in flakes.fetcher()?.all_registries().map_err(failed)? {
            let kind = match registry.kind {
                Kind::Flag => "flags ",
                Kind::User => "user  ",
                Kind::System => "system",
                Kind::Global => "global",
            };
            for Entry { from, to, folder, .. } in &registry.entries {
                let to = FlakeRef { input: to.clone(), folder: folder.clone().unwrap_or_default() };
                lines.push(format!("{kind} {} {}", from.shown(), to.shown()));
            }
        }
        Ok(lines)
    })?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

pub fn add(call: &Call) -> Outcome<()> {
    let [from, to] = &operands(call)[..] else { return wrong_count(call, 2) };
    let setup = call.setup()?;
    let (from, to) = with_flakes(&setup, |flakes| {
        let reading = Reading { is_flake: true, ..Reading::default() };
        let settings = flakes.inputs.settings();
        let read = |text: &str| FlakeRef::parse(settings, text, reading).map_err(failed);
        Ok((read(from)?, read(to)?))
    })?;
    let folder = Some(to.folder).filter(|folder| !folder.is_empty());
    change(call, &setup, |entries| {
        entries.retain(|entry| entry.from != from.input);
        entries.push(Entry { from: from.input, to: to.input, folder, exact: false });
    })
}

pub fn remove(call: &Call) -> Outcome<()> {
    let [name] = &operands(call)[..] else { return wrong_count(call, 1) };
    let setup = call.setup()?;
    let from = with_flakes(&setup, |flakes| {
        let reading = Reading { is_flake: true, ..Reading::default() };
        FlakeRef::parse(flakes.inputs.settings(), name, reading).map_err(failed)
    })?;
    change(call, &setup, |entries| entries.retain(|entry| entry.from != from.input))
}

pub fn pin(call: &Call) -> Outcome<()> {
    let operands = operands(call);
    let (name, target) = match &operands[..] {
        [name] => (name, name),
        [name, target] => (name, target),
        _ => return wrong_count(call, 2),
    };
    let setup = call.setup()?;
    let (from, to) = with_flakes(&setup, |flakes| {
        let from =
            FlakeRef::parse(flakes.inputs.settings(), name, Reading { is_flake: true, ..Reading::default() });
        let target = flakes.reference(target)?;
        let fetched = flakes.fetcher()?.fetch(&target.input, UseRegistries::All).map_err(failed)?;
        let folder = fetched.folder.or(Some(target.folder).filter(|folder| !folder.is_empty()));
        Ok((from.map_err(failed)?, (fetched.tree.input, folder)))
    })?;
    change(call, &setup, |entries| {
        entries.retain(|entry| entry.from != from.input);
        let mut input = to.0;
        input.attrs.remove("__final");
        entries.push(Entry { from: from.input, to: input, folder: to.1, exact: false });
    })
}

pub fn resolve(call: &Call) -> Outcome<()> {
    let setup = call.setup()?;
    let operands = operands(call);
    let lines = with_flakes(&setup, |flakes| {
        let mut lines = Vec::new();
        for operand in &operands {
            let reference = flakes.reference(operand)?;
            let (input, folder) =
                flakes.fetcher()?.resolve(&reference.input, UseRegistries::All).map_err(failed)?;
            lines.push(FlakeRef { input, folder: folder.unwrap_or(reference.folder) }.shown());
        }
        Ok(lines)
    })?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn wrong_count<T>(call: &Call, most: usize) -> Outcome<T> {
    match call.common.operands.get(most) {
        Some(more) => too_many(&more.to_string_lossy()),
        None => usage("more arguments are required"),
    }
}

fn with_flakes<T: Send>(setup: &Setup, work: impl FnOnce(&Flakes) -> Result<T> + Send) -> Outcome<T> {
    let (language, flags) = (&setup.language, &setup.flakes);
    let done =
        setup.context.with_flakes(language, flags, &Default::default(), |_| (), |_, flakes| work(flakes));
    Ok(done?)
}

/// Changes the user's registry, or the file that `--registry` names.
fn change(call: &Call, setup: &Setup, change: impl FnOnce(&mut Vec<Entry>)) -> Outcome<()> {
    let (settings, file) = with_flakes(setup, |flakes| {
        let settings: Settings = flakes.inputs.settings().clone();
        let file = call.value("--registry").map(PathBuf::from).or(settings.user_registry.clone());
        Ok((settings, file))
    })?;
    let file = file.ok_or_else(|| Stop::of("no folder for the user's registry is known: set HOME"))?;
    let mut registry = Registry::read_or_fail(&settings, &file, Kind::User).map_err(Stop::of)?;
    change(&mut registry.entries);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    // Another process may read it at any moment.
    let mut name = file.clone().into_os_string();
    name.push(format!(".{}", std::process::id()));
    fs::write(&name, registry.to_text())?;
    Ok(fs::rename(name, file)?)
}
