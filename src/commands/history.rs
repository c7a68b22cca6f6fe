//! `zeval history`: what was built here, when, how long it took and how large it is.

use std::collections::HashMap;

use serde_json::json;
use zeval_builder::store::{BuiltPath, Effort, Store};
use zeval_model::StorePath;

use super::{Context, Result, store::human};
use crate::{cli::History, diagnostic::Failed};

/// Runs the command.
pub fn run(context: &Context, arguments: &History) -> Result<()> {
    let store = context.store()?;
    let efforts = store.efforts().map_err(Failed::other)?;
    let mut built = store.built_paths().map_err(Failed::other)?;
    built
        .retain(|built| arguments.name.as_ref().is_none_or(|name| built.path.name().contains(name.as_str())));
    built.truncate(arguments.limit);
    if arguments.json {
        let all: Vec<_> = built
            .iter()
            .map(|built| {
                let effort = effort(&efforts, built);
                json!({
                    "path": built.path.to_string(),
                    "derivation": built.deriver.to_string(),
                    "inputs": made_from(&store, built),
                    "time": built.registered,
                    "narSize": built.nar_size,
                    "milliseconds": effort.map(|effort| effort.milliseconds),
                    "peakKibibytes": effort.map(|effort| effort.peak_kibibytes),
                })
            })
            .collect();
        println!("{}", json!(all));
        return Ok(());
    }
    for built in &built {
        let took = effort(&efforts, built)
            .map_or_else(|| "-".to_owned(), |effort| format!("{:.1} s", effort.milliseconds as f64 / 1000.0));
        println!("{}  {took:>10}  {:>10}  {}", date(built.registered), human(built.nar_size), built.path);
        if arguments.inputs {
            println!("    by {}", built.deriver);
            made_from(&store, built).iter().for_each(|input| println!("    from {input}"));
        }
    }
    Ok(())
}

/// The outputs of other derivations and the sources that something was built from; nothing if its derivation is gone.
fn made_from(store: &Store, built: &BuiltPath) -> Vec<String> {
    let Ok(drv) = store.derivation(&built.deriver) else { return Vec::new() };
    let of_derivations = drv.input_derivations.iter().flat_map(|(input, wanted)| {
        let derivation = store.derivation(input).ok();
        wanted.outputs.iter().map(move |name| {
            let known = derivation.as_ref().and_then(|drv| drv.outputs.get(name)?.path().cloned());
            let path = known.or_else(|| store.realisation(input, name).ok().flatten());
            path.map_or_else(|| format!("{input}!{name}"), |path| path.to_string())
        })
    });
    of_derivations.chain(drv.input_sources.iter().map(StorePath::to_string)).collect()
}

/// What the last build of that name took, if that was worth remembering.
fn effort<'e>(efforts: &'e HashMap<String, Effort>, built: &BuiltPath) -> Option<&'e Effort> {
    efforts.get(built.deriver.derivation_name().ok()?)
}

/// A time of the clock of Greenwich.
pub fn date(seconds: i64) -> String {
    const DAY: i64 = 86_400;
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar. Counts years from March, so that the leap
/// day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    let days = days + 719_468;
    let era = days.div_euclid(ERA);
    let of_era = days.rem_euclid(ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(date(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(date(1_795_257_697), "2026-11-21 10:41:37");
        assert_eq!(date(-1), "1969-12-31 23:59:59");
    }
}
