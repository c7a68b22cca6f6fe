//! `zeval instantiate`: writes derivations and prints their paths.

use serde_json::json;

use super::{Context, Result, build_options};
use crate::cli::Instantiate;

/// Runs the command.
pub fn run(context: &Context, arguments: &Instantiate) -> Result<()> {
    let store = context.store()?;
    let options = build_options(&Default::default(), &arguments.source.language.option)?;
    let targets = context.targets(&arguments.source, &store, &options)?;
    if arguments.json {
        let paths: Vec<_> = targets
            .iter()
            .map(|target| {
                json!({
                    "attribute": target.attribute,
                    "drvPath": target.wanted.drv.to_string(),
                    "output": target.wanted.output,
                })
            })
            .collect();
        println!("{}", json!(paths));
        return Ok(());
    }
    for target in targets {
        match target.wanted.output.as_str() {
            "out" => println!("{}", target.wanted.drv),
            output => println!("{}!{output}", target.wanted.drv),
        }
    }
    Ok(())
}
