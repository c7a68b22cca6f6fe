//! The operations on the generations of a profile.

use std::time::UNIX_EPOCH;

use super::{
    super::{
        outcome::{Outcome, usage},
        profiles::{self, Doomed},
    },
    Env,
};
use crate::commands::history::date;

/// `--list-generations`
pub fn list(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    no_arguments(env)?;
    let profile = env.profile()?;
    let _lock = profile.lock()?;
    let (generations, current) = profile.generations()?;
    for generation in generations {
        let time = generation.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = date(i64::try_from(time).unwrap_or_default());
        let mark = if Some(generation.number) == current { "(current)" } else { "" };
        println!("{:>4}   {time}   {mark}", generation.number);
    }
    Ok(())
}

/// `--delete-generations`
pub fn delete(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    let doomed = Doomed::parse(&env.arguments)?;
    env.profile()?.delete(&doomed, env.options.dry_run, |text| env.say(text))
}

/// `--rollback`
pub fn rollback(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    no_arguments(env)?;
    env.profile()?.switch(None, env.options.dry_run, |text| env.say(text))
}

/// `--switch-generation`
pub fn switch_generation(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    let [argument] = &env.arguments[..] else { return usage("exactly one argument expected") };
    let Ok(number) = argument.parse() else { return usage("expected a generation number") };
    env.profile()?.switch(Some(number), env.options.dry_run, |text| env.say(text))
}

/// `--switch-profile`
pub fn switch_profile(env: &mut Env<'_>) -> Outcome<()> {
    env.no_flags()?;
    let [argument] = &env.arguments[..] else { return usage("exactly one argument expected") };
    profiles::switch_default(env.uses_xdg(), argument.as_ref())
}

fn no_arguments(env: &Env<'_>) -> Outcome<()> {
    if env.arguments.is_empty() { Ok(()) } else { usage("no arguments expected") }
}
