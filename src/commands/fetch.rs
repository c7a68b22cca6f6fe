//! `zeval fetch`: makes the sources of an expression valid and builds nothing else.

use serde_json::json;
use zeval_builder::schedule::{Builder, DrvOutput, sources};

use super::{Context, Result, build_options};
use crate::{cli::Fetch, diagnostic::Failed};

/// Runs the command: prints the path of every source.
pub fn run(context: &Context, arguments: &Fetch) -> Result<()> {
    let store = context.store()?;
    let options = build_options(&arguments.options, &arguments.source.language.option)?;
    let targets = context.targets(&arguments.source, &store, &options)?;
    let wanted: Vec<DrvOutput> = targets.into_iter().map(|target| target.wanted).collect();
    let sources = sources(&store, &wanted).map_err(Failed::other)?;
    let built = Builder::new(&store, options).build(&sources, &*context.view, &context.cancellation)?;
    if arguments.json {
        let results: Vec<_> = built
            .iter()
            .map(|built| json!({ "drvPath": built.drv.to_string(), "path": built.path.to_string() }))
            .collect();
        println!("{}", json!(results));
        return Ok(());
    }
    for built in built {
        println!("{}", built.path);
    }
    Ok(())
}
